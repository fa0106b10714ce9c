"""EVERY8D, shown by the bytes of its document (2.1) and by those its real server was seen to answer."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast, overload
from urllib.parse import quote_plus, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.base import Cut, Says, Step
from local.simulators.every8d import Every8d as Simulator
from smsgate.callbacks import callback_of
from smsgate.clock import SECOND, TAIPEI
from smsgate.ledger import Ledger
from smsgate.lines import Lines
from smsgate.messages import Attempt, Dispatch, Message, Reply, Report, TooLong
from smsgate.outcomes import Accepted, CallBroken, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import Ask, CannotSay, Refusal
from smsgate.providers.every8d import Every8d
from smsgate.reasons import Code, Reason
from smsgate.sessions import Sessions
from smsgate.status import Status
from smsgate.wire import (
    Callback,
    HttpRequest,
    HttpResponse,
    MailRequest,
    MailResponse,
    SoapRequest,
    SoapResponse,
)
from smstransports.http import HttpTransport
from smstransports.soap import SoapTransport
from tests.providers.contract import (
    NOW,
    NUMBER,
    PASSWORD,
    TEXT,
    Answer,
    CancelsContract,
    Contract,
    CreditContract,
    ProviderContract,
    QueriesContract,
    ReceiptsContract,
    RepliesContract,
    Request,
    Response,
    Wire,
    anything,
    hello,
)
from tests.providers.server_contract import HttpServerContract

ACCOUNT: Mapping[str, object] = {"username": "test", "password": PASSWORD}
URL = "https://oms.every8d.com/API21/SOAP/SMS.asmx"
BATCH = "220478cc-8506-49b2-93b7-2505f651c12e"  # section 1.2
SESSION = "9D7C1D3F2B6E4A0F8C5B7A6E1D2C3B4A"
OTHER_SESSION = "00000000000000000000000000000002"
MIDNIGHT = datetime(2026, 11, 21, tzinfo=TAIPEI)  # the one after NOW


def envelope(operation: str, result: str | None) -> bytes:
    """As an ASMX page writes it."""
    inside = "" if result is None else f"<{operation}Result>{escape(result)}</{operation}Result>"
    return (
        '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>'
        f'<{operation}Response xmlns="http://tempuri.org/">{inside}</{operation}Response></soap:Body></soap:Envelope>'
    ).encode()


def connection(code: str, key: str = "", words: str = "") -> str:
    """Section 1.1, with the root that real answers have."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<SMS>\n\t<GET_CONNECTION>\n\t\t<CODE>{code}</CODE>\n'
        f"\t\t<SESSION_KEY>{key}</SESSION_KEY>\n\t\t<DESCRIPTION>{words}</DESCRIPTION>\n\t</GET_CONNECTION>\n</SMS>"
    )


def login(result: str | None) -> bytes:
    return envelope("getConnection", result)


def sent(result: str | None) -> bytes:
    return envelope("sendSMS", result)


def log(*entries: str, count: int | str | None = None, code: str = "0", words: str = "發送狀態查詢成功") -> bytes:
    """Section 3.2."""
    return envelope(
        "getDeliveryStatus",
        f'<?xml version="1.0" encoding="utf-8"?>\n<SMS_LOG>\n    <CODE>{code}</CODE>\n'
        f"    <DESCRIPTION>{words}</DESCRIPTION>\n"
        f'    <GET_DELIVERY_STATUS COUNT="{len(entries) if count is None else count}">\n{"".join(entries)}'
        "    </GET_DELIVERY_STATUS>\n</SMS_LOG>",
    )


def entry(mobile: str = "+886933123123       ", status: str = "100", cost: str = "1.00", replies: str = "") -> str:
    return (
        f"        <SMS>\n            <NAME>Roger</NAME>\n            <MOBILE>{mobile}</MOBILE>\n"
        f"            <SENT_TIME>2010/3/20 03:27:50</SENT_TIME>\n            <COST>{cost}</COST>\n"
        f"            <STATUS>{status}</STATUS>\n{replies}        </SMS>\n"
    )


REPLY_SMS = (
    "            <REPLY_SMS>\n                <REPLY_TIME>2010/03/23 12:05:09 </REPLY_TIME>\n"
    "                <MESSAGE>\n                    <![CDATA[回覆簡訊]]>\n                </MESSAGE>\n"
    "            </REPLY_SMS>\n"
)

LOGGED_IN = login(connection("0", SESSION, "取得連線成功"))
WRONG_PASSWORD = login(connection("-101", words="取得連線失敗,密碼錯誤"))
SENT = sent(f"285.0,1,1.0,0,{BATCH}")
ASKED = Ask(BATCH, "+886933123123", submitted_at=NOW - timedelta(minutes=5))

soap = SoapTransport()


