"""What an invocation has no time for is queued anew, at the queue's end.

A record that merely comes back counts as received, and after five times it is a dead letter: a campaign that keeps
several invocations busy would end there, though nothing is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from smsgate import telemetry
from smsgate.messages import Lane
from smsgate.wakeups import KIND, attribute_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

_FIRST_ID = "smsgate-id"
_FIRST_SENT = "smsgate-sent"
"""What the queue said of the record when it came first: it stands for the id of a request that has none, and says when
the request was accepted."""


def is_continued(record: Mapping[str, Any]) -> bool:
    """Some of it has been done."""
    return attribute_of(record, _FIRST_ID) is not None


def first_id(record: Mapping[str, Any]) -> str:
    return attribute_of(record, _FIRST_ID) or str(record["messageId"])


def first_sent(record: Mapping[str, Any]) -> datetime | None:
    milliseconds = attribute_of(record, _FIRST_SENT) or record.get("attributes", {}).get("SentTimestamp")
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


class Continuations:
    def __init__(self, sqs: Callable[[], SQSClient], queues: Mapping[Lane, str]) -> None:
        self._sqs = sqs
        self._queues = queues
        self._log = telemetry.logger()

    def queue(self, record: Mapping[str, Any], lane: Lane) -> bool:
        """True where the record is in the queue again, so that the one at hand is done. Never raises.

        Should both be there, because an answer was lost, the ledger knows what has been done.
        """
        try:
            self._sqs().send_message(
                QueueUrl=self._queues[lane], MessageBody=record["body"], MessageAttributes=_attributes(record)
            )
        except Exception as error:
            self._log.error("record not continued", extra={"lane": lane.value, "error": type(error).__name__})
            return False
        telemetry.count("RecordContinued")
        return True


def _attributes(record: Mapping[str, Any]) -> dict[str, MessageAttributeValueTypeDef]:
    sent = first_sent(record)
    values = {
        KIND: attribute_of(record, KIND),
        _FIRST_ID: first_id(record),
        _FIRST_SENT: str(round(sent.timestamp() * 1000)) if sent else None,
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}
