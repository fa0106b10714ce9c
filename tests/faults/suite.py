"""The frame of the fault suite: every fault of the list is one function here, run for some seeds, counted and checked.

    @fault("F10", "the connection is closed after the request was written", Where.WIRE)
    def test_a_closed_connection_is_doubtful_and_called_once(run: Run) -> None:
        with run.world() as world:
            ...
            run.equal("accepts", accepts, run.messages)

Each run is one world, whose invariants are counted when it is left. What a run counted is noted with its test, so that
`make faults` can print it (tests/faults/table.py); a number that is not as it must be fails the test as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest

from smstransports import soap
from tests.world.invariants import violations
from tests.world.world import World

SEEDS = range(1, int(os.environ.get("FAULT_SEEDS", "2")) + 1)
FEWEST_MESSAGES = 20
"""Of a run."""


class Where(StrEnum):
    """On which side of the gateway a fault is injected."""

    WIRE = "wire"
    ANSWER = "provider's answer"
    MAIL = "mail"
    CALLBACK = "callback"
    AWS = "AWS's answer"
    QUEUE = "queue"
    PROCESS = "process"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Row:
    """A fault of the list."""

    id: str
    name: str
    where: Where


@dataclass(frozen=True, slots=True)
class Count:
    """Something a run counted, and what it must be: `=`, `<=` or `>=` the bound."""

    what: str
    seen: int
    relation: str
    bound: int

    @property
    def holds(self) -> bool:
        if self.relation == "=":
            return self.seen == self.bound
        return self.seen <= self.bound if self.relation == "<=" else self.seen >= self.bound

    def __str__(self) -> str:
        return f"{self.what}: {self.seen}, must be {self.relation} {self.bound}"


@dataclass
class Run:
    """One fault, one seed, one case of it."""

    row: Row
    seed: int
    case: str
    counts: list[Count] = field(default_factory=list)
    violations: dict[str, int] = field(default_factory=dict)  # by invariant, N1 to N9
    told: list[str] = field(default_factory=list)  # each violation in a sentence
    finished: bool = False
    worlds: list[World] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """How many were published."""
        return sum(len(published.to) for world in self.worlds for published in world.published)

    @contextmanager
    def world(self, **options: Any) -> Iterator[World]:
        """A world of this seed. What must hold in every world is counted once the test is through with it."""
        with World(self.seed, **options) as world, patch.object(soap, "_Renderer", _one_renderer):
            self.worlds.append(world)
            yield world
            for violation in violations(world):
                name = violation.invariant.partition(" ")[0]
                self.violations[name] = self.violations.get(name, 0) + 1
                self.told.append(str(violation))

    def equal(self, what: str, seen: int, wanted: int) -> None:
        self.counts.append(Count(what, seen, "=", wanted))

    def at_most(self, what: str, seen: int, bound: int) -> None:
        self.counts.append(Count(what, seen, "<=", bound))

    def at_least(self, what: str, seen: int, bound: int) -> None:
        self.counts.append(Count(what, seen, ">=", bound))

    def as_json(self) -> str:
        told = {
            "row": asdict(self.row),
            "seed": self.seed,
            "case": self.case,
            "messages": self.messages,
            "counts": [asdict(count) for count in self.counts],
            "violations": self.violations,
            "finished": self.finished,
        }
        return json.dumps(told, ensure_ascii=False)


ROWS: dict[str, Row] = {}
"""Every fault whose module has been loaded."""


def fault(
    fault_id: str, name: str, where: Where, *, cases: Sequence[str] = ("",), seeds: Sequence[int] = SEEDS
) -> Callable[[Callable[[Run], None]], Callable[..., None]]:
    """`cases`: what a fault is injected in besides, each with every seed; a run is told its own."""
    if fault_id in ROWS:
        raise ValueError(f"{fault_id} is there already: {ROWS[fault_id].name}")
    row = ROWS[fault_id] = Row(fault_id, name, where)

    def as_test(body: Callable[[Run], None]) -> Callable[..., None]:
        @pytest.mark.parametrize("case", cases)
        @pytest.mark.parametrize("seed", seeds)
        def test(seed: int, case: str, record_property: Callable[[str, object], None]) -> None:
            run = Run(row, seed, case)
            try:
                body(run)
                run.finished = True
            finally:
                record_property("fault", run.as_json())
            wrong = [str(count) for count in run.counts if not count.holds] + run.told
            assert not wrong, wrong
            assert run.messages >= FEWEST_MESSAGES

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(test, name, getattr(body, name))
        return test

    return as_test


class _RenderedOnce(soap._Renderer):
    """A cold start reads the WSDL and renders each operation anew, which would cost more than all else in a world."""

    render = cache(soap._Renderer.render)


_one_renderer = cache(_RenderedOnce)