@dataclass
class _Carrier:
    answer: Answer

    def carry(
        self, method: str, url: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        if isinstance(self.answer, NotSent | MaybeSent):
            raise CallBroken(self.answer)
        assert isinstance(self.answer, HttpResponse)
        return self.answer


@dataclass
class Line(Wire):
    """Answers with bytes, read as the SOAP transport reads them; a login is answered by itself and kept by itself."""

    login: Answer = field(default_factory=lambda: HttpResponse(200, LOGGED_IN))
    logins: list[SoapRequest] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @overload
    def __call__(self, request: HttpRequest, /) -> HttpResponse: ...
    @overload
    def __call__(self, request: SoapRequest, /) -> SoapResponse: ...
    @overload
    def __call__(self, request: MailRequest, /) -> MailResponse: ...
    def __call__(self, request: Request, /) -> Response:
        assert isinstance(request, SoapRequest)
        if request.operation == "getConnection":
            self.logins.append(request)
            answer = self.login
        else:
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append(request)
        soap._http = _Carrier(answer)
        return soap.exchange(request)

    def session(self, login: Callable[[], str], ends: datetime) -> str:
        self.ends.append(ends)
        return super().session(login, ends)

    def session_lost(self, session: str) -> None:
        self.lost.append(session)
        super().session_lost(session)

    def called(self) -> list[tuple[str, dict[str, str]]]:
        requests = [request for request in self.requests if isinstance(request, SoapRequest)]
        return [(request.operation, dict(request.arguments)) for request in requests]


def line(*bodies: bytes) -> Line:
    return Line([HttpResponse(200, body, "text/xml; charset=utf-8") for body in bodies])


class Soap(Contract):
    provider_class = Every8d
    account = ACCOUNT

    def wire(self, answer: Answer) -> Wire:
        if isinstance(answer, HttpResponse) and b"getConnection" in answer.body:
            return Line([answer], login=answer)
        return Line([answer])


# Sections 1.2 and 2.2, and what the real server was seen to say.
CODES: Mapping[str, tuple[type[Outcome], Code]] = {
    "-301": (NotSent, Code.PROVIDER_ERROR),  # twice, after a new login
    "-99": (MaybeSent, Code.PROVIDER_ERROR),
    "-24": (Refused, Code.EMPTY_TEXT),
    "-27": (Refused, Code.INVALID_NUMBER),
    "-41": (Refused, Code.INVALID_NUMBER),
    "-306": (Refused, Code.INVALID_NUMBER),
    "-100": (Refused, Code.BAD_CREDENTIALS),
    "-101": (Refused, Code.BAD_CREDENTIALS),
    "-300": (Refused, Code.BAD_CREDENTIALS),
    "-999": (Refused, Code.ACCOUNT_DISABLED),
}

UNLISTED = {code: sent(f"{code},系統無法處理該命令") for code in ("-1", "-4", "-98", "-302", "-500")}


class TestSending(Soap, ProviderContract):
    ok = SENT
    ok_ref = BATCH
    without_reference = (
        sent("285.0,1,1.0,0,"),
        sent("285.0,1,1.0,0"),
        sent("285.0,1,1.0"),
        sent("285.0,1,1.0,0,220478cc"),
        sent(f"285.0,1,1.0,0,{BATCH[:-1]}"),
        sent(f"285.0,1,1.0,0,{BATCH}1"),
        sent(f"285.0,1,1.0,0,{BATCH.replace('-', '')}"),
        sent("285.0,1,1.0,0,２２０４７８cc-8506-49b2-93b7-2505f651c12e"),
        sent(BATCH),
        sent("285.0"),
        sent("1"),
        sent(""),
        sent(None),
    )
    unlisted = UNLISTED
    codes = CODES

    def says(self, code: str) -> bytes:
        return sent(f"{code},系統無法處理該命令")

    def is_success(self, body: bytes) -> bool:
        try:
            root = ET.fromstring(body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n"))
        except (ET.ParseError, ValueError, LookupError):
            return False
        found = root.find(
            "{http://schemas.xmlsoap.org/soap/envelope/}Body/{http://tempuri.org/}sendSMSResponse/"
            "{http://tempuri.org/}sendSMSResult"
        )
        if found is None or len(found) or root.tag != "{http://schemas.xmlsoap.org/soap/envelope/}Envelope":
            return False
        number = r"\d{1,12}(\.\d\d?)?"
        guid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        fields = re.fullmatch(
            rf"{number}, ?(\d{{1,9}}), ?({number}), ?((\d{{1,9}}), ?)?{guid}",
            (found.text or "").strip(),
            re.ASCII | re.IGNORECASE,
        )
        return fields is not None and not (
            int(fields[2]) == 0 and Decimal(fields[3]) == 0 and int(fields[6] or 0) >= 1  # refused for want of credit
        )


class TestQuerying(Soap, QueriesContract):
    asked = ASKED
    settled = log(entry())
    bad_credentials = WRONG_PASSWORD
    no_report_yet = (
        log(),
        log(count=0),
        log(entry(mobile="+886912345678")),
        log(entry(status="")),
        log(entry(status="999")),
        log(entry(mobile="")),
    )
    unlisted_status = ("777", log(entry(status="777")))


class TestCanceling(Soap, CancelsContract):
    to_cancel = ASKED
    settled = envelope("eraseBooking", "1,3.0")
    points_returned = Decimal(3)
    bad_credentials = WRONG_PASSWORD
    too_late = (
        envelope("eraseBooking", ""),  # 空值: 查無資料
        envelope("eraseBooking", None),
        envelope("eraseBooking", "0,0"),
        envelope("eraseBooking", "-3,查無資料"),
        envelope("eraseBooking", "-4,已發送或已刪除"),
        envelope("eraseBooking", "-8,目前無法刪除"),
    )


class TestCredit(Soap, CreditContract):
    settled = envelope("getCredit", "2310.00")
    credit_left = Decimal(2310)
    bad_credentials = WRONG_PASSWORD


RECEIPT = f"BatchID={BATCH}&RM=%2B886961295288&RT=20090210120000&STATUS=100&SM=&MR="  # section 3.1
RECEIPT_READ = Report(
    status=Status.DELIVERED,
    reason=None,
    provider_code="100",
    provider_time="20090210120000",
    provider_ref=BATCH,
    to="+886961295288",
)
RECEIPTS_READ = [RECEIPT_READ]


class TestReceipts(Soap, ReceiptsContract):
    receipt = Callback("GET", "", RECEIPT)
    reports = RECEIPTS_READ
    unlisted_receipt = ("777", Callback("GET", "", RECEIPT.replace("STATUS=100", "STATUS=777")))


REPLY = f"BatchID={BATCH}&RM=%2B886961295288&RT=20090210120000&STATUS=999&SM=%E5%9B%9E%E8%A6%86+%26+1%2b1&MR="
REPLY_KEY = "bfa6a7fcc101372b06decfed9497a1f2"  # kept in ledgers: another would make old replies new
REPLIES_READ = [Reply("every8d", REPLY_KEY, "+886961295288", "回覆 & 1+1", "20090210120000", BATCH)]


class TestReplies(Soap, RepliesContract):
    reply = Callback("GET", "", REPLY)
    replies = REPLIES_READ
    no_reply = (
        Callback("GET", "", "x=1"),
        Callback("GET", "", "SM=hi"),
        Callback("GET", "", "STATUS=999"),
        Callback("GET", "", "STATUS=999&RM=0912345678"),
        Callback("GET", "", "STATUS=999&SM=hi"),
        Callback("GET", "", "STATUS=999&RM=&SM=hi"),
        Callback("GET", "", "STATUS=999&RM=+&SM=hi"),
        Callback("GET", "", f"{REPLY}&SM=twice"),
    )


# The session (section 1.1)


def send(wire: Line, *messages: Message, now: datetime = NOW, **account: Any) -> tuple[Outcome, ...]:
    return Every8d({**ACCOUNT, **account}).send(Dispatch("every8d", messages or (hello(),), now), wire)


def test_a_session_is_asked_for_before_anything_else() -> None:
    wire = line(SENT)

    send(wire)

    (request,) = wire.logins
    assert (request.url, request.version, request.operation) == (URL, "1.1", "getConnection")
    assert request.arguments == (("userID", "test"), ("password", PASSWORD))
    assert PASSWORD not in repr(request)
    ((operation, arguments),) = wire.called()
    assert (operation, arguments["sessionKey"]) == ("sendSMS", SESSION)


def test_a_session_is_good_for_several_calls_of_several_kinds() -> None:
    wire = line(SENT, SENT, log(entry()), envelope("getCredit", "1"), envelope("eraseBooking", "1,1.0"))
    provider = Every8d(ACCOUNT)

    for _ in range(2):
        provider.send(Dispatch("every8d", (hello(),), NOW), wire)
    provider.query([ASKED], NOW, wire)
    provider.credit(wire)
    provider.cancel(ASKED, wire)

    assert len(wire.logins) == 1
    assert {arguments["sessionKey"] for _, arguments in wire.called()} == {SESSION}


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-20T12:00:00+08:00", "2026-11-21T00:00:00+08:00"),
        ("2026-11-20T23:59:59+08:00", "2026-11-21T00:00:00+08:00"),
        ("2026-11-21T00:00:00+08:00", "2026-11-22T00:00:00+08:00"),
        ("2026-11-20T16:00:00+00:00", "2026-11-22T00:00:00+08:00"),
        ("2026-12-31T23:00:00+08:00", "2027-01-01T00:00:00+08:00"),
    ],
)
def test_a_session_ends_with_the_day_in_taipei(now: str, ends: str) -> None:
    wire = line(SENT)

    send(wire, now=datetime.fromisoformat(now))

    assert wire.ends == [datetime.fromisoformat(ends)]


def test_a_new_login_in_the_last_moments_of_a_day_may_be_the_next_days() -> None:
    wire = line(sent("-301,Session 資料不存在,請重新登入。"), SENT)

    send(wire, now=MIDNIGHT - timedelta(seconds=1))

    assert wire.ends == [MIDNIGHT, MIDNIGHT + timedelta(days=1)]


def test_who_asks_without_a_clock_leaves_the_end_of_a_session_to_the_vendor() -> None:
    wire = line(envelope("getCredit", "-301,Session 資料不存在,請重新登入。"), envelope("getCredit", "7"))

    assert Every8d(ACCOUNT).credit(wire) == 7
    assert len(wire.logins) == 2
    assert all(ends > NOW + timedelta(days=365) for ends in wire.ends)


@pytest.mark.parametrize(
    ("result", "code", "provider_code", "words"),
    [
        (connection("-100", words="取得連線失敗,無此帳號"), Code.BAD_CREDENTIALS, "-100", "取得連線失敗,無此帳號"),
        (connection("-101", words="取得連線失敗,密碼錯誤"), Code.BAD_CREDENTIALS, "-101", "取得連線失敗,密碼錯誤"),
        (connection("-999", words="帳號已封鎖"), Code.ACCOUNT_DISABLED, "-999", "帳號已封鎖"),
        (connection("-300"), Code.BAD_CREDENTIALS, "-300", None),
        ("-300, 帳號密碼不得為空值。", Code.BAD_CREDENTIALS, "-300", "帳號密碼不得為空值。"),
        ("-101,密碼錯誤", Code.BAD_CREDENTIALS, "-101", "密碼錯誤"),
        ("-101", Code.BAD_CREDENTIALS, "-101", None),
        (connection("-102"), Code.BAD_CREDENTIALS, "-102", None),  # never tried ten times to find out what it means
        (connection("-99", words="主機端發生不明錯誤"), Code.PROVIDER_ERROR, "-99", "主機端發生不明錯誤"),
        (connection("-301"), Code.PROVIDER_ERROR, "-301", None),
        (connection("-5"), Code.UNKNOWN, "-5", None),
    ],
)
def test_a_login_that_is_refused_says_why_and_nothing_is_sent(
    result: str, code: Code, provider_code: str, words: str | None
) -> None:
    wire = replace(line(SENT), login=HttpResponse(200, login(result)))
    reason = Reason(code, provider_code, words)

    outcomes = send(wire, hello(), hello(message_id="abcdefghijklmnopqrstuvwx-1", to="+886987654321"))
    with pytest.raises(CannotSay) as raised:
        Every8d(ACCOUNT).credit(wire)

    assert outcomes == (NotSent(reason), NotSent(reason))
    assert raised.value.reason == reason
    assert wire.requests == []
    assert len(wire.logins) == 2


@pytest.mark.parametrize(
    "result",
    [
        None,
        "",
        "1",
        "OK",
        connection("0"),
        connection("0", "short"),
        connection("0", "a" * 65),
        connection("0", "９D7C1D3F2B6E4A0F8C5B7A6E1D2C3B4A"),
        connection("", SESSION),
        connection("1", SESSION),
        connection("0", SESSION)[:-1],
        connection("0", SESSION).replace("GET_CONNECTION", "CONNECTION"),
        connection("0", SESSION).replace("<SMS>", '<!DOCTYPE SMS [<!ENTITY a "b">]><SMS>'),
        connection("0", SESSION).replace("<SMS>", "<SMS>" * 1000),
        f"{SESSION}",
    ],
)
def test_a_login_that_cannot_be_read_is_none_and_nothing_is_sent(result: str | None) -> None:
    wire = replace(line(SENT), login=HttpResponse(200, login(result)))

    (outcome,) = send(wire)

    assert isinstance(outcome, NotSent)
    assert outcome.reason.code is Code.PROVIDER_ERROR
    assert wire.requests == []


