"""DynamoDB's typed attribute values, out of plain values and back.

boto3 has this too, but importing it brings all of boto3 and the S3 transfers along: a third of a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def to_wire(plain: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it travels. What is None is not there."""
    return {name: typed(value) for name, value in plain.items() if value is not None}


def from_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: untyped(value) for name, value in item.items()}


def typed(value: Any) -> dict[str, Any]:
    """The types we keep, and no others: a float would come back as another number than went in."""
    if type(value) is str:  # Nearly all there is, and every attribute of every item comes through here.
        return {"S": value}
    match value:
        case str():
            return {"S": value}
        case dict():
            return {"M": {str(name): typed(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [typed(inner) for inner in value]}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case None:
            return {"NULL": True}
        case set() | frozenset():
            return {"SS": sorted(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no place in the table")


def untyped(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "S":  # as above
        return inner
    match kind:
        case "M":
            return {name: untyped(each) for name, each in inner.items()}
        case "L":
            return [untyped(each) for each in inner]
        case "N":
            return Decimal(inner)
        case "BOOL" | "B":
            return inner
        case "SS":
            return set(inner)
        case "NULL":
            return None
        case _:
            raise TypeError(f"an attribute of type {kind} was not written by us")
