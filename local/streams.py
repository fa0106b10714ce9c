"""DynamoDB stream event sources: batches in order, and nothing later before what failed has been settled."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from local.aws import EmbeddedAws, RecordsTrimmed
from local.batches import failed_ids
from local.lambdas import Lambdas, PoolStopped
from local.loops import Loop
from local.stack import StreamSource

_logger = logging.getLogger(__name__)

_WAIT_SECONDS = 10.0
_GATHER_SECONDS = 0.1  # AWS: a shard is asked four times a second
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0

_SEQUENCE_NUMBER = re.compile(rb'"SequenceNumber":"([0-9]+)"')


@dataclass(frozen=True, slots=True)
class _Record:
    """One change as it came, and goes to the function: looked into only where something went wrong."""

    text: bytes

    @property
    def sequence_number(self) -> str:
        """The first that looks like it is it: only the record's keys, objects all of them, are before it."""
        found = _SEQUENCE_NUMBER.search(self.text)
        return found[1].decode() if found else ""

    @property
    def created_at(self) -> float:
        return float(json.loads(self.text)["dynamodb"]["ApproximateCreationDateTime"])


class StreamPoller:
    """One shard, one batch at a time: what a parallelisation factor gives up is speed, never the order of one key."""

    def __init__(self, source: StreamSource, aws: EmbeddedAws, lambdas: Lambdas) -> None:
        self._source = source
        self._aws = aws
        self._lambdas = lambdas
        self._loop = Loop(f"stream-{source.table}", self._step)
        self._stream = str(aws.dynamodb.describe_table(TableName=source.table)["Table"]["LatestStreamArn"])
        shards = aws.streams.describe_stream(StreamArn=self._stream)["StreamDescription"]["Shards"]
        self._shard = shards[0]["ShardId"]
        self._iterator = self._iterator_of(source.starting_position)

    def start(self) -> None:
        self._loop.start()

    def ask_to_stop(self) -> None:
        self._loop.stopping.set()

    def join(self) -> None:
        self._loop.join()

    def _step(self) -> None:
        records = self._read()
        if records:
            self._deliver(records)

    def _read(self) -> list[_Record]:
        gather = max(self._source.window, _GATHER_SECONDS)
        try:
            self._iterator, texts = self._aws.await_records(
                self._iterator, self._source.batch_size, _WAIT_SECONDS, gather
            )
        except RecordsTrimmed:
            _logger.error("%s: changes went before they were read", self._source.table)
            self._iterator = self._iterator_of("TRIM_HORIZON")
            return []
        return [_Record(text) for text in texts]

    def _iterator_of(self, kind: Any) -> str:
        answer = self._aws.streams.get_shard_iterator(
            StreamArn=self._stream, ShardId=self._shard, ShardIteratorType=kind
        )
        return str(answer["ShardIterator"])

    def _deliver(self, records: list[_Record], attempts: int = 0) -> None:
        """Until every record is done or given up. AWS: of several failures the first in order is where it goes on."""
        while records and not self._loop.stopping.is_set():
            ids = [record.sequence_number for record in records]
            event = b'{"Records":[%b]}' % b",".join(record.text for record in records)
            try:
                result = self._lambdas.invoke(self._source.function, event)
            except PoolStopped:
                return
            failed = failed_ids(result, ids, partial=self._source.partial_failures)
            if not failed:
                return
            first = min(ids.index(failure) for failure in failed)
            if first:
                records, attempts = records[first:], 0
            elif result.failed and self._source.bisect and len(records) > 1:
                half = len(records) // 2  # AWS: splitting does not use up an attempt
                self._deliver(records[:half], attempts)
                records = records[half:]
                continue
            attempts += 1
            if condition := self._spent(records, attempts):
                self._give_up(records, attempts, condition)
                return
            self._loop.stopping.wait(min(_FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 10), _LONGEST_RETRY_SECONDS))

    def _spent(self, records: Sequence[_Record], attempts: int) -> str | None:
        if self._source.retries is not None and attempts > self._source.retries:
            return "RetryAttemptsExhausted"
        oldest = time.time() - records[0].created_at
        if self._source.max_age is not None and oldest > self._source.max_age:
            return "RecordAgeExceeded"
        return None

    def _give_up(self, records: Sequence[_Record], attempts: int, condition: str) -> None:
        """AWS: the destination is told where the records are, not what they hold."""
        if not self._source.on_failure:
            return
        account, name = self._source.on_failure.split(":")[-2:]
        first, last = records[0], records[-1]
        told = {
            "requestContext": {
                "requestId": str(uuid4()),
                "functionArn": self._lambdas.arn(self._source.function),
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": first.sequence_number,
                "endSequenceNumber": last.sequence_number,
                "approximateArrivalOfFirstRecord": _iso(first),
                "approximateArrivalOfLastRecord": _iso(last),
                "batchSize": len(records),
                "streamArn": self._stream,
            },
        }
        self._aws.sqs.send_message(QueueUrl=f"{self._aws.url}/{account}/{name}", MessageBody=json.dumps(told))


def _iso(record: _Record) -> str:
    return datetime.fromtimestamp(record.created_at, UTC).isoformat()
