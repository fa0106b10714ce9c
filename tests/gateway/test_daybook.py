"""The account of a day: what we reckoned, what the provider said it took, how its credit moved, and who differs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from smsgate import lifecycle, telemetry
from smsgate.daybook import KEPT, Movement, Tally, day_of
from smsgate.items import Plain
from smsgate.messages import Message, Report
from smsgate.outcomes import Accepted, NotSent
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.examples import MINUTE, NOON, UNTIL, WATCH, message
from tests.gateway.house import Counts, House, fails
from tests.gateway.plainline import not_sent

DAY = date(2026, 11, 20)
HOUR = timedelta(hours=1)


def sent(points: int, place: int = 1, at: datetime = NOON) -> Message:
    given = message(message_id=f"abcdefghijklmnopqrstuvwx-{place}")
    return lifecycle.claim(given, "plainline", at, at + MINUTE, 1, Decimal(points))


def tally(*messages: tuple[int, int | None]) -> Tally:
    """Reckoned and stated points of each."""
    sums = Tally()
    for place, (reckoned, stated) in enumerate(messages):
        sums.add(sent(reckoned, place + 1), None if stated is None else Decimal(stated))
    return sums


def account(house: House, day: date = DAY) -> Plain:
    return house.daybook.account("plainline", day) or {}


def lines(capsys: pytest.CaptureFixture[str], sentence: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in told if line.get("message") == sentence]


def test_every_slice_adds_to_the_day_and_those_that_differ_are_named(house: House) -> None:
    house.daybook.add("plainline", DAY, tally((1, 1), (2, None)))
    house.daybook.add("plainline", DAY, tally((1, 3), (1, 0), (2, 2)))

    kept = account(house)
    assert {name: kept[name] for name in ("messages", "reckoned", "taken", "stated", "differing")} == {
        "messages": 5,
        "reckoned": 7,
        "taken": 8,
        "stated": 4,
        "differing": 2,
    }
    assert kept["named"] == {"abcdefghijklmnopqrstuvwx-1", "abcdefghijklmnopqrstuvwx-2"}


def test_differences_that_make_up_for_each_other_are_differences(house: House) -> None:
    house.daybook.add("plainline", DAY, tally((1, 2), (2, 1)))

    assert account(house)["taken"] == account(house)["reckoned"]
    assert account(house)["differing"] == 2


def test_as_many_are_named_as_there_is_room_for_and_all_are_counted(house: House) -> None:
    for start in range(0, 3 * KEPT, 30):
        some = Tally()
        for place in range(start, start + 30):
            some.add(sent(1, place + 1), Decimal(2))
        house.daybook.add("plainline", DAY, some)
    too_many = Tally()
    for place in range(500, 500 + 3 * KEPT):
        too_many.add(sent(1, place), Decimal(2))
    house.daybook.add("plainline", DAY + timedelta(days=1), too_many)

    assert account(house)["differing"] == 3 * KEPT
    assert len(account(house)["named"]) == 90
    assert account(house, DAY + timedelta(days=1))["differing"] == 3 * KEPT
    assert len(account(house, DAY + timedelta(days=1))["named"]) == KEPT


def test_an_account_is_forgotten_at_the_end_of_retention_as_messages_are(house: House) -> None:
    house.daybook.add("plainline", DAY, tally((1, 1)))
    first = account(house)["expires"]
    house.later(hours=5)
    house.daybook.add("plainline", DAY, tally((1, 1)))

    assert first == int((NOON + timedelta(days=90)).timestamp())
    assert account(house)["expires"] == first


@pytest.mark.parametrize(
    ("at", "day"),
    [("2026-11-20T15:59:59+00:00", date(2026, 11, 20)), ("2026-11-20T16:00:00+00:00", date(2026, 11, 21))],
)
def test_a_message_belongs_to_the_day_of_taipei_on_which_it_was_given_to_the_provider(at: str, day: date) -> None:
    given = sent(1, at=datetime.fromisoformat(at))

    assert day_of(given, NOON + timedelta(days=9)) == day


class TestAReport:
    def report(self, house: House, before: Message, points: object) -> Message:
        told = Report(Status.DELIVERED, None, "there", points=None if points is None else Decimal(str(points)))
        after = lifecycle.report(before, told, house.now, WATCH)
        house.daybook.corrected(before, after)
        return after

    def test_that_says_other_points_corrects_the_day_the_message_was_sent(self, house: House) -> None:
        before = lifecycle.settle(sent(1), 1, Accepted("ref1"), NOON, WATCH)
        house.daybook.add("plainline", DAY, tally((1, None)))
        house.later(hours=30)

        self.report(house, before, 3)

        kept = account(house)
        assert (kept["messages"], kept["reckoned"], kept["taken"], kept["differing"]) == (1, 1, 3, 1)
        assert kept["named"] == {before.message_id}

    @pytest.mark.parametrize("points", [1, None])
    def test_that_says_the_same_or_nothing_corrects_nothing(self, house: House, points: int | None) -> None:
        before = lifecycle.settle(sent(1), 1, Accepted("ref1"), NOON, WATCH)

        self.report(house, before, points)

        assert account(house) == {}

    def test_that_is_faster_than_the_answer_corrects_nothing_for_the_answer_counts(self, house: House) -> None:
        self.report(house, sent(1), 3)

        assert account(house) == {}

    def test_that_cannot_be_counted_is_applied_all_the_same(
        self, house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger, "add_to_account", fails)

        after = self.report(house, lifecycle.settle(sent(1), 1, Accepted("ref1"), NOON, WATCH), 3)

        assert (after.status, after.points) == (Status.DELIVERED, Decimal(3))
        assert counts["AccountNotKept"] == 1

    def test_is_applied_and_corrects_by_whatever_way_it_comes(self, house: House) -> None:
        before = lifecycle.settle(sent(1), 1, Accepted("ref1"), NOON, WATCH)
        house.ledger.save(replace(before, version=0))
        told = Report(Status.DELIVERED, None, "there", points=Decimal(3))

        house.evidence.apply(house.ledger.get(before.message_id) or before, told)
        house.evidence.apply(before, told)  # read before the first was written

        assert (account(house)["taken"], account(house)["differing"]) == (2, 1)

    def test_that_comes_again_corrects_nothing_more(self, house: House) -> None:
        before = lifecycle.settle(sent(1), 1, Accepted("ref1"), NOON, WATCH)

        self.report(house, self.report(house, before, 3), 3)

        assert account(house)["taken"] == 2


def test_a_movement_is_of_the_credit_and_of_what_was_put_there(house: House) -> None:
    moved = Movement(DAY, Decimal(1000), Decimal(1000))

    for credit in (900, 850, 5850, 5800):
        moved = moved.to(Decimal(credit), DAY)

    assert moved == Movement(DAY, Decimal(1000), Decimal(5800), Decimal(200), Decimal(5000))
    assert moved.began - moved.fallen + moved.risen == moved.ended


class TestTheDayIsTold:
    @pytest.fixture(autouse=True)
    def _quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.flush()
        capsys.readouterr()

    def test_an_hour_after_midnight_in_taipei_and_once(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        house.daybook.add("plainline", DAY, tally((1, 3), (2, None)))

        house.now = datetime.fromisoformat("2026-11-21T00:59:59+08:00")
        house.daybook.tell("plainline")
        early = lines(capsys, "account of the day")
        house.later(seconds=1)
        house.daybook.tell("plainline")
        house.daybook.tell("plainline")

        (line,) = lines(capsys, "account of the day")
        assert early == []
        assert {name: line[name] for name in ("provider", "day", "messages", "stated", "differing")} == {
            "provider": "plainline",
            "day": "2026-11-20",
            "messages": 2,
            "stated": 1,
            "differing": 1,
        }
        assert (line["reckoned"], line["taken"]) == ("3", "5")

    def test_with_the_messages_behind_a_difference_and_as_a_metric(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.daybook.add("plainline", DAY, tally((1, 3), (2, None), (1, 2)))
        house.later(hours=24)

        house.daybook.tell("plainline")
        telemetry.flush()

        out = capsys.readouterr().out.splitlines()
        told = [json.loads(line) for line in out]
        assert [each["message_id"] for each in told if each.get("message") == "points differ"] == [
            "abcdefghijklmnopqrstuvwx-1",
            "abcdefghijklmnopqrstuvwx-3",
        ]
        (metric,) = [each for each in told if "PointsDifference" in each]
        assert (metric["provider"], metric["PointsDifference"]) == ("plainline", 3)

    def test_with_how_the_credit_moved_and_what_of_it_nothing_explains(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.daybook.add("plainline", DAY, tally((1, None), (2, None)))
        house.daybook.moved("plainline", Movement(DAY, Decimal(100), Decimal(990), Decimal(10), Decimal(900)))
        house.later(hours=24)

        house.daybook.tell("plainline")
        telemetry.flush()

        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (line,) = [each for each in told if each.get("message") == "account of the day"]
        assert (line["began"], line["ended"], line["fallen"], line["risen"]) == ("100", "990", "10", "900")
        (metric,) = [each for each in told if "PointsUnexplained" in each]
        assert metric["PointsUnexplained"] == 7

    def test_after_days_in_which_no_schedule_ran(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        for back in range(5):
            house.daybook.add("plainline", DAY - timedelta(days=back), tally((1, None)))
        house.later(hours=24)

        house.daybook.tell("plainline")

        days = [line["day"] for line in lines(capsys, "account of the day")]
        assert days == ["2026-11-18", "2026-11-19", "2026-11-20"]

    def test_by_a_run_that_was_killed_before_it_could_say_so_again(
        self, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.daybook.add("plainline", DAY, tally((1, None)))
        house.later(hours=24)
        with monkeypatch.context() as killed:
            killed.setattr(house.ledger, "mark_account_told", _dies)
            with pytest.raises(KeyboardInterrupt):
                house.daybook.tell("plainline")

        house.daybook.tell("plainline")
        house.daybook.tell("plainline")

        assert len(lines(capsys, "account of the day")) == 2

    def test_on_the_schedule_with_the_movement_of_a_day_nobody_measured_after(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.wire.say("/credit", "1000", "900", not_sent())
        house.credits().handle()
        house.later(hours=1)
        house.credits().handle()
        house.later(hours=24)

        house.credits().handle()

        (line,) = lines(capsys, "account of the day")
        assert (line["began"], line["ended"], line["fallen"]) == ("1000", "900", "100")

    def test_of_a_provider_nothing_was_sent_with_or_measured_of_nothing(
        self, house: House, capsys: pytest.CaptureFixture[str], counts: Counts
    ) -> None:
        house.enabled = ("oneway",)
        house.later(hours=24)

        house.credits().handle()

        assert lines(capsys, "account of the day") == []
        assert counts["AccountNotTold"] == 0


class TestASlice:
    """Counts what was taken, and nothing that was not."""

    def test_counts_what_was_taken_once_for_each_provider_when_it_ends(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.enabled = ("plainline", "castello")
        purse = house.balance().purse(8)
        writes: list[str] = []
        whole = house.ledger.add_to_account

        def add_to_account(provider: str, *rest: Any) -> None:
            writes.append(provider)
            whole(provider, *rest)

        monkeypatch.setattr(house.ledger, "add_to_account", add_to_account)
        not_taken = NotSent(Reason(Code.PROVIDER_UNREACHABLE))

        for place in range(6):
            purse.answered("plainline", [sent(2, place + 1)], [Accepted("ref", Decimal(2))], NOON)
        purse.answered("castello", [sent(1, 7), sent(1, 8)], [Accepted("ref"), not_taken], NOON)
        purse.close(may_ask=False)

        assert sorted(writes) == ["castello", "plainline"]
        assert (account(house)["messages"], account(house)["taken"], account(house)["stated"]) == (6, 12, 6)
        castello = house.daybook.account("castello", DAY) or {}
        assert (castello["messages"], castello["taken"], castello["stated"]) == (1, 1, 0)

    def test_over_midnight_counts_each_message_to_its_own_day(self, house: House) -> None:
        midnight = datetime.fromisoformat("2026-11-21T00:00:00+08:00")
        purse = house.balance().purse(2)

        purse.answered("plainline", [sent(1, 1, midnight - MINUTE)], [Accepted("ref")], UNTIL)
        purse.answered("plainline", [sent(5, 2, midnight)], [Accepted("ref")], UNTIL)
        purse.close(may_ask=False)

        assert account(house)["reckoned"] == 1
        assert account(house, DAY + timedelta(days=1))["reckoned"] == 5


def _dies(*_: object) -> None:
    raise KeyboardInterrupt
