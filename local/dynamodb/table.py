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
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Any, Final

from local.dynamodb.errors import (
    ConditionalCheckFailedException,
    Exceptions,
    ResourceNotFoundException,
    error_of,
    refusing,
)
from local.dynamodb.expressions import (
    Filling,
    Item,
    Parsed,
    Placeholders,
    Refused,
    Typed,
    Update,
    condition,
    found,
    key_condition,
    projection,
    update,
)
from local.dynamodb.indexes import OrderedIndex
from local.dynamodb.reading import NOTHING, Reading, beyond, contiguous, named, shown_of, uses
from local.dynamodb.rows import Change, Packed, Row, length, row_of, size_of, stored
from local.dynamodb.schema import Key, Keys, Schema, check_key, sortable

_MOST_KEYS = 100  # of a BatchGetItem
_MOST_WRITES = 25  # of a BatchWriteItem
_NO_UPDATE: Final = Update((), NOTHING)


class MemoryTable:
    exceptions = Exceptions()

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
        self._rows: dict[Any, dict[Any, Row | Packed]] = {}
        self._partitions: list[Any] | None = None  # hash keys, sorted when they were last asked for
        self._ordered: dict[Any, list[Any]] = {}  # the range keys of a partition, likewise
        self._indexes = {name: OrderedIndex(index, schema.keys.names) for name, index in schema.indexes.items()}
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

    @refusing("GetItem")
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
        _check_placeholders(filling, uses(shown))
        with self._lock:
            row = self._row(self._checked_key(Key))
        return {"Item": shown_of(row.item, shown, filling)} if row else {}

    @refusing("BatchGetItem")
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
            _check_placeholders(filling, uses(shown))
            with self._lock:
                rows = [self._row(key) for key in keys]
            answers[name] = [shown_of(row.item, shown, filling) for row in rows if row is not None]
        return {"Responses": answers, "UnprocessedKeys": {}}

    @refusing("Query")
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
        reading = Reading(FilterExpression, ProjectionExpression, Select, Limit)
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues)
        asked = key_condition(KeyConditionExpression)
        _check_placeholders(filling, asked.uses, *reading.uses)
        if named(asked.hash_name, filling) != keys.hash_name:
            raise Refused(f"Query condition missed key schema element: {keys.hash_name}")
        if asked.range_name and named(asked.range_name, filling) != keys.range_name:
            raise Refused(f"Query condition missed key schema element: {keys.range_name}")
        hash_value = filling.values[asked.hash_value]
        if keys.hash_type not in hash_value:
            raise Refused("Condition parameter type does not match schema type")
        check_key(keys.hash_name, hash_value, keys.hash_type)
        self._check_start(ExclusiveStartKey, names)
        with self._lock:
            rows = self._found(IndexName, hash_value, forward=ScanIndexForward, after=ExclusiveStartKey)
            if asked.holds is not None:
                rows = contiguous(rows, asked.holds, filling)
            return reading.answer(rows, filling, names)

    @refusing("Scan")
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
        reading = Reading(FilterExpression, ProjectionExpression, Select, Limit)
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        _check_placeholders(filling, *reading.uses)
        self._check_start(ExclusiveStartKey, self._keys.names)
        with self._lock:
            rows = self._all(self._keys.place(ExclusiveStartKey) if ExclusiveStartKey else None)
            return reading.answer(rows, filling, self._keys.names)

    # Writing

    @refusing("PutItem")
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
        _check_placeholders(filling, uses(wanted))
        row = self._checked(Item)
        key = self._keys.place(row.item)
        with self._lock:
            old = self._row(key)
            _check("PutItem", wanted, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(key, row, old)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

    @refusing("DeleteItem")
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
        _check_placeholders(filling, uses(wanted))
        key = self._checked_key(Key)
        with self._lock:
            old = self._row(key)
            _check("DeleteItem", wanted, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(key, None, old)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

    @refusing("UpdateItem")
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
        _check_placeholders(filling, wanted.uses, uses(allowed))
        changed = [named(action.path[0], filling) for action in wanted.actions]
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

    @refusing("BatchWriteItem")
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
        return row.row() if isinstance(row, Packed) else row

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
            for range_value in beyond(self._ranges(hash_value), after[1] if same and after else None, forward=True):
                row = partition[range_value]
                yield row.row() if isinstance(row, Packed) else row

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
            for each in beyond(self._ranges(wanted), range_value, forward=forward):
                row = partition[each]
                yield row.row() if isinstance(row, Packed) else row
            return
        chosen = self._indexes[index]
        place = chosen.shown(after, self._keys.place(after)) if after else None
        for entry in beyond(chosen.of(wanted, self._clock()), place[1] if place else None, forward=forward):
            item = chosen.item(entry)
            yield Row(item, size_of(item))

    def _write(self, key: Key, row: Row | None, old: Row | None, *, expired: bool = False) -> None:
        hash_value, range_value = key
        partition = self._rows.get(hash_value)
        before, after = old.item if old else None, row.item if row else None
        if row is not None:
            if partition is None:
                partition = self._rows[hash_value] = {}
                self._partitions = None
            partition[range_value] = Packed(row.wire, row.size) if self._packs else row
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
            error: Any = error_of("ResourceNotFoundException", "Requested resource not found")
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
        kept: Item = {}
        size = 0
        for name, value in item.items():
            kept[intern(name)], taken = stored(value)  # the same few names in every item
            size += taken + (len(name) if name.isascii() else length(name))
        return row_of(kept, size)

    def _revised(self, old: Row, new: Item, changed: Sequence[str]) -> Row:
        """Likewise, where only those attributes can be others than they were."""
        for keys in self._all_keys:
            keys.check(new)
        size = old.size
        for name in set(changed):
            if name in old.item:
                size -= length(name) + stored(old.item[name])[1]
            if name in new:
                new[name], taken = stored(new[name])
                size += length(name) + taken
        return row_of(new, size)


def _check(operation: str, wanted: Parsed | None, filling: Filling, old: Row | None, show: str) -> None:
    if show not in ("NONE", "ALL_OLD"):
        raise Refused(f"ReturnValuesOnConditionCheckFailure set to invalid value: {show}")
    if wanted is None or wanted.holds(old.item if old else {}, filling):
        return
    answer: Any = error_of("ConditionalCheckFailedException", "The conditional request failed")
    if show == "ALL_OLD" and old is not None:
        answer["Item"] = dict(old.item)
    raise ConditionalCheckFailedException(answer, operation)


def _updated(old: Item, actions: Any, filling: Filling) -> Item:
    """Every operand is read from the item as it was, whatever else the same update changes."""
    new = dict(old)
    for action in actions:
        value = action.change(found(old, action.path, filling), old, filling)
        names = [named(name, filling) for name in action.path]
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


def _check_placeholders(filling: Filling, *uses: Placeholders) -> None:
    names = {name for each in uses for name in each.names}
    values = {name for each in uses for name in each.values}
    for kind, used, given in (("Names", names, filling.names.keys()), ("Values", values, filling.values.keys())):
        if used == given:
            continue
        if used - given:
            raise Refused(f"An expression attribute used in expression is not defined: {sorted(used - given)}")
        raise Refused(f"Value provided in ExpressionAttribute{kind} unused in expressions: {sorted(given - used)}")
