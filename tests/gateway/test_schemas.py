"""The published schema and the checker say the same of a send request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from smsgate import requests
from smsgate.messages import Form, Lane, OnDoubt, TooLong
from tests.gateway.request_samples import INVALID, NO_OBJECTS, NOW, NUMBER, PROVIDERS, VALID, right_with

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "send-request.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

BEYOND_A_SCHEMA = (
    *("to '", "to[1] '", "to[1].number '"),  # numbering plans
    *("send_at '", "own send_at '", "valid_for ends before"),  # calendars and clocks
    *("provider unknown", "provider nowhere", "provider in capitals", "provider is a path"),  # the providers there are
    *("url '", "sender is invisible", "text is invisible", "own text is invisible"),  # host names, Unicode's categories
    *("text is half", "text is the other half", "own text is half", "own text is the other half"),
    *(
        "label with U+D800",
        "name with U+D800",
        "sender with U+D800",
        "context value with U+D800",
        "context key with U+D800",
    ),
    "valid_for is a whole float",  # JSON Schema calls 60.0 an integer, the checker does not
)
"""Cases, by how their names begin, that a schema need not catch."""

IN_FORM = [case for case in INVALID if not case.startswith(BEYOND_A_SCHEMA)]


def taken(payload: object) -> bool:
    try:
        requests.check(payload, fallback_id="r", accepted_at=NOW, lane=Lane.URGENT, known_providers=PROVIDERS)
    except requests.InvalidRequest:
        return False
    return True


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("case", VALID)
def test_what_the_checker_takes_fits_the_schema(case: str) -> None:
    VALIDATOR.validate(VALID[case])


@pytest.mark.parametrize("case", IN_FORM)
def test_what_is_wrong_in_form_fits_neither(case: str) -> None:
    payload, _, _ = INVALID[case]

    assert not taken(payload)
    assert not VALIDATOR.is_valid(payload)


@pytest.mark.parametrize("kind", NO_OBJECTS)
def test_what_is_no_object_fits_neither(kind: str) -> None:
    assert not VALIDATOR.is_valid(NO_OBJECTS[kind])


def test_the_schema_names_the_fields_the_checker_knows() -> None:
    assert tuple(SCHEMA["properties"]) == requests.FIELDS
    assert tuple(SCHEMA["$defs"]["recipient"]["properties"]) == requests.RECIPIENT_FIELDS


def test_the_schema_has_the_checkers_limits() -> None:
    fields, definitions = SCHEMA["properties"], SCHEMA["$defs"]

    assert fields["to"]["oneOf"][1]["maxItems"] == requests.RECIPIENTS
    assert definitions["text"]["maxLength"] == requests.TEXT_CHARACTERS
    assert definitions["recipient"]["properties"]["name"]["maxLength"] == requests.NAME_CHARACTERS
    assert fields["sender"]["maxLength"] == requests.SENDER_CHARACTERS
    assert fields["label"]["maxLength"] == requests.LABEL_CHARACTERS
    assert fields["url"]["maxLength"] == requests.URL_CHARACTERS
    assert fields["context"]["maxProperties"] == requests.CONTEXT_PAIRS
    assert fields["context"]["propertyNames"]["maxLength"] == requests.CONTEXT_KEY_CHARACTERS
    assert fields["context"]["additionalProperties"]["maxLength"] == requests.CONTEXT_VALUE_CHARACTERS
    assert fields["replies"]["oneOf"][1]["properties"]["days"]["maximum"] == requests.MOST_REPLY_DAYS
    assert fields["valid_for"]["maximum"] == requests.HORIZON.total_seconds()
    assert f"{requests.HORIZON.days} days" in definitions["time"]["description"]


def test_the_schema_has_the_words_the_messages_have() -> None:
    words = {name: SCHEMA["properties"][name] for name in ("form", "too_long", "on_doubt")}

    assert words["form"]["enum"] == list(Form)
    assert words["too_long"]["enum"] == list(TooLong)
    assert words["on_doubt"]["enum"] == list(OnDoubt)
    assert [each["default"] for each in words.values()] == [Form.TEXT, TooLong.SPLIT, OnDoubt.HOLD]


RECIPIENT = st.one_of(
    st.sampled_from([NUMBER, "0922-333-444", "０９１２３４５６７８", "12", "x"]),
    st.fixed_dictionaries(
        {"number": st.sampled_from([NUMBER, "+85291234567", ""])},
        optional={
            "text": st.text(max_size=5),
            "name": st.text(max_size=5),
            "send_at": st.sampled_from(["2026-11-22T00:00:00Z", "2026-11-22t00:00:00.123+08:00", "2026-11-22"]),
        },
    ),
)
REQUESTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"to": RECIPIENT | st.lists(RECIPIENT, max_size=4)},
    optional={
        "id": st.text("aZ0._:@/- ", max_size=8),
        "text": st.text(max_size=8),
        "providers": st.lists(st.sampled_from([*PROVIDERS, "nobody"]), max_size=3),
        "send_at": st.datetimes(min_value=NOW.replace(tzinfo=None)).map(lambda at: f"{at.isoformat()}Z"),
        "valid_for": st.integers(-1, 40_000_000),
        "sender": st.text(max_size=22),
        "replies": st.booleans() | st.fixed_dictionaries({"days": st.integers(-1, 32)}),
        "form": st.sampled_from([*Form, "sms"]),
        "url": st.sampled_from(["https://a.tw/x", "http://A.B-c.example:80?q#f", "ftp://a.tw", "http://localhost/"]),
        "too_long": st.sampled_from([*TooLong, "cut"]),
        "on_doubt": st.sampled_from([*OnDoubt, ""]),
        "label": st.text(max_size=102),
        "context": st.dictionaries(st.text(max_size=66), st.text(max_size=258), max_size=11),
        "private": st.booleans(),
    },
)


@given(REQUESTS)
def test_no_request_the_checker_takes_is_refused_by_the_schema(payload: dict[str, Any]) -> None:
    if taken(payload):
        VALIDATOR.validate(payload)


@given(st.sampled_from(sorted(VALID.keys() - {"ten thousand"})), REQUESTS)
def test_no_mixture_the_checker_takes_is_refused_by_the_schema(case: str, other: dict[str, Any]) -> None:
    for name, value in other.items():
        payload = right_with(**{**VALID[case], name: value})
        if taken(payload):
            VALIDATOR.validate(payload)
