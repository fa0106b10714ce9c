"""Credentials by provider key and the callbacks' tokens, read from Secrets Manager and kept for five minutes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from smsgate.telemetry import conceal

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

KEPT_FOR = timedelta(minutes=5)

_ASK_AGAIN_AFTER = timedelta(seconds=30)
"""In an outage of the store: each question waits for several timeouts, which no batch of messages can afford often."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
"""Whatever else might stand in a path is read as something else by somebody on the way, and never matches."""

_SHOWN_FIELDS = frozenset(
    {"base_url", "backup_url", "public_url", "soap_version", "mail_to", "mail_from", "sender", "reply_numbers"}
)
"""Settings that live in a secret for convenience; everything else in it is concealed from every log."""


class SecretUnreadable(Exception):
    """The secret is missing, cannot be had now, or is not what section 7 of the contract says."""


@dataclass(frozen=True, slots=True)
class Secret:
    version: str
    fields: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Newest:
    version: str
    since: datetime  # at the latest: a change of its description counts as well
    before: str | None = None  # the version that workers may still hold for `KEPT_FOR` after that


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where providers call us, and the tokens that prove they may: the first is the one we hand out."""

    tokens: tuple[str, ...] = field(repr=False)
    public_url: str


class Secrets:
    def __init__(self, client: SecretsManagerClient, prefix: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._kept: dict[str, tuple[datetime, Secret]] = {}

    def account(self, provider: str) -> Secret:
        return self._read(f"{self._prefix}/providers/{provider}")

    def reread(self, provider: str) -> Secret:
        """After a refusal that a rotation would explain: the newest version, however new the kept one is."""
        return self._read(f"{self._prefix}/providers/{provider}", kept_for=timedelta(0))

    def newest(self, provider: str) -> Newest:
        """Which version of a provider's secret is in use, for those who may not read it."""
        answer = self._client.describe_secret(SecretId=f"{self._prefix}/providers/{provider}")
        stages = answer["VersionIdsToStages"]
        named = {name: version for version, names in stages.items() for name in names}
        since = answer.get("LastChangedDate", answer["CreatedDate"])
        return Newest(named["AWSCURRENT"], since, named.get("AWSPREVIOUS"))

    def callbacks(self) -> Callbacks:
        secret = self._read(f"{self._prefix}/callbacks")
        tokens = secret.fields.get("tokens")
        public_url = secret.fields.get("public_url", "")
        if (
            not isinstance(tokens, list)
            or not tokens
            or not all(isinstance(t, str) and _TOKEN.fullmatch(t) for t in tokens)
        ):
            raise SecretUnreadable(
                f"{self._prefix}/callbacks: `tokens` must be a list of at least one string of A-Z a-z 0-9 _ -"
            )
        if not isinstance(public_url, str):
            raise SecretUnreadable(f"{self._prefix}/callbacks: `public_url` must be the https address of the HTTP API")
        return Callbacks(tuple(tokens), public_url.rstrip("/"))

    def _read(self, name: str, kept_for: timedelta = KEPT_FOR) -> Secret:
        now = self._clock()
        read_at, secret = self._kept.get(name, (None, None))
        if secret and read_at and now - read_at < kept_for:
            return secret
        try:
            answer = self._client.get_secret_value(SecretId=name)
        except Exception as error:
            if secret:  # An outage of the store must not stop the sending while what we know still works.
                self._kept[name] = (now - KEPT_FOR + _ASK_AGAIN_AFTER, secret)
                return secret
            raise SecretUnreadable(f"{name}: {type(error).__name__}") from None
        try:
            fields = json.loads(answer["SecretString"])
            json.dumps(fields, ensure_ascii=False).encode()  # `\ud83d` alone is JSON, and nothing that could be sent
        except (KeyError, ValueError, RecursionError):
            raise SecretUnreadable(f"{name}: must hold one JSON object") from None
        if not isinstance(fields, dict):
            raise SecretUnreadable(f"{name}: must hold one JSON object")
        for key, value in fields.items():
            if key not in _SHOWN_FIELDS:
                _conceal_all(value)
        secret = Secret(answer["VersionId"], fields)
        self._kept[name] = (now, secret)
        return secret


def _conceal_all(value: object) -> None:
    waiting = [value]  # not by recursion: Python reads JSON deeper than it lets functions call themselves
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            conceal(each)
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
