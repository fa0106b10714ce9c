"""The sample events of the sender and the API are what Lambda hands over, and hold what their names say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smsgate.answers import Answer
from smsgate.messages import Lane
from smsgate.requests import InvalidRequest, check, decode
from tests.architecture.handlers import load_handler

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
SENDER_EVENTS = sorted(path.stem for path in EVENTS.glob("sender-*.json"))


def records(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))["Records"]
    return found


def read(record: dict[str, Any]) -> list[str] | InvalidRequest:
    accepted_at = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
    try:
        request = check(
            decode(record["body"]),
            fallback_id=record["messageId"],
            accepted_at=accepted_at,
            lane=Lane.URGENT,
            known_providers=[],
        )
    except InvalidRequest as invalid:
        return invalid
    return [message.to for message in request.in_order]


@pytest.mark.parametrize("name", SENDER_EVENTS)
def test_a_record_has_what_sqs_puts_into_it(name: str) -> None:
    for record in records(name):
        assert record.keys() == {
            "messageId",
            "receiptHandle",
            "body",
            "attributes",
            "messageAttributes",
            "md5OfBody",
            "eventSource",
            "eventSourceARN",
            "awsRegion",
        }
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "recipients"), [("sender-raw", ["+886912345678"]), ("sender-sns-envelope", ["+886987654321"])]
)
def test_a_right_record_is_a_request(name: str, recipients: list[str]) -> None:
    (record,) = records(name)

    assert read(record) == recipients


def test_poison_among_right_records_is_refused_alone_and_with_its_reasons() -> None:
    campaign, cut, typo, enveloped, wake_up = records("sender-with-poison")

    assert read(campaign) == ["+886912000001", "+886912000002", "+85291234567"]
    assert read(enveloped) == ["+886912345678"]
    unreadable, invalid = read(cut), read(typo)
    assert isinstance(unreadable, InvalidRequest)
    assert (unreadable.request_id, len(unreadable.problems)) == (cut["messageId"], 1)
    assert isinstance(invalid, InvalidRequest)
    assert invalid.request_id == "poison-2"
    assert {problem.field for problem in invalid.problems} == {"to[0]", "text", "txt"}
    assert wake_up["messageAttributes"]["smsgate"]["stringValue"] == "wake"
    assert isinstance(json.loads(wake_up["body"]), list)


class Operator:
    """In the place of the operations: remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        def answer(*arguments: object) -> Answer:
            self.asked.append((name, *arguments))
            return Answer(200, {})

        return answer


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("api-providers", ("providers",)),
        ("api-suspend", ("suspend", "twsms", b'{"why": "the vendor moves house tonight"}')),
        ("api-resume", ("resume", "twsms")),
        ("api-resolve", ("resolve", "3f1c9a52d07be4816aa0c2f5-1", b'{"as": "resend"}')),
        ("api-replay", ("replay", None)),
    ],
)
def test_what_an_operator_asks_over_http_is_asked_of_who_does_it(
    name: str, asked: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = load_handler(ROOT / "functions" / "api" / "app.py")
    operator = Operator()
    monkeypatch.setattr(app, "_operations", lambda: operator)
    monkeypatch.setattr(app, "_callbacks", lambda: operator)
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))

    response = app.handler(event, None)

    assert (response["statusCode"], operator.asked) == (200, [asked])
    assert event["rawPath"] == event["requestContext"]["http"]["path"]
    assert event["routeKey"] == event["requestContext"]["routeKey"]
