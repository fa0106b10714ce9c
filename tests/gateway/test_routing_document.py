"""The routing document: what is right becomes values, what is wrong is named, all of it at once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from smsgate import routing_document
from smsgate.messages import Lane
from smsgate.numbers import WORLD
from smsgate.policy import Mode, Policy, Rate, SlowReceipts, Velocity
from smsgate.requests import Problem
from smsgate.routing_document import (
    DOCUMENT,
    LARGEST,
    Choose,
    Hours,
    InvalidRoutingDocument,
    MessageClass,
    RoutingDocument,
    Rule,
    Use,
    When,
    read,
)
from tests.gateway.examples import NOON, message
from tests.gateway.routing_samples import BEYOND_A_SCHEMA, EVERYTHING, IN_FORM, INVALID, PROVIDERS, VALID

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "routing.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
TAIPEI = timezone(timedelta(hours=8))


def read_json(payload: object) -> RoutingDocument:
    return read(json.dumps(payload), PROVIDERS)


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidRoutingDocument) as caught:
        read(text, PROVIDERS)
    return caught.value.problems


def is_taken(payload: object) -> bool:
    try:
        read_json(payload)
    except InvalidRoutingDocument:
        return False
    return True


class TestReading:
    def test_a_document_becomes_the_values_it_says(self) -> None:
        document = read_json(EVERYTHING)

        assert document == RoutingDocument(
            classes=(
                MessageClass("otp", When(lanes=frozenset({Lane.URGENT}), labels=("otp", "login-*")), True),
                MessageClass("campaign", When(lanes=frozenset({Lane.BULK}))),
            ),
            rules=(
                Rule(
                    "hong-kong",
                    (Use("castello", 1, 3), Use("plainline"), Use("oneway", 2)),
                    When(
                        frozenset({"HK"}),
                        ("+8529",),
                        frozenset({"otp"}),
                        ("login-*",),
                        frozenset({Lane.URGENT}),
                        Hours(time(22), time(8), TAIPEI),
                    ),
                    Choose.WEIGHTED,
                    failover=False,
                ),
                Rule(
                    "週年慶 cheapest",
                    (Use("castello", price=Decimal("0.85")), Use("plainline")),
                    When(classes=frozenset({"campaign"})),
                    Choose.CHEAPEST,
                ),
                Rule("the rest", (Use("plainline"),)),
            ),
            policy=Policy(
                countries=Mode.MONITOR,
                parts=Mode.ENFORCE,
                points=Mode.MONITOR,
                velocities=(
                    Velocity(5, timedelta(minutes=10)),
                    Velocity(3, timedelta(minutes=10), Mode.MONITOR),
                ),
                rates={"castello": Rate(20, timedelta(seconds=1))},
                slow_receipts=SlowReceipts(timedelta(minutes=5), 0.5, 20),
            ),
        )

    def test_a_document_that_says_nothing_is_as_good_as_none(self) -> None:
        assert read_json({"version": 1}) == RoutingDocument()

    @pytest.mark.parametrize("case", VALID)
    def test_what_is_right_is_taken(self, case: str) -> None:
        read_json(VALID[case])

    def test_it_may_begin_with_the_mark_that_editors_of_windows_write(self) -> None:
        assert read('\ufeff{"version": 1}', PROVIDERS) == RoutingDocument()

    def test_it_may_be_as_long_as_an_advanced_parameter(self) -> None:
        text = '{"version": 1' + " " * (LARGEST - 14) + "}"

        assert len(text) == 8192
        assert read(text, PROVIDERS) == RoutingDocument()


class TestRefusing:
    @pytest.mark.parametrize("case", INVALID)
    def test_what_is_wrong_is_named_by_its_path_with_the_remedy(self, case: str) -> None:
        payload, field, words = INVALID[case]

        (problem,) = problems_of(json.dumps(payload))

        assert problem.field == field
        assert re.search(words, problem.problem)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "is not JSON"),
            ("version: 1", "is not JSON"),
            ("{'version': 1}", "is not JSON"),
            ('{"version": 1,}', r"is not JSON: .* \(line 1, column 1[45]\)"),
            ('{"version": 1, "version": 1}', "names `version` twice"),
            ('{"version": 1, "limits": {"parts": "enforce", "parts": "monitor"}}', "names `parts` twice"),
            ('{"version": NaN}', "holds NaN"),
            ('{"version": Infinity}', "holds Infinity"),
            ('{"version": 1e999}', "a number that is too large"),
            ('{"version": ' + "1" * 5000 + "}", "too many digits"),
            ("[" * 8000, "nested too deeply"),
            ('{"version": 1}' + " " * LARGEST, "is larger than 8192 bytes; no SSM parameter holds more"),
            ('{"version": 1, "x": "' + "字" * 3000 + '"}', "is larger than 8192 bytes"),
            ("null", "is null; it is one JSON object"),
            ("[]", "is a list; it is one JSON object"),
            ('"{}"', "is a string; it is one JSON object"),
            ("1", "is a number; it is one JSON object"),
        ],
    )
    def test_what_is_no_object_of_json_is_a_problem_of_the_whole(self, text: str, words: str) -> None:
        (problem,) = problems_of(text)

        assert problem.field == DOCUMENT
        assert re.search(words, problem.problem)

    def test_every_problem_is_named_at_once(self) -> None:
        problems = problems_of(
            json.dumps(
                {
                    "versoin": 1,
                    "classes": [{"name": "otp", "lanes": ["slow"]}],
                    "rules": [
                        {"when": {"countries": ["UK"], "prefixes": ["09"]}, "use": [{"provider": "nowhere"}]},
                        {"name": "b", "use": [{"provider": "oneway", "weight": 0}], "choose": "weighted"},
                    ],
                    "limits": {"rates": {"nobody": {}}, "slow_receipts": {}},
                }
            )
        )

        assert [problem.field for problem in problems] == [
            "versoin",
            "version",
            "classes[0].lanes[0]",
            "rules[0].name",
            "rules[0].use[0].provider",
            "rules[0].when.countries[0]",
            "rules[0].when.prefixes[0]",
            "rules[1].use[0].weight",
            "limits.rates.nobody",
            "limits.slow_receipts.after_seconds",
            "limits.slow_receipts.share",
            "limits.slow_receipts.least",
        ]

    def test_the_first_fifty_are_listed_and_how_many_more_there_are(self) -> None:
        problems = problems_of(json.dumps({"version": 1, "rules": [0] * 53}))

        assert len(problems) == 51
        assert problems[-1] == Problem(DOCUMENT, "has 3 more problems, not listed here")

    def test_a_rule_in_which_something_is_wrong_makes_no_other_unreachable(self) -> None:
        payload = {
            "version": 1,
            "rules": [
                {"name": "a", "when": {"countries": ["UK"]}, "use": [{"provider": "oneway"}]},
                {"name": "b", "when": {"countries": ["TW"]}, "use": [{"provider": "oneway"}]},
            ],
        }

        assert [problem.field for problem in problems_of(json.dumps(payload))] == ["rules[0].when.countries[0]"]

    def test_a_choice_that_is_none_says_nothing_of_weights_and_prices(self) -> None:
        payload = {"version": 1, "rules": [{"name": "a", "use": [{"provider": "oneway", "weight": 2}], "choose": "x"}]}

        assert [problem.field for problem in problems_of(json.dumps(payload))] == ["rules[0].choose"]

    def test_all_problems_are_one_sentence_for_a_log(self) -> None:
        with pytest.raises(InvalidRoutingDocument, match=r"^version is missing; rules is null; leave the field out"):
            read('{"rules": null}', PROVIDERS)

    def test_no_problem_repeats_a_telephone_number(self) -> None:
        number = "+886912345678"
        payload = {
            number: 1,
            "classes": [{"name": "c", number: 1}],
            "rules": [
                {"name": "r", "when": {"countries": [number], "classes": [number]}, "use": [{"provider": number}]}
            ],
            "limits": {"rates": {number: {}}},
        }

        assert "912345678" not in str(problems_of(json.dumps(payload)))


SHAPES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["plainline", "TW", "otp", "+852", "08:00", "+08:00", "weighted", "monitor", "bulk", 1, 0.5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {
                        field
                        for name in dir(routing_document)
                        if name.endswith("FIELDS")
                        for field in vars(routing_document)[name]
                    }
                )
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every object and list in it, with every key there is."""
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for inner in value.values() for place in places(inner)]
    if isinstance(value, list):
        return [(value, key) for key in range(len(value))] + [place for inner in value for place in places(inner)]
    return []


