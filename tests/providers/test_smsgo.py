"""smsgo, shown by the bytes of its document (簡訊購 API 技術文件 6.0) and by those its real server was seen to send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from local.simulators.base import Closes, Says, Step
from local.simulators.smsgo import SmsGo as Simulator
from smsgate.callbacks import callback_of
from smsgate.clock import SECOND
from smsgate.messages import Attempt, Dispatch, Form, Message, Reply, Report, TooLong
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import UNREADABLE, Ask, CannotSay, Refusal
from smsgate.providers.smsgo import SmsGo
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.text import forbidden, parts, units
from smsgate.wire import Acknowledgement, Callback, HttpRequest, HttpResponse
from tests.providers import plain_http
from tests.providers.contract import (
    NOW,
    NUMBER,
    PASSWORD,
    CancelsContract,
    CreditContract,
    ProviderContract,
    QueriesContract,
    ReceiptsContract,
    RepliesContract,
    Wire,
    anything,
    hello,
    http_answer,
)
from tests.providers.server_contract import CancelingServerContract, HttpServerContract
from tests.providers.strategies import taiwans, texts

ACCOUNT: Mapping[str, object] = {"username": "TesterId", "password": PASSWORD}
LOGIN = f"username=TesterId&password={PASSWORD}"
MESSAGE_ID = "abcdefghijklmnopqrstuvwx-0"
RESPONSE = f"https://gateway.example/receipts/smsgo/token/{MESSAGE_ID}"
REPLY_URL = f"https://gateway.example/replies/smsgo/token/{MESSAGE_ID}"
OTHER = "+886987654321"
HONG_KONG = "+85261234567"
CHINA = "+8613681912700"

# Section 6, "JSON 範例", and section 3, "Phase One's Vender收到", in the real server's line breaks.
SENT = b'{"result":{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK","point":1}}'
SENT_LINES = b"msgid=100101121234567\r\nstatuscode=0\r\nstatusstr=OK\r\npoint=1\r\n"
DELIVERED = b'{"results":{"result":[{"statusCode": "0","statusStr":"DELIVRD","cellphone":"0988123456"},]}}'
CREDIT = b'{"results":{"result":[{"statuscode": "0","point": "6220"}]}}'
RECEIPT = "msgid=100101121234567&statusstr=DELIVRD&statuscode=0&dstaddr=0912345678"

ASKED = Ask("1504280910499665", "+886988123456", submitted_at=NOW - timedelta(minutes=5))


def sent_code(code: str, said: str = "text", msgid: object = ...) -> bytes:
    told = {"msgid": int(code) if msgid is ... else msgid, "statuscode": code, "statusstr": said, "point": 0}
    return json.dumps({"result": told}).encode()


# Table 1, typed out again, and what the real server was seen to say besides.
CODES: Mapping[str, tuple[type[Outcome], Code]] = {
    "-1": (MaybeSent, Code.UNKNOWN),
    "-2": (Refused, Code.BAD_CREDENTIALS),
    "-3": (Refused, Code.PROVIDER_ERROR),
    "-4": (Refused, Code.PROVIDER_ERROR),
    "-5": (Refused, Code.INVALID_NUMBER),
    "-6": (Refused, Code.ACCOUNT_DISABLED),
    "-7": (Refused, Code.UNSUPPORTED_FEATURE),
    "-8": (Refused, Code.CREDIT_EXHAUSTED),
    "-9": (Refused, Code.INVALID_NUMBER),
    "-10": (MaybeSent, Code.PROVIDER_ERROR),
    "-11": (Refused, Code.PROVIDER_ERROR),
    "-15": (Refused, Code.IP_NOT_ALLOWED),
    "-16": (Refused, Code.ACCOUNT_DISABLED),
    "-18": (Refused, Code.COUNTRY_NOT_ENABLED),
    "-19": (Refused, Code.BLOCKED_BY_RECIPIENT),
    "-21": (NotSent, Code.RATE_LIMITED),
    "-23": (Refused, Code.CONTENT_REFUSED),
}
NO_MEANING_YET = ("-12", "-13", "-14", "-17", "-20", "-22", "-24", "-25", "-30", "-99")
UNLISTED = {code: sent_code(code) for code in (*NO_MEANING_YET, "1", "5", "404")}

# Table 2, typed out again.
STATUSES: list[tuple[str, Status, Code | None]] = [
    ("DELIVRD", Status.DELIVERED, None),
    ("EXPIRED", Status.EXPIRED, Code.EXPIRED),
    ("DELETED", Status.CANCELED, Code.CANCELED),
    ("UNDELIV", Status.UNDELIVERED, Code.UNREACHABLE),
    ("ABSENT", Status.UNDELIVERED, Code.INVALID_NUMBER),
    ("SPAM", Status.UNDELIVERED, Code.CONTENT_REFUSED),
    ("BLOCK", Status.UNDELIVERED, Code.BLOCKED_BY_RECIPIENT),
    ("ACCEPTD", Status.SENT, None),
    ("UNKNOWN", Status.UNDELIVERED, Code.UNKNOWN),
    ("REJECTD", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("SYNTAXE", Status.UNDELIVERED, Code.PROVIDER_ERROR),
]

RECEIPT_READ = [
    Report(
        status=Status.DELIVERED,
        reason=None,
        provider_code="DELIVRD",
        provider_ref="100101121234567",
        to="+886912345678",
        message_id=MESSAGE_ID,
    )
]
REPLY = (
    "msgid=100101121234567&srcaddr=0912345678&dstaddr=0911510128&smbody=%A6n%AA%BA&encoding=BIG5"
    "&timestamp=2026%2F11%2F20+12%3A00%3A00"
)
REPLY_READ = [
    Reply(
        provider="smsgo",
        key="ca15e6a02395c87cf70cb7c160963da0e5e41092",  # with another one every reply told again would be a new one
        sender="+886912345678",
        text="好的",
        provider_time="2026/11/20 12:00:00",
        provider_ref="100101121234567",
    )
]
ACKNOWLEDGED = Acknowledgement("magicid=tccrd_sms_gateway_rpack\nmsgid=100101121234567\n", "text/plain; charset=utf-8")


class TestSending(ProviderContract):
    provider_class = SmsGo
    account = ACCOUNT
    method = "GET"
    ok = SENT
    ok_ref = "1504280910499665"
    without_reference = (
        b'{"result":{"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"","statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":null,"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":0,"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"000","statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":true,"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":-1,"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":1.5e15,"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"OK","statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"15 04","statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"%s","statuscode":"0"}}' % (b"1" * 41),
        '{"result":{"msgid":"１５０４","statuscode":"0","statusstr":"OK","point":1}}'.encode(),
        b"statuscode=0\r\nstatusstr=OK\r\npoint=1\r\n",
        b"statuscode=0\r\nstatusstr=OK\r\nmsgid=100101",  # cut: it may be another's
        b"<result><statuscode>0</statuscode><statusstr>OK</statusstr></result>",
    )
    unlisted = UNLISTED
    codes = CODES

    def says(self, code: str) -> bytes:
        return sent_code(code)

    def is_success(self, body: bytes) -> bool:
        try:
            written = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            written = body.decode("cp950", "replace")
        try:
            found = json.loads(re.sub(r",(?=\s*[}\]])", "", written))
        except (ValueError, RecursionError):
            return False
        while isinstance(found, dict) and any(name.lower() in ("result", "results") for name in found):
            found = next(value for name, value in found.items() if name.lower() in ("result", "results"))
        row = {name.lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
        code, msgid = row.get("statuscode"), row.get("msgid")
        if isinstance(code, bool) or str(code).strip() != "0" or type(msgid) not in (int, str):
            return False
        return bool(re.fullmatch("(?=.*[1-9])[0-9A-Za-z][0-9A-Za-z-]{0,39}", str(msgid).strip(), re.ASCII))


class TestQuerying(QueriesContract):
    provider_class = SmsGo
    account = ACCOUNT
    asked = ASKED
    settled = DELIVERED
    bad_credentials = '{"results":{"result":[{"statusCode": "-2","statusStr":"授權錯誤","cellphone":""},]}}'.encode()
    no_report_yet = (
        b'{"results":{"result":[{"statusCode": "0","statusStr":"","cellphone":"0988123456"},]}}',
        b'{"results":{"result":[{"statusCode": "0","statusStr":null,"cellphone":"0988123456"},]}}',
        b'{"results":{"result":[{"statusCode": 0,"statusStr":"OK","cellphone":"0988123456"}]}}',
        b'{"results":{"result":[]}}',
        b'{"results":{"result":[,]}}',
        b'{"results":""}',
        b"0||0988123456\r\n",
        b"<results/>",
        b'{"results":{"result":[{"statusCode": "0","statusStr":"DELIVRD","cellphone":"0988123457"},]}}',  # another's
    )
    unlisted_status = ("PAUSED", DELIVERED.replace(b"DELIVRD", b"PAUSED"))


class TestCanceling(CancelsContract):
    provider_class = SmsGo
    account = ACCOUNT
    to_cancel = ASKED
    settled = b'{"result":{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK","point":1}}'
    bad_credentials = sent_code("-2", "授權錯誤")
    too_late = (
        sent_code("-1", "CGI string error!!"),
        b"msgid=-1\r\nstatuscode=-1\r\nstatusstr=CGI string error!!\r\npoint=0\r\n",
        b"statuscode=-1",
        b"-10|Send Fail",
        b"<result><statuscode>-1</statuscode></result>",
        sent_code("-77"),
    )


class TestCredit(CreditContract):
    provider_class = SmsGo
    account = ACCOUNT
    settled = CREDIT
    credit_left = Decimal(6220)
    bad_credentials = b'{"results":{"result":[{"statuscode": "-2","point": "0"}]}}'


class TestReceipts(ReceiptsContract):
    provider_class = SmsGo
    account = ACCOUNT
    receipt = Callback("GET", MESSAGE_ID, RECEIPT)
    reports = RECEIPT_READ
    unlisted_receipt = ("PAUSED", replace(receipt, query=RECEIPT.replace("DELIVRD", "PAUSED")))
    unwanted = (replace(receipt, query=RECEIPT.replace("DELIVRD", "BLOCK")),)
    acknowledgement = ACKNOWLEDGED


class TestReplies(RepliesContract):
    provider_class = SmsGo
    account = ACCOUNT
    reply = Callback("GET", MESSAGE_ID, REPLY)
    replies = REPLY_READ
    no_reply = (
        Callback("GET", MESSAGE_ID, "srcaddr=0912345678"),
        Callback("GET", MESSAGE_ID, "smbody=hi"),
        Callback("GET", MESSAGE_ID, "srcaddr=&smbody=hi"),
        Callback("GET", MESSAGE_ID, "a=b"),
        Callback("GET", MESSAGE_ID, f"{REPLY}&smbody=hi"),
        Callback("GET", MESSAGE_ID, "&".join([REPLY, *(f"a{n}=1" for n in range(10_000))])),
        Callback("POST", MESSAGE_ID, "", b"\xff\xfe"),
        Callback("GET", MESSAGE_ID, RECEIPT),
    )
    acknowledgement = ACKNOWLEDGED


# What goes out


def request_of(wire: Wire) -> HttpRequest:
    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert request.method == "GET"
    return request


def sent_query(*messages: Message, now: datetime = NOW, receipt: str | None = None, reply: str | None = None) -> str:
    """The query of the call that sends these messages, without the credentials."""
    wire = Wire([http_answer(SENT)])
    SmsGo(ACCOUNT).send(Dispatch("smsgo", messages, now, receipt, reply), wire)
    return urlencode(request_of(wire).fields).removeprefix(f"{LOGIN}&")


def test_a_message_goes_out_as_the_get_of_section_3() -> None:
    wire = Wire([http_answer(SENT)])

    SmsGo(ACCOUNT).send(Dispatch("smsgo", (hello(text="簡訊測試"),), NOW, RESPONSE), wire)

    request = request_of(wire)
    assert request.url == "https://ssl.smsgo.com.tw/sms_gw/sendsms.aspx"
    assert urlencode(request.fields) == (
        f"{LOGIN}&dstaddr=0912345678&encoding=BIG5&smbody=%E7%B0%A1%E8%A8%8A%E6%B8%AC%E8%A9%A6"
        f"&response=https%3A%2F%2Fgateway.example%2Freceipts%2Fsmsgo%2Ftoken%2F{MESSAGE_ID}&rtype=JSON"
    )


def test_a_two_way_message_names_its_reply_url_and_the_days_it_is_open() -> None:
    query = sent_query(hello(text="Smtest", reply_days=30), receipt=RESPONSE, reply=REPLY_URL)

    assert query == (
        "dstaddr=0912345678&encoding=ASCII&smbody=Smtest"
        f"&replyurl=https%3A%2F%2Fgateway.example%2Freplies%2Fsmsgo%2Ftoken%2F{MESSAGE_ID}&replydays=30"
        f"&response=https%3A%2F%2Fgateway.example%2Freceipts%2Fsmsgo%2Ftoken%2F{MESSAGE_ID}&rtype=JSON"
    )


def test_a_one_way_message_names_no_reply_url_though_there_is_one() -> None:
    assert sent_query(hello(text="hi"), reply=REPLY_URL) == "dstaddr=0912345678&encoding=ASCII&smbody=hi&rtype=JSON"


@pytest.mark.parametrize("days", [1, 3, 30])
def test_the_days_replies_are_taken_are_always_named(days: int) -> None:
    assert f"&replydays={days}&" in sent_query(hello(reply_days=days), reply=REPLY_URL)


def test_without_a_receipt_url_no_report_is_asked_for() -> None:
    assert sent_query(hello(text="hi"), receipt=None) == "dstaddr=0912345678&encoding=ASCII&smbody=hi&rtype=JSON"


def test_a_push_message_has_its_title_as_text_and_its_link_beside_it() -> None:
    query = sent_query(hello(text="簡訊測試", form=Form.PUSH, url="https://www.test.com/a.aspx?b=1&c"))

    assert query == (
        "dstaddr=0912345678&encoding=PUSH&smbody=%E7%B0%A1%E8%A8%8A%E6%B8%AC%E8%A9%A6"
        "&wapurl=https%3A%2F%2Fwww.test.com%2Fa.aspx%3Fb%3D1%26c&rtype=JSON"
    )


def test_a_url_without_push_is_not_sent() -> None:
    assert "wapurl" not in sent_query(hello(text="hi", url="https://www.test.com/"))


def test_a_number_abroad_begins_with_an_encoded_plus() -> None:
    assert sent_query(hello(to=CHINA, text="hi")).startswith("dstaddr=%2B8613681912700&")


def test_fifty_numbers_are_parted_by_commas_in_one_call() -> None:
    messages = [hello(text="hi", to=f"+8869123456{n:02}", message_id=f"m-{n}") for n in range(50)]

    query = sent_query(*messages)

    assert query.startswith("dstaddr=" + "%2C".join(f"09123456{n:02}" for n in range(50)) + "&encoding=ASCII&")


def test_no_more_than_fifty_numbers_travel_together() -> None:
    assert SmsGo.capabilities.recipients_per_call == 50


def test_characters_that_mean_something_in_a_query_arrive_as_themselves() -> None:
    assert "&smbody=a%26b%3Dc%2Bd+%2541%23%0A%E3%80%80%3F&" in sent_query(hello(text="a&b=c+d %41#\n\u3000?"))


def test_line_breaks_are_sent_as_line_feeds() -> None:
    assert "&smbody=one%0Atwo%0Athree&" in sent_query(hello(text="one\r\ntwo\nthree"))


@pytest.mark.parametrize("base_url", ["https://sms.example/gw", "https://sms.example/gw/"])
def test_the_base_url_is_a_setting_with_or_without_its_slash(base_url: str) -> None:
    wire = Wire([http_answer(SENT)])

    SmsGo({**ACCOUNT, "base_url": base_url}).send(Dispatch("smsgo", (hello(),), NOW), wire)

    assert request_of(wire).url == "https://sms.example/gw/sendsms.aspx"


@pytest.mark.parametrize("name", ["base_url", "backup_url"])
def test_an_address_without_tls_needs_the_accounts_word(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SmsGo({**ACCOUNT, name: "http://www2.smsgo.com.tw/sms_gw/"})

    SmsGo({**ACCOUNT, name: "http://www2.smsgo.com.tw/sms_gw/", "allow_http": True})


# Time


@pytest.mark.parametrize(
    ("send_at", "dlvtime"),
    [
        ("2026-11-20T14:00:00+08:00", "2026/11/20 14:00:00"),
        ("2026-11-20T14:00:00.000001+08:00", "2026/11/20 14:00:01"),
        ("2026-11-20T14:00:59.999999+08:00", "2026/11/20 14:01:00"),
        ("2026-11-20T23:59:59+08:00", "2026/11/20 23:59:59"),
        ("2026-12-31T23:59:59.5+08:00", "2027/01/01 00:00:00"),
        ("2028-02-28T23:59:59.5+08:00", "2028/02/29 00:00:00"),
        ("2026-11-20T06:30:00+00:00", "2026/11/20 14:30:00"),
        ("2026-11-20T10:30:00-09:30", "2026/11/21 04:00:00"),
        ("9999-12-31T15:59:59+00:00", "9999/12/31 23:59:59"),
    ],
)
def test_a_scheduled_time_is_rounded_up_to_the_second_in_taipei(send_at: str, dlvtime: str) -> None:
    query = sent_query(hello(text="hi", send_at=datetime.fromisoformat(send_at)))

    assert f"&smbody=hi&{urlencode({'dlvtime': dlvtime})}&" in query


@pytest.mark.parametrize("seconds", [0, -1, -3600])
def test_a_time_that_has_come_is_now(seconds: int) -> None:
    assert "dlvtime" not in sent_query(hello(text="hi", send_at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(("seconds", "dlvtime"), [(1, "12:00:30"), (30, "12:00:30"), (31, "12:00:31")])
def test_a_time_that_would_be_past_on_arrival_is_put_off_by_seconds(seconds: int, dlvtime: str) -> None:
    query = sent_query(hello(text="hi", send_at=NOW + timedelta(seconds=seconds)))

    assert urlencode({"dlvtime": f"2026/11/20 {dlvtime}"}) in query


# What a text costs, and how it is encoded


@pytest.mark.parametrize(
    ("text", "parts", "encoding"),
    [
        ("a", 1, "ASCII"),
        ("a" * 160, 1, "ASCII"),
        ("a" * 161, 2, "LASCII"),
        ("a" * 306, 2, "LASCII"),
        ("a" * 307, 3, "LASCII"),
        ("a" * 330, 3, "LASCII"),
        ("[" * 80, 1, "ASCII"),
        ("[" * 80 + "a", 2, "LASCII"),  # 161 septets: a handset's brackets take two
        ("a`", 1, "BIG5"),  # no backtick on a handset
        ("中" * 70, 1, "BIG5"),
        ("中" * 71, 2, "LBIG5"),
        ("中" * 134, 2, "LBIG5"),
        ("中" * 135, 3, "LBIG5"),
        ("中" * 330, 5, "LBIG5"),
        ("「全形」，。！※★→⑪", 1, "UCS2"),  # ⑪ is not in Big5
        ("「全形」，。！※★→", 1, "BIG5"),
        ("简体", 1, "UCS2"),
        ("发", 1, "UCS2"),
        ("简" * 70, 1, "UCS2"),
        ("简" * 71, 2, "LUCS2"),
        ("é", 1, "UCS2"),
        ("€", 1, "UCS2"),  # in Windows' table of Big5 alone
        ("／", 1, "UCS2"),  # in both tables, in different places
        ("①", 1, "BIG5"),
        ("𠮷" * 35, 1, "UCS2"),
        ("𠮷" * 36, 2, "LUCS2"),
        ("😀", 1, "UCS2"),
    ],
)
def test_the_encoding_is_chosen_from_the_text(text: str, parts: int, encoding: str) -> None:
    measure = SmsGo.measure(hello(text=text))

    assert (measure.parts, measure.points, measure.encoding) == (parts, Decimal(parts), encoding)
    assert f"&encoding={encoding}&" in sent_query(hello(text=text))


@pytest.mark.parametrize(("text", "encoding"), [("hi", "ASCII"), ("繁體", "BIG5"), ("简体", "UCS2")])
def test_abroad_a_text_has_one_of_three_encodings(text: str, encoding: str) -> None:
    message = hello(to=CHINA, text=text)

    assert SmsGo.refusal(message, NOW) is None
    assert f"&encoding={encoding}&" in sent_query(message)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("a" * 160, "PASCII"), ("中" * 70, "PBIG5"), ("a`", "PBIG5")],
)
def test_a_popup_is_encoded_as_one(text: str, encoding: str) -> None:
    message = hello(text=text, form=Form.POPUP)

    assert SmsGo.refusal(message, NOW) is None
    assert SmsGo.measure(message).encoding == encoding
    assert f"&encoding={encoding}&" in sent_query(message)


def test_replies_cost_a_point_for_every_ten_messages() -> None:
    assert SmsGo.measure(hello(text="hi", reply_days=3)).points == Decimal("1.1")


def refused(message: Message) -> tuple[Code, str] | None:
    refusal = SmsGo.refusal(message, NOW)
    return None if refusal is None else (refusal.reason.code, refusal.problem)


@pytest.mark.parametrize("text", ["a" * 330, "中" * 330, "简" * 330, "𠮷" * 165])
def test_a_long_text_is_carried_up_to_330_characters(text: str) -> None:
    assert refused(hello(text=text)) is None


@pytest.mark.parametrize("text", ["a" * 331, "中" * 331, "简" * 331, "𠮷" * 165 + "a"])
def test_a_text_of_more_is_refused_and_never_cut(text: str) -> None:
    assert refused(hello(text=text)) == (
        Code.TOO_LONG,
        "`text` is longer than 330 characters, smsgo's longest: shorten it",
    )


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 160, True),
        ("a" * 161, False),
        ("[" * 81, False),
        ("中" * 70, True),
        ("中" * 71, False),
        ("简" * 71, False),
    ],
)
@pytest.mark.parametrize(
    "fields", [{"to": CHINA}, {"reply_days": 3}, {"too_long": TooLong.REJECT}, {"to": HONG_KONG, "reply_days": 1}]
)
def test_where_only_one_part_is_carried_a_second_is_refused_and_never_cut(
    text: str, fits: bool, fields: dict[str, Any]
) -> None:
    refusal = refused(hello(text=text, **fields))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 160, True), ("a" * 161, False), ("中" * 70, True), ("中" * 71, False)]
)
def test_a_popup_has_one_part(text: str, fits: bool) -> None:
    refusal = refused(hello(text=text, form=Form.POPUP))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize("text", ["简发", "中文 😀", "é"])
def test_a_popup_holds_nothing_beyond_big5(text: str) -> None:
    message = hello(text=text, form=Form.POPUP)

    refusal = refused(message)

    assert refusal is not None
    assert refusal[0] is Code.UNSUPPORTED_CHARACTER
    assert all(char in refusal[1] for char in SmsGo.measure(message).offending)
    assert set(SmsGo.measure(message).offending) == {"简发": {"简", "发"}, "中文 😀": {"😀"}, "é": {"é"}}[text]


URL_20 = "https://a.example/ab"


@pytest.mark.parametrize(
    ("title", "url", "fits"),
    [
        ("a" * 68, URL_20, True),
        ("a" * 69, URL_20, False),
        ("中" * 22 + "aa", URL_20, True),  # "一個字算成 3 Bytes"
        ("中" * 22 + "aaa", URL_20, False),
        ("简" * 22, URL_20, True),
        ("a", URL_20 + "c" * 67, True),
        ("a", URL_20 + "c" * 68, False),
        ("😀" * 17, URL_20, True),
        ("😀" * 17 + "a", URL_20, False),
    ],
)
def test_title_and_link_of_a_push_message_are_at_most_88_bytes(title: str, url: str, fits: bool) -> None:
    refusal = refused(hello(text=title, url=url, form=Form.PUSH))

    assert (refusal is None) == fits
    if refusal is not None:
        assert refusal == (
            Code.TOO_LONG,
            (
                f"`text` and `url` take {len((title + url).encode())} bytes together, and a push message holds 88:"
                " shorten them"
            ),
        )


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"to": "+886223456789"}, Code.INVALID_NUMBER, "`to`"),
        ({"form": Form.POPUP, "to": CHINA}, Code.UNSUPPORTED_FEATURE, "`form`"),
        ({"form": Form.PUSH, "url": URL_20, "text": "a", "to": HONG_KONG}, Code.UNSUPPORTED_FEATURE, "`form`"),
        ({"form": Form.POPUP, "reply_days": 3}, Code.UNSUPPORTED_FEATURE, "`replies`"),
        ({"form": Form.PUSH, "url": URL_20, "text": "a", "reply_days": 3}, Code.UNSUPPORTED_FEATURE, "`replies`"),
        ({"form": Form.PUSH, "text": "a"}, Code.INVALID_REQUEST, "`url`"),
    ],
)
def test_what_smsgo_cannot_send_is_refused_with_the_field_and_the_remedy(
    fields: dict[str, Any], code: Code, named: str
) -> None:
    refusal = refused(hello(**fields))

    assert refusal is not None
    assert refusal[0] is code
    assert named in refusal[1]


def test_two_way_messages_go_abroad_as_well() -> None:
    assert refused(hello(to=CHINA, text="简体", reply_days=3)) is None


# The reply URL


def test_a_reply_url_may_have_300_characters_and_no_more() -> None:
    longest = REPLY_URL + "x" * (300 - len(REPLY_URL))
    for url, called in ((longest, True), (longest + "x", False), (None, False)):
        wire = Wire([http_answer(SENT)])

        outcomes = SmsGo(ACCOUNT).send(
            Dispatch("smsgo", (hello(reply_days=3), hello(reply_days=3, to=OTHER)), NOW, RESPONSE, url), wire
        )

        assert len(wire.requests) == called
        if not called:
            reasons = [outcome.reason.code for outcome in outcomes if isinstance(outcome, Refused)]
            assert reasons == [Code.UNSUPPORTED_FEATURE] * 2


# Travelling together

GROUPED = hello(text="hi")


@pytest.mark.parametrize(
    "fields",
    [
        {"to": OTHER},
        {"request_id": "another"},
        {"on_doubt": "resend"},
        {"label": "x"},
        {"too_long": TooLong.REJECT},
        {"text": "hi", "context": (("a", "b"),)},
    ],
)
def test_messages_that_read_the_same_travel_together(fields: dict[str, Any]) -> None:
    other = replace(GROUPED, **{"message_id": "m-2", "to": OTHER, **fields})

    assert SmsGo.group(GROUPED) == SmsGo.group(other)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "ho"},
        {"to": CHINA},
        {"reply_days": 3},
        {"form": Form.POPUP},
        {"form": Form.PUSH, "url": URL_20},
        {"send_at": NOW + timedelta(hours=1)},
    ],
)
def test_messages_of_which_anything_differs_do_not(fields: dict[str, Any]) -> None:
    assert SmsGo.group(GROUPED) != SmsGo.group(replace(GROUPED, message_id="m-2", **fields))


def test_reply_days_and_links_keep_messages_apart() -> None:
    for one, other in (
        ({"reply_days": 3}, {"reply_days": 4}),
        ({"form": Form.PUSH, "url": URL_20}, {"form": Form.PUSH, "url": URL_20 + "c"}),
    ):
        assert SmsGo.group(replace(GROUPED, **one)) != SmsGo.group(replace(GROUPED, message_id="m-2", **other))


def test_what_is_scheduled_travels_alone_so_that_it_can_be_canceled_alone() -> None:
    one = hello(send_at=NOW + timedelta(hours=1))

    assert SmsGo.group(one) != SmsGo.group(replace(one, message_id="m-2", to=OTHER))


@pytest.mark.parametrize("code", ["-5", "-9", "-19"])
def test_after_a_number_was_refused_each_of_its_company_goes_alone(code: str) -> None:
    messages = [hello(text="hi"), hello(text="hi", message_id="m-2", to=OTHER)]

    outcomes = SmsGo(ACCOUNT).send(Dispatch("smsgo", tuple(messages), NOW), Wire([http_answer(sent_code(code))]))
    again = [
        replace(message, attempts=(Attempt("smsgo", NOW, "not_sent", outcome.reason),))
        for message, outcome in zip(messages, outcomes, strict=True)
        if isinstance(outcome, NotSent)
    ]

    assert [SmsGo.group(message) for message in again] == [MESSAGE_ID, "m-2"]
    assert {message.attempts[0].reason.provider_code for message in again if message.attempts[0].reason} == {code}


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt("smsgo", NOW, "not_sent", Reason(Code.PROVIDER_UNREACHABLE)),
        Attempt("smsgo", NOW, "not_sent", Reason(Code.RATE_LIMITED, "-21")),
        Attempt("smsgo", NOW, "not_sent"),
        Attempt("other", NOW, "not_sent", Reason(Code.PROVIDER_ERROR, "-5")),
    ],
)
def test_after_any_other_failure_the_company_stays_together(attempt: Attempt) -> None:
    assert SmsGo.group(replace(GROUPED, attempts=(attempt,))) == SmsGo.group(GROUPED)


def send_all(messages: Sequence[Message], *bodies: bytes) -> tuple[tuple[Outcome, ...], list[str]]:
    """The outcomes, and the numbers of each call."""
    wire = Wire([http_answer(body) for body in bodies])
    outcomes = SmsGo(ACCOUNT).send(Dispatch("smsgo", tuple(messages), NOW, RESPONSE), wire)
    return outcomes, [dict(request.fields)["dstaddr"] for request in wire.requests if isinstance(request, HttpRequest)]


def company(count: int, **fields: Any) -> list[Message]:
    return [hello(to=f"+8869123456{n:02}", message_id=f"m-{n}", **fields) for n in range(count)]


def test_all_messages_of_a_call_share_its_msgid_and_its_points() -> None:
    outcomes, calls = send_all(company(4), SENT.replace(b'"point":1', b'"point":8'))

    assert outcomes == (Accepted("1504280910499665", points=Decimal(2)),) * 4
    assert calls == ["0912345600,0912345601,0912345602,0912345603"]


@pytest.mark.parametrize(
    ("count", "points", "share"),
    [
        (1, "1", "1"),
        (1, "1.1", "1.1"),
        (10, "11", "1.1"),
        (50, "50", "1"),
        (3, "4", None),
        (2, "0", "0"),
        (7, "8", None),
    ],
)
def test_a_share_is_said_only_where_it_comes_out_even(count: int, points: str, share: str | None) -> None:
    outcomes, _ = send_all(company(count), SENT.replace(b'"point":1', b'"point":"%s"' % points.encode()))

    expected = None if share is None else Decimal(share)
    assert [outcome.points for outcome in outcomes if isinstance(outcome, Accepted)] == [expected] * count


@pytest.mark.parametrize(
    "point", ["", '"point":null,', '"point":"many",', '"point":-1,', '"point":1e9,', '"point":true,']
)
def test_without_points_the_message_was_taken_all_the_same(point: str) -> None:
    body = f'{{"result":{{"msgid":1504280910499665,{point}"statuscode":"0"}}}}'

    for count in (1, 3):
        outcomes, _ = send_all(company(count), body.encode())

        assert outcomes == (Accepted("1504280910499665"),) * count


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_refusal_that_is_not_about_a_number_concerns_the_whole_call(code: str) -> None:
    outcomes, calls = send_all(company(3), sent_code(code))

    kind = NotSent if code in ("-5", "-9", "-19") else CODES[code][0]
    assert [type(outcome) for outcome in outcomes] == [kind] * 3
    assert len(calls) == 1


# The backup host

BACKUP = {"backup_url": "http://www2.smsgo.com.tw/sms_gw/", "allow_http": True}
UNREACHABLE = NotSent(Reason(Code.PROVIDER_UNREACHABLE))


@pytest.mark.parametrize(
    "backup_url",
    [
        "http://www2.smsgo.com.tw/sms_gw/",
        "http://www2.smsgo.com.tw/sms_gw",
        "http://www2.smsgo.com.tw/sms_gw/sendsms.aspx",  # as the document prints it
    ],
)
def test_what_certainly_did_not_go_out_goes_to_the_backup_host_where_there_is_one(backup_url: str) -> None:
    wire = Wire([UNREACHABLE, http_answer(SENT)])

    outcomes = SmsGo({**ACCOUNT, **BACKUP, "backup_url": backup_url}).send(
        Dispatch("smsgo", (hello(),), NOW, RESPONSE), wire
    )

    first, second = (request for request in wire.requests if isinstance(request, HttpRequest))
    assert outcomes == (Accepted("1504280910499665", points=Decimal(1)),)
    assert first.url == "https://ssl.smsgo.com.tw/sms_gw/sendsms.aspx"
    assert second == replace(first, url="http://www2.smsgo.com.tw/sms_gw/sendsms.aspx")


def test_without_a_backup_host_nothing_else_is_called() -> None:
    for account in (ACCOUNT, {**ACCOUNT, "backup_url": None}, {**ACCOUNT, "backup_url": ""}):
        wire = Wire([UNREACHABLE, http_answer(SENT)])

        outcomes = SmsGo(account).send(Dispatch("smsgo", (hello(),), NOW), wire)

        assert outcomes == (UNREACHABLE,)
        assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        MaybeSent(Reason(Code.NO_REPLY)),
        http_answer(b"<html>busy</html>"),
        http_answer(SENT, 502),
        http_answer(b"", 302),
        *(http_answer(sent_code(code)) for code in CODES),
    ],
)
def test_what_may_have_gone_out_or_was_refused_never_goes_to_the_backup_host(answer: Any) -> None:
    wire = Wire([answer, http_answer(SENT)])

    SmsGo({**ACCOUNT, **BACKUP}).send(Dispatch("smsgo", (hello(),), NOW), wire)

    assert len(wire.requests) == 1


def test_questions_never_go_to_the_backup_host() -> None:
    wire = Wire([UNREACHABLE])

    with pytest.raises(CannotSay):
        SmsGo({**ACCOUNT, **BACKUP}).credit(wire)

    assert len(wire.requests) == 1


@pytest.mark.parametrize("backup_url", [1, ["http://x.example/"], "ftp://x.example/", "https://user:pw@x.example/"])
def test_a_backup_url_that_is_none_is_named(backup_url: object) -> None:
    with pytest.raises(ValueError, match="backup_url"):
        SmsGo({**ACCOUNT, "backup_url": backup_url})


# What comes back


def outcome_of(body: bytes) -> Outcome:
    (outcome,), _ = send_all([hello()], body)
    return outcome


@pytest.mark.parametrize(
    "body",
    [
        SENT,
        SENT.replace(b"1504280910499665", b'"1504280910499665"'),
        SENT.replace(b'"0"', b"0"),
        SENT.replace(b"statuscode", b"statusCode").replace(b"statusstr", b"statusStr").replace(b"msgid", b"MsgId"),
        b'{"results":{"result":[{"msgid":"1504280910499665","statuscode":"0","statusstr":"OK","point":"1"},]}}',
        b'{"result":{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK","point":1,},}',
        b'{"result":[{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK ,] ,}","point":1}]}',
        b'{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK","point":1}',
        b'[{"msgid":1504280910499665,"statuscode":"0","statusstr":"OK","point":1}]',
        b'{\r\n "result" : { "msgid" : 1504280910499665 , "statuscode":" 0 ", "point":1, "new": {"a": [1]} } }\r\n',
        b"msgid=1504280910499665\r\nstatuscode=0\r\nstatusstr=OK\r\npoint=1\r\n",
        b"msgid=1504280910499665\nstatuscode=0\nstatusstr=OK\npoint=1",  # section 2: "\n"
        b"msgid= 1504280910499665\r\nstatuscode=0\r\n statusstr=OK\r\n point=1",  # section 3, with its blanks
        b"MSGID=1504280910499665&statuscode=0&statusstr=OK&point=1",
        "msgid=1504280910499665\r\nstatuscode=0\r\nstatusstr=成功\r\npoint=1\r\n".encode("big5"),
        (
            b'<?xml version="1.0" encoding="utf-8"?><result><msgid>1504280910499665</msgid><statuscode>0</statuscode>'
            b"<statusstr>OK</statusstr><point>1</point></result>"
        ),
        (
            b"<results>\r\n<result>\r\n<msgid> 1504280910499665 </msgid><statusCode>0</statusCode><point>1</point>"
            b"</result></results>"
        ),
        b'<result msgid="1504280910499665" statuscode="0" statusstr="OK" point="1"/>',
        (
            b'<r:result xmlns:r="urn:x"><r:msgid>1504280910499665</r:msgid><r:statuscode>0</r:statuscode>'
            b"<r:point>1</r:point></r:result>"
        ),
    ],
)
def test_a_success_is_read_as_json_as_xml_and_as_lines(body: bytes) -> None:
    assert outcome_of(body) == Accepted("1504280910499665", points=Decimal(1))


def test_the_samples_of_section_3_are_read() -> None:
    assert outcome_of(SENT_LINES) == Accepted("100101121234567", points=Decimal(1))


@pytest.mark.parametrize(
    "body",
    [
        b"msgid=-8\r\nstatuscode=-8\r\nstatusstr=No point\r\npoint=0\r\n",
        b'{"result":{"msgid":-8,"statuscode":"-8","statusstr":"No point","point":0}}',
        b'{"result":{"msgid":"-8","statuscode":-8,"statusstr":"No point","point":0},}',
        b"<result><msgid>-8</msgid><statuscode>-8</statuscode><statusstr>No point</statusstr></result>",
        b"statuscode=-8\r\nstatusstr=No point\r\n",
    ],
)
def test_a_refusal_is_read_as_json_as_xml_and_as_lines(body: bytes) -> None:
    assert outcome_of(body) == Refused(Reason(Code.CREDIT_EXHAUSTED, "-8", "No point"))


def test_the_answer_of_faq_7_may_have_been_sent() -> None:
    body = b"msgid=-1\r\nstatuscode=-1\r\nstatusstr=CGI string error!!\r\npoint=0\r\n"

    assert outcome_of(body) == MaybeSent(Reason(Code.UNKNOWN, "-1", "CGI string error!!"))


def test_their_words_are_kept_without_a_number_in_them() -> None:
    outcome = outcome_of(sent_code("-5", "B Number違反規則 0912345678\x00"))

    assert outcome == Refused(Reason(Code.INVALID_NUMBER, "-5", "B Number違反規則 *******678"))


@pytest.mark.parametrize("code", ["-5", "-8", "-30"])
def test_a_refusal_with_a_msgid_may_have_been_sent(code: str) -> None:
    assert isinstance(outcome_of(sent_code(code, msgid=1504280910499665)), MaybeSent)


@pytest.mark.parametrize("code", NO_MEANING_YET)
def test_an_unlisted_negative_code_is_a_refusal(code: str) -> None:
    assert outcome_of(sent_code(code)) == Refused(Reason(Code.UNKNOWN, code, "text"))


@pytest.mark.parametrize("code", ["1", "100", "99999"])
@pytest.mark.parametrize("msgid", [None, 1504280910499665])
def test_an_unlisted_positive_code_may_have_been_sent(code: str, msgid: object) -> None:
    assert outcome_of(sent_code(code, msgid=msgid)) == MaybeSent(Reason(Code.UNKNOWN, code, "text"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"result":[%s,%s]}' % (SENT[10:-1], SENT[10:-1]),  # two answers to one call
        b'{"result":{"msgid":1,"msgid":2,"statuscode":"0"}}',
        b'{"result":{"msgid":1,"statusCode":"0","statuscode":"-2"}}',
        b"msgid=1\r\nmsgid=2\r\nstatuscode=0\r\n",
        b'{"result":{"msgid":1,"statuscode":"0","point":NaN}}',
        b'{"result":{"msgid":1,"statuscode":"0"},"results":{}}',
        b'{"result":"OK"}',
        b'{"result":["OK"]}',
        b'{"result":{"msgid":1,"statuscode":"OK"}}',
        b'{"result":{"msgid":1,"statuscode":"--2"}}',
        b'{"result":{"msgid":1,"statuscode":"0.0"}}',
        b'{"result":{"msgid":1,"statuscode":false}}',
        b"msgid=1\r\nstatuscode=0\r\n<html>",
        b"0|OK|0912345678|1504280910499665",  # an answer to another question
        b"OK|0|1504280910499665\r\n",
        b"<result><msgid>1</msgid><statuscode>0</statuscode>",
        b"<a><result><msgid>1</msgid><statuscode>0</statuscode></result><result><statuscode>-2</statuscode></result></a>",
        b'<!DOCTYPE r [<!ENTITY a "1">]><result><msgid>&a;</msgid><statuscode>0</statuscode></result>',
        b'<!DOCTYPE r SYSTEM "file:///etc/hostname"><result><msgid>1</msgid><statuscode>0</statuscode></result>',
        b"<html><body><p>statuscode</p></body></html>",
        b"<a>" * 5000 + b"<statuscode>0</statuscode>" + b"</a>" * 5000,
    ],
)
def test_what_says_two_things_or_none_may_have_been_sent(body: bytes) -> None:
    assert isinstance(outcome_of(body), MaybeSent)


@pytest.mark.parametrize("lines", [SENT_LINES, SENT_LINES.replace(b"\r\n", b"\n")])
def test_lines_that_were_cut_name_no_other_message(lines: bytes) -> None:
    for length in range(len(lines)):
        outcome = outcome_of(lines[:length])

        assert isinstance(outcome, MaybeSent) or outcome.provider_ref == "100101121234567"  # type: ignore[union-attr]


@given(body=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@example(body=b"0" * 60)
@anything
def test_no_bytes_behind_a_known_beginning_break_the_reading(body: bytes) -> None:
    for beginning in (b'{"result":{"msgid":', b"<result><msgid>", b"msgid=", b"statuscode=-5\r\n", b"0|DELIVRD|"):
        outcome = outcome_of(beginning + body)

        assert isinstance(outcome, MaybeSent | Refused | Accepted)
        if isinstance(outcome, Accepted):
            assert b"statuscode" in beginning + body.lower()


# Asking


def test_one_message_is_asked_about_as_json() -> None:
    wire = Wire([http_answer(DELIVERED)])

    SmsGo(ACCOUNT).query([ASKED], NOW, wire)

    request = request_of(wire)
    assert request.url == "https://ssl.smsgo.com.tw/sms_gw/query.asp"
    assert urlencode(request.fields) == f"{LOGIN}&msgid=1504280910499665&dstaddr=0988123456&rtype=JSON"


BULK = [
    ASKED,
    replace(ASKED, to=NUMBER),
    Ask("1504280910499666", NUMBER, submitted_at=NOW),
    Ask("1504280910499667", CHINA, submitted_at=NOW),
]


def bulk(body: bytes, asks: Sequence[Ask] = BULK) -> list[tuple[str | None, str | None, Status | None]]:
    reports = SmsGo(ACCOUNT).query(asks, NOW, Wire([http_answer(body)]))
    return [(report.provider_ref, report.to, report.status) for report in reports]


def test_many_messages_are_asked_about_in_one_call() -> None:
    wire = Wire([http_answer(b"0||0988123456|1504280910499665\r\n")])

    SmsGo(ACCOUNT).query(BULK, NOW, wire)

    request = request_of(wire)
    assert SmsGo.asks_per_call == 50
    assert request.url == "https://ssl.smsgo.com.tw/sms_gw/queryBulk.asp"
    assert urlencode(request.fields, safe=",") == (
        f"{LOGIN}&msgid=1504280910499665,1504280910499665,1504280910499666,1504280910499667"
        "&dstaddr=0988123456,0912345678,0912345678,%2B8613681912700"
    )


def test_nobody_is_asked_about_nothing() -> None:
    wire = Wire([http_answer(DELIVERED)])

    assert SmsGo(ACCOUNT).query([], NOW, wire) == []
    assert wire.requests == []


def test_every_line_of_a_bulk_answer_finds_its_message() -> None:
    body = (
        b"0|DELIVRD|0988123456|1504280910499665\r\n"
        b"0|EXPIRED|0912345678|1504280910499665\r\n"
        b"0||0912345678|1504280910499666\r\n"
        b"0| BLOCK |8613681912700| 1504280910499667\r\n"
        b"0|DELIVRD|0900000000|1504280910499665\r\n"  # another number of that call, not asked for
        b"0|DELIVRD|0988123456|1504280910499699\r\n"
        b"\r\n"
    )

    assert bulk(body) == [
        ("1504280910499665", "+886988123456", Status.DELIVERED),
        ("1504280910499665", NUMBER, Status.EXPIRED),
        ("1504280910499667", CHINA, Status.UNDELIVERED),
    ]


@pytest.mark.parametrize(
    "body",
    [
        (
            b'{"results":{"result":[{"statusCode":"0","statusStr":"DELIVRD","cellphone":"0988123456","msgid":1504280910499665},'
            b'{"statusCode":"0","statusStr":"","cellphone":"0912345678","msgid":"1504280910499665"},]}}'
        ),
        (
            b"<results><result><statuscode>0</statuscode><statusstr>DELIVRD</statusstr><dstaddr>0988123456</dstaddr>"
            b"<msgid>1504280910499665</msgid></result></results>"
        ),
        b"0|DELIVRD|0988123456\r\n",  # no msgid, and only one message to this number was asked about
    ],
)
def test_a_bulk_answer_is_read_in_other_shapes(body: bytes) -> None:
    assert bulk(body) == [("1504280910499665", "+886988123456", Status.DELIVERED)]


@pytest.mark.parametrize(
    "body",
    [
        b"0|DELIVRD|0912345678\r\n",  # which of the two messages to this number?
        b"0|DELIVRD||1504280910499665\r\n",  # which of the two numbers of this call?
        b"0|DELIVRD|not a number|1504280910499666\r\n",
        b"0|DELIVRD\r\n",
        b"0|DELIVRD|0912345678|15042809104996",
    ],
)
def test_a_line_that_does_not_say_whose_it_is_is_nobodys(body: bytes) -> None:
    assert bulk(body) == []


@pytest.mark.parametrize("body", [b"0|DELIV", b"0|", b'{"result":{"statusCode":"0","statusStr":"DELIV"}}'])
def test_a_line_that_was_cut_is_no_status(body: bytes) -> None:
    assert bulk(body, [ASKED]) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("-2|授權錯誤||\r\n".encode(), Code.BAD_CREDENTIALS),
        ("-2|授權錯誤|0988123456|1504280910499665\r\n".encode("big5"), Code.BAD_CREDENTIALS),
        (b"msgid=-15\r\nstatuscode=-15\r\nstatusstr=IP\r\npoint=0\r\n", Code.IP_NOT_ALLOWED),
        (b'{"result":{"statuscode":"-1","statusstr":"CGI string error!!"}}', Code.UNKNOWN),
        (b"-77|what\r\n", Code.UNKNOWN),
    ],
)
def test_a_question_that_was_refused_is_no_report(body: bytes, code: Code) -> None:
    for asks in ([ASKED], BULK):
        with pytest.raises(CannotSay) as raised:
            bulk(body, asks)

        assert raised.value.reason.code is code


def test_a_failure_that_names_a_message_is_kept_without_a_status() -> None:
    (report,) = SmsGo(ACCOUNT).query(BULK, NOW, Wire([http_answer(b"-10|Send Fail|0988123456|1504280910499665")]))

    assert report == Report(
        status=None,
        reason=Reason(Code.UNKNOWN, provider_code="Send Fail"),
        provider_code="Send Fail",
        provider_ref="1504280910499665",
        to="+886988123456",
    )


@pytest.mark.parametrize(("said", "status", "code"), STATUSES)
def test_every_status_of_table_2_is_understood_when_asked_for(said: str, status: Status, code: Code | None) -> None:
    answers = [DELIVERED.replace(b"DELIVRD", said.encode()), f"0|{said}|0988123456".encode()]

    for answer in answers:
        (report,) = SmsGo(ACCOUNT).query([ASKED], NOW, Wire([http_answer(answer)]))

        assert report == Report(
            status=status,
            reason=Reason(code, provider_code=said) if code else None,
            provider_code=said,
            provider_ref="1504280910499665",
            to="+886988123456",
            unwanted=said == "BLOCK",
        )


@pytest.mark.parametrize(("said", "status", "code"), STATUSES)
def test_every_status_of_table_2_is_understood_in_a_receipt(said: str, status: Status, code: Code | None) -> None:
    (report,) = SmsGo.read_receipts(Callback("GET", MESSAGE_ID, RECEIPT.replace("DELIVRD", said)))

    assert (report.status, report.reason.code if report.reason else None) == (status, code)
    assert report.provider_code == said
    assert report.unwanted == (said == "BLOCK")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("DELIVERED", Status.DELIVERED),
        ("UNDELIVERABLE", Status.UNDELIVERED),
        ("ACCEPTED", Status.SENT),
        ("REJECTED", Status.UNDELIVERED),
        ("SYNTAXERROR", Status.UNDELIVERED),
        ("delivrd", Status.DELIVERED),
    ],
)
def test_the_long_names_of_table_2_mean_the_same(state: str, status: Status) -> None:
    (report,) = SmsGo.read_receipts(Callback("GET", MESSAGE_ID, RECEIPT.replace("DELIVRD", state)))

    assert (report.status, report.provider_code) == (status, state)


def test_delivered_and_in_error_at_once_is_neither() -> None:
    (asked,) = SmsGo(ACCOUNT).query([ASKED], NOW, Wire([http_answer(DELIVERED.replace(b'"0"', b'"-10"'))]))
    (told,) = SmsGo.read_receipts(Callback("GET", MESSAGE_ID, RECEIPT.replace("statuscode=0", "statuscode=-10")))

    assert (asked.status, told.status) == (None, None)
    assert (asked.provider_code, told.provider_code) == ("DELIVRD", "DELIVRD")


def test_an_undelivered_message_may_come_with_an_error_code() -> None:
    query = RECEIPT.replace("statuscode=0", "statuscode=-10").replace("DELIVRD", "UNDELIV")

    (report,) = SmsGo.read_receipts(Callback("GET", MESSAGE_ID, query))

    assert report.status is Status.UNDELIVERED


def test_a_scheduled_message_is_canceled_by_its_msgid() -> None:
    wire = Wire([http_answer(SENT)])

    assert SmsGo(ACCOUNT).cancel(ASKED, wire) is None
    request = request_of(wire)
    assert request.url == "https://ssl.smsgo.com.tw/sms_gw/sendsms_cancel.asp"
    assert urlencode(request.fields) == f"{LOGIN}&msgid=1504280910499665&rtype=JSON"


@pytest.mark.parametrize(
    "body",
    [
        b"statuscode=0",
        b"msgid=1504280910499665\r\nstatuscode=0\r\nstatusstr=OK\r\n",
        b'{"results":{"result":[{"statusCode": "0","statusStr":"OK"},]}}',
        b"<result><statuscode>0</statuscode></result>",
        b"0|OK",
    ],
)
def test_any_statuscode_of_zero_confirms_a_cancellation(body: bytes) -> None:
    assert SmsGo(ACCOUNT).cancel(ASKED, Wire([http_answer(body)])) is None


@pytest.mark.parametrize(
    ("code", "reason"), [("-15", Code.IP_NOT_ALLOWED), ("-21", Code.RATE_LIMITED), ("7", Code.UNKNOWN)]
)
def test_a_cancellation_that_was_not_judged_can_be_asked_for_again(code: str, reason: Code) -> None:
    with pytest.raises(CannotSay) as raised:
        SmsGo(ACCOUNT).cancel(ASKED, Wire([http_answer(sent_code(code))]))

    assert raised.value.reason.code is reason


def test_a_bare_number_confirms_no_cancellation() -> None:
    with pytest.raises(CannotSay):
        SmsGo(ACCOUNT).cancel(ASKED, Wire([http_answer(b"0")]))


def test_too_late_to_cancel_says_why() -> None:
    refusal = SmsGo(ACCOUNT).cancel(ASKED, Wire([http_answer(sent_code("-1", "CGI string error!!"))]))

    assert isinstance(refusal, Refusal)
    assert refusal.reason == Reason(Code.SCHEDULE_INVALID, "-1", "CGI string error!!")
    assert refusal.problem.startswith("smsgo ")


def test_the_credit_is_asked_for_as_json() -> None:
    wire = Wire([http_answer(CREDIT)])

    SmsGo(ACCOUNT).credit(wire)

    request = request_of(wire)
    assert request.url == "https://ssl.smsgo.com.tw/sms_gw/query_point.asp"
    assert urlencode(request.fields) == f"{LOGIN}&rtype=JSON"


@pytest.mark.parametrize(
    ("body", "credit"),
    [
        (CREDIT, "6220"),
        (b"6220", "6220"),
        (b"6220\r\n", "6220"),
        (b"0", "0"),
        (b'{"results":{"result":[{"statuscode": 0,"point": 6220},]}}', "6220"),
        (b'{"result":{"statuscode":"0","point":"12.5"}}', "12.5"),
        (b"statuscode=0\r\npoint=6220\r\n", "6220"),
        (b"<result><statuscode>0</statuscode><point>6220</point></result>", "6220"),
    ],
)
def test_the_credit_is_read_in_every_shape(body: bytes, credit: str) -> None:
    assert SmsGo(ACCOUNT).credit(Wire([http_answer(body)])) == Decimal(credit)


@pytest.mark.parametrize(
    "point", ['""', "null", "true", '"many"', "[]", '"NaN"', "Infinity", "1e99999999999", '"-3"', '"６２２０"']
)
def test_what_is_no_number_is_no_credit(point: str) -> None:
    body = f'{{"results":{{"result":[{{"statuscode":"0","point":{point}}}]}}}}'

    with pytest.raises(CannotSay):
        SmsGo(ACCOUNT).credit(Wire([http_answer(body)]))


def test_an_error_in_place_of_the_credit_is_said_to_be_one() -> None:
    for body in (b"-2", b"-2\r\n", b"msgid=-2\r\nstatuscode=-2\r\nstatusstr=x\r\npoint=0\r\n"):
        with pytest.raises(CannotSay) as raised:
            SmsGo(ACCOUNT).credit(Wire([http_answer(body)]))

        assert raised.value.reason.code is Code.BAD_CREDENTIALS


# Receipts


@pytest.mark.parametrize(
    "callback",
    [
        Callback("GET", MESSAGE_ID, RECEIPT),
        Callback("GET", f"/{MESSAGE_ID}/", RECEIPT),
        Callback("GET", MESSAGE_ID, RECEIPT.replace("msgid", "MsgId").replace("statusstr", "StatusStr")),
        Callback("GET", MESSAGE_ID, RECEIPT.replace("0912345678", "%2B886912345678")),
        Callback("GET", MESSAGE_ID, RECEIPT.replace("0912345678", "+886912345678")),
        Callback("GET", MESSAGE_ID, RECEIPT.replace("0912345678", "886912345678")),
        Callback("GET", MESSAGE_ID, f"t=1&{RECEIPT}&more=&msgid=100101121234567"),
        Callback("POST", MESSAGE_ID, "", RECEIPT.encode(), "application/x-www-form-urlencoded"),
        Callback("POST", MESSAGE_ID, "", RECEIPT.encode()),
    ],
)
def test_a_receipt_is_understood_however_it_is_carried(callback: Callback) -> None:
    assert SmsGo.read_receipts(callback) == RECEIPT_READ
    assert SmsGo.acknowledge(callback) == ACKNOWLEDGED


@pytest.mark.parametrize(
    "query",
    [
        "msgid=100101121234567&statuscode=0&statusstr=DELIVRD",  # the URL format of section 2
        "msgid=100101121234567&statuscode=0&statusstr=DELIVRD&dstaddr=",
        "msgid=100101121234567&statusstr=DELIVRD",
    ],
)
def test_a_receipt_without_a_number_is_known_by_its_path(query: str) -> None:
    assert SmsGo.read_receipts(Callback("GET", MESSAGE_ID, query)) == [replace(RECEIPT_READ[0], to=None)]


def test_on_the_accounts_own_url_a_receipt_is_known_by_msgid_and_number() -> None:
    (report,) = SmsGo.read_receipts(Callback("GET", "", RECEIPT))

    assert (report.message_id, report.provider_ref, report.to) == (None, "100101121234567", NUMBER)


def test_a_number_abroad_is_known_in_e164() -> None:
    for written in ("%2B8613681912700", "+8613681912700", "8613681912700"):
        (report,) = SmsGo.read_receipts(Callback("GET", "", RECEIPT.replace("0912345678", written)))

        assert report.to == CHINA


def test_a_receipt_without_a_status_is_kept_by_its_code() -> None:
    (report,) = SmsGo.read_receipts(Callback("GET", MESSAGE_ID, "msgid=100101121234567&statuscode=-10&statusstr="))

    assert (report.status, report.provider_code) == (None, "-10")


@pytest.mark.parametrize(
    "callback",
    [
        Callback("GET", MESSAGE_ID, "status=DELIVRD"),
        Callback("GET", MESSAGE_ID, "statusstr=DELIVRD&statuscode=0&dstaddr=0912345678"),
        Callback("GET", MESSAGE_ID, "msgid=&statusstr=DELIVRD"),
        Callback("GET", MESSAGE_ID, "msgid=-5&statusstr=DELIVRD"),
        Callback("GET", MESSAGE_ID, "msgid=100101121234567"),
        Callback("GET", MESSAGE_ID, f"{RECEIPT}&statusstr=EXPIRED"),
        Callback("GET", MESSAGE_ID, f"{RECEIPT}&msgid=100101121234568"),
        Callback("GET", MESSAGE_ID, RECEIPT.replace("0912345678", "0912***678")),
        Callback("GET", MESSAGE_ID, "&".join([RECEIPT, *(f"a{n}=1" for n in range(10_000))])),
        Callback("POST", MESSAGE_ID, "", b"\xff\xfe"),
    ],
)
def test_what_is_no_receipt_is_not_taken_for_one(callback: Callback) -> None:
    with pytest.raises(UNREADABLE):
        SmsGo.read_receipts(callback)


@pytest.mark.parametrize("msgid", ["100101121234567", "1", "0", "-5", "a-B-9", "x" * 40])
def test_a_msgid_is_echoed_in_the_acknowledgement(msgid: str) -> None:
    for acknowledge in (SmsGo.acknowledge, SmsGo.acknowledge_reply):
        told = acknowledge(Callback("GET", MESSAGE_ID, f"msgid={msgid}&statusstr=DELIVRD"))

        assert told.body == f"magicid=tccrd_sms_gateway_rpack\nmsgid={msgid}\n"
        assert told.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    "msgid",
    [
        "x" * 41,
        "<script>alert(1)</script>",
        "1\r\nSet-Cookie: a=b",
        "1\nmsgid=2",
        "1\n",
        "１２３",
        "a b",
        "%00",
        "\u2028",
        '"><img src=x onerror=1>',
        "../../etc",
        "1;2",
        "",
    ],
)
def test_nothing_that_is_no_msgid_is_echoed(msgid: str) -> None:
    for acknowledge in (SmsGo.acknowledge, SmsGo.acknowledge_reply):
        told = acknowledge(Callback("GET", MESSAGE_ID, f"msgid={quote(msgid, safe='')}&statusstr=DELIVRD"))

        known = msgid.strip() if re.fullmatch("[0-9A-Za-z-]{1,40}", msgid.strip(), re.ASCII) else ""
        assert told.body == f"magicid=tccrd_sms_gateway_rpack\nmsgid={known}\n"


def test_whatever_comes_twice_or_a_thousand_times_is_acknowledged() -> None:
    for query in ("msgid=1&msgid=2", "&".join(["msgid=1"] * 1000), "%zz=%", "\ud800", ""):
        told = SmsGo.acknowledge(Callback("GET", "", query))

        assert told.body == "magicid=tccrd_sms_gateway_rpack\nmsgid=\n"


# Replies


def reply_query(written: bytes, encoding: str, **fields: str) -> str:
    told = {
        "msgid": "100101121234567",
        "srcaddr": "0912345678",
        "dstaddr": "0911510128",
        "smbody": quote_from_bytes(written, safe=""),
        "encoding": encoding,
        "timestamp": "2026%2F11%2F20+12%3A00%3A00",
        **fields,
    }
    return "&".join(f"{name}={value}" for name, value in told.items())


def read_reply(written: bytes, encoding: str, **fields: str) -> Reply:
    (reply,) = SmsGo.read_replies(Callback("GET", MESSAGE_ID, reply_query(written, encoding, **fields)))
    return reply


def test_a_reply_names_who_wrote_what_to_which_message() -> None:
    reply = read_reply("好的，謝謝".encode("big5"), "BIG5")

    assert reply == Reply(
        provider="smsgo",
        key=reply.key,
        sender=NUMBER,
        text="好的，謝謝",
        provider_time="2026/11/20 12:00:00",
        provider_ref="100101121234567",
    )
    assert NUMBER[4:] not in repr(reply)
    assert "好的" not in repr(reply)


@pytest.mark.parametrize(
    ("written", "encoding", "text"),
    [
        ("%A6n%AA%BA%A1A%C1%C2%C1%C2", "BIG5", "好的，謝謝"),
        ("%a6n%aa%ba", "BIG5", "好的"),
        ("%E5%A5%BD%E7%9A%84", "BIG5", "好的"),  # in UTF-8, whatever it is said to be
        ("%E5%A5%BD%E7%9A%84", "UCS2", "好的"),
        ("%E5%A5%BD%E7%9A%84", "", "好的"),
        ("OK+1%2B1", "ASCII", "OK 1+1"),
        ("OK", "BIG5", "OK"),
        ("%7c%21%8a%0a%00%23%00%40", "UCS2", "簡訊#@"),  # section 3, the bytes of its PUSH sample
        ("O%60Y%7D", "UCS2", "你好"),
        ("%00S%00T%00O%00P", "UCS2", "STOP"),
        ("N%FD%90%00", "UCS2", "份退"),
        ("%FE%FFO%60Y%7D", "UCS2", "你好"),
        ("%FF%FE%60O%7DY", "UCS2", "你好"),
        ("%D8%3D%DE%00", "UCS2", "😀"),
        ("%C2%A1", "BIG5", "癒"),  # good UTF-8 as well, of ¡
        ("%C5H%B1U", "UCS2", "안녕"),
        ("%00n%00%F1", "UCS2", "nñ"),
        ("%F0%9F%98%80", "UCS2", "😀"),
        ("abc", "UCS2", "abc"),  # an odd number of bytes is no UCS2
        ("%F9%D6", "BIG5", "碁"),  # Windows' table
        ("%FF", "BIG5", "\ufffd"),
        ("", "ASCII", ""),
        ("a%0Ab", "ASCII", "a\nb"),
    ],
)
def test_what_was_typed_is_read_in_every_encoding(written: str, encoding: str, text: str) -> None:
    query = reply_query(b"", encoding, smbody=written)

    (reply,) = SmsGo.read_replies(Callback("GET", MESSAGE_ID, query))

    assert reply.text == text


def test_a_reply_in_big5_survives_the_way_through_api_gateway() -> None:
    event = json.loads((Path(__file__).parents[2] / "events/replies-smsgo.json").read_text("utf-8"))

    provider, _, callback = callback_of(event)
    (reply,) = SmsGo.read_replies(callback)

    assert provider == "smsgo"
    assert "smbody=%A6%AC%A8%EC%A1A%C1%C2%C1%C2" in callback.query
    assert reply.text == "收到，謝謝"


def test_a_receipt_comes_through_api_gateway_as_it_was_told() -> None:
    event = json.loads((Path(__file__).parents[2] / "events/receipts-smsgo.json").read_text("utf-8"))

    provider, _, callback = callback_of(event)
    (report,) = SmsGo.read_receipts(callback)

    assert provider == "smsgo"
    assert (report.status, report.to) == (Status.DELIVERED, NUMBER)


@pytest.mark.parametrize(
    ("srcaddr", "sender"),
    [
        ("0912345678", NUMBER),
        ("886912345678", NUMBER),
        ("%2B886912345678", NUMBER),
        ("+886912345678", NUMBER),
        ("8613681912700", CHINA),
        ("55123", "55123"),  # no telephone number to us, kept as it stands
    ],
)
def test_who_replied_is_known_in_e164(srcaddr: str, sender: str) -> None:
    assert read_reply(b"hi", "ASCII", srcaddr=srcaddr).sender == sender


def test_the_same_reply_has_the_same_key_and_no_other_has_it() -> None:
    one = read_reply(b"hi", "ASCII")
    others = [
        read_reply(b"ho", "ASCII"),
        read_reply(b"hi", "ASCII", srcaddr="0987654321"),
        read_reply(b"hi", "ASCII", dstaddr="0911510129"),
        read_reply(b"hi", "ASCII", msgid="100101121234568"),
        read_reply(b"hi", "ASCII", timestamp="2026%2F11%2F20+12%3A00%3A01"),
    ]

    assert read_reply(b"hi", "ASCII").key == one.key
    assert len({one.key, *(other.key for other in others)}) == 6
    assert NUMBER[4:] not in one.key


def test_a_reply_may_come_as_a_form_and_without_all_of_its_fields() -> None:
    body = b"srcaddr=0912345678&smbody=%A6n"

    (reply,) = SmsGo.read_replies(Callback("POST", "", "", body))

    assert (reply.sender, reply.text, reply.provider_ref, reply.provider_time) == (NUMBER, "好", None, None)


@given(body=st.binary(max_size=100), encoding=st.sampled_from(["BIG5", "ASCII", "UCS2", "", "x"]))
@anything
def test_any_bytes_of_a_reply_are_read_and_can_be_stored(body: bytes, encoding: str) -> None:
    reply = read_reply(body, encoding)

    reply.text.encode()


def _is_big5(char: str) -> bool:
    try:
        return bool(char.encode("big5"))
    except UnicodeEncodeError:
        return False


big5_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFFEF).filter(_is_big5), max_size=70)


@given(text=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF).filter(_is_big5), max_size=70))
@anything
def test_chinese_of_any_length_survives_utf8_under_either_name(text: str) -> None:
    assert read_reply(text.encode(), "BIG5").text == text
    assert read_reply(text.encode(), "UCS2").text == text


def _is_everyday_big5(char: str) -> bool:
    """ASCII and the first of Big5's two levels, "常用字"."""
    return char.isascii() or (_is_big5(char) and b"\xa4\x40" <= char.encode("big5") <= b"\xc6\x7e")


