"""The local HTTP API: real requests over a real socket to a real handler that echoes its event."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any

import pytest

from local.event_loop import EventLoop
from local.http_api import HttpApi
from local.http_server import Request, Response
from local.lambdas import Result
from local.stack import Route
from tests.local.sample_stack import Sample


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _ask(
    gateway: Sample, target: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    connection = HTTPConnection(gateway.api_url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def _answered(gateway: Sample, answer: object) -> Answer:
    return _ask(gateway, "/answer", "POST", json.dumps(answer).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "query",
    [
        "smbody=%b4%fa%B8%D5&dstaddr=09",  # BIG5, percent-encoded in both cases
        "token=a?msgid=1&x=",
        "text=a+b%20c%2Bd&&=&empty=&flag",
        "a=%",
    ],
)
def test_the_query_arrives_byte_for_byte(gateway: Sample, query: str) -> None:
    event = _ask(gateway, f"/echo/1?{query}").json

    assert event["rawQueryString"] == query


def test_the_decoded_query_joins_repeated_names(gateway: Sample) -> None:
    event = _ask(gateway, "/echo/1?a=1&b=x+y&a=%E6%B8%AC").json

    assert event["queryStringParameters"] == {"a": "1,測", "b": "x y"}


def test_an_event_says_who_asked_what_on_which_route(gateway: Sample) -> None:
    event = _ask(gateway, "/echo/1", "PUT", headers={"User-Agent": "tester"}).json

    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "ANY /echo/{id}"
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["sourceIp"]) == ("PUT", "/echo/1", "127.0.0.1")
    assert http["userAgent"] == "tester"
    assert {"body", "queryStringParameters", "cookies"}.isdisjoint(event)
    assert event["rawQueryString"] == ""


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/echo/a%20b", "ANY /echo/{id}", {"id": "a b"}),
        ("/echo/a+b", "ANY /echo/{id}", {"id": "a+b"}),
        ("/echo/a%2Fb", "ANY /echo/{id}", {"id": "a/b"}),
        ("/echo/a/b/c%3Fd", "ANY /echo/{id}/{proxy+}", {"id": "a", "proxy": "b/c?d"}),
        ("/echo/%E6%B8%AC", "ANY /echo/{id}", {"id": "測"}),
        ("/echo/exact", "ANY /echo/exact", None),
    ],
)
def test_the_most_specific_route_gets_its_parameters_decoded(
    gateway: Sample, path: str, route: str, parameters: dict[str, str] | None
) -> None:
    event = _ask(gateway, path).json

    assert event["routeKey"] == route
    assert event.get("pathParameters") == parameters


def test_the_path_arrives_decoded_and_ends_at_a_decoded_question_mark(gateway: Sample) -> None:
    assert _ask(gateway, "/echo/a%20b").json["rawPath"] == "/echo/a b"
    assert _ask(gateway, "/echo/a%3Fb").json["rawPath"] == "/echo/a"


def test_header_names_are_in_lower_case_repeated_ones_joined_and_cookies_apart(gateway: Sample) -> None:
    lines = [
        b"GET /echo/1 HTTP/1.1", b"Host: here", b"X-Many: 1", b"x-many: 2", b"Cookie: a=1; b=2", b"Connection: close",
    ]  # fmt: skip
    host, port = gateway.api_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))

    event = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert event["headers"]["x-many"] == "1,2"
    assert event["headers"]["host"] == "here"
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/xml; charset=utf-8", "application/json", "application/xml"]
)
def test_a_body_of_a_text_type_arrives_as_text(gateway: Sample, content_type: str) -> None:
    event = _ask(gateway, "/echo/1", "POST", "測=1".encode(), {"Content-Type": content_type}).json

    assert (event["body"], event["isBase64Encoded"]) == ("測=1", False)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {},
    ],
)
def test_any_other_body_arrives_in_base64_forms_included(gateway: Sample, headers: dict[str, str]) -> None:
    event = _ask(gateway, "/echo/1", "POST", b"a=%B4%FA&b=\xff", headers).json

    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"a=%B4%FA&b=\xff", True)


def test_a_body_in_chunks_arrives_whole(gateway: Sample) -> None:
    connection = HTTPConnection(gateway.api_url.removeprefix("http://"), timeout=20)

    connection.request("POST", "/echo/1", iter([b"one ", b"two"]), {"Content-Type": "text/plain"}, encode_chunked=True)

    assert json.loads(connection.getresponse().read())["body"] == "one two"
    connection.close()


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/"), ("GET", "/echo"), ("GET", "/answer"), ("DELETE", "/signed")]
)
def test_no_route_is_404_in_the_words_of_api_gateway(gateway: Sample, method: str, target: str) -> None:
    answer = _ask(gateway, target, method)

    assert (answer.status, answer.json) == (404, {"message": "Not Found"})


def test_only_a_route_with_iam_tells_of_a_caller(gateway: Sample) -> None:
    assert "iam" in _ask(gateway, "/signed").json["requestContext"]["authorizer"]
    assert "authorizer" not in _ask(gateway, "/echo/1").json["requestContext"]


def test_a_response_keeps_its_status_headers_cookies_and_bytes(gateway: Sample) -> None:
    answer = _answered(
        gateway,
        {
            "statusCode": 201,
            "headers": {"Content-Type": "image/png", "X-Number": 1},
            "cookies": ["a=1", "b=2; Secure"],
            "body": base64.b64encode(b"\x89PNG\x00").decode(),
            "isBase64Encoded": True,
        },
    )

    assert (answer.status, answer.body) == (201, b"\x89PNG\x00")
    assert (answer.headers["content-type"], answer.headers["x-number"]) == ("image/png", "1")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2; Secure"]


def test_an_answer_without_a_status_code_is_the_body_itself(gateway: Sample) -> None:
    answer = _answered(gateway, {"message": "測"})

    assert (answer.status, answer.json) == (200, {"message": "測"})
    assert answer.headers["content-type"] == "application/json"


def test_a_string_is_sent_as_it_is(gateway: Sample) -> None:
    assert _answered(gateway, "ok").body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        "raise",
        {"statusCode": "many"},
        {"statusCode": 100},
        {"statusCode": 600},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
        {"statusCode": 200, "headers": {"x-many": "1\r\nx-more: 2"}},
        {"statusCode": 200, "headers": {"x more": "1"}},
        {"statusCode": 200, "headers": {"x-text": "測"}},
        {"statusCode": 200, "cookies": ["a=1\r\nx-more: 2"]},
    ],
)
def test_an_error_of_the_function_and_an_answer_that_cannot_be_read_are_500(gateway: Sample, answer: object) -> None:
    failed = _answered(gateway, answer)

    assert (failed.status, failed.json) == (500, {"message": "Internal Server Error"})


def test_a_body_beyond_ten_megabytes_is_refused_before_it_is_read(gateway: Sample) -> None:
    host, port = gateway.api_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"POST /echo/1 HTTP/1.1\r\nHost: here\r\nContent-Length: 10485761\r\n\r\n")

        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_request_line_and_header_values_beyond_what_the_api_takes_are_refused(gateway: Sample) -> None:
    assert _ask(gateway, f"/echo/1?{'x' * 9_000}").status == 200
    assert _ask(gateway, f"/echo/1?{'x' * 10_241}").status == 431


def test_what_is_no_request_is_refused_in_the_words_of_api_gateway(gateway: Sample) -> None:
    host, port = gateway.api_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"nonsense\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b'{"message": "Bad Request"}')


def test_a_body_that_lambda_would_not_take_is_refused_too(gateway: Sample) -> None:
    assert _ask(gateway, "/echo/1", "POST", b"x" * 7_000_000).status == 413


def test_a_function_that_outlasts_the_integration_timeout_is_503(loop: EventLoop) -> None:
    finished = threading.Event()

    async def invoke(_function: str, _event: object) -> Result:
        await asyncio.sleep(0.3)
        finished.set()
        return Result(b"{}", failed=False)

    api = HttpApi(0, loop)
    api.start([Route("Slow", "GET", "/slow", needs_iam=False)], invoke, integration_seconds=0.1)
    connection = HTTPConnection(api.url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/slow")
    response = connection.getresponse()

    assert (response.status, response.read()) == (503, b'{"message": "Service Unavailable"}')
    assert finished.wait(5), "the function is not interrupted"
    connection.close()
    api.stop()


def test_a_function_goes_on_when_whoever_asked_has_gone(loop: EventLoop) -> None:
    begun, finished = threading.Event(), threading.Event()

    async def invoke(_function: str, _event: object) -> Result:
        begun.set()
        await asyncio.sleep(0.3)
        finished.set()
        return Result(b"{}", failed=False)

    api = HttpApi(0, loop)
    api.start([Route("Slow", "GET", "/slow", needs_iam=False)], invoke)
    with socket.create_connection(("127.0.0.1", api.port)) as line:
        line.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert begun.wait(5)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # breaks it

    assert finished.wait(5)
    api.stop()


def test_a_page_that_takes_its_time_holds_up_nobody(loop: EventLoop) -> None:
    release = threading.Event()

    def page(request: Request) -> Response | None:
        return Response(200) if request.path != "/slow" or release.wait(10) else None

    api = HttpApi(0, loop)
    api.start([], _never, otherwise=page)
    slow, quick = (HTTPConnection("127.0.0.1", api.port, timeout=5) for _ in range(2))
    slow.request("GET", "/slow")
    quick.request("GET", "/quick")

    assert quick.getresponse().status == 200
    release.set()
    assert slow.getresponse().status == 200
    slow.close()
    quick.close()
    api.stop()


def test_what_no_route_takes_can_be_answered_otherwise(loop: EventLoop) -> None:
    def page(request: Request) -> Response | None:
        return Response(200, b"<h1>phones</h1>") if request.path == "/" else None

    api = HttpApi(0, loop)
    api.start([], _never, otherwise=page)
    statuses = []
    for target in ("/", "/other"):
        connection = HTTPConnection(api.url.removeprefix("http://"), timeout=20)
        connection.request("GET", target)
        statuses.append(connection.getresponse().status)
        connection.close()

    assert statuses == [200, 404]
    api.stop()


def test_a_taken_port_is_replaced_by_a_free_one(loop: EventLoop) -> None:
    first = HttpApi(0, loop)

    second = HttpApi(first.port, loop)

    assert second.port != first.port
    first.stop()
    second.stop()


async def _never(function: str, event: object) -> Result:
    raise AssertionError("no route leads here")
