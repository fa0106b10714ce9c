"""Replies find the message they answer: each is stored once, with how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from smsgate import telemetry
from smsgate.ledger import Ledger, message_id_of
from smsgate.messages import Message, Reply

# The longest any vendor keeps a two-way number open for an answer.
_ANSWERED_WITHIN = timedelta(days=30)
_LOOKED_AT = 25
_MAY_HAVE_ARRIVED = frozenset({"calling", "accepted", "maybe_sent"})


class Conversation:
    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock

    def receive(self, reply: Reply) -> bool:
        """Store a reply with its message; False where it was here already."""
        message, match = self._answered(reply)
        kept = self._ledger.keep_reply(
            reply,
            message.message_id if message else None,
            message.request_id if message else None,
            match,
            self._clock(),
        )
        if kept:
            telemetry.count("ReplyReceived", provider=reply.provider)
        return kept

    def _answered(self, reply: Reply) -> tuple[Message | None, str]:
        if reply.provider_ref is not None:
            message_id = self._ledger.referenced(reply.provider, reply.provider_ref, reply.sender)
            message = self._ledger.get(message_id) if message_id else None
            if message is not None:
                return message, "exact"
        for key in self._ledger.to_recipient(reply.sender, _LOOKED_AT).items:
            message = self._ledger.get(message_id_of(key))
            if message is None or message.provider != reply.provider or not _may_have_arrived(message):
                continue
            if self._clock() - message.attempts[-1].at <= _ANSWERED_WITHIN:
                return message, "likely"
        return None, "none"


def _may_have_arrived(message: Message) -> bool:
    return any(attempt.outcome in _MAY_HAVE_ARRIVED for attempt in message.attempts)
