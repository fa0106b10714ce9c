"""HTTP calls to providers: each under one total deadline, and each that breaks says whether it may have been read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import httpx

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason
from smsgate.wire import HttpRequest, HttpResponse, Pairs
from smstransports.sockets import ANSWER_CAP, DeadlineTransport

_CONNECT_SECONDS = 3.0
_HEADERS = {
    "User-Agent": "smsgate",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # The cap counts what comes; nobody here wants it packed.
}

_BEFORE_THE_WIRE = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""What is raised while nothing of the request has left us. Anything else may have been read at the other end."""

# Nobody below may write what a URL or a form holds to a log, whatever level somebody sets later.
for _library in ("httpx", "httpcore", "h11"):
    logging.getLogger(_library).setLevel(logging.WARNING)
    logging.getLogger(_library).addFilter(lambda record: record.levelno >= logging.WARNING)

_parsed = lru_cache(maxsize=64)(httpx.URL)  # A handful of base addresses; what varies comes as a query beside them.


class HttpTransport:
    """Any number of threads may share it.

    It speaks to an httpx transport directly and not through httpx.Client, which logs every URL with the password in it,
    keeps cookies, reads the environment for proxies, looks into redirects, and costs as much again as the call itself.
    So nothing of that has to be switched off here: one request goes out, whatever comes back is the answer.
    """

    def __init__(
        self,
        deadline_seconds: float = 10.0,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = transport or DeadlineTransport()
        limits = httpx.Timeout(deadline_seconds, connect=min(connect_seconds, deadline_seconds))
        self._extensions = {"timeout": limits.as_dict()}

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """The provider's answer, whatever its status. Raises CallBroken and nothing else."""
        fields = _encoded(request.fields)
        if fields is None:
            raise CallBroken(NotSent(Reason(Code.UNSUPPORTED_CHARACTER, provider_text="lone surrogate")))
        cap = request.longest_answer
        if request.method == "GET":
            return self.carry("GET", request.url, query=fields, answer_cap=cap)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.carry("POST", request.url, content=fields, headers=form, answer_cap=cap)

    def carry(
        self,
        method: str,
        url: str,
        *,
        query: bytes = b"",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        answer_cap: int | None = None,
    ) -> HttpResponse:
        """Any HTTP call, for what is no form: SOAP has a body and headers of its own. Raises only CallBroken."""
        capped = {} if answer_cap is None else {ANSWER_CAP: answer_cap}
        answer = self._attempt(method, url, query, content, headers or {}, {**self._extensions, **capped})
        # Raised out here, so that no exception of a library's, which knows the URL, hangs on it as its context.
        if isinstance(answer, HttpResponse):
            return answer
        raise CallBroken(answer)

    def close(self) -> None:
        self._transport.close()

    def _attempt(
        self,
        method: str,
        url: str,
        query: bytes,
        content: bytes | None,
        headers: Mapping[str, str],
        extensions: dict[str, Any],
    ) -> HttpResponse | NotSent | MaybeSent:
        try:
            where = _parsed(url)
            request = httpx.Request(
                method,
                where.copy_with(query=b"&".join(filter(None, (where.query, query)))) if query else where,
                headers={**_HEADERS, **headers},
                content=content,
                extensions=extensions,
            )
        except Exception as error:  # Whatever it is, there is no request yet.
            return NotSent(_reason(Code.PROVIDER_UNREACHABLE, error))
        try:
            response = self._transport.handle_request(request)
        except _BEFORE_THE_WIRE as error:
            return NotSent(_reason(Code.PROVIDER_UNREACHABLE, error))
        except Exception as error:
            return MaybeSent(_reason(Code.NO_REPLY, error))
        return HttpResponse(response.status_code, response.content, response.headers.get("content-type", ""))


def _encoded(fields: Pairs) -> bytes | None:
    """Every field once percent-encoded in UTF-8, in order; None where a character has no UTF-8."""
    try:
        return urlencode(fields, encoding="utf-8", errors="strict").encode("ascii")
    except UnicodeEncodeError:
        return None


def _reason(code: Code, error: Exception) -> Reason:
    # The name of the failure, never its text: some hold the URL.
    return Reason(code, provider_text=type(error).__name__)
