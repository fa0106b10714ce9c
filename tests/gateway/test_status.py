"""Which status may follow which: the whole table."""

from __future__ import annotations

import pytest

from smsgate.status import Status, report_moves

OPEN = [Status.ACCEPTED, Status.SENDING, Status.SCHEDULED, Status.SENT]
REPORTED_FINAL = [Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED, Status.CANCELED]
LOCKED = [*REPORTED_FINAL, Status.REJECTED, Status.FAILED]


def test_exactly_the_contracts_four_statuses_are_not_final() -> None:
    assert {status for status in Status if not status.is_final} == set(OPEN)


@pytest.mark.parametrize("current", OPEN)
@pytest.mark.parametrize("reported", REPORTED_FINAL)
def test_a_final_report_ends_whatever_is_open(current: Status, reported: Status) -> None:
    assert report_moves(current, reported, is_later=False)


@pytest.mark.parametrize(("place", "current"), list(enumerate(OPEN)))
def test_a_report_never_moves_a_message_back(place: int, current: Status) -> None:
    earlier = OPEN[: place + 1]

    assert not any(report_moves(current, reported, is_later=True) for reported in earlier)


@pytest.mark.parametrize("current", [Status.UNCONFIRMED, Status.DOUBTFUL])
@pytest.mark.parametrize("reported", [Status.SENT, *REPORTED_FINAL])
def test_whatever_is_learnt_of_a_message_nobody_knew_about_counts(current: Status, reported: Status) -> None:
    assert report_moves(current, reported, is_later=False)


@pytest.mark.parametrize("current", LOCKED)
@pytest.mark.parametrize("reported", [*OPEN, *LOCKED, Status.UNCONFIRMED, Status.DOUBTFUL])
def test_a_final_status_stays_but_for_a_later_contradiction_of_delivery(current: Status, reported: Status) -> None:
    contradicts = {current, reported} == {Status.DELIVERED, Status.UNDELIVERED}

    assert not report_moves(current, reported, is_later=False)
    assert report_moves(current, reported, is_later=True) == contradicts
