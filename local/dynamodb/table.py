"""A table of DynamoDB in this process: microseconds a call, each of them atomic.

`MemoryTable` stands in for a boto3 client: `Ledger(cast("DynamoDBClient", MemoryTable(schema)), schema.name, …)`.
What it does not know it refuses with a ValidationException, as it refuses what DynamoDB does not take: unused
placeholders, reserved words, empty keys, items over 400 KB.

Every change is told to `on_change`, as the table's stream has it. An index may be behind the table by `index_delay`, as
a global secondary index is in DynamoDB.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import wraps
from sys import intern
from typing import Any, Final, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from local.dynamodb.expressions import (
    Condition,
    Filling,
    Item,
    Parsed,
    Placeholders,
    Projection,
    Refused,
    Typed,
    Update,
    condition,
    for_lambda,
    found,
    key_condition,
    number,
    projection,
    update,
)
from local.dynamodb.schema import Index, Key, Keys, Schema, check_key, sortable
from local.dynamodb.wire import read, written

_LARGEST_ITEM = 400 * 1024
_LARGEST_PAGE = 1024 * 1024
_MOST_KEYS = 100  # of a BatchGetItem
_MOST_WRITES = 25  # of a BatchWriteItem
_NOTHING: Final = Placeholders(frozenset(), frozenset())
_NO_UPDATE: Final = Update((), _NOTHING)

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")

Record = dict[str, Any]
"""A record of the table's stream."""


class ConditionalCheckFailedException(ClientError):
    pass


class ResourceNotFoundException(ClientError):
    pass


class _Exceptions:
    """What a client calls its errors by."""

    ClientError = ClientError
    ConditionalCheckFailedException = ConditionalCheckFailedException
    ResourceNotFoundException = ResourceNotFoundException


class Row:
    """An item as it lies here. Nothing changes it: what is written is another one."""

    __slots__ = ("_image", "_wire", "item", "size")

    def __init__(self, item: Item, size: int, packed: bytes | None = None) -> None:
        self.item = item
        self.size = size
        self._image: Item | None = None
        self._wire = packed

    @property
    def image(self) -> Item:
        """On the stream: the new one of this write and the old one of the next."""
        if self._image is None:
            self._image = {name: for_lambda(value) for name, value in self.item.items()}
        return self._image

    @property
    def wire(self) -> bytes:
        """The image as text, for a stream that is read elsewhere."""
        if self._wire is None:
            self._wire = written(self.item)
        return self._wire


@dataclass(frozen=True, slots=True)
class _Packed:
    """A row as text: a fifth of the memory, and whoever fills much memory pays for most of it in time."""

    wire: bytes
    size: int

    def row(self) -> Row:
        return Row(read(self.wire), self.size, self.wire)


@dataclass(frozen=True, slots=True)
class Change:
    """One record of the table's stream; the numbers count from 1 without a gap."""

    table: str
    number: int
    at: datetime
    keys: Item
    old: Row | None
    new: Row | None
    expired: bool
    """Deleted by DynamoDB itself, when its time had come."""

    @property
    def kind(self) -> str:
        return "INSERT" if self.old is None else "REMOVE" if self.new is None else "MODIFY"

    @property
    def sequence_number(self) -> str:
        return sequence_number(self.number)

    def record(self) -> Record:
        """As Lambda is given it, of a stream that shows both images."""
        images = {"OldImage": self.old, "NewImage": self.new}
        return {
            "eventID": f"change-{self.number}",
            "eventName": self.kind,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "eventSourceARN": f"arn:aws:dynamodb:ap-northeast-1:000000000000:table/{self.table}/stream/now",
            "dynamodb": {
                "ApproximateCreationDateTime": int(self.at.timestamp()),
                "Keys": {name: for_lambda(value) for name, value in self.keys.items()},
                "SequenceNumber": self.sequence_number,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
                **{name: row.image for name, row in images.items() if row is not None},
            },
            **({"userIdentity": TIME_TO_LIVE} if self.expired else {}),
        }


