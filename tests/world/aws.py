"""The AWS services a function calls, in this process: each call takes its time, and may fail at each of its two steps.

`Services` gives the clients that `smsgate.aws` would make. What lies behind them - the table, the queues, the bus - is
the world's, and can be looked at without a step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any, NoReturn, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError

from local.dynamodb.errors import ConditionalCheckFailedException, ResourceNotFoundException
from local.dynamodb.table import MemoryTable
from smsgate.aws_connections import NoAnswer
from smsgate.aws_json import SERVICES
from tests.world.faults import Fault, Kill, Lost, Moment, Refuses, Slow, Throttled, Unavailable
from tests.world.queues import Queue

Answer = TypeVar("Answer")

_THROTTLED = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "sqs": ("RequestThrottled", 403),
    "events": ("ThrottlingException", 400),
    "sns": ("Throttled", 429),
    "secretsmanager": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "s3": ("SlowDown", 503),
    "ses": ("Throttling", 400),
}
_TAKES = {  # seconds, from and to
    "dynamodb": (0.002, 0.012),
    "sqs": (0.005, 0.03),
    "events": (0.01, 0.06),
    "sns": (0.01, 0.05),
    "secretsmanager": (0.01, 0.04),
    "ssm": (0.01, 0.03),
    "s3": (0.01, 0.06),
    "ses": (0.05, 0.3),
}
_GIVES_UP_AFTER = 6.5
"""Seconds: three tries of two seconds each, and the client's pauses between them (smsgate/aws.py)."""
_THROTTLED_AFTER = 0.4


