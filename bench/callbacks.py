"""Callbacks of all providers at a steady rate, over sockets and processes, against the gateway of `make run`, measured.

    .venv/bin/python -m bench.callbacks [--rate 500] [--seconds 120] [--outage 30]

Every message is really sent first, to pretended providers whose calls back are kept instead of made. A process of its
own then makes them, each at its moment whether or not those before it have been answered, and calls again as the
vendors' documents say. In the end the ledger is held against what the phones show. Exit status 1 where something that
was acknowledged is missing or, without an outage, where a callback was not answered with 200.

How many a second a machine can take is a matter of the machine: here a few processes are the HTTP API, Lambda and
DynamoDB together; on AWS each callback has a Lambda of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote_plus, urlsplit

from local.gateway import Gateway
from local.runtime_api import Answer, Invocation
from local.simulators import SIMULATORS
from local.simulators.base import Plan, Simulator, Step
from local.workers import Worker

LOST = {"twsms": "UNDELIV", "smsgo": "UNDELIV", "smsget": "UNDELIV", "every8d": "102", "meteorsis": "21/304"}
"""Each vendor's word for a message that did not reach its phone."""

CALLS_AGAIN = {"smsgo": 3, "every8d": 10}
"""smsgo, section 2: "re-try 次數為三次". EVERY8D, section 3.1: "Retry 次數最多 10 次". The others call once."""

_A_REQUEST = 250
_CONNECTIONS = 64
_NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Call:
    provider: str
    url: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Made:
    """One try of a call: when it was due and when answered, in seconds since the first."""

    number: int
    due: float
    answered: float
    status: int


@dataclass
class Told:
    """What a run came to."""

    calls: Sequence[Call]
    made: Sequence[Made]
    handled: Sequence[float]  # seconds of each invocation of the receipts function
    cpu: Mapping[str, float]  # seconds, by process
    delivered: Mapping[str, bool]  # by number: whether its phone shows the message
    statuses: Mapping[str, str]  # by number: as the ledger has it
    numbers: Mapping[str, str]  # by message id
    stored: int

    @property
    def acknowledged(self) -> set[str]:
        """Numbers of which a callback was answered with 200."""
        return {self._number(self.calls[made.number]) for made in self.made if made.status == 200}

    @property
    def missing(self) -> list[str]:
        return sorted(to for to in self.acknowledged if self.statuses[to] != self._truth(to))

    @property
    def unknown(self) -> list[str]:
        return sorted(to for to in self.delivered if self.statuses[to] != self._truth(to))

    def _truth(self, to: str) -> str:
        return "delivered" if self.delivered[to] else "undelivered"

    def _number(self, call: Call) -> str:
        said = unquote_plus(f"{call.url} {(call.data or b'').decode()}")
        for name in re.findall(r"[a-z2-7]{24}-[0-9]+(?![0-9~])", said):
            if name in self.numbers:
                return self.numbers[name]
        return next(f"+886{name}" for name in re.findall(r"9[0-9]{8}", said) if f"+886{name}" in self.statuses)


# Before: everything is sent, and every call back kept


@dataclass
class Kept:
    """What pretended providers would call."""

    calls: list[Call] = field(default_factory=list)

    def of(self, key: str, simulator: Simulator) -> None:
        whole = simulator._begin

        def begin(job: Callable[..., object], *told: Any) -> None:
            if told and isinstance(told[0], str) and told[0].startswith("http"):
                self.calls.append(Call(key, told[0], told[1] if isinstance(told[1], bytes) else None))
            else:
                whole(job, *told)

        simulator._begin = begin  # type: ignore[method-assign]


