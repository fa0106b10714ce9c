"""Providers left alone for a while, for every worker at once: who is suspended, why, and when one may try again.

A suspended provider is tried again by one worker at a time: the first to move `retry_at` on, once it has come. A
provider that refused our credentials is not tried again before its secret has changed: some vendors lock the account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from smsgate.items import reason_from_plain, stamp, time_of
from smsgate.ledger import Ledger
from smsgate.reasons import Code, Reason
from smsgate.routing import Obstacle

ASPECT = "suspension"

_PAUSE = timedelta(minutes=5)
_NEEDS_NEW_SECRET = frozenset({Code.BAD_CREDENTIALS, Code.ACCOUNT_DISABLED})


@dataclass(frozen=True, slots=True)
class Suspension:
    reason: Reason
    since: datetime
    retry_at: datetime
    secret_version: str
    active: bool
    version: int


class Suspensions:
    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._trying: set[str] = set()

    def read(self, provider: str) -> Suspension | None:
        plain = self._ledger.provider_state(provider, ASPECT)
        if plain is None:
            return None
        reason = reason_from_plain(plain["reason"]) or Reason(Code.UNKNOWN)
        return Suspension(
            reason,
            time_of(plain["since"]),
            time_of(plain["retry_at"]),
            plain["secret_version"],
            bool(plain["active"]),
            int(plain["version"]),
        )

    def obstacle(self, provider: str, secret_version: str) -> Obstacle | None:
        """Is the provider to be left alone? None too for the one worker whose turn it is to try it again."""
        known = self.read(provider)
        if known is None or not known.active:
            return None
        now = self._clock()
        mended = known.secret_version != secret_version
        if not mended and (known.reason.code in _NEEDS_NEW_SECRET or now < known.retry_at):
            return Obstacle(known.reason, max(known.retry_at, now + _PAUSE))
        if self._write(provider, known.reason, known.since, secret_version, now, active=True, seen=known.version):
            self._trying.add(provider)
            return None
        return Obstacle(known.reason, now + _PAUSE)

    def forbids_questions(self, provider: str, secret_version: str) -> bool:
        """Would asking now try credentials that were refused?"""
        known = self.read(provider)
        return bool(
            known and known.active and known.reason.code in _NEEDS_NEW_SECRET and known.secret_version == secret_version
        )

    def suspend(self, provider: str, reason: Reason, secret_version: str) -> Obstacle:
        """Once per change, whoever notices first; later notices only move the next try on."""
        now = self._clock()
        known = self.read(provider)
        since = known.since if known and known.active else now
        self._write(provider, reason, since, secret_version, now, active=True, seen=known.version if known else 0)
        return Obstacle(reason, now + _PAUSE)

    def worked(self, provider: str) -> None:
        """It took a message: whatever was wrong is mended. Reads nothing unless this worker was trying it again."""
        if provider not in self._trying:
            return
        self._trying.discard(provider)
        known = self.read(provider)
        if known and known.active:
            now = self._clock()
            self._write(provider, known.reason, now, known.secret_version, now, active=False, seen=known.version)

    def _write(
        self,
        provider: str,
        reason: Reason,
        since: datetime,
        secret_version: str,
        now: datetime,
        *,
        active: bool,
        seen: int,
    ) -> bool:
        state = {
            "reason": {name: value for name, value in reason.as_json().items() if value is not None},
            "since": stamp(since),
            "retry_at": stamp(now + _PAUSE),
            "secret_version": secret_version,
            "active": active,
            "at": stamp(now),
        }
        return self._ledger.set_provider_state(provider, ASPECT, state, seen)
