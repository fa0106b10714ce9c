"""AWS clients, made once each, that give up soon enough for the next step to be taken."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ses import SESClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# botocore's own default waits 60 s five times: one stalled write would outlive the Lambda.
_CONNECT_SECONDS = 1
_READ_SECONDS = 2
_MAIL_SECONDS = 10
_ATTEMPTS = 3
_CONNECTIONS = 50


@cache
def _session() -> Any:
    # botocore, not boto3: what boto3 adds is not used here and costs a third of a cold start.
    from botocore.session import get_session

    return get_session()


@cache
def _client(service: str, read_seconds: int = _READ_SECONDS, attempts: int = _ATTEMPTS) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
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


def ssm() -> SSMClient:
    return _client("ssm")  # type: ignore[no-any-return]


def s3() -> S3Client:
    return _client("s3")  # type: ignore[no-any-return]


def ses() -> SESClient:
    """For mails that must not go out twice: SES would send the same one again, so nothing here tries again."""
    return _client("ses", _MAIL_SECONDS, attempts=1)  # type: ignore[no-any-return]
