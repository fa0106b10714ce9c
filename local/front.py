"""Before the embedded AWS: what asks DynamoDB for items or changes is answered here, everything else goes on to it.

The other one keeps what there is - tables, their descriptions, tags, streams' names - and is asked for it; what of that
makes or ends a table is then done here, too. What its event buses take is written down as it passes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from local.dynamodb.service import STREAMS, TABLES, Answer, Tables
from local.dynamodb.stream import StreamError, iterator, read_iterator
from local.event_log import EventLog

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

AWAIT_RECORDS: Final = f"{STREAMS}.AwaitRecords"
"""A call of ours that no client of AWS makes: `GetRecords` that waits until there are some.

It takes ShardIterator and Limit like that, and for how many Seconds to wait; once there is a record, it gives others
Gather seconds to join it. It answers with lines: the next iterator, then one record a line, as Lambda is given it.
"""

AWAIT_EVENTS: Final = "AWSEvents.AwaitEvents"
"""Another: what the buses took from the event at Place on, or from then on within so many Seconds. It answers with
lines: the place where it goes on, then one event a line."""

_PUT_EVENTS = "AWSEvents.PutEvents"
_OURS = frozenset({AWAIT_RECORDS, AWAIT_EVENTS, _PUT_EVENTS})
_FAILURE = b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"told to fail"}'
_SWEEPS_EVERY = 600.0  # DynamoDB itself takes days
_MIRRORED = frozenset(f"{TABLES}.{name}" for name in ("CreateTable", "DeleteTable", "DescribeTable", "UpdateTable",
                                                      "UpdateTimeToLive"))  # fmt: skip


class Front:
    def __init__(self, behind: Asgi, tables: Tables, events: EventLog, failing: set[str]) -> None:
        self._behind = behind
        self._tables = tables
        self._events = events
        self._failing = failing
        self._requests = itertools.count(1)
        self._sweeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._sweeping = asyncio.create_task(self._sweep())
        target = target_of(scope.get("headers", ()))
        if not target or not self._concerns(target):
            await self._behind(scope, receive, send)
            return
        body = await _whole(receive)
        if self.answers(target):
            await _send(send, *self.answer(target, body))
        elif target == AWAIT_RECORDS:
            await _send(send, *self._told(*await self._await_records(json.loads(body))))
        elif target == AWAIT_EVENTS:
            await _send(send, *self._told(*await self._await_events(json.loads(body))))
        elif target == _PUT_EVENTS:
            status, headers, answer = await _asked(self._behind, scope, body)
            if status == 200:
                self._events.add(json.loads(body), json.loads(answer))
            await _send(send, status, headers, answer)
        else:
            await self._mirror(target, scope, body, send)

    def answers(self, target: str) -> bool:
        """Whether `answer` knows what to say, at once."""
        return self._fails(target) or Tables.answers(target)

    def answer(self, target: str, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return self._told(*(500, _FAILURE) if self._fails(target) else self._tables.answer(target, body))

    def _concerns(self, target: str) -> bool:
        return self.answers(target) or target in _MIRRORED or target in _OURS

    def _fails(self, target: str) -> bool:
        return bool(self._failing) and target.startswith(tuple(self._failing))

    def _told(self, status: int, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        headers = [
            (b"content-type", b"application/x-amz-json-1.0"),
            (b"content-length", b"%d" % len(body)),
            (b"x-amz-crc32", b"%d" % zlib.crc32(body)),
            (b"x-amzn-requestid", b"%032X" % next(self._requests)),
        ]
        return status, headers, body

    async def _await_records(self, asked: dict[str, Any]) -> Answer:
        try:
            arn, place = read_iterator(asked["ShardIterator"])
            stream = self._tables.stream(arn)
            await stream.wait(place, asked["Limit"], asked["Seconds"], asked["Gather"])
            texts = stream.read(place, asked["Limit"])
        except StreamError as error:
            return 400, json.dumps({"__type": error.name, "message": str(error)}).encode()
        source = b',"eventSourceARN":"%b"}' % arn.encode()
        return 200, b"\n".join([iterator(arn, place + len(texts)).encode(), *(text[:-1] + source for text in texts)])

    async def _await_events(self, asked: dict[str, Any]) -> Answer:
        place, events = await self._events.after(asked["Place"], asked["Seconds"], asked["Gather"])
        return 200, b"\n".join([b"%d" % place, *events])

    async def _mirror(self, target: str, scope: dict[str, Any], body: bytes, send: Send) -> None:
        operation = target.partition(".")[2]
        asked = json.loads(body)
        if refused := _not_mirrored(operation, asked):
            await _send(send, *self._told(400, refused))
            return
        status, headers, answer = await _asked(self._behind, scope, body)
        if status == 200:
            told = json.loads(answer)
            match operation:
                case "CreateTable":
                    self._tables.create(asked, told["TableDescription"])
                case "DeleteTable":
                    self._tables.drop(told["TableDescription"]["TableName"])
                case "DescribeTable":
                    told["Table"] |= self._tables.counts(told["Table"]["TableName"])
                    status, headers, answer = self._told(200, json.dumps(told).encode())
                case "UpdateTimeToLive":
                    wanted = told["TimeToLiveSpecification"]
                    self._tables.expire(asked["TableName"], wanted["AttributeName"] if wanted["Enabled"] else None)
        await _send(send, status, headers, answer)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEPS_EVERY)
            self._tables.sweep()


def target_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == b"x-amz-target"), "")


def _not_mirrored(operation: str, asked: dict[str, Any]) -> bytes | None:
    """Tables here have the keys and the stream they were made with."""
    unknown: list[str] = []
    if operation == "CreateTable":
        unknown = [name for name in ("LocalSecondaryIndexes", "VectorIndexes") if asked.get(name)]
    elif operation == "UpdateTable":
        unknown = [
            name
            for name in ("GlobalSecondaryIndexUpdates", "ReplicaUpdates", "StreamSpecification", "VectorIndexUpdates")
            if asked.get(name)
        ]
    if not unknown:
        return None
    said = {
        "__type": "com.amazon.coral.validate#ValidationException",
        "message": f"{', '.join(unknown)} is not known here",
    }
    return json.dumps(said).encode()


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _asked(app: Asgi, scope: dict[str, Any], body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What an application answers, instead of to whom it is to answer."""
    said: list[Message] = []
    bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(bodies, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    start, *parts = said
    return start["status"], list(start["headers"]), b"".join(part.get("body", b"") for part in parts)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
