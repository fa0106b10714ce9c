"""Callbacks that came to nothing are read once more: after a mended parser, or when their message has become known.

Whoever calls us was answered and never calls again, so what was stored is all there is. Reading it again changes only
what is not known yet, so it may be done at any time, twice, or by two at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from smsgate import telemetry
from smsgate.items import Plain
from smsgate.ledger import Ledger, callback_of
from smsgate.providers.base import Provider, ReadsReceipts, ReadsReplies
from smsgate.receipts import Receipts
from smsgate.replies import Replies

_PAGE = 25
_TIME = timedelta(seconds=20)
"""Of the thirty seconds that an HTTP API waits for its answer; the page that is under way comes on top."""


@dataclass(frozen=True, slots=True)
class Replayed:
    read: int
    understood: int
    cursor: Plain | None = field(repr=False)  # where to go on, where the time was short


class Replay:
    def __init__(
        self,
        *,
        ledger: Ledger,
        receipts: Receipts,
        replies: Replies,
        find: Callable[[str], type[Provider] | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._receipts = receipts
        self._replies = replies
        self._find = find
        self._clock = clock
        self._log = telemetry.logger()

    def run(self, cursor: Mapping[str, Any] | None) -> Replayed:
        read = understood = 0
        ends = self._clock() + _TIME
        while True:
            page = self._ledger.unread_callbacks(_PAGE, cursor)
            for stored in page.items:
                read += 1
                understood += self._again(stored)
            cursor = page.cursor
            if cursor is None or self._clock() >= ends:
                telemetry.count("CallbacksReplayed", value=understood)
                return Replayed(read, understood, page.cursor)

    def _again(self, stored: Plain) -> bool:
        """One that fails must not keep those behind it from being read."""
        key, provider_key = str(stored["pk"]), str(stored["provider"])
        try:
            understood = self._understand(self._find(provider_key), stored["kind"], provider_key, stored, key)
            if understood:
                self._ledger.callback_understood(key)
        except Exception as error:
            self._log.error("callback not replayed", extra={"callback": key, "error": type(error).__name__})
            return False
        return understood

    def _understand(self, reader: type[Provider] | None, kind: str, provider_key: str, stored: Plain, key: str) -> bool:
        callback = callback_of(stored)
        if kind == "receipts" and reader is not None and issubclass(reader, ReadsReceipts):
            return self._receipts.understand(reader, provider_key, callback, key)
        if kind == "replies" and reader is not None and issubclass(reader, ReadsReplies):
            return self._replies.understand(reader, provider_key, callback, key)
        return False
