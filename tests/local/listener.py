"""A gateway for pretended providers to call, which answers as it is told; and a plain call to such a provider."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Heard:
    """A call that came, byte for byte."""

    method: str
    path: str  # with its query
    body: bytes
    content_type: str

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        assert self.content_type == FORM
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))


class Listener:
    """Somebody who waits for calls. `answer`, where it is set, makes the body of the call it answers."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.status = 200
        self.content_type = "text/plain; charset=utf-8"
        self.answer: Callable[[Heard], str] = lambda heard: ""
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                heard = Heard(self.command, self.path, body, self.headers.get("Content-Type", ""))
                listener.heard.append(heard)
                said = listener.answer(heard).encode()
                self.send_response(listener.status)
                self.send_header("Content-Type", listener.content_type)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def received(self) -> list[str]:
        """The paths, with their queries."""
        return [each.path for each in self.heard]


def raw_call(
    root: str,
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 5.0,
) -> tuple[int, bytes, str]:
    """Status, body and content type of the answer."""
    parts = urlsplit(root)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Content-Type", "")
    finally:
        connection.close()


def call_with_form(root: str, method: str, path: str, form: str, seconds: float = 5.0) -> tuple[int, bytes, str]:
    """As a client that sends the same tags by either method."""
    if method == "POST":
        return raw_call(root, "POST", path, form, {"Content-Type": FORM}, seconds)
    return raw_call(root, method, f"{path}?{form}", seconds=seconds)
