"""Callbacks of all providers at a steady rate, over sockets and processes, against the gateway of `make run`, measured.

    make callbacks
    .venv/bin/python -m bench.callbacks [--rate 50] [--seconds 30] [--outage 7.5]

Two rounds: one in which all is well, and one in the middle of which DynamoDB fails (none with `--outage 0`). Every
message of a round is really sent first, to pretended providers whose calls back are kept instead of made. A process of
its own then makes them, each at its moment or as soon as one of its connections has heard its answer, and calls again
as the vendors' documents say. In the end the ledger is held against what the phones show. Exit status 1 where something
that was acknowledged is missing or, when all is well, where a callback was not answered with 200.

How many a second a machine can take is a matter of the machine: here a few processes are the HTTP API, Lambda and
DynamoDB together; on AWS each callback has a Lambda of its own. What is offered beyond it waits, and is answered late.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Self
from urllib.parse import unquote_plus, urlsplit

import uvloop

from local.gateway import Gateway
from local.lambdas import MOST_WORKERS
from local.simulators import SIMULATORS
from local.simulators.base import Plan, Simulator, Step

LOST = {"twsms": "UNDELIV", "smsgo": "UNDELIV", "smsget": "UNDELIV", "every8d": "102", "meteorsis": "21/304"}
"""Each vendor's word for a message that did not reach its phone."""

CALLS_AGAIN = {"smsgo": 3, "every8d": 10}
"""smsgo, section 2: "re-try 次數為三次". EVERY8D, section 3.1: "Retry 次數最多 10 次". The others call once."""

_TEXT = "您的包裹已到門市。"
_A_REQUEST = 250
_WAITING = 1000
"""So many messages are queued at most: what a sender finds no time for would come back, and in the end go astray."""

_CONNECTIONS = 64
_FIRST = 4 * MOST_WORKERS
"""So many calls at once, not measured, start every process that a function may have."""

_NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Call:
    provider: str
    url: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Made:
    """One try of a call: when it was due and when answered, in seconds since measuring began."""

    number: int
    due: float
    answered: float
    status: int


@dataclass
class Told:
    """What a round came to."""

    rate: float
    calls: Sequence[Call]
    first: Sequence[Made]
    made: Sequence[Made]
    handled: Sequence[float]  # seconds of each invocation of the receipts function
    cpu: Mapping[str, float]  # seconds, by process
    delivered: Mapping[str, bool]  # by number: whether its phone shows the message
    statuses: Mapping[str, str]  # by number: as the ledger has it
    numbers: Mapping[str, str]  # by message id
    stored: int  # callbacks

    @property
    def answers(self) -> Counter[int]:
        return Counter(made.status for made in (*self.first, *self.made))

    @property
    def acknowledged(self) -> set[str]:
        """Numbers of which a callback was answered with 200."""
        return {self._number(self.calls[number]) for number in self._acknowledged_calls}

    @property
    def not_stored(self) -> int:
        """How many calls were answered with 200 that do not lie in the ledger as they came."""
        return max(0, len(self._acknowledged_calls) - self.stored)

    @property
    def missing(self) -> list[str]:
        return sorted(to for to in self.acknowledged if self.statuses.get(to) != self._truth(to))

    @property
    def unknown(self) -> list[str]:
        return sorted(to for to in self.delivered if self.statuses.get(to) != self._truth(to))

    @property
    def _acknowledged_calls(self) -> set[int]:
        return {made.number for made in (*self.first, *self.made) if made.status == 200}

    def _truth(self, to: str) -> str:
        return "delivered" if self.delivered[to] else "undelivered"

    def _number(self, call: Call) -> str:
        said = unquote_plus(f"{call.url} {(call.data or b'').decode()}")
        for name in re.findall(r"[a-z2-7]{24}-[0-9]+(?![0-9~])", said):
            if name in self.numbers:
                return self.numbers[name]
        digits = re.findall(r"(?<![0-9])(?:0|886)?(9[0-9]{8})(?![0-9])", said)
        return next(f"+886{name}" for name in digits if f"+886{name}" in self.delivered)


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


def _wait_for(count: Callable[[], int], wanted: int, seconds: float = 120) -> None:
    """As long as there is some progress."""
    best, since = -1, time.monotonic()
    while (now := count()) < wanted:
        if now > best:
            best, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            raise TimeoutError(f"stuck at {now} of {wanted}")
        time.sleep(0.05)


# Meanwhile: a process of its own makes the calls


