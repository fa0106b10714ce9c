"""The whole gateway behind its own handlers, with the five providers; what it reaches is in the test's hands.

Only AWS's clients, the wires and the clock are replaced. One gateway serves thousands of cases: after each of them the
table is as it was before.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from local.dynamodb.table import MemoryTable
from smsgate import aws, telemetry
from smsgate.attributes import from_wire
from smsgate.ledger import Ledger
from smsgate.messages import Message
from smsgate.wiring import Wiring
from tests.architecture.handlers import load_handler
from tests.faults.bad_inputs.vendors import KEYS, REFERENCES, Vendors
from tests.gateway.house import Queues
from tests.world.messages_table import TABLE, messages_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FUNCTIONS = Path(__file__).parents[3] / "functions"

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # noon in Taipei
GOOD_NUMBER = "+886987654321"
GOOD_TEXT = "a good one"
GOOD: Mapping[str, Any] = {"id": "the-good-one", "to": GOOD_NUMBER, "text": GOOD_TEXT, "providers": ["twsms"]}

TOKEN, TOKEN_BEFORE = "capability-t0ken-of-now-000001", "capability-t0ken-before-000001"
SENT_TO = "+886928111222"  # whoever was sent a message before any case begins
SECRETS: Mapping[str, object] = {
    "callbacks": {"tokens": [TOKEN, TOKEN_BEFORE], "public_url": "https://sms.example.org"},
    **{
        f"providers/{key}": {"username": f"{key}-username", "password": f"planted-{key}-pw"}
        for key in KEYS
        if key != "meteorsis"
    },
    "providers/meteorsis": {
        "username": "meteorsis-username",
        "password": "planted-meteorsis-pw",
        "mail_from": "gateway@sms.example",
        "sender": "Gateway",
    },
}

CANARY = "Canary"
"""Stands in every text a case sends, and in no sentence of ours."""
CANARY_NUMBERS = ("912345678", "928111222", "987654321", "922333444")
"""The digits of every number a case names, without country code or leading zero."""

ENVIRONMENT = {
    "MESSAGES_TABLE": TABLE,
    "SEND_QUEUE_URL": "https://sqs/urgent",
    "BULK_QUEUE_URL": "https://sqs/bulk",
    "EVENT_BUS": "bus",
    "ALERT_TOPIC": "arn:aws:sns:ap-northeast-1:123456789012:alerts",
    "SECRET_PREFIX": "gateway",
    "MAIL_BUCKET": "mails",
    "ENABLED_PROVIDERS": ",".join(KEYS),
    "LOG_LEVEL": "DEBUG",
}


class Context:
    aws_request_id = "5fea7756-0ea4-451a-a703-a558b933e274"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class Vault:
    """Secrets Manager."""

    stored: dict[str, str] = field(default_factory=dict)

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        name = SecretId.removeprefix("gateway/")
        if name not in self.stored:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
        return {"SecretString": self.stored[name], "VersionId": f"v{hash(self.stored[name])}"}

    def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
        return {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}, "CreatedDate": NOW - timedelta(days=30)}


@dataclass
class Bucket:
    """S3, with the mails SES has put there."""

    mails: dict[str, bytes] = field(default_factory=dict)

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"Body": io.BytesIO(self.mails[Key])}


@dataclass
class Told:
    """What one invocation wrote where Lambda reads lines."""

    lines: list[str] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for line in self.lines:
            told = json.loads(line)
            for directive in told.get("_aws", {}).get("CloudWatchMetrics", []):
                for metric in directive["Metrics"]:
                    value = told[metric["Name"]]
                    found[metric["Name"]] = found.get(metric["Name"], 0) + (
                        len(value) if isinstance(value, list) else value
                    )
        return found

    @property
    def messages(self) -> list[str]:
        return [told["message"] for line in self.lines if "message" in (told := json.loads(line))]


class ParameterNotFound(Exception):
    """As the client of Parameter Store calls it."""


@dataclass
class Parameters:
    """Parameter Store, with every version of the routing document."""

    versions: list[str] = field(default_factory=list)
    exceptions: ClassVar = SimpleNamespace(
        ParameterNotFound=ParameterNotFound, ParameterVersionNotFound=type("NoVersion", (Exception,), {})
    )

    def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803
        name, _, version = Name.partition(":")
        number = int(version or len(self.versions))
        if name != "/gateway/routing" or not 0 < number <= len(self.versions):
            raise ParameterNotFound
        return {"Parameter": {"Value": self.versions[number - 1], "Version": number, "Type": "String"}}


Key = tuple[str, str]


class Table:
    """What lies in the table, and how it lay before."""

    def __init__(self, client: MemoryTable) -> None:
        self.client = client
        self._before: dict[Key, dict[str, Any]] = {}

    def items(self) -> dict[Key, dict[str, Any]]:
        return {(item["pk"]["S"], item["sk"]["S"]): dict(item) for item in self.client.items()}

    def remember(self) -> None:
        self._before = self.items()

    def restore(self) -> None:
        now = self.items()
        for pk, sk in now.keys() - self._before.keys():
            self.client.delete_item(TableName=TABLE, Key={"pk": {"S": pk}, "sk": {"S": sk}})
        for key, item in self._before.items():
            if now.get(key) != item:
                self.client.put_item(TableName=TABLE, Item=item)

    def added(self) -> dict[Key, dict[str, Any]]:
        """As plain values, what is there now and was not before."""
        return {key: from_wire(item) for key, item in self.items().items() if key not in self._before}

    def changed(self) -> dict[Key, dict[str, Any]]:
        """As plain values, what was there before and is something else now."""
        now = self.items()
        return {
            key: from_wire(now.get(key, {"gone": {"BOOL": True}}))
            for key, item in self._before.items()
            if now.get(key) != item
        }


@dataclass
class Gateway:
    secrets: Mapping[str, object] = field(default_factory=lambda: SECRETS)
    vendors: Vendors = field(default_factory=Vendors)
    bucket: Bucket = field(default_factory=Bucket)
    parameters: Parameters = field(default_factory=Parameters)
    queues: Queues = field(default_factory=Queues)
    told: Told = field(default_factory=Told)
    client: MemoryTable = field(default_factory=lambda: messages_table(clock=lambda: NOW))

    def __post_init__(self) -> None:
        self.table = Table(self.client)
        self.vault = Vault()
        for name, secret in self.secrets.items():
            self.vault.stored[name] = secret if isinstance(secret, str) else json.dumps(secret)
        self._handlers: dict[str, ModuleType] = {}

    def reset(self) -> None:
        self.table.restore()
        self.vendors.calls.clear()
        self.vendors.carried.clear()
        self.bucket.mails.clear()
        for woken in self.queues.woken.values():
            woken.clear()
        self.queues.calls.clear()
        self.told.lines.clear()

    @property
    def ledger(self) -> Ledger:
        return Ledger(cast("DynamoDBClient", self.client), TABLE, timedelta(days=90))

    # The handlers, as Lambda runs them

    def run(self, function: str, event: Mapping[str, Any]) -> Any:
        """What the function answers; whatever it raises, the test sees."""
        with self._in_place():
            return self._handler(function).handler(event, Context())

    def _handler(self, function: str) -> ModuleType:
        if function not in self._handlers:
            module = load_handler(FUNCTIONS / function / "app.py")
            if hasattr(module, "open_exchange"):
                module.open_exchange = lambda *_: self.vendors  # type: ignore[attr-defined]
            self._handlers[function] = module
        return self._handlers[function]

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            for service, client in {
                "dynamodb": self.client,
                "sqs": self.queues,
                "secretsmanager": self.vault,
                "s3": self.bucket,
                "ssm": self.parameters,
            }.items():
                patch.setattr(aws, service, lambda client=client: client)
            patch.setattr(Wiring, "clock", staticmethod(lambda: NOW))
            patch.setattr(telemetry, "_write", self.told.lines.append)
            yield

    # Its entrances

    def queue(self, *records: Mapping[str, Any]) -> list[str]:
        """The ids of the records that must come again."""
        answer = self.run("sender", {"Records": list(records)})
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def ask(self, route: str, **event: Any) -> tuple[int, dict[str, Any]]:
        answer = self.run("api", {"version": "2.0", "routeKey": route, "isBase64Encoded": False, **event})
        return answer["statusCode"], json.loads(answer["body"])

    def call(self, kind: str, event: Mapping[str, Any]) -> tuple[int, str]:
        answer = self.run(kind, event)
        assert set(answer) == {"statusCode", "headers", "body"}
        return answer["statusCode"], answer["body"]

    def messages(self, request_id: str) -> list[Message]:
        return sorted(self.ledger.of_request(request_id), key=lambda message: message.message_id)


def record(body: str, name: str = "bad", **attributes: Any) -> dict[str, Any]:
    return {
        "messageId": name,
        "receiptHandle": "x",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(NOW.timestamp() * 1000))},
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:ap-northeast-1:123456789012:urgent",
    }


def wake_up(body: str, name: str = "bad") -> dict[str, Any]:
    return record(body, name, smsgate={"stringValue": "wake", "dataType": "String"})


def envelope(said: str, **fields: object) -> str:
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:ap-northeast-1:123456789012:send",
            "Message": said,
            "Timestamp": "2026-11-21T04:00:00.000Z",
            "SignatureVersion": "1",
            **fields,
        }
    )


def encoded(body: bytes) -> dict[str, Any]:
    """A body as API Gateway hands over what is no text."""
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def callback_event(
    provider: str,
    token: str,
    *,
    path: str = "",
    query: str = "",
    body: bytes | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """As API Gateway tells of a call, payload format 2.0."""
    parameters = {"provider": provider, "token": token} | ({"proxy": path} if path else {})
    return {
        "version": "2.0",
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.24"}},
        "pathParameters": parameters,
        "isBase64Encoded": False,
        **(encoded(body) if body is not None else {}),
    }


# What lies in the ledger before any case begins: a message that each of the five vendors has, and one more that waits
# for its answer by mail.


@cache
def _mail_event() -> str:
    return (FUNCTIONS.parent / "events" / "mailbox-meteorsis.json").read_text(encoding="utf-8")


def mail_event(mail_id: str = "mail-1") -> dict[str, Any]:
    event: dict[str, Any] = json.loads(_mail_event())
    event["Records"][0]["ses"]["mail"]["messageId"] = mail_id
    return event


def answer_by_mail(subject: str, text: str) -> bytes:
    return f"From: sendsms@meteorsis.com\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()


@dataclass(frozen=True)
class Known:
    """What the vendors were given, as their callbacks speak of it."""

    message_ids: Mapping[str, str]  # by provider
    tokens: Mapping[str, tuple[str, str]]  # by `receipts/smsgo`: the token in that URL, and what stands behind it
    awaited: str  # the subject of the mail that has no answer yet
    awaited_id: str


def furnish(gateway: Gateway) -> Known:
    """Have a message sent by each vendor, all through the handlers, and remember how the table lies then."""
    tokens = {f"{kind}/{key}": (TOKEN, "") for kind in ("receipts", "replies") for key in KEYS}
    for key in KEYS:
        request = {"id": f"before-{key}", "to": SENT_TO, "text": f"{CANARY} before", "providers": [key]}
        assert gateway.queue(record(json.dumps(request | ({"replies": True} if key == "smsgo" else {})))) == []
        fields = dict(getattr(gateway.vendors.calls[-1], "fields", ()))
        for kind, name in (("receipts", "drurl"), ("receipts", "response"), ("replies", "replyurl")):
            if name in fields:
                _, _, _, token, path = urlsplit(fields[name]).path.split("/")
                tokens[f"{kind}/{key}"] = token, path
    (subject,) = (call.subject for call in gateway.vendors.calls if hasattr(call, "subject"))
    gateway.bucket.mails["mails/mail-1"] = answer_by_mail(subject, f"SMSDID:{REFERENCES['meteorsis']}")
    gateway.run("mailbox", mail_event())
    request = {"id": "before-mail", "to": SENT_TO, "text": f"{CANARY} before", "providers": ["meteorsis"]}
    assert gateway.queue(record(json.dumps(request))) == []
    awaited = gateway.vendors.calls[-1].subject
    sent = {key: gateway.messages(f"before-{key}")[0] for key in KEYS}
    assert {message.status.value for message in sent.values()} == {"sent"}
    assert {key: message.provider_ref for key, message in sent.items()} == REFERENCES
    (waiting,) = gateway.messages("before-mail")
    gateway.table.remember()
    gateway.reset()
    return Known(
        message_ids={key: message.message_id for key, message in sent.items()},
        tokens=tokens,
        awaited=awaited,
        awaited_id=waiting.message_id,
    )
