"""PublisherFunction: a batch of the table's stream in, the first record that could not be published out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import aws, telemetry
from smsgate.publisher import Publisher
from smsgate.settings import Settings


@cache
def _publisher() -> Publisher:
    settings = Settings()
    return Publisher(settings.event_bus, settings.alert_topic, aws.events(), aws.sns)


@telemetry.flushed
def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    failed = _publisher().handle(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}
