"""What is left on an account, whoever measured it and in whatever order; and what a slice may spend of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgate import telemetry
from smsgate.balance import TRUSTED, Measured, Purse
from smsgate.items import Plain
from smsgate.messages import Message
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.reasons import Code, Reason
from tests.gateway.examples import NOON, SECOND, message
from tests.gateway.house import Counts, House
from tests.gateway.plainline import not_sent

REASON = Reason(Code.NO_REPLY)


@pytest.fixture(autouse=True)
def _watched(house: House) -> None:
    house.enabled = ("castello", "plainline", "oneway")  # castello takes fifty in a call
    house.thresholds = {"castello": Decimal(100)}


def state(house: House, provider: str = "castello") -> Plain:
    return house.ledger.provider_state(provider, "credit") or {}


def measure(house: House, credit: str) -> None:
    house.wire.say("castello.example/credit", credit)
    house.balance().ask("castello")


def of(place: int, points: int = 1) -> Message:
    return message(message_id=f"abcdefghijklmnopqrstuvwx-{place}", points=Decimal(points))


def accepted(credit: object = None, points: object = None) -> Accepted:
    return Accepted(
        "ref",
        Decimal(str(points)) if points is not None else None,
        Decimal(str(credit)) if credit is not None else None,
    )


def answer(purse: Purse, *outcomes: Outcome, asked_at: datetime = NOON) -> None:
    purse.answered("castello", [of(place + 1) for place in range(len(outcomes))], outcomes, asked_at)


def answers(house: House, *credits_: int) -> None:
    """A slice each, by one worker."""
    balance = house.balance()
    for credit in credits_:
        purse = balance.purse(1)
        answer(purse, accepted(credit), asked_at=house.now)
        purse.close(may_ask=False)


def counted(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    calls: list[Any] = []
    whole: Callable[..., Any] = getattr(house.ledger, name)

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return whole(*arguments, **named)

    monkeypatch.setattr(house.ledger, name, call)
    return calls


class TestAnAnswerThatStatesTheCredit:
    def test_is_a_measurement(self, house: House) -> None:
        answers(house, 250)

        assert (state(house)["credit"], state(house)["threshold"], state(house)["low"]) == (250, 100, False)

    def test_crosses_the_threshold_at_once_and_once_with_whoever_measures_next(self, house: House) -> None:
        crossings = []

        def look() -> None:
            crossings.append(state(house)["low"])

        measure(house, "105")
        look()
        answers(house, 99)
        look()
        answers(house, 98, 97)
        measure(house, "97")
        look()
        answers(house, 1000)
        look()

        assert crossings == [False, True, True, False]

    def test_is_written_once_a_minute_where_it_tells_nothing(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measure(house, "10000")
        writes = counted(house, monkeypatch, "set_provider_state")

        for credit in range(9999, 9879, -1):
            house.later(seconds=1)
            answers(house, credit)

        assert len(writes) == 2
        assert state(house)["credit"] == 9880

    def test_is_not_even_looked_up_by_a_worker_that_wrote_lately(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers(house, 10_000)
        reads = counted(house, monkeypatch, "provider_state")
        balance = house.balance()

        for credit in (9999, 9998, 9997):
            purse = balance.purse(1)
            answer(purse, accepted(credit), asked_at=house.now)
            purse.close(may_ask=False)

        assert len(reads) == 1

    def test_is_written_where_it_changed_by_a_tenth_so_that_an_end_in_sight_is_known_exactly(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.thresholds = {}
        measure(house, "1000")
        writes = counted(house, monkeypatch, "set_provider_state")

        answers(house, 950, 901, 899, 895)

        assert len(writes) == 1
        assert state(house)["credit"] == 899

    def test_of_calls_at_one_time_the_lowest_counts_whatever_their_order(self, house: House) -> None:
        purse = house.balance().purse(1)
        house.later(seconds=2)

        for credit in (900, 700, 800):
            answer(purse, accepted(credit), asked_at=NOON)
        purse.close(may_ask=False)

        assert state(house)["credit"] == 700

    def test_a_high_value_that_comes_late_does_not_undo_a_low_one(self, house: House) -> None:
        slow, fast = house.balance().purse(1), house.balance().purse(1)
        measure(house, "102")
        house.later(seconds=2)
        answer(fast, accepted(99), asked_at=NOON + SECOND)
        fast.close(may_ask=False)
        house.later(seconds=8)

        answer(slow, accepted(101), asked_at=NOON)
        slow.close(may_ask=False)

        assert (state(house)["credit"], state(house)["low"]) == (99, True)

    def test_a_value_asked_for_after_a_low_one_came_is_news_and_the_account_was_topped_up(self, house: House) -> None:
        measure(house, "99")
        house.later(seconds=1)

        answers(house, 5000)

        assert (state(house)["credit"], state(house)["low"]) == (5000, False)

    def test_nothing_stated_is_no_measurement(self, house: House) -> None:
        purse = house.balance().purse(4)

        answer(purse, accepted(), MaybeSent(REASON), NotSent(REASON), Refused(REASON))
        purse.close(may_ask=False)

        assert state(house) == {}

    def test_ends_the_wait_of_a_provider_without_credit(self, house: House) -> None:
        house.suspensions.suspend("castello", Reason(Code.CREDIT_EXHAUSTED), "v1")

        measure(house, "500")

        suspension = house.suspensions.read("castello")
        assert suspension is not None
        assert suspension.retry_at == house.now

    def test_a_table_that_fails_stops_nothing(
        self, house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise ConnectionError

        purse = house.balance().purse(2)
        monkeypatch.setattr(house.ledger, "provider_state", fails)
        monkeypatch.setattr(house.ledger, "add_to_account", fails)

        assert purse.pays("castello", Decimal(1))
        answer(purse, accepted(5))
        purse.close(may_ask=True)

        assert counts["CreditNotRead"] == 1
        assert counts["CreditNotRecorded"] == 2


moments = st.integers(0, 30).map(lambda seconds: NOON + seconds * SECOND)
calls = st.lists(
    st.tuples(moments, st.integers(1, 10), st.integers(0, 500)).map(
        lambda call: (call[0], call[0] + call[1] * SECOND, call[2])
    ),
    min_size=1,
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(calls, st.randoms(use_true_random=False))
def test_the_order_in_which_threads_tell_what_they_heard_makes_no_difference(
    house: House, calls: list[tuple[datetime, datetime, int]], chance: random.Random
) -> None:
    def heard(calls: list[tuple[datetime, datetime, int]]) -> Decimal:
        purse = house.balance().purse(1)
        for asked_at, answered_at, credit in calls:
            house.now = answered_at
            answer(purse, accepted(credit), asked_at=asked_at)
        (seen,) = purse._seen.values()
        return min(each.credit for each in seen)

    shuffled = list(calls)
    chance.shuffle(shuffled)

    assert heard(shuffled) == heard(calls)


@given(calls)
def test_of_two_measurements_at_most_one_is_after_the_other(calls: list[tuple[datetime, datetime, int]]) -> None:
    measured = [Measured(Decimal(credit), asked_at, answered_at) for asked_at, answered_at, credit in calls]

    assert not any(one.is_after(other) and other.is_after(one) for one in measured for other in measured)


class TestWhatASliceMaySpend:
    def test_is_what_the_account_holds_and_the_rest_stays(self, house: House) -> None:
        measure(house, "60")
        purse = house.balance().purse(100)

        paid = [purse.pays("castello", Decimal(1)) for _ in range(100)]

        assert paid == [True] * 60 + [False] * 40

    def test_dear_messages_stay_and_cheap_ones_that_fit_go(self, house: House) -> None:
        measure(house, "5")
        purse = house.balance().purse(4)

        paid = [purse.pays("castello", Decimal(points)) for points in (2, 6, 2, 1)]

        assert paid == [True, False, True, True]

    def test_a_message_that_costs_more_than_the_first_is_paid_from_what_is_there(self, house: House) -> None:
        measure(house, "50")
        purse = house.balance().purse(2)

        assert purse.pays("castello", Decimal(1))
        assert purse.pays("castello", Decimal(40))

    def test_is_everything_where_nothing_is_known_or_what_is_known_is_old(self, house: House) -> None:
        assert house.balance().purse(100).pays("castello", Decimal(10**6))
        measure(house, "0")
        assert not house.balance().purse(100).pays("castello", Decimal(1))

        house.later(seconds=TRUSTED.total_seconds() + 1)

        assert house.balance().purse(100).pays("castello", Decimal(1))

    def test_a_message_that_travels_alone_goes_and_its_answer_is_the_truth(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measure(house, "0")
        house.wire.say("plainline.example/credit", "0")
        house.balance().ask("plainline")
        reads = counted(house, monkeypatch, "provider_state")

        assert house.balance().purse(1).pays("castello", Decimal(1))
        assert house.balance().purse(100).pays("plainline", Decimal(1))

        assert reads == []

    def test_an_account_with_enough_for_everybody_is_read_once_and_never_written(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measure(house, "50000")
        reads = counted(house, monkeypatch, "provider_state")
        writes = counted(house, monkeypatch, "set_provider_state")
        purse = house.balance().purse(320)

        assert all(purse.pays("castello", Decimal(3)) for _ in range(320))
        purse.close(may_ask=True)

        assert (len(reads), len(writes)) == (1, 0)

    def test_two_workers_at_once_never_spend_a_point_twice(self, house: House) -> None:
        measure(house, "150")
        one, other = house.balance().purse(100), house.balance().purse(100)

        paid = [[purse.pays("castello", Decimal(1)) for _ in range(100)] for purse in (one, other)]

        assert [sum(each) for each in paid] == [100, 50]

    def test_what_was_not_spent_is_there_for_others_when_the_slice_ends(self, house: House) -> None:
        measure(house, "150")
        one = house.balance().purse(100)
        assert one.pays("castello", Decimal(1))

        one.close(may_ask=False)

        other = house.balance().purse(200)
        assert sum(other.pays("castello", Decimal(1)) for _ in range(200)) == 149

    def test_what_was_spent_is_gone_until_it_is_measured(self, house: House) -> None:
        measure(house, "150")
        one = house.balance().purse(100)
        assert all(one.pays("castello", Decimal(1)) for _ in range(100))
        one.close(may_ask=False)
        assert house.balance().purse(99).pays("castello", Decimal(1))

        left = state(house)["credit"] - state(house)["spent"]
        measure(house, "120")  # Somebody canceled twenty, or a call came to nothing.

        assert left == 50
        assert "spent" not in state(house)
        assert state(house)["credit"] == 120

    def test_an_answer_that_states_the_credit_knows_of_what_was_spent_before(self, house: House) -> None:
        measure(house, "150")
        purse = house.balance().purse(100)
        assert all(purse.pays("castello", Decimal(1)) for _ in range(100))
        house.later(seconds=1)
        answer(purse, accepted(50), asked_at=NOON + SECOND / 2)

        purse.close(may_ask=False)

        assert state(house)["credit"] == 50
        assert "spent" not in state(house)
        assert "holds" not in state(house)

    def test_a_worker_that_was_killed_holds_its_points_for_two_minutes(self, house: House) -> None:
        measure(house, "100")
        assert house.balance().purse(100).pays("castello", Decimal(1))
        assert not house.balance().purse(2).pays("castello", Decimal(1))

        house.later(minutes=2)

        assert house.balance().purse(2).pays("castello", Decimal(1))

    def test_nobody_waits_for_an_old_measurement(self, house: House) -> None:
        measure(house, "0")
        house.later(minutes=5)
        house.wire.say("castello.example/credit", "5000")
        purse = house.balance().purse(2)
        assert not purse.pays("castello", Decimal(1))

        purse.close(may_ask=True)

        assert state(house)["credit"] == 5000
        assert house.balance().purse(2).pays("castello", Decimal(1))

    def test_the_provider_is_asked_again_once_a_minute_and_only_where_there_is_time(self, house: House) -> None:
        measure(house, "0")
        house.wire.say("castello.example/credit", "1", "2")
        asked = []

        for later, may_ask in ((30, True), (40, False), (0, True), (0, True), (61, True)):
            house.later(seconds=later)
            purse = house.balance().purse(2)
            purse.pays("castello", Decimal(5))
            purse.close(may_ask=may_ask)
            asked.append(len(house.wire.calls("castello.example/credit")) - 1)

        assert asked == [0, 0, 1, 1, 2]

    def test_a_password_that_was_refused_is_not_tried_for_it(self, house: House) -> None:
        measure(house, "0")
        house.suspensions.suspend("castello", Reason(Code.BAD_CREDENTIALS), "v1")
        house.later(minutes=2)
        purse = house.balance().purse(2)
        assert not purse.pays("castello", Decimal(1))

        purse.close(may_ask=True)

        assert len(house.wire.calls("castello.example/credit")) == 1

    def test_a_provider_that_cannot_be_asked_is_used_again_when_its_last_word_is_old(self, house: House) -> None:
        measure(house, "0")
        house.later(minutes=2)
        house.wire.say("castello.example/credit", not_sent())
        purse = house.balance().purse(2)
        assert not purse.pays("castello", Decimal(1))

        purse.close(may_ask=True)

        assert not house.balance().purse(2).pays("castello", Decimal(1))
        house.later(minutes=19)
        assert house.balance().purse(2).pays("castello", Decimal(1))


def test_a_dozen_workers_at_a_table_of_real_races_never_spend_a_point_twice(atomic_house: House) -> None:
    atomic_house.enabled = ("castello",)
    measure(atomic_house, "137")
    paid: list[int] = []

    def work() -> None:
        purse = atomic_house.balance().purse(20)
        paid.append(sum(purse.pays("castello", Decimal(1)) for _ in range(20)))

    workers = [Thread(target=work) for _ in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(paid) == 137


class TestTheForecastAndTheDay:
    def test_hours_left_come_of_every_measurement_and_are_told(self, house: House) -> None:
        measure(house, "1000")
        house.later(hours=1)
        answers(house, 900)

        assert state(house)["hours_left"] == 9

    def test_the_movement_of_a_day_that_is_over_goes_into_its_account(self, house: House) -> None:
        measure(house, "1000")
        house.later(hours=1)
        measure(house, "900")
        house.later(hours=1)
        measure(house, "5900")
        house.later(hours=10)
        day = (NOON + timedelta(hours=8)).date()
        assert house.daybook.account("castello", day) is None

        measure(house, "5000")

        account = house.daybook.account("castello", day) or {}
        assert {name: account[name] for name in ("began", "ended", "fallen", "risen")} == {
            "began": 1000,
            "ended": 5900,
            "fallen": 100,
            "risen": 5000,
        }
        assert (state(house)["began"], state(house)["fallen"]) == (5900, 900)

    def test_what_is_known_comes_back_out_of_the_table_as_it_went_in(self, house: House) -> None:
        measure(house, "60")
        house.later(hours=2)
        answers(house, 40)
        assert house.balance().purse(50).pays("castello", Decimal(1))
        known = house.balance().known("castello")
        assert known is not None
        assert known.holds

        house.balance().purse(2).pays("castello", Decimal(10**3))
        written = house.balance().known("castello")

        assert written == replace(known, version=known.version)


def test_the_metric_is_told_for_the_provider_by_whoever_measured(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.flush()
    capsys.readouterr()
    answers(house, 250)

    telemetry.flush()

    (line,) = [line for line in capsys.readouterr().out.splitlines() if '"Credit"' in line]
    assert '"provider": "castello"' in line
    assert '"Credit": 250.0' in line
