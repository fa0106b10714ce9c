"""Keys in the order of an index, which may be behind its table."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from local.dynamodb.expressions import Item
from local.dynamodb.schema import Index, Key

_Entry = tuple[Any, Any, Any]  # range key of the index; hash key and range key of the table
_Shown = tuple[Any, _Entry, Item]  # under which hash key of the index, where, and as what


class OrderedIndex:
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
