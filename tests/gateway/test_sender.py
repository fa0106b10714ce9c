"""The sender with its ledger and two invented providers: what reaches the wire, how often, what is written of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from smsgate import lifecycle, sender
from smsgate.ledger import Saved, Taken
from smsgate.limits import Limits
from smsgate.messages import Kind, Lane, Message
from smsgate.outcomes import CallBroken, MaybeSent
from smsgate.policy import Policy, Rate
from smsgate.reasons import Code, Reason
from smsgate.requests import request_hash
from smsgate.routing_document import RoutingDocument
from smsgate.status import Status
from smsgate.suspension import Suspensions
from tests.gateway.examples import NOON
from tests.gateway.house import Counts, House, fails, record, wake_up
from tests.gateway.plainline import OFFERS, maybe_sent, not_sent


def sale(times: int = 1) -> tuple[list[str], dict[str, Any]]:
    """More than is claimed at once, of a publisher who gives no id."""
    everybody = [f"+8869{n:08}" for n in range(10_000_000, 10_000_000 + 400 * times)]
    return everybody, record({"to": everybody, "text": "sale"})


def until_a_call(house: House) -> Callable[[], timedelta]:
    return lambda: timedelta(seconds=1 if house.wire.requests else 60)


def claims_take(house: House, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """So long passes between the claim of a message and its call."""
    save = house.ledger.save

    def save_and_wait(message: Message) -> Saved | Taken:
        saved = save(message)
        house.later(seconds=seconds if message.status is Status.SENDING else 0)
        return saved

    monkeypatch.setattr(house.ledger, "save", save_and_wait)


class TestOneMessage:
    def test_is_submitted_once_and_sent(self, house: House) -> None:
        assert house.handle(record()) == []

        assert house.wire.accepted == [("plainline", "+886912345678")]
        assert house.one().status is Status.SENT
        assert house.one().provider_ref == "ref1"

    def test_in_the_bulk_lane_is_known_as_such(self, house: House) -> None:
        house.handle({**record(), "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bulk"})

        assert house.one().lane is Lane.BULK

    @pytest.mark.parametrize("times", [2, 4])
    def test_delivered_by_the_queue_again_is_not_sent_again(self, house: House, times: int) -> None:
        for receives in range(1, times + 1):
            assert house.handle(record(receives=receives)) == []

        assert len(house.wire.accepted) == 1

    def test_published_again_under_its_id_is_not_sent_again(self, house: House) -> None:
        house.handle(record(name="q1"))
        house.handle(record(name="q2", to="0912345678"))

        assert len(house.wire.accepted) == 1

    def test_twice_in_one_batch_is_sent_once(self, house: House) -> None:
        assert house.handle(record(name="q1"), record(name="q2")) == []

        assert len(house.wire.accepted) == 1

    def test_of_another_content_under_a_known_id_is_rejected_as_id_reused(self, house: House) -> None:
        house.handle(record())

        assert house.handle(record(name="q2", text="another")) == []

        assert len(house.wire.accepted) == 1
        assert house.one().status is Status.SENT
        (rejection,) = house.ledger.rejections("order-17")
        assert rejection["code"] == "id_reused"

    @pytest.mark.parametrize("recipients", [3, 400])
    def test_of_more_recipients_under_a_known_id_is_sent_to_none_of_them(self, house: House, recipients: int) -> None:
        house.handle(record())
        more = [f"+886912{number:06}" for number in range(recipients)]

        assert house.handle(record(name="q2", to=[*more, "+886912345678"])) == []

        assert house.wire.accepted == [("plainline", "+886912345678")]
        assert house.one().status is Status.SENT
        assert [each["code"] for each in house.ledger.rejections("order-17")] == ["id_reused"]

    def test_whose_id_cannot_be_looked_up_now_is_sent_to_none_of_its_recipients(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = f"{request_hash('order-17')}-1"
        save = house.ledger.save
        monkeypatch.setattr(house.ledger, "save", lambda m: fails() if m.message_id == first else save(m))
        many = record(to=["+886912345678", "+886912345679", "+886912345680"])

        assert house.handle(many) == ["q1"]
        before = house.wire.accepted.copy()
        monkeypatch.undo()
        assert house.handle(many) == []

        assert before == []
        assert len(house.wire.accepted) == 3

    def test_refused_by_the_provider_is_rejected_and_not_tried_again(self, house: House) -> None:
        house.wire.say("/send", "ERR number")

        assert house.handle(record()) == []
        house.handle(record(receives=2))

        assert house.one().status is Status.REJECTED
        assert len(house.wire.calls("/send")) == 1

    def test_that_expired_before_its_turn_is_not_sent(self, house: House) -> None:
        house.now = NOON + timedelta(seconds=61)

        house.handle(record(valid_for=60))

        assert house.one().status is Status.EXPIRED
        assert house.wire.requests == []

    def test_to_a_country_the_operator_did_not_allow_is_rejected_unsent(self, house: House) -> None:
        house.handle(record(to="+12025550123"))

        assert _code(house.one()) is Code.COUNTRY_NOT_ENABLED
        assert house.wire.requests == []

    def test_that_no_provider_can_carry_is_rejected_and_says_who_was_passed_over_why(self, house: House) -> None:
        house.handle(record(sender="SHOP"))

        assert house.one().status is Status.REJECTED
        (route,) = [moment for moment in house.one().timeline if moment.kind is Kind.ROUTE]
        assert dict(route.data)["plainline"] == "plainline shows its own number as sender: leave `sender` out"


class TestDoubt:
    @pytest.mark.parametrize("say", ["", "<html>busy</html>", "OK", "ERR unheard-of"])
    def test_an_answer_nobody_can_read_is_doubtful_and_never_sent_again(self, house: House, say: str) -> None:
        house.wire.say("/send", say)

        assert house.handle(record()) == []
        house.handle(record(receives=2))

        assert house.one().status is Status.DOUBTFUL
        assert len(house.wire.calls("/send")) == 1

    def test_a_call_that_broke_after_it_was_written_is_doubtful_even_with_another_provider_at_hand(
        self, house: House
    ) -> None:
        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/send", maybe_sent())

        house.handle(record())

        assert house.one().status is Status.DOUBTFUL
        assert house.wire.calls("castello.example/send") == []

    def test_a_worker_lost_during_the_call_leaves_a_doubt_not_a_second_send(self, house: House) -> None:
        house.wire.say("/send", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            house.handle(record())
        assert house.one().status is Status.SENDING

        assert house.handle(record(receives=2)) == ["q1"], "while the claim holds, another worker may be calling"
        house.now = NOON + timedelta(minutes=6)
        assert house.handle(record(receives=3)) == []
        house.handle(record(receives=4))

        assert house.one().status is Status.DOUBTFUL
        assert len(house.wire.accepted) == 1

    def test_a_message_whose_answer_comes_another_way_wears_no_record_out(self, house: House) -> None:
        house.wire.say("/send", CallBroken(MaybeSent(Reason(Code.NO_REPLY), evidence_within=timedelta(minutes=10))))

        house.handle(record())

        assert house.one().status is Status.SENDING
        assert house.handle(record(receives=2)) == [], "the schedule ends the waiting, not a record that comes again"

    def test_resend_sends_again_at_most_as_often_as_it_says(self, house: House) -> None:
        house.wire.say("/send", *[maybe_sent() for _ in range(9)])

        house.handle(record(on_doubt="resend"))
        for _ in range(6):
            house.handle(wake_up(house.one().message_id))

        assert house.one().status is Status.DOUBTFUL
        assert len(house.wire.calls("/send")) == 1 + lifecycle.RESENDS


class TestFailingOver:
    @pytest.fixture(autouse=True)
    def two_providers(self, house: House) -> None:
        house.enabled = ("plainline", "castello")

    @pytest.mark.parametrize("say", ["ERR credit", "ERR password", "ERR country"])
    def test_a_refusal_about_us_goes_to_the_next_provider(self, house: House, say: str) -> None:
        house.wire.say("plainline.example/send", say)

        house.handle(record())

        assert house.one().status is Status.SENT
        assert house.one().provider == "castello"
        assert house.wire.accepted == [("castello", "+886912345678")]

    def test_a_call_that_certainly_did_not_go_out_goes_to_the_next_provider(self, house: House) -> None:
        house.wire.say("plainline.example/send", not_sent())

        house.handle(record())

        assert [attempt.outcome for attempt in house.one().attempts] == ["not_sent", "accepted"]

    def test_a_refusal_of_the_message_itself_does_not(self, house: House) -> None:
        house.wire.say("plainline.example/send", "ERR number")

        house.handle(record())

        assert house.one().status is Status.REJECTED
        assert house.wire.calls("castello.example/send") == []

    def test_each_of_a_call_fails_over_by_itself(self, house: House) -> None:
        house.enabled = ("castello", "plainline")
        house.wire.say("castello.example/send", "OK a\nERR country\nERR number")

        house.handle(record(to=["+886912345671", "+886912345672", "+886912345673"]))

        assert [(m.status, m.provider) for m in house.of()] == [
            (Status.SENT, "castello"),
            (Status.SENT, "plainline"),
            (Status.REJECTED, "castello"),
        ]


class TestSuspension:
    def test_a_provider_without_credit_is_left_alone_and_messages_wait(self, house: House) -> None:
        house.wire.say("/send", "ERR credit")
        house.handle(record())

        house.handle(record({"id": "order-18", "to": "+886912345678", "text": "hello"}))

        assert len(house.wire.calls("/send")) == 1
        for waiting in (house.one("order-17"), house.one("order-18")):
            assert waiting.status is Status.ACCEPTED
            assert _code(waiting) is Code.CREDIT_EXHAUSTED
            assert _next(waiting) > NOON

    def test_what_waits_is_sent_when_the_provider_takes_messages_again(self, house: House) -> None:
        house.wire.say("/send", "ERR credit")
        house.handle(record())
        house.now = _next(house.one())

        house.handle(wake_up(house.one().message_id))

        assert house.one().status is Status.SENT
        suspension = Suspensions(house.ledger, house.clock).read("plainline")
        assert suspension is not None
        assert not suspension.active

    def test_a_refused_password_is_not_tried_again_before_the_secret_changes(self, house: House) -> None:
        house.wire.say("/send", "ERR password")
        house.handle(record())
        for minutes in range(5, 60, 5):
            house.now = NOON + timedelta(minutes=minutes)
            house.handle(wake_up(house.one().message_id))
        assert len(house.wire.calls("/send")) == 1

        house.vault.versions["plainline"] = "v2"
        house.now = _next(house.one())
        house.handle(wake_up(house.one().message_id))

        assert house.one().status is Status.SENT

    def test_a_password_that_was_rotated_under_us_is_used_at_once(self, house: House) -> None:
        house.wire.say("/send", "ERR password")
        house.vault.newest = {"plainline": "v2"}

        house.handle(record())

        assert house.one().status is Status.SENT
        assert [dict(call.fields)["password"] for call in house.wire.calls("/send")] == ["password-v1", "password-v2"]

    def test_a_missing_secret_parks_the_message_and_calls_nobody(self, house: House) -> None:
        house.vault.lost = {"plainline"}

        assert house.handle(record()) == []

        assert _code(house.one()) is Code.BAD_CREDENTIALS
        assert house.wire.requests == []

    @pytest.mark.parametrize("say", ["ERR credit", not_sent()])
    def test_a_parked_message_is_not_sent_before_its_time_by_a_redelivered_record(
        self, house: House, say: str | CallBroken
    ) -> None:
        house.wire.say("/send", say)
        house.handle(record())

        assert house.handle(record(receives=2)) == []

        assert len(house.wire.calls("/send")) == 1


class TestBatches:
    def test_alike_messages_travel_together_up_to_the_providers_limit_across_records(self, house: House) -> None:
        house.enabled = ("castello",)
        records = [
            record({"id": f"order-{n}", "to": [f"+8869{n:02}{k:06}" for k in range(12)], "text": "sale"}, name=f"q{n}")
            for n in range(10, 20)
        ]

        assert house.handle(*records) == []

        assert sorted(len(dict(call.fields)["to"].split(",")) for call in house.wire.calls("/send")) == [20, 50, 50]
        assert len(set(house.wire.accepted)) == 120

    def test_a_number_stands_in_a_call_once_though_two_requests_name_it(self, house: House) -> None:
        house.enabled = ("castello",)
        twice = [record({"id": f"order-{n}", "to": "+886912345678", "text": "sale"}, name=f"q{n}") for n in (1, 2)]

        assert house.handle(*twice) == []

        assert [dict(call.fields)["to"] for call in house.wire.calls("/send")] == ["+886912345678"] * 2

    def test_a_poison_record_costs_the_others_nothing(self, house: House) -> None:
        poison = [record("{", name="bad"), record({"id": "x", "to": [], "txt": 1}, name="worse")]
        good = [record({"id": f"g{n}", "to": "+886912345678", "text": "hi"}, name=f"g{n}") for n in range(8)]

        assert house.handle(*poison, *good) == []

        assert len(house.wire.accepted) == 8
        assert len(house.ledger.rejections("bad")) == 1
        assert {problem["field"] for problem in house.ledger.rejections("x")[0]["problems"]} >= {"to", "txt"}

    def test_without_time_for_a_call_nothing_is_claimed_and_the_records_come_again(self, house: House) -> None:
        failed = house.handle(record(), record({"id": "b", "to": "+886912345678", "text": "hi"}, name="q2"), left=14.9)

        assert failed == ["q1", "q2"]
        assert house.of() == []
        assert house.wire.requests == []

    def test_time_that_runs_out_half_way_leaves_the_rest_for_the_redelivery_where_it_cannot_be_queued(
        self, house: House
    ) -> None:
        house.enabled, house.queues.broken = ("castello",), True
        everybody, big = sale()

        assert house.sender().handle([big], until_a_call(house)) == ["q1"]
        assert 0 < len(house.wire.accepted) < len(everybody)
        assert house.handle({**big, "attributes": {**big["attributes"], "ApproximateReceiveCount": "2"}}) == []

        assert sorted(number for _, number in house.wire.accepted) == sorted(everybody)

    def test_what_there_is_no_time_for_is_queued_anew_and_is_no_dead_letter_however_often_that_happens(
        self, house: House
    ) -> None:
        house.enabled = ("castello",)
        everybody, big = sale(times=4)
        failed, rounds = house.sender().handle([big], until_a_call(house)), 1
        while house.queues.continued:
            again = house.queues.continued.pop()
            house.wire.requests.clear()
            failed += house.sender().handle([again], until_a_call(house))
            rounds += 1

        assert failed == []
        assert rounds > 3
        assert sorted(number for _, number in house.wire.accepted) == sorted(everybody)
        assert {message.accepted_at for message in house.of("q1")} == {NOON}
        assert len(house.of("q1")) == len(everybody), "its first record's id stands for the id it has not"

    def test_a_batch_of_more_than_can_be_looked_at_is_queued_anew_from_there(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sender, "_MOST", 2)
        to = ["+886911111111", "+886922222222"]

        failed = house.handle(
            record({"id": "many", "to": to, "text": "hello"}),
            {**record(name="q2"), "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bulk"},
            wake_up("some"),
        )

        assert failed == []
        assert sorted(number for _, number in house.wire.accepted) == to
        bulk, woken = house.queues.continued
        assert bulk["eventSourceARN"].endswith(":bulk")
        assert woken["messageAttributes"]["smsgate"]["stringValue"] == "wake"
        assert house.handle(bulk) == []
        assert house.one().lane is Lane.BULK

    def test_nonsense_about_when_it_came_first_costs_that_record_alone(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sender, "_MOST", 1)
        nonsense = {"messageAttributes": {"smsgate-sent": {"stringValue": "yesterday", "dataType": "String"}}}

        failed = house.handle({**record(name="q1"), **nonsense}, record(name="q2"), {**record(name="q3"), **nonsense})

        assert failed == ["q1", "q3"]
        assert len(house.wire.accepted) == 1

    def test_what_a_wake_up_names_wrongly_is_passed_over(self, house: House) -> None:
        nobody = f"{request_hash('nobody')}-1"

        assert house.handle(wake_up(nobody, "nonsense"), {**wake_up(), "body": "{", "messageId": "w2"}) == []

    @pytest.mark.parametrize("body", ["{", "", "[" * 10_000, "9" * 5000, "{}", '"x"', "null"])
    def test_a_wake_up_that_cannot_be_read_is_counted_and_does_not_come_again(
        self, house: House, counts: Counts, body: str
    ) -> None:
        assert house.handle({**wake_up(), "body": body}, record()) == []

        assert counts["WakeUpUnreadable"] == 1
        assert house.one().status is Status.SENT

    def test_a_wake_up_of_no_message_is_counted(self, house: House, counts: Counts) -> None:
        house.handle(record())

        house.handle(wake_up(house.one().message_id, f"{request_hash('nobody')}-1", "nonsense"))
        house.handle({**wake_up(), "body": "[5, null]"})

        assert counts["WakeUpUnmatched"] == 4


class TestTroubleWithTheTable:
    def test_before_the_claim_nothing_is_sent_and_the_record_comes_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "save", fails)

        assert house.handle(record()) == ["q1"]
        assert house.wire.requests == []

        monkeypatch.undo()
        assert house.handle(record(receives=2)) == []
        assert len(house.wire.accepted) == 1

    def test_after_the_acceptance_the_message_ends_doubtful_and_is_never_sent_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "change_from", fails)
        assert house.handle(record()) == ["q1"]
        monkeypatch.undo()

        house.now = NOON + timedelta(minutes=7)
        assert house.handle(record(receives=2)) == []

        assert len(house.wire.accepted) == 1
        assert house.one().status is Status.DOUBTFUL

    def test_while_suspensions_cannot_be_read_no_record_is_lost(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "provider_state", fails)

        assert house.handle(record()) == ["q1"]
        assert house.wire.requests == []

    def test_where_a_rejection_cannot_be_stored_only_its_record_comes_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "reject_request", fails)

        assert house.handle(record("{", name="bad"), record()) == ["bad"]
        assert house.one().status is Status.SENT


def test_a_fault_in_a_provider_module_is_a_doubt_and_never_a_second_send(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(OFFERS["plainline"], "read_send", broken)
    monkeypatch.setattr("tests.gateway.plainline.submit", lambda exchange, request, read: read(exchange(request)))

    assert house.handle(record()) == []
    house.handle(record(receives=2))

    assert house.one().status is Status.DOUBTFUL
    assert len(house.wire.accepted) == 1


def test_a_claim_that_waited_too_long_for_its_turn_calls_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    claims_take(house, monkeypatch, seconds=25)

    house.handle(record())

    assert house.wire.requests == []
    assert house.one().status is Status.ACCEPTED


def test_who_could_not_record_it_any_more_calls_nobody_and_gives_the_message_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Lambda ends the worker, and a message that was never submitted would be doubtful."""
    house.enabled = ("plainline", "castello")
    claims_take(house, monkeypatch, seconds=8)

    house.handle(record(), left=20)

    assert house.wire.requests == []
    assert house.one().status is Status.ACCEPTED
    assert [attempt.outcome for attempt in house.one().attempts] == ["not_sent"]