TIME_TO_LIVE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
"""AWS, "DynamoDB Streams and Time to Live": who deleted, of a record that nobody else did."""


def sequence_number(number_: int) -> str:
    """As text it sorts as the number does."""
    return f"{number_:021}"


_Entry = tuple[Any, Any, Any]  # range key of the index; hash key and range key of the table
_Shown = tuple[Any, _Entry, Item]  # under which hash key of the index, where, and as what


class _Index:
    """Keys in order, by hash key; what changed is seen only after the delay."""

    def __init__(self, index: Index, table_keys: Sequence[str]) -> None:
        self.keys = index.keys
        self.names = (*table_keys, *index.keys.names)
        self._shows = None if index.shows is None else index.shows.union(self.names)
        self._entries: dict[Any, list[_Entry]] = defaultdict(list)
        self._items: dict[Key, Item] = {}
        self._coming: deque[tuple[datetime, _Shown | None, _Shown | None]] = deque()

    def shown(self, item: Item, key: Key) -> _Shown | None:
        if not self.keys.in_all(item):
            return None
        hash_value, range_value = self.keys.place(item)
        projected = item if self._shows is None else {name: item[name] for name in self._shows if name in item}
        return hash_value, (range_value, *key), projected

    def change(self, key: Key, old: Item | None, new: Item | None, seen_from: datetime) -> None:
        before = self.shown(old, key) if old is not None else None
        after = self.shown(new, key) if new is not None else None
        if before != after:
            self._coming.append((seen_from, before, after))

    def catch_up(self, now: datetime) -> None:
        while self._coming and self._coming[0][0] <= now:
            _, before, after = self._coming.popleft()
            if before is not None:
                entries = self._entries[before[0]]
                del entries[bisect_left(entries, before[1])]
                del self._items[before[1][1:]]
            if after is not None:
                insort(self._entries[after[0]], after[1])
                self._items[after[1][1:]] = after[2]

    def of(self, hash_value: Any, now: datetime) -> list[_Entry]:
        self.catch_up(now)
        return self._entries.get(hash_value, [])

    def item(self, entry: _Entry) -> Item:
        return self._items[entry[1:]]


def _operation(name: str) -> Callable[[Callable[_Asked, _Answer]], Callable[_Asked, _Answer]]:
    """What is refused within it is refused as DynamoDB says so."""

    def operation(method: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer]:
        @wraps(method)
        def answer(*arguments: _Asked.args, **asked: _Asked.kwargs) -> _Answer:
            try:
                return method(*arguments, **asked)
            except Refused as refused:
                error: Any = _error("ValidationException", str(refused))
                raise ClientError(error, name) from None

        return answer

    return operation


