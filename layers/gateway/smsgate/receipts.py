"""Delivery reports by callback: stored raw, understood, applied, acknowledged.

Whoever is told the exact bytes of an acknowledgement never calls again, so they are sent only when what came lies in
the ledger and has been applied; where the store fails the provider is answered 503 and keeps what it had to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from smsgate import telemetry
from smsgate.conversation import Conversation
from smsgate.evidence import Evidence
from smsgate.intake import Intake
from smsgate.messages import Reply, Report
from smsgate.providers.base import ReadsReceipts, ReadsReplies
from smsgate.wire import Acknowledgement, Callback

_WORKERS = 8
_FEW = 10
"""Reports of one callback that are applied one after the other. Some vendors tell of hundreds of numbers at once."""


class Receipts:
    def __init__(
        self,
        *,
        intake: Intake,
        evidence: Evidence,
        conversation: Conversation,
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._intake = intake
        self._evidence = evidence
        self._conversation = conversation
        self._pool = pool

    def handle(self, provider_key: str, token: str, callback: Callback) -> Acknowledgement:
        taken = self._intake.take("receipts", provider_key, token, callback, ReadsReceipts)  # type: ignore[type-abstract]
        if taken.key is not None:
            self.understand(taken.reader, provider_key, callback, taken.key)
        return taken.reader.acknowledge(callback)

    def understand(self, reader: type[ReadsReceipts], provider_key: str, callback: Callback, key: str) -> bool:
        """Apply what lies in the ledger; False where it came to nothing. May be done again and again."""
        try:
            reports = reader.read_receipts(callback)
            replies = _replies(reader, callback)
        except Exception as error:
            self._intake.not_understood(provider_key, key, error)
            return False
        for reply in replies:
            self._conversation.receive(reply, callback.path)
        are_many = len(reports) > _FEW
        if are_many:
            self._intake.begun(key)
        applied = self._apply_all(provider_key, reports, key)
        unmatched = [report for report, is_applied in zip(reports, applied, strict=True) if not is_applied]
        if not unmatched:
            if are_many:
                self._intake.done(key)
            return True
        of_nobody = sum(report.to is None and report.message_id is None for report in unmatched)
        self._intake.unmatched(provider_key, key, len(unmatched), len(reports), of_nobody)
        # Whoever made a message known in this very moment did not find the mark that it would have lifted.
        return self._evidence.settle(provider_key, unmatched, key)

    def _apply_all(self, provider_key: str, reports: Sequence[Report], key: str) -> list[bool]:
        apply = partial(self._apply, provider_key, key)
        if len(reports) <= _FEW:
            return [apply(report) for report in reports]
        with self._pool(_WORKERS) as pool:
            return list(pool.map(apply, reports))

    def _apply(self, provider_key: str, key: str, report: Report) -> bool:
        telemetry.count("ReceiptReceived", provider=provider_key)
        if report.status is None:
            telemetry.count("UnlistedCode", provider=provider_key)
        return self._evidence.receive(provider_key, report, key)


def _replies(reader: type[ReadsReceipts], callback: Callback) -> list[Reply]:
    """Some vendors send replies where they send their reports."""
    if issubclass(reader, ReadsReplies) and reader.replies_to_receipts:
        return reader.read_replies(callback)
    return []
