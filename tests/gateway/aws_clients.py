"""Our client of AWS and botocore's, each before a server that says what a test wants, and calls to compare them by."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.retries import standard
from botocore.session import get_session

from smsgate.attributes import to_wire
from smsgate.aws_connections import Endpoint
from smsgate.aws_json import SERVICES, JsonClient
from smsgate.sigv4 import Credentials
from tests.transports.raw_server import Conversation, RawServer, answer

Serve = Callable[..., RawServer]

CREDENTIALS = Credentials("AKIDEXAMPLE", "canary-key", "canary-token")
REGION = "ap-northeast-1"
AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{{8}}/{REGION}/[a-z]+/aws4_request, SignedHeaders=\S+, "
    r"Signature=[0-9a-f]{64}"
)
KEY = to_wire({"pk": "a", "sk": "m#1"})
ITEM = {"text": "canary 您好 \U0001f600", "parts": 2, "raw": b"\x00\xff", "deep": {"B": [b"\x01", {"S": b"\x02"}]}}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "get_item", {"TableName": "t", "Key": KEY, "ConsistentRead": True}),
    (
        "dynamodb",
        "put_item",
        {
            "TableName": "t",
            "Item": to_wire(ITEM),
            "ConditionExpression": "version = :seen",
            "ExpressionAttributeValues": to_wire({":seen": 1, ":raw": b"\xfe"}),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ),
    (
        "dynamodb",
        "update_item",
        {
            "TableName": "t",
            "Key": KEY,
            "UpdateExpression": "ADD callbacks :callback REMOVE #query",
            "ExpressionAttributeNames": {"#query": "query"},
            "ExpressionAttributeValues": to_wire({":callback": {"b", "a"}}),
            "ReturnValues": "ALL_NEW",
        },
    ),
    ("dynamodb", "delete_item", {"TableName": "t", "Key": KEY}),
    ("dynamodb", "batch_get_item", {"RequestItems": {"t": {"Keys": [KEY, KEY], "ProjectionExpression": "pk"}}}),
    (
        "dynamodb",
        "query",
        {
            "TableName": "t",
            "IndexName": "due",
            "KeyConditionExpression": "due_shard = :shard",
            "ExpressionAttributeValues": to_wire({":shard": "0"}),
            "ExclusiveStartKey": KEY,
            "ScanIndexForward": False,
            "Limit": 20,
        },
    ),
    ("sqs", "send_message", {"QueueUrl": "http://q/1/urgent", "MessageBody": "canary", "DelaySeconds": 3}),
    (
        "sqs",
        "send_message_batch",
        {
            "QueueUrl": "http://q/1/urgent",
            "Entries": [
                {
                    "Id": "0",
                    "MessageBody": '["a"]',
                    "MessageAttributes": {"smsgate": {"DataType": "String", "StringValue": "wake"}},
                },
                {
                    "Id": "1",
                    "MessageBody": "b",
                    "MessageAttributes": {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
                },
            ],
        },
    ),
    (
        "events",
        "put_events",
        {"Entries": [{"Source": "smsgate", "DetailType": "sms.sent", "Detail": "{}", "EventBusName": "bus"}]},
    ),
    ("secretsmanager", "get_secret_value", {"SecretId": "smsgate/callbacks"}),
    ("secretsmanager", "describe_secret", {"SecretId": "smsgate/callbacks"}),
    ("ssm", "get_parameter", {"Name": "/smsgate/routing:3"}),
]
ATTRIBUTES = {
    "S": {"S": "an attribute called S"},
    "B": {"B": b64encode(b"\x00\xff").decode()},
    "BS": {"BS": ["AA==", "/w=="]},
    "M": {"M": {"B": {"S": '"B": in a text'}, "deep": {"M": {"B": {"B": "AQ=="}, "BS": {"NULL": True}}}}},
    "L": {"L": [{"B": "Ag=="}, {"N": "12.50"}, {"BOOL": False}, {"SS": ["b", "a"]}]},
}
MOMENT = 1_763_697_600.25
ANSWERS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "get_item", {}),
    ("dynamodb", "get_item", {"Item": ATTRIBUTES}),
    ("dynamodb", "put_item", {}),
    ("dynamodb", "update_item", {"Attributes": ATTRIBUTES}),
    (
        "dynamodb",
        "batch_get_item",
        {"Responses": {"t": [ATTRIBUTES]}, "UnprocessedKeys": {"t": {"Keys": [KEY], "ConsistentRead": True}}},
    ),
    ("dynamodb", "query", {"Items": [ATTRIBUTES, {}], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": KEY}),
    ("sqs", "send_message", {"MessageId": "m", "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"}),
    (
        "sqs",
        "send_message_batch",
        {
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"}],
            "Failed": [{"Id": "1", "SenderFault": True, "Code": "InternalError", "Message": "again"}],
        },
    ),
    (
        "events",
        "put_events",
        {"FailedEntryCount": 1, "Entries": [{"EventId": "e"}, {"ErrorCode": "InternalFailure", "ErrorMessage": "x"}]},
    ),
    (
        "secretsmanager",
        "get_secret_value",
        {"Name": "n", "VersionId": "v", "SecretString": '{"CreatedDate": 5}', "CreatedDate": MOMENT},
    ),
    (
        "secretsmanager",
        "describe_secret",
        {
            "Name": "n",
            "VersionIdsToStages": {"v": ["AWSCURRENT"], "w": ["AWSPREVIOUS"]},
            "CreatedDate": MOMENT,
            "LastChangedDate": MOMENT + 1,
            "LastAccessedDate": int(MOMENT),
        },
    ),
    (
        "ssm",
        "get_parameter",
        {"Parameter": {"Name": "n", "Type": "String", "Value": "{}", "Version": 3, "LastModifiedDate": MOMENT}},
    ),
]
OF_SERVICE = {service: (method, parameters) for service, method, parameters in reversed(CALLS)}
CONDITION_FAILED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "The conditional request failed",
    "Item": {**KEY, "raw": {"B": "AP8="}},
}
REFUSALS: list[tuple[str, bytes, bytes, tuple[bytes, ...]]] = [
    ("dynamodb", b"400 Bad Request", json.dumps(CONDITION_FAILED).encode(), ()),
    ("dynamodb", b"400 Bad Request", b'{"__type":"com.amazon.coral.validate#ValidationException"}', ()),
    ("dynamodb", b"400 Bad Request", b'{"__type":"ResourceNotFoundException","message":"no"}', ()),
    ("dynamodb", b"400 Bad Request", b'{"__type":"AccessDeniedException:http://x/","Message":"canary"}', ()),
    ("dynamodb", b"413 Payload Too Large", b"", ()),
    ("dynamodb", b"404 Not Found", b"<html>nothing of the kind</html>", ()),
    ("dynamodb", b"500 Internal Server Error", b'{"__type":"x#InternalServerError","message":"e"}', ()),
    ("dynamodb", b"503 Service Unavailable", b" <html>busy</html>", ()),
    ("dynamodb", b"503 Service Unavailable", b"", ()),
    ("dynamodb", b"599 Strange", b"", ()),
    ("ssm", b"400 Bad Request", b'{"__type":"ParameterNotFound"}', ()),
    ("ssm", b"400 Bad Request", b'{"__type":"ParameterVersionNotFound","message":"n"}', ()),
    ("secretsmanager", b"400 Bad Request", b'{"__type":"ResourceNotFoundException","Message":"n"}', ()),
    ("events", b"400 Bad Request", b'{"__type":"ThrottlingException"}', ()),
    (
        "sqs",
        b"400 Bad Request",
        b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}',
        (b"x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender",),
    ),
    ("sqs", b"400 Bad Request", b'{"__type":"com.amazonaws.sqs#InvalidAddress"}', (b"x-amzn-query-error: strange",)),
]


THROTTLED: list[str] = vars(standard.ThrottledRetryableChecker)["_THROTTLED_ERROR_CODES"]
TRANSIENT = vars(standard.TransientRetryableChecker)


class Theirs:
    """botocore's clients, whose requests are kept and answered before they leave."""

    def __init__(self) -> None:
        self._session = get_session()
        self._clients: dict[str, Any] = {}
        self._answer = _Whole(200, {}, b"")
        self.sent: AWSRequest

    def call(self, service: str, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._answer = _Whole(200, {}, b"{}")
        told: dict[str, Any] = getattr(self._client(service), method)(**parameters)
        return told

    def read(self, service: str, method: str, said: bytes) -> dict[str, Any]:
        head, _, body = said.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self._answer = _Whole(int(first.split(" ")[1]), headers, body)
        told: dict[str, Any] = getattr(self._client(service), method)(**parameters_of(service, method))
        return told

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            made = self._session.create_client(
                service,
                region_name=REGION,
                aws_access_key_id=CREDENTIALS.access_key_id,
                aws_secret_access_key=CREDENTIALS.secret_access_key,
                aws_session_token=CREDENTIALS.session_token,
                config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
            )
            hooks: Any = made.meta.events
            hooks.register("before-send", self._send)
            self._clients[service] = made
        return self._clients[service]

    def _send(self, request: AWSRequest, **_: Any) -> Any:
        self.sent = request
        return self._answer


class _Whole(AWSResponse):
    def __init__(self, status: int, headers: dict[str, str], content: bytes) -> None:
        any_case: Any = HeadersDict(headers)
        super().__init__("http://127.0.0.1/", status, any_case, None)
        self._content = content


def parameters_of(service: str, method: str) -> dict[str, Any]:
    return next(parameters for at, name, parameters in CALLS if (at, name) == (service, method))


class Ours:
    """A client of ours before a server of the test's, and the pauses it made."""

    def __init__(self, serve: Serve) -> None:
        self.pauses: list[float] = []
        self._serve = serve
        self._endpoints: list[Endpoint] = []
        self.server: RawServer

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.close()

    def client(
        self,
        service: str,
        script: Callable[[Conversation], None],
        attempts: int = 3,
        read_seconds: float = 5.0,
        credentials: Credentials = CREDENTIALS,
    ) -> Any:
        self.server = self._serve(script)
        url = f"http://127.0.0.1:{self.server.port}"
        endpoint = Endpoint(url, connect_seconds=5, read_seconds=read_seconds, most_kept=50)
        self._endpoints.append(endpoint)
        return JsonClient(SERVICES[service], endpoint, REGION, credentials, attempts, self.pauses.append)


def always(said: bytes) -> Callable[[Conversation], None]:
    def script(talk: Conversation) -> None:
        for _ in talk.requests():
            talk.say(said)

    return script


def in_turn(*said: bytes | None) -> Callable[[Conversation], None]:
    """One after the other, whatever connection asks; None hangs up, and so does whoever says but half."""
    left: Iterator[bytes | None] = iter(said)

    def script(talk: Conversation) -> None:
        for _ in talk.requests():
            each = next(left)
            if each is None:
                return
            talk.say(each)
            if each is HALF:
                return

    return script


GOOD = answer(b"{}")
HALF = answer(b'{"Item": {"pk": {"S": "canary"}}}')[:-9]
BAD_CRC = answer(b'{"Item": {"pk": {"S": "canary"}}}', b"200 OK", b"x-amz-crc32: 5")
FAILED = answer(b'{"__type":"InternalServerError"}', b"500 Internal Server Error")
GET = parameters_of("dynamodb", "get_item")


def refused(code: str, status: bytes = b"400 Bad Request") -> bytes:
    return answer(json.dumps({"__type": f"com.amazonaws#{code}", "message": "canary"}).encode(), status)


def headers_of(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode("ascii")
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
