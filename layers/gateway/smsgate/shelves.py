"""Where messages lie that somebody must look at: those whose time has come, and those whose provider has come back.

What waits for a provider, or for the credit of one, lies on shelves of its own. While that is not there, those messages
are looked at ever less often; a hundred thousand of them cost next to nothing then. Once it is there again, all of them
are woken ahead of their time, and one of them already when a suspended provider is to be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from smsgate import telemetry
from smsgate.accounts import Accounts
from smsgate.balance import ASPECT as CREDIT
from smsgate.items import due_shards, time_of, waiting_shards
from smsgate.ledger import Ledger
from smsgate.lifecycle import OFTEN
from smsgate.messages import Message, credit_of
from smsgate.providers.base import Provider
from smsgate.secrets import SecretUnreadable
from smsgate.suspension import Suspensions

_TOPPED_UP_LATELY = timedelta(minutes=15)
"""How long after a credit rose those that wait for it are looked for: time enough to wake a hundred thousand."""

_SELDOM = timedelta(minutes=30)
"""How often a provider is tried with a message that was called for often already, where no other waits for it."""


@dataclass(frozen=True, slots=True)
class Shelf:
    shard: str
    is_free: bool = False  # whatever lies here is looked at, and not only that whose time has come
    since: datetime | None = None  # only what was laid here before
    one_only: bool = False  # to try a provider with

    def frees(self, message: Message, now: datetime) -> bool:
        """May it be woken ahead of its time?"""
        if self.one_only and len(message.attempts) >= OFTEN and now - message.attempts[-1].at < _SELDOM:
            return False
        laid_at = message.updated_at
        too_late = self.since is not None and laid_at is not None and laid_at >= self.since
        return self.is_free and message.waits_for is not None and not too_late


class Shelves:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        offers: Mapping[str, type[Provider]],
        known_providers: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._offers = offers
        self._known_providers = known_providers
        self._clock = clock
        self._log = telemetry.logger()

    def all(self) -> list[Shelf]:
        """Every one there is, as things stand now. A provider that is not enabled any more may still be waited for."""
        shelves = [Shelf(shard) for shard in due_shards()]
        for key in self._known_providers:
            shelves += self._of(key)
        return shelves

    def _of(self, key: str) -> Iterator[Shelf]:
        for waits_for, state in ((key, self._provider), (credit_of(key), self._credit)):
            shards = waiting_shards(waits_for)
            free = self._free(key, state)
            if free is None or free.one_only:
                yield from (Shelf(shard) for shard in shards)
            if free is not None:  # What is looked at whole need not be searched for what is due.
                yield from (Shelf(shard, True, free.since, free.one_only) for shard in shards)

    def _free(self, key: str, state: Callable[[str], _Free | None]) -> _Free | None:
        try:
            return state(key)
        except Exception as error:
            # They are looked at when their time comes, as if nothing had changed.
            self._log.error("provider state not read", extra={"provider": key, "error": type(error).__name__})
            telemetry.count("ProviderStateNotRead", provider=key)
            return None

    def _provider(self, key: str) -> _Free | None:
        if key not in self._offers:
            return _Free()  # Others may carry them, or nobody.
        try:
            obstacle = self._suspensions.obstacle(key, self._accounts.open(key).version)
        except SecretUnreadable:
            return None
        if obstacle is None or obstacle.soft:
            return _Free()
        return _Free(one_only=True) if obstacle.trial else None

    def _credit(self, key: str) -> _Free | None:
        if key not in self._offers:
            return _Free()
        known = self._ledger.provider_state(key, CREDIT) or {}
        risen_at = time_of(known["risen_at"]) if "risen_at" in known else None
        if risen_at is None or self._clock() - risen_at > _TOPPED_UP_LATELY:
            return None
        return _Free(since=risen_at)


@dataclass(frozen=True, slots=True)
class _Free:
    since: datetime | None = None
    one_only: bool = False
