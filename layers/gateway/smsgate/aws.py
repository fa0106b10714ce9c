"""AWS clients, made once each, that give up soon enough for the next step to be taken."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# botocore's own default waits 60 s five times: one stalled write would outlive the Lambda.
_CONNECT_SECONDS = 1
_READ_SECONDS = 2
_ATTEMPTS = 3
_CONNECTIONS = 50


@cache
def _session() -> Any:
    # botocore, not boto3: what boto3 adds is not used here and costs a third of a cold start.
    from botocore.session import get_session

    return get_session()


@cache
def _client(service: str) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
    )
    return _session().create_client(service, config=config)


def dynamodb() -> DynamoDBClient:
    return _client("dynamodb")  # type: ignore[no-any-return]  # botocore types its clients only through stubs


def sqs() -> SQSClient:
    return _client("sqs")  # type: ignore[no-any-return]


def sns() -> SNSClient:
    return _client("sns")  # type: ignore[no-any-return]


def events() -> EventBridgeClient:
    return _client("events")  # type: ignore[no-any-return]


def secretsmanager() -> SecretsManagerClient:
    return _client("secretsmanager")  # type: ignore[no-any-return]
