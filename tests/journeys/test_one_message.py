"""One message, all the way: published, sent once, reported, told."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.simulators.base import Hangs, Step
from tests.journeys.conftest import DEADLINE, PHONE, House

ALL_THE_WAY = ["accepted", "sending", "sent", "delivered"]


def words() -> str:
    """A text nobody sent before, to count it by."""
    return f"您的驗證碼是 {uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("queue", ["SendQueue", "BulkQueue"])
def test_published_to_a_lane_it_is_delivered_and_told_step_by_step(house: House, queue: str) -> None:
    text = words()
    request_id = house.publish(queue, to=PHONE, text=text, label="login", context={"order": "42"})

    event = house.wait_for(request_id, "delivered")

    assert [shown.text for shown in house.twsms.phones[PHONE]][-1] == text
    assert house.accepted(text) == 1
    assert house.statuses(request_id) == ALL_THE_WAY
    assert event["context"] == {"order": "42"}
    message = house.message(request_id)
    assert message["status"] == "delivered"
    assert message["provider_ref"] == event["provider_ref"]
    assert [moment["status"] for moment in message["timeline"] if moment["kind"] == "status"] == ALL_THE_WAY
    assert [attempt["outcome"] for attempt in message["attempts"]] == ["accepted"]
    assert house.http("GET", f"/messages/{message['message_id']}").body == message


def test_published_to_the_topic_it_is_delivered(house: House) -> None:
    request_id = f"topic-{uuid.uuid4()}"
    body = json.dumps({"id": request_id, "to": "0912345678", "text": words()})

    house.gateway.aws.sns.publish(TopicArn=house.gateway.arn("SendTopic"), Message=body)

    house.wait_for(request_id, "delivered")


def test_posted_it_can_be_asked_about_at_once(house: House) -> None:
    text = words()

    posted = house.http("POST", "/messages", {"to": [PHONE, "0923456789"], "text": text})

    assert posted.status == 202
    assert [message["to"] for message in posted.body["messages"]] == [PHONE, "+886923456789"]
    asked = house.http("GET", f"/messages/{posted.body['messages'][0]['message_id']}")
    assert asked.status == 200
    house.wait_for(posted.body["id"], "delivered")
    house.until(lambda: {m["status"] for m in house.messages(posted.body["id"])} == {"delivered"})
    assert house.accepted(text) == 2
    newest = house.http("GET", f"/messages?to=%2B{PHONE[1:]}").body["messages"][0]
    assert newest["request_id"] == posted.body["id"]


def test_published_three_times_it_is_sent_once(house: House) -> None:
    text = words()
    request_id = house.publish(to=PHONE, text=text)
    for _ in range(2):
        house.publish(id=request_id, to="0912345678", text=text)
    house.wait_for(request_id, "delivered")
    reused = house.publish(id=request_id, to=PHONE, text="another text")

    event = house.wait_for(reused, "rejected")

    assert event["reason"]["code"] == "id_reused"
    assert event["message_id"] is None
    assert house.accepted(text) == 1
    assert house.accepted("another text") == 0


def test_a_batch_with_poison_in_it_is_sent_but_for_the_poison(house: House) -> None:
    text = words()
    poison = [
        "{",
        "[]",
        json.dumps(
            {"id": f"poison-{uuid.uuid4()}", "to": "12", "text": "", "txt": "?", "send_at": "2020-01-01T00:00:00"}
        ),
    ]
    good = [f"good-{uuid.uuid4()}" for _ in range(7)]
    bodies = poison + [json.dumps({"id": request_id, "to": PHONE, "text": text}) for request_id in good]

    house.gateway.aws.sqs.send_message_batch(
        QueueUrl=house.gateway.queue_url("SendQueue"),
        Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)],
    )

    for request_id in good:
        house.wait_for(request_id, "delivered")
    event = house.wait_for(json.loads(poison[2])["id"], "rejected")
    assert {problem["field"] for problem in event["problems"]} >= {"to", "txt", "send_at"}
    assert house.accepted(text) == 7


def test_scheduled_it_can_be_canceled_and_is_never_sent(house: House) -> None:
    text = words()
    send_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    request_id = house.publish(to=PHONE, text=text, send_at=send_at)
    house.wait_for(request_id, "scheduled")

    canceled = house.http("POST", f"/requests/{request_id}/cancel")

    assert canceled.status == 200
    assert len(canceled.body["canceled"]) == 1
    house.wait_for(request_id, "canceled")
    house.twsms.advance(timedelta(hours=3))
    try:
        assert text not in [shown.text for shown in house.twsms.phones[PHONE]]
    finally:
        house.twsms.advance(timedelta(hours=-3))


def test_once_delivered_it_is_too_late_to_cancel(house: House) -> None:
    request_id = house.publish(to=PHONE, text=words())
    house.wait_for(request_id, "delivered")

    late = house.http("POST", f"/requests/{request_id}/cancel")

    assert late.status == 409
    assert late.content_type == "application/problem+json"
    assert house.message(request_id)["status"] == "delivered"


def test_a_text_the_provider_cannot_carry_is_rejected_before_anything_is_spent(house: House) -> None:
    calls = len(house.twsms.calls)
    request_id = house.publish(to=PHONE, text="🎉 sale")

    event = house.wait_for(request_id, "rejected")

    assert event["reason"]["code"] == "unsupported_character"
    assert len(house.twsms.calls) == calls


def test_the_sender_is_killed_after_the_provider_accepted(house: House) -> None:
    """Nobody can know any more, so nobody sends it again; the receipt settles it."""
    text = words()
    house.twsms.plan_receipts((Step(14, "DELIVRD"),))
    house.twsms.script(Hangs(carried_out=True), operation="send")
    request_id = house.publish(to=PHONE, text=text)
    house.until(lambda: house.accepted(text) == 1)
    assert house.gateway.lambdas.kill("SenderFunction") >= 1

    # The record comes back three times: twice while the claim holds, then when it has run out.
    house.wait_for(request_id, "doubtful")
    assert house.accepted(text) == 1

    delivered = house.wait_for(request_id, "delivered")
    assert delivered["previous"] == "doubtful"
    assert delivered["revised"]
    assert house.statuses(request_id) == ["accepted", "sending", "doubtful", "delivered"]
    assert house.accepted(text) == 1


def test_a_provider_that_takes_it_and_never_answers(house: House) -> None:
    text = words()
    house.twsms.plan_receipts((Step(DEADLINE + 3, "DELIVRD"),))
    house.twsms.script(Hangs(carried_out=True), operation="send")

    request_id = house.publish(to=PHONE, text=text)

    house.wait_for(request_id, "doubtful")
    house.wait_for(request_id, "delivered")
    assert house.accepted(text) == 1


def test_reports_that_come_early_twice_and_out_of_order_end_in_one_state(house: House) -> None:
    house.twsms.plan_receipts(
        (Step(0, "DELIVRD"), Step(0, "DELIVRD"), Step(0.3, "ACCEPTD"), Step(0.6, "DELIVRD"), Step(0.9, "ACCEPTD"))
    )
    made = len(house.twsms.callbacks)
    request_id = house.publish(to=PHONE, text=words())

    house.wait_for(request_id, "delivered")
    house.until(lambda: len(house.twsms.callbacks) >= made + 5)
    time.sleep(1)

    assert house.message(request_id)["status"] == "delivered"
    assert house.statuses(request_id).count("delivered") == 1
    assert {callback.status for callback in house.twsms.callbacks[made:]} == {200}


def test_a_message_whose_every_receipt_is_lost_is_delivered_by_asking(house: House) -> None:
    house.twsms.plan_receipts((Step(0, "DELIVRD", told=False),))
    request_id = house.publish(to=PHONE, text=words())
    house.wait_for(request_id, "sent")

    def asked() -> bool:
        house.gateway.tick("ReconcilerFunction")
        return "delivered" in house.statuses(request_id)

    house.until(asked)


def test_a_callback_with_a_wrong_token_is_nobodys_and_leaves_nothing_behind(house: House) -> None:
    house.publish(to=PHONE, text=words())
    house.until(lambda: house.twsms.callbacks)
    url = house.twsms.callbacks[-1].url
    prefix, _, rest = url.partition("/receipts/twsms/")
    token = rest.split("/")[0]
    bent = ("A" if token[0] != "A" else "B") + token[1:]
    mark = uuid.uuid4().hex

    for path in (
        f"/receipts/twsms/{rest.partition('?')[0].replace(token, bent)}",
        "/receipts/nobody/x",
        "/receipts/twsms/x",
    ):
        assert house.http("GET", f"{path}?smsresp={mark}").status == 404

    assert prefix == house.gateway.api_url
    items = house.gateway.aws.dynamodb.get_paginator("scan").paginate(TableName=house.gateway.name("MessagesTable"))
    assert mark not in str([page["Items"] for page in items])


def test_a_probe_of_a_receipt_url_is_answered_and_stored_nowhere(house: House) -> None:
    house.publish(to=PHONE, text=words())
    house.until(lambda: house.twsms.callbacks)
    bare = house.twsms.callbacks[-1].url.partition("?")[0]

    for method in ("GET", "HEAD"):
        with urllib.request.urlopen(urllib.request.Request(bare, method=method), timeout=10) as answer:
            assert answer.status == 200


def test_without_credit_it_waits_and_goes_out_when_there_is_some_again(house: House) -> None:
    text = words()
    house.twsms.credit = 0
    request_id = house.publish(to=PHONE, text=text)
    house.until(lambda: house.messages(request_id) and house.message(request_id)["next_attempt_at"])
    assert house.message(request_id)["status"] == "accepted"
    assert house.message(request_id)["reason"]["code"] == "credit_exhausted"
    house.gateway.events.wait_for(lambda event: _is_of_twsms(event, "Provider Suspended"))

    house.twsms.credit = 100
    _make_due(house, request_id)
    house.gateway.tick("ReconcilerFunction")

    house.wait_for(request_id, "delivered")
    house.gateway.events.wait_for(lambda event: _is_of_twsms(event, "Provider Resumed"))
    assert house.accepted(text) == 1


def test_credit_is_measured_and_its_crossings_are_told_once(house: House) -> None:
    def told(detail_type: str) -> int:
        return sum(kind == detail_type for kind, _ in house.told())

    low, recovered = told("Credit Low"), told("Credit Recovered")
    for credit in (5000, 900, 800, 5000, 6000):
        house.twsms.credit = credit
        measured = told("Credit Measured")
        house.gateway.tick("CreditsFunction")
        house.until(lambda before=measured: told("Credit Measured") > before)  # type: ignore[misc]

    assert (told("Credit Low"), told("Credit Recovered")) == (low + 1, recovered + 1)


def test_a_reply_typed_on_the_phone_is_an_event_tied_to_its_message_once(house: House) -> None:
    phone = "+886955667788"
    request_id = house.publish(to=phone, text=words(), replies=True)
    house.wait_for(request_id, "delivered")
    house.twsms.reply(phone, "好的，謝謝 👍")

    for _ in range(3):
        house.gateway.tick("ReconcilerFunction")

    event = house.gateway.events.wait_for(lambda event: event["detail"].get("from") == phone)["detail"]
    assert event["text"] == "好的，謝謝 👍"
    assert event["match"] == "likely"
    assert event["request_id"] == request_id
    time.sleep(1)
    assert sum(detail.get("from") == phone for _, detail in house.told()) == 1


def _is_of_twsms(event: dict[str, Any], detail_type: str) -> bool:
    return (event["detail-type"], event["detail"].get("provider")) == (detail_type, "twsms")


def _make_due(house: House, request_id: str) -> None:
    """Sets the clock of what waits, as if its time had come."""
    dynamodb, table = house.gateway.aws.dynamodb, house.gateway.name("MessagesTable")
    past = {"S": "2020-01-01T00:00:00.000000Z"}
    hashed, _, position = house.message(request_id)["message_id"].rpartition("-")
    dynamodb.update_item(
        TableName=table,
        Key={"pk": {"S": hashed}, "sk": {"S": f"m#{position}"}},
        UpdateExpression="SET next_attempt_at = :past, due_at = :past",
        ExpressionAttributeValues={":past": past},
    )
    dynamodb.update_item(
        TableName=table,
        Key={"pk": {"S": "provider#twsms"}, "sk": {"S": "suspension"}},
        UpdateExpression="SET retry_at = :past",
        ExpressionAttributeValues={":past": past},
    )