class TestValidFor:
    """`do not submit later than this after acceptance`"""

    def test_what_is_not_valid_any_more_when_its_call_is_due_expires_and_its_companions_go(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        claims_take(house, monkeypatch, seconds=4)

        house.handle(
            record({"id": "short", "to": "+886911111111", "text": "hello", "valid_for": 5}),
            record({"id": "long", "to": "+886922222222", "text": "hello"}, name="q2"),
        )

        assert (house.one("short").status, house.one("long").status) == (Status.EXPIRED, Status.SENT)
        assert house.wire.accepted == [("plainline", "+886922222222")]

    def test_what_was_not_sent_in_time_goes_to_no_other_provider(self, house: House) -> None:
        def fails_late() -> None:
            house.later(seconds=6)
            raise not_sent()

        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/send", fails_late)

        house.handle(record(valid_for=5))

        assert house.one().status is Status.EXPIRED
        assert house.wire.accepted == []
        assert [attempt.outcome for attempt in house.one().attempts] == ["not_sent"]


def test_where_no_turn_elsewhere_can_be_taken_what_was_not_sent_waits_and_is_never_doubtful(
    house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enabled = ("plainline", "castello")
    house.routing = RoutingDocument(policy=Policy(rates={"castello": Rate(1, timedelta(minutes=1))}))
    house.wire.say("plainline.example/send", not_sent())
    monkeypatch.setattr(Limits, "take_turn_now", fails)

    assert house.handle(record()) == []

    assert house.one().status is Status.ACCEPTED
    assert counts["OutcomeNotRecorded"] == 0


def _code(message: Message) -> Code | None:
    return message.reason.code if message.reason else None


def _next(message: Message) -> datetime:
    assert message.next_attempt_at is not None
    return message.next_attempt_at