@given(SHAPES)
def test_no_json_breaks_the_reader(payload: Any) -> None:
    is_taken(payload)


@given(st.data(), st.sampled_from(sorted(VALID)), SHAPES)
def test_no_value_in_any_place_breaks_the_reader(data: st.DataObject, case: str, value: Any) -> None:
    payload = json.loads(json.dumps(VALID[case]))
    inside, key = data.draw(st.sampled_from(places(payload)))
    inside[key] = value

    taken = is_taken(payload)

    assert not taken or VALIDATOR.is_valid(payload)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(InvalidRoutingDocument):
        read(text, PROVIDERS)


class TestTheSchema:
    def test_is_a_schema(self) -> None:
        Draft202012Validator.check_schema(SCHEMA)

    @pytest.mark.parametrize("case", VALID)
    def test_takes_what_the_reader_takes(self, case: str) -> None:
        VALIDATOR.validate(VALID[case])

    @pytest.mark.parametrize("case", IN_FORM)
    def test_refuses_what_is_wrong_in_form(self, case: str) -> None:
        assert not VALIDATOR.is_valid(IN_FORM[case][0])

    @pytest.mark.parametrize("case", BEYOND_A_SCHEMA)
    def test_leaves_to_the_reader_what_no_schema_says(self, case: str) -> None:
        assert VALIDATOR.is_valid(BEYOND_A_SCHEMA[case][0])

    def test_names_the_fields_the_reader_knows(self) -> None:
        definitions = SCHEMA["$defs"]
        limits = definitions["limits"]["properties"]

        assert tuple(SCHEMA["properties"]) == routing_document.FIELDS
        assert tuple(definitions["class"]["properties"]) == routing_document.CLASS_FIELDS
        assert tuple(definitions["rule"]["properties"]) == routing_document.RULE_FIELDS
        assert tuple(definitions["when"]["properties"]) == routing_document.WHEN_FIELDS
        assert tuple(definitions["when"]["properties"]["between"]["properties"]) == routing_document.BETWEEN_FIELDS
        assert tuple(definitions["use"]["properties"]) == routing_document.USE_FIELDS
        assert tuple(limits) == routing_document.LIMIT_FIELDS
        assert tuple(limits["per_number"]["items"]["properties"]) == routing_document.PER_NUMBER_FIELDS
        assert tuple(limits["rates"]["additionalProperties"]["properties"]) == routing_document.RATE_FIELDS
        assert tuple(limits["slow_receipts"]["properties"]) == routing_document.SLOW_RECEIPTS_FIELDS

    def test_has_the_words_of_the_values(self) -> None:
        definitions = SCHEMA["$defs"]

        assert definitions["rule"]["properties"]["choose"]["enum"] == list(Choose)
        assert definitions["lanes"]["items"]["enum"] == list(Lane)
        assert definitions["mode"]["enum"] == list(Mode)


