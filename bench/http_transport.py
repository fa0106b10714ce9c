"""What one HTTP call costs in CPU: ours at 10 and at 100 in flight, and plain httpx shared by as many threads.

    PYTHONPATH=layers/gateway:layers/transports python bench/http_transport.py [calls per measurement]

The provider is a child process, so its CPU is not counted. Figures move from machine to machine and with the machine's
load: only the ratios, each taken from rounds next to each other in one run, say anything.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import httpx

from smsgate.wire import HttpRequest
from smstransports.http import HttpTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n\r\nmsgid=12345\r\nstatuscode=0\r\n"
FIELDS = (
    ("username", "bench"),
    ("password", "secret"),
    ("dstaddr", "+886912345678"),
    ("smbody", "您的驗證碼是 123456"),
)
PROVIDER_SECONDS = 0.005  # Long enough for all the threads to be in flight together.
ROUNDS = 5


class _Provider(asyncio.Protocol):
    """Answers each whole request, whether it comes in one piece (ours) or in two (httpx's own)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if blank and len(body) >= int(length):
            self._received = b""
            asyncio.get_running_loop().call_later(PROVIDER_SECONDS, self._transport.write, ANSWER)


def serve(port: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", 0, backlog=512)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def cpu_ms_per_call(call: Callable[[], object], in_flight: int, calls: int) -> float:
    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(lambda _: call(), range(in_flight * 2)))  # Connections made, imports done.
        before = time.process_time()
        list(pool.map(lambda _: call(), range(calls)))
        return (time.process_time() - before) / calls * 1000


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    ours_end, theirs_end = multiprocessing.Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs_end,), daemon=True)
    provider.start()
    url = f"http://127.0.0.1:{ours_end.recv()}/sms/send"
    ours = HttpTransport(30)
    plain = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=200, max_keepalive_connections=200))
    request, form = HttpRequest("POST", url, FIELDS), dict(FIELDS)
    measured: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for in_flight in (10, 100):
            for name, call in (("ours", lambda: ours.exchange(request)), ("httpx", lambda: plain.post(url, data=form))):
                measured.setdefault((name, in_flight), []).append(cpu_ms_per_call(call, in_flight, calls))
    provider.terminate()

    for (name, in_flight), figures in measured.items():
        print(f"{name:>5} at {in_flight:>3} in flight: {_spread(figures, '.3f')} CPU-ms per call")
    for what, above, below in (
        ("ours, 100 in flight / 10 in flight", ("ours", 100), ("ours", 10)),
        ("httpx, 100 in flight / 10 in flight", ("httpx", 100), ("httpx", 10)),
        ("ours / httpx, 10 in flight", ("ours", 10), ("httpx", 10)),
        ("ours / httpx, 100 in flight", ("ours", 100), ("httpx", 100)),
    ):
        ratios = [one / other for one, other in zip(measured[above], measured[below], strict=True)]
        print(f"{what:<36} {_spread(ratios, '.2f')}")


def _spread(figures: list[float], form: str) -> str:
    return f"{statistics.median(figures):{form}} ({min(figures):{form}} to {max(figures):{form}})"


if __name__ == "__main__":
    main()
