"""What lies between the gateway and the providers, without sockets: calls to them, their calls to us, mails both ways.

Where a connection breaks, it breaks with the exceptions of `smstransports.sockets`, so that the transports classify
here what they classify in production.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email import message_from_bytes
from email.utils import parseaddr
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import httpx

from local.simulators.base import (
    Closes,
    Cut,
    Drips,
    Hangs,
    HttpAnswer,
    HttpCall,
    HttpSimulator,
    Late,
    Leaves,
    Says,
    Simulator,
)
from local.simulators.base import Fault as OnTheirSide
from local.simulators.meteorsis import Meteorsis
from smstransports.sockets import ANSWER_CAP, AnswerTooLarge, NameNotResolved, TlsFailed
from tests.world.faults import BadCertificate, Fault, Kill, Lost, NoSuchName, Slow, Twice, Unavailable
from tests.world.kernel import Kernel, Process

_TO_PROVIDER = (0.02, 0.3)
_FROM_PROVIDER = (0.02, 0.6)
_CALLBACK = (0.01, 0.3)


class Steps(Protocol):
    def step(self, moment: Any, service: str, operation: str, subject: str) -> Fault | None: ...
    def takes(self, least: float, most: float) -> None: ...
    def sleep(self, seconds: float) -> None: ...
    def die(self) -> NoReturn: ...


class Network:
    def __init__(self, kernel: Kernel, steps: Steps, mail_takes: Callable[[], float]) -> None:
        self.offline: set[str] = set()  # providers that nobody reaches
        self.simulators: dict[str, Simulator] = {}
        self.answer_gateway: Callable[[str, str, bytes, dict[str, str]], tuple[int, bytes, str]]
        self._kernel = kernel
        self._steps = steps
        self._mail_takes = mail_takes

    def host(self, simulator: Simulator) -> str:
        return f"{simulator.key}.example"

    def simulator_at(self, host: str) -> Simulator:
        return self.simulators[host.removesuffix(".example")]

    # To providers, by mail: SES takes it, and carries it there in its own time

    def carry_mail(self, sender: str, recipient: str, raw: bytes) -> None:
        simulator = next(each for each in self.simulators.values() if isinstance(each, Meteorsis))

        def arrive() -> None:
            if simulator.key in self.offline:
                self._kernel.after(60, arrive)  # SES tries again.
                return
            fault = simulator.next_fault("send")
            if fault is None or fault.carried_out:
                simulator.receive(sender, raw)

        self._kernel.after(self._mail_takes(), arrive)


class VirtualTransport(httpx.BaseTransport):
    """In the place of `DeadlineTransport`: one request to a simulator in this process."""

    network: Network  # set by the world
    steps: Steps
    kernel: Kernel

    def __init__(self, *, answer_cap: int = 64 * 1024, **_: Any) -> None:
        self._answer_cap = answer_cap

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limits = request.extensions["timeout"]
        started = self.kernel.elapsed
        simulator = self.network.simulator_at(request.url.host)
        if not isinstance(simulator, HttpSimulator):
            raise NameNotResolved("no such name")
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = HttpCall(request.method, path, query, request.read(), headers)
        operation = f"{simulator.key}.{simulator.operation(call)}"
        before = self.steps.step("before", "wire", operation, simulator.key)
        injected = self._reach(simulator, before, limits["connect"])
        self.steps.takes(*_TO_PROVIDER)
        fault = injected or simulator.next_fault(operation.partition(".")[2])
        answer = simulator.answer(call) if fault is None or fault.carried_out else HttpAnswer(b"")
        response = self._heard(answer, fault, started + limits["read"], request)
        after = self.steps.step("after", "wire", operation, simulator.key)
        self._brought_back(after, started + limits["read"])
        return response

    def _reach(self, simulator: Simulator, fault: Fault | None, connect_seconds: float) -> OnTheirSide | None:
        """What will go wrong on their side; or what goes wrong before anything is there."""
        if isinstance(fault, OnTheirSide):
            return fault
        if isinstance(fault, Kill):
            self.steps.die()
        if isinstance(fault, Unavailable) or simulator.key in self.network.offline:
            raise httpx.ConnectError("connection refused or unreachable")
        match fault:
            case None:
                pass
            case NoSuchName():
                raise NameNotResolved("no such name")
            case BadCertificate():
                raise TlsFailed("no TLS with this server")
            case Slow(seconds) if seconds >= connect_seconds:
                self.steps.sleep(connect_seconds)
                raise httpx.ConnectTimeout("no connection in time")
            case Slow(seconds):
                self.steps.sleep(seconds)
            case _:
                raise TypeError(f"{fault} has no meaning before a call")
        return None

    def _brought_back(self, fault: Fault | None, deadline: float) -> None:
        match fault:
            case None:
                pass
            case Kill():
                self.steps.die()
            case Lost():
                self._silence(deadline)
            case Slow(seconds):
                self._pause(seconds, deadline)
            case _:
                raise TypeError(f"{fault} has no meaning after a call")

    def _heard(
        self, answer: HttpAnswer, fault: OnTheirSide | None, deadline: float, request: httpx.Request
    ) -> httpx.Response:
        self.steps.takes(*_FROM_PROVIDER)
        match fault:
            case None | Leaves():
                pass
            case Says():
                answer = HttpAnswer(fault.body, fault.status, fault.content_type, fault.headers)
            case Cut(on_the_wire=True):
                raise httpx.RemoteProtocolError("not HTTP, or not all of it")
            case Cut(at=at):
                answer = HttpAnswer(answer.body[:at], answer.status, answer.content_type)
            case Hangs(seconds=seconds):
                if seconds is not None:
                    self._pause(seconds, deadline)
                    raise httpx.RemoteProtocolError("closed, or switched to something else, before the answer")
                self._silence(deadline)
            case Closes():
                raise httpx.RemoteProtocolError("closed, or switched to something else, before the answer")
            case Late(seconds=late):
                self._pause(late, deadline)
            case Drips(seconds_a_byte=each):
                self._pause(each * len(answer.body), deadline)
            case _:
                raise TypeError(f"{type(fault).__name__} has no meaning on HTTP")
        if len(answer.body) > request.extensions.get(ANSWER_CAP, self._answer_cap):
            raise AnswerTooLarge("more than the cap")
        if self.kernel.elapsed > deadline:
            self._silence(deadline)
        headers = {"content-type": answer.content_type, **dict(answer.headers)}
        return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)

    def _pause(self, seconds: float, deadline: float) -> None:
        left = deadline - self.kernel.elapsed
        if seconds >= left:
            self._silence(deadline)
        self.steps.sleep(seconds)

    def _silence(self, deadline: float) -> NoReturn:
        self.steps.sleep(max(0.0, deadline - self.kernel.elapsed))
        raise httpx.ReadTimeout("no whole answer in time")


class Surroundings:
    """What one simulator lives on: the world's time, and its network."""

    def __init__(self, kernel: Kernel, network: Network, steps: Steps, key: str) -> None:
        self._kernel = kernel
        self._network = network
        self._steps = steps
        self._process = Process(key)
        self._jobs: list[tuple[Callable[[], float], Callable[[], None]]] = []

    def now(self) -> datetime:
        return self._kernel.now

    def at(self, when: Callable[[], float], job: Callable[[], None]) -> None:
        due = [False]

        def look() -> None:
            left = when()
            if due[0]:
                return
            if left <= 0.000001:
                due[0] = True
                self._jobs.remove(entry)
                job()
            else:
                self._kernel.after(left, look)

        entry = (when, look)
        self._jobs.append(entry)
        self._kernel.after(max(0.0, when()), look)

    def look_again(self) -> None:
        for _, look in list(self._jobs):
            self._kernel.after(0, look)

    def begin(self, job: Callable[..., object], *arguments: Any) -> None:
        self._kernel.spawn(self._process.name, lambda: _run(job, *arguments), self._process)

    def pause(self, seconds: float | None) -> None:
        self._kernel.sleep(seconds if seconds is not None else 3600)

    def fetch(self, url: str, data: bytes | None, seconds: float) -> tuple[int | None, bytes, str]:
        """A callback: it may be lost on its way, come late, or be answered to nobody."""
        key = self._process.name
        parts = urlsplit(url)
        what = parts.path.split("/")[1]
        match self._steps.step("before", "callback", key, what):
            case None:
                pass
            case Unavailable():
                return None, b"", ""
            case Slow(wait):
                self._kernel.sleep(wait)
            case Twice(wait):
                self._kernel.spawn(key, lambda: self._again(wait, url, data), self._process)
            case other:
                raise TypeError(f"{other} has no meaning before a callback")
        self._steps.takes(*_CALLBACK)
        method = "GET" if data is None else "POST"
        headers = {} if data is None else {"content-type": "application/x-www-form-urlencoded"}
        status, body, content_type = self._network.answer_gateway(method, url, data or b"", headers)
        self._steps.takes(*_CALLBACK)
        match self._steps.step("after", "callback", key, what):
            case None:
                return status, body, content_type
            case Lost():
                return None, b"", ""
            case other:
                raise TypeError(f"{other} has no meaning after a callback")

    def _again(self, seconds: float, url: str, data: bytes | None) -> None:
        self._kernel.sleep(seconds)
        self.fetch(url, data, 10.0)


def _run(job: Callable[..., object], *arguments: Any) -> None:
    job(*arguments)


def sender_and_recipient(raw: bytes) -> tuple[str, str]:
    mail = message_from_bytes(raw)
    return parseaddr(str(mail["From"]))[1], parseaddr(str(mail["To"]))[1]
