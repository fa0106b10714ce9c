"""Replies find the message they answer: each is stored once, with how sure that is. Stop words are heeded first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from smsgate import telemetry
from smsgate.addressed import addressed
from smsgate.clock import TAIPEI
from smsgate.ledger import Ledger, message_id_of, reply_id_of
from smsgate.lifecycle import TOLD_WITHIN
from smsgate.messages import Message, Reply
from smsgate.status import Status
from smsgate.stop_words import word_of
from smsgate.suppression import Suppressions

# The longest any vendor keeps a two-way number open for an answer.
_ANSWERED_WITHIN = timedelta(days=30)
_MINUTE = timedelta(minutes=1)  # Some vendors tell no seconds.
_LOOKED_AT = 25
_LONGEST_SENDER = 128
"""Characters, where it is no number: it is part of keys, and DynamoDB takes no more than 1024 bytes of one."""
_LONGEST_TEXT = 10_000
"""Characters: many times what any phone sends, and few enough for an event, whatever JSON makes of each."""
_MAY_HAVE_ARRIVED = frozenset({"calling", "accepted", "maybe_sent"})
_TIME_FORMS = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M"}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A message that a reply without a reference may answer. The greater of two `likeliness` is the likelier one."""

    message: Message
    likeliness: tuple[bool, bool, bool, datetime]

    @property
    def has_nothing_against_it(self) -> bool:
        return all(self.likeliness[:-1])


class Conversation:
    def __init__(self, ledger: Ledger, suppressions: Suppressions, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._suppressions = suppressions
        self._clock = clock

    def receive(self, reply: Reply, path: str = "") -> bool:
        """Store a reply with its message; False where it was here already. `path`: what the URL that was called names.

        A stop word does its work before the reply is stored: should this worker be lost in between, the provider says
        it again, and it is done again.
        """
        reply = replace(reply, sender=reply.sender[:_LONGEST_SENDER], text=reply.text[:_LONGEST_TEXT])
        if self._ledger.has_reply(reply):
            return False
        word = word_of(reply.text)
        if word is not None:
            self._suppressions.heed(word, reply, reply_id_of(reply))
        message, match = self._answered(reply, path)
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

    def _answered(self, reply: Reply, path: str) -> tuple[Message | None, str]:
        certain = self._referenced(reply) or self._addressed(reply, path)
        if certain is not None:
            return certain, "exact"
        candidates: list[_Candidate] = []
        for candidate in self._candidates(reply):
            candidates.append(candidate)
            if candidate.has_nothing_against_it:
                break  # Those that follow are older.
        if not candidates:
            return None, "none"
        return max(candidates, key=lambda candidate: candidate.likeliness).message, "likely"

    def _referenced(self, reply: Reply) -> Message | None:
        if reply.provider_ref is None:
            return None
        message_id = self._ledger.referenced(reply.provider, reply.provider_ref, reply.sender)
        return self._ledger.get(message_id) if message_id else None

    def _addressed(self, reply: Reply, path: str) -> Message | None:
        """The tokens are the same for all providers, so one of them could name a message that another one carries."""
        message = addressed(self._ledger, path, reply.sender) if path else None
        if message is None or all(attempt.provider != reply.provider for attempt in message.attempts):
            return None
        return message

    def _candidates(self, reply: Reply) -> Iterator[_Candidate]:
        """What this provider may have brought to the number while it could still be answered, newest first."""
        now = self._clock()
        typed = _typed_at(reply)
        for key in self._ledger.to_recipient(reply.sender, _LOOKED_AT).items:
            message = self._ledger.get(message_id_of(key))
            went_out = _went_out(message, reply.provider) if message else None
            if message is None or went_out is None or went_out > now:
                continue
            days = message.reply_days
            if now - went_out > (timedelta(days=days) + TOLD_WITHIN if days else _ANSWERED_WITHIN):
                continue
            yield _Candidate(
                message,
                (
                    typed is None or went_out <= typed + _MINUTE,
                    message.status not in (Status.UNDELIVERED, Status.EXPIRED),
                    message.reply_days is not None,
                    went_out,
                ),
            )


def _went_out(message: Message, provider: str) -> datetime | None:
    """When this provider may have sent it to the phone; None where it did not."""
    if message.status is Status.CANCELED:
        return None
    attempts = [
        attempt for attempt in message.attempts if attempt.provider == provider and attempt.outcome in _MAY_HAVE_ARRIVED
    ]
    if not attempts:
        return None
    return max(attempts[-1].at, message.send_at) if message.send_at else attempts[-1].at


def _typed_at(reply: Reply) -> datetime | None:
    """The provider's time of the reply, where it is one. Never trusted for more than to tell likely from likelier."""
    digits = re.sub("[^0-9]", "", reply.provider_time or "")
    try:
        return datetime.strptime(digits, _TIME_FORMS[len(digits)]).replace(tzinfo=TAIPEI)
    except (KeyError, ValueError):
        return None
