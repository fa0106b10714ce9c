"""The published schemas: the checker says the same of a request, and events have the contract's fields."""

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
from smsgate.reasons import Code, Fault, Reason
from smsgate.status import Status
from tests.gateway.request_samples import INVALID, NO_OBJECTS, NOW, NUMBER, PROVIDERS, VALID, right_with

SCHEMAS = Path(__file__).parents[2] / "schemas"
SCHEMA = json.loads((SCHEMAS / "send-request.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
EVENTS = json.loads((SCHEMAS / "events.schema.json").read_text(encoding="utf-8"))
EVENT_VALIDATOR = Draft202012Validator(EVENTS)

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


@pytest.mark.parametrize("schema", [SCHEMA, EVENTS], ids=["send-request", "events"])
def test_a_schema_is_a_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


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


AT = "2026-11-21T04:00:00.000000Z"
MESSAGE_ID = f"{requests.request_hash('order-1')}-1"
STATUS_CHANGED: dict[str, Any] = {
    "version": "1",
    "event_id": f"{MESSAGE_ID}.3",
    "message_id": MESSAGE_ID,
    "request_id": "order-1",
    "to": NUMBER,
    "status": "undelivered",
    "previous": "sent",
    "final": True,
    "revised": False,
    "reason": Reason(Code.HANDSET, "-60", "memory full").as_json(),
    "provider": "plainline",
    "provider_ref": "4711",
    "parts": 2,
    "points": 2.5,
    "at": AT,
    "label": None,
    "context": {"order": "1"},
}
REJECTED_REQUEST: dict[str, Any] = STATUS_CHANGED | {
    "message_id": None,
    "to": None,
    "status": "rejected",
    "previous": None,
    "reason": Reason(Code.INVALID_REQUEST).as_json(),
    "provider": None,
    "provider_ref": None,
    "parts": None,
    "points": None,
    "context": {},
    "problems": [{"field": "to[0]", "problem": "is empty"}],
}
REPLY: dict[str, Any] = {
    "version": "1",
    "event_id": "plainline-1",
    "reply_id": "plainline-1",
    "from": NUMBER,
    "text": "好",
    "at": AT,
    "provider": "plainline",
    "message_id": MESSAGE_ID,
    "request_id": "order-1",
    "match": "likely",
}
STRAY_REPLY: dict[str, Any] = REPLY | {"message_id": None, "request_id": None, "match": "none"}
CREDIT: dict[str, Any] = {
    "version": "1",
    "event_id": "plainline.Credit Low.7",
    "provider": "plainline",
    "credit": 12.5,
    "threshold": 100,
    "at": AT,
}
PROVIDER: dict[str, Any] = {
    "version": "1",
    "event_id": "plainline.suspension.2",
    "provider": "plainline",
    "reason": Reason(Code.BAD_CREDENTIALS, "-101").as_json(),
    "at": AT,
}
DETAILS = [
    ("Message Status Changed", STATUS_CHANGED),
    ("Message Status Changed", REJECTED_REQUEST),
    ("Reply Received", REPLY),
    ("Reply Received", STRAY_REPLY),
    ("Credit Measured", CREDIT),
    ("Credit Low", CREDIT),
    ("Credit Recovered", CREDIT),
    ("Provider Suspended", PROVIDER),
    ("Provider Resumed", PROVIDER),
]


def event(detail_type: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {"source": "smsgate", "detail-type": detail_type, "detail": detail}


@pytest.mark.parametrize(("detail_type", "detail"), DETAILS)
def test_an_event_with_every_field_fits_and_one_without_any_of_them_does_not(
    detail_type: str, detail: dict[str, Any]
) -> None:
    lacking = [{name: detail[name] for name in detail if name != lost} for lost in detail]

    EVENT_VALIDATOR.validate(event(detail_type, detail))
    assert not any(EVENT_VALIDATOR.is_valid(event(detail_type, each)) for each in lacking)


@pytest.mark.parametrize(
    ("detail_type", "detail"),
    [
        ("Message Sent", STATUS_CHANGED),
        ("Reply Received", STATUS_CHANGED),
        ("Message Status Changed", STATUS_CHANGED | {"status": "received"}),
        ("Message Status Changed", STATUS_CHANGED | {"status": None}),
        ("Message Status Changed", STATUS_CHANGED | {"to": "0912345678"}),
        ("Message Status Changed", STATUS_CHANGED | {"to": None}),
        ("Message Status Changed", STATUS_CHANGED | {"message_id": None}),
        ("Message Status Changed", STATUS_CHANGED | {"message_id": "order-1-1"}),
        ("Message Status Changed", STATUS_CHANGED | {"reason": {"code": "handset"}}),
        ("Message Status Changed", STATUS_CHANGED | {"reason": Reason(Code.HANDSET).as_json() | {"code": "-60"}}),
        ("Message Status Changed", STATUS_CHANGED | {"points": "2.5"}),
        ("Message Status Changed", STATUS_CHANGED | {"at": "2026-11-21 12:00:00"}),
        ("Message Status Changed", STATUS_CHANGED | {"context": {"order": 1}}),
        ("Message Status Changed", REJECTED_REQUEST | {"status": "failed"}),
        ("Message Status Changed", REJECTED_REQUEST | {"problems": []}),
        ("Message Status Changed", REJECTED_REQUEST | {"to": NUMBER}),
        ("Reply Received", REPLY | {"match": "sure"}),
        ("Reply Received", REPLY | {"match": "none"}),
        ("Reply Received", STRAY_REPLY | {"match": "exact"}),
        ("Credit Low", CREDIT | {"credit": "12.5"}),
        ("Provider Suspended", PROVIDER | {"reason": "bad_credentials"}),
    ],
)
def test_an_event_that_says_something_else_does_not_fit(detail_type: str, detail: dict[str, Any]) -> None:
    assert not EVENT_VALIDATOR.is_valid(event(detail_type, detail))


def test_an_event_may_grow_fields() -> None:
    EVENT_VALIDATOR.validate(event("Message Status Changed", STATUS_CHANGED | {"weather": "fair"}))


def test_events_have_the_words_the_gateway_has() -> None:
    definitions = EVENTS["$defs"]

    assert definitions["status"]["enum"] == list(Status)
    assert definitions["reason"]["properties"]["code"]["enum"] == list(Code)
    assert definitions["reason"]["properties"]["fault"]["enum"] == list(Fault)
