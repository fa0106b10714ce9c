"""What every provider must do, and what it may do besides.

A provider is a translator: messages in, a request value out; an answer in, outcomes out. It opens no socket, reads
no clock and knows no store. The calls go through the `exchange` it is given, which keeps the deadline and says, when a
call breaks, whether it may have been read at the other end. A provider declares the narrowest exchange it needs: one
that only speaks HTTP takes an `HttpExchange`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Literal, TypeVar, final

from smsgate.clock import MINUTE, due
from smsgate.messages import Dispatch, Form, Message, Reply, Report, TooLong
from smsgate.numbers import country, is_taiwan, is_taiwan_mobile
from smsgate.outcomes import Accepted, CallBroken, MaybeSent, NotSent, Outcome, Refused
from smsgate.reasons import Code, Reason, quoted
from smsgate.wire import Acknowledgement, Callback, HttpResponse, InboundMail, Line

Answer = TypeVar("Answer")
Request = TypeVar("Request")
Response = TypeVar("Response")

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What reading an answer raises when the answer is not what the vendor documents."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can carry, as data: used by routing, the checks, the README's table and the tests."""

    transport: Literal["http", "soap", "mail"]
    recipients_per_call: int
    countries: frozenset[str] | None  # None: wherever the provider's own price list reaches
    longest: str  # for people, in the vendor's own units
    forms: frozenset[Form] = frozenset({Form.TEXT})
    schedule: bool = False
    validity: bool = False
    sender: bool = False
    two_way: bool = False
    receipts: Literal["message", "account"] | None = None  # per-message URL, one URL for the account, or none


@dataclass(frozen=True, slots=True)
class Measure:
    """What a text costs at this provider."""

    parts: int
    points: Decimal
    encoding: str
    offending: tuple[str, ...] = ()  # characters it cannot carry


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider cannot carry a message, found before anything is spent."""

    reason: Reason
    problem: str  # one sentence that names the field and the remedy


def refuse(code: Code, problem: str) -> Refusal:
    return Refusal(Reason(code, provider_text=problem), problem)


def takes(measure: Measure) -> str:
    """How the problem of a text that is too long begins."""
    return f"`text` takes {measure.parts} parts"


def _has_its_minute(at: datetime) -> bool:
    """Vendors are told a full second or minute of Taipei's time, which the calendar's last hours have none of."""
    try:
        due(at, at - MINUTE, MINUTE)
    except OverflowError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Ask:
    """A message whose provider is asked what became of it."""

    provider_ref: str
    to: str = field(repr=False)
    submitted_at: datetime = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class MailAnswer:
    """What came by mail of one attempt of a message. `NotSent`: nobody refused this very message; send it again."""

    message_id: str
    attempt: int  # the first is 1
    outcome: Accepted | Refused | NotSent


class CannotSay(Exception):
    """A question that brought no answer: nothing changes, it is asked again later."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code.value)
        self.reason = reason


class Provider(ABC):
    key: ClassVar[str]
    name: ClassVar[str]  # as people know it
    capabilities: ClassVar[Capabilities]
    unfit: ClassVar[str] = "characters no message may hold"  # what `Measure.offending` are, in words

    @abstractmethod
    def __init__(self, account: Mapping[str, object]) -> None:
        """`account` is the provider's secret (contract section 7); raises KeyError or ValueError naming a bad field."""

    @classmethod
    @abstractmethod
    def measure(cls, message: Message) -> Measure: ...

    @classmethod
    @final
    def refusal(cls, message: Message, now: datetime) -> Refusal | None:
        """What stands in the way of this message here, or None. Costs nothing and calls nobody.

        What follows from its capabilities and its measure is asked here, so that no provider can forget it. What is
        its own it says in `_refusal` and `_text_refusal`.
        """
        return cls._incapable(message) or cls._refusal(message, now) or cls._unfit_text(message)

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        """What this provider has against a number, an option or a time that its capabilities do not exclude."""
        return None

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        """What it has against a text in which nothing is unfit: its length."""
        return None

    @classmethod
    def _incapable(cls, message: Message) -> Refusal | None:
        can = cls.capabilities
        if message.form not in can.forms:
            return refuse(Code.UNSUPPORTED_FEATURE, f"{cls.name} sends no {message.form} messages: leave `form` out")
        if message.sender is not None and not can.sender:
            return refuse(Code.UNSUPPORTED_FEATURE, f"{cls.name} shows its own number as sender: leave `sender` out")
        if message.reply_days is not None and not can.two_way:
            return refuse(Code.UNSUPPORTED_FEATURE, f"{cls.name} brings no answers back: leave `replies` out")
        if can.countries is not None and country(message.to) not in can.countries:
            problem = f"`to` is in a country {cls.name} does not reach: use another provider"
            return refuse(Code.COUNTRY_NOT_ENABLED, problem)
        if message.send_at is None:
            return None
        if not can.schedule:
            return refuse(Code.UNSUPPORTED_FEATURE, f"{cls.name} sends at once only: leave `send_at` out")
        if not _has_its_minute(message.send_at):
            return refuse(Code.SCHEDULE_INVALID, "`send_at` is beyond the year 9999: choose an earlier time")
        return None

    @classmethod
    def _unfit_text(cls, message: Message) -> Refusal | None:
        if not message.text:
            return refuse(Code.EMPTY_TEXT, f"`text` is empty: {cls.name} sends no empty message")
        measure = cls.measure(message)
        if measure.offending:
            found = " ".join(measure.offending[:10])
            return refuse(Code.UNSUPPORTED_CHARACTER, f"`text` holds {cls.unfit}: remove {found}")
        if measure.parts > 1 and message.too_long is TooLong.REJECT:
            return refuse(Code.TOO_LONG, f"{takes(measure)}, and `too_long` is reject: shorten it to one")
        return cls._text_refusal(message, measure)

    @classmethod
    def _on_land_in_taiwan(cls, message: Message) -> Refusal | None:
        """For those who document Taiwan's numbers as 09xxxxxxxx: any other of its numbers is refused."""
        if is_taiwan(message.to) and not is_taiwan_mobile(message.to):
            problem = f"`to` is no mobile number: in Taiwan {cls.name} takes only 09xxxxxxxx"
            return refuse(Code.INVALID_NUMBER, problem)
        return None

    @classmethod
    def group(cls, message: Message) -> Hashable:
        """Messages of equal group may travel in one call. By default none may: one recipient per call."""
        return message.message_id

    @abstractmethod
    def send(self, dispatch: Dispatch, exchange: Line) -> tuple[Outcome, ...]:
        """Submit, once. One outcome per message, in their order; never raises.

        The messages are of equal group, and no two go to one number: a report's reference and number mean one of them.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Queries(ABC):
    """Can be asked what became of a message."""

    asks_per_call: ClassVar[int] = 1
    tells_replies: ClassVar[bool] = False  # with the reports, for as long as it is asked

    @abstractmethod
    def query(self, asks: Sequence[Ask], now: datetime, exchange: Line) -> list[Report]:
        """Reports, each with its `provider_ref`; a message without a report yet has none. Raises CannotSay."""

    def reports_and_replies(
        self, asks: Sequence[Ask], now: datetime, exchange: Line
    ) -> tuple[list[Report], list[Reply]]:
        """As `query`, with the replies of vendors that tell both at once."""
        return self.query(asks, now, exchange), []


class Cancels(ABC):
    """Can take back a scheduled message."""

    @abstractmethod
    def cancel(self, ask: Ask, exchange: Line) -> Decimal | Refusal | None:
        """The points given back (None where it does not say), or why it is too late. Raises CannotSay."""


class TellsCredit(ABC):
    @abstractmethod
    def credit(self, exchange: Line) -> Decimal:
        """What is left on the account, in the provider's points. Raises CannotSay."""


