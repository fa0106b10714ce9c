"""The gateway's table in memory, with the keys and indexes of template.yaml."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from local.dynamodb.rows import Change
from local.dynamodb.schema import Index, Keys, Schema
from local.dynamodb.table import MemoryTable

TABLE = "messages"
SCHEMA: Final = Schema(
    TABLE,
    Keys("pk", "sk"),
    {"due": Index(Keys("due_shard", "due_at")), "recipient": Index(Keys("to", "accepted_at"))},
)


def messages_table(
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    index_delay: timedelta = timedelta(0),
    on_change: Callable[[Change], None] | None = None,
) -> MemoryTable:
    return MemoryTable(SCHEMA, clock=clock, index_delay=index_delay, on_change=on_change)
