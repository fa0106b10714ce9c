"""DynamoDB stream event sources, with the real runtime client and a real stream."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local.aws import EmbeddedAws, RecordsTrimmed
from local.lambdas import Lambdas
from local.stack import StreamSource
from local.streams import StreamPoller
from tests.local.sample_stack import Sample, wait_until

FUNCTION = "StreamFunction"


def _put(gateway: Sample, key: str, **attributes: Any) -> None:
    gateway.aws.dynamodb.put_item(TableName=gateway.name("ItemsTable"), Item={"pk": {"S": key}, **attributes})


def _keys(gateway: Sample, prefix: str) -> list[str]:
    return [entry["key"] for entry in gateway.seen(FUNCTION) if entry.get("key", "").startswith(prefix)]


def test_a_change_looks_as_lambda_shows_it(gateway: Sample, key: str) -> None:
    _put(gateway, key, raw={"B": b"\x00\x01"}, number={"N": "1"})
    _put(gateway, key, number={"N": "2"})

    wait_until(lambda: len(gateway.seen_of(FUNCTION, key)) == 2)

    inserted, modified = (entry["record"] for entry in gateway.seen_of(FUNCTION, key))
    assert (inserted["eventName"], modified["eventName"]) == ("INSERT", "MODIFY")
    assert inserted["eventSource"] == "aws:dynamodb"
    assert inserted["eventSourceARN"].startswith(gateway.arn("ItemsTable") + "/stream/")
    assert "OldImage" not in inserted["dynamodb"]
    assert inserted["dynamodb"]["NewImage"]["raw"] == {"B": "AAE="}
    assert modified["dynamodb"]["OldImage"]["number"] == {"N": "1"}
    assert modified["dynamodb"]["NewImage"]["number"] == {"N": "2"}
    assert isinstance(modified["dynamodb"]["ApproximateCreationDateTime"], float)


def test_a_record_that_fails_is_tried_again_before_any_later_one_is_done(gateway: Sample, key: str) -> None:
    names = [f"{key}-{n}" for n in range(5)]
    for name in names:
        _put(gateway, name, **({"failures": {"N": "2"}} if name.endswith("-2") else {}))

    wait_until(lambda: len(_keys(gateway, key)) == 5)

    assert _keys(gateway, key) == names
    assert [entry for entry in gateway.seen(FUNCTION) if entry.get("failed") == f"{key}-2"] == [
        {"failed": f"{key}-2"}
    ] * 2


def test_a_poisonous_record_is_given_up_alone_and_told_to_the_destination(gateway: Sample, key: str) -> None:
    names = [f"{key}-{n}" for n in range(6)]
    for name in names:
        _put(gateway, name, **({"POISON": {"BOOL": True}} if name.endswith("-3") else {}))

    wait_until(lambda: len(_keys(gateway, key)) == 5)

    assert _keys(gateway, key) == [name for name in names if not name.endswith("-3")]
    url = gateway.queue_url("GivenUpQueue")
    [told] = gateway.aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    report = json.loads(told["Body"])
    assert report["DDBStreamBatchInfo"]["batchSize"] == 1
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert report["requestContext"]["functionArn"] == gateway.arn(FUNCTION)


def test_what_went_before_it_was_read_is_told_and_reading_goes_on_with_what_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Any] = [RecordsTrimmed(), ("next", [b"{}"])]
    asked: list[str] = []

    def await_records(iterator: str, *_: object) -> tuple[str, list[bytes]]:
        asked.append(iterator)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast("tuple[str, list[bytes]]", answer)

    aws = SimpleNamespace(
        dynamodb=SimpleNamespace(describe_table=lambda **_: {"Table": {"LatestStreamArn": "the-stream"}}),
        streams=SimpleNamespace(
            describe_stream=lambda **_: {"StreamDescription": {"Shards": [{"ShardId": "one"}]}},
            get_shard_iterator=lambda **asked: {"ShardIterator": asked["ShardIteratorType"]},
        ),
        await_records=await_records,
    )
    source = StreamSource("Publisher", "messages", 10, 0, True, False, "LATEST", None, None, None)
    poller = StreamPoller(source, cast("EmbeddedAws", aws), cast("Lambdas", None))

    first, second = poller._read(), poller._read()

    assert (len(first), len(second)) == (0, 1)
    assert asked == ["LATEST", "TRIM_HORIZON"]
    assert "messages: changes went before they were read" in caplog.text
