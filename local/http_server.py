"""A small HTTP/1.1 server on an asyncio loop: requests in, responses out, in order and byte for byte.

It costs little enough that two thousand requests a second leave most of a processor to the rest of the gateway.
Nothing that a request holds is ever printed: a path holds a token, a query a number.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

_logger = logging.getLogger(__name__)

_BACKLOG = 1024
_LINGERING_SECONDS = 2.0
"""A refused body is still read for so long: closing on what is unread would take the answer back."""

_MOST_WAITING = 16
"""Requests of one connection. With more of them it is read no further until they are answered."""

_FRAMING = frozenset({"connection", "content-length", "date", "transfer-encoding"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    source_ip: str = "127.0.0.1"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Response:
    """Its headers hold nothing that HTTP could not carry; how long the body is and the like is added by the server."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes: of the request line and the headers' values together, and of the body."""

    head: int
    body: int


Answer = Callable[[Request], "Response | asyncio.Future[Response]"]
"""A future of its own for each request: it is cancelled when whoever asked breaks the connection."""

Refuse = Callable[[int], Response]


def listen(port: int = 0) -> socket.socket:
    """Bound, so that its port is known; who connects before a server is there waits."""
    return socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)


class HttpServer:
    """`refuse` makes the response with a status of 400, 413 or 431 to what cannot be read or is too much, and of 500
    when `answer` fails."""

    def __init__(self, listener: socket.socket, answer: Answer, limits: Limits, refuse: Refuse = Response) -> None:
        self.answer = answer
        self.limits = limits
        self.refuse = refuse
        self.connections: set[_Connection] = set()
        self._listener = listener
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self._listener, backlog=_BACKLOG)

    def close(self) -> None:
        """On the loop. Nobody is answered any more, and nobody who is being answered hears the end of it."""
        if self._server is None:
            self._listener.close()
        else:
            self._server.close()
        for connection in tuple(self.connections):
            connection.abort()


@dataclass(frozen=True, slots=True)
class _Turn:
    """Something to be answered, when all before it has been."""

    asked: Request | Response  # what was refused already has its response
    method: str
    connection: str  # the header's value: `close` when this is the last


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = HttpRequestParser(self)
        self._turns: deque[_Turn] = deque()
        self._answering: asyncio.Future[Response] | None = None
        self._source_ip = ""
        self._in_head = False
        self._head_bytes = 0
        self._expects_continue = False
        self._no_more = False  # is read: refused, asked to close, or at the end
        self._at_end = False  # of what the client sends
        self._reading = True
        self._writable = True

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # of a stream, though it does not inherit it
        self._source_ip = str((transport.get_extra_info("peername") or [""])[0])
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._turns.clear()
        self._no_more = True
        if self._answering is not None:
            self._answering.cancel()

    def eof_received(self) -> bool:
        """Whoever has said everything may still be waiting for answers."""
        self._no_more = self._at_end = True
        return self._has_turns

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._answering is None:
            self._answer_next()

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        while data and not self._no_more:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = self._head_without_offer() + data[upgrade.args[0] :]
                self._parser = HttpRequestParser(self)
            except HttpParserError:
                self._refuse(400)
        if was_in_head and self._in_head:
            # The parser keeps the beginning of a header until its end is there.
            self._head_bytes += len(data)
            self._check_head(self._head_bytes)
        if not self._has_turns:
            self._continue()
        elif len(self._turns) > _MOST_WAITING and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def abort(self) -> None:
        self._transport.abort()

    # What the parser tells. Once nothing more is read, it may be at the rest of what had come already.

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = self._body_bytes = 0
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self._target)
        for name, value in self._headers:
            size += len(value)
            match name.lower():
                case "content-length":
                    # The parser has seen that it is a number.
                    self._check_body(int(value))
                case "expect":
                    self._expects_continue = value.lower() == "100-continue" and not self._no_more
        self._check_head(size)

    def on_body(self, part: bytes) -> None:
        self._expects_continue = False
        self._body_bytes += len(part)
        self._check_body(self._body_bytes)
        if not self._no_more:
            self._body.append(part)

    def on_message_complete(self) -> None:
        self._expects_continue = False
        if self._no_more or self._parser.should_upgrade():
            return
        method = self._parser.get_method().decode("latin-1")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(method, self._target.decode("latin-1"), self._headers, body, self._source_ip)
        if not self._parser.should_keep_alive():
            self._no_more = True
            self._take_turn(_Turn(request, method, "close"))
        else:
            self._take_turn(_Turn(request, method, "keep-alive" if self._parser.get_http_version() == "1.0" else ""))

    # What becomes of it

    def _head_without_offer(self) -> bytes:
        """The parser stops where another protocol is offered. API Gateway takes no such offer, it takes the request."""
        method = self._parser.get_method().decode("latin-1")
        if method == "CONNECT":  # no offer but an order
            self._refuse(400)
        headers = [f"{name}: {value}" for name, value in self._headers if name.lower() != "upgrade"]
        lines = [f"{method} {self._target.decode('latin-1')} HTTP/{self._parser.get_http_version()}", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _check_head(self, size: int) -> None:
        if size > self._server.limits.head:
            self._refuse(431)

    def _check_body(self, size: int) -> None:
        if size > self._server.limits.body:
            self._refuse(413)

    def _refuse(self, status: int) -> None:
        if not self._no_more:
            self._no_more = True
            self._expects_continue = False
            self._take_turn(_Turn(self._server.refuse(status), "", "close"))

    @property
    def _has_turns(self) -> bool:
        return self._answering is not None or bool(self._turns)

    def _take_turn(self, turn: _Turn) -> None:
        self._turns.append(turn)
        if self._answering is None:
            self._answer_next()

    def _answer_next(self) -> None:
        """And those after it, as long as there is nothing to wait for."""
        while self._turns and self._writable:
            turn = self._turns.popleft()
            response = self._response(turn.asked) if isinstance(turn.asked, Request) else turn.asked
            if not isinstance(response, Response):
                self._answering = response
                response.add_done_callback(partial(self._answered, turn))
                return
            self._write(response, turn)
            if turn.connection == "close":
                self._end()
        if not self._turns:
            self._go_on_reading()

    def _answered(self, turn: _Turn, answer: asyncio.Future[Response]) -> None:
        self._answering = None
        if self._transport.is_closing():
            return
        error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
        self._turns.appendleft(replace(turn, asked=answer.result() if error is None else self._failure(error)))
        self._answer_next()

    def _response(self, request: Request) -> Response | asyncio.Future[Response]:
        try:
            return self._server.answer(request)
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: BaseException) -> Response:
        # Not its message, which may hold what was asked.
        where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        _logger.error("a request was not answered: %s in %s", type(error).__name__, where[-1] if where else "nowhere")
        return self._server.refuse(500)

    def _go_on_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._at_end:
            self._transport.close()
        elif not self._no_more:
            self._continue()

    def _write(self, response: Response, turn: _Turn) -> None:
        status, body = response.status, response.body
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}", f"date: {_date(int(time.time()))}"]
        lines += [f"{name}: {value}" for name, value in response.headers if name.lower() not in _FRAMING]
        if turn.connection:
            lines.append(f"connection: {turn.connection}")
        if status in {204, 304}:
            body = b""
        else:
            lines.append(f"content-length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._transport.write(head if turn.method == "HEAD" else head + body)

    def _continue(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            self._transport.write(_CONTINUE)

    def _end(self) -> None:
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGERING_SECONDS, self._transport.close)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
