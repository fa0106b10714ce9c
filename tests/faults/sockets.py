"""A world whose calls to providers go over sockets, by the real transport and under TLS, to the simulators' servers.

For what lies below the World's own network: how an answer drips, how much of it comes, who the server is, whether an
idle connection is still one. A call takes its real time, a fifth of a worker's deadline at most, while the world stands
still; calls that begin within a second of the world's time are made at once.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from socket import getaddrinfo
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx
import trustme

import smstransports.http
import smstransports.soap
import smstransports.sockets
from local.simulators.base import HttpCall, HttpSimulator
from smstransports.sockets import DeadlineTransport
from tests.world.world import World

FASTER = 5
"""How many seconds of a worker's deadline are one here."""

_AT_ONCE = 1.0  # seconds of the world in which calls begin that are made together


@dataclass
class Wires:
    """The sockets of a world."""

    world: World
    servers: dict[str, HttpSimulator]
    certificates: dict[str, ssl.SSLContext]
    pool: ThreadPoolExecutor
    took: list[float] = field(default_factory=list)  # each call, in real seconds
    connections: int = 0

    def prove(self, provider: str, certificate: trustme.LeafCert) -> None:
        """From now on its server shows this certificate."""
        certificate.configure_cert(self.certificates[provider])

    def longest(self) -> float:
        return max(self.took)


def good_certificate(provider: str, *, not_after: datetime | None = None) -> trustme.LeafCert:
    return _authority().issue_cert(_host(provider), not_after=not_after)


@contextmanager
def real_sockets(world: World) -> Iterator[Wires]:
    servers = {key: each for key, each in world.providers.items() if isinstance(each, HttpSimulator)}
    certificates = {key: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for key in servers}
    with ExitStack() as leaves, TemporaryDirectory() as folder, _started(_CALLS_AT_ONCE) as pool:
        wires = Wires(world, servers, certificates, pool)
        ca_file = Path(folder) / "ca.pem"
        _authority().cert_pem.write_to_path(str(ca_file))
        for key, simulator in servers.items():
            wires.prove(key, good_certificate(key))
            _open(wires, simulator)
            leaves.callback(_close, simulator)
        by_cap = {cap: DeadlineTransport(answer_cap=cap, ca_file=str(ca_file)) for cap in _CAPS}
        for transport in by_cap.values():
            leaves.callback(transport.close)

        def outside(answer_cap: int = _CAPS[0]) -> _Outside:
            return _Outside(wires, by_cap[answer_cap])

        def look_up(host: str, port: int, *_: Any, **how: Any) -> Any:
            return getaddrinfo("127.0.0.1", servers[host.removesuffix(".example")]._port, **how)

        for module in (smstransports.http, smstransports.soap):
            leaves.enter_context(patch.object(module, "DeadlineTransport", outside))
        leaves.enter_context(patch.object(smstransports.sockets, "getaddrinfo", look_up))
        yield wires


_CALLS_AT_ONCE = 64
_CAPS = (64 * 1024, smstransports.soap.ANSWER_CAP)


class _Outside(httpx.BaseTransport):
    """The real transport, on a thread of its own."""

    def __init__(self, wires: Wires, transport: DeadlineTransport) -> None:
        self._wires = wires
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        world = self._wires.world
        key = request.url.host.removesuffix(".example")
        operation = f"{key}.{_operation(self._wires.servers[key], request)}"
        limits = request.extensions["timeout"]
        sooner = {name: seconds / FASTER for name, seconds in limits.items() if seconds is not None}
        request.extensions = {**request.extensions, "timeout": sooner}
        world.step("before", "wire", operation, key)
        made = self._wires.pool.submit(_made, self._transport, request)
        world.sleep(_AT_ONCE)
        answer, took = made.result()
        self._wires.took.append(took)
        world.sleep(max(0.0, took * FASTER - _AT_ONCE))
        world.step("after", "wire", operation, key)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _made(transport: DeadlineTransport, request: httpx.Request) -> tuple[httpx.Response | Exception, float]:
    """What came of a call, and how long it took."""
    started = time.monotonic()
    try:
        answer: httpx.Response | Exception = transport.handle_request(request)
    except Exception as error:
        answer = error
    return answer, time.monotonic() - started


def _operation(simulator: HttpSimulator, request: httpx.Request) -> str:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return simulator.operation(HttpCall(request.method, path, query, request.read(), headers))


def _started(workers: int) -> ThreadPoolExecutor:
    """With all of its threads: a task of the world, whose locks are of another kind, must not start one."""
    pool, together = ThreadPoolExecutor(workers), threading.Barrier(workers)
    for future in [pool.submit(together.wait) for _ in range(workers)]:
        future.result()
    return pool


def _open(wires: Wires, simulator: HttpSimulator) -> None:
    """Its own server, with TLS; and on the server's threads its own silence, which takes no time of the world."""
    kernel, pause = wires.world.kernel, simulator.pause

    def paused(seconds: float | None) -> None:
        if kernel.is_running_here():
            pause(seconds)
        else:
            simulator._stopping.wait(seconds)

    setattr(simulator, "pause", paused)  # noqa: B010  mypy knows that nobody else should
    simulator._stopping.clear()
    simulator.come_back()
    server = simulator._server
    assert server is not None
    server.socket = wires.certificates[simulator.key].wrap_socket(server.socket, server_side=True)
    opened = server.opened

    def counted(connection: Any) -> None:
        wires.connections += 1
        opened(connection)

    setattr(server, "opened", counted)  # noqa: B010


def _close(simulator: HttpSimulator) -> None:
    simulator._stopping.set()
    simulator.go_offline()


def _host(provider: str) -> str:
    return f"{provider}.example"


@cache
def _authority() -> trustme.CA:
    return trustme.CA()