@pytest.mark.parametrize(
    "result",
    [
        connection("0", SESSION),
        f"<GET_CONNECTION><CODE>0</CODE><SESSION_KEY>{SESSION}</SESSION_KEY></GET_CONNECTION>",
        f"\r\n<SMS><GET_CONNECTION><CODE> 0 </CODE><SESSION_KEY> {SESSION}\n</SESSION_KEY><N/></GET_CONNECTION></SMS>",
        f"\ufeff{connection('0', SESSION)}",
    ],
)
def test_a_session_key_is_read_however_it_is_written(result: str) -> None:
    wire = replace(line(SENT), login=HttpResponse(200, login(result)))

    send(wire)

    assert wire.called()[0][1]["sessionKey"] == SESSION


@pytest.mark.parametrize("broken", [NotSent(Reason(Code.PROVIDER_UNREACHABLE)), MaybeSent(Reason(Code.NO_REPLY))])
def test_a_login_that_broke_sends_nothing_whatever_it_did(broken: NotSent | MaybeSent) -> None:
    wire = replace(line(SENT), login=broken)

    assert send(wire) == (NotSent(broken.reason),)
    assert wire.requests == []


def test_a_lost_session_is_answered_by_one_new_login_and_the_same_call() -> None:
    wire = line(sent("-301,Session 資料不存在,請重新登入。"), SENT)

    assert send(wire) == (Accepted(BATCH, Decimal(1), Decimal(285)),)
    assert wire.lost == [SESSION]
    assert len(wire.logins) == 2
    first, second = wire.called()
    assert first == second


def test_a_session_lost_twice_is_not_asked_for_a_third_time() -> None:
    wire = line(sent("-301, Session 資料不存在,請重新登入。"))

    assert send(wire) == (NotSent(Reason(Code.PROVIDER_ERROR, "-301", "session lost twice")),)
    assert len(wire.logins) == len(wire.requests) == 2


@pytest.mark.parametrize(
    "lost",
    [
        envelope("getDeliveryStatus", "-301,Session 資料不存在,請重新登入。"),
        log(code="-301", words="Session 資料不存在,請重新登入。"),
    ],
)
def test_a_session_lost_while_asking_is_answered_in_the_same_way(lost: bytes) -> None:
    wire = line(lost, log(entry()))

    (report,) = Every8d(ACCOUNT).query([ASKED], NOW, wire)

    assert report.status is Status.DELIVERED
    assert len(wire.logins) == 2


# sendSMS (section 1.2)


def called(*messages: Message, now: datetime = NOW) -> tuple[str, dict[str, str]]:
    wire = line(SENT)
    send(wire, *messages, now=now)
    ((operation, arguments),) = wire.called()
    assert arguments.pop("sessionKey") == SESSION
    return operation, arguments


def to(number: str, text: str = "hi", **fields: Any) -> Message:
    return hello(message_id=f"abcdefghijklmnopqrstuvwx-{number}", to=number, text=text, **fields)


def test_one_text_for_everybody_goes_out_as_section_1_2() -> None:
    assert called(to("+886912345678", "測試"), to("+886922333444", "測試"), to("+85261234567", "測試")) == (
        "sendSMS",
        {"subject": "", "content": "測試", "mobile": "+886912345678,+886922333444,+85261234567", "sendTime": ""},
    )


def test_the_arguments_are_in_the_documents_order() -> None:
    wire = line(SENT)

    send(wire)

    (request,) = wire.requests
    assert isinstance(request, SoapRequest)
    assert [name for name, _ in request.arguments] == ["sessionKey", "subject", "content", "mobile", "sendTime"]


def test_the_label_is_the_subject() -> None:
    assert called(hello(label="十一月帳單"))[1]["subject"] == "十一月帳單"


def test_line_breaks_are_sent_as_line_feeds() -> None:
    assert called(hello(text="one\r\ntwo\nthree"))[1]["content"] == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("send_at", "send_time"),
    [
        ("2026-11-20T14:00:00+08:00", "20261120140000"),
        ("2026-11-20T14:00:00.000001+08:00", "20261120140001"),
        ("2026-11-20T23:59:59.5+08:00", "20261121000000"),
        ("2028-02-28T23:59:59.1+08:00", "20280229000000"),
        ("2026-11-20T06:30:15+00:00", "20261120143015"),
        ("2026-11-20T10:30:00-09:30", "20261121040000"),
        ("2026-11-20T12:00:00.5+08:00", "20261120120030"),  # it would be past when it arrives
        ("2026-11-20T12:00:29+08:00", "20261120120030"),
        ("2026-11-20T12:00:31+08:00", "20261120120031"),
        ("9999-12-31T15:59:59+00:00", "99991231235959"),
        ("2026-11-20T12:00:00+08:00", ""),
        ("2026-11-20T11:00:00+08:00", ""),
    ],
)
def test_a_scheduled_time_is_written_in_taipeis_seconds_and_never_too_early(send_at: str, send_time: str) -> None:
    assert called(hello(send_at=datetime.fromisoformat(send_at)))[1]["sendTime"] == send_time


def test_the_address_and_the_version_are_settings() -> None:
    wire = line(SENT)

    send(wire, base_url="https://sms.example/API21/SOAP/SMS.asmx", soap_version="1.2")

    requests = [*wire.logins, *(request for request in wire.requests if isinstance(request, SoapRequest))]
    assert {(each.url, each.version) for each in requests} == {("https://sms.example/API21/SOAP/SMS.asmx", "1.2")}


