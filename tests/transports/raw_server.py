"""A server that does to a connection exactly what a test says, byte by byte, and counts what it saw."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Conversation:
    """One accepted connection."""

    wire: socket.socket
    number: int  # of the connection, from 0
    server: RawServer
    _buffer: bytes = field(default=b"", repr=False)

    def hear(self) -> bytes | None:
        """The next complete request, counted; None where the caller went away before it was complete."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self._buffer[: end + 2])
        whole = end + 4 + (int(length[1]) if length else 0)
        while len(self._buffer) < whole:
            if not self._more():
                return None
        request, self._buffer = self._buffer[:whole], self._buffer[whole:]
        self.server.requests.append(request)
        return request

    def requests(self) -> Iterator[bytes]:
        while request := self.hear():
            yield request

    def say(self, *parts: bytes, every: float = 0.0) -> None:
        for part in parts:
            self.wire.sendall(part)
            if every and self.server.stopping.wait(every):
                return

    def drip(self, answer: bytes, every: float) -> None:
        self.say(*(answer[at : at + 1] for at in range(len(answer))), every=every)

    def stay_silent(self) -> None:
        self.server.stopping.wait(30)

    def reset(self) -> None:
        """Closes with RST, as a crashing server or an impatient firewall does."""
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.close()

    def _more(self) -> bool:
        received = self.wire.recv(65536)
        self._buffer += received
        return bool(received)


class RawServer:
    def __init__(self, script: Callable[[Conversation], None], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.accepted = 0
        self.stopping = threading.Event()
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/sms/send.asp"

    def close(self) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "the server never got there"
            time.sleep(0.002)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number, self.accepted = self.accepted, self.accepted + 1
                threading.Thread(target=self._converse, args=(wire, number), daemon=True).start()

    def _converse(self, wire: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self._tls:
                wire = self._tls.wrap_socket(wire, server_side=True)
        with wire, suppress(OSError):
            self._script(Conversation(wire, number, self))


def answer(body: bytes = b"statuscode=0", status: bytes = b"200 OK", *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body])
