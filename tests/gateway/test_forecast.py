"""The forecast: what lies there divided by the pace of the last day, whenever it was measured and however often."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.forecast import WINDOW, Use
from tests.gateway.examples import NOON

HOUR = timedelta(hours=1)

gaps = st.lists(st.integers(1, 40_000).map(lambda seconds: timedelta(seconds=seconds)), min_size=1, max_size=60)
falls = st.lists(st.decimals(0, 100_000, places=2), min_size=1, max_size=60)


def used(*steps: tuple[timedelta, int]) -> Use:
    """Measured at noon first, then after each of these times with so many points less."""
    use, at = Use().measured(NOON, Decimal(0)), NOON
    for later, points in steps:
        at += later
        use = use.measured(at, Decimal(points))
    return use


def test_a_hundred_points_an_hour_empty_a_thousand_in_ten() -> None:
    use = used((HOUR, 100), (HOUR, 100))

    assert use.hours_left(Decimal(1000), NOON + 2 * HOUR) == 10


def test_an_account_that_was_never_measured_or_never_used_has_no_forecast() -> None:
    assert Use().hours_left(Decimal(1000), NOON) is None
    assert used((HOUR, 0)).hours_left(Decimal(1000), NOON + HOUR) is None


def test_an_empty_account_has_no_hours_left_and_an_overdrawn_one_neither() -> None:
    use = used((HOUR, 100))

    assert use.hours_left(Decimal(0), NOON + HOUR) == 0
    assert use.hours_left(Decimal(-5), NOON + HOUR) == 0


def test_what_lasts_longer_than_a_year_is_no_forecast() -> None:
    assert used((HOUR, 1)).hours_left(Decimal(10_001), NOON + HOUR) is None
    assert used((HOUR, 1)).hours_left(Decimal(10_000), NOON + HOUR) == 10_000


def test_what_a_few_minutes_used_is_taken_for_the_use_of_an_hour() -> None:
    use = used((timedelta(minutes=5), 100))

    assert use.hours_left(Decimal(900), NOON + timedelta(minutes=5)) == 9


def test_what_was_put_onto_the_account_is_no_use() -> None:
    use = used((HOUR, 100), (HOUR, -5000), (HOUR, 100))

    assert use.hours_left(Decimal(1000), NOON + 3 * HOUR) == Decimal("15.0")  # 200 in three hours


def test_a_busy_day_before_the_last_one_does_not_count() -> None:
    use = used((HOUR, 50_000), *[(HOUR, 10)] * 30)

    assert use.hours_left(Decimal(1000), NOON + 31 * HOUR) == 100


def test_what_nobody_measured_for_days_counts_evenly() -> None:
    use = used((timedelta(days=4), 9600))

    assert use.hours_left(Decimal(1000), NOON + timedelta(days=4)) == 10


def test_of_a_time_that_reaches_back_further_only_the_part_of_the_last_day_counts() -> None:
    use = used((HOUR, 0), (19 * HOUR, 1900), (20 * HOUR, 10))

    # 410 points in the last 24 hours: 4 hours of the 100 an hour, and 10 since.
    assert use.hours_left(Decimal(4100), NOON + 40 * HOUR) == 240


def test_a_quiet_time_since_the_last_measurement_makes_it_last_longer() -> None:
    use = used((HOUR, 100))

    assert use.hours_left(Decimal(1000), NOON + 2 * HOUR) == 20


@given(gaps, st.integers(1, 1000))
def test_a_steady_pace_is_found_whenever_it_was_measured(gaps: list[timedelta], an_hour: int) -> None:
    use, at = Use().measured(NOON, Decimal(0)), NOON
    for gap in gaps:
        at += gap
        use = use.measured(at, Decimal(an_hour) * Decimal(gap // timedelta(seconds=1)) / 3600)

    left = use.hours_left(Decimal(50 * an_hour), at)

    watched = max(min(at - NOON, WINDOW), HOUR) / min(at - NOON, WINDOW)
    assert left == pytest.approx(Decimal(50 * watched), abs=Decimal("0.11")) or (left is None and 50 * watched > 10_000)


@given(gaps, falls, st.decimals(0, 10**9, places=2))
def test_topping_up_changes_the_forecast_by_what_there_is_to_use_alone(
    gaps: list[timedelta], falls: list[Decimal], topped_up: Decimal
) -> None:
    plain, topped = Use().measured(NOON, Decimal(0)), Use().measured(NOON, Decimal(0))
    at = NOON
    for gap, fall in zip(gaps, falls, strict=False):
        at += gap
        plain = plain.measured(at, fall)
        topped = topped.measured(at, fall).measured(at, -topped_up)

    assert topped.hours_left(Decimal(1000), at) == plain.hours_left(Decimal(1000), at)


@given(st.lists(st.integers(1, 7200), max_size=300), falls)
def test_the_curve_stays_short_and_never_falls(seconds: list[int], falls: list[Decimal]) -> None:
    use, at = Use(), NOON
    for place, gap in enumerate(seconds):
        at += timedelta(seconds=gap)
        use = use.measured(at, falls[place % len(falls)])

    curve = [point.used for point in use.points]
    assert len(use.points) <= 50
    assert curve == list(accumulate(curve, max))
    assert all(point.at <= at for point in use.points)


@pytest.mark.parametrize("minutes", [1, 15, 59, 61])
def test_three_days_of_measurements_are_kept_as_one_short_day(minutes: int) -> None:
    step = timedelta(minutes=minutes)
    use = used(*[(step, minutes)] * (3 * 24 * 60 // minutes))

    assert len(use.points) <= 50
    assert use.points[-1].at - use.points[0].at <= WINDOW + 2 * HOUR
    assert use.hours_left(Decimal(6000), use.points[-1].at) == pytest.approx(100, abs=Decimal("0.1"))


@given(gaps, falls, st.decimals(-100, 10**7, places=2))
def test_a_forecast_is_never_negative(gaps: list[timedelta], falls: list[Decimal], credit: Decimal) -> None:
    use, at = Use(), NOON
    for gap, fall in zip(gaps, falls, strict=False):
        at += gap
        use = use.measured(at, fall)

    left = use.hours_left(credit, at)

    assert left is None or 0 <= left <= 10_000


def test_a_time_before_the_last_one_is_taken_for_the_last_one() -> None:
    """An answer that was lower, and overlapped one that came later."""
    use = used((HOUR, 100)).measured(NOON, Decimal(100))

    assert use.points[-1].at == NOON + HOUR
    assert use.hours_left(Decimal(1000), NOON + HOUR) == 5
