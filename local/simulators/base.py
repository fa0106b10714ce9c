"""What every pretend provider has: phones, the truth of what it took, a time of its own, and faults on demand.

Nothing here knows a vendor. A provider on HTTP says what a call means; the faults scripted for that call decide what
becomes of its answer on the wire.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, ClassVar, Protocol, Self

_log = logging.getLogger(__name__)

HTML = "text/html; charset=utf-8"


# What it remembers


@dataclass(frozen=True, slots=True)
class Submission:
    """A message the provider took: the truth a gateway is measured by."""

    at: datetime
    ref: str
    to: str  # E.164
    text: str
    points: int
    fields: Mapping[str, str]
    due: datetime | None = None  # of a scheduled one


@dataclass(frozen=True, slots=True)
class Shown:
    """A message on a phone."""

    at: datetime
    text: str
    ref: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was read, whatever came of it."""

    at: datetime
    operation: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallbackMade:
    """A call to the gateway, and what it answered; no status where nobody answered."""

    at: datetime
    url: str
    status: int | None
    body: bytes = b""


# What it does besides what it should


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one call. `carried_out`: the provider did what it was asked all the same."""

    carried_out: bool = True


@dataclass(frozen=True, slots=True)
class Says(Fault):
    """Other bytes than the answer: an error page, a redirect, a code that was scripted."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()
    carried_out: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The answer ends at this byte; on the wire its length is still announced as the whole."""

    at: int
    on_the_wire: bool = False


@dataclass(frozen=True, slots=True)
class Hangs(Fault):
    """Reads the request and stays silent, for good or for so many seconds, then closes."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Closes(Fault):
    """Reads the request and closes the connection without a word."""


@dataclass(frozen=True, slots=True)
class Drips(Fault):
    """The answer comes a byte at a time."""

    seconds_a_byte: float = 0.3


@dataclass(frozen=True, slots=True)
class Late(Fault):
    """The right answer, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Leaves(Fault):
    """The right answer, and then the idle connection is closed although it was said to stay open."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a message, so many seconds after it is due. `told`: by a callback, not only to whoever asks."""

    after: float
    status: str
    told: bool = True


Plan = tuple[Step, ...]
"""In the order they happen. Twice the same, a late one that contradicts, none at all: whatever a network may do."""


class Timetable:
    """Does things at their time, one after the other, on a thread of its own."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._jobs: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running = False

    def at(self, when: datetime, job: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._jobs, (when, next(self._order), job))
            self._changed.notify_all()

    def look_again(self) -> None:
        """The time was changed."""
        with self._changed:
            self._changed.notify_all()

    def start(self) -> None:
        self._running = True
        self._thread = threading.Thread(target=self._run, name="timetable", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._running = False
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def _run(self) -> None:
        while True:
            job = self._next()
            if job is None:
                return
            try:
                job()
            except Exception:
                _log.exception("a simulator's job failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while self._running:
                wait = (self._jobs[0][0] - self._now()).total_seconds() if self._jobs else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(min(wait, 60) if wait is not None else None)
            return None


class Surroundings(Protocol):
    """What a simulator lives on where it has no threads and sockets of its own, but those of a test's virtual time."""

    def now(self) -> datetime: ...
    def at(self, when: Callable[[], float], job: Callable[[], None]) -> None:
        """Does it after so many seconds; asked again when the simulator's clock was changed."""

    def look_again(self) -> None: ...
    def begin(self, job: Callable[..., object], *arguments: Any) -> None:
        """Does it beside everything else; it may pause."""

    def pause(self, seconds: float | None) -> None: ...
    def fetch(self, url: str, data: bytes | None, seconds: float) -> tuple[int | None, bytes, str]:
        """Status, body and content type; no status where there was no answer."""


