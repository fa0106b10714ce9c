"""HTTP/1.1 under httpx's interface, where a timeout is what is left of the whole call and not of one chunk.

httpx's own transport starts its read timeout anew with every byte, so a server that drips its answer holds a call for
as long as it likes. Here the clock is read before every step: waiting for a place, looking up the name, connecting, the
TLS handshake, every send and every receive. h11, which httpx brings along, reads and writes the messages.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections import defaultdict
from concurrent.futures import Future
from select import POLLIN, poll
from socket import AI_NUMERICHOST, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, gaierror, getaddrinfo, socket
from typing import Any, cast

import certifi
import h11
import httpx

HEADERS_CAP = 16 * 1024
ANSWER_CAP = "smsgate_answer_cap"
"""The extension of a request by which it may have a longer answer than others."""

_RECEIVE = 64 * 1024
_DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})

Origin = tuple[str, str, int]
_Address = tuple[Any, ...]  # what getaddrinfo gives, family first and socket address last


class NameNotResolved(httpx.ConnectError):
    """No address for the host's name, or none in time."""


class TlsFailed(httpx.ConnectError):
    """The other end does not speak TLS as we want it, or cannot prove who it is."""


class AnswerTooLarge(httpx.RemoteProtocolError):
    """More of an answer than any provider has reason to give."""


