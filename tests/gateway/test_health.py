"""What a call says of its provider, whichever way it was made."""

from __future__ import annotations

from datetime import timedelta

import pytest

from smsgate.health import Health
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome
from smsgate.reasons import Code, Reason
from smsgate.suspension import IN_A_ROW, Suspensions
from tests.gateway.house import House

HANDED_OVER = MaybeSent(Reason(Code.NO_REPLY), evidence_within=timedelta(hours=1))
UNREACHABLE = NotSent(Reason(Code.PROVIDER_UNREACHABLE))


def health(house: House, suspensions: Suspensions | None = None) -> Health:
    return Health(house.accounts(), suspensions or house.suspensions)


def is_suspended(house: House) -> bool:
    known = house.suspensions.read("plainline")
    return known is not None and known.active


@pytest.mark.parametrize("success", [Accepted("ref1"), HANDED_OVER], ids=["an answer", "a mail that was handed over"])
def test_failures_with_a_success_between_them_are_no_row(house: House, success: Outcome) -> None:
    worker = health(house)

    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            worker.learn("plainline", [UNREACHABLE], "v1")
        worker.learn("plainline", [success], "v1")
        house.later(minutes=1)

    assert not is_suspended(house)


def test_failures_without_one_are(house: House) -> None:
    worker = health(house)

    for _ in range(IN_A_ROW):
        worker.learn("plainline", [UNREACHABLE], "v1")

    assert is_suspended(house)


@pytest.mark.parametrize(
    ("trouble", "is_over"),
    [(Code.PROVIDER_UNREACHABLE, True), (Code.CREDIT_EXHAUSTED, False), (Code.IP_NOT_ALLOWED, False)],
)
def test_a_mail_that_was_handed_over_ends_failures_and_proves_nothing_of_the_account(
    house: House, trouble: Code, is_over: bool
) -> None:
    house.suspensions.suspend("plainline", Reason(trouble), "v1")
    house.later(minutes=10)
    suspensions = house.suspensions
    assert suspensions.take_trial("plainline", "v1")

    health(house, suspensions).learn("plainline", [HANDED_OVER], "v1")

    assert is_suspended(house) is not is_over


def test_a_mail_that_was_handed_over_by_a_worker_without_the_trial_ends_nothing(house: House) -> None:
    house.suspensions.suspend("plainline", UNREACHABLE.reason, "v1")

    health(house).learn("plainline", [HANDED_OVER], "v1")

    assert is_suspended(house)


def test_a_password_is_proven_by_an_answer_and_not_by_a_mail(house: House) -> None:
    worker = health(house)

    worker.learn("plainline", [HANDED_OVER], "v1")
    assert not worker.is_proven("plainline")
    worker.learn("plainline", [Accepted("ref1")], "v1")
    assert worker.is_proven("plainline")
