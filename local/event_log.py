"""What the event buses took, in order, for the one reader that looks at every event: a line each, until it is read.

A rule that brings everything to a queue would say the same, at ten times the price: each event would be matched,
wrapped, queued, received and deleted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

_MOST = 500  # in one answer


class EventLog:
    def __init__(self, region: str, account: str) -> None:
        self._region = region
        self._account = account
        self._events: deque[bytes] = deque()
        self._first = 0  # the place of the first that is kept
        self._news: asyncio.Future[None] | None = None

    def add(self, asked: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        """`asked`: of PutEvents; `told`: what was answered to it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for entry, result in zip(asked["Entries"], told["Entries"], strict=True):
            if "EventId" in result:
                with suppress(KeyError, ValueError):  # ministack takes what EventBridge refuses as no event.
                    self._events.append(self._event(entry, result["EventId"], now))
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def after(self, place: int, seconds: float, gather: float) -> tuple[int, Sequence[bytes]]:
        """What came from `place` on, waited for if need be, and where it goes on. What is before is read, and goes."""
        while self._first < place and self._events:
            self._events.popleft()
            self._first += 1
        if not self._events:
            self._news = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._news], timeout=seconds)
        if 0 < len(self._events) < _MOST:
            await asyncio.sleep(gather)
        found = [self._events[n] for n in range(min(len(self._events), _MOST))]
        return self._first + len(found), found

    def _event(self, entry: Mapping[str, Any], event_id: str, now: str) -> bytes:
        """AWS, "Amazon EventBridge event structure"."""
        return orjson.dumps(
            {
                "version": "0",
                "id": event_id,
                "detail-type": entry["DetailType"],
                "source": entry["Source"],
                "account": self._account,
                "time": now,
                "region": self._region,
                "resources": entry.get("Resources", []),
                "detail": orjson.loads(entry["Detail"]),
            }
        )
