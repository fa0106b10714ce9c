"""When no callback arrives: what became of a message, and what was answered to it, is learnt by asking, if possible."""

from __future__ import annotations

from collections import Counter

import pytest

from smsgate.providers import PROVIDERS
from smsgate.status import Status
from tests.faults.traffic import EVERYBODY, one, phone
from tests.world.aws import PublishedEvent
from tests.world.faults import Unavailable
from tests.world.invariants import assert_clean
from tests.world.world import World

MINUTE, HOUR = 60.0, 3600.0

ASKED = {"twsms", "smsgo", "every8d"}
TWO_WAY = [key for key in EVERYBODY if PROVIDERS[key].capabilities.two_way]
CALLED_BACK = [key for key in TWO_WAY if key != "twsms"]


def lose_callbacks(world: World, *providers: str) -> None:
    for provider in providers:
        world.faults.inject(Unavailable(), service="callback", operation=provider, times=None)


def replies(world: World) -> list[PublishedEvent]:
    return [event for event in world.events if event.detail_type == "Reply Received"]


def test_where_every_receipt_is_lost_three_providers_are_asked_and_of_two_it_is_said_that_nobody_knows() -> None:
    with World(1, parameters={"WatchHours": "6"}) as world:
        lose_callbacks(world, *EVERYBODY)
        orders = {provider: one(world, provider) for provider in EVERYBODY}
        world.run(10 * MINUTE)
        after_minutes = {provider: world.messages(order)[0].status for provider, order in orders.items()}
        world.run(6 * HOUR)

        assert after_minutes == {key: Status.DELIVERED if key in ASKED else Status.SENT for key in EVERYBODY}
        at_the_end = {provider: world.messages(order)[0].status for provider, order in orders.items()}
        assert at_the_end == {key: Status.DELIVERED if key in ASKED else Status.UNCONFIRMED for key in EVERYBODY}
        assert Counter(event.detail["message_id"] for event in world.events if event.detail.get("final")) == {
            message.message_id: 1 for message in world.messages()
        }
        assert_clean(world)


@pytest.mark.parametrize("provider", TWO_WAY)
def test_an_answer_is_an_event_of_its_message_within_seconds_or_the_minute_of_a_poll(provider: str) -> None:
    with World(2) as world:
        order = one(world, provider, replies=True)
        world.run(30)
        world.providers[provider].reply(phone(provider, 0), "好")
        typed = world.kernel.elapsed
        world.run(90)

        (event,) = replies(world)
        assert (event.detail["request_id"], event.detail["from"]) == (order, phone(provider, 0))
        assert event.detail["text"].endswith("好")
        assert event.at - typed <= (5 if provider in CALLED_BACK else 65)


def test_answers_that_the_status_tells_are_fetched_after_the_final_report_where_their_callbacks_are_lost() -> None:
    with World(3) as world:
        order = one(world, "every8d", replies={"days": 2})
        world.run(30)
        delivered = world.messages(order)[0].status
        lose_callbacks(world, "every8d")
        world.providers["every8d"].reply(phone("every8d", 0), "好")
        world.run(HOUR)
        first = [event.detail["text"] for event in replies(world)]
        world.providers["every8d"].reply(phone("every8d", 0), "謝謝")
        world.run(24 * HOUR)

        assert delivered is Status.DELIVERED
        assert first == ["好"]
        told = [event.detail for event in replies(world)]
        assert [detail["text"] for detail in told] == ["好", "謝謝"]
        assert {(detail["request_id"], detail["match"]) for detail in told} == {(order, "exact")}
        asked = [call for call in world.providers["every8d"].calls if call.operation == "getDeliveryStatus"]
        assert len(asked) <= 8, "ever more rarely: after 1, 6, 36 minutes, 2.6, 10.6 hours, then once a day"


def test_nobody_asks_on_where_no_answers_were_asked_for() -> None:
    with World(4) as world:
        one(world, "every8d")
        world.run(30)
        world.run(24 * HOUR)

        assert [call for call in world.providers["every8d"].calls if call.operation == "getDeliveryStatus"] == []
