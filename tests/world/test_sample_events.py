"""Every function has a sample event, and its real handler takes every one of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.lambdas import Result
from local.simulators.base import Step as Becomes
from smsgate.status import Status
from tests.world.world import World

EVENTS = Path(__file__).parents[2] / "events"
SAMPLES = sorted(path.stem for path in EVENTS.glob("*.json"))


def logical_id(world: World, sample: str) -> str:
    """A sample is called by the folder of its function, and what it is about."""
    folder = sample.partition("-")[0]
    return next(name for name, function in world.stack.functions.items() if function.folder.name == folder)


def taken(world: World, sample: str) -> Result:
    answers: list[Result] = []
    event = json.loads((EVENTS / f"{sample}.json").read_text(encoding="utf-8"))
    world.functions.invoke(logical_id(world, sample), event, answers.append)
    world.run(60)
    (answer,) = answers
    return answer


def test_every_function_has_one() -> None:
    with World(schedules=False) as world:
        functions = {function.folder.name for function in world.stack.functions.values()}

    assert {sample.partition("-")[0] for sample in SAMPLES} == functions


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if not sample.startswith("mailbox-")])
def test_its_handler_ends_with_an_answer(sample: str) -> None:
    """Those of the mailbox name a mail in the bucket: tests/gateway/test_mailbox.py puts it there."""
    with World(schedules=False) as world:
        answer = taken(world, sample)

        assert not answer.failed
        assert world.functions.failures == []


def test_the_schedule_of_credits_measures_every_account_that_can_be_asked() -> None:
    with World(schedules=False) as world:
        taken(world, "credits-schedule")

        measured = {event.detail["provider"] for event in world.events if event.detail_type == "Credit Measured"}
        assert measured == {"every8d", "smsget", "smsgo", "twsms"}


def test_the_schedule_of_the_reconciler_asks_about_what_is_due() -> None:
    with World(schedules=False, providers=["twsms"]) as world:
        simulator = world.providers["twsms"]
        simulator.receipts = (Becomes(3, simulator.delivered, told=False),)
        world.publish(id="order", to="+886912345678", text="您的包裹已到門市。")
        world.run(3600)
        assert [message.status for message in world.messages("order")] == [Status.SENT]

        taken(world, "reconciler-schedule")

        (message,) = world.messages("order")
        assert message.status is Status.DELIVERED


def test_a_change_in_the_stream_is_an_event_on_the_bus() -> None:
    with World(schedules=False) as world:
        taken(world, "publisher-delivered")

        (event,) = world.events
        assert (event.detail["request_id"], event.detail["status"]) == ("order-17", "delivered")