everyday = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x9FFF).filter(_is_everyday_big5))
either_china = st.text(
    st.one_of(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), st.sampled_from("，。！？ OK123😀👍é\n"))
)


@given(text=everyday)
@anything
def test_everyday_chinese_survives_in_big5(text: str) -> None:
    assert read_reply(text.encode("cp950"), "BIG5").text == text


@given(text=either_china)
@anything
def test_chinese_of_both_scripts_survives_in_ucs2(text: str) -> None:
    assert read_reply(text.encode("utf-16-be"), "UCS2").text == text


# Against a server that read the same document


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        yield simulator


@pytest.fixture
def provider(server: Simulator) -> SmsGo:
    return SmsGo(server.secret())


def submit_one(provider: SmsGo, message: Message, now: datetime, reply_url: str | None = None) -> Outcome:
    (outcome,) = provider.send(Dispatch("smsgo", (message,), now, None, reply_url), plain_http.exchange)
    return outcome


def shown_on(server: Simulator, phone: str, ref: str) -> list[str]:
    return [shown.text for shown in server.phones[phone] if shown.ref == ref]


class TestServer(HttpServerContract, CancelingServerContract):
    provider_class = SmsGo
    step = SECOND
    own_faults = (
        (Says(SENT, status=502, carried_out=True), MaybeSent, True),
        (Simulator.says("-1"), MaybeSent, False),
        (Simulator.says("-10", carried_out=True), MaybeSent, True),
        (Simulator.says("-21"), NotSent, False),
        (Simulator.says("-8"), Refused, False),
    )

    def hand_over(self, server: Simulator, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        reply_url = "https://gateway.example/replies/smsgo/token" if messages[0].reply_days else None
        dispatch = Dispatch("smsgo", messages, now, None, reply_url)
        return SmsGo(server.secret()).send(dispatch, plain_http.exchange)

    def charged(self, message: Message) -> int:
        """What replies cost besides is taken of every tenth message; of ASCII the document counts characters alone."""
        measure = SmsGo.measure(message)
        return parts(units(message.text or ""), 160, 153) if measure.encoding.endswith("ASCII") else measure.parts


@given(to=taiwans, title=texts, path=st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=60))
@settings(parent=anything)
def test_any_allowed_push_message_stays_one(server: Simulator, to: str, title: str, path: str) -> None:
    message = hello(to=to, text=title, url=f"https://a.example/{path}", form=Form.PUSH)
    assume(not forbidden(title) and SmsGo.refusal(message, NOW) is None)

    outcome = submit_one(SmsGo(server.secret()), message, server.now())

    assert isinstance(outcome, Accepted)
    assert outcome.points == 1
    assert server.wait_until(lambda: shown_on(server, to, outcome.provider_ref))
    assert shown_on(server, to, outcome.provider_ref) == [f"{title}\nhttps://a.example/{path}"]


