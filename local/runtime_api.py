"""The Lambda Runtime API towards one worker, as the real client speaks it: next, response, error, init error."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from uuid import uuid4

_ANSWERED = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)")
_NEXT = "/2018-06-01/runtime/invocation/next"
_INIT_ERROR = "/2018-06-01/runtime/init/error"


@dataclass(frozen=True, slots=True)
class Answer:
    payload: bytes
    failed: bool


@dataclass(slots=True)
class Invocation:
    function_arn: str
    payload: bytes
    timeout: float
    request_id: str = field(default_factory=lambda: str(uuid4()))
    handed_over: threading.Event = field(default_factory=threading.Event)
    answer: Future[Answer] = field(default_factory=Future)

    def settle(self, answer: Answer) -> None:
        """The first answer counts: a killed worker's last word and the news of its death may cross."""
        with contextlib.suppress(InvalidStateError):
            self.answer.set_result(answer)
        self.handed_over.set()


class RuntimeApi:
    """Listens on a port of its own, so that whoever calls is known by where it calls."""

    def __init__(self) -> None:
        self.init_error: bytes | None = None
        self._inbox: SimpleQueue[Invocation | None] = SimpleQueue()
        self._current: Invocation | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="runtime-api", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def hand_over(self, invocation: Invocation) -> None:
        self._inbox.put(invocation)

    def close(self) -> None:
        self._inbox.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next(self) -> Invocation | None:
        invocation = self._inbox.get()
        if invocation is None:
            self._inbox.put(None)  # for whoever asks again
            return None
        self._current = invocation
        return invocation

    def answered(self, request_id: str, payload: bytes, *, failed: bool) -> bool:
        invocation = self._current
        if invocation is None or invocation.request_id != request_id or invocation.answer.done():
            return False
        self._current = None
        invocation.settle(Answer(payload, failed))
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a worker may hang in `next`; it is ended by ending its process
    api: RuntimeApi

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that was killed leaves a broken connection behind. That is news only to its invocation."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def do_GET(self) -> None:
        invocation = self.server.api.next() if self.path == _NEXT else None
        if invocation is None:
            self._reply(404 if self.path != _NEXT else 410, b"{}")
            return
        deadline = time.time() + invocation.timeout
        invocation.handed_over.set()
        self._reply(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]};Sampled=0",
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == _INIT_ERROR:
            self.server.api.init_error = body
            self._reply(202, b'{"status":"OK"}')
        elif match := _ANSWERED.fullmatch(self.path):
            known = self.server.api.answered(match[1], body, failed=match[2] == "error")
            self._reply(202 if known else 400, b'{"status":"OK"}' if known else b'{"errorType":"InvalidRequestID"}')
        else:
            self._reply(404, b"{}")

    def log_message(self, *args: object) -> None:
        """Nobody reads who asked for what."""

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
