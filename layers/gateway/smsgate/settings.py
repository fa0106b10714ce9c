"""The only reader of the environment: what template.yaml tells a function, checked when it is first needed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from smsgate.sigv4 import Credentials

_WHOLE = re.compile(r"[0-9]{1,9}")
_DETOURS = (
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
)


class Settings:
    """Each function is given only the variables it uses, so each is read only when it is asked for."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env

    @property
    def messages_table(self) -> str:
        return self._required("MESSAGES_TABLE")

    @property
    def send_queue_url(self) -> str:
        return self._required("SEND_QUEUE_URL")

    @property
    def bulk_queue_url(self) -> str:
        return self._required("BULK_QUEUE_URL")

    @property
    def event_bus(self) -> str:
        return self._required("EVENT_BUS")

    @property
    def alert_topic(self) -> str:
        return self._required("ALERT_TOPIC")

    @property
    def secret_prefix(self) -> str:
        return self._required("SECRET_PREFIX")

    @property
    def mail_bucket(self) -> str:
        return self._required("MAIL_BUCKET")

    @property
    def enabled_providers(self) -> tuple[str, ...]:
        keys = _words(self._required("ENABLED_PROVIDERS"))
        if not keys or len(set(keys)) < len(keys):
            raise ValueError("ENABLED_PROVIDERS must name at least one provider, and each once")
        return keys

    @property
    def allowed_countries(self) -> frozenset[str]:
        return frozenset(word.upper() for word in _words(self._env.get("ALLOWED_COUNTRIES") or "TW,HK"))

    @property
    def low_credit(self) -> dict[str, Decimal]:
        try:
            thresholds = json.loads(self._env.get("LOW_CREDIT") or "{}", parse_float=Decimal, parse_int=Decimal)
        except ValueError:
            thresholds = None
        if not isinstance(thresholds, dict) or not all(isinstance(each, Decimal) for each in thresholds.values()):
            raise ValueError('LOW_CREDIT must be a JSON object of provider to points, like {"a-provider": 500}')
        return thresholds

    @property
    def check_schedule(self) -> tuple[timedelta, ...]:
        words = _words(self._env.get("CHECK_SCHEDULE") or "60,300,1800,7200,28800,86400")
        if not words or not all(_WHOLE.fullmatch(word) and int(word) for word in words):
            raise ValueError("CHECK_SCHEDULE must be a comma list of seconds, each a whole number above zero")
        return tuple(timedelta(seconds=int(word)) for word in words)

    @property
    def watch(self) -> timedelta:
        return timedelta(hours=self._number("WATCH_HOURS", 72, least=1))

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self._number("RETENTION_DAYS", 90, least=1))

    @property
    def provider_deadline(self) -> timedelta:
        return timedelta(seconds=self._number("PROVIDER_DEADLINE", 10, least=1))

    @property
    def max_parts(self) -> int | None:
        """None: no limit of ours."""
        return self._number("MAX_PARTS", 0, least=0) or None

    @property
    def daily_points(self) -> Decimal | None:
        """None: no limit."""
        return Decimal(self._number("DAILY_POINTS", 0, least=0)) or None

    @property
    def service(self) -> str:
        """Whose log lines and metrics they are."""
        return self._env.get("SERVICE_NAME") or "smsgate"

    @property
    def metrics_namespace(self) -> str:
        return self._env.get("METRICS_NAMESPACE") or "smsgate"

    @property
    def log_level(self) -> str:
        return (self._env.get("LOG_LEVEL") or "INFO").upper()

    @property
    def region(self) -> str | None:
        return self._env.get("AWS_REGION") or self._env.get("AWS_DEFAULT_REGION")

    @property
    def aws_credentials(self) -> Credentials | None:
        """As Lambda gives them. None where they are not in the environment: a developer has a profile."""
        key, secret = self._env.get("AWS_ACCESS_KEY_ID"), self._env.get("AWS_SECRET_ACCESS_KEY")
        return Credentials(key, secret, self._env.get("AWS_SESSION_TOKEN") or None) if key and secret else None

    def aws_endpoint(self, service: str) -> str | None:
        """Where a service is, if not where AWS has it."""
        return self._env.get(f"AWS_ENDPOINT_URL_{service}") or self._env.get("AWS_ENDPOINT_URL") or None

    @property
    def aws_ca_bundle(self) -> str | None:
        return self._env.get("AWS_CA_BUNDLE") or None

    @property
    def aws_detours(self) -> bool:
        """Whether AWS's own variables ask for what botocore alone knows how to do."""
        return any(self._env.get(name) for name in _DETOURS)

    @property
    def has_proxy(self) -> bool:
        return any(self._env.get(name) for name in ("HTTPS_PROXY", "https_proxy"))

    def _required(self, name: str) -> str:
        value = self._env.get(name, "")
        if not value:
            raise KeyError(
                f"the environment variable {name} is not set; template.yaml sets it for functions that use it"
            )
        return value

    def _number(self, name: str, default: int, least: int) -> int:
        value = self._env.get(name) or str(default)
        if not _WHOLE.fullmatch(value) or int(value) < least:
            raise ValueError(f"{name} must be a whole number of at least {least}")
        return int(value)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())
