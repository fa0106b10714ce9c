"""What the functions are put together from, each part made once and only by those who need it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from smsgate import aws
from smsgate.accounts import Accounts
from smsgate.balance import Balance
from smsgate.clock import utc_now
from smsgate.continuations import Continuations
from smsgate.conversation import Conversation
from smsgate.daybook import Daybook
from smsgate.evidence import Evidence
from smsgate.intake import Intake
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.lines import Lines
from smsgate.messages import Lane
from smsgate.providers import PROVIDERS, find
from smsgate.routebook import Routebook
from smsgate.routing import Rules
from smsgate.secrets import Secrets
from smsgate.sessions import Sessions
from smsgate.settings import Settings
from smsgate.shelves import Shelves
from smsgate.suppression import Suppressions
from smsgate.suspension import Suspensions
from smsgate.wakeups import WakeUps

if TYPE_CHECKING:
    from smsgate.providers.base import Provider
    from smsgate.wire import Exchange


class Wiring:
    clock: Callable[[], datetime] = staticmethod(utc_now)
    pool: Callable[[int], Executor] = staticmethod(ThreadPoolExecutor)
    pause: Callable[[float], None] = staticmethod(time.sleep)

    @cached_property
    def settings(self) -> Settings:
        return Settings()

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(aws.dynamodb(), self.settings.messages_table, self.settings.retention)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(aws.secretsmanager(), self.settings.secret_prefix, self.clock)

    @cached_property
    def offers(self) -> dict[str, type[Provider]]:
        """The enabled providers, in the operator's order; a key nobody knows is a mistake worth stopping for."""
        return {key: find(key) for key in self.settings.enabled_providers}

    def accounts(self, exchange: Callable[[], Exchange]) -> Accounts:
        """For the functions that call providers; `exchange` is opened with their first call."""
        sessions = Sessions(self.ledger, self.settings.provider_deadline, self.clock, self.pause)
        return Accounts(self.secrets, find, Lines(exchange, sessions))

    @cached_property
    def suspensions(self) -> Suspensions:
        return Suspensions(self.ledger, self.clock, lambda: self.routebook.document().policy.slow_receipts)

    @cached_property
    def daybook(self) -> Daybook:
        return Daybook(self.ledger, self.clock)

    def balance(self, accounts: Accounts) -> Balance:
        return Balance(
            ledger=self.ledger,
            accounts=accounts,
            suspensions=self.suspensions,
            daybook=self.daybook,
            offers=self.offers,
            thresholds=self.settings.low_credit,
            clock=self.clock,
        )

    @property
    def misnamed_thresholds(self) -> list[str]:
        return sorted(set(self.settings.low_credit) - set(PROVIDERS))

    def shelves(self, accounts: Accounts) -> Shelves:
        return Shelves(
            ledger=self.ledger,
            accounts=accounts,
            suspensions=self.suspensions,
            offers=self.offers,
            known_providers=sorted(PROVIDERS),
            clock=self.clock,
        )

    @cached_property
    def suppressions(self) -> Suppressions:
        return Suppressions(self.ledger, self.clock)

    @cached_property
    def watch(self) -> Watch:
        return Watch(self.settings.check_schedule, self.settings.watch)

    @cached_property
    def evidence(self) -> Evidence:
        return Evidence(self.ledger, self.suppressions, self.daybook, PROVIDERS.get, self.watch, self.clock)

    @cached_property
    def conversation(self) -> Conversation:
        return Conversation(self.ledger, self.suppressions, self.clock)

    @cached_property
    def intake(self) -> Intake:
        """A provider that is not enabled any more may still have something to say of what it was given."""
        return Intake(ledger=self.ledger, secrets=self.secrets, find=PROVIDERS.get, clock=self.clock)

    @cached_property
    def rules(self) -> Rules:
        settings = self.settings
        return Rules(settings.enabled_providers, settings.allowed_countries, settings.max_parts)

    @cached_property
    def routebook(self) -> Routebook:
        return Routebook(aws.ssm(), self.settings.secret_prefix, sorted(PROVIDERS), self.clock)

    @cached_property
    def queues(self) -> dict[Lane, str]:
        return {Lane.URGENT: self.settings.send_queue_url, Lane.BULK: self.settings.bulk_queue_url}

    @cached_property
    def wake_ups(self) -> WakeUps:
        return WakeUps(aws.sqs, self.queues, self.clock)

    @cached_property
    def continuations(self) -> Continuations:
        return Continuations(aws.sqs, self.queues)
