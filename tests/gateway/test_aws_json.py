"""Our client and botocore's: the same calls, the same answers and errors."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from botocore.exceptions import ClientError as TheirClientError
from hypothesis import given
from hypothesis import strategies as st

from smsgate import aws_json
from smsgate.attributes import to_wire
from smsgate.aws_connections import Endpoint, NoAnswer
from smsgate.aws_json import SERVICES, ClientError, JsonClient
from smsgate.sigv4 import Credentials
from tests.gateway.aws_clients import (
    ANSWERS,
    AUTHORIZATION,
    BAD_CRC,
    CALLS,
    CONDITION_FAILED,
    CREDENTIALS,
    GET,
    GOOD,
    HALF,
    ITEM,
    KEY,
    OF_SERVICE,
    REFUSALS,
    REGION,
    Ours,
    Theirs,
    always,
    headers_of,
    in_turn,
    parameters_of,
    refused,
)
from tests.transports.raw_server import Conversation, RawServer, answer


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


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
