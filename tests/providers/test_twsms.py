"""TwSMS, shown by the bytes of its document (4.0 JSON 版, 20211130) and by those its real server was seen to answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulators.base import Says, Step
from local.simulators.twsms import TwSms as Simulator
from smsgate.clock import MINUTE
from smsgate.messages import Dispatch, Message, Reply, Report, TooLong
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import Ask, CannotSay, Refusal
from smsgate.providers.twsms import TwSms
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wire import Callback, HttpRequest
from smstransports.http import HttpTransport
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
    RepliesPollingContract,
    Wire,
    anything,
    hello,
    http_answer,
)
from tests.providers.server_contract import CancelingServerContract, HttpServerContract

ACCOUNT: Mapping[str, object] = {"username": "test", "password": PASSWORD, "reply_numbers": ["12345"]}
LOGIN = f"username=test&password={PASSWORD}"
MESSAGE_ID = "abcdefghijklmnopqrstuvwx-0"
DRURL = f"https://gateway.example/receipts/twsms/token/{MESSAGE_ID}"

SENT = b'{"code":"00000","text":"Success","msgid":222160591}'  # section 3
DELIVERED = b'{"code":"00000","text":"Success","statuscode":"0","statustext":"DELIVRD","donetime":"20180520183042"}'
RECEIPT = (  # section 4, without its line breaks
    "smsresp=%7B%22code%22%3A%2200000%22%2C%22text%22%3A%22Success%22%2C%22msgid%22%3A%2212345678%22%2C%22mobile%22%3A"
    "%220911222333%22%2C%22statuscode%22%3A%220%22%2C%22statustext%22%3A%22DELIVRD%22%2C%22downtime%22%3A"
    "%2220180520183042%22%7D"
)
REPLIES = (  # section 5
    rb'{"code":"00000","text":"Success","moResp":[{"seq":"221831","date":"20180906102939","mobile":"0911222333",'
    rb'"message":"\u53f0\u7063\u7c21\u8a0a\u96d9\u5411\u56de\u50b3\u6e2c\u8a66"}, {"seq":"221832",'
    rb'"date":"20180906103939","mobile":"0911222333",'
    rb'"message":"\u53f0\u7063\u7c21\u8a0a\u96d9\u5411\u56de\u50b3\u6e2c\u8a66"}]}'
)
CREDIT = b'{"code":"00000","text":"Success","point":"1234"}'  # as seen; the document does not show it
UNKNOWN_ACCOUNT = '{"code":"00010","text":"帳號或密碼格式錯誤"}'.encode()

ASKED = Ask("222160591", "+886911222333", submitted_at=NOW - timedelta(minutes=5))


def code_answer(code: str, text: str = "text") -> bytes:
    return json.dumps({"code": code, "text": text}).encode()


UNLISTED = {code: code_answer(code) for code in ("00160", "00070", "00013", "00199", "00200", "12345", "99997")}

# Section 6, typed out again. None of these was taken, but for the four of which nobody can say so.
CODES: Mapping[str, tuple[type[Outcome], Code]] = {
    "00001": (MaybeSent, Code.UNKNOWN),
    "00010": (Refused, Code.BAD_CREDENTIALS),
    "00011": (Refused, Code.BAD_CREDENTIALS),
    "00012": (Refused, Code.BAD_CREDENTIALS),
    "00020": (Refused, Code.CREDIT_EXHAUSTED),
    "00030": (Refused, Code.IP_NOT_ALLOWED),
    "00031": (Refused, Code.COUNTRY_NOT_ENABLED),
    "00040": (Refused, Code.ACCOUNT_DISABLED),
    "00041": (Refused, Code.ACCOUNT_DISABLED),
    "00050": (Refused, Code.SCHEDULE_INVALID),
    "00060": (Refused, Code.INVALID_REQUEST),
    "00100": (Refused, Code.INVALID_NUMBER),
    "00110": (Refused, Code.EMPTY_TEXT),
    "00120": (Refused, Code.TOO_LONG),
    "00130": (Refused, Code.TOO_LONG),
    "00140": (Refused, Code.PROVIDER_ERROR),
    "00150": (Refused, Code.SCHEDULE_INVALID),
    "00170": (Refused, Code.PROVIDER_ERROR),
    "00180": (Refused, Code.UNSUPPORTED_CHARACTER),
    "00300": (Refused, Code.PROVIDER_ERROR),
    "00310": (MaybeSent, Code.UNKNOWN),
    "00400": (Refused, Code.PROVIDER_ERROR),
    "00410": (MaybeSent, Code.UNKNOWN),
    "00420": (Refused, Code.PROVIDER_ERROR),
    "00430": (Refused, Code.PROVIDER_ERROR),
    "99998": (NotSent, Code.PROVIDER_ERROR),
    "99999": (MaybeSent, Code.PROVIDER_ERROR),
}

REPLIES_READ = [
    Reply("twsms", "12345:221831", "+886911222333", "台灣簡訊雙向回傳測試", "20180906102939"),
    Reply("twsms", "12345:221832", "+886911222333", "台灣簡訊雙向回傳測試", "20180906103939"),
]

RECEIPT_READ = [
    Report(
        status=Status.DELIVERED,
        reason=None,
        provider_code="DELIVRD",
        provider_time="20180520183042",
        provider_ref="12345678",
        to="+886911222333",
        message_id=MESSAGE_ID,
    )
]


class TestSending(ProviderContract):
    provider_class = TwSms
    account = ACCOUNT
    ok = SENT
    ok_ref = "222160591"
    without_reference = (
        b'{"code":"00000","text":"Success"}',
        b'{"code":"00000","text":"Success","msgid":null}',
        b'{"code":"00000","text":"Success","msgid":""}',
        b'{"code":"00000","text":"Success","msgid":0}',
        b'{"code":"00000","text":"Success","msgid":true}',
        b'{"code":"00000","text":"Success","msgid":-222160591}',
        b'{"code":"00000","text":"Success","msgid":2221605.91}',
        b'{"code":"00000","text":"Success","msgid":1e999}',
        b'{"code":"00000","text":"Success","msgid":{"id":222160591}}',
        '{"code":"00000","text":"Success","msgid":"２２２１６０５９１"}'.encode(),
    )
    unlisted = UNLISTED
    codes = CODES

    def says(self, code: str) -> bytes:
        return code_answer(code)

    def is_success(self, body: bytes) -> bool:
        try:
            answer = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return False
        if not isinstance(answer, dict) or answer.get("code") != "00000":
            return False
        msgid = answer.get("msgid")
        if isinstance(msgid, str):
            return msgid.strip().isascii() and msgid.strip().isdigit() and len(msgid.strip()) <= 20 and int(msgid) > 0
        return type(msgid) is int and 0 < msgid < 10**20


class TestQuerying(QueriesContract):
    provider_class = TwSms
    account = ACCOUNT
    asked = ASKED
    settled = DELIVERED
    bad_credentials = UNKNOWN_ACCOUNT
    no_report_yet = (
        '{"code":"00001","text":"狀態尚未回復"}'.encode(),
        '{"code":"00300","text":"找不到 msgid"}'.encode(),
        '{"code":"00310","text":"預約尚未送出"}'.encode(),
        b'{"code":"00000","text":"Success"}',
        b'{"code":"00000","text":"Success","statuscode":"","statustext":"","donetime":""}',
        b'{"code":"00000","text":"Success","statuscode":null,"statustext":null,"donetime":null}',
    )
    unlisted_status = ("PAUSED", DELIVERED.replace(b"DELIVRD", b"PAUSED"))


class TestCanceling(CancelsContract):
    provider_class = TwSms
    account = ACCOUNT
    to_cancel = ASKED
    settled = b'{"code":"00000","text":"Success"}'
    bad_credentials = UNKNOWN_ACCOUNT
    too_late = (
        '{"code":"00300","text":"找不到 msgid"}'.encode(),
        '{"code":"00001","text":"狀態尚未回復"}'.encode(),
        DELIVERED,  # the parameter was not understood: an ordinary report
    )


class TestCredit(CreditContract):
    provider_class = TwSms
    account = ACCOUNT
    settled = CREDIT
    credit_left = Decimal(1234)
    bad_credentials = UNKNOWN_ACCOUNT


class TestPolling(RepliesPollingContract):
    provider_class = TwSms
    account = ACCOUNT
    day = date(2018, 9, 6)
    settled = REPLIES
    no_replies = '{"code":"00410","text":"沒有任何 mo 資料"}'.encode()
    bad_credentials = UNKNOWN_ACCOUNT
    replies = REPLIES_READ


class TestReceipts(ReceiptsContract):
    provider_class = TwSms
    account = ACCOUNT
    receipt = Callback("GET", MESSAGE_ID, RECEIPT)
    reports = RECEIPT_READ
    unlisted_receipt = ("PAUSED", replace(receipt, query=RECEIPT.replace("DELIVRD", "PAUSED")))
    unwanted = (replace(receipt, query=RECEIPT.replace("DELIVRD", "REJMOBIL")),)


# What goes out


def sent_form(message: Message, now: datetime = NOW, url: str | None = None, **account: Any) -> str:
    """The form of the call that sends this message."""
    wire = Wire([http_answer(SENT)])
    TwSms({**ACCOUNT, **account}).send(Dispatch("twsms", (message,), now, url), wire)
    return form_of(wire)


def form_of(wire: Wire) -> str:
    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    return urlencode(request.fields)


def test_a_message_goes_out_as_the_form_of_section_3() -> None:
    wire = Wire([http_answer(SENT)])

    TwSms(ACCOUNT).send(Dispatch("twsms", (hello(text="測試"),), NOW, DRURL), wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", "https://api.twsms.com/json/sms_send.php")
    assert urlencode(request.fields) == (
        f"{LOGIN}&mobile=0912345678&message=%E6%B8%AC%E8%A9%A6"
        f"&drurl=https%3A%2F%2Fgateway.example%2Freceipts%2Ftwsms%2Ftoken%2F{MESSAGE_ID}&drurl_check=N"
    )


def test_every_option_is_sent_in_the_order_of_section_3() -> None:
    message = hello(
        text="hi",
        send_at=NOW + timedelta(hours=2, seconds=1),
        valid_for=3600,
        too_long=TooLong.REJECT,
    )

    form = sent_form(message, NOW + timedelta(minutes=10), DRURL)

    assert form == (
        f"{LOGIN}&sendtime=202611201401&expirytime=3000&mobile=0912345678&message=hi"
        f"&drurl=https%3A%2F%2Fgateway.example%2Freceipts%2Ftwsms%2Ftoken%2F{MESSAGE_ID}&drurl_check=N&lmsg=N"
    )


def test_without_a_receipt_url_nothing_is_said_of_one() -> None:
    assert sent_form(hello(text="hi")) == f"{LOGIN}&mobile=0912345678&message=hi"


def test_a_number_abroad_is_country_code_and_number_without_a_plus() -> None:
    assert "&mobile=85261234567&" in sent_form(hello(to="+85261234567", text="hi"))


def test_characters_that_mean_something_in_a_form_arrive_as_themselves() -> None:
    assert sent_form(hello(text="a&b=c+d %41#\n\u3000?")).endswith("&message=a%26b%3Dc%2Bd+%2541%23%0A%E3%80%80%3F")


def test_line_breaks_are_sent_as_line_feeds() -> None:
    assert sent_form(hello(text="one\r\ntwo\nthree")).endswith("&message=one%0Atwo%0Athree")


def test_the_base_url_is_a_setting_with_or_without_its_slash() -> None:
    for base_url in ("https://sms.example/json", "https://sms.example/json/"):
        wire = Wire([http_answer(SENT)])

        TwSms({**ACCOUNT, "base_url": base_url}).send(Dispatch("twsms", (hello(),), NOW), wire)

        (request,) = wire.requests
        assert isinstance(request, HttpRequest)
        assert request.url == "https://sms.example/json/sms_send.php"


def test_a_base_url_without_tls_needs_the_accounts_word() -> None:
    with pytest.raises(ValueError, match="base_url"):
        TwSms({**ACCOUNT, "base_url": "http://api.twsms.com/json/"})

    TwSms({**ACCOUNT, "base_url": "http://api.twsms.com/json/", "allow_http": True})


@pytest.mark.parametrize("numbers", ["12345", ["1234"], ["123456"], [12345], ["１２３４５"], [None], {"12345": 1}])
def test_reply_numbers_are_a_list_of_five_digits_each(numbers: object) -> None:
    with pytest.raises(ValueError, match="reply_numbers"):
        TwSms({**ACCOUNT, "reply_numbers": numbers})


# Time


@pytest.mark.parametrize(
    ("send_at", "sendtime"),
    [
        ("2026-11-20T14:00:00+08:00", "202611201400"),
        ("2026-11-20T14:00:00.000001+08:00", "202611201401"),
        ("2026-11-20T14:00:59+08:00", "202611201401"),
        ("2026-11-20T23:59:59+08:00", "202611210000"),
        ("2026-12-31T23:59:30+08:00", "202701010000"),
        ("2028-02-28T23:59:01+08:00", "202802290000"),
        ("2026-11-20T06:30:00+00:00", "202611201430"),
        ("2026-11-20T10:30:00-09:30", "202611210400"),
        ("2026-11-21T01:15:00+05:45", "202611210330"),
        ("9999-12-31T15:59:00+00:00", "999912312359"),
    ],
)
def test_a_scheduled_time_is_rounded_up_to_the_minute_in_taipei(send_at: str, sendtime: str) -> None:
    form = sent_form(hello(text="hi", send_at=datetime.fromisoformat(send_at)))

    assert f"&sendtime={sendtime}&" in form


@pytest.mark.parametrize("seconds", [0, -1, -3600])
def test_a_time_that_has_come_is_now(seconds: int) -> None:
    assert "sendtime" not in sent_form(hello(text="hi", send_at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    ("seconds", "now", "sendtime"),
    [(1, "12:00:00", "202611201201"), (1, "12:00:29", "202611201201"), (1, "12:00:31", "202611201202")],
)
def test_a_time_that_would_be_past_on_arrival_is_moved_to_the_next_minute(
    seconds: int, now: str, sendtime: str
) -> None:
    clock = datetime.fromisoformat(f"2026-11-20T{now}+08:00")

    form = sent_form(hello(text="hi", send_at=clock + timedelta(seconds=seconds)), clock)

    assert f"&sendtime={sendtime}&" in form


@pytest.mark.parametrize(
    ("valid_for", "waited", "expirytime"),
    [
        (3600, 0, 3600),
        (3600, 10, 3590),
        (300, 0, 300),
        (299, 0, 300),
        (300, 200, 300),
        (60, 90, 300),
        (28800, 0, 28800),
        (28801, 0, 28800),
        (86400, 3600, 28800),
        (86400, 86000, 400),
    ],
)
def test_what_is_left_of_the_validity_is_passed_on_within_300_to_28800(
    valid_for: int, waited: int, expirytime: int
) -> None:
    form = sent_form(hello(text="hi", valid_for=valid_for), NOW + timedelta(seconds=waited))

    assert f"&expirytime={expirytime}&" in form


def test_without_a_validity_the_vendors_default_holds() -> None:
    assert "expirytime" not in sent_form(hello(text="hi"))


# What a text costs, and what cannot be sent


@pytest.mark.parametrize(
    ("text", "to", "parts", "points", "encoding"),
    [
        ("a", NUMBER, 1, 1, "ASCII"),
        ("a" * 160, NUMBER, 1, 1, "ASCII"),
        ("a" * 161, NUMBER, 2, 2, "ASCII"),
        ("a" * 306, NUMBER, 2, 2, "ASCII"),
        ("a" * 307, NUMBER, 3, 3, "ASCII"),
        ("a" * 765, NUMBER, 5, 5, "ASCII"),
        ("a" * 766, NUMBER, 6, 6, "ASCII"),
        ("中" * 70, NUMBER, 1, 1, "Unicode"),
        ("中" * 71, NUMBER, 2, 2, "Unicode"),
        ("中" * 134, NUMBER, 2, 2, "Unicode"),
        ("中" * 135, NUMBER, 3, 3, "Unicode"),
        ("中" * 335, NUMBER, 5, 5, "Unicode"),
        ("中" * 336, NUMBER, 6, 6, "Unicode"),
        ("a" * 70 + "é", NUMBER, 2, 2, "Unicode"),
        ("𠮷" * 35, NUMBER, 1, 1, "Unicode"),
        ("𠮷" * 36, NUMBER, 2, 2, "Unicode"),
        ("a" * 160, "+85261234567", 1, 3, "ASCII"),
        ("中" * 70, "+85261234567", 1, 3, "Unicode"),
    ],
)
def test_a_text_costs_what_section_3_says(text: str, to: str, parts: int, points: int, encoding: str) -> None:
    measure = TwSms.measure(hello(text=text, to=to))

    assert (measure.parts, measure.points, measure.encoding) == (parts, Decimal(points), encoding)


def refused(message: Message) -> tuple[Code, str] | None:
    refusal = TwSms.refusal(message, NOW)
    return None if refusal is None else (refusal.reason.code, refusal.problem)


@pytest.mark.parametrize("text", ["a" * 765, "中" * 335, "a" * 161, "中" * 71])
def test_a_long_text_is_carried_in_up_to_five_parts(text: str) -> None:
    assert refused(hello(text=text)) is None


@pytest.mark.parametrize("text", ["a" * 766, "中" * 336])
def test_a_text_of_six_parts_is_too_long(text: str) -> None:
    assert refused(hello(text=text)) == (
        Code.TOO_LONG,
        "`text` takes 6 parts, and TwSMS sends at most 5: shorten it",
    )


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 160, True), ("a" * 161, False), ("中" * 70, True), ("中" * 71, False)]
)
def test_abroad_a_text_has_one_part(text: str, fits: bool) -> None:
    refusal = refused(hello(text=text, to="+85261234567"))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 160, True), ("a" * 161, False), ("中" * 70, True), ("中" * 71, False)]
)
def test_who_wants_one_part_gets_no_second(text: str, fits: bool) -> None:
    refusal = refused(hello(text=text, too_long=TooLong.REJECT))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize("emoji", ["😀", "👨‍👩‍👧", "🇹🇼", "1️⃣", "❤️", "👍🏽", "⭐"])
def test_emoji_are_refused_by_name(emoji: str) -> None:
    refusal = refused(hello(text=f"中文 {emoji} text"))

    assert refusal == (Code.UNSUPPORTED_CHARACTER, f"`text` holds emoji, which TwSMS refuses: remove {emoji}")


@pytest.mark.parametrize(
    "text", ["★ ☎ ♥ → ① ㊣ ※", "「全形」，。！", "𠮷野家", "é ñ ü ß", "한국어", "ไทย", "\n", "1 # *"]
)
def test_what_is_no_emoji_is_sent(text: str) -> None:
    assert refused(hello(text=text)) is None


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"to": "+886223456789"}, Code.INVALID_NUMBER, "`to`"),
        ({"to": "+886800123456"}, Code.INVALID_NUMBER, "`to`"),
    ],
)
def test_what_twsms_cannot_send_is_refused_with_the_field_and_the_remedy(
    fields: dict[str, Any], code: Code, named: str
) -> None:
    refusal = refused(hello(**fields))

    assert refusal is not None
    assert refusal[0] is code
    assert named in refusal[1]


def test_a_two_way_message_changes_nothing_in_the_form() -> None:
    assert sent_form(hello(text="hi", reply_days=7)) == sent_form(hello(text="hi"))


def test_a_two_way_message_is_not_sent_where_nobody_would_ask_for_the_answers() -> None:
    wire = Wire([http_answer(SENT)])
    account = {**ACCOUNT, "reply_numbers": []}

    (outcome,) = TwSms(account).send(Dispatch("twsms", (hello(reply_days=7),), NOW), wire)

    assert wire.requests == []
    assert isinstance(outcome, Refused)
    assert outcome.reason.code is Code.UNSUPPORTED_FEATURE


# What comes back


def outcome_of(body: bytes) -> Outcome:
    (outcome,) = TwSms(ACCOUNT).send(Dispatch("twsms", (hello(),), NOW), Wire([http_answer(body)]))
    return outcome


@pytest.mark.parametrize(
    "body",
    [
        SENT,
        b'{"code":"00000","text":"Success","msgid":"222160591"}',
        b'{ "msgid" : 222160591 , "code" : "00000" }',
        b'{"code":"00000","text":"Success","msgid":222160591,"point":41,"new":{"a":[1]}}',
        b'{"code":"00020","code":"00000","text":"Success","msgid":222160591}',
        b'\xef\xbb\xbf{"code":"00000","text":"Success","msgid":222160591}\r\n',
    ],
)
def test_a_success_is_read_however_it_is_written(body: bytes) -> None:
    assert outcome_of(body) == Accepted("222160591")


def test_a_reference_may_be_longer_than_it_is_today() -> None:
    assert outcome_of(SENT.replace(b"222160591", b"222160591222")) == Accepted("222160591222")


def test_a_refusal_keeps_their_code_and_their_words() -> None:
    assert outcome_of('{"code":"00020","text":"通數不足"}'.encode()) == Refused(
        Reason(Code.CREDIT_EXHAUSTED, provider_code="00020", provider_text="通數不足")
    )


def test_their_words_are_kept_without_a_number_in_them() -> None:
    outcome = outcome_of(code_answer("00100", "手機號碼格式錯誤 0912345678\x00"))

    assert isinstance(outcome, Refused)
    assert outcome.reason.provider_text == "手機號碼格式錯誤 *******678"


@pytest.mark.parametrize("code", ["00160", "00070", "00199"])
def test_an_unlisted_code_among_refusals_is_a_refusal(code: str) -> None:
    assert outcome_of(code_answer(code)) == Refused(Reason(Code.UNKNOWN, code, "text"))


@pytest.mark.parametrize("code", ["00200", "00301", "10000", "99997", "99990"])
def test_an_unlisted_code_of_its_own_kind_may_have_been_sent(code: str) -> None:
    assert outcome_of(code_answer(code)) == MaybeSent(Reason(Code.UNKNOWN, code, "text"))


@pytest.mark.parametrize("code", [b"0", b'"0"', b'"000000"', b'"0000"', b"null", b'"00000 "', b"false", b'"OK"'])
def test_what_is_no_code_of_five_digits_may_have_been_sent(code: bytes) -> None:
    assert isinstance(outcome_of(b'{"code":%s,"text":"Success","msgid":222160591}' % code), MaybeSent)


# Asking


def asked_form(asked: Ask, now: datetime = NOW) -> str:
    wire = Wire([http_answer(DELIVERED)])
    TwSms(ACCOUNT).query([asked], now, wire)
    return form_of(wire)


def test_a_query_is_the_form_of_section_4() -> None:
    wire = Wire([http_answer(DELIVERED)])

    TwSms(ACCOUNT).query([ASKED], NOW, wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", "https://api.twsms.com/json/sms_query.php")
    assert urlencode(request.fields) == f"{LOGIN}&mobile=0911222333&msgid=222160591"


@pytest.mark.parametrize(
    ("age", "outrange"),
    [
        (timedelta(0), False),
        (timedelta(days=3), False),
        (timedelta(days=3, seconds=1), True),
        (timedelta(days=30), True),
    ],
)
def test_only_what_is_older_than_three_days_is_looked_for_the_slow_way(age: timedelta, outrange: bool) -> None:
    form = asked_form(replace(ASKED, submitted_at=NOW - age))

    assert form.endswith("&outrange=Y") == outrange


# Section 8, typed out again.
STATUSES: list[tuple[str, Status, Code | None]] = [
    ("DELIVRD", Status.DELIVERED, None),
    ("EXPIRED", Status.EXPIRED, Code.EXPIRED),
    ("DELETED", Status.CANCELED, Code.CANCELED),
    ("UNDELIV", Status.UNDELIVERED, Code.UNREACHABLE),
    ("ACCEPTD", Status.SENT, None),
    ("UNKNOWN", Status.UNDELIVERED, Code.UNKNOWN),
    ("REJECTD", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("SYNTAXE", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("MOBERROR", Status.UNDELIVERED, Code.INVALID_NUMBER),
    ("MSGERROR", Status.UNDELIVERED, Code.CONTENT_REFUSED),
    ("OTERROR", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("OTHERROR", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("REJERROR", Status.UNDELIVERED, Code.CONTENT_REFUSED),
    ("REJMOBIL", Status.UNDELIVERED, Code.BLOCKED_BY_RECIPIENT),
]


@pytest.mark.parametrize(("status_text", "status", "code"), STATUSES)
def test_every_status_of_section_8_is_understood_when_asked_for(
    status_text: str, status: Status, code: Code | None
) -> None:
    status_code = "0" if status_text in ("DELIVRD", "ACCEPTD") else "-1"
    body = (
        f'{{"code":"00000","text":"Success","statuscode":"{status_code}","statustext":"{status_text}",'
        '"donetime":"20180520183042"}'
    )

    (report,) = TwSms(ACCOUNT).query([ASKED], NOW, Wire([http_answer(body)]))

    assert report == Report(
        status=status,
        reason=Reason(code, provider_code=status_text) if code else None,
        provider_code=status_text,
        provider_time="20180520183042",
        provider_ref="222160591",
        to="+886911222333",
        unwanted=status_text == "REJMOBIL",
    )


@pytest.mark.parametrize(("status_text", "status", "code"), STATUSES)
def test_every_status_of_section_8_is_understood_in_a_receipt(
    status_text: str, status: Status, code: Code | None
) -> None:
    query = RECEIPT.replace("DELIVRD", status_text)
    if status not in (Status.DELIVERED, Status.SENT):
        query = query.replace("%22statuscode%22%3A%220%22", "%22statuscode%22%3A%22-1%22")

    (report,) = TwSms.read_receipts(Callback("GET", MESSAGE_ID, query))

    assert (report.status, report.reason.code if report.reason else None) == (status, code)
    assert report.provider_code == status_text


def test_delivered_and_failed_at_once_is_neither() -> None:
    body = DELIVERED.replace(b'"statuscode":"0"', b'"statuscode":"-1"')

    (report,) = TwSms(ACCOUNT).query([ASKED], NOW, Wire([http_answer(body)]))

    assert report.status is None
    assert report.provider_code == "DELIVRD"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("00020", Code.CREDIT_EXHAUSTED),
        ("00420", Code.PROVIDER_ERROR),
        ("99999", Code.PROVIDER_ERROR),
        ("00555", Code.UNKNOWN),
    ],
)
def test_a_query_that_was_refused_is_no_report(code: str, reason: Code) -> None:
    with pytest.raises(CannotSay) as raised:
        TwSms(ACCOUNT).query([ASKED], NOW, Wire([http_answer(code_answer(code))]))

    assert (raised.value.reason.code, raised.value.reason.provider_code) == (reason, code)


def test_canceling_says_delete_in_both_spellings() -> None:
    wire = Wire([http_answer('{"code":"00000","text":"Success"}')])

    TwSms(ACCOUNT).cancel(ASKED, wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert request.url == "https://api.twsms.com/json/sms_query.php"
    assert urlencode(request.fields) == f"{LOGIN}&mobile=0911222333&msgid=222160591&delttime=Y&deltime=Y"


def test_a_deleted_message_is_canceled() -> None:
    body = b'{"code":"00000","text":"Success","statuscode":"-1","statustext":"DELETED","donetime":""}'

    assert TwSms(ACCOUNT).cancel(ASKED, Wire([http_answer(body)])) is None


def test_a_message_that_still_waits_was_not_confirmed_to_be_canceled() -> None:
    with pytest.raises(CannotSay) as raised:
        TwSms(ACCOUNT).cancel(ASKED, Wire([http_answer(code_answer("00310", "預約尚未送出"))]))

    assert raised.value.reason.provider_code == "00310"


@pytest.mark.parametrize("body", [DELIVERED, code_answer("00001"), code_answer("00300")])
def test_too_late_to_cancel_says_why(body: bytes) -> None:
    refusal = TwSms(ACCOUNT).cancel(ASKED, Wire([http_answer(body)]))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.code is Code.SCHEDULE_INVALID
    assert refusal.problem.startswith("TwSMS ")


def test_the_credit_is_asked_for_without_number_and_msgid() -> None:
    wire = Wire([http_answer(CREDIT)])

    TwSms(ACCOUNT).credit(wire)

    assert form_of(wire) == f"{LOGIN}&checkpoint=Y"


@pytest.mark.parametrize(
    ("field", "credit"),
    [
        ('"point":"1234"', "1234"),
        ('"point":1234', "1234"),
        ('"points":"1234"', "1234"),
        ('"point":0', "0"),
        ('"point":"-3"', "-3"),
        ('"point":12.5', "12.5"),
        ('"point":"1234","points":"9"', "1234"),
    ],
)
def test_the_credit_is_read_as_string_or_number(field: str, credit: str) -> None:
    body = f'{{"code":"00000","text":"Success",{field}}}'

    assert TwSms(ACCOUNT).credit(Wire([http_answer(body)])) == Decimal(credit)


@pytest.mark.parametrize(
    "point", ['""', "null", "true", '"many"', "[]", '"NaN"', '"Infinity"', "NaN", "1e9999999999999999999"]
)
def test_what_is_no_number_is_no_credit(point: str) -> None:
    with pytest.raises(CannotSay):
        TwSms(ACCOUNT).credit(Wire([http_answer(f'{{"code":"00000","text":"Success","point":{point}}}')]))


# Replies


def poll(wire: Wire, *numbers: str, day: date = date(2018, 9, 6)) -> tuple[list[str], Reason | None]:
    """The keys of what was learnt, and what was said of the rest."""
    learnt: dict[str, Reply] = {}
    try:
        for reply in TwSms({**ACCOUNT, "reply_numbers": list(numbers)}).replies_of(day, wire):
            learnt[reply.key] = reply
    except CannotSay as silence:
        return list(learnt), silence.reason
    return list(learnt), None


def test_replies_are_asked_for_by_two_way_number_and_day() -> None:
    wire = Wire([http_answer(REPLIES)])

    poll(wire, "12345", "54321", "12345")

    assert [request.url for request in wire.requests if isinstance(request, HttpRequest)] == [
        "https://api.twsms.com/json/smsmo_query.php"
    ] * 2
    assert [urlencode(request.fields) for request in wire.requests if isinstance(request, HttpRequest)] == [
        f"{LOGIN}&snumber=12345&sdate=2018-09-06",
        f"{LOGIN}&snumber=54321&sdate=2018-09-06",
    ]


def test_a_day_on_which_ten_thousand_people_answered_is_heard_to_the_end(server: Simulator) -> None:
    for place in range(10_000):
        server.reply(NUMBER, f"第 {place} 個人說：我一定會準時到，謝謝您")

    with closing(HttpTransport(30)) as wire:
        replies = list(TwSms(server.secret()).replies_of(taipei_day(server), wire.exchange))

    assert len({reply.key for reply in replies}) == 10_000


def test_without_two_way_numbers_nobody_is_asked() -> None:
    wire = Wire([http_answer(REPLIES)])

    assert poll(wire) == ([], None)
    assert wire.requests == []


def test_trouble_with_one_number_loses_no_reply_to_another() -> None:
    unknown_number = http_answer('{"code":"00400","text":"找不到 snumber 辨識碼"}')

    learnt, silence = poll(Wire([unknown_number, http_answer(REPLIES)]), "11111", "22222")

    assert learnt == ["22222:221831", "22222:221832"]
    assert silence is not None
    assert silence.provider_code == "00400"


def test_a_refused_password_is_not_tried_with_the_next_number() -> None:
    wire = Wire([http_answer(UNKNOWN_ACCOUNT)])

    learnt, silence = poll(wire, "11111", "22222")

    assert learnt == []
    assert silence is not None
    assert silence.code is Code.BAD_CREDENTIALS
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "entry",
    [
        '{"seq":"7","date":"20180906102939","mobile":"0911222333"}',
        '{"seq":"7","date":"20180906102939","mobile":"0911222333","message":null}',
        '{"seq":"7","date":"20180906102939","mobile":"","message":"hi"}',
        '{"seq":"","date":"20180906102939","mobile":"0911222333","message":"hi"}',
        '{"seq":"' + "7" * 5_000 + '","date":"20180906102939","mobile":"0911222333","message":"hi"}',
        '"hi"',
        "null",
    ],
)
def test_a_reply_that_cannot_be_read_loses_no_other_and_is_not_passed_over_in_silence(entry: str) -> None:
    body = REPLIES.replace(b'{"seq":"221831"', entry.encode() + b',{"seq":"221831"')

    learnt, silence = poll(Wire([http_answer(body)]), "12345")

    assert learnt == ["12345:221831", "12345:221832"]
    assert silence is not None
    assert silence.code is Code.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("mobile", "sender"),
    [
        ("0911222333", "+886911222333"),
        ("886911222333", "+886911222333"),
        ("+886911222333", "+886911222333"),
        ("85261234567", "+85261234567"),
        ("55123", "55123"),  # no telephone number to us, kept as it stands
    ],
)
def test_who_replied_is_known_in_e164(mobile: str, sender: str) -> None:
    body = REPLIES.replace(b"0911222333", mobile.encode())

    replies = list(TwSms(ACCOUNT).replies_of(date(2018, 9, 6), Wire([http_answer(body)])))

    assert {reply.sender for reply in replies} == {sender}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"\u53f0\u7063", "台灣"),
        ("台灣", "台灣"),
        (r"a\nb\/c\"", 'a\nb/c"'),
        (r"\ud83d\ude00", "😀"),
        (r"half \ud83d", "half \ufffd"),
        ("", ""),
    ],
)
def test_what_was_typed_is_read_whole_whatever_was_typed(written: str, text: str) -> None:
    entry = f'{{"seq":1,"date":2,"mobile":"0911222333","message":"{written}"}}'
    body = f'{{"code":"00000","text":"Success","moResp":[{entry}]}}'

    (reply,) = TwSms(ACCOUNT).replies_of(date(2018, 9, 6), Wire([http_answer(body)]))

    assert reply == Reply("twsms", "12345:1", "+886911222333", text, "2")


# Receipts


def receipt(**fields: Any) -> str:
    told = {
        "code": "00000",
        "text": "Success",
        "msgid": "12345678",
        "mobile": "0911222333",
        "statuscode": "0",
        "statustext": "DELIVRD",
        "downtime": "20180520183042",
        **fields,
    }
    return json.dumps({name: value for name, value in told.items() if value is not ...}, ensure_ascii=False)


def test_a_receipt_is_understood_however_it_is_carried() -> None:
    plain = receipt()
    once = urlencode({"smsresp": plain})
    twice = urlencode({"smsresp": urlencode({"": plain})[1:]})

    carried = [
        Callback("GET", MESSAGE_ID, once),
        Callback("GET", f"/{MESSAGE_ID}/", once),
        Callback("GET", MESSAGE_ID, once.replace("%22", '"').replace("%3A", ":")),
        Callback("GET", MESSAGE_ID, once.replace("%2C", "%2c").replace("%7B", "%7b")),
        Callback("GET", MESSAGE_ID, f"t=1&{once}&more="),
        Callback("GET", MESSAGE_ID, twice.replace("%2B", "+")),
        Callback("POST", MESSAGE_ID, "", once.encode(), "application/x-www-form-urlencoded"),
        Callback("POST", MESSAGE_ID, "", once.encode()),
    ]

    assert [TwSms.read_receipts(callback) for callback in carried] == [RECEIPT_READ] * len(carried)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"msgid": 12345678}, {}),
        ({"downtime": ..., "donetime": "20180520183042"}, {}),
        ({"downtime": ...}, {"provider_time": None}),
        ({"downtime": ""}, {"provider_time": None}),
        ({"statuscode": 0}, {}),
        ({"statustext": "delivrd"}, {"provider_code": "delivrd"}),
        ({"mobile": "886911222333"}, {}),
        ({"mobile": "0911***333"}, {"to": None}),
        ({"mobile": ...}, {"to": None}),
        ({"msgid": ...}, {"provider_ref": None}),
        ({"code": ...}, {}),
        ({"new": [1, 2]}, {}),
    ],
)
def test_a_receipt_may_be_written_a_little_differently(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    callback = Callback("GET", MESSAGE_ID, urlencode({"smsresp": receipt(**fields)}))

    assert TwSms.read_receipts(callback) == [replace(RECEIPT_READ[0], **expected)]


def test_on_the_accounts_own_url_a_receipt_is_known_by_msgid_and_number() -> None:
    (report,) = TwSms.read_receipts(Callback("GET", "", RECEIPT))

    assert (report.message_id, report.provider_ref, report.to) == (None, "12345678", "+886911222333")


def test_a_receipt_without_a_status_text_is_kept_by_what_it_has() -> None:
    for fields, kept in (({"statustext": ""}, "0"), ({"statustext": ..., "statuscode": ...}, "00000")):
        query = urlencode({"smsresp": receipt(**fields)})

        (report,) = TwSms.read_receipts(Callback("GET", MESSAGE_ID, query))

        assert (report.status, report.provider_code) == (None, kept)


def test_several_receipts_in_one_call_are_all_read() -> None:
    query = f"{RECEIPT}&{RECEIPT.replace('12345678', '87654321')}"

    reports = TwSms.read_receipts(Callback("GET", "", query))

    assert [report.provider_ref for report in reports] == ["12345678", "87654321"]


@pytest.mark.parametrize(
    "callback",
    [
        Callback("GET", MESSAGE_ID, "status=DELIVRD"),
        Callback("GET", MESSAGE_ID, "smsresp="),
        Callback("GET", MESSAGE_ID, "smsresp=%7B"),
        Callback("GET", MESSAGE_ID, "smsresp=%5B%5D"),
        Callback("GET", MESSAGE_ID, "smsresp=%7B%22a%22%3ANaN%7D"),
        Callback("GET", MESSAGE_ID, f"smsresp={'%5B' * 100_000}"),
        Callback("GET", MESSAGE_ID, "&".join([RECEIPT, *(f"a{n}=1" for n in range(10_000))])),
        Callback("GET", "", urlencode({"smsresp": receipt(msgid=...)})),
        Callback("POST", MESSAGE_ID, "", b"\xff\xfe"),
    ],
)
def test_what_is_no_receipt_is_not_taken_for_one(callback: Callback) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, RecursionError)):
        TwSms.read_receipts(callback)


def test_half_a_character_in_a_status_can_be_stored() -> None:
    query = urlencode({"smsresp": receipt().replace("DELIVRD", r"\ud83d")})

    (report,) = TwSms.read_receipts(Callback("GET", MESSAGE_ID, query))

    assert report.provider_code.encode() == "\ufffd".encode()


# Against a server that read the same document


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        yield simulator


@pytest.fixture
def provider(server: Simulator) -> TwSms:
    return TwSms(server.secret())


def submit_one(provider: TwSms, message: Message, now: datetime) -> Outcome:
    (outcome,) = provider.send(Dispatch("twsms", (message,), now), plain_http.exchange)
    return outcome


def shown_on(server: Simulator, phone: str, ref: str) -> list[str]:
    return [shown.text for shown in server.phones[phone] if shown.ref == ref]


class TestServer(HttpServerContract, CancelingServerContract):
    provider_class = TwSms
    step = MINUTE
    own_faults = (
        (Says(SENT, status=502, carried_out=True), MaybeSent, True),
        (Simulator.says("99998"), NotSent, False),
        (Simulator.says("99999", carried_out=True), MaybeSent, True),
        (Simulator.says("00020"), Refused, False),
    )

    def hand_over(self, server: Simulator, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        return [submit_one(TwSms(server.secret()), message, now) for message in messages]


@pytest.mark.parametrize(
    ("text", "points"),
    [("a" * 160, 1), ("a" * 161, 2), ("a" * 765, 5), ("中" * 70, 1), ("中" * 71, 2), ("中" * 335, 5)],
)
def test_the_server_takes_as_many_points_as_were_measured(
    server: Simulator, provider: TwSms, text: str, points: int
) -> None:
    before = provider.credit(plain_http.exchange)

    outcome = submit_one(provider, hello(text=text), server.now())

    assert isinstance(outcome, Accepted)
    assert before - provider.credit(plain_http.exchange) == points == TwSms.measure(hello(text=text)).points


@pytest.mark.parametrize("text", ["a" * 766, "中" * 336, "text 😀"])
def test_what_is_refused_here_would_be_refused_there(server: Simulator, provider: TwSms, text: str) -> None:
    message = hello(text=text)
    refusal = TwSms.refusal(message, server.now())

    outcome = submit_one(provider, message, server.now())

    assert refusal is not None
    assert isinstance(outcome, Refused)
    assert outcome.reason.code is refusal.reason.code


def test_a_message_abroad_costs_three_points(server: Simulator, provider: TwSms) -> None:
    before = server.credit

    outcome = submit_one(provider, hello(to="+85261234567"), server.now())

    assert isinstance(outcome, Accepted)
    assert before - server.credit == 3
    assert server.accepted[-1].to == "+85261234567"


def test_every_option_is_taken_as_it_was_meant(server: Simulator, provider: TwSms) -> None:
    now = server.now()
    send_at = now + timedelta(hours=3)
    message = hello(send_at=send_at, valid_for=7200, too_long=TooLong.REJECT, accepted_at=now)

    outcome = submit_one(provider, message, now)

    taken = server.accepted[-1]
    assert isinstance(outcome, Accepted)
    assert taken.due is not None
    assert timedelta(0) <= taken.due - send_at < timedelta(minutes=1)
    assert (taken.fields["expirytime"], taken.fields["lmsg"]) == ("7200", "N")


def test_what_became_of_a_message_can_be_asked_days_later(server: Simulator, provider: TwSms) -> None:
    submitted = server.now()
    outcome = submit_one(provider, hello(), submitted)
    assert isinstance(outcome, Accepted)
    asked = Ask(outcome.provider_ref, NUMBER, submitted_at=submitted)
    assert server.wait_until(lambda: provider.query([asked], server.now(), plain_http.exchange))

    server.advance(timedelta(days=4))
    (report,) = provider.query([asked], server.now(), plain_http.exchange)

    assert report.status is Status.DELIVERED


@given(text=st.text(st.characters(codec="utf-8"), max_size=335))
@settings(parent=anything)
def test_whatever_is_typed_on_a_phone_is_read_as_it_was_typed(server: Simulator, text: str) -> None:
    server.reply(NUMBER, text)

    replies = list(TwSms(server.secret()).replies_of(taipei_day(server), plain_http.exchange))

    assert (replies[-1].sender, replies[-1].text) == (NUMBER, text)


def taipei_day(server: Simulator) -> date:
    return (server.now().astimezone(UTC) + timedelta(hours=8)).date()


def test_a_wrong_password_is_said_to_be_one_everywhere(server: Simulator) -> None:
    for wrong in ({"username": "nobody"}, {"password": "nothing"}):
        provider = TwSms({**server.secret(), **wrong})
        outcome = submit_one(provider, hello(), server.now())

        assert isinstance(outcome, Refused)
        assert outcome.reason.code is Code.BAD_CREDENTIALS
        with pytest.raises(CannotSay, match="bad_credentials"):
            provider.credit(plain_http.exchange)
