"""What operators ask and decide over HTTP: providers as they stand, suspensions by hand, doubts settled."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from smsgate.answers import Answer
from smsgate.clock import TAIPEI
from smsgate.daybook import Movement, Tally
from smsgate.items import stamp
from smsgate.messages import Kind, Lane, Message
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.examples import NOON, WATCH
from tests.gateway.house import Counts, House, record, wake_up
from tests.gateway.plainline import maybe_sent

FROM_A_DIRECTORY = "0912345678 called"


def shown(house: House, key: str = "plainline") -> dict[str, Any]:
    (found,) = [each for each in house.operations().providers().body["providers"] if each["provider"] == key]
    return dict(found)


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def problems(answer: Answer) -> list[str]:
    assert answer.content_type == "application/problem+json"
    assert (answer.body["status"], answer.body["type"]) == (answer.status, "about:blank")
    assert answer.body["title"]
    assert answer.body["detail"]
    return [each["field"] for each in answer.body.get("problems", [])]


NOT_ONE_FIELD = [
    (b"", "body"),
    (b"{", "body"),
    (b"[]", "body"),
    (b'"sent"', "body"),
    (b"\xff", "body"),
    (b"[" * 5000, "body"),
    (b'{"as": "' + b"x" * 5000 + b'"}', "body"),
    (b'{"as": "sent", "as": "resend"}', "body"),
]


class TestProviders:
    def test_are_the_enabled_ones_in_the_operators_order(self, house: House) -> None:
        house.enabled = ("oneway", "plainline")

        answer = house.operations().providers()

        assert answer.status == 200
        assert [each["provider"] for each in answer.body["providers"]] == ["oneway", "plainline"]

    def test_show_the_credit_and_when_it_was_measured(self, house: House) -> None:
        house.thresholds = {"plainline": Decimal(100)}
        house.wire.say("/credit", "99.5")
        house.credits().handle()

        provider = shown(house)

        assert (provider["credit"], provider["measured_at"]) == (99.5, stamp(NOON))
        assert (provider["low"], provider["threshold"]) == (True, 100)

    def test_of_which_nothing_is_known_yet_are_shown_all_the_same(self, house: House) -> None:
        provider = shown(house)

        assert (provider["credit"], provider["measured_at"], provider["low"]) == (None, None, None)
        assert (provider["suspended"], provider["reason"], provider["next_try_at"]) == (False, None, None)

    def test_show_who_is_suspended_why_since_when_and_when_it_is_tried_again(self, house: House) -> None:
        house.suspensions.suspend("plainline", Reason(Code.CREDIT_EXHAUSTED, "00012"), "v1")
        house.later(minutes=1)

        provider = shown(house)

        assert provider["suspended"]
        assert not provider["second_choice"]
        assert (provider["reason"]["code"], provider["reason"]["provider_code"]) == ("credit_exhausted", "00012")
        assert (provider["since"], provider["next_try_at"]) == (stamp(NOON), stamp(NOON + timedelta(minutes=5)))

    def test_show_no_time_of_a_next_try_where_somebody_has_to_do_something_first(self, house: House) -> None:
        house.enabled = ("plainline", "castello")
        house.suspensions.suspend("plainline", Reason(Code.BAD_CREDENTIALS), "v1")
        house.suspensions.by_operator("castello", "maintenance")

        assert shown(house)["next_try_at"] is None
        assert shown(house, "castello")["next_try_at"] is None

    def test_show_whose_reports_are_slow_as_second_choice(self, house: House) -> None:
        house.suspensions.suspend("plainline", Reason(Code.NO_REPORT), "")

        assert shown(house)["second_choice"]

    def test_that_were_suspended_and_are_well_are_shown_as_well(self, house: House) -> None:
        house.suspensions.suspend("plainline", Reason(Code.CREDIT_EXHAUSTED), "v1")
        house.suspensions.resume("plainline")

        assert not shown(house)["suspended"]
        assert shown(house)["reason"] is None

    def test_show_what_they_can_do_as_data(self, house: House) -> None:
        house.enabled = ("plainline", "oneway")

        can, cannot = shown(house)["capabilities"], shown(house, "oneway")["capabilities"]

        assert can == {
            "transport": "http",
            "recipients_per_call": 1,
            "countries": None,
            "longest": "160 characters",
            "forms": ["text"],
            "schedule": True,
            "validity": False,
            "sender": False,
            "two_way": True,
            "receipts": "message",
            "replies": True,
            "status_checks": True,
            "cancels": True,
            "tells_credit": True,
        }
        assert {name for name, value in cannot.items() if can[name] != value} == {
            "two_way",
            "receipts",
            "replies",
            "status_checks",
            "cancels",
            "tells_credit",
        }

    def test_show_what_we_reckoned_against_what_was_taken_today_and_yesterday(self, house: House) -> None:
        today = house.now.astimezone(TAIPEI).date()
        yesterday, long_ago = today - timedelta(days=1), today - timedelta(days=2)
        for day, messages in ((long_ago, 7), (yesterday, 5), (today, 3)):
            tally = Tally(messages, Decimal(messages), messages + Decimal("0.5"), 1, [f"{day}-b", f"{day}-a"])
            house.daybook.add("plainline", day, tally)
        house.daybook.moved("plainline", Movement(yesterday, Decimal(100), Decimal(90), Decimal(15), Decimal(5)))
        house.wire.say("/credit", "90", "84")
        house.credits().handle()
        house.credits().handle()

        accounts = shown(house)["accounts"]

        assert accounts == [
            {
                "day": today.isoformat(),
                "messages": 3,
                "reckoned": 3,
                "taken": 3.5,
                "stated": 1,
                "differing": 2,
                "message_ids": [f"{today}-a", f"{today}-b"],
                "credit": {"began": 90, "ended": 84, "fallen": 6, "risen": 0},
            },
            {
                "day": yesterday.isoformat(),
                "messages": 5,
                "reckoned": 5,
                "taken": 5.5,
                "stated": 1,
                "differing": 2,
                "message_ids": [f"{yesterday}-a", f"{yesterday}-b"],
                "credit": {"began": 100, "ended": 90, "fallen": 15, "risen": 5},
            },
        ]

    def test_of_a_day_on_which_nothing_was_sent_there_is_no_account(self, house: House) -> None:
        assert shown(house)["accounts"] == []

    def test_are_plain_json(self, house: House) -> None:
        house.suspensions.by_operator("plainline", "maintenance")
        house.handle(record())
        house.wire.say("/credit", "3")
        house.credits().handle()

        assert json.loads(json.dumps(house.operations().providers().body))


class TestSuspending:
    def test_takes_a_provider_out_of_use_until_it_is_resumed(self, house: House) -> None:
        answer = house.operations().suspend("plainline", said(why="moving house"))

        assert answer.status == 200
        assert answer.body == shown(house)
        assert answer.body["reason"]["provider_text"] == "suspended by the operator: moving house"
        house.handle(record())
        assert (house.one().status, house.wire.calls("/send")) == (Status.ACCEPTED, [])

        answer = house.operations().resume("plainline")

        assert (answer.status, answer.body["suspended"]) == (200, False)
        house.later(minutes=10)
        house.handle(wake_up(house.one().message_id))
        assert house.one().status is Status.SENT

    def test_keeps_no_telephone_number_out_of_the_operators_words(self, house: House) -> None:
        house.operations().suspend("plainline", said(why=FROM_A_DIRECTORY))

        assert "0912345678" not in json.dumps(shown(house))

    def test_twice_and_resuming_what_is_well_are_answered_alike(self, house: House) -> None:
        first, second = (house.operations().suspend("plainline", said(why="moving")) for _ in range(2))
        assert first == second

        assert house.operations().resume("plainline") == house.operations().resume("plainline")

    @pytest.mark.parametrize("key", ["", "castello", "plainlin", "../plainline"])
    def test_of_what_is_not_enabled_is_404_and_names_what_is(self, house: House, key: str) -> None:
        for answer in (house.operations().suspend(key, said(why="moving")), house.operations().resume(key)):
            assert answer.status == 404
            assert "there are plainline" in answer.body["detail"]
        assert house.suspensions.read(key) is None

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            *NOT_ONE_FIELD[:7],
            (b"{}", "why"),
            (b'{"why": ""}', "why"),
            (b'{"why": "   "}', "why"),
            (b'{"why": 7}', "why"),
            (b'{"why": null}', "why"),
            (b'{"why": "two\\nlines"}', "why"),
            (b'{"why": "' + b"x" * 151 + b'"}', "why"),
            (b'{"why": "moving", "until": "noon"}', "until"),
            (b'{"reason": "moving"}', "reason"),
        ],
    )
    def test_with_a_body_that_says_something_else_is_refused_by_name(
        self, house: House, body: bytes, field: str
    ) -> None:
        answer = house.operations().suspend("plainline", body)

        assert answer.status == 422
        assert problems(answer) == [field]
        assert house.suspensions.read("plainline") is None


class TestResolving:
    def doubtful(self, house: House, **fields: Any) -> Message:
        house.wire.say("/send", maybe_sent())
        house.handle(record(**fields))
        assert house.one().status is Status.DOUBTFUL
        return house.one()

    def resolve(self, house: House, verdict: str) -> Answer:
        return house.operations().resolve(house.one().message_id, said(**{"as": verdict}))

    def test_as_sent_settles_it_and_shows_the_message(self, house: House) -> None:
        self.doubtful(house)
        house.later(minutes=1)

        answer = self.resolve(house, "sent")

        assert answer.status == 200
        assert answer.body == house.api().message(house.one().message_id).body
        assert (answer.body["status"], answer.body["provider"]) == ("sent", "plainline")
        assert house.queues.urgent == []

    def test_as_sent_is_followed_to_the_end_of_the_watch(self, house: House) -> None:
        self.doubtful(house)
        self.resolve(house, "sent")

        house.later(minutes=2)
        house.reconcile()
        assert house.one().status is Status.SENT
        house.now = NOON + WATCH.length
        house.reconcile()

        assert house.one().status is Status.UNCONFIRMED
        assert len(house.wire.calls("/send")) == 1

    @pytest.mark.parametrize("lane", Lane)
    def test_by_resend_sends_it_again_through_its_lane(self, house: House, lane: Lane) -> None:
        house.api().post(json.dumps({"id": "order-17", "to": "+886912345678", "text": "hello"}).encode(), lane.value)
        house.wire.say("/send", maybe_sent())
        woken = house.queues.bulk if lane is Lane.BULK else house.queues.urgent
        house.handle(wake_up(*woken))
        woken.clear()

        answer = self.resolve(house, "resend")

        assert (answer.status, answer.body["status"]) == (200, "accepted")
        assert woken == [house.one().message_id]
        house.handle(wake_up(*woken))
        assert house.one().status is Status.SENT
        assert len(house.wire.calls("/send")) == 2

    def test_by_resend_is_found_by_the_schedule_where_the_queue_did_not_take_its_wake_up(
        self, house: House, counts: Counts
    ) -> None:
        self.doubtful(house)
        house.queues.broken = True

        answer = self.resolve(house, "resend")

        assert answer.status == 200
        assert counts["WakeUpFailed"] == 1
        house.queues.broken = False
        house.later(minutes=3)
        house.reconcile()
        assert house.queues.urgent == [house.one().message_id]

    def test_says_in_the_timeline_who_settled_it(self, house: House) -> None:
        self.doubtful(house)

        self.resolve(house, "sent")

        (note,) = [moment for moment in house.one().timeline if moment.kind is Kind.NOTE]
        assert dict(note.data) == {"resolved": "as sent, by the operator"}

    @pytest.mark.parametrize("verdict", ["sent", "resend"])
    def test_is_409_with_the_reason_for_a_message_that_is_not_doubtful(self, house: House, verdict: str) -> None:
        house.handle(record())
        before = house.one()

        answer = self.resolve(house, verdict)

        assert answer.status == 409
        assert problems(answer) == []
        assert (answer.body["message_status"], "it is sent" in answer.body["detail"]) == ("sent", True)
        assert house.one() == before

    @pytest.mark.parametrize("verdict", ["sent", "resend"])
    def test_a_receipt_in_the_same_moment_wins(
        self, house: House, verdict: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doubted = self.doubtful(house)
        operations = house.operations()

        read = operations._ledger.get

        def read_just_before_the_receipt(message_id: str) -> Message | None:
            monkeypatch.undo()
            before = read(message_id)
            house.receive_at_own_url(doubted, "ref=r1&status=there")
            return before

        monkeypatch.setattr(operations._ledger, "get", read_just_before_the_receipt)
        answer = operations.resolve(doubted.message_id, said(**{"as": verdict}))

        assert (answer.status, answer.body["message_status"]) == (409, "delivered")
        assert house.one().status is Status.DELIVERED
        assert house.queues.urgent == []

    @pytest.mark.parametrize("message_id", ["", "nobody", "abcdefghijklmnopqrstuvwx-1"])
    def test_an_unknown_message_is_404(self, house: House, message_id: str) -> None:
        assert house.operations().resolve(message_id, said(**{"as": "sent"})).status == 404

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            *NOT_ONE_FIELD,
            (b"{}", "as"),
            (b'{"as": null}', "as"),
            (b'{"as": "delivered"}', "as"),
            (b'{"as": ["sent"]}', "as"),
            (b'{"as": "sent", "why": "saw it"}', "why"),
            (b'{"resolve": "sent"}', "resolve"),
        ],
    )
    def test_with_a_body_that_says_something_else_is_refused_by_name(
        self, house: House, body: bytes, field: str
    ) -> None:
        doubted = self.doubtful(house)

        answer = house.operations().resolve(doubted.message_id, body)

        assert answer.status == 422
        assert problems(answer) == [field]
        assert house.one() == doubted
