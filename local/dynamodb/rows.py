"""Items as they lie in a table, what each takes of its 400 KB, and what a change of one is on the stream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from local.dynamodb.expressions import Item, Refused, Typed, for_lambda, number
from local.dynamodb.wire import read, written

_LARGEST_ITEM = 400 * 1024

Record = dict[str, Any]
"""A record of the table's stream."""


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
class Packed:
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


def row_of(item: Item, size: int) -> Row:
    if size > _LARGEST_ITEM:
        raise Refused("Item size has exceeded the maximum allowed size")
    return Row(item, size)


def stored(value: Typed) -> tuple[Typed, int]:
    """A value in its one spelling, and what it takes of an item's 400 KB."""
    if len(value) != 1:
        raise Refused("Supplied AttributeValue has more than one datatypes set, must contain exactly one")
    ((kind, inner),) = value.items()
    match kind:
        case "S" if isinstance(inner, str):
            return value, len(inner) if inner.isascii() else length(inner)
        case "N" if isinstance(inner, str):
            return _number(inner)
        case "B" if isinstance(inner, bytes | bytearray):
            return {"B": bytes(inner)}, len(inner)
        case "BOOL" | "NULL" if isinstance(inner, bool):
            return value, 1
        case "M":
            inside, size = {}, 3
            for name, each in inner.items():
                inside[name], taken = stored(each)
                size += 1 + length(name) + taken
            return {"M": inside}, size
        case "L":
            elements = [stored(each) for each in inner]
            return {"L": [each for each, _ in elements]}, 3 + sum(1 + size for _, size in elements)
        case "SS" | "NS" | "BS":
            members = [stored({kind[0]: each}) for each in inner]
            values = sorted({member[kind[0]] for member, _ in members})
            if len(values) < max(len(inner), 1):
                raise Refused("A set may not be empty, and holds nothing twice")
            return {kind: values}, sum(size for _, size in members)
    raise Refused(f"an attribute of type {kind} is not known here, or does not hold what it says")


def length(text: str) -> int:
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


def size_of(item: Item) -> int:
    return sum(length(name) + stored(value)[1] for name, value in item.items())