class MemoryTable:
    exceptions = _Exceptions()

    def __init__(
        self,
        schema: Schema,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        index_delay: timedelta = timedelta(0),
        on_change: Callable[[Change], None] | None = None,
        packs: bool = False,
    ) -> None:
        """`packs`: items lie here as text, for a table that holds many and is asked for few of them at a time."""
        self._packs = packs
        self.index_delay = index_delay
        self.on_change = on_change
        self._schema = schema
        self._keys = schema.keys
        self._all_keys = (schema.keys, *(index.keys for index in schema.indexes.values()))
        self._clock = clock
        self._rows: dict[Any, dict[Any, Row | _Packed]] = {}
        self._partitions: list[Any] | None = None  # hash keys, sorted when they were last asked for
        self._ordered: dict[Any, list[Any]] = {}  # the range keys of a partition, likewise
        self._indexes = {name: _Index(index, schema.keys.names) for name, index in schema.indexes.items()}
        self._sequence = itertools.count(1)
        self._lock = threading.RLock()

    @property
    def count(self) -> int:
        with self._lock:
            return sum(map(len, self._rows.values()))

    @property
    def size(self) -> int:
        """In bytes, as DynamoDB counts them."""
        with self._lock:
            return sum(row.size for partition in self._rows.values() for row in partition.values())

    # What tests look at

    def items(self) -> Iterator[Item]:
        """Everything that lies here, in the order of its keys."""
        with self._lock:
            rows = list(self._all(None))
        return (row.item for row in rows)

    def sweep(self, now: datetime, attribute: str = "expires") -> int:
        """Delete what has expired, which DynamoDB does within days of that; says how many items that were."""
        seconds = now.timestamp()
        with self._lock:
            ended = [
                row
                for row in self._all(None)
                if attribute in row.item and float(row.item[attribute].get("N", "inf")) <= seconds
            ]
            for row in ended:
                self._write(self._keys.place(row.item), None, row, expired=True)
            return len(ended)

    # Reading

    @_operation("GetItem")
    def get_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Item,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        ProjectionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "GetItem")
        filling = Filling(ExpressionAttributeNames or {}, {})
        shown = projection(ProjectionExpression) if ProjectionExpression else None
        _check_placeholders(filling, _uses(shown))
        with self._lock:
            row = self._row(self._checked_key(Key))
        return {"Item": _shown(row.item, shown, filling)} if row else {}

    @_operation("BatchGetItem")
    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        answers: dict[str, list[Item]] = {}
        for name, asked in RequestItems.items():
            self._check_table(name, "BatchGetItem")
            known = {"Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"}
            if unknown := asked.keys() - known:
                raise Refused(f"{sorted(unknown)} is not known here")
            keys = [self._checked_key(key) for key in asked["Keys"]]
            if not 1 <= len(keys) <= _MOST_KEYS or len(set(keys)) < len(keys):
                raise Refused(f"Keys must be 1 to {_MOST_KEYS}, without duplicates")
            filling = Filling(asked.get("ExpressionAttributeNames") or {}, {})
            shown = projection(asked["ProjectionExpression"]) if "ProjectionExpression" in asked else None
            _check_placeholders(filling, _uses(shown))
            with self._lock:
                rows = [self._row(key) for key in keys]
            answers[name] = [_shown(row.item, shown, filling) for row in rows if row is not None]
        return {"Responses": answers, "UnprocessedKeys": {}}

    @_operation("Query")
    def query(
        self,
        *,
        TableName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Item,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        FilterExpression: str | None = None,  # noqa: N803
        ProjectionExpression: str | None = None,  # noqa: N803
        IndexName: str | None = None,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        ScanIndexForward: bool = True,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
        Select: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "Query")
        keys, names = self._chosen(IndexName)
        if IndexName is not None and ConsistentRead:
            raise Refused("Consistent reads are not supported on global secondary indexes")
        reading = _Reading(FilterExpression, ProjectionExpression, Select, Limit)
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues)
        asked = key_condition(KeyConditionExpression)
        _check_placeholders(filling, asked.uses, *reading.uses)
        if _named(asked.hash_name, filling) != keys.hash_name:
            raise Refused(f"Query condition missed key schema element: {keys.hash_name}")
        if asked.range_name and _named(asked.range_name, filling) != keys.range_name:
            raise Refused(f"Query condition missed key schema element: {keys.range_name}")
        hash_value = filling.values[asked.hash_value]
        if keys.hash_type not in hash_value:
            raise Refused("Condition parameter type does not match schema type")
        check_key(keys.hash_name, hash_value, keys.hash_type)
        self._check_start(ExclusiveStartKey, names)
        with self._lock:
            rows = self._found(IndexName, hash_value, forward=ScanIndexForward, after=ExclusiveStartKey)
            if asked.holds is not None:
                rows = _contiguous(rows, asked.holds, filling)
            return reading.answer(rows, filling, names)

    @_operation("Scan")
    def scan(
        self,
        *,
        TableName: str,  # noqa: N803
        ExpressionAttributeValues: Item | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        FilterExpression: str | None = None,  # noqa: N803
        ProjectionExpression: str | None = None,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
        Select: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "Scan")
        reading = _Reading(FilterExpression, ProjectionExpression, Select, Limit)
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        _check_placeholders(filling, *reading.uses)
        self._check_start(ExclusiveStartKey, self._keys.names)
        with self._lock:
            rows = self._all(self._keys.place(ExclusiveStartKey) if ExclusiveStartKey else None)
            return reading.answer(rows, filling, self._keys.names)

    # Writing

    @_operation("PutItem")
    def put_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Item: Item,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: Item | None = None,  # noqa: N803
        ReturnValues: str = "NONE",  # noqa: N803
        ReturnValuesOnConditionCheckFailure: str = "NONE",  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "PutItem")
        if ReturnValues not in ("NONE", "ALL_OLD"):
            raise Refused(f"ReturnValues set to invalid value: {ReturnValues}")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        wanted = condition(ConditionExpression) if ConditionExpression else None
        _check_placeholders(filling, _uses(wanted))
        row = self._checked(Item)
        key = self._keys.place(row.item)
        with self._lock:
            old = self._row(key)
            _check("PutItem", wanted, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(key, row, old)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

    @_operation("DeleteItem")
    def delete_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Item,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: Item | None = None,  # noqa: N803
        ReturnValues: str = "NONE",  # noqa: N803
        ReturnValuesOnConditionCheckFailure: str = "NONE",  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "DeleteItem")
        if ReturnValues not in ("NONE", "ALL_OLD"):
            raise Refused(f"ReturnValues set to invalid value: {ReturnValues}")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        wanted = condition(ConditionExpression) if ConditionExpression else None
        _check_placeholders(filling, _uses(wanted))
        key = self._checked_key(Key)
        with self._lock:
            old = self._row(key)
            _check("DeleteItem", wanted, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(key, None, old)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

    @_operation("UpdateItem")
    def update_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Item,  # noqa: N803
        UpdateExpression: str | None = None,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: Item | None = None,  # noqa: N803
        ReturnValues: str = "NONE",  # noqa: N803
        ReturnValuesOnConditionCheckFailure: str = "NONE",  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "UpdateItem")
        if ReturnValues not in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"):
            raise Refused(f"ReturnValues {ReturnValues} is not known here")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        wanted = update(UpdateExpression) if UpdateExpression is not None else _NO_UPDATE
        allowed = condition(ConditionExpression) if ConditionExpression else None
        _check_placeholders(filling, wanted.uses, _uses(allowed))
        changed = [_named(action.path[0], filling) for action in wanted.actions]
        if set(changed) & set(self._keys.names):
            raise Refused("Cannot update attribute. This attribute is part of the key")
        key = self._checked_key(Key)
        with self._lock:
            old = self._row(key)
            _check("UpdateItem", allowed, filling, old, ReturnValuesOnConditionCheckFailure)
            new = _updated(old.item if old else dict(Key), wanted.actions, filling)
            row = self._revised(old, new, changed) if old else self._checked(new)
            self._write(key, row, old)
        match ReturnValues:
            case "ALL_NEW":
                return {"Attributes": dict(row.item)}
            case "UPDATED_NEW":
                return {"Attributes": {name: row.item[name] for name in changed if name in row.item}}
            case "ALL_OLD" if old:
                return {"Attributes": dict(old.item)}
        return {}

    @_operation("BatchWriteItem")
    def batch_write_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """Each write by itself, as DynamoDB does it; all of them are checked before the first."""
        writes: list[tuple[Key, Row | None]] = []
        for name, requests in RequestItems.items():
            self._check_table(name, "BatchWriteItem")
            for request in requests:
                if "PutRequest" in request:
                    row = self._checked(request["PutRequest"]["Item"])
                    writes.append((self._keys.place(row.item), row))
                else:
                    writes.append((self._checked_key(request["DeleteRequest"]["Key"]), None))
        if not 1 <= len(writes) <= _MOST_WRITES or len({key for key, _ in writes}) < len(writes):
            raise Refused(f"RequestItems must be 1 to {_MOST_WRITES}, without duplicates")
        with self._lock:
            for key, row_or_none in writes:
                self._write(key, row_or_none, self._row(key))
        return {"UnprocessedItems": {}}

    # The table

    def _row(self, key: Key) -> Row | None:
        partition = self._rows.get(key[0])
        row = partition.get(key[1]) if partition else None
        return row.row() if isinstance(row, _Packed) else row

    def _chosen(self, index: str | None) -> tuple[Keys, Sequence[str]]:
        """By what a query finds, and the keys that say where it goes on."""
        if index is None:
            return self._keys, self._keys.names
        if index not in self._indexes:
            raise Refused("The table does not have the specified index")
        return self._indexes[index].keys, self._indexes[index].names

    def _check_start(self, key: Item | None, names: Sequence[str]) -> None:
        if key is not None and key.keys() != set(names):
            raise Refused("The provided starting key is invalid")
        for keys in self._all_keys:
            keys.check(key or {})

    def _all(self, after: Key | None) -> Iterator[Row]:
        if self._partitions is None:
            self._partitions = sorted(self._rows)
        start = bisect_left(self._partitions, after[0]) if after is not None else 0
        for hash_value in itertools.islice(self._partitions, start, None):
            partition = self._rows[hash_value]
            same = after is not None and hash_value == after[0]
            for range_value in _beyond(self._ranges(hash_value), after[1] if same and after else None, forward=True):
                row = partition[range_value]
                yield row.row() if isinstance(row, _Packed) else row

    def _ranges(self, hash_value: Any) -> list[Any]:
        ranges = self._ordered.get(hash_value)
        if ranges is None:
            ranges = sorted(self._rows.get(hash_value, ()))
            if len(ranges) > 1:
                self._ordered[hash_value] = ranges
        return ranges

    def _found(self, index: str | None, hash_value: Typed, *, forward: bool, after: Item | None) -> Iterator[Row]:
        keys, _ = self._chosen(index)
        wanted = sortable(hash_value, keys.hash_type)
        if index is None:
            partition = self._rows.get(wanted, {})
            range_value = self._keys.place(after)[1] if after else None
            for each in _beyond(self._ranges(wanted), range_value, forward=forward):
                row = partition[each]
                yield row.row() if isinstance(row, _Packed) else row
            return
        chosen = self._indexes[index]
        place = chosen.shown(after, self._keys.place(after)) if after else None
        for entry in _beyond(chosen.of(wanted, self._clock()), place[1] if place else None, forward=forward):
            item = chosen.item(entry)
            yield Row(item, _size(item))

    def _write(self, key: Key, row: Row | None, old: Row | None, *, expired: bool = False) -> None:
        hash_value, range_value = key
        partition = self._rows.get(hash_value)
        before, after = old.item if old else None, row.item if row else None
        if row is not None:
            if partition is None:
                partition = self._rows[hash_value] = {}
                self._partitions = None
            partition[range_value] = _Packed(row.wire, row.size) if self._packs else row
        elif old is not None and partition is not None:
            del partition[range_value]
            if not partition:
                del self._rows[hash_value]  # Else whoever deletes much would walk through what is no more.
                self._partitions = None
        if (old is None) is not (row is None):
            self._ordered.pop(hash_value, None)
        if before == after:
            return  # A write that changes nothing is on no stream.
        now = self._clock()
        for index in self._indexes.values():
            index.change(key, before, after, now + self.index_delay)
            index.catch_up(now)  # even where nobody ever asks it
        if self.on_change is not None:
            whole = after or before or {}
            keys = {name: whole[name] for name in self._keys.names}
            self.on_change(Change(self._schema.name, next(self._sequence), now, keys, old, row, expired))

    def _check_table(self, name: str, operation: str) -> None:
        if name != self._schema.name:
            error: Any = _error("ResourceNotFoundException", "Requested resource not found")
            raise ResourceNotFoundException(error, operation)

    def _checked_key(self, key: Item) -> Key:
        if len(key) != len(self._keys.names) or not self._keys.in_all(key):
            raise Refused("The provided key element does not match the schema")
        self._keys.check(key)
        return self._keys.place(key)

    def _checked(self, item: Item) -> Row:
        """The item as it is stored, with its size; or DynamoDB's refusal of it."""
        for name in self._keys.names:
            if name not in item:
                raise Refused(f"One of the required keys was not given a value: {name}")
        for keys in self._all_keys:
            keys.check(item)
        stored: Item = {}
        size = 0
        for name, value in item.items():
            stored[intern(name)], taken = _stored(value)  # the same few names in every item
            size += taken + (len(name) if name.isascii() else _length(name))
        return _row(stored, size)

    def _revised(self, old: Row, new: Item, changed: Sequence[str]) -> Row:
        """Likewise, where only those attributes can be others than they were."""
        for keys in self._all_keys:
            keys.check(new)
        size = old.size
        for name in set(changed):
            if name in old.item:
                size -= _length(name) + _stored(old.item[name])[1]
            if name in new:
                new[name], taken = _stored(new[name])
                size += _length(name) + taken
        return _row(new, size)


