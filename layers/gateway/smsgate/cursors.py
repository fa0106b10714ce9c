"""A page's end as its reader sees it: an index key in letters that fit into a URL, checked when it comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from smsgate.items import stamp, time_of

_LARGEST_KEY = 1024  # DynamoDB's, in bytes


def closed(key: Mapping[str, object] | None) -> str | None:
    if key is None:
        return None
    return base64.urlsafe_b64encode(json.dumps(dict(key)).encode()).decode().rstrip("=")


def opened(cursor: str, hash_name: str, hash_value: str, range_name: str) -> dict[str, str]:
    """The key behind a cursor. One that was made up may point nowhere but into the same list. Raises ValueError."""
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if set(key) != {"pk", "sk", hash_name, range_name} or key[hash_name] != hash_value:
            raise ValueError
        if not all(isinstance(part, str) and 0 < len(part.encode()) <= _LARGEST_KEY for part in key.values()):
            raise ValueError
        if stamp(time_of(key[range_name])) != key[range_name]:
            raise ValueError
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ValueError("not a cursor") from None
    return dict(key)
