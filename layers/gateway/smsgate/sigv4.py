"""AWS Signature Version 4, for requests with a body and no query: what the JSON services of AWS ask for.

AWS's "Signature Version 4 signing process" names each step; its published examples are the tests.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

_ALGORITHM = "AWS4-HMAC-SHA256"


def amz_date(at: datetime) -> str:
    """A moment of UTC as `20150830T123600Z`; strftime takes five times as long."""
    return at.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "") + "Z"


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False, default=None)


class Signer:
    """Any number of threads may share it."""

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        self._key_of_day = ("", b"")

    def authorization(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """The Authorization header over all of these headers, `host` and `x-amz-date` among them: names in lower case,
        values without blanks at their ends and without several in a row."""
        date = headers["x-amz-date"]
        names = sorted(headers)
        signed = ";".join(names)
        canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical = f"{method}\n{path}\n\n{canonical_headers}\n{signed}\n{sha256(body).hexdigest()}"
        scope = f"{date[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"{_ALGORITHM}\n{date}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(date[:8]), to_sign.encode(), "sha256").hex()
        credential = f"{self._credentials.access_key_id}/{scope}"
        return f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"

    def _key(self, day: str) -> bytes:
        kept_day, key = self._key_of_day  # Read as one: another thread may be at the next day already.
        if kept_day != day:
            key = f"AWS4{self._credentials.secret_access_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key_of_day = (day, key)
        return key
