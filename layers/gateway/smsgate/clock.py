"""The time here, and the calendar of the vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

# Taiwan has kept one offset since 1979; a fixed one needs no time zone data in the layer.
TAIPEI = timezone(timedelta(hours=8), "Asia/Taipei")


def utc_now() -> datetime:
    return datetime.now(UTC)