@pytest.mark.parametrize(
    ("text", "points"),
    [("a" * 160, 1), ("a" * 161, 2), ("a" * 330, 3), ("中" * 70, 1), ("中" * 71, 2), ("中" * 330, 5), ("简" * 135, 3)],
)
def test_the_server_takes_as_many_points_as_were_measured(
    server: Simulator, provider: SmsGo, text: str, points: int
) -> None:
    before = provider.credit(plain_http.exchange)

    outcome = submit_one(provider, hello(text=text), server.now())

    assert isinstance(outcome, Accepted)
    assert before - provider.credit(plain_http.exchange) == points == outcome.points


def test_fifty_messages_are_taken_in_one_call_and_shown_on_fifty_phones(server: Simulator, provider: SmsGo) -> None:
    before = len(server.accepted)

    outcomes = provider.send(Dispatch("smsgo", tuple(company(50)), server.now()), plain_http.exchange)

    refs = {outcome.provider_ref for outcome in outcomes if isinstance(outcome, Accepted)}
    taken = server.accepted[before:]
    assert len(outcomes) == 50
    assert len(refs) == 1
    assert [sms.to for sms in taken] == [message.to for message in company(50)]
    assert {outcome.points for outcome in outcomes if isinstance(outcome, Accepted)} == {Decimal(1)}


