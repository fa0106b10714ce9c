"""SQS event sources: batches out of a queue into a function, and only what succeeded deleted."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from local.aws import EmbeddedAws
from local.batches import failed_ids
from local.lambdas import MOST_WORKERS, PAYLOAD_LIMIT, Lambdas, PoolStopped
from local.loops import Loop
from local.stack import QueueSource

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_logger = logging.getLogger(__name__)

_LONG_POLL = 10
_MOST_PER_CALL = 10  # SQS gives and deletes no more at once


class QueuePoller:
    def __init__(self, source: QueueSource, aws: EmbeddedAws, lambdas: Lambdas, region: str) -> None:
        self._source = source
        self._aws = aws
        self._lambdas = lambdas
        self._region = region
        concurrency = min(source.concurrency or MOST_WORKERS, MOST_WORKERS)
        # A batch is received only when somebody is free to work on it: its visibility runs from then on.
        self._free = threading.BoundedSemaphore(concurrency)
        self._workers = ThreadPoolExecutor(concurrency, thread_name_prefix=f"sqs-{source.function}")
        self._loop = Loop(f"poll-{source.queue_url.rpartition('/')[2]}", self._step)

    def start(self) -> None:
        self._loop.start()

    def ask_to_stop(self) -> None:
        self._loop.stopping.set()

    def join(self) -> None:
        self._loop.join()
        self._workers.shutdown()

    def _step(self) -> None:
        if not self._free.acquire(timeout=0.5):
            return
        batch: list[MessageTypeDef] = []
        try:
            batch = self._receive_batch()
        finally:
            if not batch:
                self._free.release()
        if batch:
            self._workers.submit(self._work_on, batch)

    def _receive_batch(self) -> list[MessageTypeDef]:
        """AWS: the window starts with the first record; without one there are at most ten, whatever the batch size."""
        batch = self._receive(min(self._source.batch_size, _MOST_PER_CALL), _LONG_POLL)
        window_ends = time.monotonic() + self._source.window
        while batch and not self._loop.stopping.is_set():
            left = window_ends - time.monotonic()
            room = self._source.batch_size - len(batch)
            if left <= 0 or room <= 0 or _bytes(batch) > PAYLOAD_LIMIT // 2:
                break
            more = self._receive(min(room, _MOST_PER_CALL), 0)
            batch += more
            if not more:
                self._loop.stopping.wait(min(left, 0.1))
        return batch

    def _receive(self, most: int, wait: int) -> list[MessageTypeDef]:
        answer = self._aws.sqs.receive_message(
            QueueUrl=self._source.queue_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _work_on(self, batch: list[MessageTypeDef]) -> None:
        try:
            records = [_record(message, self._source.queue_arn, self._region) for message in batch]
            result = self._lambdas.invoke(self._source.function, {"Records": records})
            ids = [message["MessageId"] for message in batch]
            failed = failed_ids(result, ids, partial=self._source.partial_failures)
            self._delete([message for message in batch if message["MessageId"] not in failed])
        except PoolStopped:
            return
        except Exception:
            # Nothing is deleted, so it all comes again, as it does when Lambda itself has trouble.
            if not self._loop.stopping.is_set():
                _logger.exception("%s: a batch was not worked on", self._source.function)
        finally:
            self._free.release()

    def _delete(self, messages: Sequence[MessageTypeDef]) -> None:
        for some in _chunks(messages, _MOST_PER_CALL):
            self._aws.sqs.delete_message_batch(
                QueueUrl=self._source.queue_url,
                Entries=[{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(some)],
            )


def _record(message: MessageTypeDef, queue_arn: str, region: str) -> dict[str, Any]:
    """AWS, "Using Lambda with Amazon SQS", example event."""
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {
            name: _attribute(attribute) for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    with contextlib.suppress(KeyError):
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(attribute: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": attribute["DataType"]}
    if "StringValue" in attribute:
        shown["stringValue"] = attribute["StringValue"]
    if "BinaryValue" in attribute:
        shown["binaryValue"] = base64.b64encode(attribute["BinaryValue"]).decode()
    return shown


def _bytes(batch: Sequence[MessageTypeDef]) -> int:
    return sum(len(message["Body"].encode()) for message in batch)


def _chunks(messages: Sequence[MessageTypeDef], size: int) -> Iterator[Sequence[MessageTypeDef]]:
    for start in range(0, len(messages), size):
        yield messages[start : start + size]
