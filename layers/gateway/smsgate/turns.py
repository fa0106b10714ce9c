"""Turns at a provider that may be given only so many messages in so long: the arithmetic, without I/O.

A turn comes no sooner than `per` after the one that `messages` turns before it, so no stretch of `per`, wherever it
begins, holds more turns than the rate allows; whoever comes first after a quiet `per` may have all of them at once.
A fifth of them is kept for the urgent lane, or a password would wait behind every turn that a campaign has taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from smsgate.messages import Lane
from smsgate.policy import Rate

_KEPT = 5
"""One turn in so many is the urgent lane's alone."""

_GRAIN = 50
"""Turns within one such part of `per` are remembered as one, all at the last of their moments: never sooner than they
were, which is what the rate rests on."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Given:
    """Turns that were given out, none of them later than `at`."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Turns:
    """What was given out of late, the earliest first: about as many entries as `_GRAIN`, whatever the rate."""

    common: tuple[Given, ...] = ()
    kept: tuple[Given, ...] = ()  # for the urgent lane

    def allot(self, count: int, rate: Rate, lane: Lane, now: datetime) -> tuple[list[datetime], Turns]:
        """The earliest moments for so many messages, in order, and what is given out then."""
        kept = min(rate.messages - 1, -(-rate.messages // _KEPT))
        common_rate, kept_rate = replace(rate, messages=rate.messages - kept), replace(rate, messages=kept)
        turns: list[datetime] = []
        state = self
        for _ in range(count):
            at = _earliest(state.common, common_rate, now)
            if lane is Lane.URGENT and kept and at > now and (sooner := _earliest(state.kept, kept_rate, now)) < at:
                at = sooner
                state = replace(state, kept=_given(state.kept, at, rate))
            else:
                state = replace(state, common=_given(state.common, at, rate))
            turns.append(at)
        return sorted(turns), state


def _earliest(given: Sequence[Given], rate: Rate, now: datetime) -> datetime:
    """Never before what was given out already: then nothing that was given can be in the way later."""
    at = max(now, given[-1].at) if given else now
    too_many = sum(each.count for each in given) + 1 - rate.messages
    for each in given:
        if too_many <= 0:
            break
        at = max(at, each.at + rate.per)
        too_many -= each.count
    return at


def _given(given: tuple[Given, ...], at: datetime, rate: Rate) -> tuple[Given, ...]:
    over = next((place for place, each in enumerate(given) if each.at + rate.per > at), len(given))
    recent = given[over:]
    if recent and _grain_of(recent[-1].at, rate) == _grain_of(at, rate):
        return (*recent[:-1], Given(at, recent[-1].count + 1))
    return (*recent, Given(at, 1))


def _grain_of(at: datetime, rate: Rate) -> int:
    return (at - _EPOCH) // max(rate.per / _GRAIN, timedelta(microseconds=1))
