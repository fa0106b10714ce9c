"""Send requests that are right: what they become, and when two of them are the same."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.messages import Form, Lane, Message, OnDoubt, TooLong
from smsgate.requests import Request, check, decode, request_hash, split_message_id
from smsgate.status import Status
from tests.gateway.request_samples import NOW, NUMBER, PROVIDERS, RIGHT, VALID, right_with


def checked(payload: object, lane: Lane = Lane.URGENT, accepted_at: datetime = NOW) -> Request:
    return check(payload, fallback_id="record-1", accepted_at=accepted_at, lane=lane, known_providers=PROVIDERS)


def only(request: Request) -> Message:
    (message,) = request.messages()
    return message


def sent(request: Request) -> list[tuple[str, str | None]]:
    return [(message.to, message.text) for message in request.messages()]


# What a request becomes


def test_the_least_request_is_one_message_with_every_default() -> None:
    message = only(checked({"to": "0912345678", "text": "hi"}, lane=Lane.BULK))

    assert message == Message(
        message_id=f"{request_hash('record-1')}-1",
        request_id="record-1",
        to=NUMBER,
        text="hi",
        accepted_at=NOW,
        digest=message.digest,
        lane=Lane.BULK,
    )
    assert message.status is Status.ACCEPTED


def test_every_field_reaches_the_message() -> None:
    payload = {
        "id": "order-1",
        "to": [{"number": "+85291234567", "text": "own", "name": "陳", "send_at": "2026-11-22T10:00:00+08:00"}],
        "text": "common",
        "providers": ["castello", "plainline"],
        "send_at": "2026-11-23T10:00:00+08:00",
        "valid_for": 200_000,
        "sender": "Shop",
        "replies": {"days": 7},
        "form": "push",
        "url": "https://shop.example.com/",
        "too_long": "reject",
        "on_doubt": "resend",
        "label": "Autumn",
        "context": {"b": "2", "a": "1"},
        "private": True,
    }

    message = only(checked(payload))

    assert message == Message(
        message_id=f"{request_hash('order-1')}-1",
        request_id="order-1",
        to="+85291234567",
        text="own",
        accepted_at=NOW,
        digest=message.digest,
        name="陳",
        providers=("castello", "plainline"),
        send_at=datetime(2026, 11, 22, 2, 0, tzinfo=UTC),
        valid_for=200_000,
        sender="Shop",
        reply_days=7,
        form=Form.PUSH,
        url="https://shop.example.com/",
        too_long=TooLong.REJECT,
        on_doubt=OnDoubt.RESEND,
        label="Autumn",
        context=(("a", "1"), ("b", "2")),
        private=True,
    )


def test_what_a_recipient_lacks_comes_from_the_request() -> None:
    own = "2026-11-22T00:00:00Z"
    to = ["0912345678", {"number": "0922333444", "text": "own"}, {"number": "0933444555", "send_at": own}]

    request = checked(right_with(to=to, text="common", send_at="2026-11-25T00:00:00Z"))

    common_time, own_time = datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    assert [(message.to, message.text, message.send_at) for message in request.in_order] == [
        ("+886912345678", "common", common_time),
        ("+886922333444", "own", common_time),
        ("+886933444555", "common", own_time),
    ]


@pytest.mark.parametrize(("replies", "days"), [(True, 3), (False, None), ({"days": 1}, 1), ({"days": 30}, 30)])
def test_replies_are_days_to_wait_for_them(replies: Any, days: int | None) -> None:
    assert only(checked(right_with(replies=replies))).reply_days == days


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-11-22T10:00:00+08:00", datetime(2026, 11, 22, 2, 0, tzinfo=UTC)),
        ("2026-11-22t02:00:00z", datetime(2026, 11, 22, 2, 0, tzinfo=UTC)),
        ("2026-11-21T14:00:00-12:00", datetime(2026, 11, 22, 2, 0, tzinfo=UTC)),
        ("2026-11-22T02:00:00-00:00", datetime(2026, 11, 22, 2, 0, tzinfo=UTC)),
        ("2026-11-22T07:45:00+05:45", datetime(2026, 11, 22, 2, 0, tzinfo=UTC)),
        ("2026-11-22T02:00:00.5Z", datetime(2026, 11, 22, 2, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-22T02:00:00.123456789Z", datetime(2026, 11, 22, 2, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-12-31T23:59:59+08:00", datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)),
        ("2027-03-14T02:30:00-05:00", datetime(2027, 3, 14, 7, 30, tzinfo=UTC)),  # the hour New York skips
    ],
)
def test_a_time_is_an_instant_whatever_its_offset(written: str, at: datetime) -> None:
    assert only(checked(right_with(send_at=written))).send_at == at


def test_a_leap_day_is_taken_in_a_leap_year() -> None:
    request = checked(right_with(send_at="2028-02-29T10:00:00+08:00"), accepted_at=datetime(2028, 2, 1, tzinfo=UTC))

    assert only(request).send_at == datetime(2028, 2, 29, 2, 0, tzinfo=UTC)


def test_line_breaks_are_one_character() -> None:
    assert only(checked(right_with(text="a\r\nb"))).text == "a\nb"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"), min_size=1))
def test_a_text_is_carried_as_it_is(said: str) -> None:
    visible = f"x{said}"
    if any(0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE for char in said):
        return

    message = only(checked(decode(json.dumps(right_with(text=visible)))))

    assert message.text == visible


# Bodies


def enveloped(payload: object) -> str:
    envelope = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:ap-northeast-1:123456789012:send",
        "Subject": "ignored",
        "Message": json.dumps(payload),
        "Timestamp": "2026-11-21T04:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "x",
        "SigningCertURL": "https://sns.ap-northeast-1.amazonaws.com/x.pem",
        "UnsubscribeURL": "https://sns.ap-northeast-1.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {"tenant": {"Type": "String", "Value": "shop"}},
    }
    return json.dumps(envelope)


@pytest.mark.parametrize("case", sorted(VALID.keys() - {"ten thousand"}))
def test_raw_bodies_bytes_and_sns_envelopes_are_the_same_request(case: str) -> None:
    payload = VALID[case]
    bodies: list[str | bytes] = [
        json.dumps(payload),
        json.dumps(payload, ensure_ascii=False),
        json.dumps(payload, ensure_ascii=False, indent=2).encode(),
        "\ufeff" + json.dumps(payload),
        enveloped(payload),
    ]

    requests = [checked(decode(body)) for body in bodies]

    assert all(request == checked(payload) for request in requests)


# When two requests are the same


@pytest.mark.parametrize(
    "other",
    [
        right_with(id="another"),
        right_with(to="+886912345678"),
        right_with(to="０９１２-３４５-６７８"),
        right_with(to=["0912345678"]),
        right_with(to=["0912345678", "+886 912 345 678"]),
        right_with(to=[{"number": "0912345678"}]),
        right_with(to=[{"number": "0912345678", "text": RIGHT["text"]}]),
        right_with(to=[{"number": "0912345678", "text": RIGHT["text"]}], text="of nobody"),
        right_with(form="text", too_long="split", on_doubt="hold", private=False, replies=False, context={}),
        right_with(label=""),
        right_with(to=[{"number": "0912345678", "name": ""}]),
    ],
)
def test_the_same_content_in_other_words_has_the_same_digest(other: Any) -> None:
    assert checked(other).digest == checked(RIGHT).digest


def test_the_same_instant_in_another_offset_has_the_same_digest() -> None:
    here, there = right_with(send_at="2026-11-22T10:00:00+08:00"), right_with(send_at="2026-11-22T02:00:00Z")

    assert checked(here).digest == checked(there).digest


def test_the_lane_and_the_time_of_acceptance_make_no_other_request() -> None:
    later = checked(RIGHT, lane=Lane.BULK, accepted_at=NOW + timedelta(days=1))

    assert later.digest == checked(RIGHT).digest


@pytest.mark.parametrize(
    "other",
    [
        right_with(to="0912345679"),
        right_with(to=["0912345678", "0912345679"]),
        right_with(text="Your parcel is there"),
        right_with(text="Your parcel is here "),
        right_with(to=[{"number": "0912345678", "name": "x"}]),
        right_with(providers=["plainline"]),
        right_with(providers=["castello"]),
        right_with(providers=["plainline", "castello"]),
        right_with(providers=["castello", "plainline"]),
        right_with(send_at="2026-11-22T02:00:00Z"),
        right_with(send_at="2026-11-22T02:00:01Z"),
        right_with(valid_for=60),
        right_with(sender="x"),
        right_with(replies=True),
        right_with(replies={"days": 4}),
        right_with(form="popup"),
        right_with(form="push", url="https://a.tw"),
        right_with(form="push", url="https://b.tw"),
        right_with(too_long="reject"),
        right_with(on_doubt="resend"),
        right_with(label="x"),
        right_with(context={"a": "b"}),
        right_with(context={"ab": ""}),
        right_with(private=True),
    ],
)
def test_whatever_changes_what_is_sent_changes_the_digest(other: Any) -> None:
    digests = {checked(payload).digest for payload in (RIGHT, right_with(text="third"), other)}

    assert len(digests) == 3


NUMBERS = [f"+8869{tail:08d}" for tail in range(12345678, 12345698)]
RECIPIENTS = st.lists(
    st.sampled_from(NUMBERS)
    | st.builds(
        lambda number, text, name: {"number": number, "text": text, "name": name},
        st.sampled_from(NUMBERS),
        st.sampled_from(["a", "b", "你好"]),
        st.sampled_from(["x", "y"]),
    ),
    min_size=1,
    max_size=12,
)


@given(RECIPIENTS, st.data())
def test_order_repetition_and_spelling_of_numbers_make_no_other_request(
    recipients: list[Any], data: st.DataObject
) -> None:
    def respelled(recipient: Any) -> Any:
        if isinstance(recipient, dict):
            return {**recipient, "number": respelled(recipient["number"])}
        return data.draw(st.sampled_from([recipient, "0" + recipient[4:], f"0{recipient[4:7]}-{recipient[7:]}"]))

    others = [respelled(recipient) for recipient in data.draw(st.permutations(recipients))]
    others.extend(respelled(recipient) for recipient in data.draw(st.lists(st.sampled_from(recipients), max_size=3)))

    one, other = checked(right_with(to=recipients)), checked(right_with(to=others))

    assert one.digest == other.digest
    assert one.messages() == other.messages()


def test_a_number_named_twice_with_one_text_is_one_message() -> None:
    to = ["0912345678", "0922333444", "+886912345678", {"number": "０９１２３４５６７８", "text": RIGHT["text"]}]

    assert sent(checked(right_with(to=to))) == [(NUMBER, RIGHT["text"]), ("+886922333444", RIGHT["text"])]


def test_a_number_with_two_texts_is_two_messages() -> None:
    to = ["0912345678", {"number": "0912345678", "text": "and this"}]

    assert sent(checked(right_with(to=to))) == [(NUMBER, RIGHT["text"]), (NUMBER, "and this")]


def test_a_number_with_two_times_is_two_messages() -> None:
    times = ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"]

    request = checked(right_with(to=[{"number": NUMBER, "send_at": at} for at in times]))

    assert [message.send_at for message in request.messages()] == [datetime.fromisoformat(at) for at in times]


@pytest.mark.parametrize("names", [["a", "b"], ["b", "a"]])
def test_of_two_names_for_one_message_the_same_one_is_kept_in_any_order(names: list[str]) -> None:
    request = checked(right_with(to=[{"number": NUMBER, "name": name} for name in names]))

    assert only(request).name == "a"


def test_messages_are_answered_in_the_publishers_order_under_ids_that_do_not_depend_on_it() -> None:
    to = ["0933444555", "0912345678", "0922333444", "0912345678"]

    request = checked(right_with(to=to))

    hashed = request_hash("order-1")
    assert [(message.message_id, message.to) for message in request.messages()] == [
        (f"{hashed}-1", "+886912345678"),
        (f"{hashed}-2", "+886922333444"),
        (f"{hashed}-3", "+886933444555"),
    ]
    assert [message.to for message in request.in_order] == ["+886933444555", "+886912345678", "+886922333444"]
    assert {message.digest for message in request.messages()} == {request.digest}


# Ids


def test_a_request_hash_is_120_bits_of_sha_256_in_base_32() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    bits = f"{int.from_bytes(hashlib.sha256(b'order-1').digest()):0256b}"

    expected = "".join(alphabet[int(bits[place : place + 5], 2)] for place in range(0, 120, 5))

    assert request_hash("order-1") == expected


@given(st.text("abc./:@-_", min_size=1, max_size=128), st.integers(1, 10_000))
def test_a_message_id_gives_back_its_parts(request_id: str, position: int) -> None:
    hashed = request_hash(request_id)

    assert split_message_id(f"{hashed}-{position}") == (hashed, position)


HASH = request_hash("order-1")


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        HASH,
        f"{HASH}-",
        f"{HASH}-0",
        f"{HASH}-01",
        f"{HASH}--1",
        f"{HASH}-10001",
        f"{HASH}-99999",
        f"{HASH}-1 ",
        f"{HASH}-1\n",
        f" {HASH}-1",
        f"{HASH}-1-1",
        f"{HASH}-1e3",
        f"{HASH}-１",
        f"{HASH}-{'9' * 5000}",
        f"{HASH.upper()}-1",
        f"{HASH[:-1]}-1",
        f"{HASH}a-1",
        f"{HASH[:-1]}1-1",
        f"{HASH[:-1]}/-1",
        "../../etc/passwd-1",
        "order-1",
    ],
)
def test_what_is_no_message_id_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match="not a message id"):
        split_message_id(message_id)


def test_a_request_shows_neither_numbers_nor_texts() -> None:
    shown = repr(checked(right_with(text="secret", label="private label")))

    assert "order-1" in shown
    assert not any(word in shown for word in ("912345678", "secret", "private label"))


@pytest.mark.parametrize(
    "to",
    [
        pytest.param([f"09{tail:08d}" for tail in range(10_000)], id="taiwanese"),
        pytest.param([f"+86138{tail:08d}" for tail in range(10_000)], id="foreign"),
        pytest.param([{"number": f"09{n:08d}", "text": f"碼{n}", "name": "王"} for n in range(10_000)], id="personal"),
    ],
)
def test_ten_thousand_recipients_take_less_than_two_seconds_of_cpu(to: Any) -> None:
    body = json.dumps(right_with(to=to))
    began = time.process_time()

    messages = checked(decode(body)).messages()

    assert len(messages) == 10_000
    assert time.process_time() - began < 2
