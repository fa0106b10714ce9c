"""Reports that do not come: noted at each message once, and held against its provider.

Only where the operator's document says how long a report may take, and of providers that send reports by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from smsgate import lifecycle, telemetry
from smsgate.ledger import Ledger
from smsgate.messages import Message
from smsgate.providers.base import Provider
from smsgate.suspension import Suspensions

Run = Callable[[Callable[[Message], Message | None], Iterable[Message]], Iterable[Message | None]]
"""Maps over messages, one after the other or as many at once as a pool has workers."""


class Overdue:
    """For one run of the reconciler."""

    def __init__(
        self, ledger: Ledger, suspensions: Suspensions, offers: Mapping[str, type[Provider]], began: datetime
    ) -> None:
        self._ledger = ledger
        self._suspensions = suspensions
        self._offers = offers
        self._began = began
        self._log = telemetry.logger()
        self._after = self._patience()

    def note(self, message: Message, now: datetime) -> Message:
        """A message that is being looked at: what is said of its report, and when it must be looked at for that."""
        if self._after is None or not self._is_expected(message):
            return message
        noted = lifecycle.note_overdue(message, now, self._after)
        at = lifecycle.overdue_at(message, self._after)
        if now < at and noted.due_at is not None and at < noted.due_at:
            return replace(noted, due_at=at)
        return noted

    def tell(self, messages: Iterable[Message], run: Run) -> None:
        """Of those that were noted by this run, the ones that nobody could say anything of since. Never raises."""
        try:
            noted = [message for message in messages if self._is_news(message)]
            unheard = [message for message in run(self._again, noted) if message is not None]
            counted = Counter((message.provider or "", _minute(message)) for message in unheard)
            for (provider, given_at), count in counted.items():
                self._suspensions.late(provider, count, given_at)
        except Exception as error:
            self._log.error("overdue reports not counted", extra={"error": type(error).__name__})
            telemetry.count("OverdueNotCounted")

    def _patience(self) -> timedelta | None:
        try:
            return self._suspensions.patience()
        except Exception as error:
            self._log.warning("patience with reports not known", extra={"error": type(error).__name__})
            return None

    def _is_expected(self, message: Message) -> bool:
        offered = self._offers.get(message.provider or "")
        return offered is not None and offered.capabilities.receipts is not None and bool(message.attempts)

    def _is_news(self, message: Message) -> bool:
        noted_at = lifecycle.noted_overdue(message)
        return noted_at is not None and noted_at >= self._began

    def _again(self, message: Message) -> Message | None:
        """The message, unless its report has come in the meantime, perhaps to the question of this run."""
        current = self._ledger.get(message.message_id)
        unheard = current is not None and lifecycle.is_overdue(current, self._began, timedelta(0))
        return current if unheard else None


def _minute(message: Message) -> datetime:
    return message.attempts[-1].at.replace(second=0, microsecond=0)
