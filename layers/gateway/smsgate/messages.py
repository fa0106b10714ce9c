"""The values everything speaks in. All frozen; numbers, names and texts stay out of every repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from smsgate.reasons import Reason
from smsgate.status import Status


class Form(StrEnum):
    TEXT = "text"
    POPUP = "popup"
    PUSH = "push"


class TooLong(StrEnum):
    SPLIT = "split"
    REJECT = "reject"


class OnDoubt(StrEnum):
    HOLD = "hold"
    RESEND = "resend"


class Lane(StrEnum):
    URGENT = "urgent"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Claim:
    """A provider is being called for this message; after `until` no such call can still be under way."""

    provider: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dispatch as seen from a message."""

    provider: str
    at: datetime
    outcome: str  # calling, accepted, refused, not_sent, maybe_sent
    reason: Reason | None = None
    provider_ref: str | None = None
    batch: str | None = None  # the same for all that may have travelled in one call


class Kind(StrEnum):
    STATUS = "status"  # a change of status: one event on the bus each
    ROUTE = "route"  # how the provider was chosen
    WAIT = "wait"  # parked, and why
    REPORT = "report"  # what a provider reported, whether or not it changed anything
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry of a message's timeline. `data` holds short words and codes, never a number or a text."""

    at: datetime
    kind: Kind
    status: Status | None = None
    previous: Status | None = None
    revised: bool = False
    reason: Reason | None = None
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One short message to one recipient: what is to be sent, and how far it has come."""

    # What the publisher asked for.
    message_id: str
    request_id: str
    to: str = field(repr=False)
    text: str | None = field(repr=False)  # None once a private text has been submitted
    accepted_at: datetime
    digest: str  # of the whole request: the same id with another digest is another request
    lane: Lane = Lane.URGENT
    name: str | None = field(default=None, repr=False)
    providers: tuple[str, ...] = ()
    send_at: datetime | None = None
    valid_for: int | None = None
    sender: str | None = None
    reply_days: int | None = None  # two-way when set
    form: Form = Form.TEXT
    url: str | None = field(default=None, repr=False)
    too_long: TooLong = TooLong.SPLIT
    on_doubt: OnDoubt = OnDoubt.HOLD
    label: str | None = field(default=None, repr=False)
    context: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    private: bool = False

    # How far it has come.
    status: Status = Status.ACCEPTED
    reason: Reason | None = None
    provider: str | None = None
    provider_ref: str | None = None
    parts: int | None = None
    points: Decimal | None = None
    updated_at: datetime | None = None
    next_attempt_at: datetime | None = None  # parked until then
    due_at: datetime | None = None  # when the reconciler must look at it next
    reported_at: str | None = None  # the provider's own time of the report that made the status, as it stood
    checks: int = 0  # how often its provider was asked for a report
    admitted: bool = False  # counted against the limits; it is counted once, however often it is tried
    turn: str | None = None  # the provider whose rate leaves room for it at `next_attempt_at`
    waits_for: str | None = None  # a provider, or the `credit_of` one: woken ahead of its time once that is there again
    claim: Claim | None = None
    attempts: tuple[Attempt, ...] = ()
    timeline: tuple[Moment, ...] = ()
    version: int = 0  # 0: not in the ledger yet


def credit_of(provider: str) -> str:
    """What a message waits for that costs more than the provider's account holds."""
    return f"{provider}:credit"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One call to a provider, carrying messages that may travel together."""

    provider: str
    messages: tuple[Message, ...]
    now: datetime
    # Addresses of this call alone, for vendors that take one; they lead to its first message.
    receipt_url: str | None = field(default=None, repr=False)
    reply_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says about a message. `status` is None where its code is not in the vendor's list."""

    status: Status | None
    reason: Reason | None
    provider_code: str
    provider_time: str | None = None  # as it stood, never trusted for order between messages
    provider_ref: str | None = None
    to: str | None = field(default=None, repr=False)  # E.164
    message_id: str | None = None  # where the callback's path or subject named it
    points: Decimal | None = None
    unwanted: bool = False  # the person wants no such messages, or a register says so for them


@dataclass(frozen=True, slots=True)
class Reply:
    """A text from a phone to us."""

    provider: str
    key: str  # what makes it the same reply when it comes twice
    sender: str = field(repr=False)  # E.164
    text: str = field(repr=False)
    provider_time: str | None = None
    provider_ref: str | None = None  # of the message it answers, where the provider says so
