"""A message is canceled while it is being sent, or at the moment it is due: what is said of it is what happened."""

from __future__ import annotations

from datetime import timedelta

from smsgate.status import Status
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import EVERYBODY, dice, one, statuses
from tests.world.world import Answer

DUE = 180.0
AT_ONCE, BOOKED = range(4), range(4, 12)


@fault("F70", "a cancellation races with the send", Where.PROCESS)
def test_what_is_canceled_reaches_no_phone_and_what_is_not_does(run: Run) -> None:
    with run.world() as world:
        chance = dice(world)
        # Whole minutes, so that every vendor has it due at the same moment.
        due = (world.kernel.now + timedelta(seconds=DUE)).replace(second=0, microsecond=0)
        answers: dict[str, list[Answer]] = {}
        for provider in EVERYBODY:
            for number in AT_ONCE:
                order = one(world, provider, number)
                path = f"/requests/{order}/cancel"
                answers[order] = world.start_call("POST", path, delay=chance.uniform(0, 1.2))
            for number in BOOKED:
                order = one(world, provider, number, send_at=due.isoformat())
                path = f"/requests/{order}/cancel"
                when = chance.choice([chance.uniform(0, 1.5), chance.uniform(10, 170), DUE + chance.uniform(-0.5, 0.3)])
                answers[order] = world.start_call("POST", path, delay=when)
        world.run(1800)

        messages = world.messages()
        found = statuses(messages)
        shown = {each.to for each in messages if any(key.phones.get(each.to) for key in world.providers.values())}
        agreed = sum(
            (answers[message.request_id][0].status == 200) == (message.status is Status.CANCELED)
            for message in messages
        )
        run.equal("canceled or delivered", found[Status.CANCELED] + found[Status.DELIVERED], run.messages)
        run.at_least("canceled", found[Status.CANCELED], 10)
        run.at_least("too late", found[Status.DELIVERED], 10)
        run.equal("on a phone", len(shown), found[Status.DELIVERED])
        run.equal("answers that say what happened", agreed, run.messages)