class Steps(Protocol):
    """Where a call's steps are taken: the world."""

    def step(self, moment: Moment, service: str, operation: str, subject: str) -> Fault | None: ...
    def takes(self, least: float, most: float) -> None: ...
    def sleep(self, seconds: float) -> None: ...
    def die(self) -> NoReturn: ...
    def is_inside(self) -> bool: ...
    def now(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An entry that the bus took."""

    at: float
    detail_type: str
    detail: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Alert:
    at: float
    subject: str
    message: str = field(repr=False)


@dataclass
class StoredSecret:
    text: str = field(repr=False)
    version: int
    changed_at: datetime


class ParameterNotFound(ClientError):
    pass


class ParameterVersionNotFound(ClientError):
    pass


class _Errors:
    ClientError = ClientError
    ConditionalCheckFailedException = ConditionalCheckFailedException
    ParameterNotFound = ParameterNotFound
    ParameterVersionNotFound = ParameterVersionNotFound
    ResourceNotFoundException = ResourceNotFoundException


class Services:
    """Everything behind the clients."""

    def __init__(self, steps: Steps, elapsed: Callable[[], float], table: MemoryTable) -> None:
        self.steps = steps
        self.elapsed = elapsed
        self.table = table
        self.queues: dict[str, Queue] = {}  # by URL
        self.events: list[PublishedEvent] = []
        self.alerts: list[Alert] = []
        self.secrets: dict[str, StoredSecret] = {}
        self.parameters: dict[str, list[str]] = {}  # every version
        self.objects: dict[tuple[str, str], bytes] = {}
        self.mail_sent: Callable[[str, str, bytes], None] = lambda sender, recipient, raw: None
        self._made: dict[str, Any] = {}

    def client(self, service: str, *_: Any, **__: Any) -> Any:
        """In the place of `smsgate.aws._client`."""
        if service not in self._made:
            self._made[service] = _CLIENTS[service](self, service)
        return self._made[service]

    def put_secret(self, name: str, content: Mapping[str, Any]) -> None:
        """A new version of it, as a rotation makes one."""
        version = self.secrets[name].version + 1 if name in self.secrets else 1
        self.secrets[name] = StoredSecret(json.dumps(content), version, self.steps.now())

    def put_parameter(self, name: str, value: str) -> None:
        self.parameters.setdefault(name, []).append(value)


class _Client:
    exceptions = _Errors()

    def __init__(self, services: Services, service: str) -> None:
        self._services = services
        self._service = service

    def _call(
        self,
        operation: str,
        subject: str,
        effect: Callable[[], Answer],
        partly: Callable[[float], Answer] | None = None,
    ) -> Answer:
        """One call as its caller sees it, whatever the client did to get it through."""
        steps = self._services.steps
        if not steps.is_inside():
            return effect()
        least, most = _TAKES[self._service]
        refused = self._before(operation, steps.step("before", self._service, operation, subject))
        steps.takes(least / 2, most / 2)
        answered = self._answered(effect if not refused or partly is None else lambda: partly(refused))
        steps.takes(least / 2, most / 2)
        if self._is_lost(operation, steps.step("after", self._service, operation, subject)):
            return effect()
        return answered()

    @staticmethod
    def _answered(effect: Callable[[], Answer]) -> Callable[[], Answer]:
        """What was said, to be heard later: an error is an answer as well, and as easily lost."""
        try:
            answer = effect()
        except ClientError as error:
            failure = error

            def fail() -> Answer:
                raise failure

            return fail
        return lambda: answer

    def _before(self, operation: str, fault: Fault | None) -> float:
        """What share of a batch is to be refused; or the fault itself."""
        steps = self._services.steps
        match fault:
            case None:
                return 0.0
            case Kill():
                steps.die()
            case Throttled():
                steps.sleep(_THROTTLED_AFTER)
                code, status = _THROTTLED[self._service]
                raise _error(operation, code, status)
            case Unavailable():
                steps.sleep(_GIVES_UP_AFTER)
                raise self._no_answer(EndpointConnectionError)
            case Slow(seconds):
                steps.sleep(seconds)
                return 0.0
            case Refuses(share):
                return share
        raise TypeError(f"{fault} has no meaning before {self._service}.{operation}")

    def _is_lost(self, operation: str, fault: Fault | None) -> bool:
        """True where the client sends it once more."""
        steps = self._services.steps
        match fault:
            case None:
                return False
            case Kill():
                steps.die()
            case Slow(seconds):
                steps.sleep(seconds)
                return False
            case Lost(tried_again=True) if self._service != "ses":
                steps.sleep(2.1)
                return True
            case Lost():
                steps.sleep(_GIVES_UP_AFTER)
                raise self._no_answer(ReadTimeoutError)
        raise TypeError(f"{fault} has no meaning after {self._service}.{operation}")

    def _no_answer(self, of_botocore: type[BotoCoreError]) -> Exception:
        """Which of its clients a service has is `smsgate.aws`'s to say; each tells it in its own way."""
        if self._service in SERVICES:
            return NoAnswer(f"{self._service}.example: timed out", is_timeout=True)
        return of_botocore(endpoint_url=f"https://{self._service}.example")


class _DynamoDb(_Client):
    def get_item(self, **call: Any) -> Any:
        return self._call("get_item", _key(call["Key"]), lambda: self._services.table.get_item(**call))

    def put_item(self, **call: Any) -> Any:
        return self._call("put_item", _key(call["Item"]), lambda: self._services.table.put_item(**call))

    def update_item(self, **call: Any) -> Any:
        return self._call("update_item", _key(call["Key"]), lambda: self._services.table.update_item(**call))

    def delete_item(self, **call: Any) -> Any:
        return self._call("delete_item", _key(call["Key"]), lambda: self._services.table.delete_item(**call))

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Any:  # noqa: N803
        table = self._services.table
        ((name, asked),) = RequestItems.items()

        def partly(share: float) -> Any:
            taken, left = _split(asked["Keys"], share)
            unprocessed = {"UnprocessedKeys": {name: {**asked, "Keys": left}}}
            if not taken:
                return {"Responses": {name: []}, **unprocessed}
            return {**table.batch_get_item(RequestItems={name: {**asked, "Keys": taken}}), **unprocessed}

        def effect() -> Any:
            return table.batch_get_item(RequestItems=RequestItems)

        return self._call("batch_get_item", f"{len(asked['Keys'])} keys", effect, partly)

    def query(self, **call: Any) -> Any:
        subject = call.get("IndexName", "")
        return self._call("query", subject, lambda: self._services.table.query(**call))


class _Sqs(_Client):
    def send_message(self, **call: Any) -> Any:
        def effect() -> Any:
            queue = self._services.queues[call["QueueUrl"]]
            return {"MessageId": queue.send(call["MessageBody"], call.get("MessageAttributes", {}))}

        return self._call("send_message", _name(call["QueueUrl"]), effect)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[dict[str, Any]]) -> Any:  # noqa: N803
        queue = self._services.queues[QueueUrl]

        def send(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
            return [
                {"Id": each["Id"], "MessageId": queue.send(each["MessageBody"], each.get("MessageAttributes", {}))}
                for each in entries
            ]

        def partly(share: float) -> Any:
            taken, refused = _split(Entries, share)
            failed = [{"Id": each["Id"], "SenderFault": False, "Code": "InternalError"} for each in refused]
            return {"Successful": send(taken), "Failed": failed}

        return self._call("send_message_batch", _name(QueueUrl), lambda: {"Successful": send(Entries)}, partly)


class _Events(_Client):
    def put_events(self, *, Entries: Sequence[dict[str, Any]]) -> Any:  # noqa: N803
        services = self._services

        def take(entry: dict[str, Any]) -> dict[str, Any]:
            if len(entry["Detail"].encode()) > 256 * 1024:
                raise _error("put_events", "ValidationException", 400)
            detail = json.loads(entry["Detail"])
            services.events.append(PublishedEvent(services.elapsed(), entry["DetailType"], detail))
            return {"EventId": f"bus-{len(services.events)}"}

        def partly(share: float) -> Any:
            taken, refused = _split(Entries, share)
            answers = {id(entry): take(entry) for entry in taken}
            failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
            return {
                "FailedEntryCount": len(refused),
                "Entries": [answers.get(id(entry), failed) for entry in Entries],
            }

        def effect() -> Any:
            return {"FailedEntryCount": 0, "Entries": [take(entry) for entry in Entries]}

        if not 1 <= len(Entries) <= 10:
            raise _error("put_events", "ValidationException", 400)
        return self._call("put_events", f"{len(Entries)} events", effect, partly)


class _Sns(_Client):
    def publish(self, *, TopicArn: str, Message: str, Subject: str = "") -> Any:  # noqa: N803
        def effect() -> Any:
            self._services.alerts.append(Alert(self._services.elapsed(), Subject, Message))
            return {"MessageId": f"alert-{len(self._services.alerts)}"}

        return self._call("publish", _name(TopicArn), effect)


class _SecretsManager(_Client):
    def get_secret_value(self, *, SecretId: str) -> Any:  # noqa: N803
        def effect() -> Any:
            secret = self._of(SecretId, "GetSecretValue")
            return {"Name": SecretId, "VersionId": _version(secret), "SecretString": secret.text}

        return self._call("get_secret_value", SecretId, effect)

    def describe_secret(self, *, SecretId: str) -> Any:  # noqa: N803
        def effect() -> Any:
            secret = self._of(SecretId, "DescribeSecret")
            return {
                "Name": SecretId,
                "VersionIdsToStages": {
                    _version(secret): ["AWSCURRENT"],
                    **({f"version-{secret.version - 1}": ["AWSPREVIOUS"]} if secret.version > 1 else {}),
                },
                "CreatedDate": secret.changed_at,
                "LastChangedDate": secret.changed_at,
            }

        return self._call("describe_secret", SecretId, effect)

    def _of(self, name: str, operation: str) -> StoredSecret:
        if name not in self._services.secrets:
            raise ResourceNotFoundException(_answer("ResourceNotFoundException", 400), operation)
        return self._services.secrets[name]


class _Ssm(_Client):
    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> Any:  # noqa: N803
        def effect() -> Any:
            name, _, wanted = Name.partition(":")
            versions = self._services.parameters.get(name, [])
            if not versions:
                raise ParameterNotFound(_answer("ParameterNotFound", 400), "GetParameter")
            version = int(wanted or len(versions))
            if not 1 <= version <= len(versions):
                raise ParameterVersionNotFound(_answer("ParameterVersionNotFound", 400), "GetParameter")
            value = versions[version - 1]
            return {"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": version}}

        return self._call("get_parameter", Name, effect)


