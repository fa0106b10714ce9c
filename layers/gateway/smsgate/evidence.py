"""Reports find their message, whichever of the two was here first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from smsgate import lifecycle
from smsgate.addressed import addressed
from smsgate.callback_urls import named
from smsgate.daybook import Daybook
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.messages import Message, Report
from smsgate.providers.base import Provider, Queries, ReadsReceipts
from smsgate.suppression import Suppressions


class Evidence:
    def __init__(
        self,
        ledger: Ledger,
        suppressions: Suppressions,
        daybook: Daybook,
        find: Callable[[str], type[Provider] | None],
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._suppressions = suppressions
        self._daybook = daybook
        self._find = find
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
            told = lifecycle.report(known, report, self._clock(), self._watch)
            return self.listen(told) if told is not known else told

        after = self._ledger.change_from(message, step)
        self._daybook.corrected(before, after)
        return after

    def receive(self, provider: str, report: Report, callback_key: str) -> bool:
        """A report that came by callback; False where it is of no message that provider was given, as far as is known.

        The tokens are the same for all providers, so one of them could name a message that another one carries.
        """
        message = self._subject(provider, report, callback_key)
        if message is None or all(attempt.provider != provider for attempt in message.attempts):
            return False
        self.apply(message, report, provider)
        self._keep_private(message, provider, callback_key)
        return True

    def listen(self, message: Message) -> Message:
        """As a message is written after its last report: asked about on, where only that brings its answers."""
        reader = self._find(message.provider or "") if message.reply_days is not None else None
        if reader is None or not issubclass(reader, Queries) or not reader.tells_replies:
            return message
        return lifecycle.listen(message, self._clock(), self._watch)

    def settle(self, provider: str, reports: Sequence[Report], callback_key: str) -> bool:
        """A callback came to nothing at first. Once each of its reports has its message, it is listed no more.

        Each is applied again, and not only looked for: whoever made its message known may be lost before doing it.
        """
        # From the end: where many were faster than the answer, the last of them is usually the last to be known.
        if not all(self.receive(provider, report, callback_key) for report in reversed(reports)):
            return False
        self._ledger.callback_understood(callback_key)
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
            others: list[Report] = []
            for report in reports:
                if report.provider_ref == provider_ref and report.to == message.to:
                    message = self.apply(message, report, provider.key)
                    self._keep_private(message, provider.key, key)
                else:
                    others.append(report)
            with suppress(Exception):  # What others were told must not keep this one waiting; it stays listed.
                self.settle(provider.key, others, key)
        return message

    def _keep_private(self, message: Message, provider: str, callback_key: str) -> None:
        """A private text must not stay where a vendor's report repeats it: what the report said is in the timeline."""
        reader = self._find(provider)
        if message.private and reader is not None and issubclass(reader, ReadsReceipts) and reader.repeats_text:
            self._ledger.forget_callback(callback_key)

    def _is_news(self, message: Message, report: Report) -> bool:
        """Of this message's number, and not heard before."""
        told = lifecycle.report(message, report, self._clock(), self._watch)
        return report.to in (None, message.to) and told is not message

    def _subject(self, provider: str, report: Report, callback_key: str) -> Message | None:
        """The cheapest way first: a URL that names it, the provider's reference, a search among those of its call."""
        named_id, is_of_many = named(report.message_id or "")
        if named_id and not is_of_many:
            found = addressed(self._ledger, named_id, report.to)
        else:
            found = self._referenced(provider, report)
            found = found or addressed(self._ledger, report.message_id or "", report.to)
        return found or self._awaited(provider, report, callback_key)

    def _referenced(self, provider: str, report: Report) -> Message | None:
        """By far the most of those without a URL of their own: a reading is half of what leaving word costs."""
        if report.provider_ref is None or report.to is None:
            return None
        message_id = self._ledger.referenced(provider, report.provider_ref, report.to)
        return self._ledger.get(message_id) if message_id else None

    def _awaited(self, provider: str, report: Report, callback_key: str) -> Message | None:
        """Leaves word for whoever learns of this reference, who may have done so this moment."""
        if report.provider_ref is None or report.to is None:
            return None
        message_id = self._ledger.find(provider, report.provider_ref, report.to, callback_key, self._clock())
        return self._ledger.get(message_id) if message_id else None
