"""A day on which nothing can be sent: nothing is lost, what waits costs little, and all of it goes out soon after."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from local.simulators.twsms import TwSms
from smsgate.status import Status
from tests.world.world import World

MINUTE, HOUR = 60, 3600
OVER_HTTP = ("twsms", "smsget")
"""A mail is taken by the post office whether or not its provider is there: then nobody knows, for a while."""


def publish(world: World, count: int, *providers: str, text: str = "hello", **fields: Any) -> None:
    for place in range(count):
        chosen: dict[str, Any] = {"providers": [providers[place % len(providers)]]} if providers else {}
        world.publish(to=f"+8869{len(world.published):08}", text=text, **chosen, **fields)


def woken(world: World) -> int:
    return world.metrics()["Woken"]


def test_a_day_without_any_provider_makes_no_dead_letter_and_all_is_sent_when_they_are_back() -> None:
    with World(4, providers=OVER_HTTP) as world:
        world.offline.update(OVER_HTTP)
        publish(world, 2)
        publish(world, 2, *OVER_HTTP, lane="bulk")
        publish(world, 1, valid_for=6 * HOUR)
        world.run(20 * HOUR)
        publish(world, 4)
        world.run(4 * HOUR)

        assert Counter(world.statuses()) == {Status.ACCEPTED: 8, Status.EXPIRED: 1}
        assert not world.accepts()

        world.offline.clear()
        world.run(32 * MINUTE)  # One that is all alone is tried every half an hour by then.

        assert len(world.dead_letters) == 0
        assert set(world.accepts().values()) == {1}
        assert len(world.accepts()) == 8


def test_what_waits_for_an_empty_account_is_looked_at_ever_less_often_and_sent_soon_after_it_is_topped_up() -> None:
    with World(4, providers=["smsget"]) as world:
        _set_credit(world, "smsget", 0)
        publish(world, 20, lane="bulk")
        world.run(6 * HOUR)

        assert not world.accepts()
        assert woken(world) < 20 * 14
        assert len(world.dead_letters) == 0

        _set_credit(world, "smsget", 1_000_000)
        world.run(20 * MINUTE)  # The credit is measured once in a quarter of an hour.

        assert len(world.accepts()) == 20


def test_what_costs_more_than_is_left_is_looked_at_ever_less_often_and_sent_soon_after_there_is_more() -> None:
    with World(4, providers=["smsget"]) as world:
        _set_credit(world, "smsget", 1)
        world.run(20 * MINUTE)
        world.publish(to=[f"+8869{place:08}" for place in range(10)], text="長" * 200)
        world.run(4 * HOUR)

        assert not world.accepts()
        assert woken(world) < 10 * 16

        _set_credit(world, "smsget", 1_000_000)
        world.run(20 * MINUTE)

        assert len(world.accepts()) == 10


@pytest.mark.parametrize("resumed", [True, False], ids=["by the operator", "by the secret"])
def test_what_waited_hours_for_a_new_password_is_sent_within_minutes_of_it(resumed: bool) -> None:
    with World(4, providers=["twsms"]) as world:
        simulator = world.providers["twsms"]
        assert isinstance(simulator, TwSms)
        ours, simulator.password = simulator.password, "another"
        publish(world, 10)
        world.run(3 * HOUR)
        assert not world.accepts()

        if resumed:  # It was the vendor's mistake: the old one is good again.
            simulator.password = ours
            world.call("POST", "/providers/twsms/resume")
        else:
            world.put_secret("providers/twsms", password="another")
        world.run(10 * MINUTE)

        assert len(world.accepts()) == 10


def _set_credit(world: World, provider: str, points: int) -> None:
    setattr(world.providers[provider], "credit", points)  # noqa: B010
