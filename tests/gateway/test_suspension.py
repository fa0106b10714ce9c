"""Suspended providers: everybody leaves them alone, one worker at a time tries again, success frees them for all."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest

from smsgate.reasons import SUSPENDING, Code, Reason
from smsgate.suspension import Suspension, Suspensions
from tests.gateway.examples import NOON
from tests.gateway.house import House, record, wake_up
from tests.gateway.plainline import not_sent

EMPTY = Reason(Code.CREDIT_EXHAUSTED, "00012", "no credit")
PASSWORD = Reason(Code.BAD_CREDENTIALS)
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


def test_of_many_workers_at_the_same_moment_one_has_the_turn(house: House) -> None:
    house.suspensions.suspend("plainline", EMPTY, "v1")
    house.later(minutes=5)
    start = Barrier(8)
    turns = []

    def worker() -> None:
        suspensions = house.suspensions
        start.wait()
        turns.append(tries(suspensions))

    workers = [Thread(target=worker) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert sorted(turns) == [False] * 7 + [True]


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

        assert house.suspensions.obstacle("plainline", "v2") is not None
        assert tries(house.suspensions, "v3")


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
