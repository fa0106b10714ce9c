"""Every rule of the vendors' documents is held by a test that there is, and the page that says so is up to date."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from smsgate.providers import PROVIDERS
from tools.traceability import KINDS, PAGE, Document, Malformed, documents, page

ROOT = Path(__file__).parents[2]

# Fewer rules than this cannot be a whole document.
AT_LEAST = 40


@cache
def collected() -> frozenset[str]:
    """The node ids of all tests of providers, as pytest names them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/providers"]
    command += ["tests/local", "tests/transports"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    # A test stands for all its cases: `file::test` holds what `file::test[case]` holds.
    return frozenset(lines) | {line.partition("[")[0] for line in lines}


def test_every_provider_has_its_documents_rules() -> None:
    rules = {document.provider: len(document.rules) for document in documents()}

    assert set(rules) == set(PROVIDERS)
    assert {provider: count for provider, count in rules.items() if count < AT_LEAST} == {}


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: document.provider)
def test_every_rule_has_a_test_that_there_is(document: Document) -> None:
    lost = [(rule.says, test) for rule in document.rules for test in rule.tests if test not in collected()]

    assert lost == []


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: document.provider)
def test_every_kind_of_rule_is_looked_at(document: Document) -> None:
    kinds = {rule.kind for rule in document.rules}

    assert kinds >= {"operation", "parameter", "limit", "code", "status"} & set(KINDS)


def test_the_page_says_what_the_rules_say() -> None:
    assert PAGE.read_text("utf-8") == page(documents()), "run python -m tools.traceability"


@pytest.mark.parametrize(
    "entry",
    [
        'section = "1"\nkind = "code"\nsays = "x"\n',
        'section = "1"\nkind = "code"\nsays = "x"\ntests = []\n',
        'section = "1"\nkind = "rumour"\nsays = "x"\ntests = ["a"]\n',
    ],
)
def test_a_rule_without_a_test_is_refused(entry: str, tmp_path: Path) -> None:
    (tmp_path / "someone.toml").write_text(f'document = "d"\n[[rule]]\n{entry}')

    with pytest.raises(Malformed):
        list(documents(tmp_path))
