"""Times that are none, that nobody can know, or that are over: B35."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.bad_inputs.shapes import TO, Posted, Right, problem_of, right_with

NO_TIMES = (
    "now",
    "tomorrow at ten",
    "1795320000",
    "2026-11-22",
    "2026-11-22T10:00+08:00",
    "2026-11-22 10:00:00+08:00",
    "2026-11-22T10:00:00+0800",
    "2026-11-22T10:00:00+08",
    "2026-11-22T10:00:00 +08:00",
    "2026-11-22T10:00:00+24:00",
    "2026-11-22T10:00:00,5+08:00",
    "2026-W47-7T10:00:00+08:00",
    "20261122T100000+0800",
    "2026/11/22T10:00:00+08:00",
    "26-11-22T10:00:00+08:00",
    "+02026-11-22T10:00:00+08:00",
    "-2026-11-22T10:00:00+08:00",
    "２０２６-11-22T10:00:00+08:00",
    "٢٠٢٦-11-22T10:00:00+08:00",
    "2026-11-22T10:00:00+08:00[Asia/Taipei]",
    "2026-11-22T10:00:00 Asia/Taipei",
    "Sun, 22 Nov 2026 10:00:00 +0800",
    "2026-11-22T10:00:00CST",
    "10:00",
    "PT1H",
    "NaN",
)
IMPOSSIBLE = (
    "2026-11-22T25:00:00+08:00",
    "2026-11-22T10:60:00+08:00",
    "2026-11-22T10:00:61+08:00",
    "2026-11-22T10:00:99Z",
    "2026-13-01T10:00:00+08:00",
    "2026-00-01T10:00:00+08:00",
    "2026-11-00T10:00:00+08:00",
    "2026-11-31T10:00:00+08:00",
    "2026-02-30T10:00:00+08:00",
    "2027-02-29T10:00:00+08:00",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
)
OVER = (
    "2026-11-21T11:58:59+08:00",
    "2026-11-21T12:00:00+09:00",
    "2026-11-20T12:00:00+08:00",
    "2025-11-22T10:00:00+08:00",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "1582-10-10T00:00:00Z",
)
TOO_FAR = ("2027-11-23T00:00:00Z", "2038-01-19T03:14:08Z", "2100-02-28T00:00:00Z", "9999-12-31T23:59:59Z")

# Taipei keeps one offset all the year, so what is a gap or a fold elsewhere is one instant here: the offset says which.
RIGHT_ONES = {
    "a second from now": "2026-11-21T12:00:01+08:00",
    "a little behind, as clocks are": "2026-11-21T11:59:01+08:00",
    "in UTC": "2026-11-22T00:00:00Z",
    "in small letters": "2026-11-22t00:00:00z",
    "west of Greenwich": "2026-11-21T23:59:59-12:00",
    "of an unknown local offset": "2026-11-22T00:00:00-00:00",
    "of a quarter of an hour's offset": "2026-11-22T00:00:00+05:45",
    "with a fraction": "2026-11-22T00:00:00.999999999+08:00",
    "at midnight": "2026-11-22T00:00:00+08:00",
    "at the last second of a day": "2026-11-22T23:59:59+08:00",
    "in New York's gap": "2027-03-14T02:30:00-05:00",
    "in New York's fold, first": "2027-11-07T01:30:00-04:00",
    "in New York's fold, again": "2027-11-07T01:30:00-05:00",
    "at the turn of a year": "2026-12-31T23:59:59+08:00",
    "at the end of February": "2027-02-28T23:59:59+08:00",
}


def variants() -> Iterator[Posted | Right]:
    for times, problem in (
        (NO_TIMES, "is not a date and time of RFC 3339"),
        (IMPOSSIBLE, "is not a date and time that exists"),
        (OVER, "is a time in the past"),
        (TOO_FAR, "is more than 366 days ahead"),
        (("2026-11-22T10:00:00", "2026-11-22T10:00:00.5"), "does not say which time zone"),
        (("2026-11-22T23:59:60Z", "2026-12-31T23:59:60+08:00"), "is a leap second"),
        (("2026-11-22T24:00:00+08:00", "2026-11-22T24:30:00Z"), "has the hour 24"),
    ):
        for time in times:
            yield problem_of("B35", time, right_with(send_at=time), "send_at", problem)
            own = right_with(to=[{"number": TO, "send_at": time}])
            yield problem_of("B35", f"{time}, of one recipient", own, "to[0].send_at", problem)
    short = right_with(send_at="2026-11-22T10:00:00+08:00", valid_for=60)
    yield problem_of("B35", "later than it is valid", short, "valid_for", "ends before send_at")
    for name, time in RIGHT_ONES.items():
        yield Right(of="B35", name=name, request=right_with(send_at=time))