class _Reading:
    """What Query and Scan make of the rows that they find."""

    def __init__(self, kept: str | None, shown: str | None, select: str | None, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise Refused("Limit must be at least 1")
        if select not in (None, "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES"):
            raise Refused(f"Select {select} is not known here")
        self._kept = condition(kept) if kept else None
        self._shown = projection(shown) if shown else None
        self._count_only = select == "COUNT"
        self._limit = limit

    @property
    def uses(self) -> tuple[Placeholders, Placeholders]:
        return _uses(self._kept), _uses(self._shown)

    def answer(self, rows: Iterator[Row], filling: Filling, keys: Sequence[str]) -> dict[str, Any]:
        page, last = _page(rows, self._limit)
        kept = [row.item for row in page if self._kept is None or self._kept.holds(row.item, filling)]
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(page)}
        if not self._count_only:
            answer["Items"] = [_shown(item, self._shown, filling) for item in kept]
        if last is not None:
            answer["LastEvaluatedKey"] = {name: last.item[name] for name in keys}
        return answer


def _check(operation: str, wanted: Parsed | None, filling: Filling, old: Row | None, show: str) -> None:
    if show not in ("NONE", "ALL_OLD"):
        raise Refused(f"ReturnValuesOnConditionCheckFailure set to invalid value: {show}")
    if wanted is None or wanted.holds(old.item if old else {}, filling):
        return
    answer: Any = _error("ConditionalCheckFailedException", "The conditional request failed")
    if show == "ALL_OLD" and old is not None:
        answer["Item"] = dict(old.item)
    raise ConditionalCheckFailedException(answer, operation)


