"""DynamoDB in this process: the calls a ledger makes, microseconds each, with the keys and indexes of template.yaml.

`MemoryTable` stands in for a boto3 client: `Ledger(cast("DynamoDBClient", MemoryTable()), TABLE, retention)`. Every
call is atomic. What it does not know it refuses with a ValidationException, as it refuses what DynamoDB does not take:
unused placeholders, reserved words, empty keys, items over 400 KB.

Every change is told to `on_change` as a record of the table's stream (NEW_AND_OLD_IMAGES), as Lambda would be given it.
An index may be behind the table by `index_delay`, as a global secondary index is in DynamoDB.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

from botocore.exceptions import ClientError

from local.dynamodb.expressions import (
    Filling,
    Item,
    Placeholders,
    Refused,
    Typed,
    condition,
    for_lambda,
    found,
    key_condition,
    number,
    projection,
    update,
)

TABLE = "messages"
INDEXES: Final[Mapping[str, tuple[str, str]]] = {"due": ("due_shard", "due_at"), "recipient": ("to", "accepted_at")}

_LARGEST_ITEM = 400 * 1024
_LARGEST_PAGE = 1024 * 1024
_LARGEST_HASH, _LARGEST_RANGE = 2048, 1024  # bytes of a key, of the table's and of an index's
_MOST_KEYS = 100  # of a BatchGetItem
_KEY = ("pk", "sk")
_NOTHING: Final = Placeholders(frozenset(), frozenset())

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


@dataclass(frozen=True)
class _Row:
    item: Item
    size: int

    @cached_property
    def image(self) -> Item:
        """On the stream: the new one of this write and the old one of the next."""
        return {name: for_lambda(value) for name, value in self.item.items()}


_Key = tuple[str, str]
_Entry = tuple[str, str, str]  # range key, pk, sk


class _Index:
    """Keys in order, by hash key; what changed is seen only after the delay."""

    def __init__(self, hash_name: str, range_name: str) -> None:
        self.hash_name = hash_name
        self.range_name = range_name
        self._entries: dict[str, list[_Entry]] = defaultdict(list)
        self._coming: deque[tuple[datetime, tuple[str, _Entry] | None, tuple[str, _Entry] | None]] = deque()

    def place(self, item: Item | None) -> tuple[str, _Entry] | None:
        if item is None or self.hash_name not in item or self.range_name not in item:
            return None
        return item[self.hash_name]["S"], (item[self.range_name]["S"], item["pk"]["S"], item["sk"]["S"])

    def change(self, old: Item | None, new: Item | None, seen_from: datetime) -> None:
        before, after = self.place(old), self.place(new)
        if before != after:
            self._coming.append((seen_from, before, after))

    def of(self, hash_value: str, now: datetime) -> list[_Entry]:
        while self._coming and self._coming[0][0] <= now:
            _, before, after = self._coming.popleft()
            if before is not None:
                self._entries[before[0]].remove(before[1])
            if after is not None:
                insort(self._entries[after[0]], after[1])
        return self._entries.get(hash_value, [])


class MemoryTable:
    exceptions = _Exceptions()

    def __init__(
        self,
        *,
        name: str = TABLE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        index_delay: timedelta = timedelta(0),
        on_change: Callable[[Record], None] | None = None,
    ) -> None:
        self.index_delay = index_delay
        self.on_change = on_change
        self._name = name
        self._clock = clock
        self._rows: dict[str, dict[str, _Row]] = defaultdict(dict)
        self._ordered: dict[str, list[str]] = {}  # the range keys of a partition, sorted when they were last asked for
        self._indexes = {index: _Index(*keys) for index, keys in INDEXES.items()}
        self._sequence = itertools.count(1)
        self._lock = threading.RLock()

    # What tests look at

    def items(self) -> Iterator[Item]:
        """Everything that lies here, in the order of its keys."""
        with self._lock:
            rows = [self._rows[pk][sk] for pk in sorted(self._rows) for sk in sorted(self._rows[pk])]
        return (row.item for row in rows)

    def sweep(self, now: datetime) -> int:
        """Delete what has expired, which DynamoDB does within days of `expires`; says how many items that were."""
        with self._lock:
            ended = [
                item for item in self.items() if "expires" in item and int(item["expires"]["N"]) <= now.timestamp()
            ]
            for item in ended:
                self._write(_key_of(item), None)
            return len(ended)

    # Reading

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: N803
        self._check_table(TableName, "GetItem")
        with self._lock:
            row = self._row(self._checked_key(Key, "GetItem"))
        return {"Item": dict(row.item)} if row else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        answers: dict[str, list[Item]] = {}
        for name, asked in RequestItems.items():
            self._check_table(name, "BatchGetItem")
            if unknown := set(asked) - {"Keys", "ConsistentRead", "ProjectionExpression"}:
                raise _invalid("BatchGetItem", f"{sorted(unknown)} is not known here")
            keys = [self._checked_key(key, "BatchGetItem") for key in asked["Keys"]]
            if not 1 <= len(keys) <= _MOST_KEYS or len(set(keys)) < len(keys):
                raise _invalid("BatchGetItem", f"Keys must be 1 to {_MOST_KEYS}, without duplicates")
            with self._lock:
                rows = [self._row(key) for key in keys]
            answers[name] = [dict(row.item) for row in rows if row is not None]
            if "ProjectionExpression" in asked:
                answers[name] = [_projected(item, asked["ProjectionExpression"]) for item in answers[name]]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def query(
        self,
        *,
        TableName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Item,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        FilterExpression: str | None = None,  # noqa: N803
        IndexName: str | None = None,  # noqa: N803
        ConsistentRead: bool = False,  # noqa: N803
        ScanIndexForward: bool = True,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
        Select: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "Query")
        if IndexName is not None and IndexName not in self._indexes:
            raise _invalid("Query", "The table does not have the specified index")
        if IndexName is not None and ConsistentRead:
            raise _invalid("Query", "Consistent reads are not supported on global secondary indexes")
        if Limit is not None and Limit < 1:
            raise _invalid("Query", "Limit must be at least 1")
        if Select not in (None, "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"):
            raise _invalid("Query", f"Select {Select} is not known here")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues)
        try:
            asked = key_condition(KeyConditionExpression)
            kept = condition(FilterExpression) if FilterExpression else None
            _check_placeholders(filling, asked.uses, kept.uses if kept else _NOTHING)
            hash_name, range_name = _KEY if IndexName is None else INDEXES[IndexName]
            if _named(asked.hash_name, filling) != hash_name:
                raise Refused(f"Query condition missed key schema element: {hash_name}")
            if asked.range_name and _named(asked.range_name, filling) != range_name:
                raise Refused(f"Query condition missed key schema element: {range_name}")
            hash_value = filling.values[asked.hash_value]
            if "S" not in hash_value:
                raise Refused("Condition parameter type does not match schema type")
            _check_size(hash_name, hash_value["S"], _LARGEST_HASH)
            _check_keys(ExclusiveStartKey or {})
            with self._lock:
                found_items = self._found(IndexName, hash_value["S"], forward=ScanIndexForward, after=ExclusiveStartKey)
                matching = (item for item in found_items if asked.holds is None or asked.holds(item.item, filling))
                page, last = _page(matching, Limit)
            shown = [row.item for row in page if kept is None or kept.holds(row.item, filling)]
        except Refused as refused:
            raise _invalid("Query", str(refused)) from None
        answer: dict[str, Any] = {"Count": len(shown), "ScannedCount": len(page)}
        if Select != "COUNT":
            answer["Items"] = [dict(item) for item in shown]
        if last is not None:
            names = (*_KEY, *(INDEXES[IndexName] if IndexName else ()))
            answer["LastEvaluatedKey"] = {name: last.item[name] for name in names}
        return answer

    # Writing

    def scan(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803
        """All of it in one page: only tests ask for that."""
        self._check_table(TableName, "Scan")
        found = list(self.items())
        return {"Items": found, "Count": len(found), "ScannedCount": len(found)}

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
            raise _invalid("PutItem", f"ReturnValues set to invalid value: {ReturnValues}")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        with self._lock:
            row = _checked(Item, "PutItem")
            old = self._row(_key_of(row.item))
            self._check("PutItem", ConditionExpression, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(_key_of(row.item), row)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

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
            raise _invalid("DeleteItem", f"ReturnValues set to invalid value: {ReturnValues}")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        with self._lock:
            key = self._checked_key(Key, "DeleteItem")
            old = self._row(key)
            self._check("DeleteItem", ConditionExpression, filling, old, ReturnValuesOnConditionCheckFailure)
            self._write(key, None)
        return {"Attributes": dict(old.item)} if ReturnValues == "ALL_OLD" and old else {}

    def update_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Item,  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] | None = None,  # noqa: N803
        ExpressionAttributeValues: Item | None = None,  # noqa: N803
        ReturnValues: str = "NONE",  # noqa: N803
        ReturnValuesOnConditionCheckFailure: str = "NONE",  # noqa: N803
    ) -> dict[str, Any]:
        self._check_table(TableName, "UpdateItem")
        if ReturnValues not in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"):
            raise _invalid("UpdateItem", f"ReturnValues {ReturnValues} is not known here")
        filling = Filling(ExpressionAttributeNames or {}, ExpressionAttributeValues or {})
        with self._lock:
            key = self._checked_key(Key, "UpdateItem")
            old = self._row(key)
            try:
                wanted = update(UpdateExpression)
                changed = [_named(action.path[0], filling) for action in wanted.actions]
                uses = condition(ConditionExpression).uses if ConditionExpression else _NOTHING
                _check_placeholders(filling, wanted.uses, uses)
                if set(changed) & set(_KEY):
                    raise Refused("Cannot update attribute. This attribute is part of the key")
            except Refused as refused:
                raise _invalid("UpdateItem", str(refused)) from None
            self._check(
                "UpdateItem", ConditionExpression, filling, old, ReturnValuesOnConditionCheckFailure, checked=True
            )
            try:
                new = _updated(old.item if old else dict(Key), wanted.actions, filling)
            except Refused as refused:
                raise _invalid("UpdateItem", str(refused)) from None
            row = _checked(new, "UpdateItem")
            self._write(key, row)
        match ReturnValues:
            case "ALL_NEW":
                return {"Attributes": dict(row.item)}
            case "UPDATED_NEW":
                return {"Attributes": {name: row.item[name] for name in changed if name in row.item}}
            case "ALL_OLD" if old:
                return {"Attributes": dict(old.item)}
        return {}

    # The table

    def _row(self, key: _Key) -> _Row | None:
        partition = self._rows.get(key[0])
        return partition.get(key[1]) if partition else None

    def _found(self, index: str | None, hash_value: str, *, forward: bool, after: Item | None) -> Iterator[_Row]:
        if index is None:
            partition = self._rows.get(hash_value, {})
            ranges = self._ordered.get(hash_value)
            if ranges is None:
                ranges = self._ordered[hash_value] = sorted(partition)
            for sk in _beyond(ranges, after["sk"]["S"] if after else None, forward=forward):
                yield partition[sk]
            return
        chosen = self._indexes[index]
        place = chosen.place(after)
        if after is not None and place is None:
            raise Refused("The provided starting key is invalid")
        for range_value, pk, sk in _beyond(
            chosen.of(hash_value, self._clock()), place[1] if place else None, forward=forward
        ):
            keys = {"pk": pk, "sk": sk, chosen.hash_name: hash_value, chosen.range_name: range_value}
            item = {name: {"S": value} for name, value in keys.items()}
            yield _Row(item, sum(len(name) + len(value.encode()) for name, value in keys.items()))

    def _write(self, key: _Key, row: _Row | None) -> None:
        pk, sk = key
        old = self._row(key)
        before, after = old.item if old else None, row.item if row else None
        if row is not None:
            self._rows[pk][sk] = row
        elif old is not None:
            del self._rows[pk][sk]
            if not self._rows[pk]:
                del self._rows[pk]  # Else whoever deletes much would walk through what is no more.
        if (old is None) is not (row is None):
            self._ordered.pop(pk, None)
        if before == after:
            return  # A write that changes nothing is on no stream.
        now = self._clock()
        for index in self._indexes.values():
            index.change(before, after, now + self.index_delay)
        if self.on_change is not None:
            self.on_change(self._record(key, old, row, now))

    def _record(self, key: _Key, old: _Row | None, new: _Row | None, now: datetime) -> Record:
        number_ = next(self._sequence)
        images = {"OldImage": old, "NewImage": new}
        return {
            "eventID": f"change-{number_}",
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "eventSourceARN": f"arn:aws:dynamodb:ap-northeast-1:000000000000:table/{self._name}/stream/now",
            "dynamodb": {
                "ApproximateCreationDateTime": int(now.timestamp()),
                "Keys": {"pk": {"S": key[0]}, "sk": {"S": key[1]}},
                "SequenceNumber": f"{number_:021}",
                "StreamViewType": "NEW_AND_OLD_IMAGES",
                **{name: row.image for name, row in images.items() if row is not None},
            },
        }

    def _check(
        self,
        operation: str,
        expression: str | None,
        filling: Filling,
        old: _Row | None,
        show: str,
        *,
        checked: bool = False,
    ) -> None:
        if show not in ("NONE", "ALL_OLD"):
            raise _invalid(operation, f"ReturnValuesOnConditionCheckFailure set to invalid value: {show}")
        try:
            parsed = condition(expression) if expression else None
            if not checked:
                _check_placeholders(filling, parsed.uses if parsed else _NOTHING)
            holds = parsed is None or parsed.holds(old.item if old else {}, filling)
        except Refused as refused:
            raise _invalid(operation, str(refused)) from None
        if not holds:
            answer: Any = _error("ConditionalCheckFailedException", "The conditional request failed")
            if show == "ALL_OLD" and old is not None:
                answer["Item"] = dict(old.item)
            raise ConditionalCheckFailedException(answer, operation)

    def _check_table(self, name: str, operation: str) -> None:
        if name != self._name:
            error: Any = _error("ResourceNotFoundException", "Requested resource not found")
            raise ResourceNotFoundException(error, operation)

    def _checked_key(self, key: Item, operation: str) -> _Key:
        if set(key) != set(_KEY) or not all(value.get("S") for value in key.values()):
            raise _invalid(operation, "The provided key element does not match the schema")
        try:
            _check_keys(key)
        except Refused as refused:
            raise _invalid(operation, str(refused)) from None
        return _key_of(key)


def _check_keys(item: Item) -> None:
    """Hash keys and range keys, the table's and the indexes', are as long as DynamoDB takes them and not empty."""
    for hash_name, range_name in (_KEY, *INDEXES.values()):
        for name, largest in ((hash_name, _LARGEST_HASH), (range_name, _LARGEST_RANGE)):
            if name in item:
                _check_size(name, item[name].get("S"), largest)


def _check_size(name: str, value: str | None, largest: int) -> None:
    if not value:
        raise Refused(f"The key {name} is no text, or an empty one")
    if len(value.encode()) > largest:
        raise Refused(f"The key {name} has exceeded the maximum size limit of {largest} bytes")


def _key_of(item: Item) -> _Key:
    return item["pk"]["S"], item["sk"]["S"]


def _beyond(ordered: list[Any], after: Any, *, forward: bool) -> list[Any]:
    if forward:
        return ordered[bisect_right(ordered, after) :] if after is not None else list(ordered)
    return ordered[: bisect_left(ordered, after)][::-1] if after is not None else ordered[::-1]


def _page(rows: Iterator[_Row], limit: int | None) -> tuple[list[_Row], _Row | None]:
    """What one answer holds, and its last row where more may follow."""
    page: list[_Row] = []
    size = 0
    for row in rows:
        page.append(row)
        size += row.size
        if len(page) == limit or size > _LARGEST_PAGE:
            return page, row
    return page, None


def _projected(item: Item, expression: str) -> Item:
    try:
        return {name: item[name] for name in projection(expression) if name in item}
    except Refused as refused:
        raise _invalid("BatchGetItem", str(refused)) from None


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


def _checked(item: Item, operation: str) -> _Row:
    """The item as it is stored, with its size; or DynamoDB's refusal of it."""
    for name in _KEY:
        if name not in item:
            raise _invalid(operation, f"One of the required keys was not given a value: {name}")
    try:
        _check_keys(item)
        stored: Item = {}
        size = 0
        for name, value in item.items():
            stored[name], taken = _stored(value)
            size += _length(name) + taken
    except Refused as refused:
        raise _invalid(operation, str(refused)) from None
    if size > _LARGEST_ITEM:
        raise _invalid(operation, "Item size has exceeded the maximum allowed size")
    return _Row(stored, size)