def send_all(gateway: Gateway, kept: Kept, count: int) -> dict[str, list[str]]:
    """So many messages, an equal number by each provider; the numbers of each request."""
    requests: dict[str, list[str]] = {}
    for place, key in enumerate(gateway.providers):
        numbers = [f"+8869{place:02}{number:06}" for number in range(count // len(gateway.providers))]
        for start in range(0, len(numbers), _A_REQUEST):
            request = {
                "id": f"{key}-{start}",
                "to": numbers[start : start + _A_REQUEST],
                "text": "您的包裹已到門市。",
                "providers": [key],
            }
            requests[request["id"]] = request["to"]  # type: ignore[assignment,index]
            gateway.aws.sqs.send_message(QueueUrl=gateway.queue_url("BulkQueue"), MessageBody=json.dumps(request))
    wanted = sum(map(len, requests.values()))
    _wait(lambda: len(kept.calls) >= wanted, f"{wanted} messages sent", lambda: len(kept.calls))
    _wait(lambda: _is_recorded(gateway, wanted), "all of them recorded and told", lambda: len(gateway.events.all()))
    return requests


def _is_recorded(gateway: Gateway, wanted: int) -> bool:
    sent = {event["detail"]["message_id"] for event in gateway.events.all() if event["detail"].get("status") == "sent"}
    return len(sent) >= wanted


def _wait(condition: Callable[[], bool], what: str, progress: Callable[[], int], seconds: float = 3600) -> None:
    gives_up, said = time.monotonic() + seconds, 0.0
    while not condition():
        if time.monotonic() > gives_up:
            raise TimeoutError(what)
        if time.monotonic() - said > 15:
            said = time.monotonic()
            print(f"  {progress()} …", flush=True)
        time.sleep(0.5)
    print(what, flush=True)


# Meanwhile: a process of its own makes the calls


class Caller:
    """Over connections that stay open, as many as it takes; a call that finds none free waits, and that counts."""

    def __init__(self, calls: Sequence[Call], rate: float, again: float) -> None:
        self._calls = calls
        self._rate = rate
        self._again = again
        self._made: list[Made] = []
        self._open = len(calls)
        self._due: asyncio.PriorityQueue[tuple[float, int, int]] = asyncio.PriorityQueue()

    async def make(self) -> list[Made]:
        self._began = time.monotonic()
        for number in range(len(self._calls)):
            self._due.put_nowait((number / self._rate, number, 0))
        host = urlsplit(self._calls[0].url)
        await asyncio.gather(*(self._work(str(host.hostname), int(host.port or 80)) for _ in range(_CONNECTIONS)))
        return self._made

    async def _work(self, host: str, port: int) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while self._open:
            try:
                due, number, tries = self._due.get_nowait()
            except asyncio.QueueEmpty:
                await asyncio.sleep(0.05)
                continue
            await asyncio.sleep(due - self._now())
            call = self._calls[number]
            try:
                connection = connection or await asyncio.open_connection(host, port)
                status = await _exchange(*connection, call)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                connection, status = None, _NO_ANSWER
            self._made.append(Made(number, due, self._now(), status))
            if status != 200 and tries < CALLS_AGAIN.get(call.provider, 0):
                self._due.put_nowait((self._now() + self._again, number, tries + 1))
            else:
                self._open -= 1

    def _now(self) -> float:
        return time.monotonic() - self._began


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: Call) -> int:
    parts = urlsplit(call.url)
    body = call.data or b""
    head = [f"{'POST' if body else 'GET'} {parts.path}?{parts.query} HTTP/1.1", f"host: {parts.netloc}"]
    if body:
        head += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}"]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", answer)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(answer.split(b" ", 2)[1])


def make_calls(pipe: Connection) -> None:
    """The other process: takes the calls, makes them when it is told to, gives back how they went."""
    calls, rate, again = pipe.recv()
    pipe.send(asyncio.run(Caller(calls, rate, again).make()))


# In the end


