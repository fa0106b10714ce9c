"""What is counted before anything is spent: messages to one number, points of a day, messages to a provider in a time.

Each count is one item and one conditional write, however much was counted before, so it costs the same on a quiet day
and under attack, and no number of workers at once can get past a limit. A write whose answer was lost may be repeated
by its client and then counts twice: too much is counted, never too little. What is not limited is not counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from smsgate.clock import TAIPEI
from smsgate.items import Plain, stamp, time_of
from smsgate.ledger import Contended, Ledger
from smsgate.messages import Message
from smsgate.policy import Mode, Policy, Rate, Velocity
from smsgate.reasons import Code, Reason

ASPECT = "turns"

_KEPT = timedelta(days=2)
"""How long a count is kept after its time: nothing asks for it any more, but clocks differ."""

_GRAIN = 50
"""Turns closer together than this part of a rate's time are kept as one, at the later moment."""

_TRIES = 50

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Count:
    """Something that is counted up to a limit."""

    key: str
    limit: Decimal
    name: str  # the limit's, in words for people
    metric: str
    mode: Mode
    amount: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class Admission:
    """What was counted for a message; `refused` where a limit that is enforced leaves no room."""

    counted: tuple[Count, ...] = ()
    refused: Reason | None = None
    monitored: tuple[str, ...] = ()  # limits it goes beyond, which are only watched


class Limits:
    def __init__(self, ledger: Ledger, daily_points: Decimal | None, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._daily_points = daily_points
        self._clock = clock

    def admit(self, message: Message, points: Decimal, policy: Policy) -> Admission:
        """Count a message that is about to be sent; where one limit has no room, nothing stays counted for it.

        Raises where the ledger cannot be asked: then nothing may be sent.
        """
        counted: list[Count] = []
        monitored: list[str] = []
        for count in self._counts(message, points, policy):
            fits = self._ledger.count_within(count.key, count.amount, count.limit, count.until + _KEPT)
            if fits:
                counted.append(count)
            elif count.mode is Mode.MONITOR:
                monitored.append(count.metric)
            else:
                self._undo(counted)
                return Admission(refused=Reason(Code.RATE_LIMITED, provider_text=count.name))
        return Admission(tuple(counted), monitored=tuple(monitored))

    def give_back(self, admission: Admission) -> None:
        """The message was another worker's: what was counted for it here is free again."""
        self._undo(admission.counted)

    def _undo(self, counted: list[Count] | tuple[Count, ...]) -> None:
        for count in counted:
            self._ledger.count_back(count.key, count.amount)

    def _counts(self, message: Message, points: Decimal, policy: Policy) -> list[Count]:
        now = self._clock()
        counts = [_of_number(message.to, velocity, now) for velocity in policy.velocities]
        if self._daily_points is not None:
            counts.append(_of_day(points, self._daily_points, policy.points, now))
        return counts

    # Turns

    def turns(self, provider: str, count: int, rate: Rate) -> list[datetime]:
        """The moments at which so many messages may go to the provider, the earliest first; each is given out once.

        In no stretch of the rate's length lie more turns than the rate allows, wherever the stretch begins.
        """
        for _ in range(_TRIES):
            plain = self._ledger.provider_state(provider, ASPECT)
            now = self._clock()
            given = _given_from(plain)
            turns, kept = allot(given, count, rate, now)
            state = {"given": [{"at": stamp(each.at), "count": each.count} for each in kept]}
            if self._ledger.set_provider_state(provider, ASPECT, state, int(plain["version"]) if plain else 0):
                return turns
        raise Contended("turns")


@dataclass(frozen=True, slots=True)
class Given:
    """Turns that were given out for one moment."""

    at: datetime
    count: int


def allot(given: tuple[Given, ...], count: int, rate: Rate, now: datetime) -> tuple[list[datetime], tuple[Given, ...]]:
    """So many turns behind those that were given: a turn comes a rate's length after the one `rate.messages` before."""
    recent = [each for each in given if each.at + rate.per > now]
    turns: list[datetime] = []
    while len(turns) < count:
        room = rate.messages - sum(each.count for each in recent)
        latest = max([now, *(each.at for each in recent[-1:])])
        if room > 0:
            at, some = latest, min(room, count - len(turns))
        else:
            oldest = recent[0]
            at, some = max(latest, oldest.at + rate.per), min(oldest.count, count - len(turns))
            rest = (replace(oldest, count=oldest.count - some),) if oldest.count > some else ()
            recent = [*rest, *recent[1:]]
        recent.append(Given(at, some))
        turns += [at] * some
    return turns, _merged(recent, rate.per / _GRAIN)


def _merged(given: list[Given], grain: timedelta) -> tuple[Given, ...]:
    """Fewer entries, none of them earlier than it was: that keeps the rate."""
    merged: list[Given] = []
    first = None
    for each in given:
        if merged and first is not None and each.at - first <= grain:
            merged[-1] = Given(each.at, merged[-1].count + each.count)
        else:
            merged.append(each)
            first = each.at
    return tuple(merged)


def _given_from(plain: Plain | None) -> tuple[Given, ...]:
    kept: list[Mapping[str, str]] = plain["given"] if plain else []
    return tuple(Given(time_of(each["at"]), int(each["count"])) for each in kept)


def _of_number(number: str, velocity: Velocity, now: datetime) -> Count:
    """Counted from one full stretch of time to the next: at the worst twice as many around the turn of one."""
    began = now - (now - _EPOCH) % velocity.per
    seconds = int(velocity.per.total_seconds())
    hashed = hashlib.sha256(number.encode()).hexdigest()[:32]  # A key may be shown where an item is not.
    return Count(
        key=f"number#{hashed}#{seconds}#{stamp(began)}",
        limit=Decimal(velocity.messages),
        name=f"more than {velocity.messages} messages to this number in {seconds} seconds",
        metric="NumberLimit",
        mode=velocity.mode,
        amount=Decimal(1),
        until=began + velocity.per,
    )


def _of_day(points: Decimal, daily: Decimal, mode: Mode, now: datetime) -> Count:
    """Over all providers, in the day of the vendors' calendar."""
    here = now.astimezone(TAIPEI)
    return Count(
        key=f"points#{here.date().isoformat()}",
        limit=daily,
        name=f"more than the {daily:f} points a day that DailyPoints allows",
        metric="DailyPointsLimit",
        mode=mode,
        amount=points,
        until=here + timedelta(days=1),
    )
