"""The stop list: who gets onto it, who gets off, and that nothing does either twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgate import lifecycle
from smsgate.ledger import Contended, Ledger
from smsgate.messages import Kind, Message, Reply, Report
from smsgate.outcomes import Accepted
from smsgate.reasons import Code, Reason
from smsgate.routing_document import read
from smsgate.status import Status
from smsgate.suppression import HISTORY, SUPPRESSED, Source, Suppressions
from tests.gateway.conftest import TABLE
from tests.gateway.examples import NOON, UNTIL, WATCH, message
from tests.gateway.house import Counts, House, fails, record, wake_up
from tests.gateway.plainline import not_sent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PHONE = "+886912345678"
OTHER = "+886912345679"
NUMBERS = count()  # a fresh one for each example
REFUSED = Report(
    Status.UNDELIVERED,
    Reason(Code.BLOCKED_BY_RECIPIENT, provider_code="UNWANTED"),
    "UNWANTED",
    provider_ref="77",
    to=PHONE,
    unwanted=True,
)


def says(house: House, text: str, key: str, **fields: Any) -> bool:
    given: dict[str, Any] = {"provider": "plainline", "sender": PHONE}
    return house.conversation().receive(Reply(**{**given, "key": key, "text": text, **fields}))


def sources(house: House, number: str = PHONE) -> list[Source]:
    return [stop.source for stop in house.suppressions.read(number).stops]


def listed(house: House) -> bool:
    return house.suppressions.find([PHONE]) == {PHONE}


def taken(house: House, provider: str = "plainline") -> Message:
    """A message that a provider took."""
    sent = house.ledger.save(lifecycle.claim(message(), provider, NOON, UNTIL)).message
    sent = house.ledger.change_from(sent, lambda m: lifecycle.settle(m, 1, Accepted("77"), NOON, WATCH))
    house.ledger.link(provider, "77", sent)
    return sent


class TestByThePhone:
    def test_a_stop_word_puts_the_number_on_the_list_for_every_provider_and_is_a_reply_too(self, house: House) -> None:
        kept = says(house, "STOP.", "1")

        assert kept
        assert listed(house)
        (stop,) = house.suppressions.read(PHONE).stops
        assert (stop.source, stop.since, stop.why, stop.provider) == (Source.REPLY, NOON, "stop", "plainline")
        (reply,) = house.ledger.replies_from(PHONE, None, 10).items
        assert (reply["text"], reply["reply_id"]) == ("STOP.", stop.evidence)

    def test_an_answer_leaves_the_list_alone(self, house: House) -> None:
        says(house, "please stop sending the wrong parcel", "1")

        assert house.suppressions.read(PHONE).version == 0

    def test_a_start_word_takes_it_off_again(self, house: House) -> None:
        says(house, "退訂", "1")
        house.later(hours=1)

        says(house, "訂閱", "2")

        assert not listed(house)
        changes = house.suppressions.read(PHONE).history
        assert [(change.at, change.change, change.why) for change in changes] == [
            (NOON, "added", "退訂"),
            (NOON + timedelta(hours=1), "lifted", "訂閱"),
        ]

    def test_a_start_word_from_whom_nobody_stopped_is_an_answer_like_any_other(self, house: House) -> None:
        says(house, "START", "1")

        assert house.suppressions.read(PHONE).version == 0

    def test_it_lifts_only_what_a_stop_word_did(self, house: House) -> None:
        house.suppressions.put(PHONE, "a lawyer's letter")
        house.suppressions.refused("plainline", message(), "UNWANTED")
        says(house, "STOP", "1")

        says(house, "START", "2")

        assert sources(house) == [Source.OPERATOR, Source.PROVIDER]
        assert listed(house)

    def test_a_stop_word_that_is_said_again_changes_nothing_but_what_shows_it(self, house: House) -> None:
        says(house, "STOP", "1")
        house.later(days=1)

        says(house, "退訂", "2")

        known = house.suppressions.read(PHONE)
        assert [(stop.since, stop.why) for stop in known.stops] == [(NOON, "退訂")]
        assert len(known.history) == 1

    def test_a_reply_that_comes_again_after_a_start_stops_nobody(self, house: House) -> None:
        says(house, "STOP", "1")
        says(house, "START", "2")
        version = house.suppressions.read(PHONE).version

        again = [says(house, "STOP", "1"), says(house, "START", "2"), says(house, "STOP", "1")]

        assert again == [False, False, False]
        assert not listed(house)
        assert house.suppressions.read(PHONE).version == version

    def test_a_reply_that_comes_again_after_the_operator_took_the_number_off_stops_nobody(self, house: House) -> None:
        says(house, "STOP", "1")
        house.suppressions.lift(PHONE)

        says(house, "STOP", "1")

        assert not listed(house)

    def test_where_the_list_cannot_be_written_the_reply_is_not_stored_either_so_that_it_is_told_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "set_suppression", fails)
            with pytest.raises(ClientError):
                says(house, "STOP", "1")

        says(house, "STOP", "1")

        assert listed(house)
        assert len(house.ledger.replies_from(PHONE, None, 10).items) == 1

    def test_a_worker_lost_between_list_and_reply_does_the_same_again_and_undoes_no_start(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "keep_reply", fails)
            with pytest.raises(ClientError):
                says(house, "STOP", "1")
        says(house, "START", "2")

        says(house, "STOP", "1")

        assert not listed(house)

    def test_nor_does_a_start_that_is_done_again_undo_a_newer_stop(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        says(house, "STOP", "1")
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "keep_reply", fails)
            with pytest.raises(ClientError):
                says(house, "START", "2")
        says(house, "STOP", "3")

        says(house, "START", "2")

        assert listed(house)

    def test_an_old_stop_that_comes_late_counts_when_it_comes(self, house: House) -> None:
        """In doubt nothing is sent: the person can say start again, but cannot take a message back."""
        says(house, "START", "2", provider_time="20261120115900")

        says(house, "STOP", "1", provider_time="20261119230000")

        assert listed(house)

    @pytest.mark.parametrize("time", ["20261120115900", "2026/11/20 11:59:00"])
    def test_a_start_that_its_provider_says_was_typed_before_the_stop_lifts_nothing(
        self, house: House, time: str
    ) -> None:
        says(house, "STOP", "2", provider_time="20261120120000")

        says(house, "START", "1", provider_time=time)

        assert listed(house)

    @pytest.mark.parametrize(
        ("stopped", "started"),
        [
            ({"provider_time": "20261120120000"}, {"provider_time": "20261120120000"}),
            ({"provider_time": "20261120120000"}, {"provider_time": "20261120120001"}),
            ({"provider_time": "20261120120000"}, {"provider_time": "11:59"}),
            ({"provider_time": "20261120120000"}, {}),
            ({}, {"provider_time": "20261120115900"}),
            ({"provider_time": "20261120120000"}, {"provider_time": "20261120115900", "provider": "castello"}),
        ],
        ids=["same second", "later", "another form", "not told", "stop's not told", "another provider's clock"],
    )
    def test_else_the_start_that_is_heard_later_counts(
        self, house: House, stopped: dict[str, str], started: dict[str, str]
    ) -> None:
        says(house, "STOP", "1", **stopped)

        says(house, "START", "2", **started)

        assert not listed(house)

    def test_what_is_no_telephone_number_is_kept_and_not_listed(self, house: House, counts: Counts) -> None:
        kept = says(house, "STOP", "1", sender="0800-spam")

        assert kept
        assert counts["StopWordOfNobody"] == 1
        assert house.suppressions.read("0800-spam").version == 0

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    @given(st.lists(st.tuples(st.sampled_from(["STOP", "START", "ok"]), st.integers(0, 5)), max_size=12))
    def test_the_last_new_word_counts_whatever_is_repeated(self, house: House, said: list[tuple[str, int]]) -> None:
        number = f"+8869{next(NUMBERS):08}"
        heard: dict[str, str] = {}

        for text, which in said:
            key = f"{number}{text}{which}"
            assert says(house, text, key, sender=number) == (key not in heard)
            heard.setdefault(key, text)

        words = [text for text in heard.values() if text != "ok"]
        assert (number in house.suppressions.find([number])) == (words[-1:] == ["STOP"])


class TestByAProvider:
    def test_a_report_that_the_person_wants_nothing_puts_the_number_on_the_list(self, house: House) -> None:
        sent = taken(house)

        house.evidence.receive("plainline", REFUSED, "callback#1")

        (stop,) = house.suppressions.read(PHONE).stops
        assert (stop.source, stop.provider, stop.why) == (Source.PROVIDER, "plainline", "UNWANTED")
        assert stop.evidence == sent.message_id
        found = house.ledger.get(sent.message_id)
        assert found is not None
        assert (found.status, found.reason) == (Status.UNDELIVERED, REFUSED.reason)

    def test_so_does_one_that_was_faster_than_the_send_answer(self, house: House) -> None:
        sent = house.ledger.save(lifecycle.claim(message(), "plainline", NOON, UNTIL)).message
        receipt = "status=lost&ref=77&to=%2B886912345678&unwanted=yes"
        house.receive("plainline", "t0ken-of-the-account", receipt)
        unlisted = listed(house)

        house.evidence.link(sent, house.offers["plainline"], "77")

        assert not unlisted
        assert listed(house)

    def test_any_other_failure_does_not(self, house: House) -> None:
        taken(house)

        house.evidence.receive("plainline", replace(REFUSED, unwanted=False), "callback#1")

        assert not listed(house)

    def test_one_after_another_report_of_the_same_status_does_as_well(self, house: House) -> None:
        taken(house)
        house.evidence.receive("plainline", replace(REFUSED, unwanted=False, provider_code="LOST"), "callback#1")

        house.evidence.receive("plainline", REFUSED, "callback#2")

        assert sources(house) == [Source.PROVIDER]

    def test_the_same_report_again_does_not_undo_what_the_operator_did(self, house: House) -> None:
        taken(house)
        house.evidence.receive("plainline", REFUSED, "callback#1")
        house.suppressions.lift(PHONE)

        house.evidence.receive("plainline", REFUSED, "callback#1")

        assert not listed(house)

    def test_nor_does_it_long_after_when_the_history_has_forgotten(self, house: House) -> None:
        taken(house)
        house.evidence.receive("plainline", REFUSED, "callback#1")
        for _ in range(HISTORY):
            house.suppressions.lift(PHONE)
            house.suppressions.put(PHONE, None)
        house.suppressions.lift(PHONE)

        house.evidence.receive("plainline", REFUSED, "callback#1")

        assert not listed(house)

    def test_nor_does_one_whose_worker_was_lost_before_the_message_knew(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken(house)
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "save", fails)
            with pytest.raises(ClientError):
                house.evidence.receive("plainline", REFUSED, "callback#1")
        house.suppressions.lift(PHONE)

        house.evidence.receive("plainline", REFUSED, "callback#1")

        assert not listed(house)
        found = house.ledger.get(message().message_id)
        assert found is not None
        assert found.status is Status.UNDELIVERED

    def test_the_report_of_a_later_message_lists_it_again(self, house: House) -> None:
        house.suppressions.refused("plainline", message(), "UNWANTED")
        house.suppressions.lift(PHONE)

        house.suppressions.refused("plainline", message(message_id="abcdefghijklmnopqrstuvwx-2"), "UNWANTED")

        assert listed(house)

    def test_a_report_of_another_number_lists_neither(self, house: House) -> None:
        sent = taken(house)

        house.evidence.apply(sent, replace(REFUSED, to=OTHER))

        assert house.suppressions.find([PHONE, OTHER]) == frozenset()

    def test_where_the_list_cannot_be_written_the_report_is_not_noted_either(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken(house)
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "set_suppression", fails)
            with pytest.raises(ClientError):
                house.evidence.receive("plainline", REFUSED, "callback#1")

        house.evidence.receive("plainline", REFUSED, "callback#1")

        assert listed(house)

    def test_many_reports_of_one_number_write_once(self, house: House) -> None:
        for position in range(1, 20):
            house.suppressions.refused("plainline", message(message_id=f"abcdefghijklmnopqrstuvwx-{position}"), "X")

        assert house.suppressions.read(PHONE).version == 1


class TestByTheOperator:
    def test_the_operators_word_stands_until_the_operator_takes_it_back(self, house: House) -> None:
        house.suppressions.put(PHONE, "asked on the telephone")
        says(house, "START", "1")

        lifted = house.suppressions.lift(PHONE)

        assert lifted == {Source.OPERATOR}
        assert not listed(house)

    def test_taking_a_number_off_takes_every_reason_away(self, house: House) -> None:
        house.suppressions.put(PHONE, None)
        house.suppressions.refused("plainline", message(), "UNWANTED")
        says(house, "STOP", "1")

        lifted = house.suppressions.lift(PHONE)

        assert lifted == set(Source)
        assert sources(house) == []
        assert not listed(house)

    def test_a_number_that_is_not_on_it_cannot_be_taken_off(self, house: House) -> None:
        assert house.suppressions.lift(PHONE) == frozenset()
        assert house.suppressions.read(PHONE).version == 0

    def test_its_history_is_kept_short(self, house: House) -> None:
        for why in range(HISTORY):
            house.suppressions.put(PHONE, str(why))
            house.suppressions.lift(PHONE)

        history = house.suppressions.read(PHONE).history
        assert len(history) == HISTORY
        assert [change.why for change in history[-2:]] == [str(HISTORY - 1), "by the operator"]

    def test_who_is_on_it_is_never_forgotten_and_who_is_off_only_after_the_retention(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        house.suppressions.put(PHONE, None)
        house.suppressions.put(OTHER, None)
        house.suppressions.lift(OTHER)

        items = {item["pk"]["S"]: item for item in dynamodb.scan(TableName=TABLE)["Items"]}
        assert "expires" not in items[f"suppressed#{PHONE}"]
        ends = int(items[f"suppressed#{OTHER}"]["expires"]["N"])
        assert ends == int((NOON + timedelta(days=90)).timestamp())

    def test_put_at_once_by_many_workers_every_reason_is_kept(self, atomic_house: House) -> None:
        house = atomic_house
        acts: Sequence[Callable[[], object]] = [
            lambda: house.suppressions.put(PHONE, None),
            lambda: house.suppressions.refused("plainline", message(), "UNWANTED"),
            lambda: says(house, "STOP", "1"),
            lambda: says(house, "STOP", "1"),
        ]

        with ThreadPoolExecutor(len(acts)) as pool:
            for done in [pool.submit(act) for act in acts]:
                done.result()

        assert set(sources(house)) == set(Source)
        assert listed(house)
        assert len(house.ledger.replies_from(PHONE, NOON, 10).items) == 1


class TestSending:
    """What is on the list is refused before anything is spent."""

    OTPS = read('{"version": 1, "classes": [{"name": "otp", "labels": ["otp"], "transactional": true}]}', ["plainline"])

    def test_a_message_to_a_number_on_the_list_is_rejected_with_an_event_and_calls_nobody(self, house: House) -> None:
        house.suppressions.put(PHONE, None)

        failed = house.handle(record())

        refused = house.one()
        assert failed == []
        assert (refused.status, refused.reason) == (Status.REJECTED, SUPPRESSED)
        assert [moment.status for moment in refused.timeline if moment.kind is Kind.STATUS] == [Status.REJECTED]
        assert house.wire.requests == []

    def test_so_is_a_posted_one_once_it_is_looked_at(self, house: House) -> None:
        posted = house.api().post(json.dumps({"id": "order-17", "to": PHONE, "text": "hello"}).encode(), None)
        says(house, "STOP", "1")

        house.handle(wake_up(*house.queues.urgent))

        assert posted.status == 202
        assert (house.one().status, house.one().reason) == (Status.REJECTED, SUPPRESSED)
        assert house.wire.requests == []

    def test_only_the_recipient_who_is_on_it_is_refused(self, house: House) -> None:
        house.suppressions.put(PHONE, None)

        house.handle(record(to=[PHONE, OTHER]))

        assert [(each.to, each.status) for each in house.of()] == [(PHONE, Status.REJECTED), (OTHER, Status.SENT)]
        assert house.wire.accepted == [("plainline", OTHER)]

    def test_whoever_stops_while_a_message_waits_gets_it_no_more(self, house: House) -> None:
        house.wire.say("/send", not_sent())
        house.handle(record())
        says(house, "STOP", "1")
        house.later(hours=1)

        house.handle(wake_up(house.one().message_id))

        assert (house.one().status, house.one().reason) == (Status.REJECTED, SUPPRESSED)
        assert house.wire.accepted == []

    def test_whoever_starts_again_gets_the_next(self, house: House) -> None:
        says(house, "STOP", "1")
        says(house, "START", "2")

        house.handle(record())

        assert house.one().status is Status.SENT

    @pytest.mark.parametrize(
        ("label", "status"), [("otp", Status.SENT), ("autumn", Status.REJECTED), (None, Status.REJECTED)]
    )
    def test_a_class_that_is_marked_transactional_is_exempt_and_no_other(
        self, house: House, label: str | None, status: Status
    ) -> None:
        house.routing = self.OTPS
        house.suppressions.put(PHONE, None)
        says(house, "STOP", "1")

        house.handle(record({"id": "order-17", "to": PHONE, "text": "hello"} | ({"label": label} if label else {})))

        assert house.one().status is status

    def test_where_the_list_cannot_be_asked_nobody_is_called_and_the_record_comes_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(Ledger, "suppressed", fails)
            failed = house.handle(record())
        called = list(house.wire.requests)

        again = house.handle(record())

        assert (failed, called, again) == (["q1"], [], [])
        assert house.one().status is Status.SENT


class TestFinding:
    def test_of_many_numbers_those_on_the_list_are_found(self, house: House) -> None:
        numbers = [f"+88691{n:07}" for n in range(250)]
        for number in (numbers[0], numbers[99], numbers[100], numbers[249]):
            house.suppressions.put(number, None)
        house.suppressions.put(numbers[7], None)
        house.suppressions.lift(numbers[7])

        # One that is named twice would be refused by DynamoDB, and the whole call with it.
        found = house.suppressions.find([number for number in numbers for _ in range(2)])

        assert found == {numbers[0], numbers[99], numbers[100], numbers[249]}

    def test_of_none_nobody_is_asked(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house.ledger._client, "batch_get_item", fails)

        assert house.suppressions.find([]) == frozenset()

    def test_a_hundred_numbers_are_one_call_and_read_as_they_are_now(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[dict[str, Any]] = []
        whole = house.ledger._client.batch_get_item

        def batch_get_item(**request: Any) -> Any:
            asked.append(request["RequestItems"][TABLE])
            return whole(**request)

        monkeypatch.setattr(house.ledger._client, "batch_get_item", batch_get_item)

        house.suppressions.find([f"+88691{n:07}" for n in range(320)])

        assert [len(each["Keys"]) for each in asked] == [100, 100, 100, 20]
        assert all(each["ConsistentRead"] for each in asked)

    def test_what_a_throttled_table_left_is_asked_for_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.suppressions.put(PHONE, None)
        house.suppressions.put(OTHER, None)
        whole = house.ledger._client.batch_get_item

        def one_by_one(**request: Any) -> Any:
            asked = request["RequestItems"][TABLE]
            first, *left = asked["Keys"]
            alone: Any = {**asked, "Keys": [first]}
            answer = whole(RequestItems={TABLE: alone})
            return {**answer, "UnprocessedKeys": {TABLE: {**asked, "Keys": left}} if left else {}}

        monkeypatch.setattr(house.ledger._client, "batch_get_item", one_by_one)

        assert house.suppressions.find([PHONE, OTHER, "+886912345670"]) == {PHONE, OTHER}

    def test_where_the_table_never_gets_to_all_of_them_nobody_is_said_to_be_free(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(RequestItems: Any) -> Any:  # noqa: N803
            return {"Responses": {}, "UnprocessedKeys": RequestItems}

        monkeypatch.setattr(house.ledger._client, "batch_get_item", nothing)

        with pytest.raises(Contended):
            house.suppressions.find([PHONE])

    def test_where_the_table_cannot_be_asked_it_says_so(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house.ledger._client, "batch_get_item", fails)

        with pytest.raises(ClientError):
            house.suppressions.find([PHONE])

    def test_the_reason_is_the_contracts(self) -> None:
        assert SUPPRESSED.as_json()["code"] == "suppressed"
        assert SUPPRESSED.as_json()["fault"] == "recipient"
        assert SUPPRESSED.permanent


def test_no_number_shows_in_a_repr(house: House) -> None:
    known = house.suppressions.put(PHONE, "said it is " + PHONE)

    assert "912345678" not in repr(known)


def test_it_is_counted_once_when_a_number_gets_on_and_off(house: House, counts: Counts) -> None:
    house.suppressions.put(PHONE, None)
    house.suppressions.refused("plainline", message(), "UNWANTED")
    house.suppressions.lift(PHONE)
    house.suppressions.lift(PHONE)

    assert (counts["NumberSuppressed"], counts["SuppressionLifted"]) == (1, 1)


def test_a_number_that_never_stands_still_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "set_suppression", lambda *_: False)

    with pytest.raises(Contended):
        Suppressions(house.ledger, house.clock).put(PHONE, None)
