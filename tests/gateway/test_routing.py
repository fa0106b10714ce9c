"""Who may carry a message, in which order, and why the others were passed over."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from smsgate.messages import Message
from smsgate.reasons import Code, Reason
from smsgate.routing import Obstacle, Route, Rules, route
from tests.gateway.examples import MINUTE, NOON, message
from tests.gateway.plainline import OFFERS

RULES = Rules(("plainline", "castello"), frozenset({"TW", "HK"}), None)
NO_CREDIT = Obstacle(Reason(Code.CREDIT_EXHAUSTED), NOON + MINUTE)


def chosen(of: Message | None = None, obstacles: dict[str, Obstacle] | None = None, rules: Rules = RULES) -> Route:
    return route(of or message(), OFFERS, obstacles or {}, rules, NOON)


def names(found: Route) -> list[str]:
    return [candidate.provider for candidate in found.candidates]


def test_the_enabled_providers_in_the_operators_order() -> None:
    assert names(chosen()) == ["plainline", "castello"]
    assert names(chosen(rules=Rules(("castello", "plainline"), RULES.allowed_countries, None))) == [
        "castello",
        "plainline",
    ]


def test_the_publishers_providers_in_the_publishers_order() -> None:
    assert names(chosen(message(providers=("castello", "plainline")))) == ["castello", "plainline"]
    assert names(chosen(message(providers=("castello",)))) == ["castello"]


def test_what_a_text_costs_comes_with_the_candidate() -> None:
    (first, _) = chosen(message(text="x" * 161)).candidates

    assert (first.parts, first.points) == (2, Decimal(2))


def test_a_provider_that_is_not_enabled_is_no_way_to_send() -> None:
    found = chosen(message(providers=("castello",)), rules=Rules(("plainline",), RULES.allowed_countries, None))

    assert found.refused == Reason(Code.NO_ROUTE)
    assert found.passed_over == (("castello", "not enabled"),)


def test_a_suspended_provider_is_passed_over_and_the_next_one_used() -> None:
    found = chosen(obstacles={"plainline": NO_CREDIT})

    assert names(found) == ["castello"]
    assert found.passed_over == (("plainline", "suspended: credit_exhausted"),)


def test_where_all_are_suspended_the_message_waits_for_the_first_to_come_back() -> None:
    later = Obstacle(Reason(Code.BAD_CREDENTIALS), NOON + timedelta(hours=1))

    found = chosen(obstacles={"plainline": later, "castello": NO_CREDIT})

    assert found.waits == NO_CREDIT
    assert found.refused is None


def test_what_no_provider_can_carry_is_refused_with_the_reason_they_share() -> None:
    found = chosen(message(sender="SHOP"))

    assert found.refused is not None
    assert found.refused.code is Code.UNSUPPORTED_FEATURE
    assert dict(found.passed_over)["plainline"] == "plainline shows no sender; leave out `sender`"


@pytest.mark.parametrize("number", ["+12025550123", "+8613681912700"])
def test_a_country_the_operator_did_not_allow_is_refused_before_anybody_is_asked(number: str) -> None:
    found = chosen(message(to=number))

    assert found.refused is not None
    assert found.refused.code is Code.COUNTRY_NOT_ENABLED
    assert not found.candidates


def test_more_parts_than_the_operator_allows_are_refused() -> None:
    rules = Rules(RULES.enabled, RULES.allowed_countries, 2)

    assert names(chosen(message(text="x" * 320), rules=rules)) == ["plainline", "castello"]
    assert chosen(message(text="x" * 321), rules=rules).refused == Reason(Code.TOO_LONG)
