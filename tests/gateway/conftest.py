"""A table to keep things in: DynamoDB in memory, with the keys and indexes of template.yaml."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import boto3
import pytest
from moto import mock_aws

from local.aws import EmbeddedAws
from smsgate import telemetry
from smsgate.ledger import Ledger
from tests.gateway.aws_clients import Ours, Serve, Theirs
from tests.gateway.house import Counts, House
from tests.transports.conftest import authority, ca_file, serve
from tests.world.messages_table import messages_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["authority", "ca_file", "serve"]

TABLE = "messages"


def create_table(client: DynamoDBClient) -> None:
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"}
            for name in ("pk", "sk", "due_shard", "due_at", "to", "accepted_at")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [
                    {"AttributeName": hash_key, "KeyType": "HASH"},
                    {"AttributeName": range_key, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for name, hash_key, range_key in (("due", "due_shard", "due_at"), ("recipient", "to", "accepted_at"))
        ],
    )


@pytest.fixture(scope="session")
def client() -> DynamoDBClient:
    """Made once: making one takes longer than most tests."""
    return boto3.client("dynamodb")


@pytest.fixture
def dynamodb(client: DynamoDBClient) -> Iterator[DynamoDBClient]:
    with mock_aws():
        create_table(client)
        yield client


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Over the table in memory, which answers as moto's does in a hundredth of the time; a test that looks into the
    table by itself has moto's."""
    if "dynamodb" in request.fixturenames:
        client = request.getfixturevalue("dynamodb")
    else:
        client = cast("DynamoDBClient", messages_table())
    return Ledger(client, TABLE, timedelta(days=90))


@pytest.fixture
def house(ledger: Ledger) -> House:
    return House(ledger)


@pytest.fixture(scope="session")
def atomic_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBClient]:
    """For real races: moto's DynamoDB loses them."""
    aws = EmbeddedAws(tmp_path_factory.mktemp("aws") / "scratch")
    try:
        aws.wait_until_ready()
        create_table(aws.dynamodb)
        yield aws.dynamodb
    finally:
        aws.stop()


@pytest.fixture
def atomic_house(atomic_table: DynamoDBClient) -> House:
    return House(Ledger(atomic_table, TABLE, timedelta(days=90)))


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them: what holds only by luck breaks soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    kept = Counts()
    monkeypatch.setattr(telemetry, "count", kept.count)
    return kept


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    return Theirs()


@pytest.fixture
def ours(serve: Serve) -> Iterator[Ours]:
    made = Ours(serve)
    yield made
    made.close()
