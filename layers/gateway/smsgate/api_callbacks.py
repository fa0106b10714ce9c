"""Operators have what providers told us read once more."""

from __future__ import annotations

from smsgate.answers import Answer, bad_request
from smsgate.cursors import closed, opened
from smsgate.ledger import UNREAD
from smsgate.replay import Replay


class Callbacks:
    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def replay(self, cursor: str | None) -> Answer:
        try:
            after = opened(cursor, "due_shard", UNREAD, "due_at") if cursor else None
        except ValueError:
            return bad_request("cursor", "use the cursor of the answer before, unchanged, or none to begin")
        replayed = self._replay.run(after)
        return Answer(
            200,
            {
                "read": replayed.read,
                "understood": replayed.understood,
                "cursor": closed(replayed.cursor),
            },
        )
