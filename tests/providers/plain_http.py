"""The plainest wire there is, for calling a simulator: no pool, no deadline, nothing but what a request says."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode, urlsplit

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason
from smsgate.wire import HttpRequest, HttpResponse

SECONDS = 30.0  # a call that fails for a busy machine's sake proves nothing


def exchange(request: HttpRequest) -> HttpResponse:
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    form = urlencode(request.fields)
    try:
        try:
            connection.connect()
        except OSError:
            raise CallBroken(NotSent(Reason(Code.PROVIDER_UNREACHABLE))) from None
        try:
            if request.method == "GET":
                connection.request("GET", f"{parts.path}?{form}" if form else parts.path)
            else:
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", parts.path, form.encode(), headers)
            answer = connection.getresponse()
            return HttpResponse(answer.status, answer.read(), answer.headers.get("Content-Type", ""))
        except (OSError, http.client.HTTPException):
            raise CallBroken(MaybeSent(Reason(Code.NO_REPLY))) from None
    finally:
        connection.close()
