"""What breaks below a call, over real sockets and TLS: how much of an answer comes and how fast, and from whom."""

from __future__ import annotations

from datetime import UTC, datetime

import trustme

from local.simulators.base import Drips, Fault, Leaves, Says
from smsgate.status import Status
from tests.faults.sockets import FASTER, good_certificate, real_sockets
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import (
    MANY,
    OVER_HTTP,
    REPORTED_AT_OWN_URL,
    accepts,
    alone,
    calls,
    dice,
    of_provider,
    one,
    phone,
    some,
    statuses,
    until_over,
)

MINUTE = 60.0
DEADLINE = 10.0
_MIBIBYTE = 1024 * 1024


@fault("F05", "the answer drips, a byte at a time", Where.WIRE)
def test_an_answer_that_drips_ends_at_the_deadline(run: Run) -> None:
    _doubtful_in_time(run, Drips(0.05))


@fault("F06", "an answer of 30 MiB", Where.WIRE)
def test_an_answer_without_an_end_is_not_read_to_its_end(run: Run) -> None:
    _doubtful_in_time(run, Says(b" " * (30 * _MIBIBYTE), carried_out=True))


@fault("F09", "a certificate that proves nothing, for ten minutes", Where.WIRE)
def test_nobody_is_told_anything_who_cannot_prove_who_it_is(run: Run) -> None:
    with run.world(providers=some(run.seed, OVER_HTTP, 1)) as world, real_sockets(world) as wires:
        (provider,) = world.providers
        wires.prove(provider, dice(world).choice(_BAD_CERTIFICATES)(provider))
        alone(world, provider)
        world.run(10 * MINUTE)
        during, tried, heard = accepts(world, provider), len(wires.took), len(world.providers[provider].calls)
        wires.prove(provider, good_certificate(provider))
        until_over(world)

        run.at_least("calls during", tried, 5)
        run.equal("of which the server heard", heard, 0)
        run.equal("accepts during", during, 0)
        run.equal("accepts after", accepts(world, provider), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)


@fault("F11", "an idle connection that is none any more", Where.WIRE)
def test_a_connection_that_was_closed_while_it_rested_is_not_used(run: Run) -> None:
    with run.world(providers=some(run.seed, OVER_HTTP, 1)) as world, real_sockets(world) as wires:
        (provider,) = world.providers
        random = dice(world)
        closed = [number for number in range(2 * MANY) if random.random() < 0.5]
        for number in range(2 * MANY):
            if number in closed:
                world.script(provider, Leaves())
            one(world, provider, number)
            world.run(3)
        until_over(world)

        run.equal("calls", calls(world, provider), run.messages)
        run.equal("accepts", accepts(world, provider), run.messages)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        run.at_least("connections", wires.connections, len(closed))
        run.at_most("connections", wires.connections, len(wires.took) - 1)


def _doubtful_in_time(run: Run, what: Fault) -> None:
    """Whoever else is to be called is called meanwhile."""
    slow, sound = some(run.seed, OVER_HTTP, 1)[0], some(run.seed + 1, OVER_HTTP, 1)[0]
    with run.world(providers=(slow, sound)) as world, real_sockets(world) as wires:
        world.script(slow, *[what] * MANY, operation=_SEND[slow])
        for provider in (slow, sound):
            to = [{"number": phone(provider, place), "text": f"{provider} {place}"} for place in range(MANY)]
            world.publish(to=to, providers=[provider])
        until_over(world)

        found = of_provider(world)
        settled = Status.DELIVERED if slow in REPORTED_AT_OWN_URL else Status.DOUBTFUL
        run.equal("accepts", accepts(world, slow), MANY)
        run.equal(f"{settled}", statuses(found[slow])[settled], MANY)
        run.equal("delivered by others meanwhile", statuses(found[sound])[Status.DELIVERED], MANY)
        run.at_most("seconds of the longest call", round(wires.longest() * FASTER), round(DEADLINE + FASTER))


_SEND = {"every8d": "sendParamSMS", "smsget": "send", "smsgo": "send", "twsms": "send"}


def _by_somebody_else(provider: str) -> trustme.LeafCert:
    return trustme.CA().issue_cert(f"{provider}.example")


def _of_somebody_else(provider: str) -> trustme.LeafCert:
    return good_certificate("somebody-else")


def _expired(provider: str) -> trustme.LeafCert:
    return good_certificate(provider, not_after=datetime(2020, 1, 1, tzinfo=UTC))


_BAD_CERTIFICATES = (_by_somebody_else, _of_somebody_else, _expired)
