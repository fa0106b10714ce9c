"""The HTTP API on this machine: requests become events of payload format 2.0, the functions' answers responses.

Followed to the letter where it matters: the query arrives byte for byte, the path arrives decoded, and a body is text
only for the few content types that API Gateway takes for text. IAM authorization is not enforced here.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as IntegrationTimeout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from local.lambdas import PoolStopped, Result, TooLarge
from local.routes import Match, find_route
from local.stack import Route

BODY_LIMIT = 10 * 1024 * 1024  # AWS, "Quotas for HTTP APIs": payload size 10 MB
INTEGRATION_SECONDS = 30.0  # the same table: maximum integration timeout

_TEXT = ("application/json", "application/xml", "application/javascript")
"""What comes as text besides text/*. Everything else, forms and a missing content type too, comes in base64."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    source_ip: str = "127.0.0.1"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)


class HttpApi:
    """Bound at once, so that its address can be told; answers from `start` on."""

    def __init__(self, port: int) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError:
            self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="http-api", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(
        self,
        routes: Sequence[Route],
        invoke: Callable[[str, object], Result],
        otherwise: Callable[[Request], Response | None] = lambda _: None,
        integration_seconds: float = INTEGRATION_SECONDS,
    ) -> None:
        """`otherwise` may answer what no route takes, such as pages for a developer's browser."""
        self._server.answer = _Api(routes, invoke, otherwise, self.port, integration_seconds).answer
        self._thread.start()

    def stop(self) -> None:
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Api:
    def __init__(
        self,
        routes: Sequence[Route],
        invoke: Callable[[str, object], Result],
        otherwise: Callable[[Request], Response | None],
        port: int,
        integration_seconds: float,
    ) -> None:
        self._routes = routes
        self._invoke = invoke
        self._otherwise = otherwise
        self._domain = f"127.0.0.1:{port}"
        self._integration_seconds = integration_seconds
        self._integrations = ThreadPoolExecutor(64, thread_name_prefix="integration")

    def answer(self, request: Request) -> Response:
        if len(request.body) > BODY_LIMIT:
            return _message(413, "Request Entity Too Large")
        match = find_route(self._routes, request.method, request.path)
        if match is None:
            return self._otherwise(request) or _message(404, "Not Found")
        event = event_for(request, match, self._domain)
        integration = self._integrations.submit(self._invoke, match.route.function, event)
        try:
            result = integration.result(self._integration_seconds)
        except TooLarge:
            return _message(413, "Request Entity Too Large")
        except (IntegrationTimeout, PoolStopped):
            return _message(503, "Service Unavailable")
        return response_from(result)


def event_for(request: Request, match: Match, domain: str) -> dict[str, Any]:
    """AWS, "Create AWS Lambda proxy integrations for HTTP APIs", payload format version 2.0."""
    headers, cookies = _headers(request.headers)
    # AWS decodes the path, and a decoded question mark ends it.
    path = unquote(request.path).partition("?")[0]
    now = time.time()
    context: dict[str, Any] = {
        "accountId": "000000000000",
        "apiId": "local",
        "domainName": domain,
        "domainPrefix": "local",
        "http": {
            "method": request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid4()),
        "routeKey": match.route.key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }
    if match.route.needs_iam:
        context["authorizer"] = {"iam": _LOCAL_CALLER}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.route.key,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _query(request.query)
    if match.parameters:
        event["pathParameters"] = match.parameters
    if request.body:
        event |= _body(request.body, headers.get("content-type", ""))
    return event


def response_from(result: Result) -> Response:
    """The same page, "Lambda function response for format 2.0": without a status code the answer itself is the body."""
    failure = _message(500, "Internal Server Error")
    if result.failed:
        return failure
    try:
        answer = result.value
    except ValueError:
        return failure
    if not isinstance(answer, dict) or "statusCode" not in answer:
        whole = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        return Response(200, whole.encode(), [("content-type", "application/json")])
    try:
        status = int(answer["statusCode"])
        text = answer.get("body") or ""
        encoded = text if isinstance(text, str) else json.dumps(text)
        body = base64.b64decode(encoded, validate=True) if answer.get("isBase64Encoded") else encoded.encode()
        headers = [(str(name).lower(), _header_value(value)) for name, value in (answer.get("headers") or {}).items()]
        headers += [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
    except (AttributeError, TypeError, ValueError):
        return failure
    if not 100 <= status <= 599:
        return failure
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    return Response(status, body, headers)


_LOCAL_CALLER = {
    "accessKey": "LOCAL",
    "accountId": "000000000000",
    "callerId": "LOCAL",
    "cognitoIdentity": None,
    "principalOrgId": None,
    "userArn": "arn:aws:iam::000000000000:user/local",
    "userId": "LOCAL",
}


def _headers(given: Sequence[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Names in lower case, several of one name joined by commas, cookies apart."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in given:
        key = name.lower()
        if key == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        elif key not in {"connection", "transfer-encoding"}:
            headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers, cookies


def _query(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT:
        return {"body": body.decode("utf-8", errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _header_value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "\r" in text or "\n" in text:
        raise ValueError("a header may not hold a line end")
    return text


def _message(status: int, text: str) -> Response:
    return Response(status, json.dumps({"message": text}).encode(), [("content-type", "application/json")])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True
    answer: Callable[[Request], Response]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "smsgate-local"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # whatever the method, the routes decide
            return self._serve
        raise AttributeError(name)

    def log_message(self, *args: object) -> None:
        """A path holds a token, a query a number: neither is ever printed."""

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            self._reply(_message(413, "Request Entity Too Large"))
            self.close_connection = True
            return
        # From the request line: `self.path` has its leading slashes folded.
        target = self.requestline.split(" ")[1]
        headers = list(self.headers.items())
        self._reply(self.server.answer(Request(self.command, target, headers, body, str(self.client_address[0]))))

    def _read_body(self) -> bytes | None:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._read_chunks()
        length = int(self.headers.get("Content-Length") or 0)
        return None if length > BODY_LIMIT else self.rfile.read(length)

    def _read_chunks(self) -> bytes | None:
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            if len(body) > BODY_LIMIT:
                return None
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def _reply(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            if name not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()
