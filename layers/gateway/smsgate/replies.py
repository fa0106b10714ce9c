"""Replies by callback: stored raw, understood, tied to their message, acknowledged."""

from __future__ import annotations

from smsgate.conversation import Conversation
from smsgate.intake import Intake
from smsgate.providers.base import ReadsReplies
from smsgate.wire import Acknowledgement, Callback


class Replies:
    def __init__(self, *, intake: Intake, conversation: Conversation) -> None:
        self._intake = intake
        self._conversation = conversation

    def handle(self, provider_key: str, token: str, callback: Callback) -> Acknowledgement:
        taken = self._intake.take("replies", provider_key, token, callback, ReadsReplies)  # type: ignore[type-abstract]
        if taken.key is not None:
            self.understand(taken.reader, provider_key, callback, taken.key)
        return taken.reader.acknowledge_reply(callback)

    def understand(self, reader: type[ReadsReplies], provider_key: str, callback: Callback, key: str) -> bool:
        """Store the replies of what lies in the ledger; False where it cannot be read. May be done again and again."""
        try:
            replies = reader.read_replies(callback)
            if not replies:
                raise LookupError("a reply")  # A receipt, perhaps, whose URL was mixed up with this one.
        except Exception as error:
            self._intake.not_understood(provider_key, key, error)
            return False
        for reply in replies:
            self._conversation.receive(reply, callback.path)
        return True