class TestMatching:
    @pytest.mark.parametrize(
        ("pattern", "label", "is_one"),
        [
            ("otp", "otp", True),
            ("otp", "otp2", False),
            ("otp", "OTP", False),
            ("login-*", "login-", True),
            ("login-*", "login-web", True),
            ("login-*", "my login-web", False),
            ("*-web", "login-web", True),
            ("*-web", "login-web2", False),
            ("a*b*c", "a--b--c", True),
            ("a*b*c", "a--c--b", False),
            ("a*a", "a", False),
            ("ab*ba", "aba", False),
            ("*b*b", "ab", False),
            ("*b*b", "abb", True),
            ("*x*", "axb", True),
            ("*x*", "ab", False),
            ("*", "", True),
            ("**", "anything", True),
            ("[ab]?.+", "[ab]?.+", True),
            ("[ab]", "a", False),
            ("*優惠*", "週年慶優惠券", True),
            ("*a" * 40 + "*b", "a" * 100, False),
        ],
    )
    def test_a_star_stands_for_any_characters_and_all_else_for_itself(
        self, pattern: str, label: str, is_one: bool
    ) -> None:
        assert When(labels=(pattern,)).holds(message(label=label), None, "TW", NOON) is is_one

    @given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
    def test_stars_match_as_regular_expressions_would(self, pattern: str, label: str) -> None:
        expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))

        matched = When(labels=(pattern,)).holds(message(label=label), None, "TW", NOON)

        assert matched is (re.fullmatch(expression, label) is not None)

    def test_a_message_without_a_label_has_none(self) -> None:
        assert not When(labels=("*",)).holds(message(), None, "TW", NOON)

    @pytest.mark.parametrize(
        "when",
        [
            When(),
            When(countries=frozenset({"HK", "TW"})),
            When(prefixes=("+852", "+8869")),
            When(classes=frozenset({"otp", "ad"})),
            When(labels=("login-*", "otp")),
            When(lanes=frozenset({Lane.URGENT})),
            When(frozenset({"TW"}), ("+886",), frozenset({"otp"}), ("otp",), frozenset({Lane.URGENT})),
        ],
    )
    def test_of_each_list_one_is_enough(self, when: When) -> None:
        assert when.holds(message(label="otp"), "otp", "TW", NOON)

    @pytest.mark.parametrize(
        "when",
        [
            When(countries=frozenset({"HK"})),
            When(prefixes=("+8860", "886")),
            When(classes=frozenset({"ad"})),
            When(labels=("login-*",)),
            When(lanes=frozenset({Lane.BULK})),
            When(between=Hours(time(13), time(14), TAIPEI)),
        ],
    )
    def test_all_that_is_said_must_hold(self, when: When) -> None:
        whole = When(frozenset({"TW"}), ("+886",), frozenset({"otp"}), ("otp",), frozenset({Lane.URGENT}))
        but_one = {name: getattr(when, name) for name in routing_document.WHEN_FIELDS if getattr(when, name)}

        assert not when.holds(message(label="otp"), "otp", "TW", NOON)
        assert not When(**{**fields_of(whole), **but_one}).holds(message(label="otp"), "otp", "TW", NOON)

    @pytest.mark.parametrize(
        ("clock", "by_day", "by_night"),
        [
            ("07:59:59.999999", False, True),
            ("08:00", True, False),
            ("12:00", True, False),
            ("21:59:59.999999", True, False),
            ("22:00", False, True),
            ("00:00", False, True),
        ],
    )
    def test_from_belongs_to_the_hours_and_to_does_not(self, clock: str, by_day: bool, by_night: bool) -> None:
        at = datetime.fromisoformat(f"2026-11-20T{clock}+08:00").astimezone(UTC)

        assert Hours(time(8), time(22), TAIPEI).hold(at) is by_day
        assert Hours(time(22), time(8), TAIPEI).hold(at) is by_night

    def test_the_hours_are_of_their_own_clock(self) -> None:
        noon_in_taipei = Hours(time(12), time(13), TAIPEI)

        assert noon_in_taipei.hold(NOON)
        assert not Hours(time(12), time(13), timezone(timedelta(0))).hold(NOON)
        assert Hours(time(22, 30), time(22, 31), timezone(-timedelta(hours=5, minutes=30))).hold(NOON)

    def test_the_first_class_that_takes_a_message_is_its_class(self) -> None:
        document = read_json(EVERYTHING)

        assert class_of(document, label="login-web") == "otp"
        assert class_of(document, label="login-web", lane=Lane.BULK) == "campaign"
        assert class_of(document, label="parcel") is None

    def test_hours_count_when_the_message_is_to_go_out(self) -> None:
        night = Rule("night", (Use("oneway"),), When(between=Hours(time(22), time(8), TAIPEI)))
        document = RoutingDocument(rules=(night,))
        tonight = NOON + timedelta(hours=11)

        assert document.rule_for(message(), None, "TW", NOON) is None
        assert document.rule_for(message(send_at=tonight), None, "TW", NOON) is night
        assert document.rule_for(message(send_at=NOON), None, "TW", tonight) is night


