"""What the publisher puts on the bus fits the published schema of events."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jsonschema import Draft202012Validator

from smsgate import lifecycle, requests
from smsgate.ledger import Ledger
from smsgate.messages import Lane
from smsgate.outcomes import Accepted
from smsgate.publisher import Publisher
from smsgate.reasons import Code, Reason
from tests.gateway.conftest import TABLE
from tests.gateway.request_samples import NOW, PROVIDERS, right_with

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

SCHEMA = Path(__file__).parents[2] / "schemas" / "events.schema.json"
EVENT_VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


class Bus:
    """Takes every event and remembers it as a subscriber would see it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803  boto3's own name
        self.events += [
            {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
            for entry in Entries
        ]
        return {"Entries": [{"EventId": str(place)} for place, _ in enumerate(Entries)]}


def test_what_the_publisher_makes_of_the_ledger_fits(ledger: Ledger, dynamodb: DynamoDBClient) -> None:
    payload = right_with(to=["0912345678", "0922333444"], context={"order": "1"}, label="Autumn")
    sent, refused = requests.check(
        payload, fallback_id="r", accepted_at=NOW, lane=Lane.URGENT, known_providers=PROVIDERS
    ).messages()
    watch = lifecycle.Watch((timedelta(minutes=1),), timedelta(hours=72))
    sent = lifecycle.claim(sent, "plainline", NOW, NOW)
    ledger.save(lifecycle.settle(sent, 1, Accepted("4711", Decimal("2.5")), NOW, watch))
    ledger.save(lifecycle.reject(refused, Reason(Code.NO_ROUTE), NOW))
    ledger.reject_request(
        requests.InvalidRequest("order-2", (requests.Problem("to", "is empty"),)), Code.INVALID_REQUEST, NOW
    )
    items = dynamodb.scan(TableName=TABLE)["Items"]
    records = [{"dynamodb": {"SequenceNumber": str(place), "NewImage": item}} for place, item in enumerate(items)]
    bus = Bus()

    Publisher("bus", "topic", cast("EventBridgeClient", bus), lambda: cast("SNSClient", None)).handle(records)

    for each in bus.events:
        EVENT_VALIDATOR.validate(each)
    statuses = sorted((each["detail"]["request_id"], each["detail"]["status"]) for each in bus.events)
    assert statuses == [
        ("order-1", "accepted"),
        ("order-1", "rejected"),
        ("order-1", "sending"),
        ("order-1", "sent"),
        ("order-2", "rejected"),
    ]
