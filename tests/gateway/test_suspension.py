"""Suspended providers: everybody leaves them alone, one worker at a time tries again, success frees them for all."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from threading import Barrier, Thread
from uuid import uuid4

import pytest

from smsgate.policy import SlowReceipts
from smsgate.reasons import SUSPENDING, Code, Reason
from smsgate.routing import Obstacle
from smsgate.suspension import Suspension, Suspensions
from tests.gateway.examples import NOON
from tests.gateway.house import House, record, wake_up
from tests.gateway.plainline import not_sent

EMPTY = Reason(Code.CREDIT_EXHAUSTED, "00012", "no credit")
PASSWORD = Reason(Code.BAD_CREDENTIALS)
SILENT = Reason(Code.NO_REPLY)
GONE = Reason(Code.PROVIDER_UNREACHABLE)
NEEDS_NEW_SECRET = [Code.BAD_CREDENTIALS, Code.ACCOUNT_DISABLED]
MENDS_ITSELF = sorted(SUSPENDING - set(NEEDS_NEW_SECRET))


def known(house: House) -> Suspension:
    suspension = house.suspensions.read("plainline")
    assert suspension is not None
    return suspension


def tries(suspensions: Suspensions, secret_version: str = "v1") -> bool:
    """What the sender does with a message that would go there: does it, as things stand?"""
    obstacle = suspensions.obstacle("plainline", secret_version)
    return obstacle is None or (obstacle.trial and suspensions.take_trial("plainline", secret_version))


def test_a_provider_nobody_suspended_is_no_obstacle(house: House) -> None:
    assert house.suspensions.read("plainline") is None
    assert house.suspensions.obstacle("plainline", "v1") is None
    assert not house.suspensions.forbids_questions("plainline", "v1")


def test_a_suspended_one_stands_in_everybodys_way_with_the_reason_and_the_time_of_another_look(house: House) -> None:
    house.suspensions.suspend("plainline", EMPTY, "v1")

    obstacle = house.suspensions.obstacle("plainline", "v1")

    assert obstacle is not None
    assert obstacle.reason == EMPTY
    assert obstacle.until == NOON + timedelta(minutes=5)
    assert house.suspensions.obstacle("castello", "v1") is None


def test_noticed_again_it_stays_suspended_since_the_first_time(house: House) -> None:
    house.suspensions.suspend("plainline", EMPTY, "v1")
    house.later(minutes=3)

    house.suspensions.suspend("plainline", EMPTY, "v1")

    assert known(house).since == NOON
    assert known(house).retry_at == NOON + timedelta(minutes=8)


@pytest.mark.parametrize("code", MENDS_ITSELF)
class TestWhatMendsItself:
    def test_is_tried_again_by_one_worker_when_its_time_has_come(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")
        house.later(minutes=5)

        turns = [tries(house.suspensions) for _ in range(5)]

        assert turns == [True, False, False, False, False]

    def test_is_tried_again_after_a_trial_that_came_to_nothing(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")

        turns = []
        for _ in range(12):
            house.later(minutes=1)
            turns.append(tries(house.suspensions))
            if turns[-1]:
                house.suspensions.suspend("plainline", Reason(code), "v1")

        assert turns == [False] * 4 + [True] + [False] * 4 + [True] + [False] * 2

    def test_is_tried_again_soon_where_the_worker_with_the_trial_was_lost(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")
        house.later(minutes=5)

        turns = []
        for _ in range(5):
            turns.append(tries(house.suspensions))
            house.later(seconds=30)

        assert turns == [True, False, True, False, True]

    def test_may_still_be_asked_questions(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")

        assert not house.suspensions.forbids_questions("plainline", "v1")


def test_of_many_workers_at_the_same_moment_one_has_the_turn(atomic_house: House) -> None:
    provider = f"raced-{uuid4()}"
    atomic_house.suspensions.suspend(provider, EMPTY, "v1")
    atomic_house.later(minutes=5)
    start = Barrier(8)
    turns = []

    def worker() -> None:
        suspensions = atomic_house.suspensions
        start.wait()
        turns.append(suspensions.take_trial(provider, "v1"))

    workers = [Thread(target=worker) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert sorted(turns) == [False] * 7 + [True]


class TestATrial:
    def test_is_offered_to_all_who_look_and_looking_takes_nothing(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        before = known(house)

        seen = [house.suspensions.obstacle("plainline", "v1") for _ in range(3)]

        assert [obstacle and obstacle.trial for obstacle in seen] == [True] * 3
        assert known(house) == before

    def test_is_one_message_alone_until_it_is_known_what_came_of_it(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        trying = house.suspensions
        assert trying.take_trial("plainline", "v1")

        again = [suspensions.take_trial("plainline", "v1") for suspensions in (trying, house.suspensions)]
        obstacle = house.suspensions.obstacle("plainline", "v1")

        assert again == [False, False]
        assert obstacle is not None
        assert (obstacle.reason, obstacle.trial) == (EMPTY, False)
        assert obstacle.until == house.now + timedelta(minutes=1)

    def test_is_not_needed_any_more_once_another_worker_has_resumed_the_provider(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        assert house.suspensions.obstacle("plainline", "v1") is not None
        trying = house.suspensions
        trying.take_trial("plainline", "v1")
        trying.worked("plainline")

        assert house.suspensions.take_trial("plainline", "v1")

    def test_that_was_offered_before_the_secret_was_refused_or_the_provider_held_is_not_given(
        self, house: House
    ) -> None:
        for end in (
            lambda: house.suspensions.suspend("plainline", PASSWORD, "v1"),
            lambda: house.suspensions.by_operator("plainline", "maintenance"),
        ):
            house.suspensions.resume("plainline")
            house.suspensions.suspend("plainline", EMPTY, "v1")
            house.later(minutes=5)
            offered = house.suspensions.obstacle("plainline", "v1")
            assert offered is not None
            assert offered.trial
            end()
            house.later(minutes=10)

            assert not house.suspensions.take_trial("plainline", "v1")

    def test_that_meets_a_broken_wire_leaves_the_reason_and_moves_the_next_on(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        trying = house.suspensions
        trying.take_trial("plainline", "v1")

        obstacle = trying.failed("plainline", SILENT, "v1")

        assert obstacle is not None
        assert (obstacle.reason, obstacle.until) == (EMPTY, house.now + timedelta(minutes=5))
        assert known(house).retry_at == obstacle.until


@pytest.mark.parametrize("code", NEEDS_NEW_SECRET)
class TestWhatNeedsANewSecret:
    def test_is_never_tried_with_the_one_that_was_refused(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")

        for hours in range(0, 200, 8):
            house.now = NOON + timedelta(hours=hours)
            assert house.suspensions.obstacle("plainline", "v1") is not None

        assert house.suspensions.forbids_questions("plainline", "v1")

    def test_is_tried_at_once_with_a_new_one_by_one_worker(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")

        turns = [tries(house.suspensions, "v2") for _ in range(4)]

        assert turns == [True, False, False, False]
        assert not house.suspensions.forbids_questions("plainline", "v2")

    def test_is_tried_again_with_the_new_one_after_a_trial_that_came_to_nothing(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")
        assert tries(house.suspensions, "v2")

        house.later(minutes=4)
        assert house.suspensions.obstacle("plainline", "v2") is not None
        house.later(minutes=1)
        assert tries(house.suspensions, "v2")

    def test_is_left_alone_again_once_the_new_one_is_refused_too(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")
        tries(house.suspensions, "v2")

        house.suspensions.suspend("plainline", Reason(code), "v2")
        house.later(hours=1)

        # Workers that still know the older secret do not take turns with those that know the newer one.
        assert not tries(house.suspensions, "v1")
        assert not tries(house.suspensions, "v2")
        assert tries(house.suspensions, "v3")

    def test_stays_closed_to_the_refused_one_when_the_new_one_works(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")
        trying = house.suspensions
        assert tries(trying, "v2")

        trying.worked("plainline")

        assert house.suspensions.obstacle("plainline", "v2") is None
        refused = house.suspensions.obstacle("plainline", "v1")
        assert refused is not None
        assert not refused.trial
        assert house.suspensions.forbids_questions("plainline", "v1")

    def test_is_not_tried_by_turns_when_the_worker_with_the_trial_is_lost(self, house: House, code: Code) -> None:
        house.suspensions.suspend("plainline", Reason(code), "v1")

        turns = []
        for _ in range(11):
            turns.append(tries(house.suspensions, "v2"))
            house.later(minutes=1)

        assert turns == [True, *[False] * 4, True, *[False] * 4, True]


class TestSuccess:
    def test_of_the_worker_that_tried_frees_the_provider_for_everybody(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        trying = house.suspensions
        assert tries(trying)

        trying.worked("plainline")

        assert not known(house).active
        assert known(house).since == house.now
        assert [house.suspensions.obstacle("plainline", "v1") for _ in range(3)] == [None] * 3

    def test_of_a_worker_that_did_not_try_it_says_nothing_and_reads_nothing(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        bystander = house.suspensions
        monkeypatch.setattr(bystander, "read", None)

        bystander.worked("plainline")

        assert known(house).active

    def test_is_told_once(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        trying = house.suspensions
        tries(trying)

        trying.worked("plainline")
        version = known(house).version
        trying.worked("plainline")

        assert known(house).version == version

    def test_ends_what_can_begin_again(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        trying = house.suspensions
        tries(trying)
        trying.worked("plainline")
        house.later(minutes=1)

        house.suspensions.suspend("plainline", PASSWORD, "v1")

        assert known(house).active
        assert known(house).since == NOON + timedelta(minutes=6)


def test_a_password_that_was_mended_works_even_where_the_first_trial_met_a_broken_wire(house: House) -> None:
    house.wire.say("/send", "ERR password")
    house.handle(record())
    house.vault.versions["plainline"] = "v2"
    house.wire.say("/send", not_sent())
    house.later(minutes=10)
    house.handle(wake_up(house.one().message_id))
    assert house.one().attempts[-1].outcome == "not_sent"

    house.later(minutes=10)
    house.handle(wake_up(house.one().message_id))

    assert house.one().provider_ref == "ref1"
    assert not known(house).active


def fails(suspensions: Suspensions, times: int, reason: Reason = SILENT) -> list[Obstacle | None]:
    return [suspensions.failed("plainline", reason, "v1") for _ in range(times)]


class TestFailures:
    def test_five_in_a_row_suspend_the_provider_with_the_reason_of_the_last(self, house: House) -> None:
        suspensions = house.suspensions

        obstacles = [*fails(suspensions, 4, SILENT), *fails(suspensions, 1, GONE)]

        assert obstacles == [None] * 4 + [Obstacle(GONE, NOON + timedelta(minutes=1))]
        assert (known(house).active, known(house).reason) == (True, GONE)

    def test_are_counted_over_all_workers(self, house: House) -> None:
        for _ in range(4):
            fails(house.suspensions, 1)
        assert house.suspensions.read("plainline") is None

        fails(house.suspensions, 1)

        assert known(house).active

    @pytest.mark.parametrize("code", [Code.RATE_LIMITED, Code.UNKNOWN, Code.BAD_CREDENTIALS, Code.INVALID_NUMBER])
    def test_are_no_delays_of_our_own_and_nothing_about_one_message(self, house: House, code: Code) -> None:
        fails(house.suspensions, 20, Reason(code))

        assert house.suspensions.read("plainline") is None

    def test_far_apart_are_no_row(self, house: House) -> None:
        for _ in range(20):
            fails(house.suspensions, 1)
            house.later(minutes=11)

        assert house.suspensions.read("plainline") is None

    def test_of_one_message_that_is_tried_again_alone_are_a_row(self, house: House) -> None:
        for seconds in (30, 60, 120, 300, 600):  # as the dispatcher tries again
            fails(house.suspensions, 1)
            house.later(seconds=seconds)

        assert known(house).active

    def test_begin_anew_after_a_success_of_the_same_worker(self, house: House) -> None:
        suspensions = house.suspensions
        for _ in range(5):
            fails(suspensions, 4)
            suspensions.worked("plainline")

        assert house.suspensions.read("plainline") is None

    def test_of_one_call_in_a_hundred_never_suspend_at_high_volume(self, house: House) -> None:
        random = Random(11)
        workers = [house.suspensions for _ in range(20)]

        failures = 0
        for _ in range(10_000):
            worker = random.choice(workers)
            if random.random() < 0.01:
                failures += 1
                worker.failed("plainline", SILENT, "v1")
            else:
                worker.worked("plainline")

        assert failures > 80
        assert house.suspensions.read("plainline") is None

    def test_of_a_provider_that_died_cost_few_messages_however_many_workers_knew_it_well(self, house: House) -> None:
        random = Random(7)
        workers = [house.suspensions for _ in range(10)]
        for worker in workers:
            worker.worked("plainline")

        lost = 0
        while house.suspensions.obstacle("plainline", "v1") is None:
            lost += 1
            random.choice(workers).failed("plainline", SILENT, "v1")

        assert lost <= len(workers) + 5 + 10  # a worker that fails for the first time begins the row anew

    def test_of_few_workers_cost_less(self, house: House) -> None:
        workers = [house.suspensions, house.suspensions]
        for worker in workers:
            worker.worked("plainline")

        lost = 0
        while house.suspensions.obstacle("plainline", "v1") is None:
            workers[lost % 2].failed("plainline", SILENT, "v1")
            lost += 1

        assert lost == 6

    def test_that_were_under_way_when_it_was_suspended_say_nothing_new(self, house: House) -> None:
        fails(house.suspensions, 5)
        house.later(seconds=20)
        before = known(house)

        obstacles = fails(house.suspensions, 30)

        assert known(house) == before
        assert {obstacle and obstacle.until for obstacle in obstacles} == {house.now + timedelta(minutes=1)}

    def test_of_trials_make_the_pause_longer_up_to_five_minutes(self, house: House) -> None:
        fails(house.suspensions, 5)

        pauses = []
        for _ in range(5):
            began = house.now
            trying = house.suspensions
            while not tries(trying):
                house.later(seconds=15)
            pauses.append(house.now - began)
            trying.failed("plainline", SILENT, "v1")

        assert pauses == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 5, 5)]

    def test_before_it_was_resumed_are_forgotten(self, house: House) -> None:
        fails(house.suspensions, 5)
        house.later(minutes=1)
        trying = house.suspensions
        assert tries(trying)
        trying.worked("plainline")

        assert fails(house.suspensions, 4) == [None] * 4
        assert not known(house).active

    def test_soon_after_it_was_resumed_pause_it_for_longer(self, house: House) -> None:
        pauses = []
        for _ in range(4):
            fails(house.suspensions, 5)
            pauses.append(known(house).pause)
            house.later(minutes=5)
            trying = house.suspensions
            assert tries(trying)
            trying.worked("plainline")
            house.later(minutes=20)

        assert pauses == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 5)]
        assert known(house).relapses == 3

    def test_after_a_good_hour_are_a_new_trouble(self, house: House) -> None:
        fails(house.suspensions, 5)
        house.later(minutes=1)
        trying = house.suspensions
        assert tries(trying)
        trying.worked("plainline")
        house.later(hours=1)

        fails(house.suspensions, 5)

        assert (known(house).relapses, known(house).pause) == (0, timedelta(minutes=1))

    def test_cost_a_success_no_call_to_the_ledger(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        suspensions = house.suspensions
        monkeypatch.setattr(suspensions, "_ledger", None)

        suspensions.worked("plainline")

    def test_of_credentials_and_credit_are_a_worse_trouble(self, house: House) -> None:
        fails(house.suspensions, 5)
        house.later(seconds=30)

        house.suspensions.suspend("plainline", PASSWORD, "v1")

        assert (known(house).reason, known(house).since) == (PASSWORD, house.now)
        assert house.suspensions.forbids_questions("plainline", "v1")


class TestCreditSeen:
    def test_lets_a_message_try_at_once(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")
        assert not tries(house.suspensions)

        house.suspensions.credit_seen("plainline", Decimal("0.5"))

        assert [tries(house.suspensions) for _ in range(3)] == [True, False, False]

    @pytest.mark.parametrize("credit", [0, -3])
    def test_does_not_where_there_is_none(self, house: House, credit: int) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")

        house.suspensions.credit_seen("plainline", Decimal(credit))

        assert not tries(house.suspensions)

    @pytest.mark.parametrize("reason", [PASSWORD, Reason(Code.IP_NOT_ALLOWED), SILENT])
    def test_mends_nothing_else(self, house: House, reason: Reason) -> None:
        house.suspensions.suspend("plainline", reason, "v1")

        house.suspensions.credit_seen("plainline", Decimal(500))

        assert not tries(house.suspensions)

    def test_of_a_provider_that_is_well_writes_nothing(self, house: House) -> None:
        house.suspensions.credit_seen("plainline", Decimal(500))

        assert house.suspensions.read("plainline") is None


SLOW = SlowReceipts(timedelta(minutes=2), 0.5, 10)


class TestReportsThatDoNotCome:
    def suspensions(self, house: House) -> Suspensions:
        return Suspensions(house.ledger, house.clock, lambda: SLOW)

    def test_of_half_of_what_it_took_make_it_second_choice(self, house: House) -> None:
        self.suspensions(house).sent("plainline", 30, NOON)
        house.later(minutes=3)

        for count in (9, 5):
            self.suspensions(house).late("plainline", count, NOON)
            assert house.suspensions.obstacle("plainline", "v1") is None
        self.suspensions(house).late("plainline", 1, NOON)

        obstacle = house.suspensions.obstacle("plainline", "v1")
        assert obstacle is not None
        assert (obstacle.soft, obstacle.trial) == (True, False)
        assert obstacle.reason == Reason(
            Code.NO_REPORT, provider_text="15 of 30 messages have no report after 120 seconds"
        )

    def test_of_a_few_prove_nothing(self, house: House) -> None:
        self.suspensions(house).sent("plainline", 9, NOON)

        self.suspensions(house).late("plainline", 9, NOON)

        assert house.suspensions.obstacle("plainline", "v1") is None

    def test_are_held_against_what_was_sent_in_the_same_ten_minutes(self, house: House) -> None:
        earlier, later = NOON, NOON + timedelta(minutes=10)
        self.suspensions(house).sent("plainline", 1000, earlier)
        self.suspensions(house).sent("plainline", 20, later)

        self.suspensions(house).late("plainline", 10, earlier)
        assert house.suspensions.obstacle("plainline", "v1") is None
        self.suspensions(house).late("plainline", 10, later + timedelta(minutes=9))

        assert house.suspensions.obstacle("plainline", "v1") is not None

    def test_are_not_counted_where_the_operator_did_not_ask_for_it(self, house: House) -> None:
        house.suspensions.sent("plainline", 30, NOON)
        house.suspensions.late("plainline", 30, NOON)

        assert house.suspensions.read("plainline") is None
        assert self.suspensions(house).obstacle("plainline", "v1") is None

    def test_are_forgiven_after_a_quarter_of_an_hour_by_the_next_message(self, house: House) -> None:
        self.suspensions(house).late("plainline", 10, NOON)
        house.later(minutes=14)
        assert not tries(house.suspensions)
        house.later(minutes=1)

        assert tries(house.suspensions)

        assert not known(house).active
        assert house.suspensions.obstacle("plainline", "v1") is None

    def test_of_before_that_are_not_held_against_it_again(self, house: House) -> None:
        self.suspensions(house).late("plainline", 10, NOON)
        house.later(minutes=15)
        tries(house.suspensions)

        self.suspensions(house).late("plainline", 50, NOON + timedelta(minutes=14))

        assert not known(house).active

    def test_again_soon_make_it_second_choice_for_longer_up_to_an_hour(self, house: House) -> None:
        pauses = []
        for _ in range(4):
            house.later(minutes=5)
            self.suspensions(house).late("plainline", 10, house.now)
            pauses.append(known(house).pause)
            house.now = known(house).retry_at
            assert tries(house.suspensions)

        assert pauses == [timedelta(minutes=minutes) for minutes in (15, 30, 60, 60)]

    def test_are_not_mended_by_a_message_it_takes_or_another_secret(self, house: House) -> None:
        self.suspensions(house).late("plainline", 10, NOON)
        house.later(minutes=1)

        house.suspensions.worked("plainline")
        house.suspensions.answered("plainline", house.now)

        assert known(house).active
        assert not tries(house.suspensions, "v2")

    def test_do_not_hide_that_it_fails_when_it_is_used_all_the_same(self, house: House) -> None:
        self.suspensions(house).late("plainline", 10, NOON)

        fails(house.suspensions, 5)

        obstacle = house.suspensions.obstacle("plainline", "v1")
        assert obstacle is not None
        assert (obstacle.reason, obstacle.soft) == (SILENT, False)

    def test_do_not_hide_a_worse_trouble(self, house: House) -> None:
        house.suspensions.suspend("plainline", EMPTY, "v1")

        self.suspensions(house).late("plainline", 10, NOON)

        assert known(house).reason == EMPTY


class TestAnOperator:
    def test_suspends_a_provider_and_says_why(self, house: House) -> None:
        house.suspensions.by_operator("plainline", "maintenance tonight")

        obstacle = house.suspensions.obstacle("plainline", "v1")

        assert obstacle is not None
        assert obstacle.reason == Reason(Code.NO_ROUTE, provider_text="suspended by the operator: maintenance tonight")

    def test_is_not_overruled_by_time_another_secret_credit_or_a_message_that_was_under_way(self, house: House) -> None:
        trying = house.suspensions
        house.suspensions.suspend("plainline", EMPTY, "v1")
        house.later(minutes=5)
        assert tries(trying)
        house.suspensions.by_operator("plainline", "maintenance")

        trying.worked("plainline")
        house.suspensions.answered("plainline", house.now + timedelta(seconds=1))
        house.suspensions.credit_seen("plainline", Decimal(500))
        house.suspensions.suspend("plainline", EMPTY, "v1")
        fails(house.suspensions, 10)
        house.later(hours=30)

        assert not tries(house.suspensions, "v1")
        assert not tries(house.suspensions, "v2")
        assert known(house).reason.provider_text == "suspended by the operator: maintenance"

    def test_says_it_once(self, house: House) -> None:
        house.suspensions.by_operator("plainline", "maintenance")
        before = known(house)

        house.suspensions.by_operator("plainline", "maintenance")

        assert known(house) == before

    def test_resumes_it_for_everybody(self, house: House) -> None:
        house.suspensions.by_operator("plainline", "maintenance")

        house.suspensions.resume("plainline")

        assert house.suspensions.obstacle("plainline", "v1") is None
        assert not known(house).held

    @pytest.mark.parametrize("reason", [EMPTY, SILENT, Reason(Code.NO_REPORT), Reason(Code.IP_NOT_ALLOWED)])
    def test_resumes_what_nobody_held_as_well(self, house: House, reason: Reason) -> None:
        house.suspensions.suspend("plainline", reason, "v1")

        house.suspensions.resume("plainline")

        assert house.suspensions.obstacle("plainline", "v1") is None

    @pytest.mark.parametrize("held", [False, True])
    @pytest.mark.parametrize("code", NEEDS_NEW_SECRET)
    def test_has_a_refused_secret_tried_with_one_message_first(self, house: House, code: Code, held: bool) -> None:
        if held:
            house.suspensions.by_operator("plainline", "maintenance")
        house.suspensions.suspend("plainline", Reason(code), "v1")
        house.later(minutes=1)

        house.suspensions.resume("plainline")

        assert known(house).reason.code in NEEDS_NEW_SECRET
        trying = house.suspensions
        assert [tries(trying), tries(trying), tries(house.suspensions)] == [True, False, False]
        trying.worked("plainline")
        assert house.suspensions.obstacle("plainline", "v1") is None

    def test_does_not_have_a_secret_tried_that_was_refused_while_the_provider_was_held(self, house: House) -> None:
        house.suspensions.by_operator("plainline", "maintenance")

        house.suspensions.suspend("plainline", PASSWORD, "v1")

        assert house.suspensions.forbids_questions("plainline", "v1")
        assert not house.suspensions.forbids_questions("plainline", "v2")

    def test_resuming_what_is_well_changes_nothing(self, house: House) -> None:
        house.suspensions.resume("plainline")

        assert house.suspensions.read("plainline") is None
