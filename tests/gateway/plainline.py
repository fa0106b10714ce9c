"""Three invented providers and the wire to them: what a use case is tested with.

Their protocol fits on a line. To `POST /send` with `to` (numbers with commas) and `text` they answer `OK ref` for each
number, or `ERR code`; to `/report` with `ref` a status word; to `/credit` a number; to `/cancel` the points given back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from smsgate.messages import Dispatch, Message, Reply, Report
from smsgate.outcomes import Accepted, CallBroken, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import (
    Ask,
    Cancels,
    CannotSay,
    Capabilities,
    Measure,
    PollsReplies,
    Provider,
    Queries,
    ReadsReceipts,
    Refusal,
    TellsCredit,
    ask,
    submit,
)
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wire import Callback, HttpExchange, HttpRequest, HttpResponse

CODES = {
    "number": Code.INVALID_NUMBER,
    "credit": Code.CREDIT_EXHAUSTED,
    "password": Code.BAD_CREDENTIALS,
    "country": Code.COUNTRY_NOT_ENABLED,
}
STATUSES = {"there": Status.DELIVERED, "lost": Status.UNDELIVERED, "on its way": Status.SENT}


class Oneway(Provider):
    """Takes messages, and says nothing more of them."""

    key = name = "oneway"
    capabilities = Capabilities("http", 1, None, "160 characters", schedule=True)

    def __init__(self, account: Mapping[str, object]) -> None:
        self.password = account["password"]

    @classmethod
    def measure(cls, message: Message) -> Measure:
        parts = -(-len(message.text or "") // 160)
        return Measure(parts, Decimal(parts), "ascii")

    def send(self, dispatch: Dispatch, exchange: HttpExchange) -> tuple[Outcome, ...]:
        numbers = ",".join(message.to for message in dispatch.messages)
        fields = (("password", str(self.password)), ("to", numbers), ("text", dispatch.messages[0].text or ""))
        request = HttpRequest("POST", f"https://{self.key}.example/send", fields)
        answer = submit(exchange, request, self.read_send)
        if isinstance(answer, (NotSent, MaybeSent)):
            return (answer,) * len(dispatch.messages)
        return answer

    def read_send(self, response: HttpResponse) -> tuple[Outcome, ...]:
        outcomes: list[Outcome] = []
        for line in response.text().splitlines():
            verdict, rest = line.split(maxsplit=1)
            if verdict == "OK":
                outcomes.append(Accepted(rest))
            else:
                outcomes.append(Refused(Reason(CODES[rest], provider_code=rest)))
        if not outcomes:
            raise ValueError("empty")
        return tuple(outcomes)


class Plainline(Oneway, Queries, Cancels, TellsCredit, PollsReplies, ReadsReceipts):
    key = name = "plainline"
    capabilities = Capabilities("http", 1, None, "160 characters", schedule=True, two_way=True, receipts="message")

    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        (one,) = asks
        request = HttpRequest("POST", f"https://{self.key}.example/report", (("ref", one.provider_ref),))
        word = ask(exchange, request, lambda response: response.text())
        if word == "not yet":
            return []
        return [Report(STATUSES.get(word), None, word, provider_ref=one.provider_ref, to=one.to)]

    def cancel(self, ask_: Ask, exchange: HttpExchange) -> Decimal | Refusal | None:
        request = HttpRequest("POST", f"https://{self.key}.example/cancel", (("ref", ask_.provider_ref),))
        word = ask(exchange, request, lambda response: response.text())
        if word == "ERR password":
            raise CannotSay(Reason(Code.BAD_CREDENTIALS))
        return Refusal(Reason(Code.UNKNOWN), "it has gone out") if word == "gone" else Decimal(word)

    def credit(self, exchange: HttpExchange) -> Decimal:
        def read(response: HttpResponse) -> Decimal:
            if response.text() == "ERR password":
                raise CannotSay(Reason(Code.BAD_CREDENTIALS))
            return Decimal(response.text())

        return ask(exchange, HttpRequest("POST", f"https://{self.key}.example/credit"), read)

    def replies_of(self, day: date, exchange: HttpExchange) -> list[Reply]:
        request = HttpRequest("POST", f"https://{self.key}.example/replies", (("day", day.isoformat()),))
        lines = ask(exchange, request, lambda response: response.text().splitlines())
        return [Reply(self.key, seq, sender, text) for seq, sender, text in (line.split("|") for line in lines)]

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        fields = dict(parse_qsl(callback.query))
        word = fields["status"]
        return [
            Report(
                STATUSES.get(word),
                None,
                word,
                fields.get("time"),
                provider_ref=fields["ref"],
                to=fields.get("to"),
                message_id=callback.path or None,
                unwanted=fields.get("unwanted") == "yes",
            )
        ]


class Castello(Plainline):
    """The other provider: fifty numbers in a call, one URL for all its receipts."""

    key = name = "castello"
    capabilities = Capabilities("http", 50, None, "160 characters", schedule=True, two_way=True, receipts="account")

    @classmethod
    def group(cls, message: Message) -> Hashable:
        return message.text


OFFERS: dict[str, type[Provider]] = {"plainline": Plainline, "castello": Castello, "oneway": Oneway}

Say = str | BaseException | Callable[[], None]


class Wire:
    """Answers as it was told, else takes every message; remembers every call."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.accepted: list[tuple[str, str]] = []  # provider, number: the truth
        self.script: dict[str, deque[Say]] = {}
        self._lock = threading.Lock()

    def say(self, where: str, *what: Say) -> None:
        """`where` is the end of the URL, `plainline.example/send` or only `/send`."""
        self.script.setdefault(where, deque()).extend(what)

    def calls(self, where: str) -> list[HttpRequest]:
        return [request for request in self.requests if request.url.endswith(where)]

    def exchange(self, request: Any, /) -> Any:
        with self._lock:
            self.requests.append(request)
            say = self._next(request.url)
            numbers = dict(request.fields).get("to", "").split(",")
            provider = request.url.split("/")[2].removesuffix(".example")
            if callable(say):
                say()
                say = None
            if isinstance(say, CallBroken):
                raise say
            if isinstance(say, BaseException):
                # It was taken, and then something broke.
                self.accepted += [(provider, number) for number in numbers]
                raise say
            if say is None and request.url.endswith("/send"):
                taken = [(provider, number) for number in numbers]
                self.accepted += taken
                first = len(self.accepted) - len(taken)
                say = "\n".join(f"OK ref{first + place}" for place in range(1, len(taken) + 1))
            return HttpResponse(200, (say or "").encode())

    def _next(self, url: str) -> Say | None:
        for where, script in self.script.items():
            if script and url.endswith(where):
                return script.popleft()
        return None


def not_sent() -> CallBroken:
    return CallBroken(NotSent(Reason(Code.PROVIDER_UNREACHABLE)))


def maybe_sent() -> CallBroken:
    return CallBroken(MaybeSent(Reason(Code.NO_REPLY)))
