"""What nobody called about: woken, asked and given up in time, by as many runs as there are, each piece once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from smsgate import telemetry
from smsgate.items import due_shards, message_to_plain, stamp
from smsgate.ledger import Page, Saved, Taken
from smsgate.messages import Kind, Lane, Message, Reply, Report
from smsgate.outcomes import CallBroken
from smsgate.policy import Policy, Rate, SlowReceipts
from smsgate.providers.base import Ask, CannotSay, Capabilities
from smsgate.reasons import Code, Reason
from smsgate.routebook import RoutingUnknown
from smsgate.routing_document import RoutingDocument
from smsgate.status import Status
from smsgate.suspension import Suspensions
from smsgate.wire import HttpExchange
from tests.gateway.conftest import TABLE
from tests.gateway.examples import NOON, WATCH
from tests.gateway.house import QUEUES, Counts, House, fails, record, wake_up
from tests.gateway.plainline import STATUSES, Oneway, Plainline, maybe_sent, not_sent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Stored = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stored(dynamodb: DynamoDBClient) -> Stored:
    """The replies in the table."""
    return lambda: [dict(item) for item in dynamodb.scan(TableName=TABLE)["Items"] if item["sk"]["S"] == "reply"]


def asked(house: House) -> list[str]:
    return [dict(call.fields)["ref"] for call in house.wire.calls("/report")]


def parked(house: House, request_id: str = "order-17", **fields: Any) -> Message:
    house.wire.say("/send", not_sent())
    house.handle(record({"id": request_id, "to": "+886912345678", "text": "hello", **fields}))
    message = house.one(request_id)
    assert message.status is Status.ACCEPTED
    return message


def many(house: House, count: int, **fields: Any) -> list[Message]:
    """So many messages of one request, sent."""
    numbers = [f"+8869{place:08}" for place in range(10_000_000, 10_000_000 + count)]
    house.handle(record(to=numbers, **fields))
    return house.of()


def by_shard(house: House) -> list[list[Message]]:
    """What is in the ledger, as the shards of the index hold it."""
    shards: dict[str, list[Message]] = {shard: [] for shard in due_shards()}
    for message in house.of():
        shards[message_to_plain(message, timedelta(days=90))["due_shard"]].append(message)
    return list(shards.values())


class TestLostWorkers:
    def lose(self, house: House, **fields: Any) -> None:
        house.wire.say("/send", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            house.handle(record(**fields))
        assert house.one().status is Status.SENDING

    def test_a_message_whose_worker_is_gone_is_doubtful_and_says_why(self, house: House) -> None:
        self.lose(house)
        house.later(minutes=1)

        house.reconcile()

        assert house.one().status is Status.DOUBTFUL
        assert house.one().reason == Reason(Code.NO_REPLY, provider_text="the worker was lost during the call")
        assert house.queues.urgent == []

    def test_not_before_its_claim_is_over(self, house: House) -> None:
        self.lose(house)
        house.later(seconds=20)

        house.reconcile()

        assert house.one().status is Status.SENDING

    def test_where_the_publisher_prefers_a_second_send_it_is_woken_for_it_once(self, house: House) -> None:
        self.lose(house, on_doubt="resend")
        house.later(minutes=1)

        house.reconcile()
        assert len(house.queues.urgent) == 1
        house.reconcile()

        assert house.one().status is Status.ACCEPTED
        assert house.queues.urgent == [house.one().message_id]


class TestParkedMessages:
    def test_are_woken_when_their_time_has_come_and_then_sent(self, house: House) -> None:
        message = parked(house)

        house.reconcile()
        assert house.queues.urgent == []
        house.later(minutes=1)
        house.reconcile()
        assert house.queues.urgent == [message.message_id]
        house.handle(wake_up(message.message_id))

        assert house.one().status is Status.SENT

    def test_are_woken_through_the_lane_they_came_by(self, house: House) -> None:
        house.wire.say("/send", not_sent())
        house.handle({**record(), "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bulk"})
        house.later(minutes=1)

        house.reconcile()

        assert house.queues.woken == {QUEUES[Lane.BULK]: [house.one().message_id], QUEUES[Lane.URGENT]: []}

    def test_are_woken_once_by_two_runs_one_after_the_other(self, house: House) -> None:
        parked(house)
        house.later(minutes=1)

        house.reconcile()
        house.reconcile()

        assert len(house.queues.urgent) == 1

    def test_are_woken_once_by_two_runs_at_once(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        parked(house)
        house.later(minutes=1)
        _run_another_between_reading_and_writing(house, monkeypatch)

        house.reconcile()

        assert len(house.queues.urgent) == 1

    def test_are_woken_again_where_the_queue_did_not_take_the_wake_up(self, house: House, counts: Counts) -> None:
        message = parked(house)
        house.later(minutes=1)
        house.queues.broken = True

        house.reconcile()
        house.queues.broken = False
        house.later(minutes=9)
        house.reconcile()
        assert house.queues.urgent == [], "the first wake-up might still be under way"
        house.later(minutes=1)
        house.reconcile()

        assert house.queues.urgent == [message.message_id]
        assert counts["WakeUpFailed"] == 1

    def test_that_cannot_be_woken_keep_no_other_from_being_asked_about(self, house: House) -> None:
        house.handle(record())
        parked(house, "order-18")
        house.later(minutes=1)
        house.queues.refusing = True

        house.reconcile()

        assert asked(house) == ["ref1"]

    def test_expire_without_being_woken_once_valid_for_is_over(self, house: House) -> None:
        parked(house, valid_for=60)
        house.later(seconds=61)

        house.reconcile()

        assert house.one().status is Status.EXPIRED
        assert house.queues.urgent == []
        assert house.one().due_at is None

    def test_are_given_up_as_failed_when_nothing_could_send_them_while_we_watch(self, house: House) -> None:
        parked(house)
        house.later(hours=72)

        house.reconcile()

        assert house.one().status is Status.FAILED
        assert _code(house.one()) is Code.PROVIDER_UNREACHABLE
        assert house.queues.urgent == []

    def test_in_any_number_are_all_woken_in_one_run(self, house: House) -> None:
        house.wire.say("/send", *[not_sent() for _ in range(12)])
        messages = many(house, 12)
        house.later(minutes=1)

        house.reconcile()

        assert Counter(house.queues.urgent) == Counter(message.message_id for message in messages)


class TestTurnsAtAProvider:
    """Found two minutes before their moment, and handed out by the queue when it has come."""

    def waiting(self, house: House) -> Message:
        """Parked until a turn in ten minutes."""
        house.routing = RoutingDocument(policy=Policy(rates={"plainline": Rate(1, timedelta(minutes=10))}))
        house.handle(record(to=["+886912345678", "+886987654321"]))
        (message,) = [each for each in house.of() if each.status is Status.ACCEPTED]
        assert message.next_attempt_at == NOON + timedelta(minutes=10)
        return message

    def test_are_not_looked_at_before(self, house: House) -> None:
        self.waiting(house)
        house.later(minutes=7, seconds=59)

        house.reconcile()

        assert house.queues.calls == []

    def test_come_at_their_moment_whenever_the_schedule_runs(self, house: House) -> None:
        message = self.waiting(house)
        house.later(minutes=8, seconds=37)

        house.reconcile()

        assert house.queues.delays == {message.message_id: 83}

    def test_and_are_sent_then(self, house: House) -> None:
        message = self.waiting(house)
        house.later(minutes=8)
        house.reconcile()
        house.later(minutes=2)

        house.handle(wake_up(message.message_id))

        assert {each.status for each in house.of()} == {Status.SENT}

    def test_that_were_overlooked_come_at_once(self, house: House) -> None:
        message = self.waiting(house)
        house.later(minutes=11)

        house.reconcile()

        assert house.queues.delays == {message.message_id: 0}

    def test_are_woken_once_by_runs_one_after_the_other(self, house: House) -> None:
        self.waiting(house)
        house.later(minutes=8)

        for _ in range(5):
            house.reconcile()
            house.later(minutes=1)

        assert len(house.queues.urgent) == 1

    def test_are_woken_once_by_two_runs_at_once(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting(house)
        house.later(minutes=8)
        _run_another_between_reading_and_writing(house, monkeypatch)

        house.reconcile()

        assert len(house.queues.urgent) == 1

    def test_are_woken_again_ten_minutes_after_it_where_the_wake_up_was_lost(self, house: House) -> None:
        self.waiting(house)
        house.later(minutes=8)
        house.reconcile()

        house.now = NOON + timedelta(minutes=19, seconds=59)
        house.reconcile()
        assert len(house.queues.urgent) == 1
        house.later(seconds=1)
        house.reconcile()

        assert len(house.queues.urgent) == 2


class TestAsking:
    def test_a_provider_is_asked_on_schedule_until_it_says(self, house: House) -> None:
        house.handle(record())
        house.wire.say("/report", *["not yet"] * 4, "there")
        when = []

        for minute in (0, 1, 2, 5, 6, 7, 65, 66, 67, 125, 126, 127, 185, 186, 187, 250):
            house.now = NOON + timedelta(minutes=minute)
            before = len(asked(house))
            house.reconcile()
            when += [minute] * (len(asked(house)) - before)

        # The schedule of the examples: after 1 minute, then 5, then every hour. The fifth question is answered.
        assert when == [1, 6, 66, 126, 186]

    def test_what_it_says_is_applied_and_it_is_not_asked_again(self, house: House) -> None:
        house.handle(record())
        house.wire.say("/report", "there")
        house.later(minutes=1)

        house.reconcile()
        house.later(days=2)
        house.reconcile()

        assert house.one().status is Status.DELIVERED
        assert asked(house) == ["ref1"]

    def test_a_report_that_is_not_final_is_asked_again(self, house: House) -> None:
        house.handle(record())
        house.wire.say("/report", "on its way", "lost")
        house.later(minutes=1)

        house.reconcile()
        assert house.one().status is Status.SENT
        house.later(minutes=5)
        house.reconcile()

        assert house.one().status is Status.UNDELIVERED

    def test_a_code_nobody_listed_is_kept_and_changes_nothing(self, house: House) -> None:
        house.handle(record())
        house.wire.say("/report", "strange")
        house.later(minutes=1)

        house.reconcile()

        assert house.one().status is Status.SENT
        (report,) = [moment for moment in house.one().timeline if moment.kind is Kind.REPORT]
        assert dict(report.data)["code"] == "strange"

    def test_a_provider_that_cannot_say_changes_nothing_and_is_asked_again(self, house: House, counts: Counts) -> None:
        house.handle(record())
        house.wire.say("/report", not_sent(), "there")
        house.later(minutes=1)

        house.reconcile()
        assert house.one().status is Status.SENT
        assert counts["ProviderCannotSay"] == 1
        house.later(minutes=5)
        house.reconcile()

        assert house.one().status is Status.DELIVERED

    def test_after_the_watch_it_is_unconfirmed_and_nobody_is_asked(self, house: House) -> None:
        house.handle(record())
        house.later(hours=72)

        house.reconcile()

        assert house.one().status is Status.UNCONFIRMED
        assert _code(house.one()) is Code.NO_REPORT
        assert asked(house) == []

    def test_a_watch_that_ends_between_two_checks_ends_in_time(self, house: House) -> None:
        house.handle(record())
        house.later(hours=71, minutes=30)
        house.wire.say("/report", *["not yet"] * 10)

        while house.one().due_at is not None:
            house.now = max(house.now, house.one().due_at or house.now)
            house.reconcile()

        assert house.one().status is Status.UNCONFIRMED
        assert house.now == NOON + timedelta(hours=72)
        assert len(asked(house)) == 3

    def test_it_is_asked_once_more_just_before_the_watch_ends(self, house: House) -> None:
        house.handle(record())
        house.later(hours=71, minutes=30)
        house.wire.say("/report", "not yet", "not yet", "there")

        for _ in range(30):
            house.reconcile()
            house.later(minutes=1)

        assert house.one().status is Status.DELIVERED

    def test_a_scheduled_message_is_asked_about_after_its_time(self, house: House) -> None:
        house.handle(record(send_at="2026-11-20T16:00:00+08:00"))
        assert house.one().status is Status.SCHEDULED

        house.now = NOON + timedelta(hours=3, minutes=59)
        house.reconcile()
        assert asked(house) == []
        house.now = NOON + timedelta(hours=4, minutes=1)
        house.wire.say("/report", "there")
        house.reconcile()

        assert house.one().status is Status.DELIVERED

    def test_a_provider_that_cannot_be_asked_is_not_and_the_watch_ends_unconfirmed(self, house: House) -> None:
        house.enabled = ("oneway",)
        house.handle(record())

        for hours in (1, 24, 71.9):
            house.now = NOON + timedelta(hours=hours)
            house.reconcile()
        assert house.one().status is Status.SENT
        house.now = NOON + timedelta(hours=72)
        house.reconcile()

        assert house.one().status is Status.UNCONFIRMED
        assert len(house.wire.requests) == 1

    def test_a_provider_that_is_not_enabled_any_more_is_not_asked(self, house: House) -> None:
        house.handle(record())
        house.enabled = ("castello",)
        house.later(minutes=1)

        house.reconcile()

        assert asked(house) == []
        assert house.one().status is Status.SENT

    def test_each_message_is_asked_about_once_in_a_run(self, house: House) -> None:
        messages = many(house, 12)
        house.later(minutes=1)

        house.reconcile()
        house.reconcile()

        assert Counter(asked(house)) == Counter(message.provider_ref for message in messages)

    def test_each_message_is_asked_about_once_by_two_runs_at_once(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages = many(house, 10)
        house.later(minutes=1)
        _run_another_between_reading_and_writing(house, monkeypatch)

        house.reconcile()

        assert Counter(asked(house)) == Counter(message.provider_ref for message in messages)

    def test_several_are_asked_about_in_one_call_where_the_provider_allows(self, house: House) -> None:
        house.offers["plainline"] = _Bulk
        many(house, 15)
        house.later(minutes=1)

        house.reconcile()

        sizes = [len(refs.split(",")) for refs in asked(house)]
        # Three, four, four and four lie in the shards of the index.
        assert sorted(sizes) == [1, 1, 1, 3, 3, 3, 3]
        assert {message.status for message in house.of()} == {Status.DELIVERED}

    def test_a_report_about_nobody_asked_about_is_passed_over(self, house: House, counts: Counts) -> None:
        house.offers["plainline"] = _Chatty
        house.handle(record())
        house.later(minutes=1)

        house.reconcile()

        assert house.one().status is Status.SENT
        assert counts["ReceiptUnmatched"] == 1

    def test_where_the_credentials_were_refused_nobody_is_asked(self, house: House) -> None:
        house.handle(record())
        house.suspensions.suspend("plainline", Reason(Code.BAD_CREDENTIALS), "v1")
        house.later(minutes=1)

        house.reconcile()

        assert [call.url for call in house.wire.requests[1:]] == []
        assert house.one().status is Status.SENT

    def test_where_credit_ran_out_questions_go_on(self, house: House) -> None:
        house.handle(record())
        house.suspensions.suspend("plainline", Reason(Code.CREDIT_EXHAUSTED), "v1")
        house.wire.say("/report", "there")
        house.later(minutes=1)

        house.reconcile()

        assert house.one().status is Status.DELIVERED

    def test_a_password_that_is_refused_by_a_question_is_not_tried_by_all_the_others(self, house: House) -> None:
        house.offers["plainline"] = _RefusingQuestions
        many(house, 12)
        house.later(minutes=1)

        house.reconcile()
        house.later(minutes=10)
        house.reconcile()

        assert len(asked(house)) == 1
        suspension = house.suspensions.read("plainline")
        assert suspension is not None
        assert (suspension.active, suspension.reason.code) == (True, Code.BAD_CREDENTIALS)

    def test_without_a_secret_nobody_is_asked_and_the_rest_goes_on(self, house: House, counts: Counts) -> None:
        house.enabled = ("plainline", "castello")
        house.handle(record())
        house.handle(record({"id": "order-18", "to": "+886912345679", "text": "hi", "providers": ["castello"]}))
        house.vault.lost = {"plainline"}
        house.wire.say("castello.example/report", "there")
        house.later(minutes=1)

        house.reconcile()

        assert house.one("order-18").status is Status.DELIVERED
        assert house.one("order-17").status is Status.SENT
        assert counts["SecretUnreadable"] > 0

    @pytest.mark.parametrize("broken", [ZeroDivisionError(), KeyError("x"), RuntimeError()])
    def test_a_fault_in_a_provider_module_keeps_no_other_provider_from_being_asked(
        self, house: House, counts: Counts, broken: Exception
    ) -> None:
        house.enabled = ("plainline", "castello")
        house.handle(record())
        house.handle(record({"id": "order-18", "to": "+886912345679", "text": "hi", "providers": ["castello"]}))
        house.offers["plainline"] = _broken(broken)
        house.wire.say("castello.example/report", "there")
        house.later(minutes=1)

        house.reconcile()

        assert house.one("order-18").status is Status.DELIVERED
        assert counts["QuestionFailed"] == 2, "one question about a message and one about replies"


class TestRunsThatEndEarly:
    def test_what_a_run_did_not_come_to_the_next_one_finds(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        messages = many(house, 16)
        house.later(minutes=1)
        monkeypatch.setattr("smsgate.reconciler._PAGE", 2)
        left = iter([60.0] * 8)

        house.reconciler().handle(lambda: timedelta(seconds=next(left, 0)))
        first = len(asked(house))
        house.reconcile()

        assert 0 < first < len(asked(house))
        assert len(asked(house)) == len(set(asked(house)))
        house.later(minutes=6)
        house.reconcile()
        assert set(asked(house)) == {message.provider_ref for message in messages}

    def test_a_run_that_is_killed_leaves_everything_else_due(self, house: House) -> None:
        messages = many(house, 12)
        house.later(minutes=1)
        house.wire.say("/report", KeyboardInterrupt())

        with pytest.raises(KeyboardInterrupt):
            house.reconcile()
        house.later(minutes=6)
        house.wire.say("/report", *["there"] * 12)
        house.reconcile()

        assert {message.status for message in house.of()} == {Status.DELIVERED}
        assert len(messages) == 12

    def test_a_question_that_nobody_had_time_for_is_asked_by_the_next_run_and_not_at_its_next_check(
        self, house: House, counts: Counts
    ) -> None:
        messages = many(house, 12)
        one_shard, another, *_ = by_shard(house)
        house.later(minutes=1)
        house.wire.say("/report", *["not yet"] * 100)
        enough = len(one_shard) + 1  # until the first question of the second shard

        house.reconciler().handle(lambda: timedelta(seconds=60 if len(asked(house)) < enough else 9))
        first = len(asked(house))
        assert {message.checks for message in house.of()} == {0, 1}, "what was not asked does not count as a check"
        house.later(minutes=1)
        house.reconcile()

        assert (first, counts["QuestionsPutBack"]) == (enough, len(another) - 1)
        assert len(another) > 1
        assert Counter(asked(house)) == Counter(message.provider_ref for message in messages)

    def test_what_was_heard_of_while_its_question_waited_is_not_put_back(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.handle(record())
        house.later(minutes=1)
        save, left = house.ledger.save, [60.0]

        def then_it_is_told(message: Message) -> Saved | Taken:
            saved = save(message)
            if left.pop() == 60.0:
                left[:] = [9.0, 9.0, 9.0]
                house.receive_at_own_url(message, "ref=ref1&status=there")
            return saved

        monkeypatch.setattr(house.ledger, "save", then_it_is_told)

        house.reconciler().handle(lambda: timedelta(seconds=left[-1]))

        assert asked(house) == []
        assert (house.one().status, house.one().due_at) == (Status.DELIVERED, None)

    def test_a_question_that_cannot_be_put_back_keeps_no_other_from_it(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many(house, 8)
        first, second = by_shard(house)[0][:2]
        house.later(minutes=1)
        left = iter([60.0] * 3)  # until the first shard is taken, in which both lie
        change = house.ledger.change_from

        def change_from(message: Message, step: Callable[[Message], Message]) -> Message:
            if message.message_id == first.message_id:
                fails()
            return change(message, step)

        monkeypatch.setattr(house.ledger, "change_from", change_from)

        house.reconciler().handle(lambda: timedelta(seconds=next(left, 0)))

        assert asked(house) == []
        taken = {message.message_id: message for message in house.of()}
        assert (taken[first.message_id].checks, taken[second.message_id].checks) == (1, 0)
        assert taken[second.message_id].due_at == house.now

    def test_without_time_nothing_is_taken(self, house: House) -> None:
        house.handle(record())
        before = house.one()
        house.later(minutes=1)

        house.reconcile(left=19)

        assert house.wire.requests[1:] == []
        assert house.one() == before

    def test_a_message_the_table_does_not_give_keeps_no_other_waiting(
        self, house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages = many(house, 6)
        house.later(minutes=1)
        whole = house.ledger.get
        monkeypatch.setattr(
            house.ledger, "get", lambda known: fails() if known == messages[0].message_id else whole(known)
        )

        house.reconcile()

        assert len(asked(house)) == 5
        assert counts["DueNotTaken"] == 1

    @pytest.mark.parametrize("said", ["not yet", "there"])
    def test_an_index_that_is_behind_names_what_is_not_due_any_more_in_vain(
        self, house: House, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        house.handle(record())
        house.later(minutes=1)
        behind = [key for shard in due_shards() for key in house.ledger.due(shard, house.now, 10).items]
        house.wire.say("/report", said)
        house.reconcile()
        monkeypatch.setattr(house.ledger, "due", lambda *_: Page(behind, None))

        house.reconcile()

        assert len(behind) == 1
        assert len(asked(house)) == 1


class TestReplies:
    def days(self, house: House) -> list[str]:
        return [dict(call.fields)["day"] for call in house.wire.calls("/replies")]

    def test_each_reply_is_stored_once_over_many_runs(self, house: House, stored: Stored) -> None:
        house.wire.say("/replies", *["1|+886912345678|yes\n2|+886912345678|no"] * 5)

        for _ in range(5):
            house.reconcile()

        assert sorted(item["text"]["S"] for item in stored()) == ["no", "yes"]

    @pytest.mark.parametrize(
        ("utc", "days"),
        [
            ((15, 59), ["2026-11-20"]),
            ((16, 0), ["2026-11-21", "2026-11-20"]),
            ((16, 29), ["2026-11-21", "2026-11-20"]),
            ((16, 30), ["2026-11-21"]),
            ((23, 59), ["2026-11-21"]),
        ],
    )
    def test_yesterday_is_asked_for_until_half_past_midnight_in_taipei(
        self, house: House, utc: tuple[int, int], days: list[str]
    ) -> None:
        house.now = datetime(2026, 11, 20, *utc, tzinfo=UTC)

        house.reconcile()

        assert self.days(house) == days

    def test_none_is_missed_or_doubled_across_midnight(self, house: House, stored: Stored) -> None:
        house.now = datetime(2026, 11, 20, 15, 58, tzinfo=UTC)
        lying: dict[str, list[str]] = {"2026-11-20": [], "2026-11-21": []}
        house.offers["plainline"] = _mailbox(lying)

        for minute in range(0, 40, 4):
            day = house.now + timedelta(hours=8)
            lying[day.date().isoformat()].append(f"{minute}|+886912345678|text {minute}")
            house.later(minutes=4)
            house.reconcile()

        assert sorted(item["text"]["S"] for item in stored()) == sorted(f"text {n}" for n in range(0, 40, 4))

    def test_a_reply_finds_the_last_message_its_number_got_there(self, house: House, stored: Stored) -> None:
        house.handle(record({"id": "order-16", "to": "+886912345678", "text": "old"}))
        house.later(minutes=1)
        house.handle(
            {**record(), "attributes": {"SentTimestamp": str(int(house.now.timestamp() * 1000))}},
        )
        house.wire.say("/replies", "1|+886912345678|yes")

        house.reconcile()

        (reply,) = stored()
        assert reply["match"]["S"] == "likely"
        assert reply["message_id"]["S"] == house.one("order-17").message_id
        assert reply["request_id"]["S"] == "order-17"

    @pytest.mark.parametrize(
        "before", ["nothing", "another number", "another provider", "a refused message", "31 days ago"]
    )
    def test_a_reply_to_nothing_of_ours_is_kept_without_a_message(
        self, house: House, stored: Stored, before: str
    ) -> None:
        house.enabled = ("plainline", "castello")
        if before == "another number":
            house.handle(record(to="+886912345679"))
        elif before == "another provider":
            house.handle(record(providers=["castello"]))
        elif before == "a refused message":
            house.wire.say("/send", "ERR number")
            house.handle(record())
        elif before == "31 days ago":
            house.handle(record())
            house.later(days=31)
        house.wire.say("plainline.example/replies", "1|+886912345678|who is this?")

        house.reconcile()

        (reply,) = stored()
        assert reply["match"]["S"] == "none"
        assert "message_id" not in reply

    def test_a_provider_that_cannot_say_is_asked_again_and_due_work_goes_on(self, house: House, stored: Stored) -> None:
        house.handle(record())
        house.later(minutes=1)
        house.wire.say("/replies", CallBroken(not_sent().outcome), "1|+886912345678|yes")

        house.reconcile()
        assert asked(house) == ["ref1"]
        house.reconcile()

        assert len(stored()) == 1

    def test_a_refused_password_is_not_tried_for_the_next_day_nor_the_next_run(self, house: House) -> None:
        house.offers["plainline"] = _RefusingToTellReplies
        house.now = datetime(2026, 11, 20, 16, 10, tzinfo=UTC)

        house.reconcile()
        house.later(minutes=10)
        house.reconcile()

        assert self.days(house) == ["2026-11-21"]

    def test_what_was_said_before_midnight_is_fetched_when_the_provider_can_be_asked_again(
        self, house: House, stored: Stored, counts: Counts
    ) -> None:
        lying: dict[str, list[str]] = defaultdict(list)
        house.offers["plainline"] = _mailbox(lying)
        house.now = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
        house.reconcile()
        lying["2026-11-20"].append("1|+886912345678|before midnight")
        house.offers["plainline"] = _broken(CannotSay(Reason(Code.PROVIDER_UNREACHABLE)))
        for _ in range(10):
            house.later(minutes=30)
            house.reconcile()

        house.offers["plainline"] = _mailbox(lying)
        house.later(minutes=30)
        house.reconcile()

        assert [item["text"]["S"] for item in stored()] == ["before midnight"]
        assert counts["RepliesNotFetched"] == 10
        house.offers["plainline"] = Plainline
        house.reconcile()
        assert self.days(house)[-1:] == ["2026-11-21"], "what was fetched is not asked for for ever"

    @pytest.mark.parametrize(("days_ago", "asked_for"), [(6, 7), (30, 7), (2, 3)])
    def test_days_that_nobody_asked_for_are_asked_for_once_and_not_those_of_long_ago(
        self, house: House, days_ago: int, asked_for: int
    ) -> None:
        house.reconcile()
        house.later(days=days_ago)

        house.reconcile()
        after_the_gap = self.days(house)[1:]
        house.later(minutes=1)
        house.reconcile()

        assert after_the_gap[0] == house.now.date().isoformat(), "today first"
        assert len(after_the_gap) == len(set(after_the_gap)) == asked_for
        assert self.days(house)[1 + asked_for :] == [house.now.date().isoformat()]

    def test_a_day_that_cannot_be_read_keeps_nobody_from_the_others_and_is_asked_for_again(
        self, house: House, stored: Stored
    ) -> None:
        house.reconcile()
        house.later(days=1)
        house.wire.say("/replies", "1|+886912345678|today", "no reply", "1|+886912345678|today", "2|+886912345678|then")

        house.reconcile()
        first = [item["text"]["S"] for item in stored()]
        house.reconcile()

        assert first == ["today"]
        assert sorted(item["text"]["S"] for item in stored()) == ["then", "today"]

    def test_however_many_there_are_half_of_a_run_is_left_for_what_is_due(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.handle(record())
        house.later(minutes=1)
        house.offers["plainline"] = _mailbox(
            defaultdict(lambda: [f"{place}|+8869{place:08}|yes" for place in range(500)])
        )
        house.wire.say("/report", *["not yet"] * 5)
        left = [60.0]
        has_reply = house.ledger.has_reply
        looked_for: list[str] = []

        def takes_its_time(reply: Reply) -> bool:
            left[0] -= 0.2
            looked_for.append(reply.key)
            return has_reply(reply)

        monkeypatch.setattr(house.ledger, "has_reply", takes_its_time)
        worker = house.reconciler()

        worker.handle(lambda: timedelta(seconds=left[0]))
        first = len(looked_for)
        questions = asked(house)
        for _ in range(6):
            left[0] = 60.0
            worker.handle(lambda: timedelta(seconds=left[0]))

        assert 150 <= first < 250
        assert questions == ["ref1"]
        assert len(looked_for) == len(set(looked_for)) == 500, "what this worker stored it need not look for again"

    def test_what_one_person_said_is_heeded_in_the_order_it_was_said(self, house: House) -> None:
        numbers = [f"+8869{place:08}" for place in range(10_000_000, 10_000_010)]
        house.wire.say(
            "/replies",
            "\n".join(f"{number}-{word}|{number}|{word}" for word in ("STOP", "START") for number in numbers),
        )

        house.reconcile()

        assert house.suppressions.find(numbers) == frozenset()
        assert all(len(house.suppressions.read(number).history) == 2 for number in numbers)

    def test_a_reply_that_cannot_be_stored_keeps_neither_the_others_nor_due_work_waiting(
        self, house: House, stored: Stored, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.handle(record())
        house.later(minutes=1)
        house.wire.say("/replies", "1|+886912345678|poison\n2|+886912345678|yes")
        whole = house.ledger.keep_reply

        def keep_reply(reply: Reply, *rest: Any) -> bool:
            if reply.text == "poison":
                fails()
            return whole(reply, *rest)

        monkeypatch.setattr(house.ledger, "keep_reply", keep_reply)

        house.reconcile()

        assert [item["text"]["S"] for item in stored()] == ["yes"]
        assert asked(house) == ["ref1"]
        assert counts["ReplyNotStored"] == 1

    def test_providers_without_replies_are_not_asked(self, house: House) -> None:
        house.enabled = ("oneway",)

        house.reconcile()

        assert house.wire.requests == []


class TestAnswersThatComeOnlyWithReports:
    """Of a provider whose status tells what was answered, and whose callbacks were lost."""

    @pytest.fixture(autouse=True)
    def telling(self, house: House) -> None:
        house.offers["plainline"] = _Telling

    def when_asked(self, house: House, *minutes: float) -> list[float]:
        """At which of these minutes the provider was asked."""
        when = []
        for minute in minutes:
            house.now = NOON + timedelta(minutes=minute)
            before = len(asked(house))
            house.reconcile()
            when += [minute] * (len(asked(house)) - before)
        return when

    def test_are_asked_for_after_the_final_report_ever_more_rarely(self, house: House) -> None:
        house.handle(record(replies=True))
        house.receive_at_own_url(house.one(), "ref=ref1&status=there")

        when = self.when_asked(house, 0.5, 1, 3, 6, 7, 30, 66, 67, 126)

        assert when == [1, 6, 66, 126]

    def test_are_stored_once_with_their_message_however_often_they_are_told(self, house: House, stored: Stored) -> None:
        house.handle(record(replies=True))
        house.wire.say("/report", "there", *["there|yes"] * 3)

        self.when_asked(house, 1, 6, 66, 126)

        (reply,) = stored()
        assert (reply["text"]["S"], reply["match"]["S"]) == ("yes", "exact")
        assert reply["message_id"]["S"] == house.one().message_id
        assert house.one().status is Status.DELIVERED

    def test_are_not_asked_for_where_none_were_asked_for(self, house: House) -> None:
        house.handle(record())
        house.receive_at_own_url(house.one(), "ref=ref1&status=there")

        assert house.one().due_at is None
        assert self.when_asked(house, 1, 6, 66, 600) == []

    def test_are_not_asked_for_where_questions_bring_none(self, house: House) -> None:
        house.offers["plainline"] = Plainline
        house.handle(record(replies=True))

        house.receive_at_own_url(house.one(), "ref=ref1&status=there")

        assert house.one().due_at is None

    @pytest.mark.parametrize("status", ["lost", "on its way"])
    def test_are_not_asked_for_of_a_message_that_nobody_can_have_read_nor_twice_of_one_under_way(
        self, house: House, status: str
    ) -> None:
        house.handle(record(replies=True))
        house.receive_at_own_url(house.one(), f"ref=ref1&status={status}")

        assert self.when_asked(house, 1) == ([] if status == "lost" else [1])

    def test_end_a_day_after_nobody_can_give_one_any_more(self, house: House) -> None:
        house.handle(record(replies={"days": 2}))
        house.receive_at_own_url(house.one(), "ref=ref1&status=there")
        house.wire.say("/report", *["there"] * 200)

        while house.one().due_at is not None:
            house.now = max(house.now, house.one().due_at or house.now)
            house.reconcile()

        assert house.now == NOON + timedelta(days=3)
        assert house.one().status is Status.DELIVERED
        assert len(asked(house)) == 2 + 72, "after a minute, after six, then every hour, and at the end"

    def test_go_on_where_the_watch_ended_before_them(self, house: House, stored: Stored) -> None:
        house.handle(record(replies={"days": 5}))
        house.wire.say("/report", "not yet", "not yet|yes")
        self.when_asked(house, 1)
        house.now = NOON + timedelta(hours=72)
        house.reconcile()
        assert house.one().status is Status.UNCONFIRMED

        house.later(hours=1)
        house.reconcile()

        assert [reply["text"]["S"] for reply in stored()] == ["yes"]
        assert house.one().status is Status.UNCONFIRMED

    def test_are_asked_for_once_by_two_runs_at_once(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        house.handle(record(replies=True))
        house.receive_at_own_url(house.one(), "ref=ref1&status=there")
        house.later(minutes=1)
        _run_another_between_reading_and_writing(house, monkeypatch)

        house.reconcile()

        assert asked(house) == ["ref1"]

    def test_are_not_asked_for_of_a_provider_that_is_not_enabled_any_more(self, house: House) -> None:
        house.handle(record(replies=True))
        house.receive_at_own_url(house.one(), "ref=ref1&status=there")
        house.enabled = ("castello",)
        house.later(minutes=1)

        house.reconcile()

        assert asked(house) == []
        assert house.one().due_at is None

    def test_one_that_cannot_be_stored_loses_no_report(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        house.handle(record(replies=True))
        house.later(minutes=1)
        house.wire.say("/report", "there|yes")
        monkeypatch.setattr(house.ledger, "keep_reply", fails)

        house.reconcile()

        assert house.one().status is Status.DELIVERED


class _Telling(Plainline):
    """To `/report` it answers `status|what was answered`."""

    tells_replies = True

    def reports_and_replies(
        self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange
    ) -> tuple[list[Report], list[Reply]]:
        report = next(iter(self.query(asks, now, exchange)), None)
        if report is None:
            return [], []
        word, _, said = (report.provider_code or "").partition("|")
        replies = [Reply(self.key, said, asks[0].to, said, provider_ref=asks[0].provider_ref)] if said else []
        known = [replace(report, status=STATUSES[word], provider_code=word)] if word in STATUSES else []
        return known, replies


class _Bulk(Plainline):
    """Tells of three messages in a call."""

    asks_per_call = 3

    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        super().query([Ask(",".join(each.provider_ref for each in asks), "", submitted_at=now)], now, exchange)
        return [Report(Status.DELIVERED, None, "there", provider_ref=each.provider_ref, to=each.to) for each in asks]


class _Chatty(Plainline):
    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        return [Report(Status.DELIVERED, None, "there", provider_ref="somebody's", to="+886912345678")]


class _RefusingQuestions(Plainline):
    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        super().query(asks, now, exchange)
        raise CannotSay(Reason(Code.BAD_CREDENTIALS))


class _RefusingToTellReplies(Plainline):
    def replies_of(self, day: date, exchange: HttpExchange) -> list[Reply]:
        super().replies_of(day, exchange)
        raise CannotSay(Reason(Code.BAD_CREDENTIALS))


def _broken(error: Exception) -> type[Plainline]:
    class Broken(Plainline):
        def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
            raise error

        def replies_of(self, day: date, exchange: HttpExchange) -> list[Reply]:
            raise error

    return Broken


def _mailbox(lying: dict[str, list[str]]) -> type[Plainline]:
    """What lies there on the day it is asked for."""

    class Mailbox(Plainline):
        def replies_of(self, day: date, exchange: HttpExchange) -> list[Reply]:
            return [Reply(self.key, *line.split("|")) for line in lying[day.isoformat()]]

    return Mailbox


def _run_another_between_reading_and_writing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write of a run finds that a whole other run has passed since its reading."""
    whole = house.ledger.save
    other = iter([house.reconcile])

    def save(message: Message) -> Saved | Taken:
        run = next(other, None)
        if run:
            run()
        return whole(message)

    monkeypatch.setattr(house.ledger, "save", save)


