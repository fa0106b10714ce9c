"""The HTTP API on this machine: requests become events of payload format 2.0, the functions' answers responses.

Followed to the letter where it matters: the query arrives byte for byte, the path arrives decoded, and a body is text
only for the few content types that API Gateway takes for text. IAM authorization is not enforced here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_plus

from local.event_loop import EventLoop, settled
from local.http_server import HttpServer, Limits, Request, Response, listen
from local.lambdas import PoolStopped, Result, TooLarge
from local.routes import Match, find_route
from local.stack import Route

INTEGRATION_SECONDS = 30.0  # AWS, "Quotas for HTTP APIs": maximum integration timeout

Invoke = Callable[[str, object], Coroutine[Any, Any, Result]]
Otherwise = Callable[[Request], Response | None]

_LIMITS = Limits(head=10240, body=10 * 1024 * 1024)
"""The same table: total combined size of request line and header values 10,240 bytes, payload size 10 MB."""

_REFUSALS = {
    status: Response(status, json.dumps({"message": text}).encode(), [("content-type", "application/json")])
    for status, text in {
        400: "Bad Request",
        404: "Not Found",
        413: "Request Entity Too Large",
        431: "Request Header Fields Too Large",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }.items()
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_TEXT = ("application/json", "application/xml", "application/javascript")
"""What comes as text besides text/*. Everything else, forms and a missing content type too, comes in base64."""


class HttpApi:
    """Bound at once, so that its address can be told; answers from `start` on."""

    def __init__(self, port: int, loop: EventLoop) -> None:
        try:
            self._listener = listen(port)
        except OSError:
            self._listener = listen()
        self._loop = loop
        self.port: int = self._listener.getsockname()[1]
        self._api: _Api | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(
        self,
        routes: Sequence[Route],
        invoke: Invoke,
        otherwise: Otherwise | None = None,
        integration_seconds: float = INTEGRATION_SECONDS,
    ) -> None:
        """`otherwise` may answer what no route takes, such as pages for a developer's browser, and may take its time:
        it is called in a thread of its own."""
        self._api = _Api(routes, invoke, otherwise, f"127.0.0.1:{self.port}", integration_seconds)
        self._loop.run(self._api.serve(self._listener))

    def stop(self) -> None:
        """A second time does nothing."""
        if self._api is None:
            self._listener.close()
        else:
            self._loop.run(self._api.close())


class _Api:
    def __init__(
        self,
        routes: Sequence[Route],
        invoke: Invoke,
        otherwise: Otherwise | None,
        domain: str,
        integration_seconds: float,
    ) -> None:
        self._routes = routes
        self._invoke = invoke
        self._otherwise = otherwise
        self._domain = domain
        self._integration_seconds = integration_seconds
        self._integrations: set[asyncio.Task[Result]] = set()
        self._pages = ThreadPoolExecutor(8, thread_name_prefix="pages")

    async def serve(self, listener: socket.socket) -> None:
        self._server = HttpServer(listener, self._respond, _LIMITS, _REFUSALS.__getitem__)
        await self._server.start()

    async def close(self) -> None:
        self._server.close()
        self._pages.shutdown(wait=False, cancel_futures=True)

    def _respond(self, request: Request) -> Response | asyncio.Future[Response]:
        match = find_route(self._routes, request.method, request.path)
        if match is not None:
            return asyncio.ensure_future(self._integrate(request, match))
        return (
            _REFUSALS[404] if self._otherwise is None else asyncio.ensure_future(self._page(self._otherwise, request))
        )

    async def _integrate(self, request: Request, match: Match) -> Response:
        # A task of its own, because a function goes on when nobody waits for it any longer.
        integration = asyncio.ensure_future(self._invoke(match.route.function, event_for(request, match, self._domain)))
        self._integrations.add(integration)
        integration.add_done_callback(self._end_integration)
        if not await settled(integration, self._integration_seconds) or integration.cancelled():
            return _REFUSALS[503]
        try:
            return response_from(integration.result())
        except TooLarge:
            return _REFUSALS[413]
        except PoolStopped:
            return _REFUSALS[503]

    async def _page(self, otherwise: Otherwise, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pages, otherwise, request) or _REFUSALS[404]

    def _end_integration(self, integration: asyncio.Task[Result]) -> None:
        self._integrations.discard(integration)
        if not integration.cancelled():
            integration.exception()  # asked for, so that nobody complains where no one waited


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
        "requestId": base64.b64encode(os.urandom(11)).decode(),  # as theirs look
        "routeKey": match.route.key,
        "stage": "$default",
        "time": _clf_time(int(now)),
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


@lru_cache(maxsize=1)
def _clf_time(second: int) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))


def response_from(result: Result) -> Response:
    """The same page, "Lambda function response for format 2.0": without a status code the answer itself is the body."""
    failure = _REFUSALS[500]
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
        headers = [(_header_name(name), _header_value(value)) for name, value in (answer.get("headers") or {}).items()]
        headers += [("set-cookie", _header_value(cookie)) for cookie in answer.get("cookies") or []]
    except (AttributeError, TypeError, ValueError):
        return failure
    if not 200 <= status <= 599:
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
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT:
        return {"body": body.decode("utf-8", errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("no name of a header")
    return name.lower()


def _header_value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "\r" in text or "\n" in text:
        raise ValueError("a header may not hold a line end")
    text.encode("latin-1")
    return text
