"""What CreateTable says of a table's keys, and where an item lies by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from local.dynamodb.expressions import Item, Refused

_LARGEST_HASH, _LARGEST_RANGE = 2048, 1024  # bytes of a key, of the table's and of an index's
_NO_RANGE = ""

Key = tuple[Any, Any]
"""Values of the hash key and of the range key, that compare as DynamoDB sorts them."""


@dataclass(frozen=True)
class Keys:
    """The names and types of a hash key and, where there is one, of a range key."""

    hash_name: str
    range_name: str | None = None
    hash_type: str = "S"
    range_type: str = "S"
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", (self.hash_name, *((self.range_name,) if self.range_name else ())))

    @classmethod
    def of(cls, schema: list[Mapping[str, str]], types: Mapping[str, str]) -> Keys:
        by_kind = {element["KeyType"]: element["AttributeName"] for element in schema}
        range_name = by_kind.get("RANGE")
        return cls(by_kind["HASH"], range_name, types[by_kind["HASH"]], types[range_name] if range_name else "S")

    def place(self, item: Item) -> Key:
        """Of an item that holds them."""
        return (
            sortable(item[self.hash_name], self.hash_type),
            sortable(item[self.range_name], self.range_type) if self.range_name else _NO_RANGE,
        )

    def in_all(self, item: Item) -> bool:
        return self.hash_name in item and (self.range_name is None or self.range_name in item)

    def check(self, item: Item) -> None:
        """Those that are there are of their type, not empty, and as long as DynamoDB takes them."""
        if self.hash_name in item:
            check_key(self.hash_name, item[self.hash_name], self.hash_type, _LARGEST_HASH)
        if self.range_name is not None and self.range_name in item:
            check_key(self.range_name, item[self.range_name], self.range_type, _LARGEST_RANGE)


def sortable(value: Mapping[str, Any], kind: str) -> Any:
    """As DynamoDB sorts: text by its UTF-8 bytes, which is by code point."""
    return Decimal(value["N"]) if kind == "N" else value[kind]


def check_key(name: str, value: Mapping[str, Any], kind: str, largest: int = _LARGEST_HASH) -> None:
    inner = value.get(kind)
    if not inner or len(value) != 1:
        raise Refused(f"The key {name} is not of type {kind}, or empty")
    if kind == "N":
        return
    # A character takes four bytes at the most.
    if len(inner) * 4 > largest and len(inner if kind == "B" else inner.encode()) > largest:
        raise Refused(f"The key {name} has exceeded the maximum size limit of {largest} bytes")


@dataclass(frozen=True)
class Index:
    keys: Keys
    shows: frozenset[str] | None = frozenset()
    """Attributes beside all keys; None is every one."""


@dataclass(frozen=True)
class Schema:
    name: str
    keys: Keys
    indexes: Mapping[str, Index] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Schema:
        """As CreateTable is told it."""
        types = {each["AttributeName"]: each["AttributeType"] for each in request["AttributeDefinitions"]}
        return cls(
            request["TableName"],
            Keys.of(request["KeySchema"], types),
            {
                index["IndexName"]: Index(Keys.of(index["KeySchema"], types), _shown(index["Projection"]))
                for index in request.get("GlobalSecondaryIndexes") or ()
            },
        )


def _shown(projection: Mapping[str, Any]) -> frozenset[str] | None:
    if projection.get("ProjectionType", "ALL") == "ALL":
        return None
    return frozenset(projection.get("NonKeyAttributes") or ())
