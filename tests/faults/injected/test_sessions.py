"""EVERY8D wants a login, for a day, and locks the account after ten bad ones: many workers share one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from local.simulators.base import HttpAnswer, HttpCall
from local.simulators.every8d import TAIPEI, Every8d
from smsgate.status import Status
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import accepts, alone, dice, one, phone, statuses, until_over
from tests.world.faults import Slow
from tests.world.world import World

MINUTE = 60.0
NEW_PASSWORD = "another-password"
WORKERS = 50
_APART = 0.21  # seconds; the event source looks every 0.2


@fault("F24", "the password is wrong for five minutes, and 50 workers want in", Where.ANSWER)
def test_a_wrong_password_is_tried_twice_at_most_and_nothing_is_lost(run: Run) -> None:
    with run.world(providers=["every8d"]) as world:
        simulator = _every8d(world)
        simulator.password = NEW_PASSWORD
        for worker in range(WORKERS):
            # Each reads the secret until the last one has it: all of them are about to log in at the same moment.
            wait = Slow((WORKERS - worker) * _APART)
            world.faults.inject(wait, service="secretsmanager", function="sender", subject="world/providers")
            to = [phone("every8d", 4 * worker + place) for place in range(4)]
            world.publish(to=to, text=f"from worker {worker}")
            world.run(_APART)
        at_once = world.functions.running
        world.faults.stop()
        world.run(5 * MINUTE)
        during, bad, alarms = accepts(world, "every8d"), simulator.bad_logins, _suspended(world)
        world.put_secret("providers/every8d", password=NEW_PASSWORD)
        until_over(world)

        run.at_least("workers at once", at_once, WORKERS)
        run.equal("accepts during", during, 0)
        run.at_least("bad logins", bad, 1)
        run.at_most("bad logins", simulator.bad_logins, 2)
        run.at_least("alarms", alarms, 1)
        run.equal("accepts", accepts(world, "every8d"), 200)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], 200)
        run.equal("dead letters", len(world.dead_letters), 0)


@fault("F25", "the account is locked (-999) for ten minutes", Where.ANSWER)
def test_a_locked_account_is_left_alone_until_it_has_a_new_secret(run: Run) -> None:
    with run.world(providers=["every8d"]) as world:
        simulator = _every8d(world)
        simulator.bad_logins = 11
        alone(world, "every8d")
        world.run(10 * MINUTE)
        during, tried = accepts(world, "every8d"), _logins(world)
        simulator.bad_logins, simulator.password = 0, NEW_PASSWORD
        world.put_secret("providers/every8d", password=NEW_PASSWORD)
        until_over(world)

        run.equal("accepts during", during, 0)
        run.at_most("logins during", tried, 1)
        run.equal("bad logins after", simulator.bad_logins, 0)
        run.equal("accepts", accepts(world, "every8d"), run.messages)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        run.at_least("alarms", _suspended(world), 1)


@fault("F27", "the session is lost (-301) with every tenth call", Where.ANSWER)
def test_a_lost_session_costs_one_login_and_no_message(run: Run) -> None:
    with run.world(providers=["every8d"]) as world:
        simulator = _every8d(world)
        lost, random = _lose_sessions(simulator, every=10), dice(world)
        for number in range(60):
            one(world, "every8d", number)
            world.run(random.uniform(0.1, 0.6))
        until_over(world)

        run.at_least("sessions lost", lost[0], 6)
        run.at_most("logins beyond the sessions lost", simulator.logins - lost[0], 1)
        run.equal("bad logins", simulator.bad_logins, 0)
        run.equal("accepts", accepts(world, "every8d"), run.messages)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)


@fault("F28", "midnight in Taipei passes in the middle of 100 messages", Where.CLOCK)
def test_the_session_of_yesterday_is_not_used_today(run: Run) -> None:
    before = timedelta(seconds=15)
    midnight = datetime(2026, 3, 3, tzinfo=TAIPEI).astimezone(UTC)
    with run.world(providers=["every8d"], start=midnight - before, schedules=False) as world:
        simulator = _every8d(world)
        for number in range(100):
            one(world, "every8d", number)
            world.run(0.3)
        until_over(world)

        days = {taken.at.astimezone(TAIPEI).date() for taken in simulator.accepted}
        run.at_least("of days", len(days), 2)
        run.at_most("logins", simulator.logins, 2)
        run.equal("accepts", accepts(world, "every8d"), 100)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], 100)


def _every8d(world: World) -> Every8d:
    simulator = world.providers["every8d"]
    assert isinstance(simulator, Every8d)
    return simulator


def _lose_sessions(simulator: Every8d, every: int) -> list[int]:
    """Right before each so-manieth call that sends; how often it happened."""
    answer, seen, lost = simulator.answer, [0], [0]

    def answered(call: HttpCall) -> HttpAnswer:
        if simulator.operation(call).startswith("send"):
            seen[0] += 1
            if seen[0] % every == 0:
                lost[0] += 1
                simulator.lose_sessions()
        return answer(call)

    setattr(simulator, "answer", answered)  # noqa: B010  mypy knows that nobody else should
    return lost


def _logins(world: World) -> int:
    return sum(" before wire.every8d.getConnection " in line.text for line in world.trace)


def _suspended(world: World) -> int:
    return sum("Provider Suspended" in alert.subject for alert in world.alerts)
