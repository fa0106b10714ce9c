"""Who may carry a message, in which order, and why the others were passed over."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.messages import Lane, Message
from smsgate.numbers import country
from smsgate.policy import Mode, Policy
from smsgate.providers.base import Measure, Provider, Refusal, refuse
from smsgate.reasons import Code, Reason
from smsgate.routing import Candidate, Obstacle, Route, Rules, route
from smsgate.routing_document import Choose, MessageClass, RoutingDocument, Rule, Use, When, read
from tests.gateway.examples import MINUTE, NOON, message
from tests.gateway.plainline import OFFERS, Castello, Oneway
from tests.gateway.routing_samples import EVERYTHING

Offers = dict[str, type[Provider]]

RULES = Rules(("plainline", "castello"), frozenset({"TW", "HK"}), None)
ALL = Rules(("plainline", "castello", "oneway"), RULES.allowed_countries, None)
NO_DOCUMENT = RoutingDocument()
NO_CREDIT = Obstacle(Reason(Code.CREDIT_EXHAUSTED), NOON + MINUTE)
ON_TRIAL = replace(NO_CREDIT, trial=True)
SLOW = Obstacle(Reason(Code.NO_REPORT), NOON + MINUTE, soft=True)


def chosen(
    of: Message | None = None,
    obstacles: dict[str, Obstacle] | None = None,
    rules: Rules = RULES,
    document: RoutingDocument = NO_DOCUMENT,
) -> Route:
    return route(of or message(), OFFERS, obstacles or {}, rules, NOON, document)


def by_rule(
    *uses: Use, when: When | None = None, choose: Choose = Choose.LISTED, failover: bool = True
) -> RoutingDocument:
    return RoutingDocument(rules=(Rule("the rule", uses, when or When(), choose, failover),))


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
    assert dict(found.passed_over)["plainline"] == "plainline shows its own number as sender: leave `sender` out"


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


class TestRules:
    def test_the_first_rule_that_holds_decides(self) -> None:
        document = RoutingDocument(
            rules=(
                Rule("abroad", (Use("plainline"),), When(countries=frozenset({"HK"}))),
                Rule("taiwan", (Use("castello"),), When(countries=frozenset({"TW"}))),
                Rule("the rest", (Use("plainline"),)),
            )
        )

        assert names(chosen(document=document)) == ["castello"]
        assert names(chosen(message(to="+85291234567"), document=document)) == ["plainline"]

    def test_where_no_rule_holds_every_enabled_provider_is_used_in_the_operators_order(self) -> None:
        document = by_rule(Use("castello"), when=When(countries=frozenset({"HK"})))

        assert names(chosen(document=document)) == ["plainline", "castello"]

    def test_the_class_of_a_message_may_decide(self) -> None:
        document = RoutingDocument(
            classes=(MessageClass("otp", When(labels=("otp",))), MessageClass("rest")),
            rules=(Rule("passwords", (Use("castello"),), When(classes=frozenset({"otp"}))),),
        )

        assert names(chosen(message(label="otp"), document=document)) == ["castello"]
        assert names(chosen(message(label="otp2"), document=document)) == ["plainline", "castello"]

    def test_lower_priorities_are_tried_first_and_equal_ones_as_they_are_listed(self) -> None:
        document = by_rule(Use("oneway", 2), Use("castello", 1), Use("plainline", 1))

        assert names(chosen(rules=ALL, document=document)) == ["castello", "plainline", "oneway"]

    def test_a_provider_of_the_rule_that_is_not_enabled_is_passed_over(self) -> None:
        found = chosen(document=by_rule(Use("oneway"), Use("castello")))

        assert names(found) == ["castello"]
        assert found.passed_over == (("oneway", "not enabled"),)

    def test_a_rule_none_of_whose_providers_is_enabled_lets_nobody_else_have_the_message(self) -> None:
        found = chosen(document=by_rule(Use("oneway")))

        assert found.candidates == ()
        assert found.refused == Reason(Code.NO_ROUTE)

    def test_the_requests_own_providers_come_before_any_rule(self) -> None:
        document = by_rule(Use("plainline"), failover=False)

        assert names(chosen(message(providers=("castello", "plainline")), document=document)) == [
            "castello",
            "plainline",
        ]

    def test_a_document_as_it_is_written_is_followed(self) -> None:
        document = read(json.dumps(EVERYTHING), sorted(OFFERS))

        tonight = NOON + timedelta(hours=11)
        found = route(message(to="+85291234567", label="login-web"), OFFERS, {}, ALL, tonight, document)

        assert set(names(found)) <= {"castello", "plainline"}
        assert len(names(found)) == 1
        assert names(chosen(document=document)) == ["plainline"]
        assert names(chosen(message(lane=Lane.BULK), rules=ALL, document=document)) == ["castello", "plainline"]


class TestWeights:
    DOCUMENT = by_rule(
        Use("castello", weight=3), Use("plainline"), Use("oneway", priority=2, weight=1000), choose=Choose.WEIGHTED
    )

    def first(self, place: int, obstacles: dict[str, Obstacle] | None = None) -> list[str]:
        return names(chosen(message(message_id=f"{'a' * 24}-{place}"), obstacles, ALL, self.DOCUMENT))

    def test_a_message_has_the_same_order_whenever_it_is_asked_for(self) -> None:
        assert [self.first(place) for place in range(1, 50)] == [self.first(place) for place in range(1, 50)]

    def test_the_drawn_order_is_the_same_in_every_release(self) -> None:
        """A redelivered record and a replayed simulation meet the order they met before."""
        assert "".join(self.first(place)[0][0] for place in range(1, 21)) == "ccpcpccccccccppcppcc"

    def test_shares_are_as_the_weights_say(self) -> None:
        drawn = Counter(self.first(place)[0] for place in range(1, 4001))

        assert drawn.keys() == {"castello", "plainline"}
        assert abs(drawn["castello"] - 3000) < 110  # four standard deviations

    def test_shares_behind_a_higher_priority_are_as_the_weights_say(self) -> None:
        document = by_rule(
            Use("oneway", 1),
            Use("castello", 2, weight=1),
            Use("plainline", 2, weight=4),
            choose=Choose.WEIGHTED,
        )

        drawn = Counter(
            names(chosen(message(message_id=f"{'b' * 24}-{place}"), None, ALL, document))[1] for place in range(1, 2001)
        )

        assert abs(drawn["plainline"] - 1600) < 72

    def test_who_has_the_higher_priority_comes_first_whatever_the_weights(self) -> None:
        assert all(self.first(place)[2] == "oneway" for place in range(1, 200))

    def test_that_one_drops_out_does_not_change_the_order_of_the_others(self) -> None:
        for place in range(1, 100):
            whole = self.first(place)

            assert self.first(place, {"castello": NO_CREDIT}) == [key for key in whole if key != "castello"]


class Dear(Castello):
    """Three points for what others do for one."""

    @classmethod
    def measure(cls, message: Message) -> Measure:
        cheap = super().measure(message)
        return replace(cheap, points=cheap.points * 3)


class TestPrices:
    def order(self, *uses: Use) -> list[str]:
        offers: Offers = {**OFFERS, "castello": Dear}
        document = by_rule(*uses, choose=Choose.CHEAPEST)
        return names(route(message(), offers, {}, ALL, NOON, document))

    def test_what_costs_fewest_points_is_cheapest(self) -> None:
        assert self.order(Use("castello"), Use("plainline")) == ["plainline", "castello"]

    def test_points_of_providers_are_not_the_same_money(self) -> None:
        dear, cheap = Use("plainline", price=Decimal("0.91")), Use("castello", price=Decimal("0.30"))

        assert self.order(dear, cheap) == ["castello", "plainline"]

    def test_what_costs_the_same_stays_as_it_is_listed(self) -> None:
        third = Use("castello", price=Decimal("0.1"))

        assert self.order(third, Use("plainline", price=Decimal("0.3"))) == ["castello", "plainline"]
        assert self.order(Use("plainline", price=Decimal("0.3")), third) == ["plainline", "castello"]

    def test_priorities_come_before_prices(self) -> None:
        assert self.order(Use("castello"), Use("plainline", priority=2)) == ["castello", "plainline"]


class TestFailover:
    DOCUMENT = by_rule(Use("castello"), Use("plainline"), failover=False)

    def test_without_it_the_first_choice_is_the_only_one(self) -> None:
        found = chosen(document=self.DOCUMENT)

        assert names(found) == ["castello"]
        assert found.passed_over == (("plainline", "the rule does not fail over"),)

    def test_without_it_the_message_waits_for_the_first_choice(self) -> None:
        found = chosen(obstacles={"castello": NO_CREDIT}, document=self.DOCUMENT)

        assert found.candidates == ()
        assert found.waits == NO_CREDIT
        assert found.refused is None

    def test_without_it_the_first_choice_is_used_however_slow_it_is(self) -> None:
        assert names(chosen(obstacles={"castello": SLOW}, document=self.DOCUMENT)) == ["castello"]

    def test_who_cannot_carry_the_message_is_no_choice(self) -> None:
        rules = Rules(RULES.enabled, RULES.allowed_countries, 2)
        offers: Offers = {**OFFERS, "castello": Lengthy}

        found = route(message(), offers, {}, rules, NOON, self.DOCUMENT)

        assert names(found) == ["plainline"]


class Lengthy(Castello):
    """Nine parts for whatever it is."""

    @classmethod
    def measure(cls, message: Message) -> Measure:
        return Measure(9, Decimal(9), "ascii")


class TestObstacles:
    def test_one_better_used_than_none_goes_behind_those_without_any(self) -> None:
        assert names(chosen(obstacles={"plainline": SLOW})) == ["castello", "plainline"]
        assert names(chosen(obstacles={"plainline": SLOW}, document=by_rule(Use("plainline"), Use("castello", 9)))) == [
            "castello",
            "plainline",
        ]

    def test_it_is_used_where_there_is_no_other(self) -> None:
        found = chosen(obstacles={"plainline": SLOW, "castello": NO_CREDIT})

        assert names(found) == ["plainline"]
        assert found.waits is None

    def test_one_to_be_tried_again_may_be_the_first(self) -> None:
        found = chosen(obstacles={"plainline": ON_TRIAL})

        assert found.candidates == (
            Candidate("plainline", 1, Decimal(1), trial=True),
            Candidate("castello", 1, Decimal(1)),
        )

    def test_one_to_be_tried_again_is_nobodys_alternative(self) -> None:
        found = chosen(obstacles={"castello": ON_TRIAL})

        assert names(found) == ["plainline"]
        assert found.passed_over == (("castello", "suspended: credit_exhausted; tried again as the first choice only"),)

    def test_of_two_to_be_tried_again_only_the_first_is(self) -> None:
        found = chosen(obstacles={"plainline": ON_TRIAL, "castello": ON_TRIAL})

        assert [(candidate.provider, candidate.trial) for candidate in found.candidates] == [("plainline", True)]

    def test_one_to_be_tried_again_behind_a_suspended_one_is_the_first(self) -> None:
        found = chosen(obstacles={"plainline": NO_CREDIT, "castello": ON_TRIAL})

        assert [(candidate.provider, candidate.trial) for candidate in found.candidates] == [("castello", True)]
        assert found.waits is None


class TestMonitoring:
    TWO_PARTS = Rules(RULES.enabled, RULES.allowed_countries, 2)

    def test_a_country_beyond_the_allowed_ones_goes_on_and_is_told(self) -> None:
        found = chosen(message(to="+12025550123"), document=RoutingDocument(policy=Policy(countries=Mode.MONITOR)))

        assert names(found) == ["plainline", "castello"]
        assert found.monitored == ("AllowedCountries",)

    def test_more_parts_than_allowed_go_on_and_are_told(self) -> None:
        document = RoutingDocument(policy=Policy(parts=Mode.MONITOR))

        found = chosen(message(text="x" * 321), rules=self.TWO_PARTS, document=document)

        assert names(found) == ["plainline", "castello"]
        assert found.monitored == ("MaxParts",)

    @pytest.mark.parametrize("policy", [Policy(countries=Mode.MONITOR), Policy(parts=Mode.MONITOR)])
    def test_what_keeps_to_the_limits_is_not_told(self, policy: Policy) -> None:
        document = RoutingDocument(policy=policy)

        assert chosen(message(text="x" * 320), rules=self.TWO_PARTS, document=document).monitored == ()

    def test_each_limit_has_a_mode_of_its_own(self) -> None:
        text = "x" * 321

        parts_only = RoutingDocument(policy=Policy(parts=Mode.MONITOR))
        countries_only = RoutingDocument(policy=Policy(countries=Mode.MONITOR))

        abroad = chosen(message(to="+12025550123", text=text), rules=self.TWO_PARTS, document=parts_only)
        assert abroad.refused is not None
        assert abroad.refused.code is Code.COUNTRY_NOT_ENABLED
        long = chosen(message(to="+12025550123", text=text), rules=self.TWO_PARTS, document=countries_only)
        assert long.refused == Reason(Code.TOO_LONG)


class TestExplaining:
    def explained(self, *asked: Any, **more: Any) -> dict[str, str]:
        pairs = chosen(*asked, **more).explained
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def test_without_a_document_the_order_is_the_default(self) -> None:
        assert self.explained(message(text="x" * 161)) == {
            "rule": "default",
            "candidates": "plainline for 2 points, then castello for 2 points",
        }

    def test_by_a_rule_its_name_the_class_and_who_is_not_in_it(self) -> None:
        document = RoutingDocument(
            classes=(MessageClass("otp"),),
            rules=(Rule("passwords", (Use("castello", price=Decimal("0.85")),), choose=Choose.CHEAPEST),),
        )

        assert self.explained(rules=ALL, document=document) == {
            "class": "otp",
            "rule": "passwords",
            "candidates": "castello for 1 point at 0.85",
            "plainline": "not in the rule",
            "oneway": "not in the rule",
        }

    def test_by_the_request_who_was_not_asked_for(self) -> None:
        assert self.explained(message(providers=("castello",))) == {
            "rule": "the request's own",
            "candidates": "castello for 1 point",
            "plainline": "not asked for",
        }

    def test_what_is_suspended_slow_or_on_trial_says_why(self) -> None:
        obstacles = {"plainline": NO_CREDIT, "castello": SLOW, "oneway": ON_TRIAL}

        assert self.explained(None, obstacles, ALL) == {
            "rule": "default",
            "candidates": "oneway for 1 point (on trial: credit_exhausted), "
            "then castello for 1 point (last resort: no_report)",
            "plainline": "suspended: credit_exhausted",
        }

    def test_what_waits_says_for_whom(self) -> None:
        assert self.explained(None, {"plainline": NO_CREDIT, "castello": NO_CREDIT}) == {
            "rule": "default",
            "plainline": "suspended: credit_exhausted",
            "castello": "suspended: credit_exhausted",
        }

    def test_what_is_refused_says_by_whom_and_why(self) -> None:
        assert self.explained(message(sender="SHOP"), rules=Rules(("oneway",), ALL.allowed_countries, None)) == {
            "rule": "default",
            "oneway": "oneway shows its own number as sender: leave `sender` out",
        }

    def test_what_a_limit_of_ours_refuses_says_which(self) -> None:
        assert self.explained(message(to="+12025550123")) == {"limit": "US is not in AllowedCountries"}

    def test_what_was_only_monitored_is_in_it(self) -> None:
        document = RoutingDocument(policy=Policy(countries=Mode.MONITOR, parts=Mode.MONITOR))
        rules = Rules(("oneway",), RULES.allowed_countries, 1)

        assert self.explained(message(to="+12025550123", text="x" * 161), rules=rules, document=document) == {
            "rule": "default",
            "candidates": "oneway for 2 points",
            "monitored": "AllowedCountries, MaxParts",
        }


class Choosy(Oneway):
    """Takes nothing for Hong Kong."""

    key = "choosy"

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        return refuse(Code.COUNTRY_NOT_ENABLED, "Taiwan only") if message.to.startswith("+852") else None


MORE_OFFERS: Offers = {**OFFERS, "choosy": Choosy}
KEYS = sorted(MORE_OFFERS)
USES = st.lists(
    st.builds(
        Use,
        st.sampled_from([*KEYS, "gone"]),
        st.integers(1, 3),
        st.integers(1, 1000),
        st.decimals("0.0001", "1000", places=4),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda use: use.provider,
).map(tuple)
WHENS = st.builds(When, countries=st.frozensets(st.sampled_from(["TW", "HK"]), max_size=1))
DOCUMENTS = st.builds(
    RoutingDocument,
    rules=st.lists(st.builds(Rule, st.just("r"), USES, WHENS, st.sampled_from(Choose), st.booleans()), max_size=3).map(
        tuple
    ),
    policy=st.builds(Policy, countries=st.sampled_from(Mode), parts=st.sampled_from(Mode)),
)
OBSTACLES = st.dictionaries(
    st.sampled_from(KEYS),
    st.builds(
        Obstacle,
        st.just(Reason(Code.CREDIT_EXHAUSTED)),
        st.integers(1, 60).map(lambda minutes: NOON + minutes * MINUTE),
        st.booleans(),
        st.booleans(),
    ),
)
MESSAGES = st.builds(
    message,
    message_id=st.integers(1, 10_000).map(lambda place: f"{'c' * 24}-{place}"),
    to=st.sampled_from(["+886912345678", "+85291234567", "+12025550123"]),
    text=st.integers(1, 700).map(lambda length: "x" * length),
    providers=st.lists(st.sampled_from(KEYS), max_size=3, unique=True).map(tuple),
    sender=st.sampled_from([None, None, "SHOP"]),
)
LIMITS = st.builds(
    Rules,
    st.lists(st.sampled_from(KEYS), min_size=1, unique=True).map(tuple),
    st.just(frozenset({"TW", "HK"})),
    st.none() | st.integers(1, 4),
)


class TestWhateverIsAsked:
    @given(MESSAGES, OBSTACLES, LIMITS, DOCUMENTS)
    def test_there_is_a_way_a_wait_or_a_refusal_and_only_one_of_them(
        self, one: Message, obstacles: dict[str, Obstacle], rules: Rules, document: RoutingDocument
    ) -> None:
        found = route(one, MORE_OFFERS, obstacles, rules, NOON, document)

        assert [bool(found.candidates), found.waits is not None, found.refused is not None].count(True) == 1
        assert found == route(one, MORE_OFFERS, dict(reversed(obstacles.items())), rules, NOON, document)

    @given(MESSAGES, OBSTACLES, LIMITS, DOCUMENTS)
    def test_each_enabled_provider_is_a_candidate_once_or_somebody_said_why_not(
        self, one: Message, obstacles: dict[str, Obstacle], rules: Rules, document: RoutingDocument
    ) -> None:
        found = route(one, MORE_OFFERS, obstacles, rules, NOON, document)

        said = [key for key, _ in found.explained]
        if "limit" not in said:
            assert sorted(names(found) + [key for key in said if key in rules.enabled]) == sorted(rules.enabled)

    @given(MESSAGES, OBSTACLES, LIMITS, DOCUMENTS)
    def test_nobody_is_called_who_cannot_carry_it_or_is_suspended(
        self, one: Message, obstacles: dict[str, Obstacle], rules: Rules, document: RoutingDocument
    ) -> None:
        found = route(one, MORE_OFFERS, obstacles, rules, NOON, document)

        for place, candidate in enumerate(found.candidates):
            obstacle = obstacles.get(candidate.provider)
            assert MORE_OFFERS[candidate.provider].refusal(one, NOON) is None
            assert obstacle is None or obstacle.soft or obstacle.trial
            assert candidate.trial == (obstacle is not None and obstacle.trial)
            assert not candidate.trial or place == 0
            assert document.policy.parts is Mode.MONITOR or candidate.parts <= (rules.max_parts or 99)

    @given(MESSAGES, LIMITS, DOCUMENTS)
    def test_priorities_are_in_order_and_no_failover_is_one_candidate(
        self, one: Message, rules: Rules, document: RoutingDocument
    ) -> None:
        one = replace(one, providers=())
        rule = document.rule_for(one, None, country(one.to), NOON)

        found = route(one, MORE_OFFERS, {}, rules, NOON, document)

        if rule is not None:
            priorities = {use.provider: use.priority for use in rule.use}
            order = [priorities[key] for key in names(found)]
            assert order == sorted(order)
            assert rule.failover or len(order) <= 1

    @given(MESSAGES, OBSTACLES, LIMITS, DOCUMENTS)
    def test_the_explanation_holds_neither_number_nor_text(
        self, one: Message, obstacles: dict[str, Obstacle], rules: Rules, document: RoutingDocument
    ) -> None:
        told = str(route(one, MORE_OFFERS, obstacles, rules, NOON, document))

        assert one.to[4:] not in told
        assert len(one.text or "") < 3 or (one.text or "") not in told
