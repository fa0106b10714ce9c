"""Settings: what is not said has a default, what makes no sense is named."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from smsgate.settings import Settings
from smsgate.sigv4 import Credentials

DEFAULTS = {
    "allowed_countries": frozenset({"TW", "HK"}),
    "low_credit": {},
    "check_schedule": tuple(timedelta(seconds=s) for s in (60, 300, 1800, 7200, 28800, 86400)),
    "watch": timedelta(hours=72),
    "retention": timedelta(days=90),
    "provider_deadline": timedelta(seconds=10),
    "max_parts": None,
    "daily_points": None,
    "log_level": "INFO",
    "service": "smsgate",
    "metrics_namespace": "smsgate",
    "region": None,
    "aws_ca_bundle": None,
}
VARIABLES = {
    "allowed_countries": "ALLOWED_COUNTRIES",
    "low_credit": "LOW_CREDIT",
    "check_schedule": "CHECK_SCHEDULE",
    "watch": "WATCH_HOURS",
    "retention": "RETENTION_DAYS",
    "provider_deadline": "PROVIDER_DEADLINE",
    "max_parts": "MAX_PARTS",
    "daily_points": "DAILY_POINTS",
    "log_level": "LOG_LEVEL",
    "service": "SERVICE_NAME",
    "metrics_namespace": "METRICS_NAMESPACE",
    "region": "AWS_REGION",
    "aws_ca_bundle": "AWS_CA_BUNDLE",
    "messages_table": "MESSAGES_TABLE",
    "send_queue_url": "SEND_QUEUE_URL",
    "bulk_queue_url": "BULK_QUEUE_URL",
    "event_bus": "EVENT_BUS",
    "alert_topic": "ALERT_TOPIC",
    "secret_prefix": "SECRET_PREFIX",
    "enabled_providers": "ENABLED_PROVIDERS",
    "mail_bucket": "MAIL_BUCKET",
}
OF_SEVERAL_VARIABLES = {"aws_credentials", "aws_detours", "has_proxy"}
REQUIRED = sorted(set(VARIABLES) - set(DEFAULTS))


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_what_is_not_said_or_empty_has_the_default(name: str) -> None:
    assert getattr(Settings({}), name) == DEFAULTS[name]
    assert getattr(Settings({VARIABLES[name]: ""}), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("env", [{}, {"": ""}, "empty"])
def test_what_has_no_default_is_named_where_it_is_missing(name: str, env: dict[str, str] | str) -> None:
    given = {VARIABLES[name]: ""} if isinstance(env, str) else env

    with pytest.raises(KeyError, match=VARIABLES[name]):
        getattr(Settings(given), name)


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("messages_table", "t", "t"),
        ("enabled_providers", "plainline", ("plainline",)),
        ("enabled_providers", " b , a,", ("b", "a")),
        ("allowed_countries", "tw, jp", frozenset({"TW", "JP"})),
        ("low_credit", '{"plainline": 100, "castello": 2.5}', {"plainline": Decimal(100), "castello": Decimal("2.5")}),
        ("check_schedule", "1, 2", (timedelta(seconds=1), timedelta(seconds=2))),
        ("watch", "1", timedelta(hours=1)),
        ("retention", "365", timedelta(days=365)),
        ("provider_deadline", "3", timedelta(seconds=3)),
        ("max_parts", "0", None),
        ("max_parts", "6", 6),
        ("daily_points", "0", None),
        ("daily_points", "5000", Decimal(5000)),
        ("log_level", "debug", "DEBUG"),
        ("region", "ap-northeast-1", "ap-northeast-1"),
        ("aws_ca_bundle", "ca.pem", "ca.pem"),
    ],
)
def test_what_is_said_counts(name: str, said: str, meant: object) -> None:
    assert getattr(Settings({VARIABLES[name]: said}), name) == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("enabled_providers", ","),
        ("enabled_providers", "a,b,a"),
        ("low_credit", "{"),
        ("low_credit", "[]"),
        ("low_credit", "5"),
        ("low_credit", '{"plainline": "many"}'),
        ("low_credit", '{"plainline": "5"}'),
        ("low_credit", '{"plainline": null}'),
        ("low_credit", '{"plainline": true}'),
        ("low_credit", '{"plainline": NaN}'),
        ("low_credit", '{"plainline": [5]}'),
        ("check_schedule", ","),
        ("check_schedule", "60,soon"),
        ("check_schedule", "60,0"),
        ("check_schedule", "60,-5"),
        ("check_schedule", "1.5"),
        ("watch", "0"),
        ("watch", "three"),
        ("watch", "-1"),
        ("retention", "0"),
        ("retention", "1e3"),
        ("provider_deadline", "0"),
        ("provider_deadline", "2.5"),
        ("provider_deadline", "٣"),
        ("max_parts", "-1"),
        ("max_parts", "few"),
        ("daily_points", "-1"),
        ("daily_points", "1.5"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_it_must_be(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{VARIABLES[name]} must (be|name) "):
        getattr(Settings({VARIABLES[name]: said}), name)


KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary-key", "AWS_SESSION_TOKEN": "canary-token"}


def test_credentials_are_those_that_lambda_gives() -> None:
    assert Settings(KEYS).aws_credentials == Credentials("id", "canary-key", "canary-token")
    assert Settings({**KEYS, "AWS_SESSION_TOKEN": ""}).aws_credentials == Credentials("id", "canary-key", None)


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_credentials_is_none(missing: str) -> None:
    assert Settings({**KEYS, missing: ""}).aws_credentials is None


def test_credentials_are_never_shown() -> None:
    assert "canary" not in repr(Settings(KEYS).aws_credentials)


def test_a_service_is_where_its_own_variable_says_then_where_the_common_one_says() -> None:
    both = {"AWS_ENDPOINT_URL": "http://common", "AWS_ENDPOINT_URL_SQS": "http://queues"}

    assert Settings(both).aws_endpoint("SQS") == "http://queues"
    assert Settings(both).aws_endpoint("SSM") == "http://common"
    assert Settings({"AWS_ENDPOINT_URL": ""}).aws_endpoint("SSM") is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("AWS_PROFILE", (True, False)),
        ("AWS_USE_FIPS_ENDPOINT", (True, False)),
        ("AWS_USE_DUALSTACK_ENDPOINT", (True, False)),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", (True, False)),
        ("HTTPS_PROXY", (False, True)),
        ("https_proxy", (False, True)),
        ("AWS_REGION", (False, False)),
    ],
)
def test_what_only_botocore_can_find_its_way_with_is_known(name: str, told: tuple[bool, bool]) -> None:
    settings = Settings({name: "true"})

    assert (settings.aws_detours, settings.has_proxy) == told


def test_the_environment_is_read_when_it_is_asked_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()

    monkeypatch.setenv("MESSAGES_TABLE", "said later")

    assert settings.messages_table == "said later"


def test_each_setting_has_a_test_here() -> None:
    properties = {name for name, value in vars(Settings).items() if isinstance(value, property)}

    assert properties == set(VARIABLES) | OF_SEVERAL_VARIABLES
