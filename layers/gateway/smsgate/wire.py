"""What goes to a provider and what comes back, as plain values whose repr shows neither secret nor text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, overload
from urllib.parse import parse_qsl

Pairs = tuple[tuple[str, str], ...]

_MOST_FIELDS = 50  # of a query or a form: vendors send ten or so


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`fields` travel percent-encoded as UTF-8: in the query of a GET, as the form of a POST.

    `longest_answer`, in bytes, is for questions whose answer is a list of any length; None is enough for all others.
    """

    method: Literal["GET", "POST"]
    url: str
    fields: Pairs = field(default=(), repr=False)
    longest_answer: int | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes = field(repr=False)
    content_type: str = ""

    def text(self, encoding: str = "utf-8") -> str:
        """The body as text; raises ValueError where it is none. A byte order mark is not part of it."""
        return self.body.decode("utf-8-sig" if encoding == "utf-8" else encoding)


@dataclass(frozen=True, slots=True)
class Callback:
    """An HTTP call to us, byte for byte as it came. `path` is what stands behind the token."""

    method: str
    path: str
    query: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""

    @property
    def is_probe(self) -> bool:
        """Nothing is said: somebody looks whether we are there."""
        return not self.query and not self.body

    def pairs(self, encoding: str = "utf-8") -> Pairs:
        """What the query says, and behind it what a form says, decoded. Raises ValueError where it is no text."""
        return tuple(
            pair
            for written in (self.query.encode("utf-8", "surrogatepass"), self.body)
            for pair in parse_qsl(
                written.decode(encoding), keep_blank_values=True, encoding=encoding, max_num_fields=_MOST_FIELDS
            )
        )


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The exact bytes a provider waits for."""

    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SoapRequest:
    """An operation of a vendor's web service, its arguments in the order of the WSDL."""

    url: str
    version: Literal["1.1", "1.2"]
    operation: str
    arguments: Pairs = field(repr=False)


@dataclass(frozen=True, slots=True)
class SoapResponse:
    """The operation's result, a string; None where the answer holds none, which is no error in SOAP."""

    result: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    starttls: bool
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MailRequest:
    """A mail of plain ASCII lines. `subject` is an id of ours and nothing else; `server` None: Amazon SES."""

    mail_from: str
    mail_to: str
    subject: str
    lines: tuple[str, ...] = field(repr=False)
    server: SmtpServer | None = None


@dataclass(frozen=True, slots=True)
class MailResponse:
    """The mail was taken over; what the vendor makes of it comes by mail."""


@dataclass(frozen=True, slots=True)
class InboundMail:
    """A mail to us, proved to come from where it says. `text` is what a reader would see of it, as plain text."""

    subject: str
    text: str = field(repr=False)


HttpExchange = Callable[[HttpRequest], HttpResponse]
"""One call over the wire under one total deadline. Raises `outcomes.CallBroken` and nothing else."""


class Exchange(Protocol):
    """One call over whichever wire the request names, under one total deadline. Raises `outcomes.CallBroken` only."""

    @overload
    def __call__(self, request: HttpRequest, /) -> HttpResponse: ...
    @overload
    def __call__(self, request: SoapRequest, /) -> SoapResponse: ...
    @overload
    def __call__(self, request: MailRequest, /) -> MailResponse: ...


class Line(Exchange, Protocol):
    """The way to one provider's account: calls, and a session that all workers share where the vendor wants one."""

    def session(self, login: Callable[[], str], ends: datetime) -> str:
        """The account's session, good until `ends` at the latest. Where there is none, one worker logs in for all.

        Raises `CannotSay` where nobody may log in now: another worker is at it, or the credentials were refused.
        """

    def session_lost(self, session: str) -> None:
        """The vendor does not know this session any more."""
