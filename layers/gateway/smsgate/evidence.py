"""Reports find their message, whichever of the two was here first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from smsgate import lifecycle
from smsgate.addressed import addressed
from smsgate.daybook import Daybook
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.messages import Message, Report
from smsgate.providers.base import Provider, ReadsReceipts
from smsgate.suppression import Suppressions


class Evidence:
    def __init__(
        self,
        ledger: Ledger,
        suppressions: Suppressions,
        daybook: Daybook,
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._suppressions = suppressions
        self._daybook = daybook
        self._watch = watch
        self._clock = clock

    def apply(self, message: Message, report: Report, provider: str | None = None) -> Message:
        """`provider`: who reports, where it may be another than the one that has the message now."""
        if report.unwanted and self._is_news(message, report):
            # Before the report is noted: should this worker be lost in between, it is told again and done again.
            self._suppressions.refused(provider or message.provider or "", message, report.provider_code)
        before = message

        def step(known: Message) -> Message:
            nonlocal before
            before = known
            return lifecycle.report(known, report, self._clock(), self._watch)

        after = self._ledger.change_from(message, step)
        self._daybook.corrected(before, after)
        return after

    def receive(self, provider: str, report: Report, callback_key: str) -> bool:
        """A report that came by callback; False where it is of no message that provider was given, as far as is known.

        The tokens are the same for all providers, so one of them could name a message that another one carries.
        """
        message = addressed(self._ledger, report.message_id or "", report.to)
        message = message or self._referenced(provider, report, callback_key)
        if message is None or all(attempt.provider != provider for attempt in message.attempts):
            return False
        self.apply(message, report, provider)
        return True

    def link(self, message: Message, provider: type[Provider], provider_ref: str) -> Message:
        """A provider's reference is known from now on: apply the reports that were faster than its answer."""
        for key in self._ledger.link(provider.key, provider_ref, message):
            callback = self._ledger.callback(key)
            if callback is None or not issubclass(provider, ReadsReceipts):
                continue
            try:
                reports = provider.read_receipts(callback)
            except Exception:  # noqa: S112
                continue  # It was counted and marked when it came.
            for report in reports:
                if report.provider_ref == provider_ref and report.to == message.to:
                    message = self.apply(message, report, provider.key)
        return message

    def _is_news(self, message: Message, report: Report) -> bool:
        """Of this message's number, and not heard before."""
        told = lifecycle.report(message, report, self._clock(), self._watch)
        return report.to in (None, message.to) and told is not message

    def _referenced(self, provider: str, report: Report, callback_key: str) -> Message | None:
        if report.provider_ref is None or report.to is None:
            return None
        message_id = self._ledger.find(provider, report.provider_ref, report.to, callback_key, self._clock())
        return self._ledger.get(message_id) if message_id else None
