"""What lies behind the table, in the test's hands: its stream, and the bus and the topic that hear of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.gateway.conftest import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Image = dict[str, Any]


@dataclass
class Bus:
    """Takes what it is told to take, and remembers each call and each event in the order they came."""

    refuses: list[set[int]] = field(default_factory=list)  # per call, the places of the entries it does not take
    breaks: int = 0  # calls that fail whole
    calls: list[list[dict[str, str]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803  boto3's own name
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("no bus")
        self.calls.append(Entries)
        refused = self.refuses.pop(0) if self.refuses else set()
        answers: list[dict[str, str]] = []
        for place, entry in enumerate(Entries):
            if place in refused:
                answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
                continue
            answers.append({"EventId": f"{len(self.calls)}-{place}"})
            event = {"source": entry["Source"], "detail-type": entry["DetailType"]}
            self.events.append({**event, "detail": json.loads(entry["Detail"])})
        return {"FailedEntryCount": len(refused), "Entries": answers}

    def details(self, detail_type: str) -> list[dict[str, Any]]:
        return [event["detail"] for event in self.events if event["detail-type"] == detail_type]

    @property
    def ids(self) -> list[str]:
        return [event["detail"]["event_id"] for event in self.events]


@dataclass
class Topic:
    alerts: list[dict[str, str]] = field(default_factory=list)
    breaks: int = 0

    def publish(self, **alert: str) -> None:
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("no topic")
        self.alerts.append(alert)


class Stream:
    """What DynamoDB would tell of the table: each write's images, in order."""

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self._written = 0
        self._lying: dict[tuple[str, str], Image] = {}

    def after(self, *steps: Callable[[], object]) -> list[dict[str, Any]]:
        """The records of these steps, a write at most for every item each."""
        return [record for step in steps for record in self._after(step)]

    def _after(self, step: Callable[[], object]) -> list[dict[str, Any]]:
        self._lying = self._items()
        step()
        records = []
        now = self._items()
        for key in sorted(self._lying | now):
            if self._lying.get(key) == now.get(key):
                continue
            images = {"OldImage": self._lying.get(key), "NewImage": now.get(key)}
            records.append(self.record(**{name: image for name, image in images.items() if image}))
        return records

    def record(self, **images: Image) -> dict[str, Any]:
        self._written += 1
        name = "MODIFY" if len(images) == 2 else "INSERT" if "NewImage" in images else "REMOVE"
        number = f"{self._written:04}"
        return {"eventID": f"e{number}", "eventName": name, "dynamodb": {"SequenceNumber": number, **images}}

    def _items(self) -> dict[tuple[str, str], Image]:
        items = self._client.scan(TableName=TABLE)["Items"]
        return {(str(item["pk"]["S"]), str(item["sk"]["S"])): dict(item) for item in items}
