"""How long the credit lasts at the pace of the last day.

Points used are kept as a curve over time that only rises: what was put onto the account lies beside it and changes
neither the pace nor, but for the longer way down, the forecast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

WINDOW = timedelta(hours=24)
"""A whole day: nights are quiet, and half a day's pace would be wrong twice a day."""

_STEP = timedelta(hours=1)
"""Any two steps of the curve take this long at least, so a day of them is short enough to lie in an item."""

_LEAST = timedelta(hours=1)
"""What was used in less is taken for an hour's use: the first minutes say little of the hours to come."""

_MOST_HOURS = 10_000
"""More than a year is no forecast."""

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    used: Decimal  # since the first point


@dataclass(frozen=True, slots=True)
class Use:
    points: tuple[Point, ...] = ()

    def measured(self, at: datetime, used: Decimal) -> Use:
        """`used`: since the last measurement; nothing where the credit rose."""
        if not self.points:
            return Use((Point(at, Decimal(0)),))
        last = self.points[-1]
        here = Point(max(at, last.at), last.used + max(used, Decimal(0)))
        kept = self.points
        if len(kept) > 1 and here.at - kept[-2].at < _STEP:
            kept = kept[:-1]
        past = sum(point.at <= here.at - WINDOW for point in kept)
        kept = kept[max(past - 1, 0) :]  # One from before the window says how the curve enters it.
        base = kept[0].used
        return Use(tuple(replace(point, used=point.used - base) for point in (*kept, here)))

    def hours_left(self, credit: Decimal, now: datetime) -> Decimal | None:
        """None where nothing was used, or so little that it lasts for longer than anybody can say."""
        if not self.points:
            return None
        start = max(self.points[0].at, now - WINDOW)
        used = self.points[-1].used - self._used_until(start)
        if used <= 0:
            return None
        hours = _hours(max(now - start, _LEAST))
        left = max(credit, Decimal(0)) * hours / used
        return left.quantize(_TENTH, ROUND_DOWN) if left <= _MOST_HOURS else None

    def _used_until(self, moment: datetime) -> Decimal:
        """Between two points as if it had been used evenly."""
        if moment >= self.points[-1].at:
            return self.points[-1].used
        for before, after in pairwise(self.points):
            if before.at <= moment < after.at:
                share = _hours(moment - before.at) / _hours(after.at - before.at)
                return before.used + (after.used - before.used) * share
        return self.points[0].used


def _hours(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)) / 3_600_000_000
