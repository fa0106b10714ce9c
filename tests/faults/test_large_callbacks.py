"""A callback with as many rows as a vendor's largest call has numbers is applied to the last row while it waits."""

from __future__ import annotations

from collections import Counter

import pytest

from local.simulators.base import Late, Step
from smsgate.status import Status
from tests.world.faults import Slow
from tests.world.world import World

MOST = 250  # of SMS-Get, whose callbacks tell of several numbers at once


@pytest.mark.parametrize("is_early", [False, True])
def test_all_rows_count_where_every_call_of_the_table_takes_its_time(is_early: bool) -> None:
    with World(3) as world:
        world.providers["smsget"].plan_receipts((Step(3, "DELIVRD"),))
        world.faults.inject(Slow(0.02), service="dynamodb", function="receipts", times=None)
        if is_early:
            world.faults.inject(Late(6), service="wire", operation="smsget.send")
        order = world.publish(
            to=[f"+8869{place:08}" for place in range(MOST)], text="hello", providers=["smsget"], lane="bulk"
        )
        world.run(300)

        callbacks = [item for item in world.table.items() if item["sk"]["S"] == "callback"]
        assert len(callbacks) <= 3, "most rows came together"
        assert Counter(message.status for message in world.messages(order)) == {Status.DELIVERED: MOST}