def fields_of(when: When) -> dict[str, Any]:
    return {name: getattr(when, name) for name in routing_document.WHEN_FIELDS}


def class_of(document: RoutingDocument, **fields: Any) -> str | None:
    found = document.class_of(message(**fields))
    return found.name if found else None


WHENS = st.builds(
    When,
    countries=st.frozensets(st.sampled_from(["TW", "HK"]), max_size=2),
    prefixes=st.lists(st.sampled_from(["+8", "+886", "+8869", "+852"]), max_size=2).map(tuple),
    classes=st.frozensets(st.sampled_from(["otp", "ad"]), max_size=2),
    labels=st.lists(st.text("ab*", min_size=1, max_size=3), max_size=2).map(tuple),
    lanes=st.frozensets(st.sampled_from(Lane), max_size=1),
    between=st.none() | st.builds(Hours, st.just(time(8)), st.sampled_from([time(12), time(22)]), st.just(TAIPEI)),
)


@given(
    WHENS,
    WHENS,
    st.sampled_from([("+886912345678", "TW"), ("+85291234567", "HK")]),
    st.sampled_from(["otp", "ad", None]),
    st.none() | st.text("ab", max_size=4),
    st.sampled_from(Lane),
    st.integers(0, 23),
)
def test_what_covers_another_holds_wherever_the_other_does(
    wide: When, narrow: When, to: tuple[str, str], name: str | None, label: str | None, lane: Lane, hour: int
) -> None:
    one = message(to=to[0], label=label, lane=lane)
    at = NOON + timedelta(hours=hour)

    if wide.covers(narrow) and narrow.holds(one, name, to[1], at):
        assert wide.holds(one, name, to[1], at)


def test_the_countries_are_those_that_numbers_can_be_of() -> None:
    assert set(routing_document._REGIONS.split()) == set(phonenumbers.SUPPORTED_REGIONS) | {WORLD}
