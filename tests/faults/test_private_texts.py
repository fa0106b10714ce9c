"""A private text is nowhere in the ledger once its message is submitted, whatever its provider repeats of it."""

from __future__ import annotations

import pytest

from local.simulators.base import Late, Step
from smsgate.status import Status
from tests.faults.traffic import EVERYBODY, one
from tests.world.world import World

CANARY = "canary-of-a-text"


def kept(world: World) -> str:
    """All that the table holds."""
    return repr(list(world.table.items()))


@pytest.mark.parametrize("provider", EVERYBODY)
@pytest.mark.parametrize("is_private", [True, False])
def test_a_private_text_is_not_kept_after_its_report(provider: str, is_private: bool) -> None:
    with World(1) as world:
        order = one(world, provider, text=CANARY, private=is_private)
        world.run(600)

        assert world.messages(order)[0].status is Status.DELIVERED
        assert (CANARY in kept(world)) is not is_private
        assert "callback#" in kept(world), "that it was called about is still known"


def test_nor_after_a_report_that_was_faster_than_the_answer() -> None:
    with World(2) as world:
        world.faults.inject(Late(5), service="wire", operation="every8d.sendSMS")
        world.providers["every8d"].plan_receipts((Step(1, world.providers["every8d"].delivered),))
        order = one(world, "every8d", text=CANARY, private=True)
        world.run(4)
        while_it_is_sent = kept(world)
        world.run(60)

        assert "callback#" in while_it_is_sent
        assert world.messages(order)[0].status is Status.DELIVERED
        assert CANARY not in kept(world)
