"""What became of messages is counted once for each change, by provider, as soon as the change is on the bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate import lifecycle, telemetry
from smsgate.attributes import to_wire
from smsgate.items import message_to_plain
from smsgate.messages import Kind, Message, Moment, OnDoubt, Report
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Refused
from smsgate.publisher import Publisher
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.bus import Bus, Topic
from tests.gateway.examples import MINUTE, NOON, SECOND, UNTIL, WATCH, message
from tests.gateway.house import Counts

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

Record = dict[str, Any]
UNREACHABLE = NotSent(Reason(Code.PROVIDER_UNREACHABLE))
SILENCE = MaybeSent(Reason(Code.NO_REPLY))


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def publisher(bus: Bus) -> Publisher:
    return Publisher("the-bus", "the-topic", cast("EventBridgeClient", bus), lambda: cast("SNSClient", Topic()))


@pytest.fixture
def durations(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, timedelta, str]]:
    told: list[tuple[str, timedelta, str]] = []
    monkeypatch.setattr(
        telemetry, "took", lambda name, duration, *, provider="": told.append((name, duration, provider))
    )
    return told


def record(number: int, new: Message, old: Message | None = None) -> Record:
    """What the stream says of a message that was written over another."""
    images = {"NewImage": image(new)} | ({"OldImage": image(old)} if old else {})
    return {"eventID": str(number), "dynamodb": {"SequenceNumber": str(number), **images}}


def image(known: Message) -> dict[str, Any]:
    pk, _, position = known.message_id.rpartition("-")
    return to_wire({"pk": pk, "sk": f"m#{position}", **message_to_plain(known, timedelta(days=90))})


def claimed(**fields: Any) -> Message:
    return lifecycle.claim(message(**fields), "plainline", NOON, UNTIL)


def sent(**fields: Any) -> Message:
    return lifecycle.settle(claimed(**fields), 1, Accepted("ref1"), NOON + SECOND, WATCH)


def reported(known: Message, status: Status, after: timedelta = MINUTE) -> Message:
    told = Report(status, None, status.value, to="+886912345678", provider_ref="ref1", provider_time="1")
    return lifecycle.report(known, told, NOON + after, WATCH)


def story(*states: Message) -> list[Record]:
    """A message as it was written, time after time."""
    return [record(n, new, old) for n, (old, new) in enumerate(zip((None, *states), states, strict=False))]


STORIES: dict[str, tuple[Sequence[Record], dict[tuple[str, str], float]]] = {
    "delivered": (
        story(claimed(), sent(), reported(sent(), Status.DELIVERED)),
        {("MessageAccepted", ""): 1, ("MessageSent", "plainline"): 1, ("MessageDelivered", "plainline"): 1},
    ),
    "undelivered": (
        story(sent(), reported(sent(), Status.UNDELIVERED)),
        {("MessageAccepted", ""): 1, ("MessageSent", "plainline"): 1, ("MessageUndelivered", "plainline"): 1},
    ),
    "refused by the provider": (
        story(claimed(), lifecycle.settle(claimed(), 1, Refused(Reason(Code.INVALID_NUMBER)), NOON, WATCH)),
        {("MessageAccepted", ""): 1, ("MessageRejected", "plainline"): 1},
    ),
    "refused by us": (
        story(lifecycle.reject(lifecycle.accept(message(), NOON), Reason(Code.SUPPRESSED), NOON)),
        {("MessageAccepted", ""): 1, ("MessageRejected", ""): 1},
    ),
    "doubtful, then evidence": (
        story(
            doubtful := lifecycle.settle(claimed(), 1, SILENCE, NOON + SECOND, WATCH),
            reported(doubtful, Status.DELIVERED),
        ),
        {("MessageAccepted", ""): 1, ("MessageDoubtful", "plainline"): 1, ("MessageDelivered", "plainline"): 1},
    ),
    "unconfirmed": (
        story(sent(), lifecycle.unconfirm(sent(), NOON + WATCH.length, WATCH)),
        {("MessageAccepted", ""): 1, ("MessageSent", "plainline"): 1, ("MessageUnconfirmed", "plainline"): 1},
    ),
    "parked after a call, for longer, and given up": (
        story(
            claimed(),
            waits := lifecycle.release(claimed(), 1, UNREACHABLE, NOON, NOON + MINUTE),
            longer := lifecycle.park(waits, UNREACHABLE.reason, NOON + MINUTE, NOON + 2 * MINUTE),
            lifecycle.give_up(longer, NOON + WATCH.length, WATCH),
        ),
        {("MessageAccepted", ""): 1, ("MessageParked", "plainline"): 1, ("MessageFailed", "plainline"): 1},
    ),
    "parked before any call, and expired": (
        story(
            parked := lifecycle.park(
                message(valid_for=60), Reason(Code.CREDIT_EXHAUSTED), NOON, NOON + MINUTE, provider="castello"
            ),
            lifecycle.expire(parked, NOON + MINUTE),
        ),
        {("MessageAccepted", ""): 1, ("MessageParked", "castello"): 1, ("MessageExpired", ""): 1},
    ),
    "in doubt, and sent again at once": (
        story(
            lifecycle.settle(claimed(on_doubt=OnDoubt.RESEND), 1, SILENCE, NOON + SECOND, WATCH),
        ),
        {("MessageAccepted", ""): 1},
    ),
    "scheduled and canceled": (
        story(scheduled := sent(send_at=NOON + 60 * MINUTE), lifecycle.cancel(scheduled, NOON + MINUTE)),
        {("MessageAccepted", ""): 1, ("MessageScheduled", "plainline"): 1, ("MessageCanceled", "plainline"): 1},
    ),
}


class TestCounts:
    @pytest.mark.parametrize(("records", "expected"), STORIES.values(), ids=STORIES)
    def test_what_became_of_a_message_is_counted_by_its_provider(
        self, publisher: Publisher, counts: Counts, records: Sequence[Record], expected: dict[tuple[str, str], float]
    ) -> None:
        assert publisher.handle(records) is None

        assert {key: value for key, value in counts.told.items() if key[0].startswith("Message")} == expected

    def test_every_final_status_has_a_story_here(self) -> None:
        told = {name for _, expected in STORIES.values() for name, _ in expected}

        assert told >= {f"Message{status.value.capitalize()}" for status in Status if status.is_final}

    def test_what_did_not_get_onto_the_bus_is_counted_by_the_try_that_brings_it_there(
        self, publisher: Publisher, bus: Bus, counts: Counts
    ) -> None:
        records = story(claimed(), sent(), reported(sent(), Status.DELIVERED))
        bus.breaks = 1

        assert publisher.handle(records) == "0"
        after_the_first = dict(counts.told)
        assert publisher.handle(records) is None

        assert "MessageSent" not in {name for name, _ in after_the_first}
        assert counts["MessageSent"] == counts["MessageDelivered"] == 1

    def test_a_record_of_which_one_event_was_refused_is_counted_once_though_it_comes_again(
        self, publisher: Publisher, bus: Bus, counts: Counts
    ) -> None:
        records = story(claimed(), sent(), reported(sent(), Status.DELIVERED))
        bus.refuses = [{2}, {0}, {0}]  # accepted and sending are taken, and what is behind sent

        assert publisher.handle(records) == "1"
        after_the_first = [counts["MessageAccepted"], counts["MessageSent"], counts["MessageDelivered"]]
        assert publisher.handle(records[1:]) is None

        assert after_the_first == [1, 0, 0]
        assert counts["MessageAccepted"] == counts["MessageSent"] == counts["MessageDelivered"] == 1

    def test_a_report_that_changes_nothing_counts_nothing(self, publisher: Publisher, counts: Counts) -> None:
        delivered = reported(sent(), Status.DELIVERED)
        again = reported(delivered, Status.SENT, 2 * MINUTE)
        assert again.timeline[-1].kind is Kind.REPORT

        publisher.handle([record(1, again, delivered)])

        assert counts.told == {}

    def test_a_timeline_that_cannot_be_read_holds_nothing_back(
        self, publisher: Publisher, bus: Bus, counts: Counts
    ) -> None:
        odd = record(1, replace(claimed(), timeline=(*claimed().timeline, Moment(NOON, Kind.WAIT))))

        assert publisher.handle([odd, record(2, reported(sent(), Status.DELIVERED), sent())]) is None

        assert len(bus.events) == 3
        assert counts["MessageDelivered"] == 1


class TestTimeToDelivery:
    def test_counts_from_the_attempt_to_the_report(
        self, publisher: Publisher, durations: list[tuple[str, timedelta, str]]
    ) -> None:
        publisher.handle([record(1, reported(sent(), Status.DELIVERED, 90 * SECOND), sent())])

        assert durations == [("TimeToDelivery", 90 * SECOND, "plainline")]

    def test_counts_from_its_time_where_a_message_was_scheduled(
        self, publisher: Publisher, durations: list[tuple[str, timedelta, str]]
    ) -> None:
        scheduled = sent(send_at=NOON + 60 * MINUTE)

        publisher.handle([record(1, reported(scheduled, Status.DELIVERED, 60 * MINUTE + 5 * SECOND), scheduled)])

        assert durations == [("TimeToDelivery", 5 * SECOND, "plainline")]

    def test_is_nothing_where_clocks_disagree_and_is_told_of_nothing_else(
        self, publisher: Publisher, durations: list[tuple[str, timedelta, str]]
    ) -> None:
        publisher.handle([record(1, reported(sent(), Status.DELIVERED, -SECOND), sent())])
        publisher.handle([record(1, reported(sent(), Status.UNDELIVERED), sent())])

        assert durations == [("TimeToDelivery", timedelta(0), "plainline")]


class TestLines:
    def test_each_change_is_a_line_with_the_ids_of_message_and_request(
        self, publisher: Publisher, capfd: pytest.CaptureFixture[str]
    ) -> None:
        refused = lifecycle.settle(claimed(), 1, Refused(Reason(Code.INVALID_NUMBER)), NOON, WATCH)

        publisher.handle([record(1, refused, claimed())])

        (line,) = [json.loads(line) for line in capfd.readouterr().out.splitlines() if "message changed" in line]
        told = {name: line[name] for name in ("level", "message_id", "request_id", "status", "previous", "provider")}
        assert told == {
            "level": "INFO",
            "message_id": "abcdefghijklmnopqrstuvwx-1",
            "request_id": "order-17",
            "status": "rejected",
            "previous": "sending",
            "provider": "plainline",
        }
        assert line["code"] == "invalid_number"
