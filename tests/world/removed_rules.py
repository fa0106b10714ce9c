"""Each safety rule removed once, in a copy of the sources, to see that something notices: `make removed-rules`.

A rule is removed by replacing a few lines. Then lives of the simulation are lived until one breaks a promise, and where
none does the tests that are said to hold the rule are run. What caught each is written to docs/removed-rules.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "removed-rules.md"
SEEDS = 60
NOTHING = "**nothing**"
_SMSGATE = "layers/gateway/smsgate"
_COPIED = ("layers", "functions", "local", "tests", "schemas", "events", "template.yaml", "pyproject.toml")
_LONGEST = 900  # seconds for one rule


@dataclass(frozen=True, slots=True)
class Removal:
    """A rule, and the words that are there because of it; without the rule others would stand in their place."""

    rule: str
    path: str
    text: str  # as it stands there, once
    instead: str
    held_by: tuple[str, ...]  # tests to ask where no life is broken by it

    def shown(self) -> list[str]:
        """What is removed, as a difference in the lines it changes."""
        source = (ROOT / self.path).read_text(encoding="utf-8")
        changed = unified_diff(source.splitlines(), removed(self, source).splitlines(), n=0, lineterm="")
        return [line for line in list(changed)[2:] if not line.startswith("@@")]


REMOVALS = (
    Removal(
        "A message is claimed by a write that only one worker can win",
        f"{_SMSGATE}/ledger.py",
        '            condition, values = "version = :seen", {":seen": message.version}\n',
        '            condition, values = "attribute_exists(pk)", {}\n',
        ("tests/gateway/test_ledger.py",),
    ),
    Removal(
        "A first write is refused where somebody has written before",
        f"{_SMSGATE}/ledger.py",
        'condition, values = "attribute_not_exists(pk)", {}',
        'condition, values = "attribute_not_exists(pk) OR attribute_exists(pk)", {}',
        ("tests/gateway/test_ledger.py",),
    ),
    Removal(
        "A claim whose answer was lost is known by its stamp",
        f"{_SMSGATE}/ledger.py",
        '        if before is None or before.get("stamp") == token:\n            return Saved(saved)\n',
        "        if before is None:\n            return Saved(saved)\n",
        ("tests/gateway/test_ledger.py",),
    ),
    Removal(
        "A claim that ran out is a doubt, and not sent again",
        f"{_SMSGATE}/lifecycle.py",
        "    return _doubt(_note_outcome(message, len(message.attempts), MaybeSent(reason)), reason, now)\n",
        "    noted = _note_outcome(message, len(message.attempts), NotSent(reason))\n"
        "    return _wait(noted, reason, now, now, message.provider)\n",
        ("tests/gateway/test_lifecycle.py",),
    ),
    Removal(
        "A claim holds while its worker may be calling",
        f"{_SMSGATE}/lifecycle.py",
        "    if message.status is not Status.SENDING or message.claim is None or now < message.claim.until:\n",
        "    if message.status is not Status.SENDING or message.claim is None:\n",
        ("tests/gateway/test_lifecycle.py",),
    ),
    Removal(
        "A report never moves a message backwards",
        f"{_SMSGATE}/status.py",
        "    return reported.is_final or _RANK[reported] > _RANK[current]\n",
        "    return True\n",
        ("tests/gateway/test_status.py",),
    ),
    Removal(
        "What is final stays final but for better evidence",
        f"{_SMSGATE}/status.py",
        "        return is_later and {current, reported} == _CONTESTED\n",
        "        return True\n",
        ("tests/gateway/test_status.py",),
    ),
    Removal(
        "Nobody calls whose claim would run out during the call",
        f"{_SMSGATE}/dispatcher.py",
        "message.claim is None or now + self._deadline >= message.claim.until for message",
        "message.claim is None for message",
        ("tests/gateway/test_sender.py",),
    ),
    Removal(
        "An answer that does not come in time may mean that it was sent",
        "layers/transports/smstransports/http.py",
        "            return MaybeSent(_reason(Code.NO_REPLY, error))\n",
        "            return NotSent(_reason(Code.NO_REPLY, error))\n",
        ("tests/transports/test_http.py",),
    ),
    Removal(
        "Another provider is called only where it certainly did not go out",
        f"{_SMSGATE}/dispatcher.py",
        "if isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome",
        "if isinstance(outcome, NotSent | MaybeSent) or (isinstance(outcome, Refused) and outcome",
        ("tests/gateway/test_sender.py",),
    ),
    Removal(
        "A resend that may have gone out once never ends in a no",
        f"{_SMSGATE}/lifecycle.py",
        '    if any(attempt.outcome == "maybe_sent" for attempt in message.attempts):\n'
        "        return _finish(_move(message, Status.DOUBTFUL, now, reason), keep_text=True)\n",
        "",
        ("tests/gateway/test_lifecycle.py",),
    ),
    Removal(
        "A doubt is sent again twice at most",
        f"{_SMSGATE}/lifecycle.py",
        "RESENDS = 2\n",
        "RESENDS = 20\n",
        ("tests/gateway/test_sender.py", "tests/gateway/test_lifecycle.py"),
    ),
    Removal(
        "A login that was refused is not tried again with the same secret",
        f"{_SMSGATE}/sessions.py",
        '            if "refused" in state:\n',
        '            if "refused" in state and state["refused"] == "":\n',
        ("tests/gateway/test_sessions.py",),
    ),
    Removal(
        "Logins that nobody answered count as refused",
        f"{_SMSGATE}/sessions.py",
        "_UNANSWERED = 2\n",
        "_UNANSWERED = 2_000\n",
        ("tests/gateway/test_sessions.py",),
    ),
    Removal(
        "A callback's path must be one that was given out",
        f"{_SMSGATE}/intake.py",
        "        if not genuine or provider is None or not issubclass(provider, ability):\n",
        "        if provider is None or not issubclass(provider, ability):\n",
        ("tests/gateway/test_receipts.py",),
    ),
    Removal(
        "A callback is stored before it is acknowledged",
        f"{_SMSGATE}/intake.py",
        "        return Taken(provider, self._ledger.keep_callback(provider_key, kind, callback, self._clock()))\n",
        "        try:\n"
        "            return Taken(provider, self._ledger.keep_callback(provider_key, kind, callback, self._clock()))\n"
        "        except Exception:\n"
        "            return Taken(provider, None)\n",
        ("tests/gateway/test_receipts.py",),
    ),
    Removal(
        "A text in a log line is hidden",
        f"{_SMSGATE}/masking.py",
        '    return f"<{len(value)} characters>"\n',
        "    return value\n",
        ("tests/gateway/test_masking.py",),
    ),
    Removal(
        "A number stands in one call only once",
        f"{_SMSGATE}/dispatcher.py",
        "            for apart in _without_repetition(members):\n",
        "            for apart in [members]:\n",
        ("tests/gateway/test_sender.py",),
    ),
    Removal(
        "An id that belongs to another content is refused",
        f"{_SMSGATE}/claims.py",
        "        while message.digest == digest:\n",
        "        while digest:\n",
        ("tests/gateway/test_sender.py",),
    ),
    Removal(
        "A provider's reference is known before its message is settled",
        f"{_SMSGATE}/dispatcher.py",
        'message = self._evidence.link(message, self._offers[message.provider or ""], outcome.provider_ref)',
        "pass",
        ("tests/gateway/test_receipts.py",),
    ),
)  # fmt: skip


class DoesNotApply(Exception):
    """The words of a removal are not in today's source, or more than once."""


