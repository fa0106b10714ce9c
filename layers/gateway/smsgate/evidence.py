"""Reports find their message, whichever of the two was here first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from smsgate import lifecycle
from smsgate.callback_urls import named
from smsgate.ledger import Ledger, message_id_of
from smsgate.lifecycle import Watch
from smsgate.messages import Message, Report
from smsgate.providers.base import Provider, ReadsReceipts

_LOOKED_AT = 25


class Evidence:
    def __init__(self, ledger: Ledger, watch: Watch, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._watch = watch
        self._clock = clock

    def apply(self, message: Message, report: Report) -> Message:
        return self._ledger.change_from(message, lambda m: lifecycle.report(m, report, self._clock(), self._watch))

    def receive(self, provider: str, report: Report, callback_key: str) -> bool:
        """A report that came by callback; False where it is of no message that provider was given, as far as is known.

        The tokens are the same for all providers, so one of them could name a message that another one carries.
        """
        message = self._named(report) or self._referenced(provider, report, callback_key)
        if message is None or all(attempt.provider != provider for attempt in message.attempts):
            return False
        self.apply(message, report)
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
                    message = self.apply(message, report)
        return message

    def _named(self, report: Report) -> Message | None:
        """The message whose own URL was called, or another that travelled in the same call: one URL leads to all."""
        message_id, is_of_many = named(report.message_id or "")
        first = self._ledger.get(message_id)
        if first is None or report.to == first.to:
            return first
        if report.to is None:
            return None if is_of_many else first
        together = {attempt.batch for attempt in first.attempts} - {None}
        for key in self._ledger.to_recipient(report.to, _LOOKED_AT).items:
            message = self._ledger.get(message_id_of(key))
            if message is not None and together & {attempt.batch for attempt in message.attempts}:
                return message
        return None

    def _referenced(self, provider: str, report: Report, callback_key: str) -> Message | None:
        if report.provider_ref is None or report.to is None:
            return None
        message_id = self._ledger.find(provider, report.provider_ref, report.to, callback_key, self._clock())
        return self._ledger.get(message_id) if message_id else None