class PollsReplies(ABC):
    """Replies exist only for those who ask."""

    @abstractmethod
    def replies_of(self, day: date, exchange: Line) -> Iterable[Reply]:
        """Every reply of one day of the provider's calendar, as they are learnt.

        Raises CannotSay where some could not be had, but only after those that could.
        """


class ReadsReplies(ABC):
    """Sends replies to a URL of ours. Class methods: reading needs no account."""

    replies_to_receipts: ClassVar[bool] = False  # replies come to the URL of the receipts

    @classmethod
    @abstractmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        """Every reply in the callback; none for a probe or a receipt. Raises one of UNREADABLE."""

    @classmethod
    def acknowledge_reply(cls, callback: Callback) -> Acknowledgement:
        return Acknowledgement()


class ReadsReceipts(ABC):
    """Sends reports to a URL of ours. Class methods: reading needs no account."""

    repeats_text: ClassVar[bool] = False  # a report holds the text that was sent

    @classmethod
    @abstractmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Every report in the callback; none for a probe that carries nothing. Raises one of UNREADABLE."""

    @classmethod
    def acknowledge(cls, callback: Callback) -> Acknowledgement:
        return Acknowledgement()


class ReadsMail(ABC):
    """Answers a dispatch later, by a mail to the address it came from. Class methods: reading needs no account."""

    mail_domain: ClassVar[str]  # of the address its answers come from, exactly

    @classmethod
    @abstractmethod
    def read_mail(cls, mail: InboundMail) -> list[MailAnswer]:
        """What the mail says of each message of the dispatch. Raises one of UNREADABLE where it is no such answer."""


def submit(
    exchange: Callable[[Request], Response], request: Request, read: Callable[[Response], Answer]
) -> Answer | NotSent | MaybeSent:
    """The call that sends. Whatever goes wrong from here on, it may have gone out, unless the wire says otherwise."""
    try:
        response = exchange(request)
    except CallBroken as broken:
        return broken.outcome
    failed = _failed_status(response)
    if failed:
        return MaybeSent(failed)
    try:
        return read(response)
    except UNREADABLE as error:
        return MaybeSent(Reason(Code.NO_REPLY, provider_text=_unreadable(error)))


def ask(exchange: Callable[[Request], Response], request: Request, read: Callable[[Response], Answer]) -> Answer:
    """A call that sends nothing. Whatever goes wrong, nothing went out: raises CannotSay."""
    try:
        response = exchange(request)
        failed = _failed_status(response)
        if failed:
            raise CannotSay(failed)
        return read(response)
    except CallBroken as broken:
        raise CannotSay(broken.outcome.reason) from None
    except UNREADABLE as error:
        raise CannotSay(Reason(Code.PROVIDER_ERROR, provider_text=_unreadable(error))) from None


def _failed_status(response: object) -> Reason | None:
    """All vendors answer 200, errors too: another status is the answer of something in between."""
    if isinstance(response, HttpResponse) and response.status != 200:
        return Reason(Code.NO_REPLY, provider_code=f"HTTP {response.status}")
    return None


def _unreadable(error: Exception) -> str:
    return quoted(f"unreadable answer ({type(error).__name__})")


def secret_text(account: Mapping[str, object], field: str) -> str:
    """A field of the provider's secret that must be there. Raises ValueError, which names it and never shows it."""
    value = account.get(field)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"the secret's {field} must be a string that is not empty")
    return value
