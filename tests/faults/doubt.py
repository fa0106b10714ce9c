"""What all faults have in common after which nobody can know whether a message was taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from local.simulators.base import Fault
from smsgate.status import Status
from tests.faults.suite import Run
from tests.faults.traffic import (
    MANY,
    REPORTED_AT_OWN_URL,
    accepts,
    at_once,
    calls,
    dice,
    of_provider,
    repeats,
    statuses,
    strike,
    until_over,
)
from tests.world.world import World

HOLD, RESEND = "hold", "resend"
POLICIES = (HOLD, RESEND)
"""What the publisher wants where it cannot be known: `on_doubt`."""

Draw = Callable[[Random, str, bool], Fault]
"""A fault for a call to this provider, which is carried out or not."""


def doubt_every_call(run: Run, providers: Sequence[str], draw: Draw, *, taken: float = 0.5) -> None:
    """As many calls meet the fault as there are messages; `taken`: the share of them that is carried out.

    Held, each message has had its call then, though a provider in trouble is suspended and tried with one at a time.
    Where a message may be sent again, the calls after these get through.
    """
    with run.world(providers=providers) as world:
        random = dice(world)
        carried_out = {provider: _share(random, taken) for provider in providers}
        for provider in providers:
            for each in carried_out[provider]:
                strike(world, draw(random, provider, each), provider, times=1)
            at_once(world, provider, on_doubt=run.case)
        until_over(world)

        for provider in providers:
            if run.case == HOLD:
                _is_held(run, world, provider, sum(carried_out[provider]))
        if run.case == RESEND:
            run.at_most("repeats", repeats(world), sum(map(sum, carried_out.values())))
            run.equal("neither taken nor doubtful", _unfinished(world), 0)
        run.equal("rejected", statuses(world.messages())[Status.REJECTED], 0)
        run.equal("uncaught exceptions", len(world.functions.failures) + _failed_modules(world), 0)


def _share(random: Random, share: float) -> list[bool]:
    chosen = [number < share * MANY for number in range(MANY)]
    random.shuffle(chosen)
    return chosen


def _is_held(run: Run, world: World, provider: str, taken: int) -> None:
    found = statuses(of_provider(world)[provider])
    provable = taken if provider in REPORTED_AT_OWN_URL else 0
    run.equal("calls", calls(world, provider), MANY)
    run.equal("accepts", accepts(world, provider), taken)
    run.equal("delivered", found[Status.DELIVERED], provable)
    run.equal("doubtful", found[Status.DOUBTFUL], MANY - provable)


def _unfinished(world: World) -> int:
    taken = {to for to, _ in world.accepts()}
    return sum(message.to not in taken and message.status is not Status.DOUBTFUL for message in world.messages())


def _failed_modules(world: World) -> int:
    return sum("provider module failed" in line for line in world.logs)