@pytest.mark.parametrize(
    ("field_", "value"),
    [
        ("soap_version", "1.3"),
        ("soap_version", 1.1),
        ("soap_version", None),
        ("base_url", "http://oms.every8d.com/API21/SOAP/SMS.asmx"),
        ("base_url", "https://user@oms.every8d.com/"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(field_: str, value: object) -> None:
    with pytest.raises(ValueError, match=field_):
        Every8d({**ACCOUNT, field_: value})


# sendParamSMS (section 2.2)


def test_different_texts_go_out_as_section_2_2() -> None:
    assert called(to("+88690000001", "ok ok java hello<>@#\\$%^&*()"), to("+88690000002", "這是什麼的測試內容喔")) == (
        "sendParamSMS",
        {
            "subject": "",
            "contentXML": (
                '<REPS><USER NAME="" MOBILE="+88690000001" EMAIL="" SENDTIME="">'
                "<![CDATA[ok ok java hello<>@#\\$%^&*()]]></USER>"
                '<USER NAME="" MOBILE="+88690000002" EMAIL="" SENDTIME="">'
                "<![CDATA[這是什麼的測試內容喔]]></USER></REPS>"
            ),
            "sendTime": "",
        },
    )


def test_names_travel_with_their_messages() -> None:
    _, arguments = called(to(NUMBER, name="TEST"), to("+886922333444", name="<\"&'>"))

    assert arguments["contentXML"] == (
        f'<REPS><USER NAME="TEST" MOBILE="{NUMBER}" EMAIL="" SENDTIME=""><![CDATA[hi]]></USER>'
        '<USER NAME="&lt;&quot;&amp;\'&gt;" MOBILE="+886922333444" EMAIL="" SENDTIME=""><![CDATA[hi]]></USER></REPS>'
    )


def test_of_a_name_fifty_characters_are_kept() -> None:
    _, arguments = called(hello(name="王" * 100))

    assert f'NAME="{"王" * 50}"' in arguments["contentXML"]


def test_subject_and_time_of_a_personal_call_are_those_of_its_messages() -> None:
    when = NOW + timedelta(hours=2)

    operation, arguments = called(hello(name="a", label="b", send_at=when))

    assert (operation, arguments["subject"], arguments["sendTime"]) == ("sendParamSMS", "b", "20261120140000")


def test_the_arguments_of_a_personal_call_are_in_the_documents_order() -> None:
    wire = line(envelope("sendParamSMS", f"285.0,1,1.0,0,{BATCH}"))

    outcomes = send(wire, hello(name="a"))

    (request,) = wire.requests
    assert isinstance(request, SoapRequest)
    assert [name for name, _ in request.arguments] == ["sessionKey", "subject", "contentXML", "sendTime"]
    assert outcomes == (Accepted(BATCH, Decimal(1), Decimal(285)),)


HOSTILE = [
    "]]>",
    "]]>]]>",
    "]]]]>>",
    "]]",
    "]]&gt;",
    "]]></USER>",
    f'a]]></USER><USER NAME="" MOBILE="+886900000000" EMAIL="" SENDTIME=""><![CDATA[{TEXT}',
    '</USER><USER NAME="" MOBILE="+886900000000" EMAIL="" SENDTIME="">b</USER>',
    "]]><USER/><![CDATA[",
    "]]></USER></REPS>",
    "]]></USER></REPS><REPS>",
    "<![CDATA[",
    "<![CDATA[a]]>",
    "<!-- -->",
    "-->",
    "<?xml version='1.0'?>",
    "<?php ?>",
    "<!DOCTYPE a>",
    "&lt;/USER&gt;",
    "&#60;/USER&#62;",
    "&amp;amp;",
    "&nbsp;",
    "&",
    "<",
    '"',
    "'",
    "\n]]>\n",
    "a,+886900000000",
    "+886900000000",
    "{content}{0}%s$x",
    "</ns0:content><ns0:mobile>+886900000000</ns0:mobile>",
    "</contentXML>",
    "\ufeff]]>",
    "𠮷😀]]>",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_and_no_name_becomes_a_second_recipient(hostile: str) -> None:
    _, arguments = called(to(NUMBER, hostile, name=hostile[:50]), to("+886922333444", "harmless"))

    root = ET.fromstring(arguments["contentXML"])

    assert [(user.tag, user.get("MOBILE"), user.text) for user in root] == [
        ("USER", NUMBER, hostile),
        ("USER", "+886922333444", "harmless"),
    ]
    assert root[0].get("NAME") == hostile[:50]
    assert all(not len(user) and user.tail is None for user in root)


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud83d", "\uffff"])
def test_what_xml_cannot_hold_is_refused_and_reaches_nobody(character: str) -> None:
    for message in (hello(name=f"a{character}"), hello(text=f"a{character}", name="b")):
        wire = line(SENT)

        (outcome,) = send(wire, message)

        assert isinstance(outcome, Refused)
        assert outcome.reason.code is Code.UNSUPPORTED_CHARACTER
        assert wire.requests == wire.logins == []


# What travels together


def test_texts_and_names_may_differ_in_one_call_and_subjects_may_not() -> None:
    assert Every8d.group(hello(text="a", name="b")) == Every8d.group(to("+886922333444", "c"))
    assert Every8d.group(hello(label="a")) != Every8d.group(hello(label="b")) != Every8d.group(hello())


def test_what_is_scheduled_travels_alone_so_that_it_can_be_erased_alone() -> None:
    when = NOW + timedelta(hours=2)

    groups = {Every8d.group(to(f"+88691234567{n}", send_at=when)) for n in range(5)}

    assert len(groups) == 5


@pytest.mark.parametrize("code", ["-24", "-27", "-41", "-306"])
def test_one_bad_message_costs_the_others_a_turn_and_no_more(code: str) -> None:
    good, bad = to("+886912345678"), to("+886922333444")

    outcomes = send(line(sent(f"{code},no")), good, bad)
    attempts = (Attempt("every8d", NOW, "not_sent", outcomes[1].reason if isinstance(outcomes[1], NotSent) else None),)
    again = [replace(message, attempts=attempts) for message in (good, bad)]

    assert [type(outcome) for outcome in outcomes] == [NotSent, NotSent]
    assert Every8d.group(good) == Every8d.group(bad)
    assert Every8d.group(again[0]) != Every8d.group(again[1])
    assert [type(outcome) for outcome in send(line(sent(f"{code},no")), again[1])] == [Refused]


def test_what_merely_could_not_be_reached_travels_together_again() -> None:
    attempts = (Attempt("every8d", NOW, "not_sent", Reason(Code.PROVIDER_UNREACHABLE)),)

    assert Every8d.group(hello(attempts=attempts)) == Every8d.group(hello())


def test_a_number_has_one_message_in_a_call_because_reports_name_nothing_else() -> None:
    first, second, other = to(NUMBER, "one"), to(NUMBER, "two", name="x"), to("+886922333444", "one")
    second = replace(second, message_id="abcdefghijklmnopqrstuvwx-9")
    wire = line(SENT)

    outcomes = send(wire, first, second, other)

    assert [type(outcome) for outcome in outcomes] == [Accepted, NotSent, Accepted]
    assert wire.called()[0][1]["mobile"] == f"{NUMBER},+886922333444"


# What a text costs, and what cannot be sent


@pytest.mark.parametrize(
    ("length", "points"),
    [
        (1, 1),
        (70, 1),
        (71, 2),
        (134, 2),
        (135, 3),
        (201, 3),
        (202, 4),
        (268, 4),
        (269, 5),
        (333, 5),
        (334, 6),
        (403, 6),
        (404, 7),
        (666, 10),
        (667, 11),
    ],
)
def test_a_text_costs_what_section_1_2_says(length: int, points: int) -> None:
    for text in ("中" * length, "a" * length):
        measure = Every8d.measure(hello(text=text))

        assert (measure.parts, measure.points, measure.encoding) == (points, Decimal(points), "Unicode")
        assert Every8d.measure(hello(text=text, to="+85261234567")).points == 3 * points


@pytest.mark.parametrize(("length", "parts"), [(70, 1), (71, 2), (140, 2), (141, 3), (333, 5)])
def test_abroad_a_long_text_is_split_into_single_messages(length: int, parts: int) -> None:
    assert Every8d.measure(hello(text="a" * length, to="+85261234567")).parts == parts


def test_what_lies_beyond_the_basic_plane_counts_twice_and_a_line_break_once() -> None:
    assert Every8d.measure(hello(text="𠮷" * 35)).points == 1
    assert Every8d.measure(hello(text="𠮷" * 36)).points == 2
    assert Every8d.measure(hello(text="a" * 69 + "\r\n")).points == 1


def refused(message: Message) -> tuple[Code, str] | None:
    refusal = Every8d.refusal(message, NOW)
    return None if refusal is None else (refusal.reason.code, refusal.problem)


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"to": "+886223456789"}, Code.INVALID_NUMBER, "`to`"),
        ({"text": "a\x00b"}, Code.UNSUPPORTED_CHARACTER, "U+0000"),
        ({"text": "中" * 71, "too_long": TooLong.REJECT}, Code.TOO_LONG, "`too_long`"),
        ({"text": "a" * 71, "too_long": TooLong.REJECT, "to": "+85261234567"}, Code.TOO_LONG, "`too_long`"),
    ],
)
def test_what_every8d_cannot_send_is_refused_with_the_field_and_the_remedy(
    fields: dict[str, Any], code: Code, named: str
) -> None:
    refusal = refused(hello(**fields))

    assert refusal is not None
    assert refusal[0] is code
    assert named in refusal[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "中" * 334},
        {"text": "a" * 2000},
        {"text": "😀"},
        {"text": "中" * 70, "too_long": TooLong.REJECT},
        {"to": "+85261234567"},
        {"to": "+12025550123"},
        {"reply_days": 30},
        {"valid_for": 60},
        {"label": "x" * 100},
        {"name": "x" * 100},
        {"send_at": NOW - timedelta(hours=1)},
    ],
)
def test_what_every8d_can_send_is_not_refused(fields: dict[str, Any]) -> None:
    assert refused(hello(**fields)) is None


# What comes back (sections 1.2 and 2.2)


def outcomes_of(result: str, messages: int = 1) -> tuple[Outcome, ...]:
    return send(line(sent(result)), *(to(f"+8869123{n:05}") for n in range(messages)))


@pytest.mark.parametrize(
    ("result", "points", "credit"),
    [
        (f"285.0,1,1.0,0,{BATCH}", "1.0", "285.0"),
        (f"1230.00,1,4.0,{BATCH}", "4.0", "1230.00"),  # the document's own sample lacks UNSEND
        (f"0,1,1,0,{BATCH}", "1", "0"),
        (f"0.5,1,1.25,0,{BATCH}", "1.25", "0.5"),
        (f"285.00, 1, 1.00, 0, {BATCH}", "1.00", "285.00"),
        (f" \n285.0,1,1.0,0,{BATCH}\r\n", "1.0", "285.0"),
        (f"285.0,1,1.0,0,{BATCH.upper()}", "1.0", "285.0"),
        (f"285.0,0,0.0,0,{BATCH}", "0.0", "285.0"),  # their reports will say why
        (f"0,1,0.0,1,{BATCH}", "0.0", "0"),  # sent and unsent at once: their reports will say
        (f"0,0,1.0,1,{BATCH}", "1.0", "0"),  # unsent and charged: their reports will say
    ],
)
def test_a_batch_is_accepted_however_it_is_written(result: str, points: str, credit: str) -> None:
    assert outcomes_of(result) == (Accepted(BATCH, Decimal(points), Decimal(credit)),)


@pytest.mark.parametrize(
    ("result", "points"),
    [
        (f"281.0,3,3.0,0,{BATCH}", "1"),  # as we reckoned
        (f"281.0,3,7.5,0,{BATCH}", "2.5"),  # not as we reckoned, but the same text to the same country
        (f"281.0,3,5.0,0,{BATCH}", None),  # nobody can say whose
        (f"281.0,2,2.0,1,{BATCH}", None),  # nor who of them was not sent it
        (f"281.0,0,0.0,0,{BATCH}", None),
    ],
)
def test_each_message_took_its_share_of_what_its_batch_costs_where_that_can_be_told(
    result: str, points: str | None
) -> None:
    share = None if points is None else Decimal(points)

    assert outcomes_of(result, 3) == (Accepted(BATCH, share, Decimal(281)),) * 3


@pytest.mark.parametrize(("cost", "points"), [("4.0", (1, 3)), ("6.0", (None, None)), ("2.0", (None, None))])
def test_shares_differ_as_what_was_sent_does(cost: str, points: tuple[int | None, int | None]) -> None:
    at_home = hello()
    abroad = hello(message_id="abcdefghijklmnopqrstuvwx-1", to="+85261234567")
    wire = line(sent(f"281.0,2,{cost},0,{BATCH}"))

    outcomes = Every8d(ACCOUNT).send(Dispatch("every8d", (at_home, abroad), NOW), wire)

    assert [outcome.points for outcome in outcomes if isinstance(outcome, Accepted)] == list(points)


