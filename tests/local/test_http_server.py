"""The server under the HTTP API and the runtime API: real sockets, and clients that do what clients do."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.event_loop import EventLoop
from local.http_server import HttpServer, Limits, Request, Response, listen
from tests.local.sample_stack import wait_until

HEAD_LIMIT = 2000
BODY_LIMIT = 100_000
BIG = b"x" * 3_000_000  # more than sockets hold while nobody reads


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict[str, str]  # several of one name joined by a comma
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """A connection that sends exactly what it is told to, and reads answers one by one."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._read = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_for(self, seconds: float, data: bytes, most: int) -> None:
        """The same again and again, each time within so many seconds, up to so many bytes."""
        self._socket.settimeout(seconds)
        for _ in range(most // len(data)):
            self._socket.sendall(data)

    def say_no_more(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def break_it(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def hear(self, *, of_head: bool = False) -> Heard:
        while b"\r\n\r\n" not in self._read:
            self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(": ") for line in lines):
            headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
        length = 0 if of_head else int(headers.get("content-length", 0))
        while len(self._read) < length:
            self._receive()
        body, self._read = self._read[:length], self._read[length:]
        return Heard(int(status.split(" ")[1]), headers, body)

    def is_at_its_end(self) -> bool:
        """Waits for it."""
        return self._read == b"" and self._socket.recv(1) == b""

    def says_nothing(self, seconds: float = 0.1) -> bool:
        self._socket.settimeout(seconds)
        try:
            return self._read == b"" and not self._socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(10)

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._read += data


class Echo:
    """Answers with what it was asked; on a few paths it does something else instead."""

    def __init__(self, loop: EventLoop) -> None:
        listener = listen()
        self.port: int = listener.getsockname()[1]
        self.asked: list[Request] = []
        self.cancelled = threading.Event()
        self._loop = loop
        self._server = HttpServer(listener, self._respond, Limits(HEAD_LIMIT, BODY_LIMIT))
        loop.run(self._server.start())

    def line(self) -> Line:
        return Line(self.port)

    def stop(self) -> None:
        self._loop.run(self._close())

    async def _close(self) -> None:
        self._server.close()

    def _respond(self, request: Request) -> Response | asyncio.Future[Response]:
        self.asked.append(request)
        if request.path == "/at-once":
            return _told_back(request)
        if request.path == "/fail-at-once":
            raise ValueError(f"somebody asked for {request.target}")
        return asyncio.ensure_future(self._answer(request))

    async def _answer(self, request: Request) -> Response:
        match request.path:
            case "/fail":
                raise ValueError(f"somebody asked for {request.target}")
            case "/later":
                await asyncio.sleep(0.2)
            case "/never":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case "/big":
                return Response(200, BIG)
            case "/nothing":
                return Response(204)
            case "/framed":
                return Response(200, b"whole", [("Content-Length", "1"), ("Connection", "upgrade"), ("x-kept", "yes")])
        return _told_back(request)


def _told_back(request: Request) -> Response:
    told = {"method": request.method, "target": request.target, "body": request.body.decode("latin-1")}
    return Response(200, json.dumps(told).encode(), [("content-type", "application/json")])


@pytest.fixture(scope="module")
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.stop()


@pytest.fixture(scope="module")
def echo(loop: EventLoop) -> Iterator[Echo]:
    echo = Echo(loop)
    yield echo
    echo.stop()


def _get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: here", *headers, "", ""]).encode("latin-1")


def _post(target: str, body: bytes, *headers: str) -> bytes:
    return _get(target, f"Content-Length: {len(body)}", *headers, method="POST") + body


def _chunked(target: str, chunks: Sequence[bytes], trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return _get(target, "Transfer-Encoding: chunked", method="POST") + body + b"0\r\n" + trailers + b"\r\n"


CONVERSATION = [
    (_get("/a?b=%B4&c"), ("GET", "/a?b=%B4&c", "")),
    (_post("/b", b"\r\n\r\n"), ("POST", "/b", "\r\n\r\n")),
    (_chunked("/c", [b"one", b"\r\n", b"three"], trailers=b"X-Late: yes\r\n"), ("POST", "/c", "one\r\nthree")),
    (_post("/d", bytes(range(256))), ("POST", "/d", bytes(range(256)).decode("latin-1"))),
    (_get("//e/", method="DELETE"), ("DELETE", "//e/", "")),
]


def _told(line: Line, count: int) -> list[tuple[str, str, str]]:
    answers = [line.hear() for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return [(told["method"], told["target"], told["body"]) for told in (answer.json for answer in answers)]


@settings(deadline=None)
@given(cuts=st.sets(st.integers(1, sum(len(raw) for raw, _ in CONVERSATION) - 1)))
def test_requests_are_the_same_wherever_their_bytes_are_cut(echo: Echo, cuts: set[int]) -> None:
    whole = b"".join(raw for raw, _ in CONVERSATION)
    edges = [0, *sorted(cuts), len(whole)]

    with echo.line() as line:
        for begin, end in pairwise(edges):
            line.send(whole[begin:end])

        assert _told(line, len(CONVERSATION)) == [expected for _, expected in CONVERSATION]


def test_requests_are_the_same_when_cut_at_each_position(echo: Echo) -> None:
    whole = b"".join(raw for raw, _ in CONVERSATION)

    with echo.line() as line:
        for cut in range(1, len(whole)):
            line.send(whole[:cut])
            line.send(whole[cut:])
            assert _told(line, len(CONVERSATION)) == [expected for _, expected in CONVERSATION], f"cut at {cut}"


@settings(deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_a_body_of_any_bytes_arrives_whole_in_either_form(echo: Echo, chunks: list[bytes]) -> None:
    body = b"".join(chunks)

    with echo.line() as line:
        line.send(_post("/", body) + _chunked("/", chunks))

        assert [told[2].encode("latin-1") for told in _told(line, 2)] == [body, body]


def test_what_comes_after_a_body_is_no_header(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_chunked("/", [b"abc"], trailers=b"X-Late: yes\r\n"))
        line.hear()

    assert [name for name, _ in echo.asked[-1].headers] == ["Host", "Transfer-Encoding"]


def test_pipelined_requests_are_answered_in_order_though_the_first_takes_longest(echo: Echo) -> None:
    targets = ["/later", "/at-once?1", "/2", "/at-once?3", "/later?4", "/5", "/at-once?6", "/at-once?7"]

    with echo.line() as line:
        line.send(b"".join(map(_get, targets)))

        assert [target for _, target, _ in _told(line, len(targets))] == targets


@pytest.mark.parametrize("path", ["/", "/at-once"])
def test_thousands_of_pipelined_requests_are_all_answered(echo: Echo, path: str) -> None:
    targets = [f"{path}?{n}" for n in range(3000)]

    with echo.line() as line:
        sending = threading.Thread(target=line.send, args=[b"".join(map(_get, targets))])
        sending.start()

        assert [target for _, target, _ in _told(line, 3000)] == targets
        sending.join()


def test_a_hundred_connections_at_once_are_all_answered(echo: Echo) -> None:
    with ExitStack() as opened:
        lines = [opened.enter_context(echo.line()) for _ in range(100)]
        began = time.monotonic()
        for number, line in enumerate(lines):
            line.send(_get(f"/later?{number}"))

        assert [line.hear().json["target"] for line in lines] == [f"/later?{n}" for n in range(100)]
        assert time.monotonic() - began < 10, "one after another they take 20 seconds"


def test_a_head_says_how_long_the_body_would_be_and_has_none(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/x", method="HEAD") + _get("/next"))

        assert line.hear(of_head=True).headers["content-length"] == str(len(_body_of("HEAD", "/x")))
        assert line.hear().json["target"] == "/next"


def _body_of(method: str, target: str) -> bytes:
    return json.dumps({"method": method, "target": target, "body": ""}).encode()


def test_an_answer_without_content_has_no_length(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/nothing") + _get("/next"))

        answer = line.hear()
        assert (answer.status, "content-length" in answer.headers) == (204, False)
        assert line.hear().json["target"] == "/next"


def test_what_an_answer_says_about_its_own_length_and_connection_is_not_passed_on(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/framed"))

        answer = line.hear()
    assert (answer.body, answer.headers["content-length"], answer.headers["x-kept"]) == (b"whole", "5", "yes")
    assert "connection" not in answer.headers
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])


@pytest.mark.parametrize(
    ("version", "headers", "connection"),
    [
        ("1.1", [], None),
        ("1.1", ["Connection: close"], "close"),
        ("1.0", [], "close"),
        ("1.0", ["Connection: keep-alive"], "keep-alive"),
    ],
)
def test_a_connection_stays_open_unless_the_client_would_have_it_closed(
    echo: Echo, version: str, headers: list[str], connection: str | None
) -> None:
    with echo.line() as line:
        line.send(_get("/1", *headers, version=version))

        assert line.hear().headers.get("connection") == connection
        if connection == "close":
            assert line.is_at_its_end()
        else:
            line.send(_get("/2"))
            assert line.hear().json["target"] == "/2"


def test_nothing_is_answered_that_comes_after_the_last_request(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/last", "Connection: close") + _get("/more"))

        assert line.hear().json["target"] == "/last"
        assert line.is_at_its_end()
    assert "/more" not in {request.target for request in echo.asked}


def test_another_protocol_that_is_offered_is_passed_over_wherever_the_bytes_are_cut(echo: Echo) -> None:
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"]  # as Java's client does
    whole = _get("/1", *offer) + _get("/2") + _post("/3", b"abc", *offer) + _get("/4")

    with echo.line() as line:
        for cut in range(1, len(whole)):
            line.send(whole[:cut])
            line.send(whole[cut:])
            assert [told[1:] for told in _told(line, 4)] == [("/1", ""), ("/2", ""), ("/3", "abc"), ("/4", "")]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody tries TLS
        b"EVERY8D / HTTP/1.1\r\n\r\n",
        b"GET / FTP\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\n\r\n",
        _get("/\xb4\xfa"),  # not encoded
        _get("/", "no colon"),
        _get("/", "Content-Length: -1", method="POST"),
        _get("/", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST"),
        _get("/", "Transfer-Encoding: chunked", method="POST") + b"no number\r\n",
    ],
)
def test_what_cannot_be_read_is_400_after_everything_before_it_and_ends_the_connection(echo: Echo, raw: bytes) -> None:
    with echo.line() as line:
        line.send(_get("/before") + raw)

        assert line.hear().json["target"] == "/before"
        refused = line.hear()
        assert (refused.status, refused.headers["connection"]) == (400, "close")
        assert line.is_at_its_end()


@pytest.mark.parametrize(
    "raw",
    [
        _get("/" + "x" * HEAD_LIMIT),
        _get("/", "A: " + "x" * HEAD_LIMIT),
        _get("/", *(f"A{n}: {'x' * 100}" for n in range(HEAD_LIMIT // 100))),
    ],
)
def test_a_head_beyond_the_limit_is_431_and_ends_the_connection(echo: Echo, raw: bytes) -> None:
    with echo.line() as line:
        line.send(raw)

        assert line.hear().status == 431
        assert line.is_at_its_end()


@pytest.mark.parametrize("begun", [b"GET /", b"GET / HTTP/1.1\r\nA", b"GET / HTTP/1.1\r\nA: "])
def test_a_head_without_an_end_is_refused_when_it_is_too_long_and_not_kept_for_ever(echo: Echo, begun: bytes) -> None:
    with echo.line() as line:
        line.send(begun)
        line.says_nothing(0.05)  # so that what follows comes by itself
        line.send(b"x" * (HEAD_LIMIT + 1))

        assert line.hear().status == 431


def test_a_head_at_the_limit_is_taken(echo: Echo) -> None:
    room = HEAD_LIMIT - len("/") - len("here")

    with echo.line() as line:
        line.send(_get("/", "A: " + "x" * room) + _get("/", "A: " + "x" * (room + 1)))

        assert [line.hear().status for _ in range(2)] == [200, 431]


def test_a_body_at_the_limit_is_taken_and_one_beyond_it_is_413(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_post("/", b"x" * BODY_LIMIT) + _chunked("/", [b"x" * BODY_LIMIT]))
        assert [len(told[2]) for told in _told(line, 2)] == [BODY_LIMIT, BODY_LIMIT]

        line.send(_post("/", b"x" * (BODY_LIMIT + 1)))

        assert line.hear().status == 413
        assert line.is_at_its_end()


def test_a_body_in_chunks_is_413_as_soon_as_it_is_too_much(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/", "Transfer-Encoding: chunked", method="POST"))
        for _ in range(BODY_LIMIT // 10_000 + 1):
            line.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")

        assert line.hear().status == 413


def test_whoever_sends_all_of_a_refused_body_before_reading_still_hears_why(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_post("/", b"x" * 20_000_000))

        assert line.hear().status == 413


def test_whoever_waits_to_be_asked_for_the_body_is_asked(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert line.hear().status == 100
        line.send(b"abc")

        assert line.hear().json["body"] == "abc"


def test_whoever_waits_to_be_asked_is_asked_only_after_the_answers_before(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/later") + _get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))

        assert [line.hear().status for _ in range(2)] == [200, 100]


def test_whoever_would_send_too_much_is_told_so_instead_of_being_asked(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/", f"Content-Length: {BODY_LIMIT + 1}", "Expect: 100-continue", method="POST"))

        assert line.hear().status == 413


def test_whoever_sends_the_body_without_waiting_is_not_asked(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_post("/", b"abc", "Expect: 100-continue")[:-1])
        assert line.says_nothing()
        line.send(b"c")

        assert line.hear().status == 200


@pytest.mark.parametrize("path", ["/later", "/at-once"])
def test_whoever_asks_for_the_last_answer_and_says_no_more_hears_it(echo: Echo, path: str) -> None:
    with echo.line() as line:
        line.send(_get(path, "Connection: close"))
        line.say_no_more()

        assert line.hear().json["target"] == path
        assert line.is_at_its_end()


@pytest.mark.parametrize("half", [b"", b"GET /half", _get("/half")[:-2], _post("/half", b"abc")[:-1]])
def test_half_a_request_is_no_request(echo: Echo, half: bytes) -> None:
    with echo.line() as line:
        line.send(_get("/before") + half)
        line.say_no_more()

        assert line.hear().json["target"] == "/before"
        assert line.is_at_its_end()
    assert "/half" not in {request.target for request in echo.asked}


def test_whoever_has_said_everything_still_hears_all_answers(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/later") + _get("/2"))
        line.say_no_more()

        assert [target for _, target, _ in _told(line, 2)] == ["/later", "/2"]
        assert line.is_at_its_end()


def test_whoever_breaks_the_connection_is_not_waited_for(echo: Echo) -> None:
    echo.cancelled.clear()
    with echo.line() as line:
        line.send(_get("/never"))
        wait_until(lambda: echo.asked[-1].target == "/never")
        line.break_it()

    assert echo.cancelled.wait(5)


def test_a_client_that_sends_slowly_holds_up_nobody(echo: Echo) -> None:
    with echo.line() as slow, echo.line() as quick:
        for byte in _post("/slow", b"abc"):
            slow.send(bytes([byte]))
            quick.send(_get("/quick"))
            assert quick.hear().json["target"] == "/quick"

        assert slow.hear().json["target"] == "/slow"


def test_a_client_that_does_not_read_holds_up_nobody_and_is_not_read_either(echo: Echo) -> None:
    with echo.line() as idle, echo.line() as quick:
        idle.send(_get("/big") * 20)
        idle.send(_get("/after"))
        before = len(echo.asked)
        for _ in range(50):
            quick.send(_get("/quick"))
            assert quick.hear().json["target"] == "/quick"

        assert sum(request.target == "/big" for request in echo.asked[before:]) < 5
        assert {idle.hear().body == BIG for _ in range(20)} == {True}
        assert idle.hear().json["target"] == "/after"


def test_a_client_that_goes_on_asking_and_does_not_read_is_not_listened_to_any_longer(echo: Echo) -> None:
    with echo.line() as line:
        line.send(_get("/big") * 10)

        with pytest.raises(TimeoutError):
            line.send_for(1, _get("/" + "x" * 1000) * 100, most=100_000_000)


@pytest.mark.parametrize("path", ["/fail", "/fail-at-once"])
def test_a_failure_is_500_names_nothing_that_was_asked_and_the_connection_stays(
    echo: Echo, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with echo.line() as line:
        line.send(_get(f"{path}?token=secret") + _get("/next"))

        assert line.hear().status == 500
        assert line.hear().json["target"] == "/next"
    assert "ValueError in " in caplog.text
    assert "secret" not in caplog.text
    assert "/fail" not in caplog.text


def test_closing_ends_every_connection_and_the_port(loop: EventLoop) -> None:
    own = Echo(loop)
    with own.line() as waiting, own.line() as idle:
        waiting.send(_get("/never"))
        wait_until(lambda: own.asked)

        own.stop()

        for line in (waiting, idle):
            with pytest.raises((EOFError, ConnectionResetError)):
                line.hear()
    with pytest.raises(ConnectionRefusedError):
        own.line()


def test_a_loop_that_stops_ends_what_runs_on_it() -> None:
    loop = EventLoop()
    ended = threading.Event()

    async def run_for_ever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = _in_a_thread(lambda: loop.run(run_for_ever()))
    time.sleep(0.05)

    loop.stop()

    assert ended.is_set()
    waiting.join(5)
    assert not waiting.is_alive()


def _in_a_thread(what: Callable[[], object]) -> threading.Thread:
    pool = ThreadPoolExecutor(1)
    thread = threading.Thread(target=pool.submit(what).exception, daemon=True)
    thread.start()
    pool.shutdown(wait=False)
    return thread
