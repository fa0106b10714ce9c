"""The time here, and the calendar of the vendors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

# Taiwan has kept one offset since 1979; a fixed one needs no time zone data in the layer.
TAIPEI = timezone(timedelta(hours=8), "Asia/Taipei")

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Some vendors refuse a time that is past when it arrives, and of none it is known that they do not: allow for the call
# itself and for a clock that differs.
_ON_THE_WAY = timedelta(seconds=30)


def utc_now() -> datetime:
    return datetime.now(UTC)


def rounded_up(at: datetime, step: timedelta) -> datetime:
    """The first full second, minute, ... that is not before."""
    return at + -(at - _EPOCH) % step


def due(
    send_at: datetime | None, now: datetime, step: timedelta, on_the_way: timedelta = _ON_THE_WAY
) -> datetime | None:
    """What a vendor who counts in `step` is told in Taipei's time, never before what was asked for; None means now."""
    if send_at is None or send_at <= now:
        return None
    return rounded_up(max(send_at, now + on_the_way), step).astimezone(TAIPEI)