@pytest.mark.parametrize("result", [f"0,60,60.0,40,{BATCH}", f"0.00,99,99.0,1,{BATCH}", f"2.0,60,60.0,40,{BATCH}"])
def test_a_batch_of_which_a_part_had_no_credit_is_followed_to_the_truth(result: str) -> None:
    outcomes = outcomes_of(result, 100)

    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert {outcome.provider_ref for outcome in outcomes if isinstance(outcome, Accepted)} == {BATCH}


@pytest.mark.parametrize(
    ("result", "messages"),
    [(f"0,0,0,100,{BATCH}", 100), (f"0.00,0,0.0,1,{BATCH}", 1), (f"2.00,0,0.0,1,{BATCH}", 1)],
)
def test_a_batch_of_which_nobody_had_credit_is_refused(result: str, messages: int) -> None:
    outcomes = outcomes_of(result, messages)

    assert {(type(outcome), outcome.reason.code) for outcome in outcomes if isinstance(outcome, Refused)} == {
        (Refused, Code.CREDIT_EXHAUSTED)
    }
    assert len(outcomes) == messages


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        ("-300, 帳號密碼不得為空值。", "-300", "帳號密碼不得為空值。"),
        ("-300,帳號密碼不得為空值。", "-300", "帳號密碼不得為空值。"),
        ("-300 , 帳號,密碼,不得為空值", "-300", "帳號,密碼,不得為空值"),
        ("-300", "-300", None),
        ("-300,", "-300", None),
        ("-300,0912345678\n無效", "-300", "*******678 無效"),
    ],
)
def test_their_words_are_kept_whole_and_without_a_number(result: str, code: str, words: str | None) -> None:
    assert outcomes_of(result) == (Refused(Reason(Code.BAD_CREDENTIALS, code, words)),)


def test_an_error_nobody_knows_may_have_been_sent_all_the_same() -> None:
    assert (
        outcomes_of("-99,主機端發生不明錯誤,請與廠商窗口聯繫。", 2)
        == (MaybeSent(Reason(Code.PROVIDER_ERROR, "-99", "主機端發生不明錯誤,請與廠商窗口聯繫。")),) * 2
    )


@pytest.mark.parametrize(
    "result",
    [
        "0",
        "-",
        "--99",
        "-99.5",
        "- 99,x",
        "-12345",
        f"-1.0,1,1.0,0,{BATCH}",
        f"285.0,-1,1.0,0,{BATCH}",
        f"285.0,1,1.0,-1,{BATCH}",
        f"285.0,1,1.0,0,0,{BATCH}",
        f"285.000,1,1.0,0,{BATCH}",
        f"NaN,1,1.0,0,{BATCH}",
        f"2850000000000000,1,1.0,0,{BATCH}",
        f"285.0;1;1.0;0;{BATCH}",
        f"285.0,1,1.0,0,{BATCH},{BATCH}",
        "<SMS><CODE>0</CODE></SMS>",
    ],
)
def test_what_is_neither_batch_nor_error_may_have_been_sent(result: str) -> None:
    assert [type(outcome) for outcome in outcomes_of(result)] == [MaybeSent]


def test_a_fault_may_have_been_sent() -> None:
    body = SENT[: SENT.index(b"<sendSMSResponse")] + (
        b"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>x</faultstring></soap:Fault>"
        b"</soap:Body></soap:Envelope>"
    )

    (outcome,) = send(Line([HttpResponse(500, body)]))

    assert outcome == MaybeSent(Reason(Code.PROVIDER_ERROR, "soap:Server", "SOAP fault"))


# getDeliveryStatus (section 3.2)

# Sections 3.1 and 3.2, typed out again, and what the real server was seen to say.
STATUSES: list[tuple[str, Status, Code | None]] = [
    ("0", Status.SENT, None),
    ("100", Status.DELIVERED, None),
    ("101", Status.UNDELIVERED, Code.HANDSET),
    ("102", Status.UNDELIVERED, Code.UNREACHABLE),
    ("103", Status.UNDELIVERED, Code.INVALID_NUMBER),
    ("104", Status.UNDELIVERED, Code.UNREACHABLE),
    ("105", Status.UNDELIVERED, Code.UNREACHABLE),
    ("106", Status.UNDELIVERED, Code.UNREACHABLE),
    ("107", Status.EXPIRED, Code.EXPIRED),
    ("300", Status.SCHEDULED, None),
    ("301", Status.REJECTED, Code.CREDIT_EXHAUSTED),
    ("303", Status.CANCELED, Code.CANCELED),
    ("500", Status.REJECTED, Code.COUNTRY_NOT_ENABLED),
    ("700", Status.SENT, None),
    ("888", Status.UNDELIVERED, Code.ACCOUNT_DISABLED),
    ("-1", Status.UNDELIVERED, Code.UNKNOWN),
    ("-2", Status.UNDELIVERED, Code.UNKNOWN),
    ("-3", Status.REJECTED, Code.INVALID_NUMBER),
    ("-4", Status.REJECTED, Code.SCHEDULE_INVALID),
    ("-5", Status.UNDELIVERED, Code.UNKNOWN),
    ("-6", Status.UNDELIVERED, Code.UNKNOWN),
    ("-8", Status.UNDELIVERED, Code.UNKNOWN),
    ("-10", Status.UNDELIVERED, Code.UNKNOWN),
]


@pytest.mark.parametrize(("said", "status", "code"), STATUSES)
def test_every_status_is_understood_when_asked_for(said: str, status: Status, code: Code | None) -> None:
    (report,) = Every8d(ACCOUNT).query([ASKED], NOW, line(log(entry(status=said))))

    assert report == Report(
        status=status,
        reason=Reason(code, provider_code=said) if code else None,
        provider_code=said,
        provider_ref=BATCH,
        to="+886933123123",
        points=Decimal("1.00"),
    )


@pytest.mark.parametrize(("said", "status", "code"), STATUSES)
def test_every_status_is_understood_in_a_callback(said: str, status: Status, code: Code | None) -> None:
    callback = Callback("GET", "", RECEIPT.replace("STATUS=100", f"STATUS={said}"))

    (report,) = Every8d.read_receipts(callback)

    assert (report.status, report.reason.code if report.reason else None) == (status, code)
    assert report.provider_code == said
    assert Every8d.read_replies(callback) == []


def asks(*numbers: str, batch: str = BATCH) -> list[Ask]:
    return [Ask(batch, number, submitted_at=NOW) for number in numbers]


def test_a_batch_is_asked_about_once_for_all_its_messages() -> None:
    wire = line(log(entry("+886911111111"), entry("+886922222222", "101"), entry("+886933333333", "103")))

    reports = Every8d(ACCOUNT).query(asks("+886933333333", "+886911111111"), NOW, wire)

    assert wire.called() == [("getDeliveryStatus", {"sessionKey": SESSION, "batchID": BATCH, "pageNo": ""})]
    assert {(report.to, report.provider_code) for report in reports} == {
        ("+886911111111", "100"),
        ("+886933333333", "103"),
    }


def test_the_arguments_of_a_question_are_in_the_documents_order() -> None:
    wire = line(log(entry()))

    Every8d(ACCOUNT).query([ASKED], NOW, wire)

    (request,) = wire.requests
    assert isinstance(request, SoapRequest)
    assert [name for name, _ in request.arguments] == ["sessionKey", "batchID", "pageNo"]


def test_1230_reports_come_in_two_pages_of_a_thousand() -> None:
    numbers = [f"+88691{n:07}" for n in range(1230)]
    pages = [log(*(entry(f"{number:<20}") for number in part), count=1230) for part in (numbers[:1000], numbers[1000:])]
    wire = line(*pages)

    reports = Every8d(ACCOUNT).query(asks(*numbers), NOW, wire)

    assert [report.to for report in reports] == numbers
    assert [arguments["pageNo"] for _, arguments in wire.called()] == ["", "2"]


def test_no_further_page_is_asked_for_once_everybody_is_found() -> None:
    wire = line(log(entry(), count=5000))

    assert len(Every8d(ACCOUNT).query([ASKED], NOW, wire)) == 1
    assert len(wire.requests) == 1


def test_who_is_in_no_page_of_the_batch_has_no_report() -> None:
    wire = line(log(entry("+886911111111"), count=1000))

    assert Every8d(ACCOUNT).query([ASKED], NOW, wire) == []
    assert len(wire.requests) == 1


def test_pages_that_hold_nothing_come_to_an_end() -> None:
    wire = line(log(entry("+886911111111"), count=999_999_999), log(count=999_999_999))

    assert Every8d(ACCOUNT).query([ASKED], NOW, wire) == []
    assert len(wire.requests) == 2


def test_pages_without_end_come_to_an_end_as_well() -> None:
    wire = line(log(entry("+886911111111"), count=999_999_999))

    assert Every8d(ACCOUNT).query([ASKED], NOW, wire) == []
    assert len(wire.requests) == 100


