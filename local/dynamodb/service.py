"""DynamoDB and its streams as they are asked over HTTP: an operation's name and a body in, a status and a body out.

Which tables there are is said by whoever keeps the account's resources (`create`, `drop`): here are their items. All
tables are of one account and one region.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from local.dynamodb import wire
from local.dynamodb.schema import Schema
from local.dynamodb.stream import MOST_BYTES, SHARD, Stream, StreamError, iterator, joined, read_iterator
from local.dynamodb.table import MemoryTable

Answer = tuple[int, bytes]

TABLES: Final = "DynamoDB_20120810"
STREAMS: Final = "DynamoDBStreams_20120810"

_OF_A_TABLE: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "GetItem": MemoryTable.get_item,
    "PutItem": MemoryTable.put_item,
    "UpdateItem": MemoryTable.update_item,
    "DeleteItem": MemoryTable.delete_item,
    "Query": MemoryTable.query,
    "Scan": MemoryTable.scan,
}
_OF_TABLES: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "BatchGetItem": MemoryTable.batch_get_item,
    "BatchWriteItem": MemoryTable.batch_write_item,
}
_OF_STREAMS: Final = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
NOT_KNOWN: Final = frozenset(
    {
        "BatchExecuteStatement", "CreateBackup", "EnableKinesisStreamingDestination", "ExecuteStatement",
        "ExecuteTransaction", "ExportTableToPointInTime", "ImportTable", "RestoreTableFromBackup",
        "RestoreTableToPointInTime", "TransactGetItems", "TransactWriteItems",
    }
)  # fmt: skip
"""What would have to look into tables, and cannot."""

_ANSWERED: Final = frozenset(
    [
        *(f"{TABLES}.{operation}" for operation in (*_OF_A_TABLE, *_OF_TABLES, *NOT_KNOWN)),
        *(f"{STREAMS}.{operation}" for operation in _OF_STREAMS),
    ]
)

_VALIDATION = "com.amazon.coral.validate#ValidationException"
_OWN = "com.amazonaws.dynamodb.v20120810#"
_TOLD_NOWHERE: Final = {"ReturnConsumedCapacity": "NONE", "ReturnItemCollectionMetrics": "NONE"}


@dataclass(frozen=True, slots=True)
class _Takes:
    all: frozenset[str]
    needs: frozenset[str]

    @classmethod
    def of(cls, method: Callable[..., Any]) -> _Takes:
        parameters = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
        return cls(
            frozenset(each.name for each in parameters),
            frozenset(each.name for each in parameters if each.default is inspect.Parameter.empty),
        )


_TAKES: Final = {name: _Takes.of(method) for name, method in {**_OF_A_TABLE, **_OF_TABLES}.items()}


@dataclass(slots=True)
class _Table:
    items: MemoryTable
    stream: Stream | None
    expires: str | None = None


class Tables:
    def __init__(self, region: str, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes`: of images that a stream keeps."""
        self._region = region
        self._most_bytes = most_bytes
        self._tables: dict[str, _Table] = {}

    # What there is

    def create(self, request: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """`request`: of CreateTable; `description`: what was answered to it."""
        stream = Stream(description, self._region, self._most_bytes) if description.get("LatestStreamArn") else None
        items = MemoryTable(Schema.of(request), on_change=stream.add if stream else None, packs=True)
        self._tables[request["TableName"]] = _Table(items, stream)

    def drop(self, name: str) -> None:
        self._tables.pop(name, None)

    def expire(self, name: str, attribute: str | None) -> None:
        """From now on whatever is past the time in that attribute is deleted by `sweep`."""
        self._tables[name].expires = attribute

    def sweep(self) -> None:
        now = datetime.now(UTC)
        for table in self._tables.values():
            if table.expires:
                table.items.sweep(now, table.expires)

    def counts(self, name: str) -> dict[str, int]:
        """As DescribeTable tells them; DynamoDB's own are some hours old."""
        items = self._tables[name].items
        return {"ItemCount": items.count, "TableSizeBytes": items.size}

    # What is asked

    @staticmethod
    def answers(target: str) -> bool:
        """Whether calls with that `X-Amz-Target` are answered here."""
        return target in _ANSWERED

    def answer(self, target: str, body: bytes) -> Answer:
        service, _, operation = target.partition(".")
        try:
            asked = wire.read(body)
            return 200, self._of_stream(operation, asked) if service == STREAMS else self._of_table(operation, asked)
        except ClientError as error:
            return 400, _said(error)
        except StreamError as error:
            return 400, wire.written({"__type": _type(error.name), "message": str(error)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # What boto3 would never send: DynamoDB names the member that is wrong, here Python does.
            refused = {"__type": _VALIDATION, "message": f"{operation}: {type(error).__name__}: {error}"}
            return 400, wire.written(refused)

    def _of_table(self, operation: str, asked: dict[str, Any]) -> bytes:
        for name, nothing in _TOLD_NOWHERE.items():
            if asked.get(name) == nothing:
                del asked[name]
        takes = _TAKES.get(operation)
        if takes is None or asked.keys() - takes.all:
            unknown = operation if takes is None else ", ".join(sorted(asked.keys() - takes.all))
            raise _invalid(operation, f"{unknown} is not known here")
        if missing := takes.needs - asked.keys():
            raise _invalid(operation, f"{', '.join(sorted(missing))} is missing")
        if operation in _OF_A_TABLE:
            return wire.written(_OF_A_TABLE[operation](self._items(asked["TableName"], operation), **asked))
        return wire.written(self._of_tables(operation, asked["RequestItems"]))

    def _of_tables(self, operation: str, requests: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, dict[str, Any]] = {}
        for name, request in requests.items():
            one = _OF_TABLES[operation](self._items(name, operation), RequestItems={name: request})
            for part, told in one.items():
                answer.setdefault(part, {}).update(told)
        if not answer:
            raise _invalid(operation, "RequestItems must not be empty")
        return answer

    def _items(self, name: str, operation: str) -> MemoryTable:
        if name not in self._tables:
            error: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": "Requested resource not found"}}
            raise ClientError(error, operation)
        return self._tables[name].items

    def _of_stream(self, operation: str, asked: Mapping[str, Any]) -> bytes:
        match operation:
            case "ListStreams":
                found = [
                    table.stream.listed()
                    for name, table in self._tables.items()
                    if table.stream is not None and asked.get("TableName", name) == name
                ]
                return wire.written({"Streams": found})
            case "DescribeStream":
                return wire.written({"StreamDescription": self.stream(asked["StreamArn"]).described()})
            case "GetShardIterator":
                stream = self.stream(asked["StreamArn"])
                if asked["ShardId"] != SHARD:
                    raise StreamError("ResourceNotFoundException", "Requested resource not found: Shard does not exist")
                place = stream.place(asked["ShardIteratorType"], asked.get("SequenceNumber"))
                return wire.written({"ShardIterator": iterator(stream.arn, place)})
        arn, place = read_iterator(asked["ShardIterator"])
        texts = self.stream(arn).read(place, asked.get("Limit"))
        following = iterator(arn, place + len(texts))
        return b'{"Records":%b,"NextShardIterator":"%b"}' % (joined(texts), following.encode())

    def stream(self, arn: str) -> Stream:
        for table in self._tables.values():
            if table.stream is not None and table.stream.arn == arn:
                return table.stream
        raise StreamError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")


def _invalid(operation: str, message: str) -> ClientError:
    error: Any = {"Error": {"Code": "ValidationException", "Message": message}}
    return ClientError(error, operation)


def _said(error: ClientError) -> bytes:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    said: dict[str, Any] = {"__type": _type(code), "message": message}
    response: Mapping[str, Any] = error.response
    if "Item" in response:
        said["Item"] = response["Item"]
    return wire.written(said)


def _type(code: str) -> str:
    return _VALIDATION if code == "ValidationException" else f"{_OWN}{code}"
