"""Times as vendors are told them: whole steps, in Taipei, never early and never past on arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.clock import MINUTE, SECOND, TAIPEI, due, rounded_up

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "step", "full"),
    [
        ("2026-11-20T12:00:00+08:00", MINUTE, "2026-11-20T12:00:00+08:00"),
        ("2026-11-20T12:00:00.000001+08:00", MINUTE, "2026-11-20T12:01:00+08:00"),
        ("2026-11-20T12:00:00.000001+08:00", SECOND, "2026-11-20T12:00:01+08:00"),
        ("2026-12-31T23:59:59.5+00:00", SECOND, "2027-01-01T00:00:00+00:00"),
        ("2028-02-28T23:59:01-09:30", MINUTE, "2028-02-29T00:00:00-09:30"),
        ("1969-12-31T23:59:59.1+00:00", SECOND, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_a_time_is_rounded_up_to_a_full_step(at: str, step: timedelta, full: str) -> None:
    assert rounded_up(datetime.fromisoformat(at), step) == datetime.fromisoformat(full)


@pytest.mark.parametrize("send_at", [None, NOW, NOW - SECOND, NOW - timedelta(days=1)])
def test_what_has_no_time_or_whose_time_has_come_is_due_now(send_at: datetime | None) -> None:
    assert due(send_at, NOW, SECOND) is None


@given(
    ahead=st.timedeltas(timedelta(microseconds=1), timedelta(days=400)),
    step=st.sampled_from([SECOND, MINUTE]),
    zone=st.sampled_from([UTC, TAIPEI, timezone(-timedelta(hours=9, minutes=30))]),
)
def test_a_time_to_come_is_told_in_taipei_never_early_never_past_and_at_most_a_step_late(
    ahead: timedelta, step: timedelta, zone: timezone
) -> None:
    send_at = (NOW + ahead).astimezone(zone)

    told = due(send_at, NOW, step)

    assert told is not None
    assert told.tzinfo is TAIPEI
    assert (told.second if step == MINUTE else 0, told.microsecond) == (0, 0)
    assert max(send_at, NOW + timedelta(seconds=30)) <= told < max(send_at, NOW + timedelta(seconds=30)) + step