@pytest.mark.parametrize("mobile", ["+886933123123", "0933123123", "886933123123", "  +886933123123\t"])
def test_a_recipient_is_known_however_the_number_is_written(mobile: str) -> None:
    (report,) = Every8d(ACCOUNT).query([ASKED], NOW, line(log(entry(mobile))))

    assert report.to == "+886933123123"


@pytest.mark.parametrize(("cost", "points"), [("1.00", "1.00"), ("3", "3"), ("0", "0"), (" 2.5 ", "2.5")])
def test_what_a_message_cost_is_told(cost: str, points: str) -> None:
    (report,) = Every8d(ACCOUNT).query([ASKED], NOW, line(log(entry(cost=cost))))

    assert report.points == Decimal(points)


@pytest.mark.parametrize("cost", ["", "free", "-1", "NaN", "１"])
def test_a_cost_that_is_no_number_spoils_no_report(cost: str) -> None:
    (report,) = Every8d(ACCOUNT).query([ASKED], NOW, line(log(entry(cost=cost))))

    assert (report.status, report.points) == (Status.DELIVERED, None)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (envelope("getDeliveryStatus", "-99,主機端發生不明錯誤"), "-99"),
        (log(code="-99", words="主機端發生不明錯誤"), "-99"),
        (log(code="-5"), "-5"),
        (log(code=""), None),
        (log(code="1"), None),
        (log(entry(), count=""), None),
        (log(entry(), count="many"), None),
        (log(entry(), count="-1"), None),
        (envelope("getDeliveryStatus", ""), None),
        (envelope("getDeliveryStatus", None), None),
        (envelope("getDeliveryStatus", "<SMS_LOG><CODE>0</CODE></SMS_LOG>"), None),
        (envelope("getDeliveryStatus", "<SMS_LOG><CODE>0</CODE>"), None),
        (envelope("getDeliveryStatus", '<!DOCTYPE a [<!ENTITY b "c">]><SMS_LOG><CODE>0</CODE></SMS_LOG>'), None),
        (envelope("getDeliveryStatus", "<SMS_LOG>" * 1000), None),
    ],
)
def test_an_answer_that_is_no_log_is_no_answer(answer: bytes, code: str | None) -> None:
    with pytest.raises(CannotSay) as raised:
        Every8d(ACCOUNT).query([ASKED], NOW, line(answer))

    assert raised.value.reason.provider_code == code


def test_a_bomb_in_the_string_is_refused_at_once() -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY a0 "ha">{entities}]><SMS_LOG><CODE>&a11;</CODE></SMS_LOG>'
    begun = time.monotonic()

    with pytest.raises(CannotSay):
        Every8d(ACCOUNT).query([ASKED], NOW, line(envelope("getDeliveryStatus", bomb)))

    assert time.monotonic() - begun < 1


def test_trouble_ends_the_asking_and_what_was_learnt_before_it_counts() -> None:
    other = BATCH.replace("2", "3")
    wire = line(log(entry()), envelope("getDeliveryStatus", "-99,x"))

    reports = Every8d(ACCOUNT).query([ASKED, *asks(NUMBER, batch=other), *asks(NUMBER, batch=other[::-1])], NOW, wire)

    assert [report.provider_ref for report in reports] == [BATCH]
    assert len(wire.requests) == 2


def test_replies_come_with_the_reports() -> None:
    second = REPLY_SMS.replace("12:05:09", "12:07:00").replace("回覆簡訊", "STOP")
    wire = line(log(entry(replies=REPLY_SMS + second), entry("+886911111111", replies=REPLY_SMS)))

    reports, replies = Every8d(ACCOUNT).reports_and_replies([ASKED], NOW, wire)

    assert [report.status for report in reports] == [Status.DELIVERED]
    assert [(reply.sender, reply.text, reply.provider_time, reply.provider_ref) for reply in replies] == [
        ("+886933123123", "回覆簡訊", "2010/03/23 12:05:09", BATCH),
        ("+886933123123", "STOP", "2010/03/23 12:07:00", BATCH),
    ]
    assert len({reply.key for reply in replies}) == 2


def test_a_reply_that_came_by_callback_and_by_query_is_one() -> None:
    _, (asked,) = Every8d(ACCOUNT).reports_and_replies([ASKED], NOW, line(log(entry(replies=REPLY_SMS))))
    text = quote_plus("回覆簡訊")

    (told,) = Every8d.read_replies(
        Callback("GET", "", f"BatchID={BATCH}&RM=0933123123&RT=20100323120509&STATUS=999&SM={text}&MR=")
    )

    assert told.key == asked.key


@pytest.mark.parametrize(
    ("asked_for", "called_with"),
    [
        (REPLY_SMS.replace("回覆簡訊", "first\r\nsecond"), "RT=20100323120509&SM=first%0D%0Asecond"),
        (REPLY_SMS.replace("回覆簡訊", "first\nsecond"), "RT=20100323120509&SM=first%0Dsecond"),
        (REPLY_SMS.replace("2010/03/23", "2010/3/3"), f"RT=20100303120509&SM={quote_plus('回覆簡訊')}"),
    ],
)
def test_nor_does_it_become_two_by_how_its_lines_and_its_time_are_written(asked_for: str, called_with: str) -> None:
    _, (asked,) = Every8d(ACCOUNT).reports_and_replies([ASKED], NOW, line(log(entry(replies=asked_for))))

    (told,) = Every8d.read_replies(Callback("GET", "", f"BatchID={BATCH}&RM=0933123123&STATUS=999&{called_with}"))

    assert (told.key, told.text) == (asked.key, asked.text)


# eraseBooking (section 4.2) and getCredit (section 4.1)


def test_a_booking_is_erased_by_its_batch() -> None:
    wire = line(envelope("eraseBooking", "1,1.0"))

    assert Every8d(ACCOUNT).cancel(ASKED, wire) == 1
    assert wire.called() == [("eraseBooking", {"sessionKey": SESSION, "batchID": BATCH})]


@pytest.mark.parametrize(
    ("result", "code", "problem"),
    [
        ("", None, "knows no scheduled message"),
        ("0,0.0", None, "knows no scheduled message"),
        ("-3, 查無資料", "-3", "sent or erased"),
        ("-4,已發送或已刪除", "-4", "sent or erased"),
        ("-8,目前無法刪除", "-8", "cannot erase it now"),
    ],
)
def test_what_cannot_be_erased_says_why(result: str, code: str | None, problem: str) -> None:
    refusal = Every8d(ACCOUNT).cancel(ASKED, line(envelope("eraseBooking", result)))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.code is Code.SCHEDULE_INVALID
    assert refusal.reason.provider_code == code
    assert problem in refusal.problem


@pytest.mark.parametrize("result", ["-99,x", "-7", "1", "1,", "1,-1", "many", "1,1,1", "1;1"])
def test_what_does_not_say_that_it_was_erased_is_no_answer(result: str) -> None:
    with pytest.raises(CannotSay):
        Every8d(ACCOUNT).cancel(ASKED, line(envelope("eraseBooking", result)))


@pytest.mark.parametrize(
    ("result", "credit"), [("2310.00", "2310"), ("0", "0"), ("0.5", "0.5"), (" 285.0\n", "285"), ("1000000", "1000000")]
)
def test_the_credit_is_read_with_and_without_decimals(result: str, credit: str) -> None:
    wire = line(envelope("getCredit", result))

    assert Every8d(ACCOUNT).credit(wire) == Decimal(credit)
    assert wire.called() == [("getCredit", {"sessionKey": SESSION})]


@pytest.mark.parametrize(
    ("result", "code"),
    [("-99,x", "-99"), ("-99", "-99"), ("-5.00", None), ("", None), ("NaN", None), ("1,230.00", None), ("１２", None)],
)
def test_what_is_no_number_is_no_credit(result: str, code: str | None) -> None:
    with pytest.raises(CannotSay) as raised:
        Every8d(ACCOUNT).credit(line(envelope("getCredit", result)))

    assert raised.value.reason.provider_code == code


# Receipts and replies on one URL (section 3.1)

REAL_RECEIPT = (  # with what real calls carry besides, and the escapes .NET writes
    f"CustID=1&UserNo=10001&BatchID={BATCH}&RM=%2b886961295288&RT=20090210120000&ST=20090210115900&STATUS=100"
    "&SM=%e6%b8%ac%e8%a9%a6+1&SUBJECT=&NAME=&USERID=test&SOURCE=WS&CHARGE=1&MR=&MSGID=7"
)


@pytest.mark.parametrize(
    "query",
    [
        RECEIPT,
        REAL_RECEIPT,
        RECEIPT.replace("%2B", "+"),  # nobody encoded the plus: a space by now
        RECEIPT.replace("%2B886", "0"),
        RECEIPT.replace("%2B", ""),
        RECEIPT.replace("BatchID", "batchid").replace("STATUS", "Status"),
        RECEIPT.replace(BATCH, BATCH.upper()),
        f"t=1&{RECEIPT}&t=2",
        RECEIPT.replace("&SM=&MR=", ""),
    ],
)
def test_a_receipt_is_read_however_it_is_written(query: str) -> None:
    assert Every8d.read_receipts(Callback("GET", "", query)) == [RECEIPT_READ]


