"""The fault suite is whole, and its table says of a row that is missing, or does not hold, that it is so."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.faults import table
from tests.faults.suite import ROWS, SEEDS, Count, Row, Run, Where, fault
from tests.world.world import Published, World

MODULES = sorted(path.stem for path in table.MODULES.glob("test_*.py"))
NOT_YET_WRITTEN = set(table.EXPECTED)
"""Shrinks to nothing; a fault that is written leaves it."""


def told(fault_id: str, *counts: Count, **changed: Any) -> Mapping[str, Any]:
    run = Run(Row(fault_id, "something breaks", Where.WIRE), 1, "", list(counts), finished=True, worlds=[a_world(20)])
    return {**json.loads(run.as_json()), **changed}


def a_world(messages: int) -> World:
    """In which so many were published, and nothing happened."""
    world = World(schedules=False)
    world.published.append(Published("order", tuple(f"+8869{number:08}" for number in range(messages)), "text", {}))
    return world


def line_of(fault_id: str, *runs: Mapping[str, Any], failed: bool = False) -> tuple[str, ...]:
    lines = table.rows({fault_id: runs}, {fault_id} if failed else ())
    return next(line for line in lines if line[0] == fault_id)


class TestTheSuite:
    def test_every_fault_of_the_list_is_injected_and_no_other(self) -> None:
        for name in MODULES:
            importlib.import_module(f"tests.faults.injected.{name}")

        assert set(ROWS) - set(table.EXPECTED) == set()
        assert set(table.EXPECTED) - set(ROWS) - NOT_YET_WRITTEN == set()

    def test_each_runs_with_two_seeds_at_least(self) -> None:
        assert len(SEEDS) >= 2

    def test_a_fault_has_one_function(self) -> None:
        known = Row("F10", "known", Where.WIRE)
        ROWS.setdefault("F10", known)

        with pytest.raises(ValueError, match="F10 is there already"):
            fault("F10", "again", Where.WIRE)

        if ROWS["F10"] is known:
            del ROWS["F10"]


class TestTheTable:
    def test_it_has_seventy_rows_whatever_was_run(self) -> None:
        lines = table.rows({}, ())

        assert [line[0] for line in lines] == [f"F{number:02}" for number in range(1, 71)]
        assert {line[-1] for line in lines} == {"MISSING"}
        assert table.rendered(lines).endswith("\n0 of 70")

    def test_a_row_holds_where_every_run_of_it_does(self) -> None:
        runs = [told("F10", Count("accepts", 20, "=", 20), Count("logins", logins, "<=", 2)) for logins in (1, 2, 1)]

        line = line_of("F10", *runs)

        assert line == (
            "F10", "something breaks", "wire", "3 × 20", "accepts 60 of 60, logins 2 (<= 2)", "0", "held",
        )  # fmt: skip
        assert table.rendered(table.rows({"F10": runs}, ())).endswith("\n1 of 70")

    @pytest.mark.parametrize(
        ("run", "failed"),
        [
            (told("F10"), True),
            (told("F10", finished=False), False),
            (told("F10", violations={"N1": 2}), False),
        ],
    )
    def test_a_row_is_broken_by_one_run(self, run: Mapping[str, Any], failed: bool) -> None:
        line = line_of("F10", told("F10"), run, failed=failed)

        assert line[-1] == "BROKEN"

    def test_violations_are_counted_by_invariant(self) -> None:
        line = line_of("F10", told("F10", violations={"N1": 2, "N2": 0}), told("F10", violations={"N1": 1, "N7": 1}))

        assert line[-2] == "N1: 3, N7: 1"

    @pytest.mark.parametrize(
        ("count", "holds"),
        [
            (Count("accepts", 20, "=", 20), True),
            (Count("accepts", 21, "=", 20), False),
            (Count("accepts", 19, "=", 20), False),
            (Count("logins", 2, "<=", 2), True),
            (Count("logins", 3, "<=", 2), False),
            (Count("alarms", 1, ">=", 1), True),
            (Count("alarms", 0, ">=", 1), False),
        ],
    )
    def test_a_count_holds_within_its_bound(self, count: Count, holds: bool) -> None:
        assert count.holds is holds


class TestARun:
    def test_what_it_counted_is_noted_even_where_it_breaks(self) -> None:
        noted: list[tuple[str, Any]] = []

        def body(run: Run) -> None:
            run.equal("accepts", 21, 20)
            raise RuntimeError("in the middle")

        test = fault("F00", "for a test", Where.WIRE)(body)
        with pytest.raises(RuntimeError):
            test(seed=3, case="", record_property=lambda name, value: noted.append((name, json.loads(value))))
        del ROWS["F00"]

        ((name, run),) = noted
        assert (name, run["seed"], run["finished"]) == ("fault", 3, False)
        assert [count["seen"] for count in run["counts"]] == [21]

    @pytest.mark.parametrize(
        ("messages", "accepts", "violated"), [(19, 20, []), (20, 21, []), (20, 20, ["N3 no lie: it was taken"])]
    )
    def test_it_fails_where_a_number_is_not_as_it_must_be(
        self, messages: int, accepts: int, violated: list[str]
    ) -> None:
        def body(run: Run) -> None:
            run.worlds, run.told = [a_world(messages)], violated
            run.equal("accepts", accepts, 20)

        test = fault("F00", "for a test", Where.WIRE)(body)
        with pytest.raises(AssertionError):
            test(seed=1, case="", record_property=lambda name, value: None)
        del ROWS["F00"]
