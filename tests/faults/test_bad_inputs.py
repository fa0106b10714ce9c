"""Bad input of 42 classes at every entrance it fits: nothing breaks, nobody is called, and it is said what was wrong.

The variants are data, in bad_inputs/, a module for each group of classes. What only looks bad is there as well, and has
to arrive at every vendor as it was written.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

import pytest

from smsgate import telemetry
from smsgate.numbers import HOW_TO_WRITE
from tests.faults.bad_inputs import callbacks, mails, numbers, operators, questions, structure, texts, times
from tests.faults.bad_inputs.callbacks import HALF
from tests.faults.bad_inputs.gateway import (
    CANARY,
    CANARY_NUMBERS,
    GOOD,
    GOOD_NUMBER,
    GOOD_TEXT,
    SECRETS,
    TOKEN,
    TOKEN_BEFORE,
    Gateway,
    Known,
    callback_event,
    encoded,
    envelope,
    furnish,
    mail_event,
    record,
    wake_up,
)
from tests.faults.bad_inputs.shapes import (
    DELIVERED_RAW,
    ENTRANCES,
    ENVELOPE,
    HTTP,
    HTTP_BASE64,
    QUEUE,
    Asked,
    Kept,
    Mailed,
    Posted,
    Right,
    Routed,
    Told,
    Variant,
    Woken,
)
from tests.faults.bad_inputs.vendors import KEYS, Carried

VARIANTS: list[Variant] = [
    *structure.variants(),
    *texts.variants(),
    *numbers.variants(),
    *times.variants(),
    *questions.variants(),
    *callbacks.variants(),
    *mails.variants(),
    *operators.variants(),
]
CLASSES = [f"B{number:02}" for number in range(1, 43)]
SMALLEST_CLASS = 10
FEWEST = 8_000
"""Cases there are at least; whoever takes some away shall know it."""


def cases_of(variants: Iterable[Variant]) -> Iterator[tuple[Variant, str]]:
    """Each variant wherever it comes in. Of all places but the queue and the vendors, those of a class take turns."""
    turns: dict[tuple[str, type[Variant]], Iterator[int]] = defaultdict(count)
    for variant in variants:
        turn = next(turns[variant.of, type(variant)])
        if isinstance(variant, Posted):
            others = [place for place in variant.entrances if place != QUEUE]
            by_queue = [QUEUE] if QUEUE in variant.entrances else []
            places = [*by_queue, others[turn % len(others)]]
        elif isinstance(variant, Right):
            places = [*KEYS, ENTRANCES[1:][turn % 4]]
        else:
            places = [""]
        for place in places:
            yield variant, place


CASES = list(cases_of(VARIANTS))


@pytest.fixture(scope="module")
def furnished() -> Iterator[tuple[Gateway, Known]]:
    telemetry.logger.cache_clear()
    gateway = Gateway()
    yield gateway, furnish(gateway)
    telemetry.logger.cache_clear()


@pytest.fixture
def gateway(furnished: tuple[Gateway, Known]) -> Iterator[Gateway]:
    """As it was before anything bad came in; afterwards nothing of what did is in any line or metric."""
    gateway, _ = furnished
    yield gateway
    written = "\n".join(gateway.told.lines)
    shown = [secret for secret in PLANTED if secret in written]
    gateway.reset()
    assert shown == []


@pytest.fixture
def known(furnished: tuple[Gateway, Known]) -> Known:
    return furnished[1]


PLANTED = (
    CANARY,
    *CANARY_NUMBERS,
    TOKEN,
    TOKEN_BEFORE,
    *(secret["password"] for secret in SECRETS.values() if isinstance(secret, dict) and "password" in secret),
)


def cases(kind: type[Variant]) -> pytest.MarkDecorator:
    """Variants with the places where they come in, under names by which a failing case is found again."""
    chosen = [(variant, place) for variant, place in CASES if isinstance(variant, kind)]
    return pytest.mark.parametrize(("variant", "place"), chosen, ids=[name_of(*case) for case in chosen])


def name_of(variant: Variant, place: str) -> str:
    name = f"{variant.of} {variant.name}{f' - {place}' if place else ''}"
    return name.encode("ascii", "backslashreplace").decode()


# Send requests that must be refused


@cases(Posted)
def test_a_bad_request_is_refused_and_says_every_field_and_why(gateway: Gateway, variant: Posted, place: str) -> None:
    refusals = comes_in(gateway, variant.body, place)

    ((_, rejection),) = [(key, item) for key, item in gateway.table.added().items() if key[1].startswith("rejected#")]
    problems = {each["field"]: each["problem"] for each in rejection["problems"]}
    assert problems.keys() == variant.problems.keys()
    for name, pattern in variant.problems.items():
        assert re.search(pattern, problems[name]), (name, problems[name])
    assert rejection["code"] == "invalid_request"
    assert gateway.told.metrics["RequestRejected"] == 1
    assert refusals in ([], rejection["problems"])
    said = repr(rejection["problems"]).replace(HOW_TO_WRITE, "")
    assert not any(planted in said for planted in PLANTED)
    beside = [Carried("twsms", GOOD_NUMBER, GOOD_TEXT)] if place == QUEUE else []
    assert gateway.vendors.carried == beside
    assert len(gateway.vendors.calls) == len(beside)


def comes_in(gateway: Gateway, body: str | bytes, place: str) -> list[Mapping[str, str]]:
    """Bring a body in; gives the problems that are answered, where there is an answer."""
    if place in (HTTP, HTTP_BASE64):
        raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
        status, answer = gateway.ask("POST /messages", **(encoded(raw) if place == HTTP_BASE64 else {"body": body}))
        assert status == 422
        assert answer["status"] == 422
        problems: list[Mapping[str, str]] = answer["problems"]
        return problems
    assert isinstance(body, str)
    records = {
        QUEUE: [record(body), record(json.dumps(GOOD), "good")],
        ENVELOPE: [record(envelope(body))],
        DELIVERED_RAW: [record(body, tenant={"stringValue": CANARY, "dataType": "String"})],
    }[place]
    assert gateway.queue(*records) == []
    return []


# What only looks bad


@cases(Right)
def test_what_only_looks_bad_arrives_as_it_was_written(gateway: Gateway, variant: Right, place: str) -> None:
    request = dict(variant.request)
    if place in KEYS:
        assert gateway.queue(record(json.dumps(request | {"providers": [place]}))) == []
    elif place in (HTTP, HTTP_BASE64):
        body = json.dumps(request, ensure_ascii=place == HTTP)
        event = encoded(body.encode()) if place == HTTP_BASE64 else {"body": body}
        status, answer = gateway.ask("POST /messages", **event)
        assert status == 202
        assert [each["to"] for each in answer["messages"]] == list(variant.to)
    else:
        body = json.dumps(request, ensure_ascii=False)
        assert gateway.queue(record(envelope(body) if place == ENVELOPE else body)) == []

    messages = gateway.messages(str(request.get("id")))
    assert sorted(message.to for message in messages) == sorted(variant.to)
    assert {message.text for message in messages} == {variant.text}
    if place in (HTTP, HTTP_BASE64):
        assert gateway.vendors.calls == []
    elif place not in KEYS:
        assert len(gateway.vendors.carried) in (0, len(variant.to))
    elif place in variant.refused:
        assert {message.status.value for message in messages} == {"rejected"}
        assert {message.reason.code.value for message in messages if message.reason} == {variant.refused[place]}
        assert gateway.vendors.calls == []
    else:
        assert {message.status.value for message in messages} <= {"sent", "scheduled", "sending"}
        assert sorted(gateway.vendors.carried) == sorted(Carried(place, to, variant.text) for to in variant.to)
        assert {message.parts for message in messages} <= {variant.parts.get(place, messages[0].parts)}


# Callbacks


@cases(Told)
def test_a_callback_is_acknowledged_stored_and_believed_only_where_it_can_be(
    gateway: Gateway, known: Known, variant: Told, place: str
) -> None:
    token, path = known.tokens.get(variant.given or f"{variant.kind}/{variant.provider}", (TOKEN, ""))
    event = callback_event(
        variant.provider,
        variant.token(token),
        path=variant.path(path),
        query=variant.query,
        body=variant.body,
        method=variant.method,
        headers=variant.headers,
    )

    status, said = gateway.call(variant.kind, event)

    assert COMES_TO_STATUS.get(variant.comes_to[0], 200) == status
    assert re.fullmatch(ACKNOWLEDGEMENTS.get(variant.provider, "") if status == 200 else "", said)
    came_to = what_came_of(gateway, known, variant, status)
    assert came_to in variant.comes_to
    assert gateway.vendors.calls == []


ONE_LINE_END = {"every8d"}
"""Its replies come by callback and by query, which end a line differently, and must be one."""

COMES_TO_STATUS = {"stranger": 404, "too large": 413}
ACKNOWLEDGEMENTS = {
    "smsgo": r"magicid=tccrd_sms_gateway_rpack\nmsgid=[0-9A-Za-z-]{0,40}\n",
    "smsget": "ok",
}


def what_came_of(gateway: Gateway, known: Known, variant: Told, status: int) -> str:
    """In the words of `Told`, from what lies in the table and what was counted."""
    added, changed, metrics = gateway.table.added(), gateway.table.changed(), gateway.told.metrics
    callbacks = [item for (pk, _), item in added.items() if pk.startswith("callback#")]
    if status != 200 or not callbacks:
        assert not added
        assert not changed
        if status == 404:
            assert metrics == {"CallbackRefused": 1}
            return "stranger"
        if status == 413:
            assert metrics == {"CallbackTooLarge": 1}
            return "too large"
        return "nothing"
    (stored,) = callbacks
    assert (stored["query"], stored["body"]) == (variant.query.replace(HALF, "\ufffd"), variant.body or b"")
    problem = stored.get("problem", "")
    if problem:
        assert not changed
        word = problem.partition(":")[0]
        assert metrics[{"unreadable": "CallbackUnreadable", "unmatched": "ReceiptUnmatched"}[word]] >= 1
        return str(word)
    replies = [item for (pk, _), item in added.items() if pk.startswith("reply#")]
    if replies:
        (reply,) = replies
        assert not changed
        said = variant.text
        if variant.provider in ONE_LINE_END:
            said = said.replace("\r\n", "\n").replace("\r", "\n")
        assert (reply["from"], reply["text"]) == (variant.sender, said)
        return "reply"
    message_id = known.message_ids[variant.provider]
    assert [f"{pk}-{sk.removeprefix('m#')}" for pk, sk in changed if sk.startswith("m#")] == [message_id]
    message = gateway.ledger.get(message_id)
    assert message is not None
    assert [moment.kind.value for moment in message.timeline].count("report") == 1
    return "kept" if message.status.value == "sent" else message.status.value


# Questions and orders


@cases(Asked)
def test_a_question_without_sense_is_answered_with_what_is_wrong(gateway: Gateway, variant: Asked, place: str) -> None:
    body = encoded(variant.body) if isinstance(variant.body, bytes) else {"body": variant.body}
    event = {"pathParameters": dict(variant.parameters), "queryStringParameters": variant.query, **body}

    status, answer = gateway.ask(variant.route, **event)

    assert (status, answer["status"]) == (variant.status, variant.status)
    assert [each["field"] for each in answer.get("problems", [])] == ([variant.names] if variant.names else [])
    assert answer["title"]
    assert answer["detail"]
    assert not gateway.table.added()
    assert not gateway.table.changed()
    assert gateway.vendors.calls == []


# Wake-ups


@cases(Woken)
def test_a_wake_up_of_nobody_is_counted_and_keeps_no_other_record_back(
    gateway: Gateway, variant: Woken, place: str
) -> None:
    assert gateway.queue(wake_up(variant.body), record(json.dumps(GOOD), "good")) == []

    assert gateway.told.metrics[variant.counts] >= 1
    assert [line for line in gateway.told.messages if line.startswith("wake-up")]
    assert gateway.vendors.carried == [Carried("twsms", GOOD_NUMBER, GOOD_TEXT)]
    assert len(gateway.vendors.calls) == 1


# Mails


@cases(Mailed)
def test_a_mail_counts_only_where_its_author_and_its_words_are_certain(
    gateway: Gateway, known: Known, variant: Mailed, place: str
) -> None:
    event = mail_event(variant.mail_id)
    event["Records"][0]["ses"]["mail"]["source"] = variant.source
    receipt = event["Records"][0]["ses"]["receipt"]
    for name, status in variant.verdicts.items():
        receipt[name] = {"status": status} if status is not None else None
    gateway.bucket.mails[f"mails/{variant.mail_id}"] = variant.raw.replace(b"SUBJECT", known.awaited.encode())

    gateway.run("mailbox", event)

    awaited = gateway.ledger.get(known.awaited_id)
    assert awaited is not None
    if variant.counts is None:
        assert (awaited.status.value, awaited.provider_ref) == ("sent", "10002")
    else:
        assert gateway.told.metrics == {variant.counts: 1}
        assert gateway.told.messages == ["mail left alone"]
        assert not gateway.table.added()
        assert not gateway.table.changed()
    assert gateway.vendors.calls == []


# What operators write


@cases(Kept)
def test_with_a_secret_that_is_no_good_nobody_is_called_and_its_message_waits(variant: Kept, place: str) -> None:
    gateway = Gateway(secrets={**SECRETS, f"providers/{variant.provider}": variant.secret})
    other = "smsgo" if variant.provider == "twsms" else "twsms"
    bad = {"id": "bad", "to": "0922333444", "text": CANARY, "providers": [variant.provider]}

    assert gateway.queue(record(json.dumps(bad)), record(json.dumps({**GOOD, "providers": [other]}), "good")) == []

    (waiting,) = gateway.messages("bad")
    assert waiting.status.value == "accepted"
    assert waiting.reason is not None
    assert waiting.reason.code.value == "bad_credentials"
    assert waiting.next_attempt_at is not None
    assert gateway.vendors.carried == [Carried(other, GOOD_NUMBER, GOOD_TEXT)]
    assert len(gateway.vendors.calls) == 1
    assert gateway.told.metrics["SecretUnreadable"] >= 1
    (line,) = [line for line in gateway.told.lines if "provider secret unreadable" in line]
    assert re.search(variant.names, json.loads(line)["problem"])
    assert not [planted for planted in (*PLANTED, "planted") if planted in "".join(gateway.told.lines)]


@cases(Routed)
def test_a_routing_document_that_is_no_good_says_so_and_is_not_followed(variant: Routed, place: str) -> None:
    gateway = Gateway()
    gateway.parameters.versions.append(variant.document)

    assert gateway.queue(record(json.dumps(GOOD))) == []

    assert gateway.vendors.carried == [Carried("twsms", GOOD_NUMBER, GOOD_TEXT)]
    assert gateway.told.metrics["RoutingDocumentInvalid"] == 1
    (line,) = [line for line in gateway.told.lines if "routing document invalid" in line]
    assert variant.names in json.loads(line)["problem"]


# How much is tried


def test_all_classes_of_bad_input_are_tried_in_as_many_ways_as_promised() -> None:
    by_class = Counter(variant.of for variant in VARIANTS)

    assert sorted(by_class) == CLASSES
    assert {of: tried for of, tried in by_class.items() if tried < SMALLEST_CLASS} == {}
    assert len(CASES) >= FEWEST


def test_every_case_has_a_name_of_its_own() -> None:
    names = Counter(name_of(*case) for case in CASES)

    assert [name for name, times in names.items() if times > 1] == []


def test_every_class_of_bad_requests_comes_in_everywhere() -> None:
    possible: dict[str, set[str]] = defaultdict(set)
    tried: dict[str, set[str]] = defaultdict(set)
    for variant, place in CASES:
        if isinstance(variant, Posted | Right):
            possible[variant.of].update(variant.entrances if isinstance(variant, Posted) else ENTRANCES)
            tried[variant.of].add(QUEUE if place in KEYS else place)

    assert tried == possible
    less = {of: set(ENTRANCES) - at for of, at in possible.items() if at != set(ENTRANCES)}
    assert less == {"B14": set(ENTRANCES) - {HTTP_BASE64}}  # What is no text can only come to the API, and in base64.