def test_a_receipt_that_comes_as_a_form_is_read_too() -> None:
    callback = Callback("POST", "", "", RECEIPT.encode(), "application/x-www-form-urlencoded")

    assert Every8d.read_receipts(callback) == [RECEIPT_READ]


def test_the_text_in_a_receipt_makes_it_no_reply() -> None:
    assert Every8d.read_replies(Callback("GET", "", REAL_RECEIPT)) == []


def test_a_reply_is_no_receipt_and_says_which_message_it_answers() -> None:
    callback = Callback("GET", "", REPLY)

    (reply,) = Every8d.read_replies(callback)

    assert Every8d.read_receipts(callback) == []
    assert (reply.provider_ref, reply.sender) == (BATCH, "+886961295288")
    assert Every8d.replies_to_receipts


def test_a_reply_told_ten_times_is_one_and_another_is_another() -> None:
    def key(query: str) -> str:
        (reply,) = Every8d.read_replies(Callback("GET", "", query))
        return reply.key

    same = {
        key(REPLY),
        key(REPLY.replace("%2B", "+", 1)),
        key(REPLY + "&MSGID=2"),
        key(REPLY.replace("%2B886", "0", 1)),
    }
    others = {
        key(REPLY.replace("120000", "120001")),
        key(REPLY.replace("288", "289")),
        key(REPLY.replace("+1", "+2", 1)),
        key(REPLY.replace(BATCH, BATCH[::-1])),
    }

    assert len(same) == 1
    assert len(others) >= 4
    assert not same & others


@pytest.mark.parametrize(
    ("query", "sender", "text", "ref"),
    [
        (REPLY.replace(BATCH, ""), "+886961295288", "回覆 & 1+1", None),
        (REPLY.replace(f"BatchID={BATCH}&", ""), "+886961295288", "回覆 & 1+1", None),
        (REPLY.replace("%2B886961295288", "55123"), "55123", "回覆 & 1+1", BATCH),
        ("RM=0912345678&STATUS=999&SM=", "+886912345678", "", None),
        ("RM=0912345678&STATUS=999&SM=%20a%0a%20", "+886912345678", " a\n ", None),
        ("RM=0912345678&STATUS=999&SM=%3cb%3e%F0%9F%98%80", "+886912345678", "<b>😀", None),
    ],
)
def test_a_reply_is_kept_whatever_it_lacks(query: str, sender: str, text: str, ref: str | None) -> None:
    (reply,) = Every8d.read_replies(Callback("GET", "", query))

    assert (reply.sender, reply.text, reply.provider_ref) == (sender, text, ref)


@pytest.mark.parametrize(
    "callback",
    [
        Callback("GET", "", "x=1"),
        Callback("GET", "", "STATUS="),
        Callback("GET", "", f"BatchID={BATCH}&RM=0912345678"),
        Callback("GET", "", f"BatchID={BATCH}&STATUS=100"),
        Callback("GET", "", RECEIPT.replace(BATCH, "17")),
        Callback("GET", "", RECEIPT.replace(BATCH, BATCH[:-1])),
        Callback("GET", "", RECEIPT.replace(f"BatchID={BATCH}&", "")),
        Callback("GET", "", f"{RECEIPT}&STATUS=101"),
        Callback("GET", "", f"{RECEIPT}&RM=0912345678"),
        Callback("GET", "", "&".join(f"a{n}=1" for n in range(10_000))),
        Callback("GET", "", "&".join([RECEIPT, *(f"a{n}=1" for n in range(10_000))])),
        Callback("POST", "", "", b"\xff\xfe"),
    ],
)
def test_what_is_no_receipt_is_not_taken_for_one(callback: Callback) -> None:
    with pytest.raises((LookupError, ValueError)):
        Every8d.read_receipts(callback)


# The sample events


def event(name: str) -> Callback:
    events = Path(__file__).parents[2] / "events"
    provider, _, callback = callback_of(json.loads((events / f"{name}.json").read_text("utf-8")))
    assert provider == "every8d"
    return callback


def test_the_sample_receipt_says_that_a_message_was_delivered() -> None:
    callback = event("receipts-every8d")

    (report,) = Every8d.read_receipts(callback)

    assert (report.provider_ref, report.to, report.status) == (BATCH, NUMBER, Status.DELIVERED)
    assert Every8d.read_replies(callback) == []


def test_the_sample_reply_comes_to_the_url_of_the_receipts() -> None:
    callback = event("receipts-every8d-reply")

    (reply,) = Every8d.read_replies(callback)

    assert (reply.provider_ref, reply.sender, reply.text) == (BATCH, NUMBER, "好的 & 謝謝")
    assert Every8d.read_receipts(callback) == []


# Against a server that read the same document


class Account:
    """A line to the pretended server over the real SOAP transport, with a session of its own."""

    def __init__(self) -> None:
        self._http = HttpTransport(30)
        self._soap = SoapTransport(http=self._http)
        self._session: str | None = None

    def __call__(self, request: Any, /) -> Any:
        return self._soap.exchange(request)

    def session(self, login: Callable[[], str], ends: datetime) -> str:
        if self._session is None:
            self._session = login()
        return self._session

    def session_lost(self, session: str) -> None:
        self._session = None

    def hang_up(self) -> None:
        """No connection is left that the server may be closing at this moment."""
        self._http.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.receipts = (Step(0, "100"),)
        yield simulator


@pytest.fixture(scope="module", params=["1.1", "1.2"])
def version(request: pytest.FixtureRequest) -> Literal["1.1", "1.2"]:
    chosen: Literal["1.1", "1.2"] = request.param
    return chosen


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    account = Account()
    yield account
    account.hang_up()


@pytest.fixture
def provider(server: Simulator, version: str) -> Every8d:
    return Every8d({**server.secret(), "soap_version": version})


def submit_all(provider: Every8d, account: Account, *messages: Message, now: datetime) -> tuple[Outcome, ...]:
    return provider.send(Dispatch("every8d", messages, now), account)


def batch_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Accepted)
    return outcome.provider_ref


def shown_on(server: Simulator, phone: str, ref: str) -> list[str]:
    return [shown.text for shown in server.phones[phone] if shown.ref == ref]


