"""Bad send requests: each is refused with every problem named, and no problem repeats a number or a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.messages import Lane
from smsgate.requests import BODY, FIELDS, InvalidRequest, Problem, Request, check, decode
from tests.gateway.request_samples import (
    CONTROLS,
    INVALID,
    NO_OBJECTS,
    NOW,
    NUMBER,
    PROVIDERS,
    RIGHT,
    VALID,
    right_with,
)

RECORD = "5fea7756-0ea4-451a-a703-a558b933e274"


def checked(payload: object) -> Request:
    return check(payload, fallback_id=RECORD, accepted_at=NOW, lane=Lane.URGENT, known_providers=PROVIDERS)


def refused(payload: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        checked(payload)
    return caught.value


def problems_of(payload: object) -> dict[str, str]:
    return {problem.field: problem.problem for problem in refused(payload).problems}


@pytest.mark.parametrize("case", INVALID)
def test_a_field_gone_wrong_is_named_with_its_problem(case: str) -> None:
    payload, field, problem = INVALID[case]

    problems = problems_of(payload)

    assert list(problems) == [field]
    assert re.search(problem, problems[field])


@pytest.mark.parametrize("case", INVALID)
def test_what_was_wrong_is_wrong_in_the_same_way_as_a_body(case: str) -> None:
    payload, field, _ = INVALID[case]

    problems = problems_of(decode(json.dumps(payload)))

    assert set(problems) <= {field, BODY}


@pytest.mark.parametrize("case", VALID)
def test_what_is_right_is_taken(case: str) -> None:
    request = checked(decode(json.dumps(VALID[case])))

    assert request.messages()


@pytest.mark.parametrize("kind", NO_OBJECTS)
def test_only_an_object_is_a_request(kind: str) -> None:
    invalid = refused(decode(json.dumps(NO_OBJECTS[kind])))

    assert invalid.request_id == RECORD
    assert [problem.field for problem in invalid.problems] == [BODY]
    assert "a send request is one JSON object" in invalid.problems[0].problem


def envelope(message: object, **fields: object) -> dict[str, object]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:ap-northeast-1:123456789012:send",
        "Message": message,
        "Timestamp": "2026-11-21T04:00:00.000Z",
        **fields,
    }


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "is not JSON"),
        (" ", "is not JSON"),
        ("\x00", "is not JSON"),
        ("hello", "is not JSON"),
        ("{", "is not JSON"),
        ("{}{}", "is not JSON"),
        ('{"to":"0912345678",}', "is not JSON"),
        ("{'to':'0912345678'}", "is not JSON"),
        ('{"to":"0912345678" "text":"x"}', "is not JSON"),
        ("{to: 0912345678}", "is not JSON"),
        ('{"to": 0912345678}', "is not JSON"),
        ('{"text": "a\nb"}', "is not JSON"),
        ('{"text": "\\x41"}', "is not JSON"),
        ('{"text": "\\ud8"}', "is not JSON"),
        ('{"text": "unended', "is not JSON"),
        ("to=0912345678&text=x", "is not JSON"),
        ("<request><to>0912345678</to></request>", "is not JSON"),
        ("// a comment\n{}", "is not JSON"),
        ("undefined", "is not JSON"),
        ('{"valid_for": NaN}', "holds NaN"),
        ('{"valid_for": Infinity}', "holds Infinity"),
        ('{"valid_for": -Infinity}', "holds -Infinity"),
        ('{"valid_for": 1e999}', "a number that is too large"),
        ('{"valid_for": -1e999}', "a number that is too large"),
        ('{"valid_for": ' + "9" * 5000 + "}", "too many digits"),
        ("[" * 10_000, "nested too deeply"),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
        ('{"to":"0912345678","to":"0922333444","text":"x"}', "names `to` twice"),
        ('{"to":[{"number":"0912345678","number":"0922333444"}],"text":"x"}', "names `number` twice"),
        ('{"id":"a","\\u0069d":"b"}', "names `id` twice"),
        ('{"0912345678":1,"0912345678":2}', "names `\\*{10}` twice"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
        (b'{"text":"\xb1z\xa6n"}', "is not UTF-8"),
        (b'{"text":"\xed\xa0\x80"}', "is not UTF-8"),
        (b'{"text":"\xc0\xaf"}', "is not UTF-8"),
        (b"\x80", "is not UTF-8"),
        (b"\x1f\x8b\x08\x00", "is not UTF-8"),
        ('{"text":"' + "x" * 1024 * 1024 + '"}', "is larger than 1048576 bytes"),
        ('{"text":"' + "字" * 400_000 + '"}', "is larger than 1048576 bytes"),
        (b" " * (1024 * 1024 + 1), "is larger than 1048576 bytes"),
        (json.dumps(json.dumps(RIGHT)), "is a string; a send request is one JSON object, encoded as JSON once"),
        (json.dumps(envelope(RIGHT)), "whose Message is not a string"),
        (json.dumps(envelope(None)), "whose Message is not a string"),
        (json.dumps(envelope("")), "is not JSON"),
        (json.dumps(envelope("hello")), "is not JSON"),
        (json.dumps(envelope('{"id":1,"id":2}')), "names `id` twice"),
        (json.dumps(envelope("[" * 10_000)), "nested too deeply"),
        (json.dumps(envelope(json.dumps(json.dumps(RIGHT)))), "encoded as JSON once"),
        (json.dumps(envelope(json.dumps(RIGHT), Type="SubscriptionConfirmation")), "about a subscription"),
        (json.dumps(envelope(json.dumps(RIGHT), Type="UnsubscribeConfirmation")), "about a subscription"),
        (json.dumps(envelope(json.dumps(RIGHT), Type=["Notification"])), "about a subscription"),
        (json.dumps({"Type": "Notification", "TopicArn": "arn"}), "whose Message is not a string"),
        (
            json.dumps({"version": "0", "source": "shop", "detail-type": "Send", "detail": RIGHT}),
            "is an EventBridge event",
        ),
        (
            json.dumps(envelope(json.dumps({"source": "shop", "detail-type": "Send", "detail": RIGHT}))),
            "is an EventBridge event",
        ),
    ],
)
def test_a_body_that_is_no_request_is_a_problem_under_the_records_id(body: str | bytes, problem: str) -> None:
    invalid = refused(decode(body))

    assert invalid.request_id == RECORD
    assert [each.field for each in invalid.problems] == [BODY]
    assert re.search(problem, invalid.problems[0].problem)


def test_an_envelope_in_an_envelope_is_refused() -> None:
    problems = problems_of(decode(json.dumps(envelope(json.dumps(envelope(json.dumps(RIGHT)))))))

    assert "Message" in problems


def test_every_problem_of_a_request_is_named_at_once() -> None:
    payload = {
        "id": "order 1",
        "to": ["0912345678", "12", {"number": "tel:0912345678", "name": 5, "txt": "x"}, None],
        "text": "",
        "providers": ["nobody"],
        "send_at": "2026-11-22T10:00:00",
        "valid_for": "60",
        "sender": "",
        "replies": {"days": 31},
        "form": "push",
        "too_long": "cut",
        "on_doubt": "?",
        "label": "l" * 101,
        "context": {"k": 1},
        "private": "no",
        "txt": "x",
    }

    problems = refused(payload).problems

    assert {problem.field for problem in problems} == {
        "id",
        "to[1]",
        "to[2].number",
        "to[2].name",
        "to[2].txt",
        "to[3]",
        "text",
        "providers[0]",
        "send_at",
        "valid_for",
        "sender",
        "replies.days",
        "url",
        "too_long",
        "on_doubt",
        "label",
        "context.k",
        "private",
        "txt",
    }
    assert len(problems) == 19


@pytest.mark.parametrize(("wrong", "more"), [(50, None), (51, "1 more problem,"), (10_000, "9950 more problems,")])
def test_of_many_problems_the_first_fifty_are_listed_and_the_rest_counted(wrong: int, more: str | None) -> None:
    problems = refused(right_with(to=["12"] * wrong)).problems

    assert [problem.field for problem in problems[:50]] == [f"to[{position}]" for position in range(50)]
    assert [problem.field for problem in problems[50:]] == ([BODY] if more else [])
    assert more is None or more in problems[50].problem


def test_an_invalid_request_keeps_its_own_id_where_it_has_one() -> None:
    assert refused({"id": "order-1"}).request_id == "order-1"
    assert refused({"id": "order 1"}).request_id == RECORD
    assert refused({"id": 1}).request_id == RECORD
    assert refused({}).request_id == RECORD


@pytest.mark.parametrize("payload", [right_with(send_at="2026-11-21T11:00:00+08:00")])
def test_a_request_whose_only_fault_is_to_be_late_can_be_recognised_as_one_that_came_in_time(payload: Any) -> None:
    earlier = NOW.replace(hour=1)
    in_time = check(payload, fallback_id=RECORD, accepted_at=earlier, lane=Lane.URGENT, known_providers=PROVIDERS)

    late = refused(payload).late

    assert late is not None
    assert (late.request_id, late.digest) == (in_time.request_id, in_time.digest)


def test_a_late_request_with_another_fault_is_only_invalid() -> None:
    assert refused(right_with(send_at="2026-11-21T11:00:00+08:00", label=5)).late is None
    assert refused(right_with(label=5)).late is None


def test_a_problem_shows_as_field_and_problem() -> None:
    assert Problem("to", "is empty").as_json() == {"field": "to", "problem": "is empty"}


def test_the_exception_itself_names_fields_only() -> None:
    invalid = refused(right_with(to="0912345678,0922333444", text="secret\x00"))

    assert str(invalid) == "2 problems in text, to"


SECRETS = ["0912345678", "912345678", "+886912345678", "886912345678", "0912-345-678", "secret code 4711", "4711"]
WHEREVER: list[Callable[[str], object]] = [
    lambda said: right_with(to=[f"{said}\x00"]),
    lambda said: right_with(to=[{"number": f"{said}x"}]),
    lambda said: right_with(to={said: 1}),
    lambda said: right_with(text=f"{said}\x00"),
    lambda said: right_with(text={said: said}),
    lambda said: right_with(id=f"{said} "),
    lambda said: right_with(send_at=said),
    lambda said: right_with(sender=f"{said}\n"),
    lambda said: right_with(providers=[said]),
    lambda said: right_with(form=said),
    lambda said: right_with(too_long=said),
    lambda said: right_with(on_doubt=said),
    lambda said: right_with(label=f"{said}\x00"),
    lambda said: right_with(url=f"https://{said}@example.com/", form="push"),
    lambda said: right_with(context={"k": f"{said}\x00"}),
    lambda said: right_with(replies=said),
    lambda said: right_with(valid_for=said),
    lambda said: right_with(private=said),
    lambda said: [said],
    lambda said: said,
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", range(len(WHEREVER)))
def test_no_problem_repeats_a_value_of_the_request(secret: str, place: int) -> None:
    invalid = refused(WHEREVER[place](secret))

    said = f"{invalid} {invalid!r} {invalid.problems!r}".replace("+886912345678, or 0912345678", "")
    assert secret not in said


@pytest.mark.parametrize(
    "secret", ["0912345678", "+886912345678", "0912-345-678", "(0912) 345 678", "０９１２３４５６７８"]
)
@pytest.mark.parametrize(
    "field", [lambda key: {key: 1}, lambda key: {"context": {key: 1}}, lambda key: {"to": [{key: 1}]}]
)
def test_a_number_where_a_name_belongs_is_not_repeated_either(secret: str, field: Any) -> None:
    invalid = refused(right_with(**field(secret)))

    said = repr(invalid.problems).replace("+886912345678, or 0912345678", "")
    assert secret not in said
    assert not re.search(r"\d{4}", said)


@pytest.mark.parametrize("broken", ['{"to":"0912345678","text":"secret', '{"text":"secret\x00"}', '"secret', "secret"])
def test_a_body_that_cannot_be_read_is_not_repeated(broken: str) -> None:
    said = repr(refused(decode(broken)).problems)

    assert "secret" not in said
    assert "0912345678" not in said


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([NUMBER, "0912345678", *CONTROLS]),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text() | st.sampled_from(FIELDS), children, max_size=4)
    ),
    max_leaves=20,
)
ALMOST_REQUESTS = st.builds(
    lambda right, fields: {**right, **fields},
    st.sampled_from([RIGHT, {}, {"to": NUMBER}]),
    st.dictionaries(st.sampled_from([*FIELDS, "txt", "number"]), JSON_VALUES, max_size=5),
)


def root(field: str) -> str:
    return re.split(r"[.\[]", field, maxsplit=1)[0]


def outcome(payload: object) -> Request | InvalidRequest:
    try:
        return checked(payload)
    except InvalidRequest as invalid:
        return invalid


@given(JSON_VALUES | ALMOST_REQUESTS)
def test_whatever_json_comes_it_is_taken_or_refused_for_fields_it_has_or_lacks(payload: Any) -> None:
    result = outcome(payload)

    if isinstance(result, Request):
        assert result.messages()
    else:
        strangers = set(payload) - set(FIELDS) if isinstance(payload, dict) else set()
        assert result.problems
        assert all(problem.problem for problem in result.problems)
        assert strangers or {root(problem.field) for problem in result.problems} <= {*FIELDS, BODY}


@given(st.text() | st.binary() | JSON_VALUES.map(json.dumps) | ALMOST_REQUESTS.map(json.dumps))
def test_whatever_body_comes_it_is_taken_or_refused_in_words_that_can_be_written(body: str | bytes) -> None:
    result = outcome(decode(body))

    if isinstance(result, Request):
        assert result.messages()
    else:
        assert "".join(problem.field + problem.problem for problem in result.problems).encode()


@given(st.sampled_from(sorted(VALID.keys() - {"ten thousand"})), st.data())
def test_a_right_request_cut_short_or_with_a_byte_changed_is_taken_or_refused(case: str, data: st.DataObject) -> None:
    body = bytearray(json.dumps(VALID[case], ensure_ascii=False).encode())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))

    results = [outcome(decode(bytes(body))), outcome(decode(bytes(body[:cut])))]

    assert all(result.messages() if isinstance(result, Request) else result.problems for result in results)
