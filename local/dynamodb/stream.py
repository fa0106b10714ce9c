"""A table's stream: its changes in order, in one shard, kept as text until they are old or too many.

DynamoDB keeps them for 24 hours. So does this, as long as their images take no more than half a gigabyte; whoever has
not read what went earlier is told so with a TrimmedDataAccessException.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.dynamodb import wire
from local.dynamodb.rows import TIME_TO_LIVE, Change, Row, sequence_number

SHARD: Final = "shardId-00000000000000000001-00000001"

MOST_BYTES: Final = 512 * 1024 * 1024

_KEPT_SECONDS = 24 * 3600
_LOOKS_EVERY = 1_000  # changes; how often it is seen whether the oldest are too old
_ITERATOR_SECONDS = 15 * 60
_LARGEST_PAGE = 1024 * 1024
_MOST_RECORDS = 1_000
_SHOWS: Final[Mapping[str, tuple[bool, bool]]] = {  # the new image, the old one
    "KEYS_ONLY": (False, False),
    "NEW_IMAGE": (True, False),
    "OLD_IMAGE": (False, True),
    "NEW_AND_OLD_IMAGES": (True, True),
}


class StreamError(Exception):
    """What DynamoDB Streams answers instead: the error's name and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    head: bytes
    new: bytes | None
    old: bytes | None

    def text(self) -> bytes:
        parts = [self.head]
        if self.new is not None:
            parts += (b',"NewImage":', self.new)
        if self.old is not None:
            parts += (b',"OldImage":', self.old)
        parts.append(b"}}")
        return b"".join(parts)


class Stream:
    def __init__(self, table: Mapping[str, Any], region: str, most_bytes: int = MOST_BYTES) -> None:
        """`table`: as DescribeTable describes it."""
        self.arn = str(table["LatestStreamArn"])
        self._table = table
        self._view = str(table["StreamSpecification"]["StreamViewType"])
        self._region = region
        self._most_bytes = most_bytes
        self._records: list[_Kept] = []
        self._first = 1  # the number of the first that is kept
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []

    # Writing

    def add(self, change: Change) -> None:
        shows_new, shows_old = _SHOWS[self._view]
        new = change.new.wire if change.new is not None and shows_new else None
        old = change.old.wire if change.old is not None and shows_old else None
        self._records.append(_Kept(change.at.timestamp(), self._head(change), new, old))
        self._bytes += len(new or b"")
        if self._bytes > self._most_bytes:
            self._forget(max(len(self._records) // 10, 1))
        elif change.number % _LOOKS_EVERY == 0:
            oldest = time.time() - _KEPT_SECONDS
            self._forget(bisect_left(self._records, oldest, key=lambda each: each.at))
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def _head(self, change: Change) -> bytes:
        size = sum(row.size for row in (change.old, change.new) if isinstance(row, Row))
        told: dict[str, Any] = {
            "eventID": f"{change.number:032x}",
            "eventName": change.kind,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self._region,
            **({"userIdentity": TIME_TO_LIVE} if change.expired else {}),
            "dynamodb": {
                "ApproximateCreationDateTime": float(int(change.at.timestamp())),
                "Keys": change.keys,
                "SequenceNumber": change.sequence_number,
                "SizeBytes": size,
                "StreamViewType": self._view,
            },
        }
        return wire.written(told)[:-2]  # still open: the images follow

    def _forget(self, count: int) -> None:
        self._bytes -= sum(len(each.new or b"") for each in self._records[:count])
        del self._records[:count]
        self._first += count

    # Reading

    @property
    def _next(self) -> int:
        return self._first + len(self._records)

    def listed(self) -> dict[str, Any]:
        return {"StreamArn": self.arn, "TableName": self._table["TableName"], "StreamLabel": self._label}

    @property
    def _label(self) -> str:
        return str(self._table["LatestStreamLabel"])

    def described(self) -> dict[str, Any]:
        return {
            **self.listed(),
            "StreamStatus": "ENABLED",
            "StreamViewType": self._view,
            "CreationRequestDateTime": self._table["CreationDateTime"],
            "KeySchema": self._table["KeySchema"],
            "Shards": [
                {"ShardId": SHARD, "SequenceNumberRange": {"StartingSequenceNumber": sequence_number(self._first)}}
            ],
        }

    def place(self, kind: str, number: str | None) -> int:
        """Where an iterator of that kind begins."""
        if kind == "TRIM_HORIZON":
            return self._first
        if kind == "LATEST":
            return self._next
        if kind not in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            raise StreamError("ValidationException", f"ShardIteratorType {kind} is not known")
        if number is None or not number.isdecimal():
            raise StreamError("ValidationException", f"{kind} needs a SequenceNumber")
        place = int(number) + (kind == "AFTER_SEQUENCE_NUMBER")
        self._check(place)
        return place

    def read(self, place: int, most: int | None) -> list[bytes]:
        """Records, each as text, until that many are found or a page is full."""
        self._check(place)
        if most is not None and not 1 <= most <= _MOST_RECORDS:
            raise StreamError("ValidationException", f"Limit must be 1 to {_MOST_RECORDS}")
        texts: list[bytes] = []
        size = 0
        start = place - self._first
        for kept in self._records[start : start + (most or _MOST_RECORDS)]:
            text = kept.text()
            size += len(text)
            if texts and size > _LARGEST_PAGE:
                break
            texts.append(text)
        return texts

    async def wait(self, place: int, most: int, seconds: float, gather: float) -> None:
        """Until there is something to read at `place`; then `gather` seconds more for the rest of a batch."""
        if self._next <= place:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await asyncio.wait([waiting], timeout=seconds)
        if place < self._next < place + most:
            await asyncio.sleep(gather)

    def _check(self, place: int) -> None:
        if place < self._first:
            raise StreamError("TrimmedDataAccessException", "The data you are trying to access has been trimmed")


def iterator(arn: str, place: int) -> str:
    return urlsafe_b64encode(f"{arn} {place} {int(time.time())}".encode()).decode()


def read_iterator(text: str) -> tuple[str, int]:
    """Whose it is, and where it goes on."""
    try:
        arn, place, made = urlsafe_b64decode(text).decode().split(" ")
        began = int(made)
    except ValueError:
        raise StreamError("ValidationException", "Invalid ShardIterator") from None
    if time.time() - began > _ITERATOR_SECONDS:
        raise StreamError("ExpiredIteratorException", "The provided iterator exceeds the maximum age allowed")
    return arn, int(place)


def joined(texts: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"