class DeadlineTransport(httpx.BaseTransport):
    """Keeps idle connections for a moment, retries nothing, and asks no proxy. Any number of threads may share it.

    Raises, with a fixed text that names no address: `ConnectError`, `ConnectTimeout`, `PoolTimeout`,
    `UnsupportedProtocol` and `LocalProtocolError` before the first byte of the request, anything else from then on.
    """

    def __init__(
        self,
        *,
        answer_cap: int = 64 * 1024,
        connections: int = 100,
        idle_seconds: float = 5.0,
        ca_file: str | None = None,
    ) -> None:
        self._answer_cap = answer_cap
        self._ca_file = ca_file
        self._places = threading.BoundedSemaphore(connections)
        self._idle = _Idle(idle_seconds)
        self._names = _Names()
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The request's timeouts all count from now: `connect` for reaching the server, `read` for everything."""
        started = time.monotonic()
        limits = request.extensions["timeout"]
        deadline = started + limits["read"]
        connect_by = min(deadline, started + limits["connect"])
        content = request.read()
        if not self._places.acquire(timeout=max(0.0, connect_by - time.monotonic())):
            raise httpx.PoolTimeout("no connection came free in time")
        try:
            origin = _origin_of(request.url)
            connection = self._idle.take(origin) or self._connect(origin, connect_by)
            try:
                cap = request.extensions.get(ANSWER_CAP, self._answer_cap)
                response = connection.exchange(request, content, deadline, cap)
            except BaseException:
                connection.close()
                raise
            if connection.rest():
                self._idle.put(origin, connection)
            else:
                connection.close()
            return response
        finally:
            self._places.release()

    def close(self) -> None:
        self._idle.clear()

    def _connect(self, origin: Origin, deadline: float) -> _Connection:
        scheme, host, port = origin
        try:
            wire = self._open(host, port, deadline)
            try:
                wire.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                return _Connection(self._secured(wire, host, deadline) if scheme == "https" else wire)
            except BaseException:
                wire.close()
                raise
        except httpx.TransportError:
            raise
        except Exception:  # No file descriptor, no thread, no certificates: whatever it is, nothing was written.
            raise httpx.ConnectError("no connection could be made") from None

    def _open(self, host: str, port: int, deadline: float) -> socket:
        addresses = self._names.addresses(host, port, deadline)
        failure: httpx.TransportError = httpx.ConnectError("the name has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            # An address that swallows our packets must leave time for the next one.
            share = _left(deadline, httpx.ConnectTimeout) / (len(addresses) - tried)
            wire = socket(family, kind, protocol)
            try:
                wire.settimeout(share)
                wire.connect(address)
            except TimeoutError:
                failure = httpx.ConnectTimeout("no connection in time")
            except OSError:
                failure = httpx.ConnectError("connection refused or unreachable")
            else:
                return wire
            wire.close()
        raise failure

    def _secured(self, wire: socket, host: str, deadline: float) -> ssl.SSLSocket:
        context = self._tls_context()
        wire.settimeout(_left(deadline, httpx.ConnectTimeout))
        try:
            # A ragged end must not look like the end of an answer that has no length (RFC 9112, section 9.8).
            return context.wrap_socket(wire, server_hostname=host, suppress_ragged_eofs=False)
        except TimeoutError:
            raise httpx.ConnectTimeout("no TLS in time") from None
        except (
            OSError,
            ValueError,
        ):  # SSLError and CertificateError are OSErrors; ValueError: a name no certificate has
            raise TlsFailed("no TLS with this server") from None

    def _tls_context(self) -> ssl.SSLContext:
        with self._tls_lock:
            if self._tls is None:
                # Not create_default_context: it lets SSLKEYLOGFILE write out session keys, and from 3.13 on refuses
                # older but valid certificate authorities (VERIFY_X509_STRICT). This kind verifies chain and name too.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.set_alpn_protocols(["http/1.1"])
                context.load_verify_locations(self._ca_file or certifi.where())
                self._tls = context
            return self._tls


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, wire: socket) -> None:
        self._wire = wire
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_CAP)
        self._poll = poll()
        self._poll.register(wire, POLLIN)
        self.rested_at = 0.0

    def exchange(self, request: httpx.Request, content: bytes, deadline: float, cap: int) -> httpx.Response:
        self._send(self._rendered(request, content), deadline)
        try:
            return self._receive(request, deadline, cap)
        except h11.RemoteProtocolError:
            raise httpx.RemoteProtocolError("not HTTP, or not all of it") from None

    def rest(self) -> bool:
        """Whether it can carry another request; it then waits for one."""
        if (
            self._http.our_state is not h11.DONE
            or self._http.their_state is not h11.DONE
            or self._http.trailing_data[0]
        ):
            return False
        self._http.start_next_cycle()
        self.rested_at = time.monotonic()
        return True

    def is_quiet(self) -> bool:
        """Nothing to read. An idle connection that is readable was closed, or says what nobody asked."""
        return not self._poll.poll(0)

    def close(self) -> None:
        self._wire.close()

    def _rendered(self, request: httpx.Request, content: bytes) -> bytes:
        try:
            head = h11.Request(
                method=request.method.encode("ascii"), target=request.url.raw_path, headers=request.headers.raw
            )
            parts = [self._http.send(head), self._http.send(h11.Data(data=content)) if content else b""]
            parts.append(self._http.send(h11.EndOfMessage()))
        except h11.LocalProtocolError:
            raise httpx.LocalProtocolError("a request that is no HTTP") from None
        return b"".join(part for part in parts if part)

    def _send(self, request: bytes, deadline: float) -> None:
        self._wire.settimeout(_left(deadline, httpx.ConnectTimeout))  # Still nothing written.
        rest = memoryview(request)
        try:
            while True:
                rest = rest[self._wire.send(rest) :]
                if not rest:
                    return
                self._wire.settimeout(_left(deadline, httpx.WriteTimeout))
        except TimeoutError:
            raise httpx.WriteTimeout("not all written in time") from None
        except OSError:
            raise httpx.WriteError("closed while writing") from None

    def _receive(self, request: httpx.Request, deadline: float, cap: int) -> httpx.Response:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            left = _left(deadline, httpx.ReadTimeout)
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(self._read(left))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > cap:
                    raise AnswerTooLarge("more than the cap")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return _response(request, head, bytes(body), cap)
            elif not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("closed, or switched to something else, before the answer")

    def _read(self, seconds: float) -> bytes:
        self._wire.settimeout(seconds)
        try:
            return self._wire.recv(_RECEIVE)
        except TimeoutError:
            raise httpx.ReadTimeout("no whole answer in time") from None
        except OSError:
            raise httpx.ReadError("broken while reading") from None


