"""The measurement of `make callbacks`, at a rate that any machine takes: it counts what is there, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.callbacks import Bench, Made, Told, report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as running:
        yield running


@pytest.fixture(scope="module")
def well(bench: Bench) -> Told:
    return bench.round(rate=20, seconds=0.5)


def test_when_all_is_well_every_callback_is_answered_stored_and_applied(well: Told) -> None:
    assert len(well.calls) == len(well.delivered) == well.stored == len(well.first) + len(well.made)
    assert {call.provider for call in well.calls} == {"twsms", "smsgo", "smsget", "every8d", "meteorsis"}
    assert set(well.answers) == {200}
    assert well.acknowledged == set(well.delivered)
    assert (well.missing, well.not_stored, well.unknown) == ([], 0, [])
    assert set(well.delivered.values()) == {True, False}


def test_with_the_store_failing_nothing_that_was_acknowledged_is_missing(bench: Bench) -> None:
    told = bench.round(rate=10, seconds=4, outage=3.5)

    assert (told.missing, told.not_stored) == ([], 0)
    assert 503 in told.answers
    assert set(told.unknown) == set(told.delivered) - told.acknowledged


def test_an_acknowledged_message_of_another_status_is_missing(well: Told) -> None:
    to = next(iter(well.delivered))

    told = replace(well, statuses={**well.statuses, to: "sent"})

    assert told.missing == told.unknown == [to]


def test_what_nobody_acknowledged_is_unknown_and_not_missing(well: Told) -> None:
    refused = [Made(made.number, made.due, made.answered, 503) for made in (*well.first, *well.made)]

    told = replace(well, first=[], made=refused, statuses=dict.fromkeys(well.statuses, "sent"))

    assert (told.missing, told.not_stored) == ([], 0)
    assert told.unknown == sorted(told.delivered)


def test_what_was_acknowledged_and_is_not_stored_is_counted(well: Told) -> None:
    told = replace(well, stored=well.stored - 2)

    assert told.not_stored == 2


def test_the_report_says_what_is_held_against_the_phones(well: Told) -> None:
    lines = "\n".join(report(well))

    assert f"acknowledged   {len(well.delivered)} messages; missing or wrong 0" in lines


def test_the_report_says_which_process_took_time(well: Told) -> None:
    told = replace(well, cpu={"ReceiptsFunction": 1.5, "CreditsFunction": 0.0})

    lines = "\n".join(report(told))

    assert "ReceiptsFunction" in lines
    assert "CreditsFunction" not in lines


def test_every_invocation_that_was_measured_has_its_duration(well: Told) -> None:
    assert len(well.handled) == len(well.made)
    assert all(0 < seconds < 10 for seconds in well.handled)
