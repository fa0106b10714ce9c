"""What Query and Scan make of the rows that they find: pages, filters, and the attributes that are shown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final

from local.dynamodb.expressions import (
    Condition,
    Filling,
    Item,
    Parsed,
    Placeholders,
    Projection,
    Refused,
    Typed,
    condition,
    found,
    projection,
)
from local.dynamodb.rows import Row

_LARGEST_PAGE = 1024 * 1024
NOTHING: Final = Placeholders(frozenset(), frozenset())


class Reading:
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
        return uses(self._kept), uses(self._shown)

    def answer(self, rows: Iterator[Row], filling: Filling, keys: Sequence[str]) -> dict[str, Any]:
        page, last = _page(rows, self._limit)
        kept = [row.item for row in page if self._kept is None or self._kept.holds(row.item, filling)]
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(page)}
        if not self._count_only:
            answer["Items"] = [shown_of(item, self._shown, filling) for item in kept]
        if last is not None:
            answer["LastEvaluatedKey"] = {name: last.item[name] for name in keys}
        return answer


def beyond(ordered: Sequence[Any], after: Any, *, forward: bool) -> Iterator[Any]:
    if forward:
        places = range(bisect_right(ordered, after) if after is not None else 0, len(ordered))
    else:
        places = range((bisect_left(ordered, after) if after is not None else len(ordered)) - 1, -1, -1)
    return map(ordered.__getitem__, places)


def contiguous(rows: Iterator[Row], holds: Condition, filling: Filling) -> Iterator[Row]:
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


def shown_of(item: Item, wanted: Projection | None, filling: Filling) -> Item:
    if wanted is None:
        return dict(item)
    shown: Item = {}
    for path in wanted.paths:
        value = found(item, path, filling)
        if value is not None:
            _put_into(shown, [named(name, filling) for name in path], value)
    return shown


def _put_into(attributes: Item, names: Sequence[str], value: Typed) -> None:
    first, *rest = names
    if rest:
        _put_into(attributes.setdefault(first, {"M": {}})["M"], rest, value)
    else:
        attributes[first] = value


def uses(parsed: Parsed | Projection | None) -> Placeholders:
    return parsed.uses if parsed is not None else NOTHING


def named(name: str, filling: Filling) -> str:
    return filling.names[name] if name.startswith("#") else name
