"""Which wire a request goes over, and that nothing is loaded for the others."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from smsgate.outcomes import CallBroken, NotSent
from smsgate.wire import HttpRequest, SoapRequest
from smstransports import open_exchange

NOBODY = "http://127.0.0.1:1/"  # a port nobody listens on

HTTP = f"HttpRequest('POST', {NOBODY!r})"
MAIL = "MailRequest('a@b.example', 'c@d.example', 'id', ('x',), SmtpServer('127.0.0.1', 1, True))"
SOAP = f"SoapRequest({NOBODY!r}, '1.1', 'getCredit', (('sessionKey', 'x'),))"
OF_HTTP = {"smstransports.http", "smstransports.sockets", "httpx"}
OF_SOAP = {*OF_HTTP, "smstransports.soap", "zeep", "lxml"}


def loaded_by(*requests: str) -> set[str]:
    """The transports a fresh interpreter has loaded after these requests, each of which finds nobody."""
    program = "\n".join(
        [
            "import sys",
            f"sys.path[:0] = {[folder for folder in sys.path if folder]!r}",
            "from datetime import timedelta",
            "from smsgate.outcomes import CallBroken",
            "from smsgate.wire import HttpRequest, MailRequest, SmtpServer, SoapRequest",
            "from smstransports import open_exchange",
            "exchange = open_exchange(timedelta(seconds=2))",
            f"for request in ({''.join(f'{request}, ' for request in requests)}):",
            "    try:",
            "        exchange(request)",
            "    except CallBroken:",
            "        continue",
            "    raise AssertionError('somebody answered')",
            "print(*(name for name in sys.modules if name.startswith('smstransports.')))",
            "print(*({'httpx', 'zeep', 'lxml', 'smtplib', 'boto3'} & sys.modules.keys()))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("requests", "loaded"),
    [
        ((), set()),
        ((HTTP,), OF_HTTP),
        ((SOAP,), OF_SOAP),
        ((MAIL,), {"smstransports.mail", "smtplib"}),
        ((HTTP, SOAP), OF_SOAP),
    ],
)
def test_a_transport_is_loaded_with_the_first_request_for_it(requests: tuple[str, ...], loaded: set[str]) -> None:
    assert loaded_by(*requests) == loaded


def test_many_threads_that_call_at_once_share_one_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    class Counted:
        def __init__(self, deadline_seconds: float) -> None:
            made.append(deadline_seconds)

        def exchange(self, request: HttpRequest) -> int:
            return id(self)

    monkeypatch.setattr("smstransports.http.HttpTransport", Counted)
    exchange = open_exchange(timedelta(seconds=7))

    with ThreadPoolExecutor(16) as pool:
        answered = set(pool.map(lambda _: exchange(HttpRequest("GET", NOBODY)), range(64)))

    assert len(answered) == 1
    assert made == [7.0]


@pytest.mark.parametrize(
    "request_", [HttpRequest("POST", NOBODY), SoapRequest(NOBODY, "1.1", "getCredit", (("sessionKey", "x"),))]
)
def test_a_call_that_finds_nobody_was_not_sent(request_: HttpRequest | SoapRequest) -> None:
    with pytest.raises(CallBroken) as raised:
        open_exchange(timedelta(seconds=2))(request_)

    assert isinstance(raised.value.outcome, NotSent)


def test_what_is_no_request_goes_nowhere() -> None:
    with pytest.raises(TypeError, match="no wire carries a str"):
        open_exchange(timedelta(seconds=2))("https://sms.example/")  # type: ignore[call-overload]
