"""What the operator allows beyond what a provider could do: limits against abuse and overload, as plain values.

They are written in the routing document (`routing_document.py` reads it) and kept by `limits.py` and `suspension.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Mode(StrEnum):
    """`MONITOR`: what goes beyond the limit is counted and sent; to learn what a limit would refuse."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class Velocity:
    """So many messages to one number in so long; more are refused as `rate_limited`."""

    messages: int
    per: timedelta
    mode: Mode = Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages to one provider in so long; more wait for their turn."""

    messages: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class SlowReceipts:
    """A provider is passed over for others once this share of what it took has no report `after` so long."""

    after: timedelta
    share: float
    least: int  # messages without a report that it takes at least


@dataclass(frozen=True, slots=True)
class Policy:
    countries: Mode = Mode.ENFORCE  # of AllowedCountries
    parts: Mode = Mode.ENFORCE  # of MaxParts
    points: Mode = Mode.ENFORCE  # of DailyPoints
    velocities: tuple[Velocity, ...] = ()
    rates: Mapping[str, Rate] = field(default_factory=dict)  # by provider
    slow_receipts: SlowReceipts | None = None
