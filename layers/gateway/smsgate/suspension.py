"""Providers left alone for a while, for every worker at once: who is suspended, why, and when one may try again.

A suspended provider is tried again by one worker at a time: the first to move `retry_at` on, once it has come. A
provider that refused our credentials is not tried again before its secret has changed: some vendors lock the account.
With a changed secret it is tried at once, and again after a while should that trial have come to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    secret_version: str  # with which it was refused
    tried_version: str  # with which it was tried last
    active: bool
    version: int  # of the state in the ledger


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
            plain["tried_version"],
            bool(plain["active"]),
            int(plain["version"]),
        )

    def obstacle(self, provider: str, secret_version: str) -> Obstacle | None:
        """Is the provider to be left alone? None too for the one worker whose turn it is to try it again."""
        known = self.read(provider)
        if known is None or not known.active:
            return None
        now = self._clock()
        refused_for_good = known.reason.code in _NEEDS_NEW_SECRET and known.secret_version == secret_version
        untried = secret_version not in (known.secret_version, known.tried_version)
        if refused_for_good or (now < known.retry_at and not untried):
            return Obstacle(known.reason, max(known.retry_at, now + _PAUSE))
        trial = replace(known, tried_version=secret_version, retry_at=now + _PAUSE)
        if self._write(provider, trial):
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
        retry_at = now + _PAUSE
        seen = known.version if known else 0
        self._write(provider, Suspension(reason, since, retry_at, secret_version, secret_version, True, seen))
        return Obstacle(reason, retry_at)

    def worked(self, provider: str) -> None:
        """It took a message: whatever was wrong is mended. Reads nothing unless this worker was trying it again."""
        if provider not in self._trying:
            return
        self._trying.discard(provider)
        known = self.read(provider)
        if known and known.active:
            self._write(provider, replace(known, since=self._clock(), active=False))

    def answered(self, provider: str, asked_at: datetime) -> None:
        """It took a message that it was given at this time, and says so later: mended, unless suspended after that."""
        known = self.read(provider)
        if known and known.active and asked_at > known.since:
            self._write(provider, replace(known, since=self._clock(), active=False))

    def _write(self, provider: str, next_: Suspension) -> bool:
        state = {
            "reason": {name: value for name, value in next_.reason.as_json().items() if value is not None},
            "since": stamp(next_.since),
            "retry_at": stamp(next_.retry_at),
            "secret_version": next_.secret_version,
            "tried_version": next_.tried_version,
            "active": next_.active,
            "at": stamp(self._clock()),
        }
        return self._ledger.set_provider_state(provider, ASPECT, state, next_.version)
