"""The removals of safety rules fit today's sources, and the page says of each what noticed it."""

from __future__ import annotations

import ast

import pytest

from tests.world.removed_rules import PAGE, REMOVALS, ROOT, Removal, noticed_by, page, removed

FEWEST = 12


def by_rule(removal: Removal) -> str:
    return removal.rule


@pytest.mark.parametrize("removal", REMOVALS, ids=by_rule)
def test_a_rule_can_be_removed_from_todays_source(removal: Removal) -> None:
    source = (ROOT / removal.path).read_text(encoding="utf-8")

    without = removed(removal, source)

    assert without != source
    ast.parse(without)


@pytest.mark.parametrize("removal", REMOVALS, ids=by_rule)
def test_the_tests_that_hold_a_rule_exist(removal: Removal) -> None:
    assert [path for path in removal.held_by if not (ROOT / path).is_file()] == []


def test_every_rule_was_noticed_when_it_was_gone() -> None:
    noticed = noticed_by()

    assert len(REMOVALS) >= FEWEST
    assert list(noticed) == [removal.rule for removal in REMOVALS]
    assert [rule for rule, by in noticed.items() if by is None] == []


def test_the_page_is_the_one_that_is_written() -> None:
    written = PAGE.read_text(encoding="utf-8")

    assert written == page(noticed_by()), "run `make removed-rules`"