class _Idle:
    """Connections at rest, per origin, the last used first. A stale one is found out before anything is written."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._resting: dict[Origin, list[_Connection]] = defaultdict(list)

    def take(self, origin: Origin) -> _Connection | None:
        while True:
            with self._lock:
                resting = self._resting[origin]
                connection = resting.pop() if resting else None
            if connection is None:
                return None
            if time.monotonic() - connection.rested_at <= self._seconds and connection.is_quiet():
                return connection
            connection.close()

    def put(self, origin: Origin, connection: _Connection) -> None:
        oldest = time.monotonic() - self._seconds
        with self._lock:
            resting = self._resting[origin]
            stale = [other for other in resting[:1] if other.rested_at < oldest]  # One a time is enough to keep up.
            del resting[: len(stale)]
            resting.append(connection)
        for other in stale:
            other.close()

    def clear(self) -> None:
        with self._lock:
            everything = [connection for resting in self._resting.values() for connection in resting]
            self._resting.clear()
        for connection in everything:
            connection.close()


class _Names:
    """Looks names up in a thread of its own, because the resolver cannot be told when to stop; one thread per name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Future[list[_Address]]] = {}

    def addresses(self, host: str, port: int, deadline: float) -> list[_Address]:
        try:
            return getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_NUMERICHOST)
        except (gaierror, UnicodeError):
            pass  # A name, then.
        try:
            return self._lookup(host, port).result(timeout=_left(deadline, httpx.ConnectTimeout))
        except TimeoutError:
            raise NameNotResolved("no address in time") from None
        except (OSError, UnicodeError):
            raise NameNotResolved("no such name") from None

    def _lookup(self, host: str, port: int) -> Future[list[_Address]]:
        with self._lock:
            answer = self._under_way.get((host, port))
            if answer is None:
                answer = Future()
                threading.Thread(target=self._answer, args=(host, port, answer), daemon=True).start()
                self._under_way[host, port] = answer
            return answer

    def _answer(self, host: str, port: int, answer: Future[list[_Address]]) -> None:
        try:
            found: list[_Address] = getaddrinfo(host, port, type=SOCK_STREAM)
        except Exception as error:  # Whatever it is, those who wait must hear of it.
            self._settled(host, port)
            answer.set_exception(error)
        else:
            self._settled(host, port)
            answer.set_result(found)

    def _settled(self, host: str, port: int) -> None:
        with self._lock:
            del self._under_way[host, port]


def _origin_of(url: httpx.URL) -> Origin:
    if url.scheme not in ("http", "https") or not url.host:
        raise httpx.UnsupportedProtocol("neither http nor https, or no host")
    return url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


def _left(deadline: float, over: type[httpx.TimeoutException]) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise over("the time for this call is over")
    return seconds


def _response(request: httpx.Request, head: h11.Response, body: bytes, cap: int) -> httpx.Response:
    headers = httpx.Headers(cast("list[tuple[bytes, bytes]]", list(head.headers)))
    coding = headers.pop("content-encoding", "identity").strip().lower()  # httpx would unpack without a limit.
    if coding != "identity":
        body = _unpacked(body, coding, cap)
    return httpx.Response(head.status_code, headers=headers, content=body, request=request)


def _unpacked(body: bytes, coding: str, cap: int) -> bytes:
    """We asked for the plain answer, but a server that packs it all the same has taken the message all the same."""
    if coding not in _DECODABLE:
        raise httpx.RemoteProtocolError("an answer in a coding nobody asked for")
    unpacker = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip or zlib, whichever it is.
    try:
        plain = unpacker.decompress(body, cap + 1)
    except zlib.error:
        raise httpx.RemoteProtocolError("an answer that cannot be unpacked") from None
    if len(plain) > cap:
        raise AnswerTooLarge("more than the cap once unpacked")
    if not unpacker.eof:
        raise httpx.RemoteProtocolError("an answer cut short")
    return plain