class TestServer(HttpServerContract):
    provider_class = Every8d
    step = SECOND
    operation = "sendSMS"
    own_faults = (
        (Cut(300), MaybeSent, True),
        (Cut(300, on_the_wire=True), MaybeSent, True),
        (Says(SENT, status=502, carried_out=True), MaybeSent, True),
        (Simulator.says(None, carried_out=True), MaybeSent, True),
        (Simulator.says("-99,x", carried_out=True), MaybeSent, True),
        (Simulator.faults(carried_out=True), MaybeSent, True),
        (Simulator.says(f"285.0,1,1.0,0,{BATCH[:-4]}", carried_out=True), MaybeSent, True),
        (Simulator.says("-306,x"), Refused, False),
        (Simulator.says("-301,x"), Accepted, True),
    )

    @pytest.fixture(autouse=True)
    def _account(self, account: Account) -> None:
        self.line = account

    def hand_over(self, server: Simulator, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        self.line.hang_up()
        return submit_all(Every8d(server.secret()), self.line, *messages, now=now)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_reach_their_recipients_and_nobody_else(
    server: Simulator, account: Account, provider: Every8d, hostile: str
) -> None:
    before = len(server.accepted)
    messages = (to(NUMBER, hostile, name=hostile[:50]), to("+886922333444", "harmless"))

    outcomes = submit_all(provider, account, *messages, now=server.now())

    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert [(taken.to, taken.text) for taken in server.accepted[before:]] == [
        (NUMBER, hostile),
        ("+886922333444", "harmless"),
    ]


@pytest.mark.parametrize("length", [1, 70, 71, 134, 135, 201, 202, 268, 269, 333, 334, 403, 404, 667])
@pytest.mark.parametrize("number", [NUMBER, "+85261234567"])
def test_the_server_takes_as_many_points_as_were_measured(
    server: Simulator, account: Account, provider: Every8d, number: str, length: int
) -> None:
    message = to(number, "中" * length)
    before = provider.credit(account)

    (outcome,) = submit_all(provider, account, message, now=server.now())

    assert isinstance(outcome, Accepted)
    assert before - provider.credit(account) == outcome.points == Every8d.measure(message).points
    assert outcome.credit == provider.credit(account)


def test_a_hundred_of_whom_forty_have_no_credit_are_told_apart(
    server: Simulator, account: Account, provider: Every8d
) -> None:
    messages = [to(f"+8869870{n:05}") for n in range(100)]
    kept, server.credit = server.credit, Decimal(60)
    try:
        outcomes = submit_all(provider, account, *messages, now=server.now())
    finally:
        server.credit = kept
    batch = batch_of(outcomes[0])
    assert server.wait_until(lambda: len([each for each in messages if shown_on(server, each.to, batch)]) == 60)

    reports = provider.query(asks(*(message.to for message in messages), batch=batch), NOW, account)

    assert set(outcomes) == {Accepted(batch, None, Decimal(0))}
    assert [report.status for report in reports].count(Status.DELIVERED) == 60
    assert [report.reason.code for report in reports if report.status is Status.REJECTED and report.reason] == [
        Code.CREDIT_EXHAUSTED
    ] * 40


def test_without_any_credit_everybody_is_refused(server: Simulator, account: Account, provider: Every8d) -> None:
    kept, server.credit = server.credit, Decimal(0)
    try:
        outcomes = submit_all(provider, account, to(NUMBER), to("+886922333444"), now=server.now())
    finally:
        server.credit = kept

    assert [(type(outcome), outcome.reason.code) for outcome in outcomes if isinstance(outcome, Refused)] == [
        (Refused, Code.CREDIT_EXHAUSTED)
    ] * 2


def test_a_scheduled_message_can_be_erased_once_and_its_points_come_back(
    server: Simulator, account: Account, provider: Every8d
) -> None:
    now = server.now()
    before = server.credit
    (outcome,) = submit_all(provider, account, hello(send_at=now + timedelta(hours=3)), now=now)
    asked = Ask(batch_of(outcome), NUMBER, submitted_at=now)

    (waiting,) = provider.query([asked], now, account)
    first = provider.cancel(asked, account)
    second = provider.cancel(asked, account)
    (report,) = provider.query([asked], now, account)

    assert (waiting.status, report.status) == (Status.SCHEDULED, Status.CANCELED)
    assert first == Decimal(1)
    assert isinstance(second, Refusal)
    assert server.credit == before


def test_a_message_that_went_out_and_one_that_never_was_cannot_be_erased(
    server: Simulator, account: Account, provider: Every8d
) -> None:
    (outcome,) = submit_all(provider, account, hello(), now=server.now())

    for batch in (batch_of(outcome), BATCH):
        assert isinstance(provider.cancel(Ask(batch, NUMBER, submitted_at=NOW), account), Refusal)


@pytest.mark.parametrize("lose", ["restart", "midnight", "close"])
def test_a_session_that_ended_costs_one_login_and_no_message(
    server: Simulator, account: Account, provider: Every8d, lose: str
) -> None:
    submit_all(provider, account, hello(), now=server.now())
    logins, taken = server.logins, len(server.accepted)
    if lose == "restart":
        server.lose_sessions()
    elif lose == "midnight":
        server.advance(timedelta(days=1))
    else:
        session = account.session(lambda: "", NOW)
        closed = account(
            SoapRequest(str(server.secret()["base_url"]), "1.1", "closeConnection", (("sessionKey", session),))
        )
        assert closed == SoapResponse("1")

    for _ in range(3):
        submit_all(provider, account, hello(), now=server.now())

    assert server.logins == logins + 1
    assert len(server.accepted) == taken + 3


def test_a_wrong_password_is_tried_once_a_call_and_sends_nothing(server: Simulator) -> None:
    before, taken = server.bad_logins, len(server.accepted)
    for wrong in ({"username": "nobody"}, {"password": "nothing"}):
        provider, stranger = Every8d({**server.secret(), **wrong}), Account()

        (outcome,) = submit_all(provider, stranger, hello(), now=server.now())

        stranger.hang_up()
        assert isinstance(outcome, NotSent)
        assert outcome.reason.code is Code.BAD_CREDENTIALS
    assert server.bad_logins == before + 2
    assert len(server.accepted) == taken
    server.bad_logins = before


@pytest.fixture
def heard(server: Simulator, account: Account, provider: Every8d, monkeypatch: pytest.MonkeyPatch) -> list[Callback]:
    """What the pretended server calls our URL with, once it has nothing left to do for the tests before."""
    callbacks: list[Callback] = []
    last = batch_of(submit_all(provider, account, hello(), now=server.now())[0])
    assert server.wait_until(lambda: shown_on(server, NUMBER, last), seconds=30)

    def hear(url: str, data: bytes | None = None) -> None:
        callbacks.append(Callback("GET", "", urlsplit(url).query))

    monkeypatch.setattr(server, "_call_back", hear)
    monkeypatch.setattr(server, "receipt_url", "https://gateway.example/receipts/every8d/token")
    return callbacks


def test_what_their_calls_say_is_what_became_of_the_messages(
    server: Simulator, account: Account, provider: Every8d, heard: list[Callback]
) -> None:
    server.plan_receipts((Step(0, "0"), Step(0, "100")), (Step(0, "103"),))

    outcomes = submit_all(provider, account, to(NUMBER, "a b+c&測試"), to("+886922333444", "d"), now=server.now())
    assert server.wait_until(lambda: len(heard) == 3)

    batch = batch_of(outcomes[0])
    reports = [report for callback in heard for report in Every8d.read_receipts(callback)]
    assert {(report.provider_ref, report.to, report.status) for report in reports} == {
        (batch, NUMBER, Status.SENT),
        (batch, NUMBER, Status.DELIVERED),
        (batch, "+886922333444", Status.UNDELIVERED),
    }
    assert [Every8d.read_replies(callback) for callback in heard] == [[], [], []]


@given(text=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")))
@anything
def test_whatever_is_typed_on_a_phone_is_read_as_it_was_typed(server: Simulator, account: Account, text: str) -> None:
    provider = Every8d(server.secret())
    number = "+886955555555"
    batch = batch_of(submit_all(provider, account, to(number), now=server.now())[0])
    assert server.wait_until(lambda: shown_on(server, number, batch))
    callbacks: list[str] = []
    server.receipt_url, server._call_back = "https://gateway.example/", lambda url, data=None: callbacks.append(url)  # type: ignore[method-assign]
    try:
        server.reply(number, text)
    finally:
        del server._call_back
        server.receipt_url = ""

    (told,) = Every8d.read_replies(Callback("GET", "", urlsplit(callbacks[0]).query))
    _, (asked,) = provider.reports_and_replies(asks(number, batch=batch), NOW, account)

    assert (told.sender, told.text, told.provider_ref) == (number, text, batch)
    assert (asked.key, asked.text) == (told.key, text.strip())


# Many workers, one account


class States:
    """Of the ledger, what sessions are kept in: a version that only one writer can move."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], dict[str, Any]] = {}

    def provider_state(self, provider: str, aspect: str) -> dict[str, Any] | None:
        with self._lock:
            return self._states.get((provider, aspect))

    def set_provider_state(self, provider: str, aspect: str, state: Mapping[str, Any], seen: int) -> bool:
        with self._lock:
            if self._states.get((provider, aspect), {}).get("version", 0) != seen:
                return False
            self._states[provider, aspect] = {**state, "version": seen + 1}
            return True


@dataclass
class Workers:
    """Fifty of them, each with a line of its own to the one account, as functions have that know nothing of another."""

    server: Simulator
    states: States = field(default_factory=States)

    def send(self, messages: int, *, password: str | None = None, version: str = "v1") -> list[Outcome]:
        http = HttpTransport(5)
        exchange: Any = SoapTransport(http=http).exchange
        secret = {**self.server.secret(), **({"password": password} if password else {})}

        def work(number: int) -> Outcome:
            sessions = Sessions(cast("Ledger", self.states), timedelta(seconds=5), self.server.now)
            line = Lines(lambda: exchange, sessions).open("every8d", version)
            dispatch = Dispatch("every8d", (to(f"+8869123{number:05}"),), self.server.now())
            (outcome,) = Every8d(secret).send(dispatch, line)
            return outcome

        with ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(work, range(messages)))
        http.close()
        return outcomes


@pytest.fixture
def crowd() -> Iterator[Workers]:
    with Simulator() as simulator:
        simulator.receipts = ()
        yield Workers(simulator)


def test_fifty_workers_with_a_wrong_password_try_it_once_and_a_right_one_sends_everything(crowd: Workers) -> None:
    wrong = crowd.send(200, password="wrong")
    bad_logins = crowd.server.bad_logins
    right = crowd.send(200, version="v2")

    assert {type(outcome) for outcome in wrong} == {NotSent}
    assert bad_logins == 1
    assert {type(outcome) for outcome in right} == {Accepted}
    assert (crowd.server.logins, len(crowd.server.accepted)) == (1, 200)


def test_a_hundred_messages_across_midnight_cost_two_logins(crowd: Workers) -> None:
    crowd.server.travel_to(MIDNIGHT - timedelta(seconds=2))
    before = crowd.send(50)
    crowd.server.travel_to(MIDNIGHT)
    after = crowd.send(50)

    assert {type(outcome) for outcome in (*before, *after)} == {Accepted}
    assert (crowd.server.logins, len(crowd.server.accepted)) == (2, 100)


def test_a_session_that_is_lost_under_everybody_costs_one_login(crowd: Workers) -> None:
    crowd.send(20)
    crowd.server.lose_sessions()

    outcomes = crowd.send(100)

    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert (crowd.server.logins, len(crowd.server.accepted)) == (2, 120)


def test_a_session_that_is_lost_again_and_again_costs_a_login_each_time_and_no_message(crowd: Workers) -> None:
    crowd.send(1)
    sent_twice = 0
    for number in range(60):
        if number % 10 == 0:
            crowd.server.script(Simulator.says("-301,Session 資料不存在,請重新登入。"), operation="sendSMS")
            sent_twice += 1
        crowd.send(1)

    assert len(crowd.server.accepted) == 61
    assert crowd.server.logins <= 1 + sent_twice
