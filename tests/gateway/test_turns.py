"""Turns at a provider: as many in any stretch of time as the rate allows and as early as that, for each lane."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from smsgate.messages import Lane
from smsgate.policy import Rate
from smsgate.turns import Turns
from tests.gateway.examples import MINUTE, NOON, SECOND

TEN_A_SECOND = Rate(10, SECOND)

lanes = st.sampled_from(Lane)
rates = st.builds(
    Rate,
    st.integers(min_value=1, max_value=60),
    st.integers(min_value=1, max_value=3_000).map(lambda ms: timedelta(milliseconds=ms)),
)
calls = st.lists(
    st.tuples(st.integers(min_value=0, max_value=4_000), st.integers(min_value=1, max_value=40), lanes),
    min_size=1,
    max_size=25,
)
"""Milliseconds since the call before, messages, whose."""


def ask(asked: list[tuple[int, int, Lane]], rate: Rate) -> tuple[list[tuple[Lane, datetime]], Turns]:
    turns, now = Turns(), NOON
    given_out: list[tuple[Lane, datetime]] = []
    for waited, count, lane in asked:
        now += timedelta(milliseconds=waited)
        moments, turns = turns.allot(count, rate, lane, now)
        assert len(moments) == count
        assert moments == sorted(moments)
        assert moments[0] >= now
        given_out += [(lane, moment) for moment in moments]
    return given_out, turns


@given(asked=calls, rate=rates)
def test_no_stretch_of_time_holds_more_turns_than_the_rate_allows_wherever_it_begins(
    asked: list[tuple[int, int, Lane]], rate: Rate
) -> None:
    given_out, _ = ask(asked, rate)

    moments = sorted(moment for _, moment in given_out)
    for first, one_too_many in zip(moments, moments[rate.messages :], strict=False):
        assert one_too_many - first >= rate.per


@given(asked=calls, rate=rates)
def test_turns_of_a_campaign_are_given_in_the_order_in_which_they_are_asked_for(
    asked: list[tuple[int, int, Lane]], rate: Rate
) -> None:
    given_out, _ = ask(asked, rate)

    bulk = [moment for lane, moment in given_out if lane is Lane.BULK]
    assert bulk == sorted(bulk)


@given(asked=calls, rate=rates)
def test_what_is_remembered_of_them_stays_small(asked: list[tuple[int, int, Lane]], rate: Rate) -> None:
    _, turns = ask(asked, rate)

    for remembered in (turns.common, turns.kept):
        assert len(remembered) <= 52
        assert sum(each.count for each in remembered) <= rate.messages


def test_nor_does_it_grow_with_the_rate() -> None:
    five_thousand_a_minute, turns, now = Rate(5_000, MINUTE), Turns(), NOON

    for _ in range(2_000):
        now += SECOND / 50
        _, turns = turns.allot(1, five_thousand_a_minute, Lane.BULK, now)

    assert len(turns.common) <= 52


def test_whoever_comes_first_has_a_whole_stretch_of_them_at_once() -> None:
    moments, _ = Turns().allot(25, TEN_A_SECOND, Lane.URGENT, NOON)

    assert moments == [NOON] * 10 + [NOON + SECOND] * 10 + [NOON + 2 * SECOND] * 5


def test_whoever_comes_later_comes_behind() -> None:
    _, turns = Turns().allot(12, TEN_A_SECOND, Lane.BULK, NOON)

    moments, _ = turns.allot(6, TEN_A_SECOND, Lane.BULK, NOON + SECOND / 2)

    assert moments == [NOON + SECOND] * 4 + [NOON + 2 * SECOND] * 2


def test_a_quiet_stretch_leaves_room_for_all_again() -> None:
    _, turns = Turns().allot(10, TEN_A_SECOND, Lane.URGENT, NOON)

    moments, _ = turns.allot(10, TEN_A_SECOND, Lane.URGENT, NOON + SECOND)

    assert moments == [NOON + SECOND] * 10


def test_a_password_does_not_wait_behind_the_turns_a_campaign_has_taken() -> None:
    campaign, turns = Turns().allot(1_000, TEN_A_SECOND, Lane.BULK, NOON)

    passwords, turns = turns.allot(3, TEN_A_SECOND, Lane.URGENT, NOON)

    assert campaign[-1] == NOON + 124 * SECOND
    assert passwords == [NOON] * 2 + [NOON + SECOND]


def test_passwords_have_all_of_the_rate_where_nothing_else_is_sent_and_a_campaign_four_fifths_of_it() -> None:
    passwords, _ = Turns().allot(100, TEN_A_SECOND, Lane.URGENT, NOON)
    campaign, _ = Turns().allot(100, TEN_A_SECOND, Lane.BULK, NOON)

    assert passwords[-1] == NOON + 9 * SECOND
    assert campaign[-1] == NOON + 12 * SECOND


def test_a_rate_of_one_is_everybodys() -> None:
    one = Rate(1, SECOND)

    campaign, turns = Turns().allot(2, one, Lane.BULK, NOON)
    password, _ = turns.allot(1, one, Lane.URGENT, NOON)

    assert (campaign, password) == ([NOON, NOON + SECOND], [NOON + 2 * SECOND])


def test_a_trickle_far_below_the_rate_never_waits() -> None:
    thousand_a_minute, turns, now = Rate(1_000, MINUTE), Turns(), NOON

    for _ in range(3_000):
        now += SECOND
        moments, turns = turns.allot(1, thousand_a_minute, Lane.BULK, now)

        assert moments == [now]


def test_a_rate_that_is_lowered_holds_for_what_was_given_out_before() -> None:
    _, turns = Turns().allot(10, TEN_A_SECOND, Lane.URGENT, NOON)
    two_a_second = Rate(2, SECOND)

    moments, _ = turns.allot(3, two_a_second, Lane.URGENT, NOON + SECOND / 2)

    assert moments == [NOON + SECOND] * 2 + [NOON + 2 * SECOND]


def test_a_clock_that_is_behind_gives_no_turn_before_those_that_were_given() -> None:
    _, turns = Turns().allot(5, TEN_A_SECOND, Lane.BULK, NOON)

    moments, _ = turns.allot(4, TEN_A_SECOND, Lane.BULK, NOON - SECOND / 2)

    assert moments == [NOON] * 3 + [NOON + SECOND]
