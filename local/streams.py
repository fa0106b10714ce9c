"""DynamoDB stream event sources: batches in order, and nothing later before what failed has been settled."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from local.aws import EmbeddedAws
from local.batches import failed_ids
from local.lambdas import Lambdas, PoolStopped
from local.loops import Loop
from local.stack import StreamSource

_POLL_SECONDS = 0.1
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0

_Record = dict[str, Any]


class StreamPoller:
    """One shard, one batch at a time: what a parallelisation factor gives up is speed, never the order of one key."""

    def __init__(self, source: StreamSource, aws: EmbeddedAws, lambdas: Lambdas) -> None:
        self._source = source
        self._aws = aws
        self._lambdas = lambdas
        self._loop = Loop(f"stream-{source.table}", self._step)
        aws.streams.meta.events.register("before-parse.dynamodb-streams.GetRecords", _unread, unique_id="unread")
        self._stream = str(aws.dynamodb.describe_table(TableName=source.table)["Table"]["LatestStreamArn"])
        shards = aws.streams.describe_stream(StreamArn=self._stream)["StreamDescription"]["Shards"]
        self._shard = shards[0]["ShardId"]
        self._iterator: str = aws.streams.get_shard_iterator(
            StreamArn=self._stream, ShardId=self._shard, ShardIteratorType=source.starting_position
        )["ShardIterator"]

    def start(self) -> None:
        self._loop.start()

    def ask_to_stop(self) -> None:
        self._loop.stopping.set()

    def join(self) -> None:
        self._loop.join()

    def _step(self) -> None:
        records = self._read(self._source.batch_size)
        window_ends = time.monotonic() + self._source.window
        while records and len(records) < self._source.batch_size and time.monotonic() < window_ends:
            self._loop.stopping.wait(_POLL_SECONDS)
            records += self._read(self._source.batch_size - len(records))
        if records:
            self._deliver([_event_record(record, self._stream) for record in records])
        else:
            self._loop.stopping.wait(_POLL_SECONDS)

    def _read(self, most: int) -> list[_Record]:
        answer = self._aws.streams.get_records(ShardIterator=self._iterator, Limit=most)
        self._iterator = answer["NextShardIterator"]
        return list(answer["Records"])

    def _deliver(self, records: list[_Record], attempts: int = 0) -> None:
        """Until every record is done or given up. AWS: of several failures the first in order is where it goes on."""
        while records and not self._loop.stopping.is_set():
            ids = [record["dynamodb"]["SequenceNumber"] for record in records]
            try:
                result = self._lambdas.invoke(self._source.function, {"Records": records})
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
        oldest = time.time() - records[0]["dynamodb"]["ApproximateCreationDateTime"]
        if self._source.max_age is not None and oldest > self._source.max_age:
            return "RecordAgeExceeded"
        return None

    def _give_up(self, records: Sequence[_Record], attempts: int, condition: str) -> None:
        """AWS: the destination is told where the records are, not what they hold."""
        if not self._source.on_failure:
            return
        account, name = self._source.on_failure.split(":")[-2:]
        first, last = records[0]["dynamodb"], records[-1]["dynamodb"]
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
                "startSequenceNumber": first["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"],
                "approximateArrivalOfFirstRecord": _iso(first),
                "approximateArrivalOfLastRecord": _iso(last),
                "batchSize": len(records),
                "streamArn": self._stream,
            },
        }
        self._aws.sqs.send_message(QueueUrl=f"{self._aws.url}/{account}/{name}", MessageBody=json.dumps(told))


def _iso(change: _Record) -> str:
    return datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC).isoformat()


def _unread(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Records as they came: they are an event's already, and botocore would look at each value, more slowly than
    everything else that is done with them."""
    if response_dict["status_code"] == 200:
        customized_response_dict.update(json.loads(response_dict["body"]))
        response_dict["body"] = b"{}"


def _event_record(record: _Record, stream: str) -> _Record:
    """AWS, "Using AWS Lambda with Amazon DynamoDB", example event."""
    change = record["dynamodb"]
    change["ApproximateCreationDateTime"] = float(change["ApproximateCreationDateTime"])
    names = ("eventID", "eventName", "eventVersion", "eventSource", "awsRegion")
    return {**{name: record[name] for name in names}, "dynamodb": change, "eventSourceARN": stream}
