"""What publishers ask over HTTP: each route's answers, what they promise, and what they never say."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from smsgate.answers import Answer
from smsgate.api import PAGE
from smsgate.messages import Lane
from smsgate.requests import request_hash
from smsgate.status import Status
from tests.gateway.conftest import TABLE
from tests.gateway.examples import NOON
from tests.gateway.house import Counts, House, fails, record, wake_up
from tests.gateway.request_samples import INVALID, NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REQUEST = {"id": "order-17", "to": "+886912345678", "text": "a text nobody may read"}
ALL_IN = {"label": "Autumn", "context": {"order": "17"}}
IN_FOUR_HOURS = "2026-11-20T16:00:00+08:00"


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answer]]:
    """Whatever is answered in a test: errors are problems by RFC 9457, and no text is in any of them."""
    given: list[Answer] = []
    whole = Answer.__init__

    def answer(self: Answer, status: int, body: dict[str, Any]) -> None:
        whole(self, status, body)
        given.append(self)

    monkeypatch.setattr(Answer, "__init__", answer)
    yield given
    for each in given:
        said = json.dumps(each.body)
        assert "nobody may read" not in said
        assert "text" not in each.body
        if each.status >= 400:
            assert each.content_type == "application/problem+json"
            assert each.body["status"] == each.status
            assert each.body["type"] == "about:blank"
            assert each.body["title"]
            assert each.body["detail"]
        else:
            assert each.content_type == "application/json"


def post(house: House, lane: str | None = None, **fields: Any) -> Answer:
    return house.api().post(json.dumps({**REQUEST, **fields}).encode(), lane)


def items(dynamodb: DynamoDBClient) -> list[dict[str, Any]]:
    return [dict(item) for item in dynamodb.scan(TableName=TABLE)["Items"]]


class TestPosting:
    def test_is_answered_with_the_id_and_the_messages_in_the_order_of_their_recipients(self, house: House) -> None:
        answer = post(house, to=["+886912345679", "0912345677", {"number": "+886912345678"}])

        assert answer.status == 202
        assert sorted(answer.body) == ["id", "messages"]
        assert answer.body["id"] == "order-17"
        assert [each["to"] for each in answer.body["messages"]] == ["+886912345679", "+886912345677", "+886912345678"]
        assert {tuple(sorted(each)) for each in answer.body["messages"]} == {("message_id", "to")}
        known = {message.message_id: message.to for message in house.of()}
        assert known == {each["message_id"]: each["to"] for each in answer.body["messages"]}

    def test_puts_each_message_into_the_ledger_before_it_is_answered_and_wakes_the_sender(self, house: House) -> None:
        answer = post(house)

        assert house.one().status is Status.ACCEPTED
        assert house.queues.urgent == [answer.body["messages"][0]["message_id"]]
        assert house.queues.bulk == []
        assert house.wire.requests == []

    def test_is_sent_by_the_wake_up(self, house: House) -> None:
        post(house)

        house.handle(wake_up(*house.queues.urgent))

        assert house.one().status is Status.SENT
        assert len(house.wire.accepted) == 1

    def test_without_an_id_is_given_one(self, house: House) -> None:
        body = {name: value for name, value in REQUEST.items() if name != "id"}

        answer = house.api().post(json.dumps(body).encode(), None)

        assert (answer.status, answer.body["id"]) == (202, "new-id")
        assert house.one("new-id").status is Status.ACCEPTED

    @pytest.mark.parametrize(("lane", "kept"), [(None, Lane.URGENT), ("", Lane.URGENT), ("bulk", Lane.BULK)])
    def test_goes_through_the_lane_it_names(self, house: House, lane: str | None, kept: Lane) -> None:
        post(house, lane=lane)

        assert house.one().lane is kept
        assert len(house.queues.bulk) == (kept is Lane.BULK)
        assert len(house.queues.urgent) == (kept is Lane.URGENT)

    def test_for_a_lane_there_is_not_is_refused_and_leaves_nothing(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        answer = post(house, lane="express")

        assert answer.status == 422
        assert [each["field"] for each in answer.body["problems"]] == ["lane"]
        assert items(dynamodb) == []

    def test_the_same_again_is_answered_the_same_and_sent_once(self, house: House) -> None:
        to = ["+886912345679", "0912345677"]
        first = post(house, to=to)
        house.handle(wake_up(*house.queues.urgent))

        second = post(house, to=to)
        house.handle(wake_up(*house.queues.urgent))

        assert (second.status, second.body) == (202, first.body)
        assert len(house.wire.accepted) == 2

    def test_a_scheduled_one_again_after_its_time_is_the_same_still(self, house: House) -> None:
        first = post(house, send_at=IN_FOUR_HOURS)
        house.later(hours=5)

        second = post(house, send_at=IN_FOUR_HOURS)

        assert (second.status, second.body) == (202, first.body)

    def test_a_first_one_for_a_time_that_has_passed_is_refused(self, house: House) -> None:
        answer = post(house, send_at="2026-11-19T16:00:00+08:00")

        assert answer.status == 422
        assert [each["field"] for each in answer.body["problems"]] == ["send_at"]

    @pytest.mark.parametrize(
        "changed", [{"text": "another"}, {"to": "+886912345679"}, {"label": "x"}, {"to": ["0912345678", "0912345679"]}]
    )
    def test_another_content_under_the_same_id_is_refused_and_changes_nothing(
        self, house: House, changed: dict[str, Any]
    ) -> None:
        post(house)
        before = house.one()

        answer = post(house, **changed)

        assert answer.status == 422
        assert [each["field"] for each in answer.body["problems"]] == ["id"]
        assert house.one() == before
        assert len(house.queues.urgent) == 1
        (rejection,) = house.ledger.rejections("order-17")
        assert rejection["code"] == "id_reused"

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'"text"', b"null", b"[" * 100_000])
    def test_what_is_no_request_is_refused(self, house: House, body: bytes) -> None:
        answer = house.api().post(body, None)

        assert answer.status == 422
        assert [each["field"] for each in answer.body["problems"]] == ["body"]

    def test_every_class_of_bad_input_is_named_and_sends_nothing(self, house: House) -> None:
        house.now = NOW
        samples = sorted(INVALID)[::5]

        for name in samples:
            payload, field, _ = INVALID[name]
            answer = house.api().post(json.dumps(payload).encode(), None)

            assert answer.status == 422, name
            assert field in {each["field"] for each in answer.body["problems"]}, name

        assert len(samples) > 50
        assert house.queues.calls == []

    def test_every_problem_is_named_at_once_kept_and_told(self, house: House, counts: Counts) -> None:
        answer = post(house, to=[], txt="x", valid_for="soon")

        named = {each["field"] for each in answer.body["problems"]}
        assert {"to", "txt", "valid_for"} <= named
        (rejection,) = house.ledger.rejections("order-17")
        assert rejection["problems"] == answer.body["problems"]
        assert counts["RequestRejected"] == 1

    def test_once_mended_is_taken_under_the_same_id(self, house: House) -> None:
        post(house, valid_for="soon")

        assert post(house).status == 202

        body = house.api().request("order-17").body
        assert len(body["messages"]) == 1
        assert len(body["rejected"]) == 1

    @pytest.mark.parametrize("trouble", ["broken", "refusing"])
    def test_is_answered_202_where_the_queue_does_not_take_the_wake_up_for_the_schedule_wakes_it(
        self, house: House, counts: Counts, trouble: str
    ) -> None:
        setattr(house.queues, trouble, True)

        assert post(house).status == 202

        assert counts["WakeUpFailed"] == 1
        setattr(house.queues, trouble, False)
        house.later(minutes=2)
        house.reconcile()
        house.handle(wake_up(*house.queues.urgent))
        assert house.one().status is Status.SENT

    def test_is_not_answered_202_where_the_ledger_does_not_take_it(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "save", fails)

        with pytest.raises(Exception, match="InternalServerError"):
            post(house)

        assert house.queues.calls == []


class TestReading:
    def test_a_request_shows_its_messages_in_their_order(self, house: House) -> None:
        post(house, to=[f"+88691234567{place}" for place in range(9)] + ["+886912345600", "+886912345601"])

        answer = house.api().request("order-17")

        assert (answer.status, answer.body["id"]) == (200, "order-17")
        places = [int(each["message_id"].rpartition("-")[2]) for each in answer.body["messages"]]
        assert places == list(range(1, 12))
        assert "rejected" not in answer.body

    def test_a_refused_request_shows_what_was_wrong(self, house: House) -> None:
        house.handle(record("{", name="q9"))

        answer = house.api().request("q9")

        assert answer.body["messages"] == []
        (rejected,) = answer.body["rejected"]
        assert rejected["reason"]["code"] == "invalid_request"
        assert rejected["problems"][0]["field"] == "body"

    def test_a_message_shows_how_it_came_where_it_is(self, house: House) -> None:
        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/send", "ERR country")
        house.handle(record({**REQUEST, **ALL_IN}))
        house.receive("castello", "t0ken-of-the-account", "status=there&ref=ref1&to=%2B886912345678")

        answer = house.api().message(house.one().message_id)

        assert answer.status == 200
        body = answer.body
        assert {name: body[name] for name in ("request_id", "to", "status", "final", "provider", "provider_ref")} == {
            "request_id": "order-17",
            "to": "+886912345678",
            "status": "delivered",
            "final": True,
            "provider": "castello",
            "provider_ref": "ref1",
        }
        assert (body["label"], body["context"]) == ("Autumn", {"order": "17"})
        assert (body["parts"], body["points"]) == (1, 1)
        assert [(each["provider"], each["outcome"]) for each in body["attempts"]] == [
            ("plainline", "refused"),
            ("castello", "accepted"),
        ]
        assert body["attempts"][0]["reason"]["code"] == "country_not_enabled"
        changes = [(each["previous"], each["status"]) for each in body["timeline"] if each["kind"] == "status"]
        assert changes == [(None, "accepted"), ("accepted", "sending"), ("sending", "sent"), ("sent", "delivered")]
        assert body["accepted_at"] == "2026-11-20T04:00:00.000000Z"

    def test_a_waiting_message_says_why_and_until_when(self, house: House) -> None:
        house.wire.say("/send", "ERR credit")
        house.handle(record())

        body = house.api().message(house.one().message_id).body

        assert (body["status"], body["reason"]["code"]) == ("accepted", "credit_exhausted")
        assert body["next_attempt_at"] == "2026-11-20T04:05:00.000000Z"

    @pytest.mark.parametrize(
        "message_id", ["", "nonsense", "../x", f"{request_hash('order-17')}-2", f"{request_hash('order-17')}-0", "\0"]
    )
    def test_an_unknown_message_is_404(self, house: House, message_id: str) -> None:
        post(house)

        assert house.api().message(message_id).status == 404
        assert house.cancellations().message(message_id).status == 404

    @pytest.mark.parametrize("request_id", ["", "order-18", "order-1", "🔑", "half \ud83d"])
    def test_an_unknown_request_is_404(self, house: House, request_id: str) -> None:
        post(house)

        assert house.api().request(request_id).status == 404
        assert house.cancellations().request(request_id).status == 404


class TestByNumber:
    def messages(self, house: House, count: int) -> list[str]:
        """Ids of messages to one number, the newest first."""
        for place in range(count):
            house.now = NOON + timedelta(seconds=place)
            post(house, id=f"order-{place}")
        return [house.one(f"order-{place}").message_id for place in reversed(range(count))]

    @pytest.mark.parametrize("number", ["+886912345678", " 886912345678", "0912345678", "0912-345-678"])
    def test_a_number_is_found_however_it_is_written(self, house: House, number: str) -> None:
        post(house)
        post(house, id="order-18", to="+886912345679")

        answer = house.api().messages_to(number, None)

        assert answer.status == 200
        assert [each["request_id"] for each in answer.body["messages"]] == ["order-17"]
        assert answer.body["cursor"] is None

    def test_the_newest_come_first_in_pages_that_the_cursor_leads_through(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("smsgate.api.PAGE", 3)
        expected = self.messages(house, 8)
        pages = []
        cursor: str | None = None

        while True:
            body = house.api().messages_to("0912345678", cursor).body
            pages.append([each["message_id"] for each in body["messages"]])
            cursor = body["cursor"]
            if cursor is None:
                break

        assert [len(page) for page in pages] == [3, 3, 2]
        assert [message_id for page in pages for message_id in page] == expected
        assert PAGE == 50

    def test_replies_are_no_messages(self, house: House) -> None:
        house.wire.say("/replies", "1|+886912345678|yes")
        house.reconcile()

        assert house.api().messages_to("0912345678", None).body["messages"] == []

    @pytest.mark.parametrize("number", [None, "", "abc", "123", "+886912345678,+886912345679", "from:+886912345678"])
    def test_what_is_no_number_is_400_and_named(self, house: House, number: str | None) -> None:
        answer = house.api().messages_to(number, None)

        assert answer.status == 400
        assert answer.body["problems"][0]["field"] == "to"
        assert number is None or len(number) < 4 or number not in json.dumps(answer.body)

    def cursor(self, house: House, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        monkeypatch.setattr("smsgate.api.PAGE", 1)
        self.messages(house, 2)
        cursor = house.api().messages_to("0912345678", None).body["cursor"]
        opened: dict[str, str] = json.loads(base64.urlsafe_b64decode(cursor + "=="))
        return opened

    @pytest.mark.parametrize(
        "change",
        [
            {"to": "+886912345679"},
            {"to": "from:+886912345678"},
            {"pk": ""},
            {"pk": "provider#plainline"},
            {"pk": 5},
            {"pk": ["a"]},
            {"sk": "m#0"},
            {"sk": "credit"},
            {"sk": None},
            {"accepted_at": ""},
            {"accepted_at": "yesterday"},
            {"accepted_at": 5},
            {"accepted_at": "2026-11-20"},
            {"more": "x"},
        ],
    )
    def test_a_cursor_that_was_changed_is_400(
        self, house: House, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
    ) -> None:
        opened = self.cursor(house, monkeypatch)
        changed = base64.urlsafe_b64encode(json.dumps({**opened, **change}).encode()).decode().rstrip("=")

        answer = house.api().messages_to("0912345678", changed)

        assert answer.status == 400
        assert answer.body["problems"][0]["field"] == "cursor"

    @pytest.mark.parametrize("cursor", ["x", "e30", "W10", "bnVsbA", "NQ", "🔑", "=", "W1tb" * 2000, "a b", "{}"])
    def test_a_cursor_that_was_made_up_is_400(self, house: House, cursor: str) -> None:
        assert house.api().messages_to("0912345678", cursor).status == 400

    def test_a_cursor_is_good_for_its_own_number_alone(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("smsgate.api.PAGE", 1)
        self.messages(house, 2)
        cursor = house.api().messages_to("0912345678", None).body["cursor"]

        assert house.api().messages_to("0912345678", cursor).status == 200
        assert house.api().messages_to("0912345679", cursor).status == 400