class _S3(_Client):
    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        def effect() -> Any:
            if (Bucket, Key) not in self._services.objects:
                raise _error("GetObject", "NoSuchKey", 404)
            return {"Body": BytesIO(self._services.objects[Bucket, Key])}

        return self._call("get_object", "mail", effect)


class _Ses(_Client):
    """Tried once by botocore: SES knows no same mail, so a lost answer is not asked for again (smsgate/aws.py)."""

    def send_raw_email(self, *, Source: str, Destinations: list[str], RawMessage: Any) -> Any:  # noqa: N803
        def effect() -> Any:
            for recipient in Destinations:
                self._services.mail_sent(Source, recipient, RawMessage["Data"])
            return {"MessageId": "mail"}

        return self._call("send_raw_email", _name(Source), effect)


_CLIENTS: Mapping[str, type[_Client]] = {
    "dynamodb": _DynamoDb,
    "events": _Events,
    "s3": _S3,
    "secretsmanager": _SecretsManager,
    "ses": _Ses,
    "sns": _Sns,
    "sqs": _Sqs,
    "ssm": _Ssm,
}


def _key(item: Mapping[str, Any]) -> str:
    """What an item is, without whom it concerns."""
    return f"{item['pk']['S']}/{item['sk']['S'] if item['sk']['S'][:1] != '+' else 'number'}"


def _name(address: str) -> str:
    return address.replace(":", "/").rpartition("/")[2]


def _version(secret: StoredSecret) -> str:
    return f"version-{secret.version}"


def _split(entries: Sequence[Any], share: float) -> tuple[list[Any], list[Any]]:
    """The first ones are taken; at least one is not."""
    taken = min(len(entries) - 1, int(len(entries) * (1 - share)))
    return list(entries[:taken]), list(entries[taken:])


def _answer(code: str, status: int) -> Any:
    return {
        "Error": {"Code": code, "Message": "as the world has it"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "world", "RetryAttempts": 2},
    }


def _error(operation: str, code: str, status: int) -> ClientError:
    return ClientError(_answer(code, status), operation)
