"""Delivery reports by callback: stored raw, understood, applied, acknowledged.

Whoever is told the exact bytes of an acknowledgement never calls again, so they are sent only when what came lies in
the ledger and has been applied; where the store fails the provider is answered 503 and keeps what it had to say.
"""

from __future__ import annotations

from smsgate import telemetry
from smsgate.conversation import Conversation
from smsgate.evidence import Evidence
from smsgate.intake import Intake
from smsgate.messages import Reply, Report
from smsgate.providers.base import ReadsReceipts, ReadsReplies
from smsgate.wire import Acknowledgement, Callback


class Receipts:
    def __init__(self, *, intake: Intake, evidence: Evidence, conversation: Conversation) -> None:
        self._intake = intake
        self._evidence = evidence
        self._conversation = conversation

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
        unmatched = [report for report in reports if not self._apply(provider_key, report, key)]
        if not unmatched:
            return True
        of_nobody = sum(report.to is None and report.message_id is None for report in unmatched)
        self._intake.unmatched(provider_key, key, len(unmatched), len(reports), of_nobody)
        # Whoever made a message known in this very moment did not find the mark that it would have lifted.
        return self._evidence.settle(provider_key, unmatched, key)

    def _apply(self, provider_key: str, report: Report, key: str) -> bool:
        telemetry.count("ReceiptReceived", provider=provider_key)
        if report.status is None:
            telemetry.count("UnlistedCode", provider=provider_key)
        return self._evidence.receive(provider_key, report, key)


def _replies(reader: type[ReadsReceipts], callback: Callback) -> list[Reply]:
    """Some vendors send replies where they send their reports."""
    if issubclass(reader, ReadsReplies) and reader.replies_to_receipts:
        return reader.read_replies(callback)
    return []
