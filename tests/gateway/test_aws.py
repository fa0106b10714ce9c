"""Which client a service gets: ours where the environment says all that is needed, botocore's everywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smsgate import aws
from smsgate.aws_connections import NoAnswer
from smsgate.aws_json import JsonClient
from tests.transports.raw_server import Conversation, RawServer, answer

LAMBDA = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "canary-key",
    "AWS_SESSION_TOKEN": "canary-token",
    "AWS_REGION": "ap-northeast-1",
    "AWS_DEFAULT_REGION": "ap-northeast-1",
}
OURS = {
    "dynamodb": aws.dynamodb,
    "events": aws.events,
    "secretsmanager": aws.secretsmanager,
    "sqs": aws.sqs,
    "ssm": aws.ssm,
}
BOTOCORES = {"s3": aws.s3, "ses": aws.ses, "sns": aws.sns}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Lambda's, and what a test adds to it; without whatever the machine at hand has."""

    def with_these(**more: str) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_") or name.lower() == "https_proxy"]:
            monkeypatch.delenv(name)
        for name, value in {**LAMBDA, "AWS_EC2_METADATA_DISABLED": "true", **more}.items():
            if value:
                monkeypatch.setenv(name, value)
        aws._client.cache_clear()
        aws._session.cache_clear()

    with_these()
    yield with_these
    aws._client.cache_clear()
    aws._session.cache_clear()


Environment = Callable[..., None]


@pytest.mark.parametrize("service", OURS)
def test_what_speaks_json_gets_a_client_of_ours(service: str) -> None:
    client: Any = OURS[service]()

    assert isinstance(client, JsonClient)
    assert client._endpoint.host == f"{service}.ap-northeast-1.amazonaws.com"
    assert client._endpoint._is_secure


@pytest.mark.parametrize("service", BOTOCORES)
def test_the_rest_gets_botocores(service: str) -> None:
    assert BOTOCORES[service]().meta.service_model.service_name == service


@pytest.mark.parametrize("service", OURS)
def test_a_client_is_where_botocores_would_be(service: str, environment: Environment) -> None:
    found = []
    for region in ("ap-northeast-1", "us-gov-west-1", "cn-north-1"):
        environment(AWS_REGION=region, AWS_DEFAULT_REGION=region)
        client: Any = OURS[service]()
        found.append((f"https://{client._endpoint.host}", aws._botocore_client(service, 2, 3).meta.endpoint_url))

    assert [ours for ours, _ in found] == [theirs for _, theirs in found]


@pytest.mark.parametrize("service", OURS)
def test_a_client_is_where_its_variable_says_as_botocores_is(service: str, environment: Environment) -> None:
    names = {
        "dynamodb": "DYNAMODB",
        "events": "EVENTBRIDGE",
        "secretsmanager": "SECRETS_MANAGER",
        "sqs": "SQS",
        "ssm": "SSM",
    }
    environment(AWS_ENDPOINT_URL="http://localhost:1", **{f"AWS_ENDPOINT_URL_{names[service]}": "http://localhost:2"})

    client: Any = OURS[service]()

    assert client._endpoint.host == "localhost:2"
    assert aws._botocore_client(service, 2, 3).meta.endpoint_url == "http://localhost:2"


def test_a_client_is_made_once() -> None:
    assert aws.dynamodb() is aws.dynamodb()


@pytest.mark.parametrize(
    "more",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_REGION": "us-iso-east-1", "AWS_DEFAULT_REGION": "us-iso-east-1"},
        {"AWS_REGION": "eusc-de-east-1", "AWS_DEFAULT_REGION": "eusc-de-east-1"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        {"HTTPS_PROXY": "http://proxy.example:3128"},
        {"https_proxy": "http://proxy.example:3128"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_where_more_than_lambdas_own_variables_is_asked_for_botocore_finds_the_way(
    environment: Environment, more: dict[str, str]
) -> None:
    environment(**more)

    assert aws.dynamodb().meta.service_model.service_name == "dynamodb"


def test_a_profile_is_botocores_to_read(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile mine]\nregion = eu-west-1\n")
    environment(AWS_PROFILE="mine", AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_REGION="", AWS_DEFAULT_REGION="")

    assert aws.dynamodb().meta.region_name == "eu-west-1"


def test_a_proxy_for_https_is_no_matter_where_none_is_spoken(environment: Environment) -> None:
    environment(AWS_ENDPOINT_URL="http://localhost:1", HTTPS_PROXY="http://proxy.example:3128")

    assert isinstance(aws.dynamodb(), JsonClient)


def test_a_bundle_of_certificates_is_believed(environment: Environment) -> None:
    environment(AWS_CA_BUNDLE="ca.pem")

    client: Any = aws.dynamodb()

    assert client._endpoint._ca_file == "ca.pem"


def test_three_attempts_are_made_and_each_is_given_up_after_two_seconds(environment: Environment) -> None:
    server = RawServer(Conversation.stay_silent)
    environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.port}")
    client: Any = aws.dynamodb()

    limits = (client._attempts, client._endpoint._connect_seconds, client._endpoint._read_seconds)
    client._endpoint._read_seconds = 0.1
    with pytest.raises(NoAnswer):
        client.get_item(TableName="t", Key={})

    server.close()
    assert limits == (3, 1, 2)
    assert server.accepted == 3


def test_a_call_reaches_the_endpoint(environment: Environment) -> None:
    def one_item(talk: Conversation) -> None:
        for _ in talk.requests():
            talk.say(answer(b'{"Item": {"pk": {"S": "a"}}}'))

    server = RawServer(one_item)
    environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.port}")

    client: Any = aws.dynamodb()

    found = client.get_item(TableName="t", Key={"pk": {"S": "a"}})

    client._endpoint.close()
    server.close()
    assert found["Item"] == {"pk": {"S": "a"}}


def test_making_our_clients_loads_nothing_of_botocore() -> None:
    program = (
        "import sys; from smsgate import aws\n"
        f"for name in {sorted(OURS)}: getattr(aws, name)()\n"
        "print(*sorted(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**LAMBDA, "PYTHONPATH": str(Path(aws.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert not {"boto3", "botocore", "urllib3", "http.client", "ssl"} & set(done.stdout.split())
