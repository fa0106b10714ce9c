"""DynamoDB as the embedded AWS serves it: what clients of it rely on beside the ledger's own calls."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import EmbeddedAws
from local.dynamodb import stream as streams
from local.dynamodb import wire
from local.dynamodb.service import STREAMS, TABLES, Tables
from local.dynamodb.stream import StreamError, iterator

MEASURES: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "place", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
        {"AttributeName": "kind", "AttributeType": "S"},
        {"AttributeName": "value", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "place", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": name,
            "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "value", "KeyType": "RANGE"}],
            "Projection": projection,
        }
        for name, projection in (
            ("whole", {"ProjectionType": "ALL"}),
            ("some", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["unit"]}),
        )
    ],
}


@pytest.fixture
def table(aws: EmbeddedAws, key: str) -> str:
    _create(aws, key)
    return key


def _create(aws: EmbeddedAws, name: str, view: str = "NEW_AND_OLD_IMAGES") -> str:
    """The ARN of its stream."""
    stream = {"StreamEnabled": True, "StreamViewType": view}
    made = aws.dynamodb.create_table(TableName=name, **MEASURES, StreamSpecification=stream)  # type: ignore[arg-type]
    return made["TableDescription"]["LatestStreamArn"]


def _put(aws: EmbeddedAws, table: str, at: float, **attributes: Any) -> None:
    aws.dynamodb.put_item(TableName=table, Item={"place": {"S": "roof"}, "at": {"N": str(at)}, **attributes})


def _refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call()
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_failed_condition_says_so_in_dynamodbs_words_and_shows_what_stands_in_its_way(
    aws: EmbeddedAws, table: str
) -> None:
    item = {"place": {"S": "roof"}, "at": {"N": "1"}, "raw": {"B": b"\x00\xff"}, "parts": {"BS": [b"a", b"b"]}}
    aws.dynamodb.put_item(TableName=table, Item=item)  # type: ignore[arg-type]

    with pytest.raises(aws.dynamodb.exceptions.ConditionalCheckFailedException) as raised:
        aws.dynamodb.put_item(
            TableName=table,
            Item={"place": {"S": "roof"}, "at": {"N": "1.0"}},
            ConditionExpression="attribute_not_exists(place)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    response: Any = raised.value.response
    assert response["Error"] == {
        "Code": "ConditionalCheckFailedException", "Message": "The conditional request failed",
    }  # fmt: skip
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Item"] == item


def test_an_answer_has_the_checksum_of_its_body(aws: EmbeddedAws, table: str) -> None:
    bodies: list[bytes] = []
    aws.dynamodb.meta.events.register_last(
        "before-parse.dynamodb.GetItem",
        lambda response_dict, **_: bodies.append(response_dict["body"]),
        unique_id="crc",
    )
    _put(aws, table, 1, text={"S": "你好"})

    answer = aws.dynamodb.get_item(TableName=table, Key={"place": {"S": "roof"}, "at": {"N": "1"}})

    aws.dynamodb.meta.events.unregister("before-parse.dynamodb.GetItem", unique_id="crc")
    assert answer["Item"]["text"] == {"S": "你好"}
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-crc32"] == str(zlib.crc32(bodies[0]))


def test_a_scan_finds_everything_once_in_pages_of_a_megabyte(aws: EmbeddedAws, table: str) -> None:
    for at in range(30):
        _put(aws, table, at, text={"S": "x" * 100_000})

    pages = list(aws.dynamodb.get_paginator("scan").paginate(TableName=table))

    assert [len(page["Items"]) for page in pages] == [11, 11, 8]
    assert [item["at"]["N"] for page in pages for item in page["Items"]] == [str(at) for at in range(30)]


def test_a_scan_filters_what_it_counts_against_its_limit_and_goes_on_where_it_was(aws: EmbeddedAws, table: str) -> None:
    for at in range(7):
        _put(aws, table, at, size={"N": str(at)}, text={"S": "x"})
    asked: dict[str, Any] = {
        "TableName": table, "Limit": 3, "FilterExpression": "#size >= :least", "ProjectionExpression": "#size",
        "ExpressionAttributeNames": {"#size": "size"}, "ExpressionAttributeValues": {":least": {"N": "2"}},
    }  # fmt: skip

    first = aws.dynamodb.scan(**asked)
    aws.dynamodb.delete_item(TableName=table, Key=first["LastEvaluatedKey"])
    second = aws.dynamodb.scan(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    count = aws.dynamodb.scan(TableName=table, Select="COUNT")

    assert (first["Items"], first["ScannedCount"]) == ([{"size": {"N": "2"}}], 3)
    assert second["Items"] == [{"size": {"N": str(at)}} for at in (3, 4, 5)]
    assert (count["Count"], "Items" in count) == (6, False)


def test_numbers_are_sorted_as_numbers_by_a_table_and_by_an_index(aws: EmbeddedAws, table: str) -> None:
    for at in (10, 9, -1, 2.5):
        _put(aws, table, at, kind={"S": "heat"}, value={"N": str(-at)}, unit={"S": "C"}, text={"S": "x"})

    by_table = aws.dynamodb.query(
        TableName=table,
        KeyConditionExpression="place = :place AND #at > :at",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":place": {"S": "roof"}, ":at": {"N": "2.50"}},
    )["Items"]
    by_index = {
        index: aws.dynamodb.query(
            TableName=table,
            IndexName=index,
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": "heat"}},
        )["Items"]
        for index in ("whole", "some")
    }

    assert [item["at"]["N"] for item in by_table] == ["9", "10"]
    assert [item["value"]["N"] for item in by_index["whole"]] == ["-10", "-9", "-2.5", "1"]
    assert set(by_index["whole"][0]) == {"place", "at", "kind", "value", "unit", "text"}
    assert set(by_index["some"][0]) == {"place", "at", "kind", "value", "unit"}


def test_what_a_map_holds_can_be_asked_for_alone(aws: EmbeddedAws, table: str) -> None:
    _put(aws, table, 1, where={"M": {"floor": {"N": "3"}, "door": {"S": "left"}}}, text={"S": "x"})

    answer = aws.dynamodb.get_item(
        TableName=table,
        Key={"place": {"S": "roof"}, "at": {"N": "1"}},
        ProjectionExpression="#where.floor, nothing",
        ExpressionAttributeNames={"#where": "where"},
    )

    assert answer["Item"] == {"where": {"M": {"floor": {"N": "3"}}}}


def test_many_are_written_and_deleted_at_once(aws: EmbeddedAws, table: str) -> None:
    _put(aws, table, 0)
    items = [{"place": {"S": "roof"}, "at": {"N": str(at)}} for at in range(26)]
    puts: list[Any] = [{"PutRequest": {"Item": item}} for item in items]

    aws.dynamodb.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": items[0]}}, *puts[1:25]]})
    refused = _refusal(lambda: aws.dynamodb.batch_write_item(RequestItems={table: puts}))

    assert aws.dynamodb.scan(TableName=table)["Items"] == items[1:25]
    assert refused[0] == "ValidationException"


def test_what_is_not_known_is_refused_by_name_and_not_passed_over(aws: EmbeddedAws, table: str) -> None:
    index = {"IndexName": "more", "KeySchema": MEASURES["KeySchema"], "Projection": {"ProjectionType": "ALL"}}

    assert _refusal(
        lambda: aws.dynamodb.transact_get_items(
            TransactItems=[{"Get": {"TableName": table, "Key": {"place": {"S": "roof"}, "at": {"N": "1"}}}}]
        )
    ) == ("ValidationException", "TransactGetItems is not known here")
    assert _refusal(lambda: aws.dynamodb.scan(TableName=table, Segment=0, TotalSegments=2)) == (
        "ValidationException",
        "Segment, TotalSegments is not known here",
    )
    assert _refusal(
        lambda: aws.dynamodb.create_table(
            **{**MEASURES, "TableName": f"{table}-2", "LocalSecondaryIndexes": [index]}
        )
    ) == ("ValidationException", "LocalSecondaryIndexes is not known here")  # fmt: skip
    assert _refusal(
        lambda: aws.dynamodb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    ) == ("ValidationException", "StreamSpecification is not known here")


def test_a_table_is_described_with_what_lies_in_it_and_one_made_anew_is_empty(aws: EmbeddedAws, table: str) -> None:
    _put(aws, table, 1)

    before = aws.dynamodb.describe_table(TableName=table)["Table"]
    aws.dynamodb.delete_table(TableName=table)
    missing = _refusal(lambda: aws.dynamodb.scan(TableName=table))
    _create(aws, table)
    after = aws.dynamodb.describe_table(TableName=table)["Table"]

    assert (before["ItemCount"], before["TableSizeBytes"]) == (1, len("place") + len("roof") + len("at") + 2)
    assert missing == ("ResourceNotFoundException", "Requested resource not found")
    assert (after["ItemCount"], aws.dynamodb.scan(TableName=table)["Count"]) == (0, 0)
    assert [each["StreamArn"] for each in aws.streams.list_streams(TableName=table)["Streams"]] == [
        after["LatestStreamArn"]
    ]


class TestStreams:
    def test_an_iterator_begins_where_its_kind_says(self, aws: EmbeddedAws, key: str) -> None:
        arn = _create(aws, key)
        for at in range(5):
            _put(aws, key, at)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in _read(aws, arn, "TRIM_HORIZON")]
        latest = _iterator(aws, arn, "LATEST")
        _put(aws, key, 5)

        found = {
            kind: [record["dynamodb"]["Keys"]["at"]["N"] for record in _read(aws, arn, kind, numbers[3])]
            for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
        }

        assert found == {"AT_SEQUENCE_NUMBER": ["3", "4", "5"], "AFTER_SEQUENCE_NUMBER": ["4", "5"]}
        [newest] = aws.streams.get_records(ShardIterator=latest)["Records"]
        assert newest["dynamodb"]["Keys"]["at"] == {"N": "5"}
        assert newest["dynamodb"]["ApproximateCreationDateTime"].tzinfo is not None

    def test_records_come_in_pages_each_of_which_says_where_it_goes_on(self, aws: EmbeddedAws, key: str) -> None:
        arn = _create(aws, key)
        for at in range(5):
            _put(aws, key, at, text={"S": "x" * 300_000})

        iterator_, pages = _iterator(aws, arn, "TRIM_HORIZON"), []
        for limit in (1, 1000, 1000, 1000):
            page = aws.streams.get_records(ShardIterator=iterator_, Limit=limit)
            pages.append([record["dynamodb"]["Keys"]["at"]["N"] for record in page["Records"]])
            iterator_ = page["NextShardIterator"]

        assert pages == [["0"], ["1", "2", "3"], ["4"], []]

    @pytest.mark.parametrize(
        ("view", "images"),
        [("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"})],
    )
    def test_a_stream_shows_the_images_it_was_made_for(
        self, aws: EmbeddedAws, key: str, view: str, images: set[str]
    ) -> None:
        arn = _create(aws, key, view)
        for text in ("old", "new"):
            _put(aws, key, 1, text={"S": text})

        record = _read(aws, arn, "TRIM_HORIZON")[1]

        assert (record["eventName"], record["dynamodb"]["StreamViewType"]) == ("MODIFY", view)
        assert {"NewImage", "OldImage"} & set(record["dynamodb"]) == images

    def test_a_write_that_changes_nothing_is_on_no_stream(self, aws: EmbeddedAws, key: str) -> None:
        arn = _create(aws, key)

        for _ in range(2):
            _put(aws, key, 1, text={"S": "same"})

        assert len(_read(aws, arn, "TRIM_HORIZON")) == 1

    def test_whoever_waits_is_told_of_a_change_when_there_is_one(self, aws: EmbeddedAws, key: str) -> None:
        arn = _create(aws, key)
        threading.Timer(0.3, _put, [aws, key, 1]).start()

        began = time.monotonic()
        following, records = aws.await_records(_iterator(aws, arn, "TRIM_HORIZON"), 10, 10.0, 0.0)
        took = time.monotonic() - began
        _, nothing = aws.await_records(following, 10, 0.05, 0.0)

        assert len(records) == 1
        assert 0.25 < took < 5
        assert nothing == []

    def test_whoever_waits_for_a_batch_has_it_as_soon_as_it_is_whole(self, aws: EmbeddedAws, key: str) -> None:
        arn = _create(aws, key)
        for at in range(3):
            _put(aws, key, at)

        began = time.monotonic()
        _, whole = aws.await_records(_iterator(aws, arn, "TRIM_HORIZON"), 2, 10.0, 5.0)
        took = time.monotonic() - began

        assert len(whole) == 2
        assert took < 4

    def test_whoever_has_a_part_of_a_batch_is_given_others_a_moment_to_join_it(
        self, aws: EmbeddedAws, key: str
    ) -> None:
        arn = _create(aws, key)
        _put(aws, key, 1)
        threading.Timer(0.2, _put, [aws, key, 2]).start()

        _, records = aws.await_records(_iterator(aws, arn, "TRIM_HORIZON"), 10, 10.0, 1.0)

        assert len(records) == 2


class TestWhatIsGone:
    def test_what_is_too_much_to_keep_is_forgotten_and_whoever_had_not_read_it_is_told(self) -> None:
        tables, arn = _tables(most_bytes=4_000)
        for at in range(10):
            _answered(tables, "PutItem", _item(at, text={"S": "x" * 500}))
        stream = tables.stream(arn)

        with pytest.raises(StreamError, match="trimmed") as raised:
            stream.read(1, None)

        kept = stream.read(stream.place("TRIM_HORIZON", None), None)
        assert raised.value.name == "TrimmedDataAccessException"
        assert 5 <= len(kept) < 10
        assert b'"at":{"N":"9"}' in kept[-1]

    def test_what_is_a_day_old_is_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "_LOOKS_EVERY", 1)
        tables, arn = _tables()
        _answered(tables, "PutItem", _item(1))
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now + 24 * 3600 + 1)

        _answered(tables, "PutItem", _item(2))

        stream = tables.stream(arn)
        assert stream.place("TRIM_HORIZON", None) > 1

    def test_an_iterator_is_good_for_a_quarter_of_an_hour(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tables, arn = _tables()
        old = iterator(arn, 1)
        now = time.time()

        fresh = _asked(tables, f"{STREAMS}.GetRecords", {"ShardIterator": old})
        monkeypatch.setattr("time.time", lambda: now + 15 * 60 + 2)
        late = _asked(tables, f"{STREAMS}.GetRecords", {"ShardIterator": old})

        assert fresh[0] == 200
        assert (late[0], late[1]["__type"].rpartition("#")[2]) == (400, "ExpiredIteratorException")

    def test_what_has_expired_is_deleted_by_dynamodb_and_the_stream_says_by_whom(self) -> None:
        tables, arn = _tables()
        past, future = (str(int(datetime.now(UTC).timestamp()) + seconds) for seconds in (-60, 60))
        for at, expires in ((1, past), (2, future)):
            _answered(tables, "PutItem", _item(at, expires={"N": expires}))

        tables.sweep()
        before = tables.counts("measures")["ItemCount"]
        tables.expire("measures", "expires")
        tables.sweep()

        record = wire.read(tables.stream(arn).read(3, None)[0])
        assert (before, tables.counts("measures")["ItemCount"]) == (2, 1)
        assert record["eventName"] == "REMOVE"
        assert record["dynamodb"]["Keys"]["at"] == {"N": "1"}
        assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def _iterator(aws: EmbeddedAws, arn: str, kind: str, number: str | None = None) -> str:
    [shard] = aws.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    begin = {"SequenceNumber": number} if "SEQUENCE" in kind else {}
    answer = aws.streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **begin)
    return str(answer["ShardIterator"])


def _read(aws: EmbeddedAws, arn: str, kind: str, number: str | None = None) -> list[dict[str, Any]]:
    return list(aws.streams.get_records(ShardIterator=_iterator(aws, arn, kind, number))["Records"])


def _tables(most_bytes: int = 2**20) -> tuple[Tables, str]:
    """One table in this process, and its stream."""
    tables = Tables("us-east-1", most_bytes)
    description = {
        "TableName": "measures", "LatestStreamArn": "the-stream", "LatestStreamLabel": "now",
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
    }  # fmt: skip
    tables.create({"TableName": "measures", **MEASURES}, description)
    return tables, "the-stream"


def _item(at: int, **attributes: Any) -> dict[str, Any]:
    return {"TableName": "measures", "Item": {"place": {"S": "roof"}, "at": {"N": str(at)}, **attributes}}


def _asked(tables: Tables, target: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, body = tables.answer(target, wire.written(request))
    return status, wire.read(body)


def _answered(tables: Tables, operation: str, request: dict[str, Any]) -> None:
    assert _asked(tables, f"{TABLES}.{operation}", request)[0] == 200
