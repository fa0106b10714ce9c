"""`make faults`: every fault of the list, injected and counted, as one table.

The tests are run, and each says what it was and what it counted. Nothing of the table is written down here but which
rows there must be.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

EXPECTED = tuple(f"F{number:02}" for number in range(1, 71))
MODULES = Path(__file__).with_name("injected")

Told = Mapping[str, Any]
"""What a run says of itself: `Run.as_json`."""

_HEADINGS = ("id", "fault", "injected at", "runs × messages", "its own count", "violations", "verdict")
_HELD, _BROKEN, _MISSING = "held", "BROKEN", "MISSING"


class Listener:
    """Hears of every test that ran, on whichever process it did."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Told]] = defaultdict(list)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = [json.loads(str(value)) for name, value in report.user_properties if name == "fault"]
        for run in told:
            if report.when == "call":
                self.runs[run["row"]["id"]].append(run)
            if report.failed:
                self.failed.add(run["row"]["id"])


def rows(runs: Mapping[str, Sequence[Told]], failed: Iterable[str]) -> list[tuple[str, ...]]:
    """A line of the table for each fault that must be there, whether or not it is."""
    return [_row(fault_id, runs.get(fault_id, ()), fault_id in set(failed)) for fault_id in EXPECTED]


def is_held(row: Sequence[str]) -> bool:
    return row[-1] == _HELD


def rendered(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in (_HEADINGS, *lines)) for column in range(len(_HEADINGS))]

    def written(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    held = sum(map(is_held, lines))
    ruler = written(["-" * width for width in widths])
    return "\n".join((written(_HEADINGS), ruler, *map(written, lines), ruler, f"{held} of {len(lines)}"))


def _row(fault_id: str, runs: Sequence[Told], has_failed: bool) -> tuple[str, ...]:
    if not runs:
        return (fault_id, "", "", "0 × 0", "", "", _MISSING)
    row = runs[0]["row"]
    violations: dict[str, int] = defaultdict(int)
    for run in runs:
        for name, count in run["violations"].items():
            violations[name] += count
    broken = ", ".join(f"{name}: {count}" for name, count in sorted(violations.items()) if count)
    held = not has_failed and not broken and all(run["finished"] for run in runs)
    return (
        fault_id,
        row["name"],
        row["where"],
        f"{len(runs)} × {_messages(runs)}",
        _in_words(runs),
        broken or "0",
        _HELD if held else _BROKEN,
    )


def _messages(runs: Sequence[Told]) -> str:
    least, most = min(run["messages"] for run in runs), max(run["messages"] for run in runs)
    return str(least) if least == most else f"{least}-{most}"


def _in_words(runs: Sequence[Told]) -> str:
    """Of all runs together: what must be a number exactly is summed, of what has a bound the worst stands."""
    sums: dict[str, list[int]] = {}
    worst: dict[tuple[str, str], tuple[int, int]] = {}
    for count in (count for run in runs for count in run["counts"]):
        what, relation, seen, bound = count["what"], count["relation"], count["seen"], count["bound"]
        if relation == "=":
            together = sums.setdefault(what, [0, 0])
            together[0] += seen
            together[1] += bound
        else:
            before = worst.get((what, relation))
            sign = 1 if relation == "<=" else -1
            if before is None or sign * (seen - bound) > sign * (before[0] - before[1]):
                worst[what, relation] = seen, bound
    exact = [f"{what} {seen} of {bound}" if bound else f"{what} {seen}" for what, (seen, bound) in sums.items()]
    bounded = [f"{what} {seen} ({relation} {bound})" for (what, relation), (seen, bound) in worst.items()]
    return ", ".join((*exact, *bounded))


def main(arguments: Sequence[str]) -> int:
    listener = Listener()
    code = pytest.main(["--quiet", "--no-header", "--tb=short", str(MODULES), *arguments], [listener])
    lines = rows(listener.runs, listener.failed)
    sys.stdout.write(f"\n{rendered(lines)}\n")
    return 0 if code == 0 and all(map(is_held, lines)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
