"""Clocks that jump, that differ from worker to worker, and times that a publisher writes on the day clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from smsgate.status import Status
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import EVERYBODY, dice, one, repeats, statuses, until_over
from tests.world.kernel import Process
from tests.world.world import World

MINUTE, HOUR = 60.0, 3600.0
EACH = 4
JUMPS, DIFFERS, SUMMER_TIME = "it jumps", "it differs from worker to worker", "summer time begins or ends"

SPRING = datetime(2026, 3, 28, 20, tzinfo=UTC)
SPRING_TIMES = {
    "2026-03-29T01:59:59+01:00": "2026-03-29T00:59:59",  # the last second of winter in Berlin
    "2026-03-29T03:00:00+02:00": "2026-03-29T01:00:00",
    "2026-03-29T02:30:00+01:00": "2026-03-29T01:30:00",  # a time that no clock in Berlin shows
    "2026-03-29T02:30:00+02:00": "2026-03-29T00:30:00",
    "2026-03-28T23:59:59-04:00": "2026-03-29T03:59:59",
}
AUTUMN = datetime(2026, 10, 24, 20, tzinfo=UTC)
AUTUMN_TIMES = {
    "2026-10-25T02:30:00+02:00": "2026-10-25T00:30:00",  # the clocks of Berlin show it twice
    "2026-10-25T02:30:00+01:00": "2026-10-25T01:30:00",
    "2026-10-25T03:00:00+01:00": "2026-10-25T02:00:00",
    "2026-10-25T08:15:30+08:00": "2026-10-25T00:15:30",
    "2026-10-25T05:45:00+05:45": "2026-10-25T00:00:00",
}


@fault("F57", "the clock is an hour wrong", Where.CLOCK, cases=(JUMPS, DIFFERS, SUMMER_TIME))
def test_a_wrong_clock_sends_nothing_twice_and_no_time_is_misread(run: Run) -> None:
    {JUMPS: jump, DIFFERS: differ, SUMMER_TIME: change_to_summer_time}[run.case](run)


def jump(run: Run) -> None:
    with run.world() as world:
        chance = dice(world)
        for number in range(EACH):
            for provider in EVERYBODY:
                one(world, provider, number)
            world.run(chance.uniform(0.1, 1))
            world.set_clock_error(chance.choice([-HOUR, HOUR]))
            world.run(chance.uniform(0.5, 20))
        world.set_clock_error(0)
        until_over(world)

        count(run, world)


def differ(run: Run) -> None:
    with run.world() as world:
        chance, invoke = dice(world), world.functions.invoke

        def wrongly(function: str, event: Any, on_end: Callable[[Any], None]) -> Process:
            process = invoke(function, event, on_end)
            process.skew = timedelta(seconds=chance.uniform(-HOUR, HOUR))
            return process

        world.widest_clock_error = HOUR
        with patch.object(world.functions, "invoke", wrongly):
            for number in range(EACH):
                for provider in EVERYBODY:
                    one(world, provider, number)
                world.run(chance.uniform(0.1, 20))
            world.run(10 * MINUTE)
        until_over(world)

        count(run, world)


def change_to_summer_time(run: Run) -> None:
    start, times = (SPRING, SPRING_TIMES) if run.seed % 2 else (AUTUMN, AUTUMN_TIMES)
    with run.world(start=start) as world:
        for number, written in enumerate(times):
            for provider in EVERYBODY:
                one(world, provider, number, send_at=written)
        world.run(10 * HOUR)

        moments = {text: datetime.fromisoformat(moment).replace(tzinfo=UTC) for text, moment in times.items()}
        meant = {to: moments[each.fields["send_at"]] for each in world.published for to in each.to}
        # Some vendors know no seconds: then it is the next minute, and never a moment too early.
        late = [(taken.due - meant[taken.to]).total_seconds() for _, taken in world.taken() if taken.due]
        run.equal("due within a minute of its time", sum(0 <= seconds < MINUTE for seconds in late), run.messages)
        whole = [to for to, moment in meant.items() if moment.second == 0]
        punctual = sum(taken.due == meant[taken.to] for _, taken in world.taken() if taken.to in whole)
        run.equal("due at its whole minute", punctual, len(whole))
        count(run, world)


def count(run: Run, world: World) -> None:
    run.equal("accepts", world.accepts().total(), run.messages)
    run.equal("accepted twice", repeats(world), 0)
    run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
