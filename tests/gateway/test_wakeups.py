"""Wake-ups: in few records, told from requests by their attribute alone, and never half taken in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate import lifecycle
from smsgate.messages import Lane, Message
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wakeups import WakeUps, is_wake_up, message_ids, planned, wake_after
from tests.gateway.examples import NOON, message
from tests.gateway.house import QUEUES, Counts, Queues, record, wake_up

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

URGENT, BULK = QUEUES.values()
WAITS = Reason(Code.RATE_LIMITED)


def queue(queues: Queues, *ids: str) -> None:
    wake_after(cast("SQSClient", queues), BULK, {0: ids})


def delivered(entry: dict[str, Any]) -> dict[str, Any]:
    """A record as the sender gets it for what was queued."""
    attributes = {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in entry["MessageAttributes"].items()
    }
    return {**record(entry["MessageBody"]), "messageAttributes": attributes}


def test_what_is_queued_is_known_again_as_a_wake_up_of_the_same_messages() -> None:
    queues = Queues()

    queue(queues, "a-1", "a-2")

    ((entry,),) = queues.calls
    assert is_wake_up(delivered(entry))
    assert message_ids(delivered(entry)["body"]) == ["a-1", "a-2"]
    assert queues.woken == {BULK: ["a-1", "a-2"], URGENT: []}


@pytest.mark.parametrize(
    ("count", "calls"), [(0, []), (1, [[1]]), (100, [[100]]), (101, [[100, 1]]), (1001, [[100] * 10, [1]])]
)
def test_many_go_a_hundred_in_a_record_and_ten_records_in_a_call(count: int, calls: list[list[int]]) -> None:
    queues = Queues()
    ids = [f"abcdefghijklmnopqrstuvwx-{place}" for place in range(count)]

    queue(queues, *ids)

    assert [[len(json.loads(entry["MessageBody"])) for entry in call] for call in queues.calls] == calls
    assert queues.bulk == ids
    for call in queues.calls:
        assert len({entry["Id"] for entry in call}) == len(call)
        assert sum(len(entry["MessageBody"]) for entry in call) < 256 * 1024


def test_some_may_come_later_than_others_in_one_call_but_not_in_one_record() -> None:
    queues = Queues()
    waiting = {0: ["a-1"], 5: ["b-1", "b-2"], 61: [f"c-{place}" for place in range(101)]}

    wake_after(cast("SQSClient", queues), BULK, waiting)

    (call,) = queues.calls
    assert [(entry.get("DelaySeconds"), len(json.loads(entry["MessageBody"]))) for entry in call] == [
        (None, 1),
        (5, 2),
        (61, 100),
        (61, 1),
    ]
    assert queues.delays == {name: seconds for seconds, names in waiting.items() for name in names}


class TestMoments:
    def parked(self, **ahead: float) -> Message:
        return lifecycle.park(message(), WAITS, NOON, NOON + timedelta(**ahead))

    def send(self, queues: Queues, *messages: Message, now: datetime = NOON) -> None:
        WakeUps(lambda: cast("SQSClient", queues), QUEUES, lambda: now).send(messages)

    @pytest.mark.parametrize(
        ("ahead", "delay"), [(-5, 0), (0, 0), (0.001, 1), (1, 1), (1.5, 2), (119.5, 120), (120, 120)]
    )
    def test_a_moment_near_by_is_waited_for_in_the_queue_and_rather_too_long_than_not_long_enough(
        self, ahead: float, delay: int
    ) -> None:
        queues = Queues()
        waits = planned(self.parked(seconds=ahead), NOON)

        self.send(queues, waits)

        assert queues.delays == {waits.message_id: delay}

    def test_one_that_is_not_is_left_to_the_schedule_until_it_is(self) -> None:
        queues = Queues()
        waits = planned(self.parked(seconds=121), NOON)

        self.send(queues, waits)

        assert queues.calls == []
        assert waits.due_at == NOON + timedelta(seconds=1)
        assert waits.next_attempt_at == NOON + timedelta(seconds=121)

    @pytest.mark.parametrize(("ahead", "again"), [(0, 600), (60, 660)])
    def test_should_the_wake_up_be_lost_it_is_woken_again_ten_minutes_after_its_moment(
        self, ahead: int, again: int
    ) -> None:
        assert planned(self.parked(seconds=ahead), NOON).due_at == NOON + timedelta(seconds=again)

    def test_the_clock_that_goes_on_before_it_is_queued_shortens_the_delay(self) -> None:
        queues = Queues()
        waits = planned(self.parked(seconds=10), NOON)

        self.send(queues, waits, now=NOON + timedelta(seconds=8))

        assert queues.delays == {waits.message_id: 2}

    def test_each_comes_by_the_lane_of_its_message(self) -> None:
        queues = Queues()
        bulk = replace(planned(self.parked(seconds=1), NOON), lane=Lane.BULK)

        self.send(queues, bulk)

        assert queues.woken == {BULK: [bulk.message_id], URGENT: []}

    def test_a_queue_that_takes_none_is_told_and_breaks_nothing(self, counts: Counts) -> None:
        queues = Queues()
        queues.broken = True

        self.send(queues, planned(self.parked(seconds=1), NOON))

        assert counts.told == {("WakeUpFailed", ""): 1}

    def test_what_does_not_wait_any_more_is_left_as_it_is(self) -> None:
        sent = message(status=Status.SENT, due_at=NOON)

        assert planned(sent, NOON) is sent


def test_a_wake_up_the_queue_did_not_take_raises() -> None:
    queues = Queues()
    queues.refusing = True

    with pytest.raises(RuntimeError, match="not queued"):
        queue(queues, "a-1")


@pytest.mark.parametrize(
    "attributes",
    [
        None,
        {},
        {"smsgate": None},
        {"smsgate": {"stringValue": "sleep"}},
        {"smsgate": {"binaryValue": "d2FrZQ=="}},
        {"other": {"stringValue": "wake"}},
    ],
)
def test_a_request_is_no_wake_up_whatever_attributes_it_has(attributes: object) -> None:
    assert not is_wake_up({**record(), "messageAttributes": attributes})


def test_a_record_without_attributes_is_no_wake_up() -> None:
    assert not is_wake_up({"messageId": "q1", "body": "[]"})


@pytest.mark.parametrize("body", ["", "{", "{}", '"a-1"', "1", "null"])
def test_a_body_that_is_no_list_raises(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        message_ids(body)


def test_what_is_no_id_in_a_list_is_nobodys_id_so_that_it_is_counted() -> None:
    assert message_ids('["a-1", 2, null, ["b"], "c-1"]') == ["a-1", "", "", "", "c-1"]
    assert is_wake_up(wake_up("a-1"))
