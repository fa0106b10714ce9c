"""The other ends of the wires: five vendors that take whatever they are given, in their own words, and remember it.

What a call carries is read here once more, from the vendors' documents and not with the gateway's own code: which text
to which numbers. So a text that was changed on its way, or a number that was slipped in, is seen.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from smsgate.wire import HttpRequest, HttpResponse, MailRequest, MailResponse, SoapRequest, SoapResponse

KEYS = ("twsms", "smsgo", "smsget", "every8d", "meteorsis")

BATCH = "220478cc-8506-49b2-93b7-2505f651c12e"
SESSION = "0123456789abcdef0123456789abcdef"
REFERENCES = {
    "twsms": "222160591",
    "smsgo": "1504280910499665",
    "smsget": "5837201",
    "every8d": BATCH,
    "meteorsis": "10001",
}

_CONNECTED = (
    '<?xml version="1.0" encoding="UTF-8"?><SMS><GET_CONNECTION><CODE>0</CODE>'
    f"<SESSION_KEY>{SESSION}</SESSION_KEY><DESCRIPTION></DESCRIPTION></GET_CONNECTION></SMS>"
)
_TAGS = ["USERNAME", "PASSWORD", "RECIPIENT", "CONTENT", "LANG_ENG", "SCHEDULING", "SENDERID"]
_SUBJECT = re.compile(r"[a-z2-7]{24}-[0-9]+-[0-9]+(?:-[0-9a-f]+)?")


class Carried(NamedTuple):
    """One short message, as its vendor would send it."""

    vendor: str
    to: str  # E.164
    text: str


@dataclass
class Vendors:
    calls: list[Any] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)

    def __call__(self, request: Any, /) -> Any:
        self.calls.append(request)
        if isinstance(request, SoapRequest) and request.operation == "getConnection":
            return SoapResponse(_CONNECTED)
        vendor = _vendor(request)
        read, answer = _VENDORS[vendor]
        self.carried += [Carried(vendor, to, text) for to, text in read(request)]
        return answer

    @property
    def addresses(self) -> set[str]:
        return {urlsplit(call.url).netloc for call in self.calls if not isinstance(call, MailRequest)}


def _vendor(request: object) -> str:
    if isinstance(request, MailRequest):
        return "meteorsis"
    if isinstance(request, SoapRequest):
        return "every8d"
    assert isinstance(request, HttpRequest)
    return {"api.twsms.com": "twsms", "ssl.smsgo.com.tw": "smsgo", "sms-get.com": "smsget"}[
        urlsplit(request.url).netloc
    ]


Read = Callable[[Any], list[tuple[str, str]]]


def _form(numbers: str, text: str) -> Read:
    def read(request: HttpRequest) -> list[tuple[str, str]]:
        fields = dict(request.fields)
        assert len(fields) == len(request.fields)
        return [(_e164(number), fields[text]) for number in fields[numbers].split(",")]

    return read


def _soap(request: SoapRequest) -> list[tuple[str, str]]:
    arguments = dict(request.arguments)
    assert len(arguments) == len(request.arguments)
    if request.operation == "sendSMS":
        return [(_e164(number), arguments["content"]) for number in arguments["mobile"].split(",")]
    assert request.operation == "sendParamSMS"
    root = ET.fromstring(arguments["contentXML"])
    assert {child.tag for child in root} == {"USER"}
    return [(_e164(user.attrib["MOBILE"]), user.text or "") for user in root]


def _mail(request: MailRequest) -> list[tuple[str, str]]:
    lines = dict(re.findall(r"^\[([A-Z_]+)\]=(.*)$", "\n".join(request.lines), re.MULTILINE))
    assert list(lines) == _TAGS
    assert len(request.lines) == len(_TAGS)
    assert _SUBJECT.fullmatch(request.subject)
    assert all(line.isascii() and line.isprintable() for line in request.lines)
    text = lines["CONTENT"] if lines["LANG_ENG"] == "1" else bytes.fromhex(lines["CONTENT"]).decode("utf-16-be")
    return [(f"+{number}", text) for number in lines["RECIPIENT"].split(",")]


def _e164(written: str) -> str:
    """As the vendors' documents write numbers of Taiwan and Hong Kong."""
    if written.startswith("+"):
        return written
    if written.startswith("09"):
        return f"+886{written[1:]}"
    return f"+{written}" if len(written) > 8 else f"+852{written}"


_VENDORS: Mapping[str, tuple[Read, object]] = {
    "twsms": (
        _form("mobile", "message"),
        HttpResponse(200, f'{{"code":"00000","text":"Success","msgid":{REFERENCES["twsms"]}}}'.encode()),
    ),
    "smsgo": (
        _form("dstaddr", "smbody"),
        HttpResponse(
            200,
            f'{{"result":{{"msgid":{REFERENCES["smsgo"]},"statuscode":"0","statusstr":"OK","point":1}}}}'.encode(),
        ),
    ),
    "smsget": (
        _form("phone", "sms_msg"),
        HttpResponse(200, f'{{"stats":true,"error_code":"000","error_msg":"{REFERENCES["smsget"]}|1|437"}}'.encode()),
    ),
    "every8d": (_soap, SoapResponse(f"285.0,1,1.0,0,{BATCH}")),
    "meteorsis": (_mail, MailResponse()),
}
