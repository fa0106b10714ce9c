"""A world works when nothing fails, fails where it is told to, and is the same world for the same seed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Hangs, Says
from smsgate.status import Status
from tests.world.faults import (
    Kill,
    Lost,
    Moment,
    NoSuchName,
    Raises,
    Refuses,
    Slow,
    Step,
    Throttled,
    Twice,
    Unavailable,
)
from tests.world.world import World

PROVIDERS = sorted(SIMULATORS)
PHONE = "+886912345678"


def status_of(world: World, request_id: str) -> Status:
    (message,) = world.messages(request_id)
    return message.status


class TestWithoutFaults:
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_a_queued_message_is_delivered_by_every_provider(self, provider: str) -> None:
        with World(1) as world:
            order = world.publish(to=PHONE, text="hello", providers=[provider])
            world.run(30)

            assert status_of(world, order) is Status.DELIVERED
            assert world.accepts_of(order) == {(PHONE, "hello"): 1}
            assert [shown.text for shown in world.providers[provider].phones[PHONE]] == ["hello"]
            statuses = [event.detail["status"] for event in world.events if event.detail.get("request_id") == order]
            assert statuses == ["accepted", "sending", "sent", "delivered"]

    def test_a_posted_message_is_delivered_as_well(self) -> None:
        with World(1) as world:
            answer = world.post(to=[PHONE, "+886912345679"], text="hello", providers=["smsgo"])
            world.settle()
            world.run(5)

            assert answer.status == 202
            assert {message.status for message in world.messages(answer.body["id"])} == {Status.DELIVERED}

    def test_schedules_run_by_themselves(self) -> None:
        with World(1) as world:
            world.run(900)

            assert world.metrics()["ReconcilerRan"] == pytest.approx(15, abs=1)
            assert {event.detail_type for event in world.events} == {"Credit Measured"}

    def test_what_cannot_be_understood_is_rejected_with_an_event(self) -> None:
        with World(1) as world:
            world.send('{"to": "+886912345678", "tetx": "typo"}')
            world.run(5)

            assert [event.detail["status"] for event in world.events] == ["rejected"]
            assert world.is_quiet()


class TestFaults:
    def test_a_worker_killed_after_the_call_leaves_one_accept_and_a_redelivery_no_second(self) -> None:
        with World(2, providers=["smsget"]) as world:
            rule = world.faults.inject(Kill(), service="wire", operation="smsget.send", moment="after")
            world.providers["smsget"].receipts = ()
            order = world.publish(to=PHONE, text="hello")
            world.run(600)

            assert len(rule.hits) == 1
            assert [who for _, who, _ in world.deaths] == ["sender#1"]
            assert world.accepts_of(order) == {(PHONE, "hello"): 1}
            assert status_of(world, order) is Status.DOUBTFUL

    def test_a_table_that_is_throttled_for_a_while_delays_and_loses_nothing(self) -> None:
        with World(3) as world:
            world.faults.inject(Throttled(), service="dynamodb", function="sender", times=None, seconds=60)
            order = world.publish(to=PHONE, text="hello")
            world.run(30)
            nothing_yet = world.accepts()
            world.run(800)

            assert nothing_yet == Counter()
            assert status_of(world, order) is Status.DELIVERED

    def test_a_lost_answer_of_the_table_is_not_a_lost_claim(self) -> None:
        with World(4) as world:
            rule = world.faults.inject(Lost(), service="dynamodb", operation="put_item", function="sender")
            order = world.publish(to=PHONE, text="hello", providers=["twsms"])
            world.run(60)

            assert len(rule.hits) == 1
            assert status_of(world, order) is Status.DELIVERED
            assert world.accepts_of(order) == {(PHONE, "hello"): 1}

    def test_a_provider_that_stays_silent_costs_its_deadline(self) -> None:
        with World(5) as world:
            world.faults.inject(Hangs(), service="wire", operation="smsget.send")
            world.providers["smsget"].receipts = ()
            order = world.publish(to=PHONE, text="hello", providers=["smsget"])
            world.run(9)
            before = status_of(world, order)
            world.run(2)

            assert (before, status_of(world, order)) == (Status.SENDING, Status.DOUBTFUL)

    def test_a_provider_off_the_net_takes_nothing_until_it_is_back(self) -> None:
        with World(6) as world:
            world.offline.add("twsms")
            order = world.publish(to=PHONE, text="hello", providers=["twsms"])
            world.run(120)
            before = status_of(world, order), world.accepts()
            world.offline.clear()
            world.run(1800)

            assert before == (Status.ACCEPTED, Counter())
            assert status_of(world, order) is Status.DELIVERED

    def test_events_that_the_bus_refuses_are_brought_again(self) -> None:
        with World(7) as world:
            rule = world.faults.inject(Refuses(0.5), service="events", times=4)
            order = world.publish(to=PHONE, text="hello", providers=["twsms"])
            world.run(60)

            assert len(rule.hits) == 4
            seen = {event.detail["event_id"] for event in world.events if event.detail.get("request_id") == order}
            assert len(seen) == 4

    def test_callbacks_are_lost_late_and_twice(self) -> None:
        with World(8) as world:
            world.faults.inject(Unavailable(), service="callback", operation="twsms")
            world.faults.inject(Slow(50), service="callback", operation="smsget")
            world.faults.inject(Twice(3), service="callback", operation="smsgo")
            lost, late, twice = (
                world.publish(to=PHONE, text=f"by {key}", providers=[key]) for key in ("twsms", "smsget", "smsgo")
            )
            world.run(30)
            at_first = [status_of(world, order) for order in (lost, late, twice)]
            world.run(60)

            assert at_first == [Status.SENT, Status.SENT, Status.DELIVERED]
            assert [status_of(world, order) for order in (late, twice)] == [Status.DELIVERED] * 2
            assert len(world.providers["smsgo"].callbacks) == 1  # The network made two of it.

    def test_an_invocation_ends_at_its_timeout(self) -> None:
        with World(9, providers=["smsget"]) as world:
            world.faults.inject(Slow(100), service="dynamodb", operation="put_item", function="sender", moment="after")
            world.publish(to=PHONE, text="hello")
            world.run(59)
            alive = list(world.deaths)
            world.run(3)

            assert alive == []
            assert [(who, why) for _, who, why in world.deaths] == [("sender#1", "timed out")]

    def test_what_ends_the_process_ends_an_invocation_and_its_environment(self) -> None:
        with World(10, providers=["smsget"]) as world:
            world.faults.inject(Raises(SystemExit), service="wire", operation="smsget.send")
            world.publish(to=PHONE, text="hello")
            world.run(60)

            assert [(who, why) for _, who, why in world.deaths] == [("sender#1", "ended by SystemExit")]
            assert [failure.text for failure in world.functions.failures] == ["SystemExit: "]
            assert [letter.receives for letter in world.send_queue.letters.values()] == [1]

    def test_a_rule_may_remember_what_went_before(self) -> None:
        writes: list[Step] = []

        def is_the_second_write(step: Step) -> bool:
            if (step.operation, step.moment) == ("put_item", "before"):
                writes.append(step)
            return len(writes) == 2

        with World(11, providers=["smsget"]) as world:
            rule = world.faults.inject(Throttled(), operation="put_item", times=None, only=is_the_second_write)
            world.publish(to=PHONE, text="hello")
            world.run(60)

            assert rule.hits == [writes[1]]


class TestMail:
    """By SMTP; by SES it is tried wherever its provider is."""

    @staticmethod
    def life(world: World) -> tuple[Status, int]:
        order = world.publish(to=PHONE, text="hello")
        world.run(1200)
        return status_of(world, order), world.accepts_of(order)[PHONE, "hello"]

    def test_it_is_taken_over_and_answered(self) -> None:
        with World(1, providers=["meteorsis"], by_smtp=True) as world:
            assert self.life(world) == (Status.DELIVERED, 1)

    @pytest.mark.parametrize("fault", [Closes(), Hangs(), Lost(), Kill()], ids=lambda fault: type(fault).__name__)
    def test_what_breaks_after_the_dot_is_found_out_by_the_answer(self, fault: Closes | Hangs | Lost | Kill) -> None:
        with World(1, providers=["meteorsis"], by_smtp=True) as world:
            rule = world.faults.inject(fault, service="wire", operation="meteorsis.send", moment=_moment(fault))

            assert self.life(world) == (Status.DELIVERED, 1)
            assert len(rule.hits) == 1

    @pytest.mark.parametrize("fault", [Unavailable(), NoSuchName(), Slow(30)], ids=lambda fault: type(fault).__name__)
    def test_who_is_not_reached_is_tried_again(self, fault: Unavailable | NoSuchName | Slow) -> None:
        with World(1, providers=["meteorsis"], by_smtp=True) as world:
            rule = world.faults.inject(fault, service="wire", operation="meteorsis.connect")

            assert self.life(world) == (Status.DELIVERED, 1)
            assert len(rule.hits) == 1

    @pytest.mark.parametrize("operation", ["mail", "rcpt", "send"])
    def test_a_line_that_says_no_is_no_doubt(self, operation: str) -> None:
        with World(1, providers=["meteorsis"], by_smtp=True) as world:
            world.script("meteorsis", Says(b"451 4.7.1 come again later"), operation=operation)

            assert self.life(world) == (Status.DELIVERED, 1)
            (message,) = world.messages()
            assert [attempt.outcome for attempt in message.attempts] == ["not_sent", "accepted"]


def _moment(fault: object) -> Moment:
    return "after" if isinstance(fault, Lost | Kill) else "before"


class TestQueues:
    def test_what_fails_too_often_is_a_dead_letter(self) -> None:
        with World(1) as world:
            world.faults.inject(Throttled(), service="lambda", operation="invoke", subject="sender", times=None)
            world.publish(to=PHONE, text="hello")
            world.run(360 * 5)
            before = len(world.dead_letters)
            world.run(400)

            assert (before, len(world.dead_letters)) == (0, 1)
            assert not world.send_queue

    def test_a_record_shown_twice_is_sent_once(self) -> None:
        with World(1) as world:
            order = world.publish(to=PHONE, text="hello", providers=["twsms"])
            (letter,) = world.send_queue.letters
            world.run(0.3)
            world.send_queue.show_again(letter)
            world.run(600)

            assert world.accepts_of(order) == {(PHONE, "hello"): 1}


class TestOneSeedIsOneWorld:
    @staticmethod
    def story(seed: int) -> list[str]:
        with World(seed) as world:
            world.faults.inject(Throttled(), service="dynamodb", chance=0.1, times=None)
            world.faults.inject(Kill(), chance=0.01, times=3, function="sender")
            for number in range(10):
                world.publish(to=f"+8869123456{number:02}", text=f"hello {number}")
            world.run(600)
            return [str(line) for line in world.trace] + [str(event) for event in world.events]

    def test_the_same_seed_gives_the_same_story_line_by_line(self) -> None:
        assert self.story(1) == self.story(1)
        assert self.story(1) != self.story(2)

    def test_time_goes_on_from_where_the_world_begins(self) -> None:
        with World(1) as world:
            before = world.clock()
            world.run(3.5)

            assert world.clock() - before == timedelta(seconds=3.5)
