"""Texts from phones: each kept once, with the message it answers and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate.callback_urls import first_of_many
from smsgate.intake import LARGEST
from smsgate.messages import Attempt, Reply
from smsgate.publisher import Publisher
from tests.gateway.bus import Bus, Stream, Topic
from tests.gateway.conftest import TABLE
from tests.gateway.examples import NOON
from tests.gateway.house import Counts, House, fails, record
from tests.gateway.plainline import maybe_sent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

Stored = Callable[[], dict[str, Any]]

CASTELLO_TOOK = Attempt("castello", NOON, "accepted", provider_ref="99")


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


class TestLikely:
    """No reference and no address: which of several messages a reply answers."""

    def test_what_this_provider_may_have_brought_before_another_was_tried_can_be_answered(
        self, house: House, stored: Stored
    ) -> None:
        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/send", maybe_sent())
        house.handle(record(on_doubt="resend", providers=["plainline", "castello"]))
        doubtful = house.one()
        resent = replace(doubtful, provider="castello", attempts=(*doubtful.attempts, CASTELLO_TOOK))
        house.ledger.save(resent)

        receive(house, reply())

        assert (stored()["match"], stored()["request_id"]) == ("likely", "order-17")

    def test_what_another_provider_brought_is_not_answered_here(self, house: House, stored: Stored) -> None:
        house.handle(record())

        receive(house, reply(provider="castello"))

        assert stored()["match"] == "none"

    def test_of_two_messages_it_answers_the_newer(self, house: House, stored: Stored) -> None:
        house.handle(record())
        house.later(minutes=5)
        house.handle(published_now(house, "order-18"))
        house.later(minutes=5)

        receive(house, reply())

        assert (stored()["match"], stored()["request_id"]) == ("likely", "order-18")

    def test_a_message_that_went_out_after_it_was_typed_is_not_what_it_answers(
        self, house: House, stored: Stored
    ) -> None:
        """Fetched replies are minutes old, and one vendor keeps them to itself for a day."""
        house.handle(record())
        house.later(minutes=10)
        house.handle(published_now(house, "order-18"))
        house.later(minutes=5)

        receive(house, reply(provider_time="2026-11-20 12:04:59"))

        assert stored()["request_id"] == "order-17"

    @pytest.mark.parametrize(
        "time", ["20261120121500", "2026/11/20 12:10", "201811201204", "", "soon", "99999999999999"]
    )
    def test_a_time_that_says_otherwise_or_nothing_leaves_it_with_the_newer(
        self, house: House, stored: Stored, time: str
    ) -> None:
        house.handle(record())
        house.later(minutes=10)
        house.handle(published_now(house, "order-18"))
        house.later(minutes=5)

        receive(house, reply(provider_time=time))

        assert (stored()["match"], stored()["request_id"]) == ("likely", "order-18")

    def test_a_message_that_asked_for_replies_is_likelier_than_a_newer_one_that_did_not(
        self, house: House, stored: Stored
    ) -> None:
        house.handle(record(replies={"days": 3}))
        house.later(minutes=5)
        house.handle(published_now(house, "order-18"))

        receive(house, reply())

        assert stored()["request_id"] == "order-17"

    @pytest.mark.parametrize(
        ("days", "answered"), [(3.9, "likely"), (4.1, "none")], ids=["told a day late", "after its days"]
    )
    def test_a_message_that_asked_for_replies_is_open_for_its_days_and_the_vendors_delay(
        self, house: House, stored: Stored, days: float, answered: str
    ) -> None:
        house.handle(record(replies={"days": 3}))
        house.later(days=days)

        receive(house, reply())

        assert stored()["match"] == answered

    def test_a_message_that_did_not_arrive_is_passed_over_for_an_older_one_that_may_have(
        self, house: House, stored: Stored
    ) -> None:
        house.handle(record())
        house.later(minutes=5)
        house.handle(published_now(house, "order-18"))
        house.receive_at_own_url(house.one("order-18"), "status=lost&ref=ref2")

        receive(house, reply())

        assert stored()["request_id"] == "order-17"

    def test_a_message_for_later_is_not_answered_before_its_time(self, house: House, stored: Stored) -> None:
        house.handle(record(send_at="2026-11-20T18:00:00+08:00"))

        receive(house, reply())

        assert stored()["match"] == "none"

    def test_a_canceled_one_is_not_answered(self, house: House, stored: Stored) -> None:
        house.handle(record(send_at="2026-11-20T18:00:00+08:00"))
        house.wire.say("/cancel", "1")
        house.cancellations().message(house.one().message_id)
        house.later(days=1)

        receive(house, reply())

        assert stored()["match"] == "none"


class TestAtAMessagesOwnAddress:
    def test_a_reply_there_answers_that_message_even_where_the_send_answer_was_lost(
        self, house: House, stored: Stored
    ) -> None:
        house.wire.say("/send", maybe_sent())
        house.handle(record())
        house.later(seconds=5)
        house.handle(published_now(house, "order-18"))

        house.conversation().receive(reply(), house.one("order-17").message_id)

        assert (stored()["match"], stored()["request_id"]) == ("exact", "order-17")

    def test_the_address_of_a_call_of_many_leads_to_the_one_who_replies(self, house: House, stored: Stored) -> None:
        house.enabled = ("castello",)
        house.handle(record(to=["+886912345678", "+886912345679", "+886912345670"]))
        first, _, third = house.of()

        house.conversation().receive(reply(provider="castello", sender=third.to), first_of_many(first.message_id))

        assert (stored()["match"], stored()["message_id"]) == ("exact", third.message_id)

    @pytest.mark.parametrize(
        "told", [{"sender": "+886912345670"}, {"provider": "castello"}], ids=["another's number", "another provider"]
    )
    def test_who_was_not_sent_it_does_not_answer_it(self, house: House, stored: Stored, told: dict[str, str]) -> None:
        house.handle(record())

        house.conversation().receive(reply(**told), house.one().message_id)

        assert stored()["match"] == "none"

    @pytest.mark.parametrize("path", ["", "x", "abcdefghijklmnopqrstuvwx-1", "~", "../.."])
    def test_an_address_of_nobody_is_none(self, house: House, stored: Stored, path: str) -> None:
        house.handle(record())

        house.conversation().receive(reply(), path)

        assert stored()["match"] == "likely"


def test_a_reply_that_was_here_is_not_looked_for_among_the_messages_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched replies come again with every run of their day."""
    receive(house, reply())
    monkeypatch.setattr(house.ledger, "to_recipient", fails)
    monkeypatch.setattr(house.ledger, "keep_reply", fails)

    assert not receive(house, reply())


def test_it_is_kept_as_it_was_typed(house: House, stored: Stored) -> None:
    receive(house, reply(text=" 好的\r\n👍 <b>&amp;%20\t", provider_time="2026/11/20 12:00"))

    assert stored()["text"] == " 好的\r\n👍 <b>&amp;%20\t"
    assert stored()["from"] == "+886912345678"
    assert stored()["provider_time"] == "2026/11/20 12:00"


@pytest.mark.parametrize("char", ["\x01", "字", "😀", "\u2028", '"', "x"])
def test_however_long_it_is_it_is_an_event(house: House, dynamodb: DynamoDBClient, char: str) -> None:
    bus = Bus()
    publisher = Publisher("bus", "topic", cast("EventBridgeClient", bus), lambda: cast("SNSClient", Topic()))

    publisher.handle(Stream(dynamodb).after(lambda: receive(house, reply(text=char * LARGEST))))

    (told,) = bus.details("Reply Received")
    assert told["text"] == char * 10_000


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
