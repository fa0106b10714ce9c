"""Wake-ups: records on a lane that name messages of the ledger instead of carrying a request.

A message that waits for a moment near by waits in the queue, which hands its wake-up out then: the schedule comes only
once a minute, and would bring together what was to go one after the other. Others wait in the ledger till then.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from smsgate import lifecycle, telemetry
from smsgate.messages import Lane, Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

AHEAD = timedelta(minutes=2)
"""How near a moment is waited for in the queue: two runs of the schedule, one may fail. SQS takes 15 minutes."""

AGAIN = timedelta(minutes=10)
"""Should a wake-up be lost, the message is woken again: longer than a queue holds a record back from other workers."""

KIND = "smsgate"
"""The attribute by which a record of ours is known."""
_WAKE = "wake"

_IDS_PER_RECORD = 100
_RECORDS_PER_CALL = 10
_SECOND = timedelta(seconds=1)


def attribute_of(record: Mapping[str, Any], name: str) -> str | None:
    """What a record says beside its body."""
    attribute = (record.get("messageAttributes") or {}).get(name) or {}
    value = attribute.get("stringValue")
    return str(value) if value else None


def is_wake_up(record: Mapping[str, Any]) -> bool:
    return attribute_of(record, KIND) == _WAKE


def message_ids(body: str) -> list[str]:
    """The ids of a wake-up; raises ValueError where it holds no list. What is no id in it is given as an empty one."""
    ids = json.loads(body)
    if not isinstance(ids, list):
        raise ValueError("a wake-up holds a list of message ids")
    return [message_id if isinstance(message_id, str) else "" for message_id in ids]


def wake_after(sqs: SQSClient, queue_url: str, ids: Mapping[int, Sequence[str]]) -> None:
    """Queue wake-ups for messages that lie in the ledger, each after so many seconds; raises where one could not be
    queued."""
    entries = [
        _entry(some[start : start + _IDS_PER_RECORD], seconds)
        for seconds, some in ids.items()
        for start in range(0, len(some), _IDS_PER_RECORD)
    ]
    for start in range(0, len(entries), _RECORDS_PER_CALL):
        some = entries[start : start + _RECORDS_PER_CALL]
        numbered: Any = [{**entry, "Id": str(place)} for place, entry in enumerate(some)]
        if sqs.send_message_batch(QueueUrl=queue_url, Entries=numbered).get("Failed"):
            raise RuntimeError("a wake-up was not queued")


def _entry(ids: Sequence[str], seconds: int) -> dict[str, Any]:
    return {
        "MessageBody": json.dumps(ids),
        "MessageAttributes": {KIND: {"DataType": "String", "StringValue": _WAKE}},
        **({"DelaySeconds": seconds} if seconds else {}),
    }


def planned(message: Message, now: datetime) -> Message:
    """A parked message as it is written before it is handed to `WakeUps`."""
    at = _moment(message, now)
    return lifecycle.woken(message, at + AGAIN if at - now <= AHEAD else at - AHEAD)


class WakeUps:
    def __init__(self, sqs: Callable[[], SQSClient], queues: Mapping[Lane, str], clock: Callable[[], datetime]) -> None:
        self._sqs = sqs
        self._queues = queues
        self._clock = clock
        self._log = telemetry.logger()

    def send(self, messages: Iterable[Message]) -> None:
        """Wake those whose wake-up was planned and is near, through the lanes they came by. Never raises."""
        now = self._clock()
        ids: dict[Lane, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for message in messages:
            at = _moment(message, now)
            if message.due_at is not None and message.due_at > at:
                # Up: a wake-up that comes before its moment is for nothing.
                ids[message.lane][-(-(at - now) // _SECOND)].append(message.message_id)
        for lane, by_delay in ids.items():
            count = sum(map(len, by_delay.values()))
            try:
                wake_after(self._sqs(), self._queues[lane], by_delay)
            except Exception as error:
                # They are due again soon, and what else is to be done must not wait for it.
                self._log.error("not woken", extra={"lane": lane.value, "error": type(error).__name__})
                telemetry.count("WakeUpFailed", value=count)
            else:
                telemetry.count("Woken", value=count)


def _moment(message: Message, now: datetime) -> datetime:
    return max(message.next_attempt_at or now, now)