def _row(item: Item, size: int) -> Row:
    if size > _LARGEST_ITEM:
        raise Refused("Item size has exceeded the maximum allowed size")
    return Row(item, size)


def _beyond(ordered: Sequence[Any], after: Any, *, forward: bool) -> Iterator[Any]:
    if forward:
        places = range(bisect_right(ordered, after) if after is not None else 0, len(ordered))
    else:
        places = range((bisect_left(ordered, after) if after is not None else len(ordered)) - 1, -1, -1)
    return map(ordered.__getitem__, places)


def _contiguous(rows: Iterator[Row], holds: Condition, filling: Filling) -> Iterator[Row]:
    """Whatever a range key is asked for by, those that fit lie side by side."""
    begun = False
    for row in rows:
        if holds(row.item, filling):
            begun = True
            yield row
        elif begun:
            return


def _page(rows: Iterator[Row], limit: int | None) -> tuple[list[Row], Row | None]:
    """What one answer holds, and its last row where more may follow."""
    page: list[Row] = []
    size = 0
    for row in rows:
        page.append(row)
        size += row.size
        if len(page) == limit or size > _LARGEST_PAGE:
            return page, row
    return page, None


def _shown(item: Item, wanted: Projection | None, filling: Filling) -> Item:
    if wanted is None:
        return dict(item)
    shown: Item = {}
    for path in wanted.paths:
        value = found(item, path, filling)
        if value is not None:
            _put_into(shown, [_named(name, filling) for name in path], value)
    return shown


