"""What the benches share: a server in a process of its own that does nothing but answer, and CPU per call as ratios."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection


@contextmanager
def other_side(answers: Mapping[bytes, bytes], seconds: float = 0) -> Iterator[str]:
    """Its URL. `answers`: what is answered to a request in whose head the word stands, so many seconds later."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, answers, seconds), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()


def cpu_ms_per_call(call: Callable[[], object], calls: int, threads: int = 1) -> float:
    """Of this process alone."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: call(), range(threads * 2)))  # Connections made, imports done.
        before = time.process_time()
        list(pool.map(lambda _: call(), range(calls)))
        return (time.process_time() - before) / calls * 1000


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Of rounds next to each other."""
    return [one / other for one, other in zip(above, below, strict=True)]


def spread(figures: Sequence[float], form: str) -> str:
    return f"{statistics.median(figures):{form}} ({min(figures):{form}} to {max(figures):{form}})"


class _Answering(asyncio.Protocol):
    """Answers each whole request, whether it comes in one piece or in several."""

    def __init__(self, answers: Mapping[bytes, bytes], seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not blank or len(body) < int(length):
            return
        self._received = b""
        answer = next(answer for word, answer in self._answers.items() if word in head)
        if self._seconds:
            asyncio.get_running_loop().call_later(self._seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _serve(port: Connection, answers: Mapping[bytes, bytes], seconds: float) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(_Answering, answers, seconds), "127.0.0.1", 0, backlog=512)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())
