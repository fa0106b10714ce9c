"""What lies between a vendor's callback and the gateway in a run: it can be seen, changed and repeated there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import urlsplit

from local.http_api import event_for, response_from
from local.http_server import Request
from local.lambdas import Result
from local.routes import find_route
from tests.world.world import API, TOKEN, World

ACCEPTED = {"smsgo": "ACCEPTD", "twsms": "ACCEPTD", "smsget": "ACCEPTD", "every8d": "0", "meteorsis": "2"}
"""The vendors' words for a message that is on its way."""

FAILED = {"smsgo": "UNDELIV", "twsms": "UNDELIV", "smsget": "UNDELIV", "every8d": "102", "meteorsis": "21"}
"""And for one that cannot be delivered."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a vendor, as it reaches the API."""

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def provider(self) -> str:
        return urlsplit(self.url).path.split("/")[2]

    @property
    def content(self) -> tuple[str, str, str, bytes]:
        """What of it is kept."""
        parts = urlsplit(self.url)
        return self.provider, "/".join(parts.path.split("/")[4:]), parts.query, self.body


@dataclass(frozen=True, slots=True)
class Answered:
    """`at`: seconds since the world began, when it came."""

    called: Called
    at: float
    status: int
    body: bytes
    content_type: str

    @property
    def is_acknowledged(self) -> bool:
        """In the very bytes after which this vendor does not call again."""
        if self.called.provider == "smsgo":
            found = re.search("msgid=([0-9]+)", self.called.url)
            wanted = f"magicid=tccrd_sms_gateway_rpack\nmsgid={found[1] if found else ''}\n".encode()
            return self.status == 200 and self.content_type.startswith("text/plain") and self.body == wanted
        return self.status == 200 and (self.called.provider != "smsget" or self.body == b"ok")


class Gate:
    """All callbacks of a world from now on go through here."""

    def __init__(self, world: World, change: Callable[[Called], Called] = lambda called: called) -> None:
        self.answered: list[Answered] = []
        self._world = world
        self._route = world.network.answer_gateway
        self._change = change

        def answer(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
            last = self.call(self._change(Called(method, url, body, headers)))
            return last.status, last.body, last.content_type

        world.network.answer_gateway = answer

    def call(self, called: Called) -> Answered:
        at = self._world.kernel.elapsed
        status, body, content_type = self._route(called.method, called.url, called.body, dict(called.headers))
        answered = Answered(called, at, status, body, content_type)
        self.answered.append(answered)
        return answered

    def begin(self, called: Called, seconds: float) -> None:
        """As `call_later`, where so many come that the caller is better not a task of its own."""
        world = self._world
        request = Request(called.method, called.url.removeprefix(API), list(called.headers.items()), called.body)
        match = find_route(world.stack.routes, called.method, request.path)
        if match is None:
            raise LookupError(called.provider)
        event, function = event_for(request, match, urlsplit(API).netloc), match.route.function

        def start() -> None:
            at = world.kernel.elapsed

            def on_end(result: Result) -> None:
                response = response_from(result)
                content_type = dict(response.headers)["content-type"]
                self.answered.append(Answered(called, at, response.status, response.body, content_type))

            world.functions.invoke(function, event, on_end)

        world.kernel.after(seconds, start)

    def call_later(self, called: Called, seconds: float) -> None:
        self._world.kernel.spawn("the network", lambda: self.call(called), delay=seconds)

    @property
    def acknowledged(self) -> int:
        return sum(each.is_acknowledged for each in self.answered)

    @property
    def server_errors(self) -> int:
        return sum(each.status >= 500 for each in self.answered)


class Repeating(Gate):
    """Each callback comes so many times, the repetitions within so many seconds."""

    def __init__(self, world: World, times: int, within: float, random: Random) -> None:
        def repeat(called: Called) -> Called:
            for _ in range(times - 1):
                self.call_later(called, random.uniform(0, within))
            return called

        super().__init__(world, repeat)


def of_nobody(answered: Answered, world: World, number: int) -> Called:
    """The same callback with a reference that no message has, to the account's URL."""
    called = answered.called
    refs = [submission.ref for submission in world.providers[called.provider].accepted]
    ref = next(ref for ref in refs if ref in called.url or ref.encode() in called.body)
    stranger = f"{ref[:-5]}{number:05}" if "-" in ref else f"9{number:0{len(ref) - 1}}"
    query = urlsplit(called.url).query.replace(ref, stranger)
    url = f"{API}/receipts/{called.provider}/{TOKEN}" + (f"?{query}" if query else "")
    return replace(called, url=url, body=called.body.replace(ref.encode(), stranger.encode()))


def stored(world: World) -> Iterator[dict[str, object]]:
    """The raw callbacks in the table."""
    for item in world.table.items():
        if item["sk"]["S"] == "callback":
            yield {name: next(iter(typed.values())) for name, typed in item.items()}


def contents(world: World) -> set[tuple[str, str, str, bytes]]:
    """What of them was kept, as `Called.content`."""
    return {
        (str(each["provider"]), str(each["path"]), str(each["query"]), bytes(each["body"]))  # type: ignore[call-overload]
        for each in stored(world)
    }
