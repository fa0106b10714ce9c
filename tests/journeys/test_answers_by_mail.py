"""A provider that is written to and answers by mail: answers lost, late, twice, forged, and what messages become."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from local.simulators.base import Closes, Late, Says, Step
from local.simulators.meteorsis import Meteorsis, Twice
from tests.journeys.conftest import House

KEY = "meteorsis"
PHONE = "+85261230001"


def words() -> str:
    return f"您的驗證碼是 {uuid.uuid4().hex[:10]}"


@pytest.fixture
def post(house: House) -> Iterator[Meteorsis]:
    simulator = cast(Meteorsis, house.simulators[KEY])
    simulator.credit, simulator.disabled = 1_000_000, False
    yield simulator
    simulator.credit, simulator.disabled = 1_000_000, False


def taken(post: Meteorsis, text: str) -> int:
    return sum(submission.text == text for submission in post.accepted)


def publish(house: House, text: str, **fields: Any) -> str:
    return house.publish(**{"providers": [KEY], "to": PHONE, "text": text, **fields})


def mails_with(post: Meteorsis, text: str) -> list[bytes]:
    written = text.encode("utf-16-be").hex().upper().encode()
    return [mail for mail in post.mails if written in mail]


def subject(mail: bytes) -> str:
    return next(line for line in mail.decode().split("\r\n") if line.startswith("Subject: ")).removeprefix("Subject: ")


def is_of_provider(event: dict[str, Any], detail_type: str) -> bool:
    return (event["detail-type"], event["detail"].get("provider")) == (detail_type, KEY)


def let_five_minutes_pass(house: House, message_id: str) -> None:
    """For what waits and for the provider it waits for."""
    hashed, _, position = message_id.rpartition("-")
    past = {":past": {"S": "2020-01-01T00:00:00.000000Z"}}
    for pk, sk, expression in (
        (hashed, f"m#{position}", "SET next_attempt_at = :past, due_at = :past"),
        (f"provider#{KEY}", "suspension", "SET retry_at = :past"),
    ):
        house.gateway.aws.dynamodb.update_item(
            TableName=house.gateway.name("MessagesTable"),
            Key={"pk": {"S": pk}, "sk": {"S": sk}},
            UpdateExpression=expression,
            ExpressionAttributeValues=past,
        )


def test_a_message_is_being_sent_until_the_answer_comes(house: House, post: Meteorsis) -> None:
    text = words()
    post.script(Late(3), operation="reply")
    post.plan_receipts((Step(6, "22"),))

    request_id = publish(house, text)

    house.until(lambda: taken(post, text) == 1)
    time.sleep(1)
    assert house.message(request_id)["status"] == "sending"
    house.wait_for(request_id, "delivered")
    assert house.statuses(request_id) == ["accepted", "sending", "sent", "delivered"]
    assert taken(post, text) == 1


def test_the_mail_is_the_documents_lines_and_nothing_else(house: House, post: Meteorsis) -> None:
    text = words()
    request_id = publish(house, text, sender="Acme2026", label="label", context={"key": "value"})
    house.wait_for(request_id, "sent")

    (mail,) = mails_with(post, text)

    head, body = mail.decode("ascii").split("\r\n\r\n")
    assert [line.partition(":")[0] for line in head.split("\r\n")] == [
        "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert body.split("\r\n") == [
        "[USERNAME]=meteorsis-user",
        "[PASSWORD]=meteorsis-password",
        "[RECIPIENT]=85261230001",
        f"[CONTENT]={text.encode('utf-16-be').hex().upper()}",
        "[LANG_ENG]=0",
        "[SCHEDULING]=now",
        "[SENDERID]=Acme2026",
        "",
    ]
    assert subject(mail) == f"{house.message(request_id)['message_id']}-1"


def test_an_answer_that_comes_twice_is_one(house: House, post: Meteorsis) -> None:
    text = words()
    post.script(Twice(), operation="reply")

    request_id = publish(house, text)

    house.wait_for(request_id, "delivered")
    time.sleep(1)
    assert house.statuses(request_id) == ["accepted", "sending", "sent", "delivered"]


def test_a_line_lost_after_the_final_dot_is_doubtful_and_the_answer_settles_it(house: House, post: Meteorsis) -> None:
    text = words()
    post.script(Closes(), operation="send")
    post.script(Late(4), operation="reply")
    post.plan_receipts((Step(7, "22"),))

    request_id = publish(house, text)

    house.wait_for(request_id, "doubtful")
    sent = house.wait_for(request_id, "sent")
    assert (sent["previous"], sent["revised"]) == ("doubtful", True)
    house.wait_for(request_id, "delivered")
    assert taken(post, text) == 1


@pytest.mark.parametrize("answer", [b"450 4.2.0 greylisted", b"554 5.7.1 no"])
def test_a_mail_that_was_not_taken_over_waits_and_goes_out_once(house: House, post: Meteorsis, answer: bytes) -> None:
    text = words()
    post.script(Says(answer), operation="rcpt")

    request_id = publish(house, text)

    house.until(lambda: house.messages(request_id) and house.message(request_id).get("next_attempt_at"))
    waiting = house.message(request_id)
    assert (waiting["status"], waiting["reason"]["code"]) == ("accepted", "provider_unreachable")
    assert waiting["reason"]["provider_code"] == f"SMTP {answer[:3].decode()}"
    assert taken(post, text) == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [("17", "invalid_number"), ("18", "content_refused"), ("22", "country_not_enabled"), ("999", "unknown")],
)
def test_an_error_rejects_the_message_with_their_code(house: House, post: Meteorsis, code: str, reason: str) -> None:
    text = words()
    post.script(post.says(code), operation="reply")

    event = house.wait_for(publish(house, text), "rejected")

    assert (event["reason"]["code"], event["reason"]["provider_code"]) == (reason, code)
    assert taken(post, text) == 0


def test_an_empty_account_parks_the_message_and_suspends_the_provider_until_it_takes_one_again(
    house: House, post: Meteorsis
) -> None:
    text = words()
    post.credit = 0

    request_id = publish(house, text)

    house.gateway.events.wait_for(lambda event: is_of_provider(event, "Provider Suspended"))
    house.until(lambda: house.message(request_id).get("next_attempt_at"))
    waiting = house.message(request_id)
    assert (waiting["status"], waiting["reason"]["code"]) == ("accepted", "credit_exhausted")

    post.credit = 1_000_000
    let_five_minutes_pass(house, waiting["message_id"])
    house.gateway.tick("ReconcilerFunction")
    house.wait_for(request_id, "delivered")
    house.gateway.events.wait_for(lambda event: is_of_provider(event, "Provider Resumed"))
    assert taken(post, text) == 1
    assert [subject(mail)[-2:] for mail in mails_with(post, text)] == ["-1", "-2"]


def test_a_forged_answer_changes_nothing_and_the_true_one_counts(house: House, post: Meteorsis) -> None:
    text = words()
    post.script(Late(6), operation="reply")
    post.plan_receipts(())
    request_id = publish(house, text)
    house.until(lambda: taken(post, text) == 1)
    of_message = subject(mails_with(post, text)[0])

    def forged(body: str, *, sender: str = "sms@meteorsis.com", **verdicts: str) -> None:
        head = f"From: {sender}\r\nTo: gateway@sms.example\r\nSubject: {of_message}\r\n\r\n"
        house.gateway.mails.arrive(f"{head}{body}\r\n".encode(), **verdicts)

    forged("SMSDID:666666", dmarc="FAIL")
    forged("SMSDID:666666", dmarc="GRAY", dkim="FAIL")
    forged("SMSDID:666666", spam="FAIL")
    forged("SMSDID:666666", virus="FAIL")
    forged("SMSDID:666666", sender="sms@meteorsis.com.evil.example")
    forged("SMSDID:666666", sender='"sms@meteorsis.com" <thief@evil.example>')
    forged("ERROR:16 (forged)", dmarc="FAIL")
    forged("nonsense")

    assert house.message(request_id)["status"] == "sending"
    house.wait_for(request_id, "sent")
    assert house.message(request_id)["provider_ref"] == post.accepted[-1].ref


def test_a_list_travels_in_one_mail_and_each_recipient_is_told_apart(house: House, post: Meteorsis) -> None:
    text = words()
    numbers = [f"+8526{7_000_000 + n}" for n in range(30)]
    post.plan_receipts(*[(Step(0, "22"),), (Step(0, "21/303"),)] * 15)

    request_id = publish(house, text, to=numbers)

    house.until(lambda: {m["status"] for m in house.messages(request_id)} == {"delivered", "undelivered"}, 40)
    assert len(mails_with(post, text)) == 1
    told = {submission.to: submission.ref for submission in post.accepted if submission.text == text}
    assert {message["to"]: message["provider_ref"] for message in house.messages(request_id)} == told
    shown = {number for number in numbers if any(each.text == text for each in post.phones[number])}
    assert {m["to"] for m in house.messages(request_id) if m["status"] == "delivered"} == shown


def test_an_error_to_a_list_that_one_number_is_enough_for_sends_each_again_alone(house: House, post: Meteorsis) -> None:
    text = words()
    numbers = [f"+8526{8_000_000 + n}" for n in range(3)]
    post.script(post.says("17"), operation="reply")

    request_id = publish(house, text, to=numbers)

    def woken() -> bool:
        house.gateway.tick("ReconcilerFunction")
        return [message["status"] for message in house.messages(request_id)] == ["delivered"] * 3

    house.until(woken, 40)
    assert [mail.count(b",852") for mail in mails_with(post, text)] == [2, 0, 0, 0]
    assert taken(post, text) == 3


def test_a_schedule_is_theirs_from_the_answer_on(house: House, post: Meteorsis) -> None:
    text = words()
    send_at = datetime(datetime.now(UTC).year + 1, 1, 2, 3, 4, 5, tzinfo=UTC)

    request_id = publish(house, text, send_at=send_at.isoformat())

    house.wait_for(request_id, "scheduled")
    assert post.accepted[-1].due == send_at.replace(minute=5, second=0)
