"""AWS clients, made once each, that give up soon enough for the next step to be taken.

What is called with every message goes through a client of our own; the rest, and whatever only botocore can find its
way with, through botocore.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from smsgate.aws_connections import Endpoint
from smsgate.aws_json import SERVICES, JsonClient
from smsgate.settings import Settings

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

_ORDINARY_REGION = re.compile(r"(us-gov|[a-z]{2})-[a-z]+-[0-9]+")
"""Those of the partitions `aws`, `aws-cn` and `aws-us-gov`; others have host names of their own."""


@cache
def _session() -> Any:
    # botocore, not boto3: what boto3 adds is not used here and costs a third of a cold start.
    from botocore.session import get_session

    return get_session()


@cache
def _client(service: str, read_seconds: int = _READ_SECONDS, attempts: int = _ATTEMPTS) -> Any:
    return _json_client(service, read_seconds, attempts) or _botocore_client(service, read_seconds, attempts)


def _json_client(name: str, read_seconds: int, attempts: int) -> JsonClient | None:
    """None where the service speaks no JSON, or the environment does not say all that a call needs: botocore looks
    further, into profiles and roles, and knows the ways around."""
    settings = Settings()
    credentials, region, service = settings.aws_credentials, settings.region, SERVICES.get(name)
    if not service or not credentials or not region or not _ORDINARY_REGION.fullmatch(region) or settings.aws_detours:
        return None
    suffix = ".cn" if region.startswith("cn-") else ""
    url = settings.aws_endpoint(service.setting) or f"https://{name}.{region}.amazonaws.com{suffix}"
    if not url.startswith("http://") and (not url.startswith("https://") or settings.has_proxy):
        return None
    endpoint = Endpoint(
        url,
        connect_seconds=_CONNECT_SECONDS,
        read_seconds=read_seconds,
        most_kept=_CONNECTIONS,
        ca_file=settings.aws_ca_bundle,
    )
    return JsonClient(service, endpoint, region, credentials, attempts)


def _botocore_client(service: str, read_seconds: int, attempts: int) -> Any:
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