def _put_into(attributes: Item, names: Sequence[str], value: Typed) -> None:
    first, *rest = names
    if rest:
        _put_into(attributes.setdefault(first, {"M": {}})["M"], rest, value)
    else:
        attributes[first] = value


def _updated(old: Item, actions: Any, filling: Filling) -> Item:
    """Every operand is read from the item as it was, whatever else the same update changes."""
    new = dict(old)
    for action in actions:
        value = action.change(found(old, action.path, filling), old, filling)
        names = [_named(name, filling) for name in action.path]
        new = _placed(new, names, value)
    return new


def _placed(attributes: Item, names: list[str], value: Typed | None) -> Item:
    first, *rest = names
    placed = dict(attributes)
    if rest:
        if "M" not in attributes.get(first, {}):
            raise Refused("The document path provided in the update expression is invalid for update")
        placed[first] = {"M": _placed(attributes[first]["M"], rest, value)}
    elif value is None:
        placed.pop(first, None)
    else:
        placed[first] = value
    return placed


def _stored(value: Typed) -> tuple[Typed, int]:
    """A value in its one spelling, and what it takes of an item's 400 KB."""
    if len(value) != 1:
        raise Refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one")
    ((kind, inner),) = value.items()
    match kind:
        case "S" if isinstance(inner, str):
            return value, len(inner) if inner.isascii() else _length(inner)
        case "N" if isinstance(inner, str):
            return _number(inner)
        case "B" if isinstance(inner, bytes | bytearray):
            return {"B": bytes(inner)}, len(inner)
        case "BOOL" | "NULL" if isinstance(inner, bool):
            return value, 1
        case "M":
            inside, size = {}, 3
            for name, each in inner.items():
                inside[name], taken = _stored(each)
                size += 1 + _length(name) + taken
            return {"M": inside}, size
        case "L":
            elements = [_stored(each) for each in inner]
            return {"L": [each for each, _ in elements]}, 3 + sum(1 + size for _, size in elements)
        case "SS" | "NS" | "BS":
            members = [_stored({kind[0]: each}) for each in inner]
            values = sorted({member[kind[0]] for member, _ in members})
            if len(values) < max(len(inner), 1):
                raise Refused("A set may not be empty, and holds nothing twice")
            return {kind: values}, sum(size for _, size in members)
    raise Refused(f"an attribute of type {kind} is not known here, or does not hold what it says")


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _number(text: str) -> tuple[Typed, int]:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused("A value provided cannot be converted into a number") from None
    digits = len(value.normalize().as_tuple().digits)
    if not value.is_finite() or digits > 38:
        raise Refused("Attempting to store more than 38 significant digits in a Number")
    return {"N": number(value)}, digits // 2 + 2


def _size(item: Item) -> int:
    return sum(_length(name) + _stored(value)[1] for name, value in item.items())


def _uses(parsed: Parsed | Projection | None) -> Placeholders:
    return parsed.uses if parsed is not None else _NOTHING


def _named(name: str, filling: Filling) -> str:
    return filling.names[name] if name.startswith("#") else name


def _check_placeholders(filling: Filling, *uses: Placeholders) -> None:
    names = {name for each in uses for name in each.names}
    values = {name for each in uses for name in each.values}
    for kind, used, given in (("Names", names, filling.names.keys()), ("Values", values, filling.values.keys())):
        if used == given:
            continue
        if used - given:
            raise Refused(f"An expression attribute used in expression is not defined: {sorted(used - given)}")
        raise Refused(f"Value provided in ExpressionAttribute{kind} unused in expressions: {sorted(given - used)}")


def _error(code: str, message: str) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "memory", "RetryAttempts": 0},
    }
