"""Wake-ups: in few records, told from requests by their attribute alone, and never half taken in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate.wakeups import is_wake_up, message_ids, wake
from tests.gateway.house import QUEUES, Queues, record, wake_up

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

URGENT, BULK = QUEUES.values()


def queue(queues: Queues, *ids: str) -> None:
    wake(cast("SQSClient", queues), BULK, ids)


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


def test_what_is_no_id_in_a_list_is_left_out() -> None:
    assert message_ids('["a-1", 2, null, ["b"], "c-1"]') == ["a-1", "c-1"]
    assert is_wake_up(wake_up("a-1"))
