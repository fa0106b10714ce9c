"""Whom a callback at a message's own URL is about: that message, or one that travelled in the same call."""

from __future__ import annotations

from smsgate.callback_urls import named
from smsgate.ledger import Ledger, message_id_of
from smsgate.messages import Message

_LOOKED_AT = 25


def addressed(ledger: Ledger, path: str, to: str | None) -> Message | None:
    """The message whose own URL was called, or another of its call: one URL leads to all.

    Without a number the URL must name one message alone.
    """
    message_id, is_of_many = named(path)
    first = ledger.get(message_id)
    if first is None or to == first.to:
        return first
    if to is None:
        return None if is_of_many else first
    together = {attempt.batch for attempt in first.attempts} - {None}
    for key in ledger.to_recipient(to, _LOOKED_AT).items:
        message = ledger.get(message_id_of(key))
        if message is not None and together & {attempt.batch for attempt in message.attempts}:
            return message
    return None