def test_what_became_of_fifty_messages_is_asked_in_one_call(server: Simulator, provider: SmsGo) -> None:
    outcomes = provider.send(Dispatch("smsgo", tuple(company(49)), server.now()), plain_http.exchange)
    abroad = submit_one(provider, hello(to=CHINA), server.now())
    asks = [
        Ask(outcome.provider_ref, message.to, submitted_at=server.now())
        for outcome, message in zip((*outcomes, abroad), (*company(49), hello(to=CHINA)), strict=True)
        if isinstance(outcome, Accepted)
    ]
    assert server.wait_until(lambda: len(provider.query(asks, server.now(), plain_http.exchange)) == 50)

    calls = len(server.calls)
    reports = provider.query(asks, server.now(), plain_http.exchange)

    assert len(server.calls) == calls + 1
    assert {(report.provider_ref, report.to) for report in reports} == {(ask.provider_ref, ask.to) for ask in asks}
    assert {report.status for report in reports} == {Status.DELIVERED}


def test_where_nobody_listens_the_backup_host_takes_it_once(server: Simulator) -> None:
    with Simulator() as backup:
        backup.username, backup.password = server.username, server.password
        provider = SmsGo({**server.secret(), "backup_url": f"{backup.root}sms_gw/"})
        before = len(server.accepted)
        server.go_offline()
        try:
            outcome = submit_one(provider, hello(), server.now())
        finally:
            server.come_back()

        assert isinstance(outcome, Accepted)
        assert (len(server.accepted) - before, len(backup.accepted)) == (0, 1)


