"""Schedules: by the clock, faster by request, and at once when somebody asks."""

from __future__ import annotations

from pathlib import Path

from local.event_loop import EventLoop
from local.lambdas import Lambdas
from local.schedules import Schedules
from local.stack import ScheduleSource
from tests.local.sample_stack import Sample, wait_until

FUNCTION = "ScheduleFunction"


def test_a_tick_invokes_the_function_now_with_a_scheduled_event(gateway: Sample) -> None:
    before = len(gateway.seen(FUNCTION))

    gateway.tick(FUNCTION)

    event = gateway.seen(FUNCTION)[before]["event"]
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert event["resources"] == [
        "arn:aws:events:us-east-1:000000000000:rule/smsgate-local-ScheduleFunctionEveryMinute"
    ]


def test_at_speed_a_minute_passes_in_a_moment(gateway: Sample, tmp_path: Path, loop: EventLoop) -> None:
    lambdas = Lambdas(gateway.stack.functions, gateway.place, tmp_path / "lambda", loop)
    schedules = Schedules(gateway.stack.schedules, lambdas, gateway.place, speed=200)
    schedules.start()

    wait_until(lambda: lambdas.log(FUNCTION).count("Scheduled Event") >= 3, seconds=10)

    schedules.ask_to_stop()
    schedules.join()
    lambdas.stop()


def test_an_input_of_the_schedules_own_replaces_the_event(gateway: Sample, tmp_path: Path, loop: EventLoop) -> None:
    lambdas = Lambdas(gateway.stack.functions, gateway.place, tmp_path / "lambda", loop)
    source = ScheduleSource(FUNCTION, "Own", every=60, input='{"only": "this"}')

    Schedules([source], lambdas, gateway.place).tick(FUNCTION)

    assert '{"event": {"only": "this"}}' in lambdas.log(FUNCTION)
    lambdas.stop()