def _stored(value: Typed) -> tuple[Typed, int]:
    """A value in its one spelling, and what it takes of an item's 400 KB."""
    if len(value) != 1:
        raise Refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one")
    ((kind, inner),) = value.items()
    match kind:
        case "S" if isinstance(inner, str):
            return value, _length(inner)
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
        case "SS":
            if not inner or len(set(inner)) < len(inner):
                raise Refused("An string set may not be empty, and holds nothing twice")
            return {"SS": sorted(inner)}, sum(len(each.encode()) for each in inner)
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


def _named(name: str, filling: Filling) -> str:
    return filling.names[name] if name.startswith("#") else name


def _check_placeholders(filling: Filling, *uses: Placeholders) -> None:
    names = frozenset().union(*(each.names for each in uses))
    values = frozenset().union(*(each.values for each in uses))
    for kind, used, given in (("Names", names, filling.names.keys()), ("Values", values, filling.values.keys())):
        if used - given:
            raise Refused(f"An expression attribute used in expression is not defined: {sorted(used - given)}")
        if given - used:
            raise Refused(f"Value provided in ExpressionAttribute{kind} unused in expressions: {sorted(given - used)}")


def _error(code: str, message: str) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "memory", "RetryAttempts": 0},
    }


def _invalid(operation: str, message: str) -> ClientError:
    error: Any = _error("ValidationException", message)
    return ClientError(error, operation)
