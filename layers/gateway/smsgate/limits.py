"""What is counted before anything is spent: messages to one number, points of a day, messages to a provider in a time.

Each count is one item and one conditional write, however much was counted before, so it costs the same on a quiet day
and under attack, and no number of workers at once can get past a limit. What is not limited is not counted.

A client repeats a write whose answer was lost. If another worker has counted in between, the message counts twice: too
much is counted then, never too little, and what is given back is given back at most once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from smsgate import telemetry
from smsgate.clock import TAIPEI
from smsgate.items import Plain, stamp, time_of
from smsgate.ledger import Contended, Ledger
from smsgate.messages import Lane, Message
from smsgate.policy import Mode, Policy, Rate, Velocity
from smsgate.reasons import Code, Reason
from smsgate.turns import Given, Turns

ASPECT = "turns"

_KEPT = timedelta(days=2)
"""How long a count is kept after its time: nothing asks for it any more, but clocks differ."""

_HOLDS = timedelta(minutes=2)
"""How late a turn may be used. After an outage of the queues all of them would be used at once."""

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
            fits = self._fits(count)
            if not fits and count.mode is Mode.ENFORCE:
                self._undo(counted)
                telemetry.count(f"Refused{count.metric}")
                return Admission(refused=Reason(Code.RATE_LIMITED, provider_text=count.name))
            counted.append(count)
            if not fits:
                monitored.append(count.metric)
        return Admission(tuple(counted), monitored=tuple(monitored))

    def give_back(self, admission: Admission) -> None:
        """The message was another worker's: what was counted for it here is free again."""
        self._undo(admission.counted)

    def _fits(self, count: Count) -> bool:
        """A limit that is only watched counts what goes beyond it too: should it be enforced, it knows of all."""
        if count.mode is Mode.MONITOR:
            return self._ledger.count(count.key, count.amount, count.until + _KEPT) <= count.limit
        return self._ledger.count_within(count.key, count.amount, count.limit, count.until + _KEPT)

    def _undo(self, counted: Iterable[Count]) -> None:
        for count in counted:
            self._ledger.count_back(count.key, count.amount)

    def _counts(self, message: Message, points: Decimal, policy: Policy) -> Iterator[Count]:
        """The day comes last: it is every worker's, so what is refused for another reason must not touch it."""
        now = self._clock()
        for velocity in policy.velocities:
            yield _of_number(message.to, velocity, now)
        if self._daily_points is not None and points:
            yield _of_day(points, self._daily_points, policy.points, now)

    # Turns

    def turns(self, provider: str, count: int, rate: Rate, lane: Lane = Lane.URGENT) -> list[datetime]:
        """The moments at which so many messages may go to the provider, the earliest first; each is given out once.

        In no stretch of the rate's length lie more turns than the rate allows, wherever the stretch begins.
        """
        turns = self._take(provider, count, rate, lane, latest=None)
        now = self._clock()
        telemetry.count("WaitedForTurn", sum(turn > now for turn in turns), provider=provider)
        return turns

    def take_turn_now(self, provider: str, rate: Rate, lane: Lane = Lane.URGENT) -> bool:
        """One turn for this moment, or none at all."""
        return bool(self._take(provider, 1, rate, lane, latest=self._clock()))

    def holds(self, message: Message, provider: str) -> bool:
        """Has the message its turn at the provider? One whose wake-up came far too late asks again."""
        at = message.next_attempt_at
        return message.turn == provider and at is not None and self._clock() < at + _HOLDS

    def _take(self, provider: str, count: int, rate: Rate, lane: Lane, latest: datetime | None) -> list[datetime]:
        for _ in range(_TRIES):
            plain = self._ledger.provider_state(provider, ASPECT)
            turns, given = _turns_from(plain).allot(count, rate, lane, self._clock())
            if latest is not None and turns[-1] > latest:
                return []
            if self._ledger.set_provider_state(
                provider, ASPECT, _to_plain(given), int(plain["version"]) if plain else 0
            ):
                return turns
        raise Contended("turns")


def _to_plain(turns: Turns) -> Plain:
    return {
        "common": [{"at": stamp(each.at), "count": each.count} for each in turns.common],
        "kept": [{"at": stamp(each.at), "count": each.count} for each in turns.kept],
    }


def _turns_from(plain: Plain | None) -> Turns:
    return Turns(_given_from(plain["common"]), _given_from(plain["kept"])) if plain else Turns()


def _given_from(entries: Iterable[Plain]) -> tuple[Given, ...]:
    return tuple(Given(time_of(each["at"]), int(each["count"])) for each in entries)


def _of_number(number: str, velocity: Velocity, now: datetime) -> Count:
    """Counted from one full stretch of time to the next: at the worst twice as many around the turn of one.

    Each number's stretches begin at moments of their own, so that nobody can wait for the turn of all of them.
    """
    # Not to hide it from who may read the table, but keys are shown where items are not: in lists of hot keys, trails.
    hashed = hashlib.sha256(number.encode()).digest()
    offset = timedelta(microseconds=int.from_bytes(hashed[16:24])) % velocity.per
    began = now - (now - _EPOCH - offset) % velocity.per
    seconds = int(velocity.per.total_seconds())
    return Count(
        key=f"number#{hashed[:16].hex()}#{velocity.mode.value}#{seconds}#{stamp(began)}",
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