def _code(message: Message) -> Code | None:
    return message.reason.code if message.reason else None


class TestDoubt:
    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        gauged: list[float] = []

        def gauge(name: str, value: float, *, provider: str = "") -> None:
            if name == "DoubtfulOpen":
                gauged.append(value)

        monkeypatch.setattr(telemetry, "gauge", gauge)
        return gauged

    def test_is_counted_by_every_run_also_where_there_is_none(self, house: House, told: list[float]) -> None:
        many(house, 3, id="certain")
        house.reconcile()
        for place in range(3):
            house.wire.say("/send", maybe_sent())
            house.handle(record(id=f"lost-{place}"))
        house.later(hours=100)

        house.reconcile()

        assert told == [0, 3]

    def test_is_counted_no_more_once_evidence_settles_it(self, house: House, told: list[float]) -> None:
        house.wire.say("/send", maybe_sent())
        house.handle(record())
        house.receive_at_own_url(house.one(), "ref=r1&status=there")

        house.reconcile()

        assert house.one().status is Status.DELIVERED
        assert told == [0]

    def test_is_left_to_evidence_and_operators(self, house: House) -> None:
        house.wire.say("/send", maybe_sent())
        house.handle(record())
        before = house.one()
        house.later(hours=200)

        house.reconcile()

        assert house.one() == before