class Caller:
    """Over so many connections that stay open; a call that finds none free waits, and that counts."""

    def __init__(self, calls: Sequence[Call], again: float) -> None:
        self._calls = calls
        self._again = again
        self._made: list[Made] = []
        self._open = 0
        self._due: asyncio.PriorityQueue[tuple[float, int, int]] = asyncio.PriorityQueue()

    async def make(self, numbers: Sequence[int], rate: float) -> list[Made]:
        self._began, self._made, self._open = time.monotonic(), [], len(numbers)
        for place, number in enumerate(numbers):
            self._due.put_nowait((place / rate, number, 0))
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
        if connection is not None:
            connection[1].close()

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
    """The other process: the first calls at once, then, as soon as it is told to, each of the others at its moment."""
    uvloop.run(_make_calls(pipe))


async def _make_calls(pipe: Connection) -> None:
    calls, rate, again = pipe.recv()
    caller = Caller(calls, again)
    pipe.send(await caller.make(range(len(calls))[:_FIRST], float("inf")))
    pipe.recv()
    pipe.send(await caller.make(range(len(calls))[_FIRST:], rate))


# In the end


def cpu_seconds(pid: int) -> float:
    """Of a process and its threads; none where the system does not say (it is Linux that does)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ledger(gateway: Gateway) -> tuple[dict[str, tuple[str, str]], int]:
    """Number and status of each message, by its id; and how many callbacks are stored."""
    messages, stored = {}, 0
    for page in gateway.aws.dynamodb.get_paginator("scan").paginate(TableName=gateway.name("MessagesTable")):
        for item in page["Items"]:
            if item["sk"]["S"].startswith("m#"):
                messages[item["message_id"]["S"]] = (item["to"]["S"], item["status"]["S"])
            stored += item["sk"]["S"] == "callback" and "body" in item
    return messages, stored


class Bench:
    """A gateway with pretended providers, for one round of callbacks after another."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._kept = Kept()
        self._sent: set[str] = set()
        self._handled: list[float] = []
        self._simulators = {key: kind() for key, kind in SIMULATORS.items()}
        self._used = 0
        self._cleanup = ExitStack()
        for key, simulator in self._simulators.items():
            self._kept.of(key, simulator)
            simulator._plan = partial(self._plan, key, simulator.delivered)  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        # Nobody is asked about a message: callbacks alone say what became of it.
        gateway = Gateway(providers=self._simulators, parameters={"CheckSchedule": "86400"}, visibility_timeout=60)
        self._gateway = self._cleanup.enter_context(gateway)
        gateway.events.listen(self._hear)
        gateway.lambdas.listen(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def round(self, rate: float, seconds: float, outage: float = 0) -> Told:
        """So many a second for so long; in their middle DynamoDB fails for as long as `outage`."""
        already = ledger(self._gateway)[1]
        to = self._send_all(_FIRST + round(rate * seconds))
        calls, self._kept.calls[:] = list(self._kept.calls), []
        self._random.shuffle(calls)
        with _other_process() as (pipe, caller):
            pipe.send((calls, rate, max(outage / 2, 1)))
            first = pipe.recv()
            self._handled.clear()
            before = self._cpu(caller)
            pipe.send("now")
            with _outage(self._gateway, (seconds - outage) / 2, outage):
                made = pipe.recv()
            after = self._cpu(caller)
        messages, stored = ledger(self._gateway)
        return Told(
            rate,
            calls,
            first,
            made,
            list(self._handled),
            {name: after[name] - before[name] for name in after},
            {number: bool(self._simulators[key].phones[number]) for key, numbers in to.items() for number in numbers},
            dict(messages.values()),
            {message_id: number for message_id, (number, _) in messages.items()},
            stored - already,
        )

    def _send_all(self, count: int) -> dict[str, list[str]]:
        """So many messages, an equal number by each provider; the numbers by provider."""
        each = -(-count // len(self._simulators))
        numbers = range(self._used, self._used + each)
        self._used += each
        to = {key: [f"+8869{place:02}{n:06}" for n in numbers] for place, key in enumerate(self._simulators)}
        # Not the bulk queue, which would first wait for more.
        url = self._gateway.queue_url("SendQueue")
        queued, sent_before = 0, len(self._sent)
        for start in range(0, each, _A_REQUEST):
            requests = [
                {
                    "id": f"{key}-{numbers[start]}",
                    "to": its[start : start + _A_REQUEST],
                    "text": _TEXT,
                    "providers": [key],
                }
                for key, its in to.items()
            ]
            entries = [{"Id": str(n), "MessageBody": json.dumps(request)} for n, request in enumerate(requests)]
            self._gateway.aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]
            queued += sum(len(request["to"]) for request in requests)
            _wait_for(lambda: len(self._kept.calls), queued - _WAITING)
        _wait_for(lambda: len(self._kept.calls), queued)
        _wait_for(lambda: len(self._sent) - sent_before, queued)
        return to

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event["detail"].get("status") == "sent":
            self._sent.add(event["detail"]["message_id"])

    def _note(self, function: str, seconds: float) -> None:
        if function == "ReceiptsFunction":
            self._handled.append(seconds)

    def _plan(self, key: str, delivered: str) -> Plan:
        """At a moment of its own, because SMS-Get tells what happens at the same one in one call."""
        status = LOST[key] if self._random.random() < 0.1 else delivered
        return (Step(self._random.random() / 10, status),)

    def _cpu(self, caller: int) -> Counter[str]:
        pids = {"HTTP API, queues, providers": [os.getpid()], "embedded AWS": [self._gateway.aws.pid]}
        pids |= {"callers": [caller]}
        pids |= {name: self._gateway.lambdas.pids(name) for name in self._gateway.stack.functions}
        return Counter({name: sum(map(cpu_seconds, its)) for name, its in pids.items()})


@contextmanager
def _other_process() -> Iterator[tuple[Connection, int]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=make_calls, args=[theirs], daemon=True)
    process.start()
    try:
        yield ours, process.pid or 0
    finally:
        process.terminate()
        process.join()


@contextmanager
def _outage(gateway: Gateway, after: float, seconds: float) -> Iterator[None]:
    def fail() -> None:
        time.sleep(after)
        gateway.aws.fail("dynamodb")
        time.sleep(seconds)
        gateway.aws.mend("dynamodb")

    thread = threading.Thread(target=fail if seconds else lambda: None, daemon=True)
    thread.start()
    yield
    thread.join()


def report(told: Told) -> Iterator[str]:
    took = sorted(made.answered - made.due for made in told.made)
    lasted = max(made.answered for made in told.made)
    handled = sorted(told.handled)
    answers = ", ".join(f"{status or 'not at all'}: {count}" for status, count in sorted(told.answers.items()))
    yield f"callbacks      {len(told.calls)}, the first {len(told.first)} not measured; calls {told.answers.total()}"
    yield f"a second       {told.rate:.0f} offered, {len(took) / lasted:.0f} answered"
    yield f"answered       {answers}"
    yield f"until answered p50 {_part(took, 0.5):.0f} ms, p99 {_part(took, 0.99):.0f} ms, waiting for a turn included"
    yield f"invocation     p50 {_part(handled, 0.5):.1f} ms, p99 {_part(handled, 0.99):.1f} ms"
    yield f"acknowledged   {len(told.acknowledged)} messages; missing or wrong {len(told.missing)}"
    yield f"stored         {told.stored} callbacks; acknowledged and not stored {told.not_stored}"
    yield f"ledger         {len(told.delivered)} messages; not as the phones show {len(told.unknown)}"
    total = sum(told.cpu.values())
    yield f"CPU            {total:.1f} s, {total / len(told.made) * 1000:.2f} ms a call"
    for name, seconds in sorted(told.cpu.items(), key=lambda entry: -entry[1]):
        if seconds >= 0.1:
            yield f"  {name:<28} {seconds:6.1f} s  {seconds / len(told.made) * 1000:5.2f} ms a call"


def _part(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.callbacks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=float, default=50, help="callbacks a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="how long a round lasts (default %(default)s)")
    parser.add_argument("--outage", type=float, help="seconds in the middle of the second (default: a quarter of them)")
    given = parser.parse_args(arguments)
    outage = given.seconds / 4 if given.outage is None else given.outage
    with Bench() as bench:
        print("All is well", flush=True)
        well = bench.round(given.rate, given.seconds)
        print(*report(well), sep="\n", flush=True)
        rounds = [well]
        if outage:
            print(f"\nDynamoDB fails for {outage:.0f} seconds", flush=True)
            rounds.append(bench.round(given.rate, given.seconds, outage))
            print(*report(rounds[-1]), sep="\n", flush=True)
    lost = any(told.missing or told.not_stored for told in rounds)
    return int(lost or set(well.answers) != {200})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
