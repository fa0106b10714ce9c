"""Wake-ups: records on a lane that name messages of the ledger instead of carrying a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_ATTRIBUTE = "smsgate"
_WAKE = "wake"

_IDS_PER_RECORD = 100
_RECORDS_PER_CALL = 10


def is_wake_up(record: Mapping[str, Any]) -> bool:
    attribute = (record.get("messageAttributes") or {}).get(_ATTRIBUTE) or {}
    return attribute.get("stringValue") == _WAKE


def message_ids(body: str) -> list[str]:
    """The ids of a wake-up; raises ValueError where it holds none."""
    ids = json.loads(body)
    if not isinstance(ids, list):
        raise ValueError("a wake-up holds a list of message ids")
    return [message_id for message_id in ids if isinstance(message_id, str)]


def wake(sqs: SQSClient, queue_url: str, ids: Sequence[str]) -> None:
    """Queue wake-ups for messages that lie in the ledger; raises where one could not be queued."""
    bodies = [json.dumps(ids[start : start + _IDS_PER_RECORD]) for start in range(0, len(ids), _IDS_PER_RECORD)]
    for start in range(0, len(bodies), _RECORDS_PER_CALL):
        answer = sqs.send_message_batch(
            QueueUrl=queue_url,
            Entries=[
                {
                    "Id": str(place),
                    "MessageBody": body,
                    "MessageAttributes": {_ATTRIBUTE: {"DataType": "String", "StringValue": _WAKE}},
                }
                for place, body in enumerate(bodies[start : start + _RECORDS_PER_CALL])
            ],
        )
        if answer.get("Failed"):
            raise RuntimeError("a wake-up was not queued")