class Simulator(ABC):
    key: ClassVar[str]
    delivered: ClassVar[str]
    """The provider's word for a message that reached its phone."""

    def __init__(self) -> None:
        self.accepted: list[Submission] = []
        self.calls: list[Call] = []
        self.callbacks: list[CallbackMade] = []
        self.phones: dict[str, list[Shown]] = defaultdict(list)
        self.receipts: Plan = (Step(0.2, self.delivered),)
        self._planned: deque[Plan] = deque()
        self._faults: dict[str | None, deque[Fault]] = defaultdict(deque)
        self._lock = threading.RLock()
        self._ahead = timedelta()
        self._timetable = Timetable(self.now)
        self._callers: ThreadPoolExecutor | None = None
        self._surroundings: Surroundings | None = None

    @abstractmethod
    def secret(self) -> dict[str, object]:
        """What the gateway needs to know to call it."""

    @abstractmethod
    def reply(self, phone: str, text: str) -> None:
        """Somebody types an answer on the phone with this number (E.164)."""

    def script(self, *faults: Fault, operation: str | None = None) -> None:
        """What goes wrong with the next calls, one fault each; only with those of one operation where it is named."""
        with self._lock:
            self._faults[operation].extend(faults)

    def plan_receipts(self, *plans: Plan) -> None:
        """What becomes of the next messages, one plan each; after that `receipts` holds again."""
        with self._lock:
            self._planned.extend(plans)

    def live_in(self, surroundings: Surroundings) -> None:
        """Instead of being started: time, sockets and threads are somebody else's."""
        self._surroundings = surroundings

    def now(self) -> datetime:
        return self._time() + self._ahead

    def travel_to(self, moment: datetime) -> None:
        """Its clock shows this moment now, and goes on from there."""
        self._ahead = moment - self._time()
        self._look_again()

    def advance(self, by: timedelta) -> None:
        self._ahead += by
        self._look_again()

    def wait_until(self, condition: Callable[[], object], seconds: float = 5.0) -> bool:
        """True as soon as the condition holds; False where it did not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def start(self) -> None:
        self._callers = ThreadPoolExecutor(8, thread_name_prefix=f"{self.key}-callback")
        self._timetable.start()

    def stop(self) -> None:
        self._timetable.stop()
        if self._callers is not None:
            self._callers.shutdown(cancel_futures=True)
            self._callers = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def next_fault(self, operation: str) -> Fault | None:
        with self._lock:
            for scope in (operation, None):
                if self._faults[scope]:
                    return self._faults[scope].popleft()
        return None

    def _plan(self) -> Plan:
        with self._lock:
            return self._planned.popleft() if self._planned else self.receipts

    def _show(self, to: str, text: str, ref: str) -> None:
        with self._lock:
            self.phones[to].append(Shown(self.now(), text, ref))

    def _call_back(self, url: str, data: bytes | None = None) -> None:
        """GET, or POST a form; a gateway that is slow to answer keeps nobody else waiting."""
        self._begin(self._make_callback, url, data)

    def _make_callback(self, url: str, data: bytes | None) -> None:
        status, body = self._fetch(url, data)
        with self._lock:
            self.callbacks.append(CallbackMade(self.now(), url, status, body))

    # Its own threads and sockets, or its surroundings'

    def _time(self) -> datetime:
        return self._surroundings.now() if self._surroundings else datetime.now(UTC)

    def _at(self, when: datetime, job: Callable[[], None]) -> None:
        if self._surroundings:
            self._surroundings.at(partial(self._seconds_until, when), job)
        else:
            self._timetable.at(when, job)

    def _seconds_until(self, when: datetime) -> float:
        return (when - self.now()).total_seconds()

    def _look_again(self) -> None:
        (self._surroundings or self._timetable).look_again()

    def _begin(self, job: Callable[..., object], *arguments: Any) -> None:
        callers = self._callers
        if self._surroundings:
            self._surroundings.begin(job, *arguments)
        elif callers is not None:
            with suppress(RuntimeError):  # stopped in the meantime
                callers.submit(job, *arguments)

    def _fetch(self, url: str, data: bytes | None = None, seconds: float = 10.0) -> tuple[int | None, bytes]:
        if self._surroundings:
            return self._surroundings.fetch(url, data, seconds)[:2]
        return fetch(url, data, seconds)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def fetch(url: str, data: bytes | None = None, seconds: float = 10.0) -> tuple[int | None, bytes]:
    """Status and body, whatever the status; no status where there was no answer."""
    try:
        with _DIRECT.open(url, data, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, ValueError):
        return None, b""


# HTTP


@dataclass(frozen=True, slots=True)
class HttpCall:
    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    body: bytes
    status: int = 200
    content_type: str = HTML
    headers: tuple[tuple[str, str], ...] = ()


class HttpSimulator(Simulator):
    """A provider that listens on a port of this machine, the same one for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()
        self._port = 0
        self._server: _Server | None = None
        self._stopping = threading.Event()

    @abstractmethod
    def operation(self, call: HttpCall) -> str:
        """One word for what the call wants; faults are scripted by it."""

    @abstractmethod
    def answer(self, call: HttpCall) -> HttpAnswer:
        """Do what the call asks, and say so as the vendor's document does."""

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        super().start()
        self._stopping.clear()
        self.come_back()

    def stop(self) -> None:
        self._stopping.set()
        self.go_offline()
        super().stop()

    def go_offline(self) -> None:
        """Connections are refused, and the open ones closed, until it comes back."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.hang_up()

    def come_back(self) -> None:
        if self._server is None:
            self._server = _Server(self._port, self)
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), name=self.key, daemon=True).start()

    def pause(self, seconds: float | None) -> None:
        """Silence for a scripted fault; it ends when the simulator stops."""
        if self._surroundings:
            self._surroundings.pause(seconds)
        else:
            self._stopping.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, simulator: HttpSimulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def opened(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.discard(connection)

    def hang_up(self) -> None:
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        _log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the library gave it
        """Nothing: a URL may hold a password."""

    def _handle(self) -> None:
        simulator = self.server.simulator
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = HttpCall(self.command, path, query, body, headers)
        fault = simulator.next_fault(simulator.operation(call))
        answer = simulator.answer(call) if fault is None or fault.carried_out else HttpAnswer(b"")
        self._write(answer, fault)

    do_GET = do_POST = do_HEAD = _handle  # noqa: N815 - the names the library gave them

    def _write(self, answer: HttpAnswer, fault: Fault | None) -> None:
        match fault:
            case None:
                self._say(answer)
            case Says():
                self._say(HttpAnswer(fault.body, fault.status, fault.content_type, fault.headers))
            case Cut():
                announced = len(answer.body) if fault.on_the_wire else None
                self._say(HttpAnswer(answer.body[: fault.at], answer.status, answer.content_type), announced)
                self.close_connection = True
            case Hangs():
                self.server.simulator.pause(fault.seconds)
                self.close_connection = True
            case Closes():
                self.close_connection = True
            case Late():
                self.server.simulator.pause(fault.seconds)
                self._say(answer)
            case Drips():
                self._drip(answer, fault.seconds_a_byte)
            case Leaves():
                self._say(answer)
                self.close_connection = True
            case _:
                raise TypeError(f"{type(fault).__name__} has no meaning on HTTP")

    def _say(self, answer: HttpAnswer, announced: int | None = None) -> None:
        self._head(answer, len(answer.body) if announced is None else announced)
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _head(self, answer: HttpAnswer, length: int) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, answer: HttpAnswer, seconds: float) -> None:
        self._head(answer, len(answer.body))
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            self.server.simulator.pause(seconds)
