"""Lives of the whole gateway, one a seed: fifty messages, everything that can go wrong, and no promise broken.

A hundred seeds in `make test`; as many as wanted with SIMULATION_SEEDS=1000. Each failure says how to see its story.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from smsgate.status import Status
from tests.world.simulation import MESSAGES, live

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "100"))


@dataclass(frozen=True, slots=True)
class Lived:
    """What is kept of a life."""

    violations: tuple[str, ...]
    messages: int
    statuses: frozenset[Status]
    faults: frozenset[str]
    deaths: int


@cache
def lived(seed: int) -> Lived:
    life = live(seed)
    messages = life.world.messages()
    return Lived(
        tuple(map(str, life.violations)),
        len(messages),
        frozenset(message.status for message in messages),
        frozenset(f"{step.service} {type(fault).__name__}" for step, fault in life.world.faults.struck),
        len(life.world.deaths),
    )


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_whatever_goes_wrong_every_promise_is_kept(seed: int) -> None:
    broken = lived(seed).violations

    assert not broken, "\n".join([*broken, f"its whole story: .venv/bin/python -m tests.world {seed}"])


def test_the_lives_are_hard_enough() -> None:
    """That nothing was broken says little unless much was tried."""
    lives = [lived(seed) for seed in range(1, 41)]

    assert all(life.messages >= MESSAGES / 2 for life in lives)
    assert sum(life.deaths > 0 for life in lives) > 10
    met = Counter(fault for life in lives for fault in life.faults)
    assert len(met) >= 40
    assert {
        "dynamodb Kill", "dynamodb Lost", "dynamodb Throttled", "wire Hangs", "wire Closes", "wire Says", "wire Cut",
        "wire Unavailable", "wire Kill", "callback Lost", "callback Twice", "events Refuses", "sqs Unavailable",
        "lambda Throttled", "secretsmanager Unavailable",
    } <= met.keys()  # fmt: skip
    assert frozenset().union(*(life.statuses for life in lives)) >= {
        Status.DELIVERED, Status.UNDELIVERED, Status.DOUBTFUL, Status.REJECTED, Status.CANCELED, Status.EXPIRED,
        Status.SENT,
    }  # fmt: skip


class TestReplay:
    def test_a_seed_has_the_same_story_every_time(self) -> None:
        assert live(7).story() == live(7).story()

    def test_the_story_is_told_by_one_command_the_same_in_every_process(self) -> None:
        told = [
            subprocess.run(
                [sys.executable, "-m", "tests.world", "7"],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            ).stdout
            for hash_seed in ("1", "2")
        ]

        assert told[0] == told[1]
        assert told[0] == f"{live(7).story()}\nseed 7: 0 violations\n"
        assert "before dynamodb.put_item" in told[0]
