"""SOAP calls to providers: zeep renders after a WSDL of our own, our HTTP carries, one hardened parser reads.

zeep is loaded with the first call and renders every operation once, with a place for each argument; the texts of a call
are then put into these places, escaped. So names, order, namespaces and headers are the WSDL's, nothing is fetched, and
a call costs less than a quarter of what zeep and requests would take (bench/soap_transport.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from xml.etree.ElementTree import Element

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason, quoted
from smsgate.strict_xml import Unacceptable, escaped, parse
from smsgate.wire import HttpResponse, SoapRequest, SoapResponse
from smstransports.http import HttpTransport
from smstransports.sockets import DeadlineTransport

WSDL = Path(__file__).with_name("SMS.wsdl")

ANSWER_CAP = 4 * 1024 * 1024
"""A page of a thousand reports is about half a megabyte, and more with what people replied."""

_ENVELOPES: Mapping[Literal["1.1", "1.2"], str] = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
_PORTS: Mapping[Literal["1.1", "1.2"], str] = {"1.1": "SMSSoap", "1.2": "SMSSoap12"}
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"

# At DEBUG some of zeep's modules write down what they send and receive.
logging.getLogger("zeep").setLevel(logging.WARNING)


class Carrier(Protocol):
    """The HTTP below: one call under one deadline, raising CallBroken and nothing else."""

    def carry(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse: ...


@dataclass(frozen=True, slots=True)
class _Envelope:
    """An operation as zeep rendered it, with `{name}` where each argument goes."""

    template: str
    headers: Mapping[str, str]
    operation: str  # its qualified name

    def filled(self, arguments: Mapping[str, str]) -> bytes:
        """Raises Unacceptable where an argument holds what XML cannot."""
        return self.template.format_map({name: escaped(value) for name, value in arguments.items()}).encode()


class SoapTransport:
    """Any number of threads may share it."""

    def __init__(self, deadline_seconds: float = 10.0, *, http: Carrier | None = None) -> None:
        self._http = http or HttpTransport(deadline_seconds, transport=DeadlineTransport(answer_cap=ANSWER_CAP))
        self._renderer: _Renderer | None = None
        self._rendered: dict[tuple[str, str, tuple[str, ...]], _Envelope] = {}
        self._lock = threading.Lock()

    def exchange(self, request: SoapRequest) -> SoapResponse:
        """The operation's result. Raises CallBroken and nothing else: a Fault too leaves open what was done."""
        answer = self._attempt(request)
        # Raised out here, so that no exception of a library's, which may quote the envelope, hangs on it.
        if isinstance(answer, SoapResponse):
            return answer
        raise CallBroken(answer)

    def _attempt(self, request: SoapRequest) -> SoapResponse | NotSent | MaybeSent:
        arguments = dict(request.arguments)
        try:
            envelope = self._envelope(request, tuple(arguments))
            content = envelope.filled(arguments)
        except Unacceptable as error:
            return NotSent(Reason(Code.UNSUPPORTED_CHARACTER, provider_text=str(error)))
        except Exception as error:  # Whatever it is, there is no request yet.
            return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text=type(error).__name__))
        try:
            answer = self._http.carry("POST", request.url, content=content, headers=envelope.headers)
        except CallBroken as broken:
            return broken.outcome
        return _read(answer, envelope)

    def _envelope(self, request: SoapRequest, names: tuple[str, ...]) -> _Envelope:
        key = (request.version, request.operation, names)
        envelope = self._rendered.get(key)
        if envelope is None:
            with self._lock:
                self._renderer = self._renderer or _Renderer()
                envelope = self._rendered[key] = self._renderer.render(request.version, request.operation, names)
        return envelope


class _Renderer:
    def __init__(self) -> None:
        import zeep

        settings = zeep.Settings(raw_response=True, forbid_dtd=True, forbid_entities=True, forbid_external=True)
        with WSDL.open("rb") as wsdl:
            # zeep leaves this constructor without types.
            self._client = zeep.Client(wsdl, transport=_Nowhere(), settings=settings)  # type: ignore[no-untyped-call]

    def render(self, version: Literal["1.1", "1.2"], operation: str, names: tuple[str, ...]) -> _Envelope:
        service = self._client.bind("SMS", _PORTS[version])
        rendered: _Envelope = service[operation](**{name: f"{{{name}}}" for name in names})
        return rendered


class _Nowhere:
    """What zeep takes for its transport: fetches nothing, and hands back what it is given to send."""

    def load(self, url: str) -> bytes:
        raise PermissionError("nothing is fetched")

    def post_xml(self, address: str, envelope: Any, headers: Mapping[str, str]) -> _Envelope:
        from lxml import etree

        template = '<?xml version="1.0" encoding="utf-8"?>\n' + etree.tostring(envelope, encoding="unicode")
        (body,) = envelope
        (operation,) = body
        return _Envelope(template, dict(headers), operation.tag)


def _read(answer: HttpResponse, envelope: _Envelope) -> SoapResponse | MaybeSent:
    """An envelope with status 200 is an answer. A Fault comes with 500 and does not say what was done before it."""
    status = f"HTTP {answer.status}" if answer.status != 200 else None
    try:
        body = _body(parse(answer.body))
        fault = _fault(body)
        if fault is not None:
            return MaybeSent(Reason(Code.PROVIDER_ERROR, provider_code=quoted(fault), provider_text="SOAP fault"))
        if status is None:
            return SoapResponse(_result(body, envelope.operation))
    except Unacceptable as error:
        return MaybeSent(Reason(Code.NO_REPLY, provider_code=status, provider_text=f"unreadable answer: {error}"))
    return MaybeSent(Reason(Code.NO_REPLY, provider_code=status))


def _body(root: Element) -> Element:
    for namespace in _ENVELOPES.values():
        if root.tag == f"{{{namespace}}}Envelope":
            body = root.find(f"{{{namespace}}}Body")
            if body is not None:
                return body
    raise Unacceptable("no SOAP body")


def _fault(body: Element) -> str | None:
    """The code of a Fault: `soap:Server`, in 1.2 `soap:Receiver`. Its words may quote the request: they stay unread."""
    for namespace in _ENVELOPES.values():
        fault = body.find(f"{{{namespace}}}Fault")
        if fault is not None:
            code = fault.findtext("faultcode") or fault.findtext(f"{{{namespace}}}Code/{{{namespace}}}Value")
            return (code or "Fault").strip()
    return None


def _result(body: Element, operation: str) -> str | None:
    response = body.find(f"{operation}Response")
    if response is None:
        raise Unacceptable("no response to what was called")
    result = response.find(f"{operation}Result")
    if result is None or result.get(_NIL) in ("true", "1"):
        return None
    if len(result):
        raise Unacceptable("the result is no string")
    return result.text or ""
