"""Messages taken back over HTTP: what nobody has yet, what its provider gives back, and what is too late."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smsgate.answers import Answer
from smsgate.messages import Message
from smsgate.status import Status
from tests.gateway.house import House, record, wake_up
from tests.gateway.plainline import not_sent

REQUEST = {"id": "order-17", "to": "+886912345678", "text": "a text nobody may read"}
IN_FOUR_HOURS = "2026-11-20T16:00:00+08:00"


def scheduled(house: House, **fields: Any) -> Message:
    house.handle(record({**REQUEST, "send_at": IN_FOUR_HOURS, **fields}))
    return house.of()[0]


def cancel(house: House) -> Answer:
    return house.cancellations().message(house.one().message_id)


def test_what_waits_in_the_ledger_is_canceled_and_never_sent(house: House) -> None:
    house.api().post(json.dumps(REQUEST).encode(), None)

    answer = cancel(house)
    house.handle(wake_up(*house.queues.urgent))
    house.later(hours=1)
    house.reconcile()

    assert answer.status == 200
    assert answer.body["canceled"] == [{"message_id": house.one().message_id, "points": None}]
    assert answer.body["not_canceled"] == []
    assert answer.body["points_returned"] is None
    assert house.one().status is Status.CANCELED
    assert house.wire.calls("/send") == []


def test_a_refused_password_is_tried_once_however_many_messages_are_to_be_canceled(house: House) -> None:
    scheduled(house, to=[f"+8869{n:08}" for n in range(10_000_000, 10_000_020)])
    house.wire.say("/cancel", *["ERR password"] * 40)

    answers = [house.cancellations().request(REQUEST["id"]) for _ in range(2)]

    assert [answer.status for answer in answers] == [409, 409]
    assert "credentials" in answers[1].body["detail"]
    assert len(house.wire.calls("/cancel")) == 1


def test_what_is_parked_is_canceled_without_asking_anybody(house: House) -> None:
    house.wire.say("/send", "ERR credit")
    house.handle(record())

    assert cancel(house).status == 200

    assert house.one().status is Status.CANCELED
    assert house.wire.calls("/cancel") == []


def test_what_is_scheduled_is_canceled_at_its_provider_which_says_the_points_given_back(house: House) -> None:
    scheduled(house)
    house.wire.say("/cancel", "1.5")

    answer = cancel(house)

    assert answer.status == 200
    assert answer.body["canceled"] == [{"message_id": house.one().message_id, "points": 1.5}]
    assert answer.body["points_returned"] == 1.5
    assert house.one().status is Status.CANCELED
    assert [dict(call.fields)["ref"] for call in house.wire.calls("/cancel")] == ["ref1"]


def test_twice_is_canceled_once_and_answered_alike(house: House) -> None:
    scheduled(house)
    house.wire.say("/cancel", "1")

    assert cancel(house).status == 200
    assert cancel(house).status == 200

    assert len(house.wire.calls("/cancel")) == 1


def test_what_its_provider_has_sent_meanwhile_is_409_in_the_providers_words(house: House) -> None:
    scheduled(house)
    house.wire.say("/cancel", "gone")

    answer = cancel(house)

    assert (answer.status, answer.body["detail"]) == (409, "it has gone out")
    assert house.one().status is Status.SCHEDULED


@pytest.mark.parametrize(
    ("how", "status", "why"),
    [
        ("sent", Status.SENT, "its provider has sent it already"),
        ("delivered", Status.DELIVERED, "it is delivered already"),
        ("doubtful", Status.DOUBTFUL, "it is not known whether its provider has it"),
        ("rejected", Status.REJECTED, "it is rejected already"),
        ("sending", Status.SENDING, "it is being sent this moment"),
    ],
)
def test_what_is_too_late_is_409_and_says_why(house: House, how: str, status: Status, why: str) -> None:
    if how == "rejected":
        house.wire.say("/send", "ERR number")
    elif how == "doubtful":
        house.wire.say("/send", "neither")
    elif how == "sending":
        house.wire.say("/send", KeyboardInterrupt())
    try:
        house.handle(record())
    except KeyboardInterrupt:
        assert how == "sending"
    if how == "delivered":
        house.receive_at_own_url(house.one(), "status=there&ref=ref1")

    answer = cancel(house)

    assert (answer.status, answer.body["detail"]) == (409, why)
    assert answer.body["not_canceled"] == [
        {"message_id": house.one().message_id, "status": status.value, "reason": why}
    ]
    assert house.one().status is status


def test_what_its_provider_cannot_take_back_is_409(house: House) -> None:
    house.enabled = ("oneway",)
    scheduled(house)

    answer = cancel(house)

    assert (answer.status, answer.body["detail"]) == (409, "oneway cannot cancel what it has taken")
    assert house.one().status is Status.SCHEDULED


def test_where_the_provider_does_not_answer_nothing_changes_and_it_may_be_tried_again(house: House) -> None:
    scheduled(house)
    house.wire.say("/cancel", not_sent(), "1")

    answer = cancel(house)
    assert answer.status == 409
    assert "try again" in answer.body["detail"]
    assert house.one().status is Status.SCHEDULED

    assert cancel(house).status == 200


def test_without_the_secret_it_says_so_and_changes_nothing(house: House) -> None:
    scheduled(house)
    house.vault.lost = {"plainline"}

    answer = cancel(house)

    assert answer.status == 409
    assert "secret" in answer.body["detail"]
    assert house.one().status is Status.SCHEDULED


def test_a_worker_that_claims_it_in_the_same_moment_wins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.api().post(json.dumps(REQUEST).encode(), None)
    message = house.one()
    whole = house.ledger.change_from
    claims = iter([lambda: house.handle(wake_up(message.message_id))])

    def change_from(*args: Any) -> Message:
        claim = next(claims, None)
        if claim:
            claim()
        return whole(*args)

    monkeypatch.setattr(house.ledger, "change_from", change_from)

    answer = house.cancellations().message(message.message_id)

    assert answer.status == 409
    assert house.one().status is Status.SENT
    assert len(house.wire.accepted) == 1


def test_a_whole_request_cancels_what_can_be_and_names_what_cannot(house: House) -> None:
    numbers = ["+886912345671", "+886912345672", "+886912345673"]
    house.wire.say("/send", "OK r1", "OK r2", "ERR number")
    house.handle(record({**REQUEST, "to": numbers, "send_at": IN_FOUR_HOURS}))
    rejected = [message for message in house.of() if message.status is Status.REJECTED]
    house.wire.say("/cancel", "2", "2.25")

    answer = house.cancellations().request("order-17")

    assert answer.status == 200
    assert len(answer.body["canceled"]) == 2
    assert answer.body["points_returned"] == 4.25
    assert [each["message_id"] for each in answer.body["not_canceled"]] == [m.message_id for m in rejected]
    assert sorted(message.status for message in house.of()) == ["canceled", "canceled", "rejected"]


def test_a_whole_request_of_which_nothing_can_be_canceled_is_409(house: House) -> None:
    house.wire.say("/send", "OK r1", "ERR number")
    house.handle(record({**REQUEST, "to": ["+886912345671", "+886912345672"]}))

    answer = house.cancellations().request("order-17")

    assert answer.status == 409
    assert answer.body["canceled"] == []
    assert len(answer.body["not_canceled"]) == 2
    assert answer.body["detail"] == "none of its messages can be canceled any more"