def test_where_the_answer_is_lost_the_backup_host_is_not_called(server: Simulator) -> None:
    with Simulator() as backup:
        backup.username, backup.password = server.username, server.password
        provider = SmsGo({**server.secret(), "backup_url": f"{backup.root}sms_gw/"})
        server.script(Closes(), operation="send")

        outcome = submit_one(provider, hello(), server.now())

        assert isinstance(outcome, MaybeSent)
        assert backup.calls == []


@pytest.mark.parametrize("wrong", [{"username": "nobody"}, {"password": "nothing"}])
def test_a_wrong_password_is_said_to_be_one_everywhere(server: Simulator, wrong: dict[str, str]) -> None:
    provider = SmsGo({**server.secret(), **wrong})
    one = Ask("1504280910499665", NUMBER, submitted_at=server.now())

    outcome = submit_one(provider, hello(), server.now())

    assert isinstance(outcome, Refused)
    assert outcome.reason.code is Code.BAD_CREDENTIALS
    for question in (
        lambda: provider.credit(plain_http.exchange),
        lambda: provider.cancel(one, plain_http.exchange),
        lambda: provider.query([one], server.now(), plain_http.exchange),
        lambda: provider.query([one, replace(one, to=OTHER)], server.now(), plain_http.exchange),
    ):
        with pytest.raises(CannotSay, match="bad_credentials"):
            question()


@pytest.mark.parametrize("rtype", ["", "XML", "JSON"])
def test_the_three_answers_of_a_send_are_read_alike(server: Simulator, rtype: str) -> None:
    def without_json(request: HttpRequest) -> HttpResponse:
        kept = tuple(pair for pair in request.fields if pair[0] != "rtype")
        return plain_http.exchange(replace(request, fields=(*kept, ("rtype", rtype)) if rtype else kept))

    (outcome,) = SmsGo(server.secret()).send(Dispatch("smsgo", (hello(),), server.now()), without_json)
    (refused_there,) = SmsGo({**server.secret(), "password": "wrong"}).send(
        Dispatch("smsgo", (hello(),), server.now()), without_json
    )

    assert outcome == Accepted(server.accepted[-1].ref, points=Decimal(1))
    assert isinstance(refused_there, Refused)
    assert refused_there.reason.code is Code.BAD_CREDENTIALS