def removed(removal: Removal, source: str) -> str:
    """The source without the rule."""
    if source.count(removal.text) != 1:
        raise DoesNotApply(f"{removal.path}: {removal.rule}")
    return source.replace(removal.text, removal.instead)


def hunt(removal: Removal) -> str | None:
    """What notices that the rule is gone; None where nothing does."""
    with tempfile.TemporaryDirectory(prefix="removed-rule-") as folder:
        copy = Path(folder)
        for name in _COPIED:
            _copy(ROOT / name, copy / name)
        changed = copy / removal.path
        changed.write_text(removed(removal, changed.read_text(encoding="utf-8")), encoding="utf-8")
        return _broken_life(copy) or _broken_test(copy, removal.held_by)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


_LIVES = """
from tests.world.__main__ import ROOT
from tests.world.simulation import live
for seed in range(1, {seeds} + 1):
    broken = live(seed).violations
    if broken:
        print(f"seed {{seed}}: {{broken[0].invariant}}")
        break
"""


def _broken_life(copy: Path) -> str | None:
    lived = subprocess.run(
        [sys.executable, "-c", _LIVES.format(seeds=SEEDS)],
        cwd=copy, capture_output=True, text=True, check=False, timeout=_LONGEST,
    )  # fmt: skip
    if lived.returncode:
        raise RuntimeError(f"the simulation does not work: {lived.stderr.strip().splitlines()[-1]}")
    return f"the simulation, {lived.stdout.strip()}" if lived.stdout.strip() else None


def _broken_test(copy: Path, tests: tuple[str, ...]) -> str | None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=copy, capture_output=True, text=True, check=False, timeout=_LONGEST,
    )  # fmt: skip
    failed = re.search(r"^FAILED (\S+?)(?:\[.*\])?(?: - .*)?$", ran.stdout, re.MULTILINE)
    return f"`{failed[1]}`" if failed else None


def page(caught: dict[str, str | None]) -> str:
    return "\n".join(_page(caught)) + "\n"


def _page(caught: dict[str, str | None]) -> Iterator[str]:
    yield "# What notices when a safety rule is gone"
    yield ""
    yield "Written by `make removed-rules`, which removes one rule after the other in a copy of the sources and lives"
    yield f"{SEEDS} seeds of the simulation in it; where none of them breaks a promise, the rule's own tests are asked."
    yield "`tests/faults/test_removed_rules.py` keeps this page and today's sources together."
    yield ""
    yield "| rule | noticed by |"
    yield "|---|---|"
    for removal in REMOVALS:
        yield f"| {removal.rule} | {caught.get(removal.rule) or NOTHING} |"
    yield ""
    yield "## What was removed"
    for removal in REMOVALS:
        yield ""
        yield f"### {removal.rule}"
        yield ""
        yield f"`{removal.path}`"
        yield ""
        yield "```diff"
        yield from removal.shown()
        yield "```"


def noticed_by() -> dict[str, str | None]:
    """What the page says now: each rule, and what noticed that it was gone."""
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    lines = [line for line in written.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return {rule: by if by != NOTHING else None for rule, by in rows}


def main(words: Sequence[str]) -> int:
    """Every rule, or those whose sentence holds one of the words; of the others the page says what it said before."""
    wanted = [each for each in REMOVALS if not words or any(word in each.rule for word in words)]
    caught = noticed_by() if words else {}
    with ThreadPoolExecutor(2) as pool:
        for removal, by in zip(wanted, pool.map(hunt, wanted), strict=True):
            sys.stdout.write(f"{removal.rule}: {by or NOTHING}\n")
            sys.stdout.flush()
            caught[removal.rule] = by
    PAGE.write_text(page(caught), encoding="utf-8")
    return 0 if all(caught[each.rule] for each in REMOVALS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
