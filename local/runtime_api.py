"""The Lambda Runtime API towards one worker, as the real client speaks it: next, response, error, init error."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from dataclasses import dataclass
from uuid import uuid4

from local.http_server import HttpServer, Limits, Request, Response, listen

_ANSWERED = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)")
_NEXT = "/2018-06-01/runtime/invocation/next"
_INIT_ERROR = "/2018-06-01/runtime/init/error"

_LIMITS = Limits(head=2 * 1024 * 1024, body=1024 * 1024 * 1024)
"""Whoever calls was started here. The client puts up to 1 MB into a header of an error, and what is too much of an
answer is for the Lambda service to say."""

_JSON = [("content-type", "application/json")]
_ACCEPTED = Response(202, b'{"status":"OK"}', _JSON)
_UNKNOWN_REQUEST = Response(400, b'{"errorType":"InvalidRequestID"}', _JSON)
_NOT_FOUND = Response(404, b"{}", _JSON)


@dataclass(frozen=True, slots=True)
class Answer:
    payload: bytes
    failed: bool


def error(kind: str, message: str) -> Answer:
    return Answer(json.dumps({"errorType": kind, "errorMessage": message}).encode(), failed=True)


class Invocation:
    """Made on the loop on which it is answered. Its time begins when a process has taken it."""

    __slots__ = ("_clock", "_loop", "answer", "began", "function_arn", "payload", "request_id", "timed_out", "timeout")

    def __init__(self, function_arn: str, payload: bytes, timeout: float) -> None:
        self.function_arn = function_arn
        self.payload = payload
        self.timeout = timeout
        self.request_id = str(uuid4())
        self.timed_out = False
        self.began: float | None = None
        self._loop = asyncio.get_running_loop()
        self._clock: asyncio.TimerHandle | None = None
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    def wait_to_begin(self, seconds: float) -> None:
        """It may take so long until somebody is there to take it."""
        if self.began is None:
            self._clock = self._loop.call_later(seconds, self._time_out)

    def begin(self) -> None:
        self.began = time.perf_counter()
        self._stop_clock()
        if not self.answer.done():
            self._clock = self._loop.call_later(self.timeout, self._time_out)

    def settle(self, answer: Answer) -> None:
        """The first answer counts: a killed worker's last word and the news of its death may cross."""
        if not self.answer.done():
            self.answer.set_result(answer)
            self._stop_clock()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _time_out(self) -> None:
        if not self.answer.done():
            self.timed_out = True
            message = f"RequestId: {self.request_id} Error: Task timed out after {self.timeout:.2f} seconds"
            self.settle(error("Sandbox.Timedout", message))


class RuntimeApi:
    """Listens on a port of its own, so that whoever calls is known by where it calls."""

    def __init__(self) -> None:
        self.init_error: bytes | None = None
        self._asked: asyncio.Future[Response] | None = None
        self._waiting: Invocation | None = None
        self._current: Invocation | None = None
        listener = listen()
        self.address = "{}:{}".format(*listener.getsockname())
        self._server = HttpServer(listener, self._respond, _LIMITS)

    async def start(self) -> None:
        await self._server.start()

    def hand_over(self, invocation: Invocation) -> None:
        """One at a time: the next when the one before has been answered."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(self._begin(invocation))
        else:
            self._waiting = invocation

    def close(self) -> None:
        self._server.close()

    def _respond(self, request: Request) -> Response | asyncio.Future[Response]:
        if request.method == "GET" and request.target == _NEXT:
            return self._next()
        if request.method != "POST":
            return _NOT_FOUND
        if request.target == _INIT_ERROR:
            self.init_error = request.body
            return _ACCEPTED
        if match := _ANSWERED.fullmatch(request.target):
            known = self._answered(match[1], Answer(request.body, failed=match[2] == "error"))
            return _ACCEPTED if known else _UNKNOWN_REQUEST
        return _NOT_FOUND

    def _next(self) -> Response | asyncio.Future[Response]:
        if self._waiting is not None:
            invocation, self._waiting = self._waiting, None
            return self._begin(invocation)
        self._asked = asyncio.get_running_loop().create_future()
        return self._asked

    def _begin(self, invocation: Invocation) -> Response:
        self._current = invocation
        invocation.begin()
        now = time.time()
        headers = [
            *_JSON,
            ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(int((now + invocation.timeout) * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
            ("Lambda-Runtime-Trace-Id", f"Root=1-{int(now):08x}-{os.urandom(12).hex()};Sampled=0"),
        ]
        return Response(200, invocation.payload, headers)

    def _answered(self, request_id: str, answer: Answer) -> bool:
        invocation = self._current
        if invocation is None or invocation.request_id != request_id or invocation.answer.done():
            return False
        self._current = None
        invocation.settle(answer)
        return True
