"""Our client and botocore's: the same calls, the same answers and errors, the same repetitions."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NoReturn
from zlib import crc32

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.credentials import Credentials as TheirCredentials
from botocore.exceptions import ClientError as TheirClientError
from botocore.retries import standard
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from smsgate import aws_json
from smsgate.attributes import to_wire
from smsgate.aws_connections import Endpoint, NoAnswer
from smsgate.aws_json import SERVICES, ClientError, JsonClient, Quota
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


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    return Theirs()


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


@pytest.fixture
def ours(serve: Serve) -> Iterator[Ours]:
    made = Ours(serve)
    yield made
    made.close()


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


def test_every_operation_is_compared_below() -> None:
    made = {(service, method) for service, told in SERVICES.items() for method in told.operations}

    assert made == {(service, method) for service, method, _ in CALLS}


class TestRequests:
    @pytest.mark.parametrize(("service", "method", "parameters"), CALLS)
    def test_a_call_says_what_botocores_says(
        self, ours: Ours, theirs: Theirs, service: str, method: str, parameters: dict[str, Any]
    ) -> None:
        getattr(ours.client(service, always(GOOD)), method)(**parameters)

        (sent,) = ours.server.requests
        theirs.call(service, method, parameters)
        told = {name.lower(): _text(value) for name, value in theirs.sent.headers.items()}
        compared = ("x-amz-target", "content-type", "x-amz-security-token", "x-amzn-query-mode")
        assert sent.startswith(b"POST / HTTP/1.1\r\n")
        assert [headers_of(sent).get(name) for name in compared] == [told.get(name) for name in compared]
        assert json.loads(sent.partition(b"\r\n\r\n")[2]) == json.loads(theirs.sent.body)

    @pytest.mark.parametrize(("service", "method", "parameters"), CALLS)
    def test_a_call_is_signed_as_botocore_signs_it(
        self, ours: Ours, service: str, method: str, parameters: dict[str, Any]
    ) -> None:
        getattr(ours.client(service, always(GOOD)), method)(**parameters)

        (sent,) = ours.server.requests
        headers, body = headers_of(sent), sent.partition(b"\r\n\r\n")[2]
        unsigned = {"authorization", "accept-encoding", "content-length", "user-agent"}
        again = AWSRequest(
            "POST",
            f"http://{headers['host']}/",
            headers={name: value for name, value in headers.items() if name not in unsigned},
            data=body,
        )
        again.context["timestamp"] = headers["x-amz-date"]
        auth = SigV4Auth(TheirCredentials("AKIDEXAMPLE", "canary-key"), service, REGION)
        signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        assert AUTHORIZATION.fullmatch(headers["authorization"])
        assert headers["authorization"].endswith(f"Signature={signature}")
        assert f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(again))}," in headers["authorization"]
        sent_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - sent_at).total_seconds()) < 60

    def test_a_call_says_no_more_than_it_must(self, ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
        """Above all no trace, by which Lambda would end a campaign that is continued often."""
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "sender")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:5759e988:16")

        ours.client("sqs", always(GOOD)).send_message(QueueUrl="q", MessageBody="b")

        assert headers_of(ours.server.requests[0]).keys() == {
            "accept-encoding",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-amz-date",
            "x-amz-security-token",
            "x-amz-target",
            "x-amzn-query-mode",
        }

    def test_credentials_without_a_token_are_sent_without_one(self, ours: Ours) -> None:
        ours.client("dynamodb", always(GOOD), credentials=Credentials("AKIDEXAMPLE", "canary-key")).get_item(**GET)

        assert "x-amz-security-token" not in headers_of(ours.server.requests[0])

    @given(text=st.text(st.characters()), raw=st.binary(max_size=50), name=st.text(max_size=10))
    def test_any_value_travels_as_botocore_sends_it(
        self, serve_once: _Kept, theirs: Theirs, text: str, raw: bytes, name: str
    ) -> None:
        item = {"pk": {"S": text}, "m": {"M": {name: {"B": raw}}}, "l": {"L": [{"S": text}, {"B": raw}]}}

        serve_once.client.put_item(TableName="t", Item=item)

        theirs.call("dynamodb", "put_item", {"TableName": "t", "Item": item})
        sent = serve_once.server.requests[-1]
        assert json.loads(sent.partition(b"\r\n\r\n")[2]) == json.loads(theirs.sent.body)

    @pytest.mark.parametrize("value", [{"a"}, 1j, object(), datetime(2026, 11, 20, tzinfo=UTC), float("nan")])
    def test_what_has_no_form_is_not_sent(self, ours: Ours, value: object) -> None:
        client = ours.client("dynamodb", always(GOOD))

        with pytest.raises((TypeError, ValueError)):
            client.get_item(TableName=value)

        assert ours.server.requests == []

    def test_an_operation_that_nobody_uses_is_not_there(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(GOOD))

        with pytest.raises(AttributeError):
            client.delete_table(TableName="t")


class _Kept:
    def __init__(self) -> None:
        self.server = RawServer(always(GOOD))
        endpoint = Endpoint(f"http://127.0.0.1:{self.server.port}", connect_seconds=5, read_seconds=5, most_kept=5)
        self.client: Any = JsonClient(SERVICES["dynamodb"], endpoint, REGION, CREDENTIALS, 1)


@pytest.fixture(scope="module")
def serve_once() -> Iterator[_Kept]:
    kept = _Kept()
    yield kept
    kept.client._endpoint.close()
    kept.server.close()


class TestAnswers:
    @pytest.mark.parametrize(("service", "method", "told"), ANSWERS)
    def test_an_answer_reads_as_botocore_reads_it(
        self, ours: Ours, theirs: Theirs, service: str, method: str, told: dict[str, Any]
    ) -> None:
        said = answer(json.dumps(told).encode(), b"200 OK", b"x-amzn-RequestId: R1")

        read = getattr(ours.client(service, always(said)), method)(**parameters_of(service, method))

        expected = theirs.read(service, method, said)
        expected["ResponseMetadata"].pop("MaxAttemptsReached", None)  # It was given one attempt.
        assert read == expected

    @given(
        attributes=st.dictionaries(
            st.sampled_from(["B", "BS", "S", "M", "other"]),
            st.recursive(
                st.text().map(lambda text: {"S": text})
                | st.binary().map(lambda raw: {"B": b64encode(raw).decode()})
                | st.lists(st.binary(), min_size=1).map(lambda raws: {"BS": [b64encode(raw).decode() for raw in raws]}),
                lambda inner: (
                    st.lists(inner).map(lambda items: {"L": items})
                    | st.dictionaries(st.sampled_from(["B", "BS", "S", "x"]), inner).map(lambda items: {"M": items})
                ),
                max_leaves=8,
            ),
        )
    )
    def test_any_item_reads_as_botocore_reads_it(self, theirs: Theirs, attributes: dict[str, Any]) -> None:
        said = answer(json.dumps({"Item": attributes}).encode())

        read = aws_json._parsed(said.partition(b"\r\n\r\n")[2], SERVICES["dynamodb"].hook)

        assert read["Item"] == theirs.read("dynamodb", "get_item", said)["Item"]

    def test_an_empty_body_is_an_empty_answer(self, ours: Ours) -> None:
        assert ours.client("sqs", always(answer(b""))).send_message(QueueUrl="q", MessageBody="b") == {
            "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"content-length": "0"}, "RetryAttempts": 0}
        }

    def test_threads_hear_each_their_own_answer(self, ours: Ours) -> None:
        def echoes(talk: Conversation) -> None:
            for request in talk.requests():
                asked = json.loads(request.partition(b"\r\n\r\n")[2])
                body = json.dumps({"Item": asked["Key"]}).encode()
                talk.say(answer(body, b"200 OK", b"x-amz-crc32: %d" % crc32(body)))

        client = ours.client("dynamodb", echoes)
        keys = [{"pk": {"B": b"%d" % number}} for number in range(600)]

        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda key: client.get_item(TableName="t", Key=key)["Item"], keys))

        assert read == keys
        assert ours.server.accepted <= 8


class TestErrors:
    @pytest.mark.parametrize(("service", "status", "body", "headers"), REFUSALS)
    def test_an_error_is_botocores(
        self, ours: Ours, theirs: Theirs, service: str, status: bytes, body: bytes, headers: tuple[bytes, ...]
    ) -> None:
        said = answer(body, status, b"x-amzn-requestid: R1", *headers)
        method, parameters = OF_SERVICE[service]
        client = ours.client(service, always(said), attempts=1)

        with pytest.raises(client.exceptions.ClientError) as caught:
            getattr(client, method)(**parameters)

        with pytest.raises(TheirClientError) as expected:
            theirs.read(service, method, said)
        told, should = caught.value.response, dict[str, Any](expected.value.response)
        should["ResponseMetadata"].pop("MaxAttemptsReached", None)
        assert told["Error"] == should["Error"]
        assert told.get("Item") == should.get("Item")
        # Where something before the service answers, botocore leaves its id out.
        assert told["ResponseMetadata"] == {**should["ResponseMetadata"], "RequestId": "R1"}
        assert caught.value.operation_name == expected.value.operation_name

    def test_a_condition_that_failed_is_caught_by_its_name_with_what_stood_in_the_way(self, ours: Ours) -> None:
        said = answer(json.dumps(CONDITION_FAILED).encode(), b"400 Bad Request")
        client = ours.client("dynamodb", always(said))

        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
            client.put_item(**parameters_of("dynamodb", "put_item"))

        assert caught.value.response["Item"] == {**KEY, "raw": {"B": b"\x00\xff"}}
        assert len(ours.server.requests) == 1

    def test_errors_of_other_names_pass_by(self, ours: Ours) -> None:
        client = ours.client("ssm", always(refused("ParameterVersionNotFound")))

        with pytest.raises(client.exceptions.ParameterVersionNotFound) as caught:
            client.get_parameter(Name="n")

        assert not isinstance(caught.value, client.exceptions.ParameterNotFound)

    def test_a_queues_error_is_caught_by_the_name_it_has_in_the_model(self, ours: Ours) -> None:
        *_, (service, status, body, headers), _ = REFUSALS
        client = ours.client(service, always(answer(body, status, *headers)))

        with pytest.raises(client.exceptions.QueueDoesNotExist):
            client.send_message(QueueUrl="q", MessageBody="b")

    def test_every_thread_has_the_same_class_for_a_code(self, ours: Ours, many_switches: None) -> None:
        errors = ours.client("dynamodb", always(GOOD)).exceptions
        together = threading.Barrier(8)

        def name(_: int) -> Any:
            together.wait(5)
            return [getattr(errors, f"Error{number}") for number in range(50)]

        with ThreadPoolExecutor(8) as pool:
            first, *others = pool.map(name, range(8))

        assert all(each == first for each in others)

    def test_nothing_private_is_in_the_text_of_an_error(self, ours: Ours) -> None:
        raised: list[BaseException] = []
        for said in (
            refused("ValidationException"),
            answer(b"canary", b"400 canary"),
            HALF,
            BAD_CRC,
            b"canary\r\n\r\n",
        ):
            client = ours.client("dynamodb", in_turn(said), attempts=1)
            with pytest.raises((ClientError, NoAnswer)) as caught:
                client.put_item(TableName="t", Item=to_wire(ITEM))
            raised.append(caught.value)

        shown = "".join(f"{error!r} {error} {error.__cause__!r} {error.__context__!r}" for error in raised)
        assert "canary" not in shown
        assert "ValidationException" in shown

    def test_a_client_shows_no_credential(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(GOOD))
        parts = [client, client._signer, client._endpoint, client._signer._credentials, client.exceptions]

        assert "canary" not in "".join(f"{part!r} {part}" for part in parts)


class TestRepetitions:
    @pytest.mark.parametrize(
        "trouble",
        [
            None,
            HALF,
            BAD_CRC,
            answer(b"no JSON"),
            answer(b'["no object"]'),
            FAILED,
            refused("x", b"502 Bad Gateway"),
            refused("x", b"503 Service Unavailable"),
            refused("x", b"504 Gateway Timeout"),
            refused("RequestTimeout"),
            refused("RequestTimeoutException"),
            refused("ReplicatedWriteConflictException"),
        ],
    )
    def test_what_broke_by_chance_is_tried_again_soon(self, ours: Ours, trouble: bytes | None) -> None:
        client = ours.client("dynamodb", in_turn(trouble, trouble, GOOD))

        read = client.get_item(**GET)

        assert read["ResponseMetadata"]["RetryAttempts"] == 2
        assert len(ours.server.requests) == 3
        assert 0 <= ours.pauses[0] <= 0.05
        assert 0 <= ours.pauses[1] <= 0.1

    @pytest.mark.parametrize("code", THROTTLED)
    def test_what_was_too_much_is_tried_again_later(
        self, ours: Ours, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("random.random", lambda: 0.999)
        client = ours.client("events", in_turn(refused(code), refused(code), GOOD))

        client.put_events(Entries=[])

        assert ours.pauses == pytest.approx([0.999, 1.998])

    def test_what_botocore_tries_again_is_all_of_it(self) -> None:
        transient = set(TRANSIENT["_TRANSIENT_ERROR_CODES"])

        assert set(THROTTLED) == aws_json._THROTTLED
        assert transient <= aws_json._TRANSIENT | aws_json._THROTTLED
        assert set(TRANSIENT["_TRANSIENT_STATUS_CODES"]) == aws_json._TRANSIENT_STATUSES

    @pytest.mark.parametrize(
        "said",
        [
            refused("ConditionalCheckFailedException"),
            refused("ValidationException"),
            refused("AccessDeniedException"),
            refused("ResourceNotFoundException"),
            answer(b"", b"413 Payload Too Large"),
            answer(b"", b"501 Not Implemented"),
        ],
    )
    def test_what_would_be_refused_again_is_asked_once(self, ours: Ours, said: bytes) -> None:
        client = ours.client("dynamodb", always(said))

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 1
        assert ours.pauses == []

    def test_the_third_failure_is_the_last(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED))

        with pytest.raises(client.exceptions.InternalServerError) as caught:
            client.get_item(**GET)

        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2
        assert len(ours.server.requests) == 3

    def test_no_answer_three_times_is_no_answer(self, ours: Ours) -> None:
        client = ours.client("dynamodb", in_turn(None, None, None))

        with pytest.raises(NoAnswer):
            client.get_item(**GET)

        assert len(ours.server.requests) == 3

    def test_silence_is_tried_again_on_a_new_connection(self, ours: Ours) -> None:
        def silent_at_first(talk: Conversation) -> None:
            talk.hear()
            if talk.number < 2:
                talk.stay_silent()
            talk.say(GOOD)

        client = ours.client("dynamodb", silent_at_first, read_seconds=0.2)

        read = client.get_item(**GET)

        assert read["ResponseMetadata"]["RetryAttempts"] == 2
        assert ours.server.accepted == 3

    def test_one_that_is_to_be_tried_once_is(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED), attempts=1)

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 1

    def test_each_repetition_is_signed_anew(self, ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = iter([datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)])
        monkeypatch.setattr(aws_json, "utc_now", lambda: next(moments))
        client = ours.client("dynamodb", in_turn(FAILED, GOOD))

        client.get_item(**GET)

        first, second = map(headers_of, ours.server.requests)
        assert (first["x-amz-date"], second["x-amz-date"]) == ("20261120T235959Z", "20261121T000000Z")
        assert "/20261121/" in second["authorization"]

    @pytest.mark.parametrize("service", sorted(set(SERVICES) - {"dynamodb"}))
    def test_only_dynamodbs_checksum_counts(self, ours: Ours, service: str) -> None:
        said = answer(b"{}", b"200 OK", b"x-amz-crc32: 5")
        method, parameters = OF_SERVICE[service]

        getattr(ours.client(service, always(said)), method)(**parameters)

        assert len(ours.server.requests) == 1

    def test_where_everything_fails_repetitions_end(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED))

        for _ in range(60):
            with pytest.raises(ClientError):
                client.get_item(**GET)

        assert len(ours.server.requests) == 60 + 100  # 500 in the quota, 5 for each repetition

    def test_where_everything_is_silent_they_end_sooner(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(GOOD))
        silent = _Silent()
        client._endpoint = silent

        for _ in range(30):
            with pytest.raises(NoAnswer):
                client.get_item(**GET)

        assert silent.asked == 30 + 50  # 10 of the 500 for each repetition

    def test_what_works_again_pays_for_repetitions_to_come(self, ours: Ours) -> None:
        said: Iterable[bytes] = [FAILED] * 160 + [GOOD] * 5 + [FAILED] * 2
        client = ours.client("dynamodb", in_turn(*said))
        for _ in range(60):
            with pytest.raises(ClientError):
                client.get_item(**GET)
        for _ in range(5):
            client.get_item(**GET)

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 160 + 5 + 2


class _Silent:
    host, path = "dynamodb.example", "/"

    def __init__(self) -> None:
        self.asked = 0

    def exchange(self, request: bytes) -> NoReturn:
        self.asked += 1
        raise NoAnswer("dynamodb.example: timed out", is_timeout=True)


class TestQuota:
    def test_a_repetition_after_a_timeout_costs_more(self) -> None:
        quota = Quota()

        assert (quota.take(after_timeout=False), quota.take(after_timeout=True)) == (5, 10)

    def test_it_is_never_more_than_full(self) -> None:
        quota = Quota()
        quota.take(after_timeout=False)

        quota.give_back(20)

        assert sum(1 for _ in range(100) if quota.take(after_timeout=True)) == 50


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
