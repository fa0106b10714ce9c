"""A client for the AWS services that speak JSON: signs a request, sends it, tries again as botocore would.

botocore builds each call from the service's model, through events and checks that nothing here needs: several times the
CPU of the call itself, and most of a cold start. Methods, answers and errors are botocore's, so that its stubs describe
this client too: `client.get_item(...)`, `client.exceptions.ConditionalCheckFailedException`. Parameters are checked by
the service alone.
"""

from __future__ import annotations

import json
import random
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import Any
from zlib import crc32

from smsgate.aws_connections import Endpoint, HttpAnswer, NoAnswer
from smsgate.clock import utc_now
from smsgate.sigv4 import Credentials, Signer, amz_date

Json = dict[str, Any]

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_TRANSIENT = frozenset({"ReplicatedWriteConflictException", "RequestTimeout", "RequestTimeoutException"})
_TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})
"""What botocore's "standard" mode tries again: it keeps these lists in `retries/standard.py`, and the one error that a
service's model calls retryable."""

_THROTTLED_PAUSE = 1.0
_TRANSIENT_PAUSE = 0.05
_LONGEST_PAUSE = 20.0
"""Seconds before the first repetition at most, doubled with each: AWS's retry behaviour of 2026. What broke by chance
works at once, what is too much needs time."""


class ClientError(Exception):
    """The service said no. `response` holds what it said; its message may quote a value, so the text is the code."""

    def __init__(self, response: Json, operation_name: str) -> None:
        super().__init__(f"{operation_name}: {response['Error']['Code']}")
        self.response = response
        self.operation_name = operation_name


class Errors:
    """`client.exceptions`: one class for each code, made when it is first named or told."""

    def __init__(self) -> None:
        vars(self)["ClientError"] = ClientError

    def __getattr__(self, code: str) -> type[ClientError]:
        if code.startswith("_"):
            raise AttributeError(code)
        made = type(code, (ClientError,), {"__module__": __name__})
        kept: type[ClientError] = vars(self).setdefault(code, made)  # Another thread may have been faster.
        return kept

    def of(self, code: str) -> type[ClientError]:
        return getattr(self, code) if code.isidentifier() else ClientError


def _with_bytes(read: Json) -> Json:
    """DynamoDB's binary values. An attribute may be called `B` as well: then an object stands there, and no string."""
    if type(read.get("B")) is str:
        return {"B": b64decode(read["B"])}
    if type(read.get("BS")) is list:
        return {"BS": [b64decode(each) for each in read["BS"]]}
    return read


_DATES = frozenset({"CreatedDate", "DeletedDate", "LastAccessedDate", "LastChangedDate", "LastModifiedDate"})


def _with_dates(read: Json) -> Json:
    """Seconds since 1970, in the protocol's JSON."""
    for name in _DATES & read.keys():
        if isinstance(read[name], int | float):
            read[name] = datetime.fromtimestamp(read[name], UTC)
    return read


@dataclass(frozen=True, slots=True)
class Hook:
    """What is done to each object of an answer that holds one of the words: most hold none, and are read faster."""

    function: Callable[[Json], Json]
    words: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """What a JSON service's model in botocore says of it: metadata, and the operations that are used here."""

    name: str  # in its host name, and in the scope of a signature
    setting: str  # in the name of the variable with its endpoint
    target: str
    version: str
    operations: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    hook: Hook | None = None


SERVICES = {
    service.name: service
    for service in (
        Service(
            name="dynamodb",
            setting="DYNAMODB",
            target="DynamoDB_20120810",
            version="1.0",
            operations=("batch_get_item", "delete_item", "get_item", "put_item", "query", "update_item"),
            hook=Hook(_with_bytes, (b'"B"', b'"BS"')),
        ),
        Service(
            name="events",
            setting="EVENTBRIDGE",
            target="AWSEvents",
            version="1.1",
            operations=("put_events",),
        ),
        Service(
            name="secretsmanager",
            setting="SECRETS_MANAGER",
            target="secretsmanager",
            version="1.1",
            operations=("describe_secret", "get_secret_value"),
            hook=Hook(_with_dates, (b'Date"',)),
        ),
        Service(
            name="sqs",
            setting="SQS",
            target="AmazonSQS",
            version="1.0",
            operations=("send_message", "send_message_batch"),
            headers={"x-amzn-query-mode": "true"},  # Its errors are named as before it spoke JSON, too.
        ),
        Service(
            name="ssm",
            setting="SSM",
            target="AmazonSSM",
            version="1.1",
            operations=("get_parameter",),
            hook=Hook(_with_dates, (b'Date"',)),
        ),
    )
}


class Quota:
    """How much trouble is met with repetitions: when most calls fail, repeating them all makes it worse."""

    _FULL = 500
    _REPETITION = 5
    _REPETITION_AFTER_TIMEOUT = 10

    def __init__(self) -> None:
        self._left = self._FULL
        self._lock = threading.Lock()

    def take(self, *, after_timeout: bool) -> int:
        """What a repetition costs; nothing where it cannot be afforded."""
        cost = self._REPETITION_AFTER_TIMEOUT if after_timeout else self._REPETITION
        with self._lock:
            if cost > self._left:
                return 0
            self._left -= cost
        return cost

    def give_back(self, amount: int) -> None:
        """After a success: what its repetition cost, or a little where there was none."""
        if self._left < self._FULL:  # Unlocked: nearly always nothing is to be done.
            with self._lock:
                self._left = min(self._left + (amount or 1), self._FULL)