def cpu_seconds(pid: int) -> float:
    """Of a process and its threads; none where the system does not say (it is Linux that does)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes(gateway: Gateway, caller: int) -> dict[str, list[int]]:
    pids = {"HTTP API, queues, providers": [os.getpid()], "embedded AWS": [gateway.aws.pid], "callers": [caller]}
    for name, pool in gateway.lambdas._pools.items():
        pids[name] = pool.pids()
    return pids


def ledger(gateway: Gateway) -> tuple[dict[str, tuple[str, str]], int]:
    """Number and status of each message, by its id; and how many callbacks are stored."""
    messages, stored = {}, 0
    for page in gateway.aws.dynamodb.get_paginator("scan").paginate(TableName=gateway.name("MessagesTable")):
        for item in page["Items"]:
            if item["sk"]["S"].startswith("m#"):
                messages[item["message_id"]["S"]] = (item["to"]["S"], item["status"]["S"])
            stored += item["sk"]["S"] == "callback"
    return messages, stored


@contextmanager
def timed(function: str, into: list[float]) -> Iterator[None]:
    """How long each invocation of a function takes, from being handed over to its answer."""
    whole = Worker.invoke

    def invoke(self: Worker, invocation: Invocation) -> Answer:
        began = time.perf_counter()
        answer = whole(self, invocation)
        if function in invocation.function_arn:
            into.append(time.perf_counter() - began)
        return answer

    with patch.object(Worker, "invoke", invoke):
        yield


def run(rate: float, seconds: float, outage: float, seed: int = 1) -> Told:
    kept, handled, random = Kept(), list[float](), Random(seed)
    simulators = {key: kind() for key, kind in SIMULATORS.items()}
    for key, simulator in simulators.items():
        kept.of(key, simulator)
        simulator.plan_receipts(*(_plan(key, simulator, random) for _ in range(round(rate * seconds))))
    parameters = {"CheckSchedule": "86400"}
    with (
        Gateway(providers=simulators, parameters=parameters, visibility_timeout=20) as gateway,
        timed("Receipts", handled),
    ):
        send_all(gateway, kept, round(rate * seconds))
        calls = list(kept.calls)
        random.shuffle(calls)
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        caller = multiprocessing.get_context("spawn").Process(target=make_calls, args=[theirs], daemon=True)
        caller.start()
        before = {pid: cpu_seconds(pid) for pids in processes(gateway, caller.pid or 0).values() for pid in pids}
        ours.send((calls, rate, max(outage / 2, 1)))
        switch = _outage(gateway, (seconds - outage) / 2, outage) if outage else None
        made = ours.recv()
        caller_pid = caller.pid or 0
        cpu = {
            name: sum(cpu_seconds(pid) - before.get(pid, 0) for pid in pids)
            for name, pids in processes(gateway, caller_pid).items()
        }
        caller.join()
        if switch:
            switch.join()
        messages, stored = ledger(gateway)
        return Told(
            calls,
            made,
            handled,
            cpu,
            {to: bool(simulator.phones[to]) for simulator in simulators.values() for to in _numbers(simulator)},
            dict(messages.values()),
            {message_id: to for message_id, (to, _) in messages.items()},
            stored,
        )


def _plan(key: str, simulator: Simulator, random: Random) -> Plan:
    """At a moment of its own, because SMS-Get tells what happens at the same one in one call."""
    return (Step(random.random() / 10, LOST[key] if random.random() < 0.1 else simulator.delivered),)


def _numbers(simulator: Simulator) -> set[str]:
    return {submission.to for submission in simulator.accepted}


def _outage(gateway: Gateway, after: float, seconds: float) -> threading.Thread:
    def fail() -> None:
        time.sleep(after)
        gateway.aws.fail("dynamodb")
        time.sleep(seconds)
        gateway.aws.mend("dynamodb")

    thread = threading.Thread(target=fail, daemon=True)
    thread.start()
    return thread


def report(told: Told, rate: float) -> Iterator[str]:
    statuses = Counter(made.status for made in told.made)
    took = sorted(made.answered - made.due for made in told.made)
    lasted = max(made.answered for made in told.made)
    handled = sorted(told.handled)
    answers = ", ".join(f"{status or 'not at all'}: {count}" for status, count in sorted(statuses.items()))
    yield f"callbacks      {len(told.calls)} in {len(told.made)} calls"
    yield f"a second       {rate:.0f} offered, {len(took) / lasted:.0f} answered"
    yield f"answered       {answers}"
    yield f"until answered p50 {_part(took, 0.5):.0f} ms, p99 {_part(took, 0.99):.0f} ms, waiting for a turn included"
    yield f"invocation     p50 {_part(handled, 0.5):.1f} ms, p99 {_part(handled, 0.99):.1f} ms"
    yield f"stored         {told.stored}"
    yield f"acknowledged   {len(told.acknowledged)} messages, of which missing or wrong: {len(told.missing)}"
    yield f"ledger         {len(told.statuses)} messages, not as the phones show: {len(told.unknown)}"
    total = sum(told.cpu.values())
    yield f"CPU            {total:.1f} s, {total / len(told.made) * 1000:.2f} ms a callback"
    for name, seconds in sorted(told.cpu.items(), key=lambda entry: -entry[1]):
        if seconds >= 0.1:
            yield f"  {name:<28} {seconds:6.1f} s  {seconds / len(told.made) * 1000:5.2f} ms a callback"


def _part(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.callbacks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=float, default=500, help="callbacks a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="how long (default %(default)s)")
    parser.add_argument("--outage", type=float, default=0, help="seconds in the middle in which DynamoDB fails")
    given = parser.parse_args(arguments)
    told = run(given.rate, given.seconds, given.outage)
    print(*report(told, given.rate), sep="\n")
    failed = bool(told.missing) or (not given.outage and {made.status for made in told.made} != {200})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
