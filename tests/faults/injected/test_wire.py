"""What breaks between us and a provider: nothing is lost by it, and nothing is sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from local.simulators.base import Closes, Fault, Hangs, Late, Says, Step
from smsgate.status import Status
from tests.faults.doubt import HOLD, POLICIES, doubt_every_call
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import (
    BY_MAIL,
    EVERYBODY,
    MANY,
    OVER_HTTP,
    REPORTED_AT_OWN_URL,
    accepts,
    alone,
    at_once,
    events,
    of_provider,
    one,
    repeats,
    some,
    statuses,
    strike,
    together,
    until_over,
)
from tests.world.faults import Kill, NoSuchName, OurFault, Unavailable
from tests.world.world import World

MINUTE = 60.0


@fault("F01", "the worker is killed right after the provider took it", Where.PROCESS)
def test_a_worker_killed_after_the_call_leaves_one_accept_and_redeliveries_none(run: Run) -> None:
    victims = some(run.seed, EVERYBODY, 2)
    with run.world(providers=victims) as world:
        for provider in victims:
            strike(world, Kill(), provider, moment="after")
            # So late that the loss is found before.
            world.providers[provider].receipts = (Step(10 * MINUTE, world.providers[provider].delivered),)
            world.providers[provider].script(*[Late(5 * MINUTE)] * MANY, operation="reply")
        for number in range(MANY):
            for provider in victims:
                one(world, provider, number)
                world.run(1.5)
                _redeliver(world, times=2)
        world.run(20 * MINUTE)

        found = of_provider(world)
        provable = [provider for provider in victims if provider in (*REPORTED_AT_OWN_URL, *BY_MAIL)]
        run.equal("killed", len(world.deaths), run.messages)
        run.equal("accepts", world.accepts().total(), run.messages)
        run.equal("doubtful", events(world, Status.DOUBTFUL), run.messages)
        for provider in victims:
            settled = Status.DELIVERED if provider in provable else Status.DOUBTFUL
            run.equal(f"{settled} in the end", statuses(found[provider])[settled], MANY)
        run.equal("dead letters", len(world.dead_letters), 0)


@fault("F02", "the worker is killed after the claim, before the wire", Where.PROCESS)
def test_a_worker_killed_before_the_call_leaves_messages_that_are_doubtful_and_seen(run: Run) -> None:
    victims = some(run.seed, EVERYBODY, 3)
    with run.world(providers=victims) as world:
        for provider in victims:
            strike(world, Kill(), provider)
            alone(world, provider, MANY // 2)
            together(world, provider, MANY // 2, lane="bulk")
        until_over(world)

        run.at_least("killed", len(world.deaths), 1)
        run.equal("accepts", world.accepts().total(), 0)
        run.equal("doubtful", statuses(world.messages())[Status.DOUBTFUL], run.messages)
        run.equal("told as doubtful", events(world, Status.DOUBTFUL), run.messages)
        run.equal("dead letters", len(world.dead_letters), 0)


@fault("F03", "no answer in time, though it was taken", Where.WIRE, cases=POLICIES)
def test_silence_after_the_acceptance_is_settled_by_evidence_or_stays_doubtful(run: Run) -> None:
    victims = some(run.seed, OVER_HTTP, 2 if run.case == HOLD else 1)
    doubt_every_call(run, victims, lambda random, provider, taken: Hangs(carried_out=taken), taken=1)


@fault("F04", "no answer in time, and it was not taken", Where.WIRE, cases=POLICIES)
def test_silence_without_an_acceptance_is_as_doubtful(run: Run) -> None:
    doubt_every_call(run, _victims(run), lambda random, provider, taken: Hangs(carried_out=taken), taken=0)


@fault("F07", "the connection is refused for ten minutes", Where.WIRE, cases=("it alone", "with another"))
def test_a_provider_nobody_reaches_takes_nothing_until_it_is_back(run: Run) -> None:
    _nobody_reaches(run, Unavailable(), some(run.seed, EVERYBODY, 2))


@fault("F08", "the provider's name has no address for ten minutes", Where.WIRE, cases=("it alone", "with another"))
def test_a_provider_without_an_address_takes_nothing_until_it_has_one(run: Run) -> None:
    _nobody_reaches(run, NoSuchName(), some(run.seed, OVER_HTTP, 1))


@fault("F10", "the connection is closed after the request was written", Where.WIRE, cases=POLICIES)
def test_a_connection_closed_after_the_request_is_not_called_again(run: Run) -> None:
    victims = some(run.seed, OVER_HTTP, 2 if run.case == HOLD else 1)
    doubt_every_call(run, victims, lambda random, provider, taken: Closes(carried_out=taken), taken=1)


@fault("F12", "500, 502, 503 or 504, though it was taken", Where.ANSWER, cases=POLICIES)
def test_an_error_of_their_server_does_not_mean_no(run: Run) -> None:
    doubt_every_call(run, _victims(run), _server_error, taken=1)


@fault("F13", "500, 502, 503 or 504, and it was not taken", Where.ANSWER, cases=POLICIES)
def test_an_error_of_their_server_does_not_mean_yes(run: Run) -> None:
    doubt_every_call(run, _victims(run), _server_error, taken=0)


@fault("F14", "302 to http, taken or not", Where.ANSWER, cases=POLICIES)
def test_a_redirect_is_not_followed(run: Run) -> None:
    """To where another provider would take the very same call, so that following it would show as an accept."""
    doubt_every_call(run, _victims(run), _redirect)


def _victims(run: Run) -> tuple[str, ...]:
    return some(run.seed, OVER_HTTP, 1)


def _server_error(random: Random, provider: str, taken: bool) -> Fault:
    return Says(b"<html><h1>Error</h1></html>", random.choice((500, 502, 503, 504)), carried_out=taken)


def _redirect(random: Random, provider: str, taken: bool) -> Fault:
    location = ("location", f"http://{random.choice(OVER_HTTP)}.example/sms_gw/sendsms.aspx")
    return Says(b"", random.choice((301, 302, 307, 308)), headers=(location,), carried_out=taken)


def _nobody_reaches(run: Run, what: OurFault, victims: Sequence[str]) -> None:
    """Alone each message waits for its provider; with another to fail over to, that one takes them all."""
    spare = next(provider for provider in EVERYBODY if provider not in victims)
    with run.world(providers=(*victims, spare)) as world:
        for provider in victims:
            strike(world, what if provider in OVER_HTTP else Unavailable(), provider, seconds=10 * MINUTE)
            providers = [provider] if run.case == "it alone" else [provider, spare]
            at_once(world, provider, providers=providers)
        world.run(10 * MINUTE)
        during = {provider: accepts(world, provider) for provider in world.providers}
        until_over(world)

        takers = victims if run.case == "it alone" else (spare,)
        run.equal("accepts during", sum(during[provider] for provider in victims), 0)
        run.equal("accepts after", sum(accepts(world, provider) for provider in takers), run.messages)
        run.equal("repeats", repeats(world), 0)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        run.equal("dead letters", len(world.dead_letters), 0)


def _redeliver(world: World, times: int) -> None:
    """As SQS may at any time: what somebody works on, or died of, is handed out once more, up to so many times."""
    for letter in list(world.send_queue.letters.values()):
        if letter.receives <= times:
            world.send_queue.show_again(letter.message_id)