class Quiet(Oneway):
    """Sends reports by itself, and cannot be asked."""

    key = "quiet"
    capabilities = Capabilities("http", 1, None, "160 characters", receipts="account")


class TestReportsThatDoNotCome:
    @pytest.fixture(autouse=True)
    def opted_in(self, house: House) -> None:
        house.routing = RoutingDocument(policy=Policy(slow_receipts=SlowReceipts(timedelta(minutes=2), 0.5, 3)))

    def silent(self, house: House, minutes: float) -> None:
        """The provider is asked all along, and has nothing to say."""
        house.wire.say("/report", *["not yet"] * 100)
        for _ in range(int(minutes)):
            house.later(minutes=1)
            house.reconcile()

    def test_make_the_provider_second_choice(self, house: House) -> None:
        many(house, 4)

        self.silent(house, 1)
        assert house.suspensions.read("plainline") is None
        self.silent(house, 1)

        suspension = house.suspensions.read("plainline")
        assert suspension is not None
        assert (suspension.active, suspension.reason.code) == (True, Code.NO_REPORT)
        assert suspension.reason.provider_text == "3 of 4 messages have no report after 120 seconds"

    def test_are_counted_once_of_each_message(self, house: House) -> None:
        many(house, 2)

        self.silent(house, 30)
        house.now += timedelta(hours=30)
        house.reconcile()

        assert house.suspensions.read("plainline") is None
        for message in house.of():
            notes = [moment for moment in message.timeline if moment.kind is Kind.NOTE]
            assert [dict(note.data) for note in notes] == [{"report": "overdue"}]

    def test_are_none_where_they_came_before_or_the_provider_says_when_it_is_asked(self, house: House) -> None:
        for message in many(house, 4)[:2]:
            house.receive_at_own_url(message, f"ref={message.provider_ref}&status=there")
        house.later(minutes=3)
        house.wire.say("/report", "there", "on its way")

        house.reconcile()

        assert house.suspensions.read("plainline") is None
        assert house.ledger.count_reports("plainline", stamp(NOON), sent=0, late=0, until=house.now) == (4, 0)

    def test_of_a_provider_that_cannot_be_asked_are_looked_for_in_time(self, house: House) -> None:
        house.offers, house.enabled = {**house.offers, "quiet": Quiet}, ("quiet",)
        house.vault.versions["quiet"] = "v1"
        many(house, 4)

        for _ in range(2):
            house.later(minutes=1)
            house.reconcile()

        suspension = house.suspensions.read("quiet")
        assert suspension is not None
        assert suspension.reason.code is Code.NO_REPORT
        assert {message.due_at for message in house.of()} == {WATCH.ends(message) for message in house.of()}

    def test_of_a_provider_that_sends_none_are_not_missed(self, house: House) -> None:
        house.enabled = ("oneway",)
        many(house, 4)

        self.silent(house, 5)

        assert house.suspensions.read("oneway") is None
        assert all(moment.kind is not Kind.NOTE for message in house.of() for moment in message.timeline)

    def test_are_not_missed_before_the_time_of_a_scheduled_message(self, house: House) -> None:
        many(house, 4, send_at="2026-11-20T13:00:00+08:00")

        self.silent(house, 30)

        assert house.suspensions.read("plainline") is None

    def test_are_nobodys_concern_where_the_operator_did_not_say_so(self, house: House) -> None:
        house.routing = RoutingDocument()
        many(house, 4)

        self.silent(house, 5)

        assert house.suspensions.read("plainline") is None
        assert all(moment.kind is not Kind.NOTE for message in house.of() for moment in message.timeline)

    def test_cost_no_other_work_where_the_document_cannot_be_read_or_nothing_be_counted(
        self, house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many(house, 4)
        house.later(minutes=2)
        house.wire.say("/report", *["not yet"] * 8)
        monkeypatch.setattr(house.ledger, "count_reports", fails)

        house.reconcile()

        assert [message.status for message in house.of()] == [Status.SENT] * 4
        assert counts["OverdueNotCounted"] > 0
        assert counts["ReconcilerRan"] == 1

        def unreadable(_: Suspensions) -> timedelta:
            raise RoutingUnknown

        monkeypatch.setattr(Suspensions, "patience", unreadable)
        house.reconcile()

        assert counts["ReconcilerRan"] == 2