class JsonClient:
    """Any number of threads may share it."""

    def __init__(
        self,
        service: Service,
        endpoint: Endpoint,
        region: str,
        credentials: Credentials,
        attempts: int,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.exceptions = Errors()
        self._service = service
        self._endpoint = endpoint
        self._attempts = attempts
        self._pause = pause
        self._signer = Signer(credentials, region, service.name)
        self._quota = Quota()
        token = credentials.session_token
        # botocore sends X-Amzn-Trace-Id as well, by which Lambda ends what looks like a loop after some sixteen rounds
        # ("Use Lambda recursive loop detection"): a campaign that is continued more often would end there.
        self._headers = {
            "content-type": f"application/x-amz-json-{service.version}",
            "host": endpoint.host,
            **service.headers,
            **({"x-amz-security-token": token} if token else {}),
        }
        for method in service.operations:
            setattr(self, method, partial(self._call, "".join(word.capitalize() for word in method.split("_"))))

    def _call(self, operation: str, /, **parameters: Any) -> Json:
        body = _ENCODER.encode(parameters).encode("ascii")
        paid = 0
        for attempt in count(1):
            try:
                answer = self._once(operation, body, attempt)
            except (NoAnswer, ClientError) as error:
                longest = _longest_pause(error)
                if longest is None or attempt == self._attempts:
                    raise
                paid = self._quota.take(after_timeout=isinstance(error, NoAnswer) and error.is_timeout)
                if not paid:
                    raise
                self._pause(random.random() * min(longest * 2 ** (attempt - 1), _LONGEST_PAUSE))  # noqa: S311  no secret
            else:
                self._quota.give_back(paid)
                return answer
        raise AssertionError("counting does not end")

    def _once(self, operation: str, body: bytes, attempt: int) -> Json:
        answer = self._endpoint.exchange(self._request(operation, body))
        told_crc = answer.headers.get("x-amz-crc32")
        if told_crc is not None and self._service.name == "dynamodb" and told_crc != str(crc32(answer.body)):
            raise NoAnswer(f"{self._endpoint.host}: the answer is not what its checksum says")
        is_error = answer.status >= HTTPStatus.MULTIPLE_CHOICES
        read = _error_from(answer, self._service.hook) if is_error else self._read(answer.body)
        metadata: Json = {
            "HTTPStatusCode": answer.status,
            "HTTPHeaders": answer.headers,
            "RetryAttempts": attempt - 1,
        }
        if "x-amzn-requestid" in answer.headers:
            metadata["RequestId"] = answer.headers["x-amzn-requestid"]
        read["ResponseMetadata"] = metadata
        if is_error:
            error = read["Error"]
            raise self.exceptions.of(error.get("QueryErrorCode") or error["Code"])(read, operation)
        return read

    def _request(self, operation: str, body: bytes) -> bytes:
        headers = {
            **self._headers,
            "x-amz-date": amz_date(utc_now()),
            "x-amz-target": f"{self._service.target}.{operation}",
        }
        path = self._endpoint.path
        headers["authorization"] = self._signer.authorization("POST", path, headers, body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}{_UNSIGNED}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body

    def _read(self, body: bytes) -> Json:
        try:
            return _parsed(body, self._service.hook)
        except ValueError:
            raise NoAnswer(f"{self._endpoint.host}: the answer is not JSON") from None


_UNSIGNED = "accept-encoding: identity\r\nuser-agent: smsgate\r\n"


def _encoded(value: object) -> str:
    """What JSON has no form for: binary values."""
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} has no form in a request")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_encoded, check_circular=False, allow_nan=False)


def _parsed(body: bytes, hook: Hook | None) -> Json:
    if not body:
        return {}
    function = hook.function if hook and any(word in body for word in hook.words) else None
    read = json.loads(body.decode(), object_hook=function)
    if not isinstance(read, dict):
        raise ValueError("not an object")
    return read


def _error_from(answer: HttpAnswer, hook: Hook | None) -> Json:
    """What a service says is wrong, in the form that botocore gives it."""
    start = answer.body.lstrip()
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and (not start or start.startswith(b"<html>")):
        return {"Error": {"Code": str(answer.status), "Message": _phrase(answer.status)}}  # from something before it
    try:
        read = _parsed(answer.body, hook)
    except ValueError:
        read = {"message": answer.body.decode(errors="replace")}
    message = read.get("message", read.get("Message", ""))
    code = str(read.pop("__type", answer.status)).partition(":")[0].rpartition("#")[2]
    error = {"Code": code, "Message": message}
    older, semicolon, fault = answer.headers.get("x-amzn-query-error", "").partition(";")
    if older and semicolon:
        error |= {"Code": older, "QueryErrorCode": code, "Type": fault}
    return {**read, "Error": error}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _longest_pause(error: NoAnswer | ClientError) -> float | None:
    """Seconds before the first repetition; None where there is nothing to be repeated."""
    if isinstance(error, NoAnswer):
        return _TRANSIENT_PAUSE
    code = error.response["Error"]["Code"]
    if code in _THROTTLED:
        return _THROTTLED_PAUSE
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return _TRANSIENT_PAUSE if code in _TRANSIENT or status in _TRANSIENT_STATUSES else None
