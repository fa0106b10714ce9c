"""SOAP calls: what goes over the wire byte for byte, what comes back, and what a call that broke means."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason
from smsgate.wire import HttpResponse, SoapRequest
from smstransports.http import HttpTransport
from smstransports.soap import ANSWER_CAP, WSDL, SoapTransport
from tests.transports.raw_server import Conversation, RawServer, answer

Version = Literal["1.1", "1.2"]

URL = "https://sms.example/API21/SOAP/SMS.asmx"
CREDIT = SoapRequest(URL, "1.1", "getCredit", (("sessionKey", "canary-session"),))

# As an ASMX page writes them, each on one line.
OK = (
    '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>'
    '<getCreditResponse xmlns="http://tempuri.org/"><getCreditResult>2310.00</getCreditResult></getCreditResponse>'
    "</soap:Body></soap:Envelope>"
)
OK_12 = OK.replace("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
FAULT = OK[: OK.index("<getCreditResponse")] + (
    "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>Server was unable to process request. canary 0912345678"
    "</faultstring><detail /></soap:Fault></soap:Body></soap:Envelope>"
)
FAULT_12 = OK_12[: OK_12.index("<getCreditResponse")] + (
    '<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">'
    "Server was unable to process request. canary</soap:Text></soap:Reason><soap:Detail /></soap:Fault></soap:Body>"
    "</soap:Envelope>"
)


class Carrier:
    """HTTP that answers what it is told, and keeps what it was given."""

    def __init__(self, body: str | bytes = OK, status: int = 200, broken: NotSent | MaybeSent | None = None) -> None:
        self._answer = HttpResponse(status, body.encode() if isinstance(body, str) else body, "text/xml")
        self._broken = broken
        self.calls: list[tuple[str, str, bytes, Mapping[str, str]]] = []

    def carry(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        self.calls.append((method, url, content or b"", headers or {}))
        if self._broken is not None:
            raise CallBroken(self._broken)
        return self._answer


transport = SoapTransport(http=Carrier())


def exchange(body: str | bytes, status: int = 200, request: SoapRequest = CREDIT) -> str | None:
    transport._http = Carrier(body, status)
    return transport.exchange(request).result


def broken(body: str | bytes, status: int = 200) -> NotSent | MaybeSent:
    with pytest.raises(CallBroken) as raised:
        exchange(body, status)

    assert "canary" not in "".join(traceback.format_exception(raised.value))
    return raised.value.outcome


def rendered(request: SoapRequest) -> bytes:
    carrier = Carrier()
    transport._http = carrier
    with suppress(CallBroken):  # It is answered as if it had asked for the credit.
        transport.exchange(request)
    ((_, _, content, _),) = carrier.calls
    return content


# What goes out

WSDL_OPERATIONS: list[tuple[str, tuple[str, ...]]] = [  # sections 1 to 4, typed out
    ("getConnection", ("userID", "password")),
    ("sendSMS", ("sessionKey", "subject", "content", "mobile", "sendTime")),
    ("closeConnection", ("sessionKey",)),
    ("sendParamSMS", ("sessionKey", "subject", "contentXML", "sendTime")),
    ("getDeliveryStatus", ("sessionKey", "batchID", "pageNo")),
    ("getCredit", ("sessionKey",)),
    ("eraseBooking", ("sessionKey", "batchID")),
]


@pytest.mark.parametrize(
    ("version", "envelope", "headers"),
    [
        (
            "1.1",
            "http://schemas.xmlsoap.org/soap/envelope/",
            {"SOAPAction": '"http://tempuri.org/getCredit"', "Content-Type": "text/xml; charset=utf-8"},
        ),
        (
            "1.2",
            "http://www.w3.org/2003/05/soap-envelope",
            {
                "SOAPAction": '"http://tempuri.org/getCredit"',
                "Content-Type": 'application/soap+xml; charset=utf-8; action="http://tempuri.org/getCredit"',
            },
        ),
    ],
)
def test_a_call_is_an_envelope_of_the_version_that_was_asked_for(
    version: Version, envelope: str, headers: dict[str, str]
) -> None:
    carrier = Carrier()
    transport._http = carrier

    transport.exchange(SoapRequest(URL, version, "getCredit", (("sessionKey", "4f"),)))

    assert carrier.calls == [
        (
            "POST",
            URL,
            (
                '<?xml version="1.0" encoding="utf-8"?>\n'
                f'<soap-env:Envelope xmlns:soap-env="{envelope}"><soap-env:Body>'
                '<ns0:getCredit xmlns:ns0="http://tempuri.org/"><ns0:sessionKey>4f</ns0:sessionKey></ns0:getCredit>'
                "</soap-env:Body></soap-env:Envelope>"
            ).encode(),
            headers,
        )
    ]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize(("operation", "names"), WSDL_OPERATIONS)
def test_every_operation_is_written_with_its_arguments_in_order(
    operation: str, names: tuple[str, ...], version: Version
) -> None:
    arguments = tuple((name, f"value of {name}") for name in reversed(names))

    root = etree.fromstring(rendered(SoapRequest(URL, version, operation, arguments)))

    ((call,),) = root
    assert call.tag == f"{{http://tempuri.org/}}{operation}"
    assert [(child.tag, child.text) for child in call] == [
        (f"{{http://tempuri.org/}}{name}", f"value of {name}") for name in names
    ]


@given(
    text=st.text(
        st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")
        | st.sampled_from("\t\n\r{}<>&")
    )
)
@example("</ns0:content><ns0:mobile>+886900000000</ns0:mobile>")
@example("{mobile}{0}{}{{}}%s$x\\1")
@example("]]>\r\n&amp;<!-- -->")
def test_any_text_arrives_as_itself_and_as_nothing_else(text: str) -> None:
    arguments = (("sessionKey", text), ("subject", text), ("content", text), ("mobile", "+886912345678"))

    ((call,),) = etree.fromstring(rendered(SoapRequest(URL, "1.1", "sendSMS", (*arguments, ("sendTime", "")))))

    assert [child.text or "" for child in call] == [text, text, text, "+886912345678", ""]


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud800", "\uffff"])
def test_what_xml_cannot_hold_is_not_sent(character: str) -> None:
    carrier = Carrier()

    with pytest.raises(CallBroken) as raised:
        SoapTransport(http=carrier).exchange(SoapRequest(URL, "1.1", "getCredit", (("sessionKey", character),)))

    assert isinstance(raised.value.outcome, NotSent)
    assert raised.value.outcome.reason.code is Code.UNSUPPORTED_CHARACTER
    assert carrier.calls == []


@pytest.mark.parametrize(
    "request_",
    [
        SoapRequest(URL, "1.1", "sendFax", ()),
        SoapRequest(URL, "1.1", "getCredit", (("session", "x"),)),
        SoapRequest(URL, "2.0", "getCredit", (("sessionKey", "x"),)),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_in_the_wsdl_is_not_sent(request_: SoapRequest) -> None:
    carrier = Carrier()

    with pytest.raises(CallBroken) as raised:
        SoapTransport(http=carrier).exchange(request_)

    assert isinstance(raised.value.outcome, NotSent)
    assert carrier.calls == []


def test_many_threads_may_make_their_first_call_at_once() -> None:
    shared = SoapTransport(http=Carrier())

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: shared.exchange(CREDIT).result, range(64)))

    assert results == ["2310.00"] * 64


# What comes back


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (OK, "2310.00"),
        (OK_12, "2310.00"),
        ("\ufeff" + OK, "2310.00"),
        ("\r\n " + OK + "\r\n", "2310.00"),
        (OK.replace("soap:", "s:").replace("xmlns:soap", "xmlns:s"), "2310.00"),
        (OK.replace("<soap:Body>", "<soap:Header><h xmlns=''/></soap:Header><soap:Body>"), "2310.00"),
        (OK.replace(">2310.00<", "><![CDATA[2310.00]]><"), "2310.00"),
        (OK.replace(">2310.00<", "> 23<!-- -->10.00 <"), " 2310.00 "),
        (OK.replace(">2310.00<", ">&lt;a&gt;&amp;amp;<"), "<a>&amp;"),
        (OK.replace(">2310.00<", "><"), ""),
        (OK.replace("<getCreditResult>2310.00</getCreditResult>", "<getCreditResult />"), ""),
        (OK.replace("<getCreditResult>2310.00</getCreditResult>", ""), None),
        (OK.replace("<getCreditResult>2310.00</getCreditResult>", '<getCreditResult xsi:nil="true" />'), None),
    ],
)
def test_a_result_is_read_however_it_is_written(body: str, result: str | None) -> None:
    assert exchange(body) == result


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "<html><body>busy</body></html>",
        "<!DOCTYPE html><html></html>",
        "2310.00",
        OK[:-1],
        OK[: len(OK) // 2],
        OK.replace("getCreditRes", "getConnectionRes"),
        OK.replace("http://tempuri.org/", "http://other.example/"),
        OK.replace("http://schemas.xmlsoap.org/soap/envelope/", "urn:other"),
        OK.replace("soap:Body", "soap:Header"),
        OK.replace("2310.00", "<a>2310.00</a>"),
        OK.replace("<soap:Envelope", '<!DOCTYPE e [<!ENTITY c "2310.00">]><soap:Envelope').replace(
            ">2310.00<", ">&c;<"
        ),
        OK.replace('encoding="utf-8"', 'encoding="utf-16"'),
        OK.replace("2310.00", "\x00"),
        OK.replace("2310.00", "<a>" * 1000),
    ],
)
def test_what_is_no_answer_may_have_been_read(body: str) -> None:
    outcome = broken(body)

    assert isinstance(outcome, MaybeSent)
    assert outcome.reason.code is Code.NO_REPLY


def test_an_answer_cut_anywhere_is_no_answer() -> None:
    for length in range(len(OK)):
        assert isinstance(broken(OK[:length]), MaybeSent), length


@pytest.mark.parametrize("status", [201, 202, 204, 301, 302, 400, 401, 403, 404, 415, 500, 502, 503])
def test_any_other_status_is_no_answer_whatever_it_says(status: int) -> None:
    for body in (OK, "", "<html>"):
        outcome = broken(body, status)

        assert isinstance(outcome, MaybeSent)
        assert outcome.reason.provider_code == f"HTTP {status}"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("body", "code"), [(FAULT, "soap:Server"), (FAULT_12, "soap:Receiver")])
def test_a_fault_leaves_open_what_was_done(body: str, code: str, status: int) -> None:
    assert broken(body, status) == MaybeSent(Reason(Code.PROVIDER_ERROR, code, "SOAP fault"))


def test_a_fault_without_a_code_is_one() -> None:
    body = FAULT.replace("<faultcode>soap:Server</faultcode>", "")

    assert broken(body, 500) == MaybeSent(Reason(Code.PROVIDER_ERROR, "Fault", "SOAP fault"))


@pytest.mark.parametrize("outcome", [NotSent(Reason(Code.PROVIDER_UNREACHABLE)), MaybeSent(Reason(Code.NO_REPLY))])
def test_a_call_that_broke_means_what_http_says(outcome: NotSent | MaybeSent) -> None:
    with pytest.raises(CallBroken) as raised:
        SoapTransport(http=Carrier(broken=outcome)).exchange(CREDIT)

    assert raised.value.outcome == outcome


@given(body=st.binary(max_size=300))
def test_no_bytes_are_taken_for_an_answer(body: bytes) -> None:
    broken(body)


def test_a_bomb_is_refused_at_once() -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = OK.replace("<soap:Envelope", f'<!DOCTYPE e [<!ENTITY a0 "ha">{entities}]><soap:Envelope')
    begun = time.monotonic()

    outcome = broken(bomb.replace("2310.00", "&a11;"))

    assert isinstance(outcome, MaybeSent)
    assert time.monotonic() - begun < 1


# Over real sockets

Serve = Callable[..., RawServer]


def test_a_call_over_the_wire(serve: Serve) -> None:
    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.say(answer(OK.encode(), b"200 OK", b"Content-Type: text/xml; charset=utf-8"))

    server = serve(script)

    with closing(HttpTransport(5)) as http:
        answered = SoapTransport(http=http).exchange(SoapRequest(server.url, *_credit()))

    assert answered.result == "2310.00"
    (heard,) = server.requests
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /sms/send.asp HTTP/1.1\r\n")
    assert b'\r\nSOAPAction: "http://tempuri.org/getCredit"' in head
    assert b"\r\nContent-Type: text/xml; charset=utf-8" in head
    assert body.endswith(b"</soap-env:Envelope>")


def test_a_page_of_a_thousand_reports_fits_and_an_endless_answer_does_not(serve: Serve) -> None:
    sizes = [ANSWER_CAP - 1_000, 30 * 1024 * 1024]

    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.say(answer(OK.replace("2310.00", "1" * sizes.pop(0)).encode()))

    server = serve(script)
    soap = SoapTransport(10)

    result = soap.exchange(SoapRequest(server.url, *_credit())).result
    with pytest.raises(CallBroken) as raised:
        soap.exchange(SoapRequest(server.url, *_credit()))

    assert len(result or "") == ANSWER_CAP - 1_000
    assert isinstance(raised.value.outcome, MaybeSent)
    assert raised.value.outcome.reason.provider_text == "AnswerTooLarge"


def test_a_dripping_answer_ends_with_the_deadline(serve: Serve) -> None:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.drip(answer(OK.encode()), 0.02)

    server = serve(script)
    soap = SoapTransport(0.5)
    soap._envelope(CREDIT, ("sessionKey",))  # zeep is loaded
    begun = time.monotonic()

    with pytest.raises(CallBroken) as raised:
        soap.exchange(SoapRequest(server.url, *_credit()))

    assert isinstance(raised.value.outcome, MaybeSent)
    assert time.monotonic() - begun < 1.5


def _credit() -> tuple[Version, str, tuple[tuple[str, str], ...]]:
    return "1.1", "getCredit", CREDIT.arguments


# What it takes along


def test_nothing_is_fetched_to_render_a_call() -> None:
    program = (
        f"import sys; sys.path[:0] = {[folder for folder in sys.path if folder]!r}\n"
        "import socket, urllib.request\n"
        "def refuse(*_, **__): raise AssertionError('the network')\n"
        "socket.socket.connect = socket.getaddrinfo = urllib.request.urlopen = refuse\n"
        "from smstransports.soap import SoapTransport\n"
        "from smsgate.wire import HttpResponse, SoapRequest\n"
        "class Carrier:\n"
        "    def carry(self, *_, **__): return HttpResponse(200, OK)\n"
        f"OK = {OK.encode()!r}\n"
        "assert 'zeep' not in sys.modules and 'lxml' not in sys.modules\n"
        "soap = SoapTransport(http=Carrier())\n"
        "assert 'zeep' not in sys.modules and 'lxml' not in sys.modules\n"
        "for version in ('1.1', '1.2'):\n"
        "    print(soap.exchange(SoapRequest('https://x/', version, 'getCredit', (('sessionKey', 'x'),))).result)\n"
        "assert 'zeep' in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["2310.00", "2310.00"]


def test_the_wsdl_is_shipped_beside_the_transport_and_leads_nowhere() -> None:
    document = etree.parse(str(WSDL))
    places = {place.get("location") for place in document.iter() if place.get("location")}

    assert WSDL.parent == Path(sys.modules["smstransports.soap"].__file__ or "").parent
    assert places == {"https://address.invalid/"}
    assert not list(document.iter("{*}import", "{*}include"))


def test_neither_text_nor_session_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    fresh = SoapTransport(http=Carrier())
    fresh.exchange(CREDIT)
    with pytest.raises(CallBroken):
        fresh.exchange(SoapRequest(URL, "1.1", "sendSMS", (("sessionKey", "canary"), ("content", "canary"))))

    assert "canary" not in caplog.text
    assert "canary" not in repr(CREDIT) + repr(fresh)
    assert not logging.getLogger("zeep.transports").isEnabledFor(logging.INFO)
