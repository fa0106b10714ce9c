"""The table in memory answers as moto and ministack do, and as it does itself over HTTP: the same calls to each."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws

from local.aws import EmbeddedAws
from local.dynamodb.rows import Change
from local.dynamodb.table import MemoryTable
from smsgate import lifecycle
from smsgate.items import due_shards
from smsgate.ledger import Ledger, Saved, message_id_of
from smsgate.messages import Message
from smsgate.requests import request_hash
from tests.gateway.conftest import create_table
from tests.gateway.examples import NOON, UNTIL, message
from tests.world.messages_table import TABLE, messages_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CALLS = 1_000


@pytest.fixture
def table() -> MemoryTable:
    return messages_table()


@contextmanager
def _ministack(scratch: Path) -> Iterator[str]:
    """Without our tables before it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(scratch), "LOG_LEVEL": "WARNING"}
    begin = "import sys; sys.argv = ['ministack']; import ministack.app; ministack.app.main()"
    process = subprocess.Popen([sys.executable, "-c", begin], env={**os.environ, **own}, stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["moto", "ministack", "itself over HTTP"])
def other(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[DynamoDBClient]:
    if request.param == "moto":
        with mock_aws():
            client = boto3.client("dynamodb")
            create_table(client)
            yield client
        return
    if request.param == "ministack":
        with _ministack(tmp_path) as url:
            client = boto3.client("dynamodb", endpoint_url=url)
            create_table(client)
            yield client
        return
    aws = EmbeddedAws(tmp_path / "aws")
    try:
        aws.wait_until_ready()
        create_table(aws.dynamodb)
        yield aws.dynamodb
    finally:
        aws.stop()


class Clerk:
    """Makes up calls as a ledger makes them, on a few keys, so that they get into each other's way."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def call(self) -> tuple[str, dict[str, Any]]:
        kinds: list[Callable[[], tuple[str, dict[str, Any]]]] = [
            self._put, self._put, self._get, self._update, self._count, self._delete, self._query, self._index,
        ]  # fmt: skip
        name, arguments = self._random.choice(kinds)()
        return name, {"TableName": TABLE, **arguments}

    def _key(self) -> dict[str, Any]:
        return {"pk": {"S": self._random.choice("abc")}, "sk": {"S": f"m#{self._random.randint(1, 4)}"}}

    def _item(self) -> dict[str, Any]:
        item: dict[str, Any] = {
            **self._key(),
            "version": {"N": str(self._random.randint(1, 3))},
            "text": {"S": self._random.choice(["", "hello", "你好"])},
            "context": {"M": {"order": {"S": "17"}, "open": {"BOOL": True}}},
            "attempts": {"L": [{"M": {"at": {"S": "noon"}}}, {"N": "1.50"}]},
            "body": {"B": b"\x00\xff"},
        }
        if self._random.random() < 0.7:
            item["due_shard"] = {"S": self._random.choice("01")}
            item["due_at"] = {"S": f"{self._random.randint(10, 14)}:00"}
        if self._random.random() < 0.7:
            item["to"] = {"S": self._random.choice(["+886912345678", "+85291234567"])}
            item["accepted_at"] = {"S": f"{self._random.randint(10, 14)}:00"}
        return item

    def _condition(self) -> dict[str, Any]:
        seen = {":seen": {"N": str(self._random.randint(1, 3))}}
        return self._random.choice(
            [
                {},
                {"ConditionExpression": "attribute_not_exists(pk)"},
                {"ConditionExpression": "attribute_exists(pk)"},
                {"ConditionExpression": "version = :seen", "ExpressionAttributeValues": seen},
                {
                    "ConditionExpression": "attribute_not_exists(pk) OR (version <= :seen AND NOT version = :one)",
                    "ExpressionAttributeValues": {**seen, ":one": {"N": "1.0"}},
                },
                {
                    "ConditionExpression": "attribute_exists(#text) AND begins_with(#text, :start)",
                    "ExpressionAttributeNames": {"#text": "text"},
                    "ExpressionAttributeValues": {":start": {"S": "h"}},
                },
                {
                    "ConditionExpression": "context.#order = :order AND version BETWEEN :one AND :seen",
                    "ExpressionAttributeNames": {"#order": "order"},
                    "ExpressionAttributeValues": {":order": {"S": "17"}, ":one": {"N": "1"}, **seen},
                },
            ]
        )  # fmt: skip

    def _put(self) -> tuple[str, dict[str, Any]]:
        return "put_item", {
            "Item": self._item(), "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **self._condition(),
        }  # fmt: skip

    def _get(self) -> tuple[str, dict[str, Any]]:
        return "get_item", {"Key": self._key(), "ConsistentRead": True}

    def _delete(self) -> tuple[str, dict[str, Any]]:
        return "delete_item", {"Key": self._key(), "ReturnValues": "ALL_OLD"}

    def _update(self) -> tuple[str, dict[str, Any]]:
        expression, values = self._random.choice(
            [
                ("SET message_id = :id, expires = :expires", {":id": {"S": "x-1"}, ":expires": {"N": "7"}}),
                (
                    "ADD callbacks :callback SET expires = if_not_exists(expires, :expires)",
                    {":callback": {"SS": [self._random.choice("uvw")]}, ":expires": {"N": "9"}},
                ),
                ("SET problem = :problem REMOVE message_id", {":problem": {"S": "unreadable"}}),
                ("DELETE callbacks :callback", {":callback": {"SS": ["u", "v"]}}),
            ]
        )  # fmt: skip
        return "update_item", {
            "Key": self._key(), "UpdateExpression": expression, "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
        }  # fmt: skip

    def _count(self) -> tuple[str, dict[str, Any]]:
        return "update_item", {
            "Key": self._key(),
            "UpdateExpression": (
                "ADD used :points SET began = if_not_exists(began, :now), #n = if_not_exists(#n, :zero) + :one"
            ),
            "ConditionExpression": "attribute_not_exists(used) OR used <= :room",
            "ExpressionAttributeNames": {"#n": "count"},
            "ExpressionAttributeValues": {
                ":points": {"N": self._random.choice(["1", "2.5"])}, ":room": {"N": "5"}, ":now": {"S": "noon"},
                ":zero": {"N": "0"}, ":one": {"N": "1"},
            },
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }  # fmt: skip

    def _query(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":pk": {"S": self._random.choice("abc")}, ":prefix": {"S": "m#"}},
            "ConsistentRead": True, "ScanIndexForward": self._random.random() < 0.5,
        }  # fmt: skip
        return "query", arguments | self._random.choice([{}, {"Limit": 2}, {"Select": "COUNT"}])

    def _index(self) -> tuple[str, dict[str, Any]]:
        if self._random.random() < 0.5:
            return "query", {
                "IndexName": "due", "KeyConditionExpression": "due_shard = :shard AND due_at <= :now",
                "ExpressionAttributeValues": {":shard": {"S": "0"}, ":now": {"S": "12:00"}}, "Limit": 3,
            }  # fmt: skip
        return "query", {
            "IndexName": "recipient", "KeyConditionExpression": "#to = :to",
            "ExpressionAttributeNames": {"#to": "to"}, "ExpressionAttributeValues": {":to": {"S": "+886912345678"}},
            "ScanIndexForward": False,
        }  # fmt: skip


def answer(client: Any, name: str, arguments: dict[str, Any]) -> Any:
    """All pages of what it answers, or the error and the item that stood in the way; in comparable form."""
    try:
        if name == "query":
            return _every_page(client, arguments)
        said = getattr(client, name)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"], _comparable(error.response.get("Item"))
    return _comparable(said.get("Item")), _comparable(said.get("Attributes"))


def _every_page(client: Any, arguments: dict[str, Any]) -> tuple[int, list[Any]]:
    count = 0
    items: list[Any] = []
    start: dict[str, Any] = {}
    while True:
        page = client.query(**arguments, **start)
        assert len(page.get("Items", ())) <= arguments.get("Limit", 1_000)
        count += page["Count"]
        items += page.get("Items", ())
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    if "IndexName" in arguments:  # Whose range keys are equal comes in any order.
        items.sort(
            key=lambda item: (item.get("due_at", item.get("accepted_at"))["S"], item["pk"]["S"], item["sk"]["S"])
        )
    return count, [_comparable(item) for item in items]


def _comparable(value: Any) -> Any:
    match value:
        case {"N": text} if isinstance(text, str):
            return {"N": Decimal(text)}
        case {"SS": names}:
            return {"SS": set(names)}
        case dict():
            return {name: _comparable(inner) for name, inner in value.items()}
        case list():
            return [_comparable(inner) for inner in value]
        case bytes():
            return base64.b64encode(value)
    return value


class TestAsTheOthers:
    def test_every_call_is_answered_alike(self, table: MemoryTable, other: DynamoDBClient) -> None:
        clerk = Clerk(seed=1)

        for number in range(CALLS):
            name, arguments = clerk.call()
            assert answer(table, name, arguments) == answer(other, name, arguments), (number, name, arguments)

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("put_item", {"Item": {"pk": {"S": "a"}}}),
            ("put_item", {"Item": {"pk": {"S": ""}, "sk": {"S": "m"}}}),
            ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "m"}, "due_shard": {"S": ""}, "due_at": {"S": "1"}}}),
            ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "m"}, "text": {"S": "x" * 410_000}}}),
            (
                "update_item",
                {
                    "Key": {"pk": {"S": "a"}, "sk": {"S": "m"}},
                    "UpdateExpression": "SET status = :s",
                    "ExpressionAttributeValues": {":s": {"S": "sent"}},
                },
            ),
            (
                "update_item",
                {
                    "Key": {"pk": {"S": "a"}, "sk": {"S": "m"}},
                    "UpdateExpression": "SET sk = :s",
                    "ExpressionAttributeValues": {":s": {"S": "n"}},
                },
            ),
            ("get_item", {"Key": {"pk": {"S": "a"}}}),
            ("get_item", {"Key": {"pk": {"S": "a"}, "sk": {"S": "m"}}, "TableName": "other"}),
            ("put_item", {"Item": {"pk": {"S": "a" * 2049}, "sk": {"S": "m"}}}),
            ("put_item", {"Item": {"pk": {"S": "a"}, "sk": {"S": "m" * 1025}}}),
        ],
        ids=[
            "key missing", "key empty", "index key empty", "too large", "reserved word", "key changed",
            "half a key", "other table", "hash key too long", "range key too long",
        ],
    )  # fmt: skip
    def test_what_dynamodb_does_not_take_is_refused_alike(
        self, table: MemoryTable, dynamodb: DynamoDBClient, name: str, arguments: dict[str, Any]
    ) -> None:
        call = {"TableName": TABLE, **arguments}

        assert answer(table, name, call) == answer(dynamodb, name, call)
        assert answer(table, name, call)[0] in ("ValidationException", "ResourceNotFoundException")

    def test_many_are_read_at_once_alike(self, table: MemoryTable, dynamodb: DynamoDBClient) -> None:
        keys = [{"pk": {"S": "a"}, "sk": {"S": f"m#{place}"}} for place in range(101)]
        for place in (1, 3, 5):
            for client in (table, dynamodb):
                client.put_item(TableName=TABLE, Item={**keys[place], "text": {"S": str(place)}})

        for asked, more in (
            (keys[:100], {}),
            (keys[:10], {"ProjectionExpression": "sk, nothing"}),
            (keys[:10], {"ProjectionExpression": "sk, status"}),
            (keys[6:9], {}),
            (keys, {}),
            (keys[:1] * 2, {}),
            ([], {}),
        ):
            request = {"RequestItems": {TABLE: {"Keys": asked, "ConsistentRead": True, **more}}}
            ours, theirs = (_read(client, request) for client in (table, dynamodb))
            assert ours == theirs


def _read(client: Any, request: dict[str, Any]) -> list[Any] | str:
    try:
        answer_ = client.batch_get_item(**request)
    except (ClientError, ParamValidationError):
        return "refused"
    assert not answer_["UnprocessedKeys"]
    return sorted(answer_["Responses"][TABLE], key=str)


class TestAsALedger:
    def test_a_ledger_keeps_and_finds_messages(self, table: MemoryTable) -> None:
        ledger = Ledger(cast("DynamoDBClient", table), TABLE, timedelta(days=90))
        waiting = lifecycle.enqueue(_of("order-1"), NOON, NOON)

        saved = ledger.save(waiting)

        assert isinstance(saved, Saved)
        assert ledger.get(waiting.message_id) == saved.message
        due = [message_id_of(key) for shard in due_shards() for key in ledger.due(shard, NOON, 10).items]
        assert due == [waiting.message_id]

    def test_only_one_of_two_claims_wins(self, table: MemoryTable) -> None:
        ledger = Ledger(cast("DynamoDBClient", table), TABLE, timedelta(days=90))
        claimed = lifecycle.claim(_of("order-1"), "plainline", NOON, UNTIL, 1, Decimal(1))

        first, second = ledger.save(claimed), ledger.save(claimed)

        assert isinstance(first, Saved)
        assert not isinstance(second, Saved)


class TestOfItsOwn:
    def test_an_index_key_that_is_too_long_is_refused_where_moto_takes_it(self, table: MemoryTable) -> None:
        item = {"pk": {"S": "a"}, "sk": {"S": "b"}, "to": {"S": "x" * 2049}, "accepted_at": {"S": "now"}}

        with pytest.raises(ClientError, match="size limit of 2048 bytes"):
            table.put_item(TableName=TABLE, Item=item)
        with pytest.raises(ClientError, match="size limit of 2048 bytes"):
            table.query(
                TableName=TABLE,
                IndexName="recipient",
                KeyConditionExpression="#to = :to",
                ExpressionAttributeNames={"#to": "to"},
                ExpressionAttributeValues={":to": item["to"]},
            )

    def test_an_unknown_function_is_refused(self, table: MemoryTable) -> None:
        with pytest.raises(ClientError, match="Invalid function name"):
            table.put_item(
                TableName=TABLE,
                Item={"pk": {"S": "a"}, "sk": {"S": "b"}},
                ConditionExpression="attribute_was_here(pk)",
            )

    def test_a_value_nobody_uses_is_refused(self, table: MemoryTable) -> None:
        """As DynamoDB does, and moto does not."""
        with pytest.raises(ClientError, match="unused in expressions"):
            table.put_item(
                TableName=TABLE,
                Item={"pk": {"S": "a"}, "sk": {"S": "b"}},
                ConditionExpression="attribute_not_exists(pk)",
                ExpressionAttributeValues={":unused": {"S": "x"}},
            )

    def test_every_change_is_on_the_stream_with_both_images(self) -> None:
        changed: list[Change] = []
        table = messages_table(on_change=changed.append)
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}

        table.put_item(TableName=TABLE, Item={**key, "n": {"N": "1"}})
        table.put_item(TableName=TABLE, Item={**key, "n": {"N": "1"}})
        table.put_item(TableName=TABLE, Item={**key, "n": {"N": "2"}, "body": {"B": b"raw"}})
        table.delete_item(TableName=TABLE, Key=key)

        changes = [change.record() for change in changed]
        assert [change["eventName"] for change in changes] == ["INSERT", "MODIFY", "REMOVE"]
        assert changes[1]["dynamodb"]["OldImage"] == {**key, "n": {"N": "1"}}
        assert changes[1]["dynamodb"]["NewImage"] == {**key, "n": {"N": "2"}, "body": {"B": "cmF3"}}
        numbers = [change["dynamodb"]["SequenceNumber"] for change in changes]
        assert numbers == sorted(numbers)

    def test_an_index_may_be_behind(self) -> None:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        table = messages_table(clock=lambda: now, index_delay=timedelta(seconds=2))
        ledger = Ledger(cast("DynamoDBClient", table), TABLE, timedelta(days=90))
        ledger.save(lifecycle.enqueue(_of("order-1"), NOON, NOON))

        at_once = sum(len(ledger.due(shard, NOON, 10).items) for shard in due_shards())
        now += timedelta(seconds=2)
        later = sum(len(ledger.due(shard, NOON, 10).items) for shard in due_shards())

        assert (at_once, later) == (0, 1)

    def test_what_has_expired_goes_when_it_is_swept(self, table: MemoryTable) -> None:
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        table.put_item(TableName=TABLE, Item={**key, "expires": {"N": "1000"}})

        early = table.sweep(datetime.fromtimestamp(999, UTC))
        late = table.sweep(datetime.fromtimestamp(1000, UTC))

        assert (early, late, list(table.items())) == (0, 1, [])


def _of(request_id: str) -> Message:
    return message(message_id=f"{request_hash(request_id)}-1", request_id=request_id)
