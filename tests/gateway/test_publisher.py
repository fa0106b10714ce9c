"""What changes in the table reaches the bus: each change once, in order, in the words of the contract, nothing else."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator

from smsgate import lifecycle
from smsgate.attributes import to_wire
from smsgate.ledger import Ledger
from smsgate.messages import Message, Reply, Report
from smsgate.outcomes import Accepted, Refused
from smsgate.publisher import Publisher
from smsgate.reasons import Code, Reason
from smsgate.requests import InvalidRequest, Problem
from smsgate.status import Status
from smsgate.suspension import Suspensions
from tests.gateway.bus import Bus, Stream, Topic
from tests.gateway.conftest import TABLE
from tests.gateway.examples import MINUTE, NOON, SECOND, WATCH, message
from tests.gateway.house import Counts, House

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

SCHEMA = Path(__file__).parents[2] / "schemas" / "events.schema.json"
EVENT = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))

STATUS_FIELDS = (
    "version",
    "message_id",
    "request_id",
    "to",
    "status",
    "previous",
    "final",
    "revised",
    "reason",
    "provider",
    "provider_ref",
    "parts",
    "points",
    "at",
    "label",
    "context",
)
REPLY_FIELDS = ["version", "reply_id", "from", "text", "at", "provider", "message_id", "request_id", "match"]
CREDIT_FIELDS = ["version", "provider", "credit", "threshold", "hours_left", "at"]
PROVIDER_FIELDS = ["version", "provider", "reason", "at"]


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def publisher(bus: Bus, topic: Topic) -> Publisher:
    return Publisher("the-bus", "the-topic", cast("EventBridgeClient", bus), lambda: cast("SNSClient", topic))


@pytest.fixture
def stream(dynamodb: DynamoDBClient) -> Stream:
    return Stream(dynamodb)


def claimed() -> Message:
    return lifecycle.claim(message(label="Autumn", context=(("order", "17"),)), "plainline", NOON, NOON + MINUTE, 1)


def sent() -> Message:
    return lifecycle.settle(claimed(), 1, Accepted("ref1", Decimal("2.5")), NOON + SECOND, WATCH)


def is_suspension(record: dict[str, Any]) -> bool:
    return bool(record["dynamodb"]["NewImage"]["sk"]["S"] == "suspension")


def inserted(number: str, **fields: Any) -> dict[str, Any]:
    return {"eventID": number, "dynamodb": {"SequenceNumber": number, "NewImage": to_wire(fields)}}


def suspension(number: str, provider: str = "plainline", version: int = 1) -> dict[str, Any]:
    return inserted(
        number,
        pk=f"provider#{provider}",
        sk="suspension",
        reason={"code": "credit_exhausted"},
        active=True,
        at="2026-11-20T04:00:00.000000Z",
        version=version,
    )


def saying(number: str, message_id: str, label: str = "") -> dict[str, Any]:
    """The record of a message that was accepted."""
    moment = {"at": "2026-11-20T04:00:00.000000Z", "kind": "status", "status": "accepted"}
    fields = {"message_id": message_id, "request_id": "r", "to": "+886912345678", "label": label or None}
    return inserted(number, pk=message_id[:24], sk="m#1", timeline=[moment], **fields)


class TestAMessage:
    def test_tells_each_change_of_one_write_in_the_order_of_its_timeline(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        records = stream.after(lambda: ledger.save(sent()))

        assert publisher.handle(records) is None

        told = bus.details("Message Status Changed")
        assert [(each["previous"], each["status"]) for each in told] == [
            (None, "accepted"),
            ("accepted", "sending"),
            ("sending", "sent"),
        ]

    def test_tells_only_what_is_new_in_a_later_write(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        ledger.save(sent())
        told = Report(Status.DELIVERED, None, "there", to="+886912345678", provider_ref="ref1")
        records = stream.after(
            lambda: ledger.change(message().message_id, lambda m: lifecycle.report(m, told, NOON + MINUTE, WATCH))
        )

        publisher.handle(records)

        (event,) = bus.details("Message Status Changed")
        assert (event["previous"], event["status"], event["final"]) == ("sent", "delivered", True)
        assert event["at"] == "2026-11-20T04:01:00.000000Z"

    def test_is_told_in_exactly_the_fields_of_the_contract_and_an_id(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        publisher.handle(stream.after(lambda: ledger.save(sent())))

        for event in bus.events:
            EVENT.validate(event)
            assert sorted(event["detail"]) == sorted([*STATUS_FIELDS, "event_id"])
        last = bus.events[-1]
        assert last["source"] == "smsgate"
        assert {name: last["detail"][name] for name in ("to", "provider", "provider_ref", "parts", "points")} == {
            "to": "+886912345678",
            "provider": "plainline",
            "provider_ref": "ref1",
            "parts": 1,
            "points": 2.5,
        }
        assert (last["detail"]["label"], last["detail"]["context"]) == ("Autumn", {"order": "17"})
        assert {entry["EventBusName"] for call in bus.calls for entry in call} == {"the-bus"}

    def test_never_tells_its_text(self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger) -> None:
        records = stream.after(lambda: ledger.save(sent()))
        assert "123456" in json.dumps(records), "the text lies in the table"

        publisher.handle(records)

        assert "123456" not in json.dumps(bus.calls).replace("+886912345678", "")
        assert "您的驗證碼" not in json.dumps(bus.calls, ensure_ascii=False)

    def test_tells_the_reason_of_each_change_with_whose_fault_it_is(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        refusal = Refused(Reason(Code.INVALID_NUMBER, "-7", "bad number"))
        refused = lifecycle.settle(claimed(), 1, refusal, NOON, WATCH)

        publisher.handle(stream.after(lambda: ledger.save(refused)))

        assert bus.details("Message Status Changed")[-1]["reason"] == {
            "code": "invalid_number",
            "fault": "recipient",
            "permanent": True,
            "provider_code": "-7",
            "provider_text": "bad number",
        }

    def test_says_revised_when_better_evidence_changed_a_final_status(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        lost = lifecycle.lapse(claimed(), NOON + timedelta(hours=1))
        ledger.save(lost)
        told = Report(Status.DELIVERED, None, "there")
        records = stream.after(
            lambda: ledger.change(lost.message_id, lambda m: lifecycle.report(m, told, NOON + MINUTE, WATCH))
        )

        publisher.handle(records)

        (event,) = bus.details("Message Status Changed")
        assert (event["previous"], event["status"], event["revised"]) == ("doubtful", "delivered", True)

    def test_tells_nothing_where_its_status_did_not_change(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        ledger.save(sent())
        records = stream.after(
            lambda: ledger.change(message().message_id, lambda m: lifecycle.checked(m, NOON + MINUTE, WATCH))
        )
        assert len(records) == 1

        publisher.handle(records)

        assert bus.calls == []

    def test_tells_the_same_ids_when_the_batch_comes_again(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        records = stream.after(lambda: ledger.save(claimed()), lambda: ledger.change(message().message_id, _settled))

        publisher.handle(records)
        publisher.handle(records)

        first, second = bus.ids[: len(bus.ids) // 2], bus.ids[len(bus.ids) // 2 :]
        assert first == second
        assert len(set(first)) == len(first) == 3


class TestOtherItems:
    def test_a_rejected_request_tells_its_problems_and_names_no_message(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        problems = (Problem("to", "is empty"), Problem("txt", "is no field; did you mean text?"))
        rejected = InvalidRequest("order-17", problems)
        records = stream.after(
            lambda: ledger.reject_request(rejected, Code.INVALID_REQUEST, NOON),
            lambda: ledger.reject_request(rejected, Code.INVALID_REQUEST, NOON + MINUTE),
        )

        publisher.handle(records)

        (event,) = bus.events
        EVENT.validate(event)
        detail = event["detail"]
        assert sorted(detail) == sorted([*STATUS_FIELDS, "event_id", "problems"])
        assert (detail["status"], detail["final"], detail["message_id"], detail["to"]) == ("rejected", True, None, None)
        assert detail["request_id"] == "order-17"
        assert detail["problems"] == [problem.as_json() for problem in problems]
        assert detail["reason"]["code"] == "invalid_request"

    def test_a_reply_is_told_once_with_its_text_and_the_message_it_answers(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        reply = Reply("plainline", "seq1", "+886912345678", "好的")
        records = stream.after(
            lambda: ledger.keep_reply(reply, message().message_id, "order-17", "likely", NOON),
            lambda: ledger.keep_reply(reply, message().message_id, "order-17", "likely", NOON + MINUTE),
        )

        publisher.handle(records)

        (event,) = bus.events
        EVENT.validate(event)
        assert event["detail-type"] == "Reply Received"
        assert sorted(event["detail"]) == sorted([*REPLY_FIELDS, "event_id"])
        assert (event["detail"]["from"], event["detail"]["text"]) == ("+886912345678", "好的")

    def test_a_reply_to_nothing_of_ours_names_no_message(
        self, publisher: Publisher, bus: Bus, stream: Stream, ledger: Ledger
    ) -> None:
        reply = Reply("plainline", "seq1", "+886912345678", "STOP")

        publisher.handle(stream.after(lambda: ledger.keep_reply(reply, None, None, "none", NOON)))

        EVENT.validate(bus.events[0])

    def test_credit_is_low_once_and_recovered_once_per_crossing_and_both_are_alerts(
        self, publisher: Publisher, bus: Bus, topic: Topic, stream: Stream, house: House
    ) -> None:
        house.thresholds = {"plainline": Decimal(100)}
        house.wire.say("/credit", "500", "99.5", "80", "70", "100", "300", "3")

        records = stream.after(*[lambda: house.credits().handle() for _ in range(7)])
        assert publisher.handle(records) is None

        assert [detail["credit"] for detail in bus.details("Credit Measured")] == [500, 99.5, 80, 70, 100, 300, 3]
        assert [detail["credit"] for detail in bus.details("Credit Low")] == [99.5, 3]
        assert [detail["credit"] for detail in bus.details("Credit Recovered")] == [100]
        for event in bus.events:
            EVENT.validate(event)
            assert sorted(event["detail"]) == sorted([*CREDIT_FIELDS, "event_id"])
        assert [alert["Subject"] for alert in topic.alerts] == [
            "smsgate: Credit Low: plainline",
            "smsgate: Credit Recovered: plainline",
            "smsgate: Credit Low: plainline",
        ]
        assert {alert["TopicArn"] for alert in topic.alerts} == {"the-topic"}
        assert len(set(bus.ids)) == len(bus.ids)

    def test_credit_that_nobody_watches_any_more_has_not_recovered(
        self, publisher: Publisher, bus: Bus, topic: Topic, stream: Stream, house: House
    ) -> None:
        house.thresholds = {"plainline": Decimal(100)}
        house.wire.say("/credit", "50", "50")
        before = stream.after(lambda: house.credits().handle())
        house.thresholds = {}

        publisher.handle([*before, *stream.after(lambda: house.credits().handle())])

        assert [event["detail-type"] for event in bus.events] == ["Credit Measured", "Credit Low", "Credit Measured"]
        assert len(topic.alerts) == 1

    def test_what_a_worker_holds_of_the_credit_is_no_measurement(
        self, publisher: Publisher, bus: Bus, stream: Stream, house: House
    ) -> None:
        house.enabled = ("castello",)
        house.wire.say("/credit", "50")
        house.credits().handle()
        purse = house.balance().purse(10)

        records = stream.after(lambda: purse.pays("castello", Decimal(1)), lambda: purse.close(may_ask=False))
        publisher.handle(records)

        assert len(records) == 2
        assert bus.calls == []

    def test_numbers_are_json_numbers_whole_ones_without_a_point(
        self, publisher: Publisher, bus: Bus, stream: Stream, house: House
    ) -> None:
        house.wire.say("/credit", "500.00")

        publisher.handle(stream.after(lambda: house.credits().handle()))

        assert '"credit": 500,' in bus.calls[0][0]["Detail"]

    def test_a_suspension_is_told_once_however_many_notice_it_and_its_end_once(
        self, publisher: Publisher, bus: Bus, topic: Topic, stream: Stream, house: House
    ) -> None:
        suspensions = Suspensions(house.ledger, house.clock)
        reason = Reason(Code.CREDIT_EXHAUSTED, "00012")

        def noticed_again() -> None:
            house.later(minutes=1)
            suspensions.suspend("plainline", reason, "v1")

        def tried_again() -> None:
            house.later(minutes=6)
            assert suspensions.take_trial("plainline", "v1")

        records = stream.after(
            lambda: suspensions.suspend("plainline", reason, "v1"),
            noticed_again,
            tried_again,
            lambda: suspensions.worked("plainline"),
        )
        assert len([record for record in records if is_suspension(record)]) == 4
        publisher.handle(records)

        assert [event["detail-type"] for event in bus.events] == ["Provider Suspended", "Provider Resumed"]
        for event in bus.events:
            EVENT.validate(event)
            assert sorted(event["detail"]) == sorted([*PROVIDER_FIELDS, "event_id"])
            assert event["detail"]["reason"]["code"] == "credit_exhausted"
        assert len(topic.alerts) == 2

    def test_a_suspension_for_another_reason_is_told_as_one_of_its_own(
        self, publisher: Publisher, bus: Bus, topic: Topic, stream: Stream, house: House
    ) -> None:
        suspensions = Suspensions(house.ledger, house.clock)
        codes = [Code.NO_REPLY, Code.PROVIDER_UNREACHABLE, Code.BAD_CREDENTIALS]

        def noticed(code: Code) -> None:
            house.later(minutes=1)
            suspensions.suspend("plainline", Reason(code), "v1")

        publisher.handle(stream.after(*(partial(noticed, code) for code in codes)))

        told = [(event["detail-type"], event["detail"]["reason"]["code"]) for event in bus.events]
        assert told == [("Provider Suspended", "no_reply"), ("Provider Suspended", "bad_credentials")]
        assert len(topic.alerts) == 2

    def test_a_provider_that_comes_and_goes_all_night_fills_the_bus_but_nobodys_mailbox(
        self, publisher: Publisher, bus: Bus, topic: Topic, stream: Stream, house: House
    ) -> None:
        suspensions = Suspensions(house.ledger, house.clock)

        def suspended() -> None:
            house.later(minutes=3)
            suspensions.suspend("plainline", Reason(Code.NO_REPLY), "v1")

        def resumed() -> None:
            house.later(minutes=5)
            assert suspensions.take_trial("plainline", "v1")
            suspensions.worked("plainline")

        publisher.handle(stream.after(*[suspended, resumed] * 20))

        assert [event["detail-type"] for event in bus.events] == ["Provider Suspended", "Provider Resumed"] * 20
        alerted = [json.loads(alert["Message"]) for alert in topic.alerts]
        place = {event["detail"]["event_id"]: place for place, event in enumerate(bus.events)}
        assert [place[alert["event_id"]] // 2 + 1 for alert in alerted] == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]

    def test_messages_replies_and_measurements_alert_nobody(
        self, publisher: Publisher, topic: Topic, stream: Stream, house: House
    ) -> None:
        reply = Reply("plainline", "seq1", "+886912345678", "好的")
        house.wire.say("/credit", "500")

        records = stream.after(
            lambda: house.ledger.save(sent()),
            lambda: house.ledger.keep_reply(reply, None, None, "none", NOON),
            lambda: house.credits().handle(),
        )
        publisher.handle(records)

        assert topic.alerts == []

    def test_what_the_end_of_retention_deletes_tells_nothing(
        self,
        publisher: Publisher,
        bus: Bus,
        stream: Stream,
        ledger: Ledger,
        dynamodb: DynamoDBClient,
        counts: Counts,
    ) -> None:
        ledger.save(sent())
        key = {"pk": message().message_id.rpartition("-")[0], "sk": "m#1"}
        records = stream.after(lambda: dynamodb.delete_item(TableName=TABLE, Key=to_wire(key)))
        assert [record["eventName"] for record in records] == ["REMOVE"]

        assert publisher.handle(records) is None

        assert bus.calls == []
        assert counts["StreamRecordPassedOver"] == 0

    def test_a_reply_or_rejection_that_is_written_again_tells_nothing(
        self, publisher: Publisher, bus: Bus, stream: Stream, counts: Counts
    ) -> None:
        reply = to_wire({"pk": "reply#a", "sk": "reply", "reply_id": "a"})
        rejected = to_wire({"pk": "a", "sk": "rejected#b", "request_id": "a"})

        assert publisher.handle([stream.record(OldImage=item, NewImage=item) for item in (reply, rejected)]) is None

        assert bus.calls == []
        assert counts["StreamRecordPassedOver"] == 0

    def test_items_of_other_kinds_tell_nothing(
        self,
        publisher: Publisher,
        bus: Bus,
        stream: Stream,
        house: House,
        dynamodb: DynamoDBClient,
        counts: Counts,
    ) -> None:
        stranger = to_wire({"pk": "of a later version", "sk": "unheard-of", "status": "sent"})

        records = stream.after(
            lambda: house.ledger.link("plainline", "ref1", sent()),
            lambda: house.ledger.find("plainline", "ref2", "+886912345678", "callback#1", NOON),
            lambda: house.receive("plainline", "t0ken-of-the-account", "status=there&ref=unknown&to=%2B886912345678"),
            lambda: house.ledger.set_provider_state("plainline", "session", {"session": "abc"}, 0),
            lambda: dynamodb.put_item(TableName=TABLE, Item=stranger),
        )
        assert len(records) >= 5
        assert publisher.handle(records) is None

        assert bus.calls == []
        assert counts["StreamRecordPassedOver"] == 0


class TestTrouble:
    def test_entries_the_bus_refused_and_no_others_are_put_again_in_order(self, publisher: Publisher, bus: Bus) -> None:
        bus.refuses = [{1, 3}, {0}]
        records = [saying(str(n), f"abcdefghijklmnopqrstuvw{n}-1") for n in range(2, 7)]

        assert publisher.handle(records) is None

        assert [len(call) for call in bus.calls] == [5, 2, 1]
        again = [json.loads(entry["Detail"])["message_id"][-3] for entry in bus.calls[1]]
        assert again == ["3", "5"]
        assert sorted(bus.ids) == sorted({f"abcdefghijklmnopqrstuvw{n}-1.0" for n in range(2, 7)})

    def test_an_entry_that_is_refused_every_time_gives_the_number_of_its_record(
        self, publisher: Publisher, bus: Bus, counts: Counts
    ) -> None:
        bus.refuses = [{2}, {0}, {0}, {0}]
        records = [saying(str(n), f"abcdefghijklmnopqrstuvw{n}-1") for n in range(2, 7)]

        assert publisher.handle(records) == "4"

        assert len(bus.calls) == 3
        assert counts["EventsNotPublished"] == 1

    def test_a_bus_that_cannot_be_reached_gives_the_number_of_the_first_record_and_the_next_try_tells_all(
        self, publisher: Publisher, bus: Bus
    ) -> None:
        bus.breaks = 1
        records = [saying(str(n), f"abcdefghijklmnopqrstuvw{n}-1") for n in range(2, 7)]

        assert publisher.handle(records) == "2"
        assert publisher.handle(records) is None

        assert len(bus.events) == 5

    def test_a_bus_that_breaks_half_way_gives_the_number_of_the_first_record_not_told(
        self, publisher: Publisher, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records = [saying(str(n), f"abcdefghijklmnopqrstu{n}-1") for n in range(101, 126)]
        whole = bus.put_events

        def put_events(Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            bus.breaks = len(bus.calls) == 1
            return whole(Entries)

        monkeypatch.setattr(bus, "put_events", put_events)

        assert publisher.handle(records) == "111"

        assert len(bus.events) == 10

    def test_an_alert_that_cannot_be_published_brings_its_record_again_but_not_the_alerts_before_it(
        self, publisher: Publisher, topic: Topic
    ) -> None:
        records = [suspension("1", "plainline"), suspension("2", "castello")]
        whole = topic.publish

        def publish(**alert: str) -> None:
            topic.breaks = len(topic.alerts) == 1
            whole(**alert)

        topic.publish = publish  # type: ignore[method-assign]

        assert publisher.handle(records) == "2"
        topic.publish = whole  # type: ignore[method-assign]
        assert publisher.handle(records[1:]) is None

        assert [alert["Subject"].split()[-1] for alert in topic.alerts] == ["plainline", "castello"]

    def test_a_batch_goes_in_calls_of_ten_in_order(self, publisher: Publisher, bus: Bus) -> None:
        records = [saying(str(n), f"abcdefghijklmnopqrstu{n}-1") for n in range(101, 126)]

        assert publisher.handle(records) is None

        assert [len(call) for call in bus.calls] == [10, 10, 5]
        assert bus.ids == [f"abcdefghijklmnopqrstu{n}-1.0" for n in range(101, 126)]

    def test_a_call_stays_below_what_the_bus_takes_at_once(self, publisher: Publisher, bus: Bus) -> None:
        # 60,000 characters of three bytes each: one goes, two do not.
        records = [saying(str(n), f"abcdefghijklmnopqrstuvw{n}-1", label="字" * 60_000) for n in range(2, 6)]

        assert publisher.handle(records) is None

        assert [len(call) for call in bus.calls] == [1, 1, 1, 1]
        assert max(sum(len(e["Detail"].encode()) for e in call) for call in bus.calls) <= 256 * 1024
        assert len(bus.ids) == 4

    @pytest.mark.parametrize(
        "poison",
        [
            {"eventID": "x"},
            {"eventID": "x", "dynamodb": {"SequenceNumber": "9", "NewImage": {"pk": {"S": "a"}}}},
            {"eventID": "x", "dynamodb": {"SequenceNumber": "9", "NewImage": {"sk": {"X": "a"}}}},
            inserted("9", pk="a", sk="m#1", message_id="a", timeline=[{"kind": "status", "status": "unheard-of"}]),
            inserted("9", pk="a", sk="reply"),
            inserted("9", pk="provider#x", sk="credit", credit=b"\0", low=False, at="", times=1, version=1),
            inserted("9", pk="provider#x", sk="suspension", active=True, version=1, at="", reason={"code": "odd"}),
            saying("9", "abcdefghijklmnopqrstuvwx-1", label="x" * 300_000),
        ],
        ids=["no images", "no sort key", "no type", "no status", "empty", "no number", "no code", "too large"],
    )
    def test_a_record_nobody_can_make_an_event_of_is_counted_and_holds_back_no_other(
        self, publisher: Publisher, bus: Bus, counts: Counts, poison: dict[str, Any]
    ) -> None:
        before, behind = saying("1", "abcdefghijklmnopqrstuvw2-1"), saying("10", "abcdefghijklmnopqrstuvw3-1")

        assert publisher.handle([before, poison, behind]) is None

        assert bus.ids == ["abcdefghijklmnopqrstuvw2-1.0", "abcdefghijklmnopqrstuvw3-1.0"]
        assert counts["StreamRecordPassedOver"] == 1

    def test_an_empty_batch_is_nothing_to_do(self, publisher: Publisher, bus: Bus) -> None:
        assert publisher.handle([]) is None

        assert bus.calls == []


def _settled(known: Message) -> Message:
    return lifecycle.settle(known, 1, Accepted("ref1"), NOON + SECOND, WATCH)
