"""Whoever works is killed before and after every single call that it makes, one after the other, and all comes to rest.

The steps are not written down here: each case is lived once undisturbed and its steps are recorded; then it is lived
again for each of them, with the process killed at that one. What was interrupted is redelivered, retried or found by
the schedule, as AWS does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Step as Becomes
from smsgate.status import Status
from tests.world.faults import Kill, Rule, Step
from tests.world.invariants import assert_clean
from tests.world.world import World

PROVIDERS = sorted(SIMULATORS)
PER_MESSAGE_REPORTS = frozenset({"smsgo", "twsms"})
"""Their reports come to an address of the message's own, and prove that it was taken."""
TELL_AGAIN = frozenset({"every8d", "smsgo", "twsms"})
"""Their reports are told again, or can be asked for."""
ONE = ("+886912345678",)
SOME = ("+886912345678", "+886912345679", "+85291234567")
TEXT = "canary: your code is 4711"

_LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Case:
    provider: str
    functions: tuple[str, ...]  # that are killed
    act: Callable[[World], None]
    numbers: tuple[str, ...] = ONE


@dataclass(frozen=True, slots=True)
class Lived:
    """A case with a kill, or without."""

    world: World
    rule: Rule | None

    @property
    def struck(self) -> str:
        return str(self.rule.hits[0]) if self.rule and self.rule.hits else "nowhere"


def queued(world: World) -> None:
    world.publish(id="order", to=list(ONE), text=TEXT)


def queued_for_some(world: World) -> None:
    world.publish(id="order", to=list(SOME), text=TEXT)


def posted_for_some(world: World) -> None:
    """By a publisher who posts again until it is answered 202."""

    def post() -> None:
        while world.post(id="order", to=list(SOME), text=TEXT).status != 202:
            world.sleep(10)

    world.kernel.spawn("publisher", post)


def reported_to_nobody(world: World) -> None:
    (simulator,) = world.providers.values()
    simulator.receipts = (Becomes(3, simulator.delivered, told=False),)
    queued(world)


def parked_first(world: World) -> None:
    (key,) = world.providers
    world.offline.add(key)
    world.kernel.after(20, lambda: world.offline.discard(key))
    queued(world)


CASES = {
    **{f"{key}, queued": Case(key, ("sender", "receipts", "mailbox", "publisher"), queued) for key in PROVIDERS},
    **{f"{key}, queued for some": Case(key, ("sender",), queued_for_some, SOME) for key in PROVIDERS},
    **{f"{key}, posted for some": Case(key, ("api", "sender"), posted_for_some, SOME) for key in PROVIDERS},
    **{
        f"{key}, asked about": Case(key, ("reconciler",), reported_to_nobody) for key in ("every8d", "smsgo", "twsms")
    },
    **{f"{key}, parked and woken": Case(key, ("reconciler", "sender"), parked_first) for key in ("smsget", "twsms")},
}  # fmt: skip


def live(case: Case, number: int | None = None) -> Lived:
    """The case, with whoever comes to this step killed there."""
    with World(1, providers=[case.provider]) as world:
        world.stopped.add("credits")
        rule = world.faults.inject(Kill(), number=number) if number is not None else None
        case.act(world)
        world.run_until(lambda: _is_over(world, case), _LIMIT, step=10)
        world.settle()
    return Lived(world, rule)


def _is_over(world: World, case: Case) -> bool:
    messages = world.messages("order")
    return len(messages) == len(case.numbers) and all(m.status.is_final for m in messages) and world.is_quiet()


def steps_of(case: Case) -> Iterator[Step]:
    """What the case does when nothing happens to it."""
    world = live(case).world
    for step in world.steps:
        if step.function in case.functions:
            yield step


@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_step_it_is_taken_at_most_once_and_comes_to_rest(name: str) -> None:
    case = CASES[name]
    steps = list(steps_of(case))

    lives = [live(case, step.number) for step in steps]

    assert len(steps) >= 10
    assert [lived.struck for lived in lives] == [str(step) for step in steps], "each was killed, and where it was meant"
    for lived in lives:
        _assert_kept(case, lived)


def _assert_kept(case: Case, lived: Lived) -> None:
    world = lived.world
    assert_clean(world)
    assert {message.to for message in world.messages("order")} == set(case.numbers), lived.struck
    for message in world.messages("order"):
        taken = world.accepts()[message.to, TEXT]
        assert message.status in _may_be(case, lived, taken), (lived.struck, message.status, taken)
    assert all(times <= 1 for times in world.accepts().values()), lived.struck
    assert not world.dead_letters, lived.struck
    assert world.deaths, lived.struck


def _may_be(case: Case, lived: Lived, taken: int) -> set[Status]:
    """How a message may have ended, by who was killed and what its provider knows of it."""
    if lived.struck.startswith("sender") and not taken:
        return {Status.DOUBTFUL}
    if lived.struck.startswith("sender") and case.provider not in PER_MESSAGE_REPORTS:
        return {Status.DELIVERED, Status.DOUBTFUL}
    if lived.struck.startswith("receipts") and case.provider not in TELL_AGAIN:
        return {Status.DELIVERED, Status.SENT}
    return {Status.DELIVERED}
