"""The story of one seed: `.venv/bin/python -m tests.world 4711`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "layers" / "gateway"), str(ROOT / "layers" / "transports")]

import tests.conftest  # noqa: E402, F401  no test reaches a real account
from tests.world.simulation import live  # noqa: E402


def main(seeds: list[str]) -> int:
    if len(seeds) != 1 or not seeds[0].isdigit():
        sys.stderr.write(f"{__doc__}\n")
        return 2
    life = live(int(seeds[0]))
    sys.stdout.write(f"{life.story()}\nseed {life.seed}: {len(life.violations)} violations\n")
    return 1 if life.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
