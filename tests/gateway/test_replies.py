"""Replies by callback: each once, tied to its message, kept raw whatever can be read of it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import pytest

from smsgate import lifecycle
from smsgate.callback_urls import is_genuine
from smsgate.intake import Stranger, TooLarge
from smsgate.ledger import Ledger
from smsgate.messages import Reply
from smsgate.outcomes import Accepted
from smsgate.providers.base import ReadsReplies
from smsgate.wire import Acknowledgement, Callback
from tests.gateway.conftest import TABLE
from tests.gateway.examples import NOON, UNTIL, WATCH, message
from tests.gateway.house import TOKEN, Counts, House
from tests.gateway.plainline import Plainline

PHONE = "+886912345678"


class Talkative(Plainline, ReadsReplies):
    """Plainline with people who answer."""

    key = "plainline"

    @classmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        fields = dict(parse_qsl(callback.query))
        return [Reply(cls.key, fields["seq"], fields["from"], fields["text"], provider_ref=fields.get("ref"))]

    @classmethod
    def acknowledge_reply(cls, callback: Callback) -> Acknowledgement:
        return Acknowledgement("thank you")


class OneUrl(Talkative):
    """Sends its replies where it sends its reports."""

    replies_to_receipts = True

    @classmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        return super().read_replies(callback) if "seq" in callback.query else []

    @classmethod
    def read_receipts(cls, callback: Callback):  # type: ignore[no-untyped-def]
        return [] if "seq" in callback.query else super().read_receipts(callback)


@pytest.fixture
def talkative(house: House) -> House:
    house.offers["plainline"] = Talkative
    return house


def said(seq: str = "1", text: str = "好", **more: str) -> Callback:
    fields: Mapping[str, str] = {"seq": seq, "from": "%2B886912345678", "text": text, **more}
    return Callback("GET", "", "&".join(f"{name}={value}" for name, value in fields.items()))


def take(house: House, callback: Callback, token: str = TOKEN) -> Acknowledgement:
    return house.replies().handle("plainline", token, callback)


def kept(ledger: Ledger) -> list[dict[str, str]]:
    items = ledger._client.scan(TableName=TABLE)["Items"]
    return [{k: next(iter(v.values())) for k, v in item.items()} for item in items if item["sk"]["S"] == "reply"]  # type: ignore[misc]


def test_a_reply_is_kept_once_however_often_it_comes_and_always_acknowledged(talkative: House) -> None:
    answers = [take(talkative, said()) for _ in range(10)]

    assert {answer.body for answer in answers} == {"thank you"}
    (reply,) = kept(talkative.ledger)
    assert (reply["from"], reply["text"], reply["match"]) == (PHONE, "好", "none")


def test_a_reply_that_names_its_message_is_tied_to_it_exactly(talkative: House) -> None:
    sent = talkative.ledger.save(lifecycle.claim(message(), "plainline", NOON, UNTIL)).message
    sent = talkative.ledger.change_from(sent, lambda m: lifecycle.settle(m, 1, Accepted("77"), NOON, WATCH))
    talkative.ledger.link("plainline", "77", sent)

    take(talkative, said(ref="77"))

    (reply,) = kept(talkative.ledger)
    assert (reply["message_id"], reply["request_id"], reply["match"]) == (sent.message_id, "order-17", "exact")


def test_a_wrong_token_is_a_stranger_and_leaves_nothing(talkative: House) -> None:
    with pytest.raises(Stranger):
        take(talkative, said(), TOKEN[:-1])

    assert not is_genuine([TOKEN], "replies", "plainline", TOKEN[:-1], "")
    assert talkative.ledger._client.scan(TableName=TABLE)["Count"] == 0


def test_a_provider_nobody_answers_has_no_such_address(house: House) -> None:
    with pytest.raises(Stranger):
        take(house, said())


def test_what_cannot_be_read_is_kept_and_acknowledged(talkative: House) -> None:
    answer = take(talkative, Callback("GET", "", "nothing=known"))

    assert answer.body == "thank you"
    (item,) = talkative.ledger._client.scan(TableName=TABLE)["Items"]
    assert item["problem"]["S"] == "unreadable: KeyError"


def test_a_receipt_that_comes_to_the_address_of_replies_is_kept_for_people_who_are_told(
    house: House, counts: Counts
) -> None:
    house.offers["plainline"] = OneUrl

    take(house, Callback("GET", "", "status=there&ref=9"))

    (item,) = house.ledger._client.scan(TableName=TABLE)["Items"]
    assert item["problem"]["S"] == "unreadable: LookupError"
    assert counts["CallbackUnreadable"] == 1


@pytest.mark.parametrize("sender", ["x" * 20_000, "字" * 5_000])
def test_who_has_a_name_longer_than_any_key_is_kept_under_its_beginning(talkative: House, sender: str) -> None:
    query = urlencode({"seq": "1", "from": sender, "text": "hi", "ref": "77"})

    for _ in range(2):
        take(talkative, Callback("GET", "", query))

    (reply,) = kept(talkative.ledger)
    assert reply["text"] == "hi"
    assert sender.startswith(reply["from"])
    assert len(reply["from"]) == 128
    assert all(len(reply[name].encode()) <= 1024 for name in ("pk", "to"))


def test_more_than_any_vendor_sends_is_not_taken(talkative: House) -> None:
    with pytest.raises(TooLarge):
        take(talkative, said(text="x" * 70_000))


def test_a_vendor_with_one_url_for_both_sends_replies_among_its_reports(house: House) -> None:
    house.offers["plainline"] = OneUrl
    sent = house.ledger.save(lifecycle.claim(message(), "plainline", NOON, UNTIL)).message

    house.receipts().handle("plainline", TOKEN, said())
    house.receipts().handle("plainline", TOKEN, Callback("GET", sent.message_id, "status=there&ref=9"))

    assert len(kept(house.ledger)) == 1
    found = house.ledger.get(sent.message_id)
    assert found is not None
    assert found.status == "delivered"
