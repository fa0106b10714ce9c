"""The page that says which test holds which rule of the vendors' documents, made from docs/rules/*.toml.

A rules file lists what one document says (parameters, limits, formats, codes, statuses, notes), each with the tests
that hold it, by their node ids. `python -m tools.traceability` writes docs/traceability.md; a test compares the page
with the rules, and every node id with what pytest collects.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "docs" / "rules"
PAGE = ROOT / "docs" / "traceability.md"

KINDS = ("operation", "parameter", "limit", "format", "answer", "code", "status", "note")


@dataclass(frozen=True, slots=True)
class Rule:
    section: str
    kind: str
    says: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    provider: str
    title: str
    rules: tuple[Rule, ...]


class Malformed(Exception):
    """A rules file that is not one; says where."""


def documents(folder: Path = RULES) -> Iterator[Document]:
    for path in sorted(folder.glob("*.toml")):
        content = tomllib.loads(path.read_text("utf-8"))
        yield Document(path.stem, content["document"], tuple(_rule(path, entry) for entry in content["rule"]))


def page(found: Iterator[Document]) -> str:
    lines = [
        "# Which test holds which rule",
        "",
        "Made by `python -m tools.traceability` from `docs/rules/`; the build fails when a rule loses its test.",
    ]
    for document in found:
        lines += ["", f"## {document.provider}: {document.title}", "", "| section | kind | what it says | held by |"]
        lines.append("|---|---|---|---|")
        for rule in document.rules:
            held_by = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in rule.tests)
            cells = (rule.section, rule.kind, rule.says, held_by)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _rule(path: Path, entry: dict[str, object]) -> Rule:
    tests = entry.get("tests")
    if set(entry) != {"section", "kind", "says", "tests"} or not isinstance(tests, list) or not tests:
        raise Malformed(f"{path.name}: {entry}: a rule has section, kind, says and at least one of tests")
    if entry["kind"] not in KINDS:
        raise Malformed(f"{path.name}: {entry['kind']} is none of {', '.join(KINDS)}")
    return Rule(str(entry["section"]), str(entry["kind"]), str(entry["says"]), tuple(str(test) for test in tests))


if __name__ == "__main__":
    PAGE.write_text(page(documents()), "utf-8")
    sys.exit(0)
