"""Texts from phones: each kept once, with the message it answers and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from smsgate.messages import Reply
from tests.gateway.conftest import TABLE
from tests.gateway.house import Counts, House, record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Stored = Callable[[], dict[str, Any]]


@pytest.fixture
def stored(dynamodb: DynamoDBClient) -> Stored:
    """The one reply in the table."""

    def one() -> dict[str, Any]:
        (item,) = [dict(item) for item in dynamodb.scan(TableName=TABLE)["Items"] if item["sk"]["S"] == "reply"]
        return {name: value["S"] for name, value in item.items() if "S" in value}

    return one


def reply(**fields: Any) -> Reply:
    given: dict[str, Any] = {"provider": "plainline", "key": "seq1", "sender": "+886912345678", "text": "好的 ok"}
    return Reply(**{**given, **fields})


def published_now(house: House, request_id: str) -> dict[str, Any]:
    sent = {"SentTimestamp": str(int(house.now.timestamp() * 1000))}
    return {**record({"id": request_id, "to": "+886912345678", "text": "newer"}), "attributes": sent}


def receive(house: House, one: Reply) -> bool:
    return house.conversation().receive(one)


def test_a_reference_of_the_provider_makes_it_exact_even_with_a_newer_message_to_the_number(
    house: House, stored: Stored
) -> None:
    house.handle(record())
    house.later(seconds=5)
    house.handle(published_now(house, "order-18"))

    receive(house, reply(provider_ref="ref1"))

    assert (stored()["match"], stored()["message_id"]) == ("exact", house.one("order-17").message_id)


@pytest.mark.parametrize("ref", ["unknown", "ref2"])
def test_a_reference_of_nobody_or_of_another_number_is_not_exact(house: House, stored: Stored, ref: str) -> None:
    house.handle(record())
    house.handle(record({"id": "order-18", "to": "+886912345679", "text": "to another"}))

    receive(house, reply(provider_ref=ref))

    assert (stored()["match"], stored()["request_id"]) == ("likely", "order-17")


def test_a_message_that_may_have_arrived_can_be_answered(house: House, stored: Stored) -> None:
    house.wire.say("/send", "neither yes nor no")
    house.handle(record())

    receive(house, reply())

    assert stored()["match"] == "likely"


def test_a_message_that_was_never_sent_is_passed_over_for_the_one_before(house: House, stored: Stored) -> None:
    house.handle(record())
    house.later(seconds=5)
    house.wire.say("/send", "ERR number")
    house.handle(published_now(house, "order-18"))

    receive(house, reply())

    assert stored()["request_id"] == "order-17"


def test_it_is_kept_as_it_was_typed(house: House, stored: Stored) -> None:
    receive(house, reply(text=" 好的\r\n👍 <b>&amp;%20\t", provider_time="2026/11/20 12:00"))

    assert stored()["text"] == " 好的\r\n👍 <b>&amp;%20\t"
    assert stored()["from"] == "+886912345678"
    assert stored()["provider_time"] == "2026/11/20 12:00"


def test_an_empty_text_is_a_reply_too(house: House, stored: Stored) -> None:
    assert receive(house, reply(text=""))

    assert stored()["text"] == ""


def test_it_counts_once_however_often_and_by_how_many_it_comes(house: House, counts: Counts, stored: Stored) -> None:
    kept = []

    workers = [Thread(target=lambda: kept.append(receive(house, reply()))) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert sorted(kept) == [False] * 7 + [True]
    assert counts["ReplyReceived"] == 1
    assert stored()["text"] == "好的 ok"


def test_the_same_key_of_another_provider_is_another_reply(house: House) -> None:
    assert receive(house, reply())
    assert receive(house, reply(provider="castello"))
