"""Kept-alive HTTP connections to one endpoint of AWS: a request goes out in one piece, its whole answer comes back.

On sockets and not on http.client, which reads an answer's headers with the parser of e-mails: eight times the work of
reading the whole answer here, and half of what a call costs in all.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from ssl import SSLContext

_LONGEST_HEAD = 65_536
_AT_ONCE = 65_536
_PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """Nobody knows whether the request was carried out. Its text names what happened and holds nothing of what was
    sent."""

    def __init__(self, what: str, *, is_timeout: bool = False) -> None:
        super().__init__(what)
        self.is_timeout = is_timeout


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)


class Endpoint:
    """Any number of threads may share it; each has a connection to itself while it waits for its answer."""

    def __init__(
        self,
        url: str,
        *,
        connect_seconds: float,
        read_seconds: float,
        most_kept: int,
        ca_file: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("an endpoint is an http or https URL")
        self._name = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._is_secure = parts.scheme == "https"
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._most_kept = most_kept
        self._ca_file = ca_file
        self._kept: list[_Connection] = []
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.host = host if self._port == _PORTS[parts.scheme] else f"{host}:{self._port}"
        self.path = quote(parts.path) or "/"

    def exchange(self, request: bytes) -> HttpAnswer:
        """Raises NoAnswer and nothing else. A connection that the other side gave up while it lay idle is replaced."""
        connection = self._take_kept()
        if connection:
            try:
                return self._exchange(connection, request)
            except _GivenUp:
                self.close()  # Those that lay beside it had no better fate, above all where a Lambda was frozen.
        try:
            return self._exchange(self._connect(), request)
        except _GivenUp:
            raise NoAnswer(f"{self.host}: closed without an answer") from None

    def close(self) -> None:
        """What is kept; a connection in use is closed or kept by whoever uses it."""
        while self._kept:
            with suppress(IndexError):  # Another thread took it.
                self._kept.pop().close()

    def _take_kept(self) -> _Connection | None:
        while True:
            try:
                connection = self._kept.pop()  # The last one used: the others may grow old and be closed.
            except IndexError:
                return None
            if connection.is_silent():
                return connection
            connection.close()

    def _exchange(self, connection: _Connection, request: bytes) -> HttpAnswer:
        try:
            answer, may_be_kept = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if may_be_kept and len(self._kept) < self._most_kept:
            self._kept.append(connection)
        else:
            connection.close()
        return answer

    def _connect(self) -> _Connection:
        try:
            wire = socket.create_connection((self._name, self._port), self._connect_seconds)
            try:
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._is_secure:
                    wire = _tls(self._ca_file).wrap_socket(wire, server_hostname=self._name)
                wire.settimeout(self._read_seconds)
            except BaseException:
                wire.close()
                raise
        except (OSError, ValueError) as error:  # ValueError: a name that is none, in idna's eyes.
            raise NoAnswer(
                f"{self.host}: not connected, {type(error).__name__}", is_timeout=isinstance(error, TimeoutError)
            ) from None
        return _Connection(wire, self.host)


class _GivenUp(Exception):
    """Closed by the other side before it said a word."""


class _Connection:
    def __init__(self, wire: socket.socket, host: str) -> None:
        self._wire = wire
        self._host = host
        self._received = bytearray()
        self._has_begun = False  # to answer
        self._poll = select.poll()
        self._poll.register(wire, select.POLLIN)

    def close(self) -> None:
        self._wire.close()

    def is_silent(self) -> bool:
        """An idle connection has nothing to say but that it is over."""
        return not self._poll.poll(0)

    def exchange(self, request: bytes) -> tuple[HttpAnswer, bool]:
        """The answer, and whether the connection may be used again."""
        self._has_begun = False
        try:
            self._wire.sendall(request)
            return self._answer()
        except TimeoutError:
            raise NoAnswer(f"{self._host}: timed out", is_timeout=True) from None
        except (EOFError, OSError) as error:
            if not self._has_begun:
                raise _GivenUp from None
            raise NoAnswer(f"{self._host}: broken within the answer, {type(error).__name__}") from None
        except (ValueError, IndexError):
            raise NoAnswer(f"{self._host}: the answer is not HTTP") from None

    def _answer(self) -> tuple[HttpAnswer, bool]:
        version, status, headers = self._head()
        while status < 200:  # It says nothing yet, and the answer follows.
            version, status, headers = self._head()
        if status in (204, 304):
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        elif "content-length" in headers:
            body = self._take(_length(headers["content-length"]))
        else:
            body = self._rest()  # And so does the connection, which is seen before it is used again.
        wishes = headers.get("connection", "").lower()
        stays = "close" not in wishes and (version == "HTTP/1.1" or "keep-alive" in wishes)
        return HttpAnswer(status, headers, body), stays and not self._received

    def _head(self) -> tuple[str, int, dict[str, str]]:
        received = self._received
        while (end := received.find(b"\r\n\r\n")) < 0:
            if len(received) > _LONGEST_HEAD:
                raise ValueError
            self._more()
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        version, code, *_ = first.split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3:
            raise ValueError
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError
            headers[name.lower()] = value.strip(" \t")
        status = _length(code)
        del received[: end + 4]
        return version, status, headers

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := _length(self._line().partition(b";")[0].decode("latin-1").strip(), 16):
            body += self._take(size)
            if self._line():
                raise ValueError
        while self._line():
            pass  # Trailers, up to the empty line.
        return bytes(body)

    def _line(self) -> bytes:
        while (end := self._received.find(b"\r\n")) < 0:
            if len(self._received) > _LONGEST_HEAD:
                raise ValueError
            self._more()
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _rest(self) -> bytes:
        while some := self._wire.recv(_AT_ONCE):
            self._received += some
        return self._take(len(self._received))

    def _more(self) -> None:
        some = self._wire.recv(_AT_ONCE)
        if not some:
            raise EOFError
        self._has_begun = True
        self._received += some


def _length(digits: str, base: int = 10) -> int:
    if not (digits.isascii() and digits.isalnum()):  # Python takes signs, blanks and underscores for part of a number.
        raise ValueError
    return int(digits, base)


@cache
def _tls(ca_file: str | None) -> SSLContext:
    """One for all connections: making it reads hundreds of certificates."""
    import ssl

    # Not create_default_context: it lets SSLKEYLOGFILE write out session keys, and from 3.13 on refuses authorities
    # that botocore takes (VERIFY_X509_STRICT). This kind verifies chain and name too.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authorities = ca_file or _trusted_by_botocore()
    if authorities:
        context.load_verify_locations(authorities)
    else:
        context.load_default_certs()
    return context


def _trusted_by_botocore() -> str | None:
    """Its list of authorities, which lies in every runtime; found without importing it."""
    found = find_spec("botocore")
    return str(Path(found.origin).with_name("cacert.pem")) if found and found.origin else None
