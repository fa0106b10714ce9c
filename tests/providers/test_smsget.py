"""SMS-Get, shown by the bytes of "SMS-Get 商務簡訊 API 說明" and by those its real server was seen to send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.simulators.base import Says, Step
from local.simulators.smsget import SmsGet as Simulator
from smsgate.callbacks import callback_of
from smsgate.clock import MINUTE
from smsgate.messages import Dispatch, Message, Reply, Report, TooLong
from smsgate.numbers import country
from smsgate.outcomes import Accepted, MaybeSent, Outcome, Refused
from smsgate.providers.base import UNREADABLE, Cancels, CannotSay, PollsReplies, Queries
from smsgate.providers.smsget import SmsGet
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wire import Acknowledgement, Callback, HttpRequest
from tests.providers import plain_http
from tests.providers.contract import (
    NOW,
    NUMBER,
    PASSWORD,
    CreditContract,
    ProviderContract,
    ReceiptsContract,
    RepliesContract,
    Wire,
    anything,
    hello,
    http_answer,
)
from tests.providers.server_contract import HttpServerContract

EVENTS = Path(__file__).parents[2] / "events"

ACCOUNT: Mapping[str, object] = {"username": "test", "password": PASSWORD, "reply_code": "03"}
LOGIN = f"username=test&password={PASSWORD}"
FORM = "application/x-www-form-urlencoded"

SENT = b'{"stats":true,"error_code":"000","error_msg":"5837201|1|437"}'
CREDIT = b'{"stats":true,"error_code":"000","error_msg":"test|438"}'
WRONG_PASSWORD = '{"stats":false,"error_code":"005","error_msg":"帳號密碼錯誤"}'.encode()

# Section 二, its sample with a number in it: 0912xxxxxx|59c4e123|2013-01-01 21:08:07|DELIVRD
ROW = "0912345678|59c4e123|2013-01-01 21:08:07|DELIVRD"
DELIVERED = Report(
    status=Status.DELIVERED,
    reason=None,
    provider_code="DELIVRD",
    provider_time="2013-01-01 21:08:07",
    provider_ref="5837201",
    to="+886912345678",
)
REPORTS = [DELIVERED]
# Section 四, its sample: the text is URL-encoded in the value of the field, so twice on the wire.
REPLY_ROW = "0912345678|59c4e123|2013-01-01 21:08:07|03%E9%9B%99%E5%90%91%E7%B0%A1%E8%A8%8A%E5%9B%9E%E5%82%B3"
REPLY_ON_THE_WIRE = (
    b"content=0912345678%7C59c4e123%7C2013-01-01+21%3A08%3A07%7C"
    b"03%25E9%259B%2599%25E5%2590%2591%25E7%25B0%25A1%25E8%25A8%258A%25E5%259B%259E%25E5%2582%25B3"
)
REPLIES = [
    Reply(
        provider="smsget",
        key="65808e1cd2753bd5666171a8169ee3de",  # with another one every reply told again would be a new one
        sender="+886912345678",
        text="雙向簡訊回傳",
        provider_time="2013-01-01 21:08:07",
    )
]


def code_answer(code: str, words: str = "words") -> bytes:
    return json.dumps({"stats": False, "error_code": code, "error_msg": words}).encode()


MANY_FIELDS = b"".join(b"&a%d=1" % n for n in range(10_000))
UNLISTED = {code: code_answer(code) for code in ("011", "099", "100", "999", "E01")}

# Sections 一 and 三, typed out again.
CODES: Mapping[str, tuple[type[Outcome], Code]] = {
    "001": (Refused, Code.INVALID_REQUEST),
    "002": (Refused, Code.SCHEDULE_INVALID),
    "003": (Refused, Code.SCHEDULE_INVALID),
    "004": (Refused, Code.TOO_LONG),
    "005": (Refused, Code.BAD_CREDENTIALS),
    "006": (Refused, Code.IP_NOT_ALLOWED),
    "007": (Refused, Code.INVALID_NUMBER),
    "008": (Refused, Code.INVALID_REQUEST),
    "009": (Refused, Code.CREDIT_EXHAUSTED),
    "010": (Refused, Code.UNSUPPORTED_FEATURE),
}


def receipt_of(content: str, sms_id: str = "5837201") -> Callback:
    return Callback("POST", "", "", urlencode({"sms_id": sms_id, "content": content}).encode(), FORM)


def reply_of(content: str) -> Callback:
    return Callback("POST", "", "", urlencode({"content": content}).encode(), FORM)


class TestSending(ProviderContract):
    provider_class = SmsGet
    account = ACCOUNT
    ok = SENT
    ok_ref = "5837201"
    without_reference = (
        b'{"stats":true,"error_code":"000"}',
        b'{"stats":true,"error_code":"000","error_msg":null}',
        b'{"stats":true,"error_code":"000","error_msg":5837201}',
        b'{"stats":true,"error_code":"000","error_msg":""}',
        b'{"stats":true,"error_code":"000","error_msg":"5837201"}',
        b'{"stats":true,"error_code":"000","error_msg":"5837201|1"}',
        b'{"stats":true,"error_code":"000","error_msg":"|1|437"}',
        b'{"stats":true,"error_code":"000","error_msg":"0|1|437"}',
        b'{"stats":true,"error_code":"000","error_msg":"00000|1|437"}',
        b'{"stats":true,"error_code":"000","error_msg":"58 37201|1|437"}',
        b'{"stats":true,"error_code":"000","error_msg":"58#37201|1|437"}',
        '{"stats":true,"error_code":"000","error_msg":"５８３７２０１|1|437"}'.encode(),
        b'{"stats":true,"error_code":"000","error_msg":"%s|1|437"}' % (b"5" * 41),
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
        if not isinstance(answer, dict) or answer.get("error_code") != "000":
            return False
        stats, words = answer.get("stats"), answer.get("error_msg")
        if stats is not True and not (isinstance(stats, str) and stats.lower() == "true"):
            return False
        if not isinstance(words, str) or words.count("|") < 2:
            return False
        sms_id = words.split("|")[0].strip()
        return bool(re.fullmatch("[0-9A-Za-z-]{1,40}", sms_id)) and set(sms_id) != {"0"}


class TestCredit(CreditContract):
    provider_class = SmsGet
    account = ACCOUNT
    settled = CREDIT
    credit_left = Decimal(438)
    bad_credentials = WRONG_PASSWORD


class TestReceipts(ReceiptsContract):
    provider_class = SmsGet
    account = ACCOUNT
    receipt = receipt_of(ROW)
    reports = REPORTS
    unlisted_receipt = ("PAUSED", receipt_of(ROW.replace("DELIVRD", "PAUSED")))
    acknowledgement = Acknowledgement("ok")


class TestReplies(RepliesContract):
    provider_class = SmsGet
    account = ACCOUNT
    reply = Callback("POST", "", "", REPLY_ON_THE_WIRE, FORM)
    replies = REPLIES
    no_reply = (
        reply_of(""),
        reply_of("garbage"),
        reply_of("0912345678|59c4e123|2013-01-01 21:08:07"),
        reply_of("|59c4e123|2013-01-01 21:08:07|03hi"),
        Callback("POST", "", "", b"sms_id=5837201", FORM),
        Callback("POST", "", "", b"\xff\xfe", FORM),
        Callback("POST", "", "", reply_of(REPLY_ROW).body + MANY_FIELDS, FORM),
        receipt_of(ROW),
    )
    acknowledgement = Acknowledgement("ok")


# What goes out


def sent_form(*messages: Message, now: datetime = NOW, **account: Any) -> str:
    """The form of the one call that sends these messages."""
    wire = Wire([http_answer(SENT)])
    SmsGet({**ACCOUNT, **account}).send(Dispatch("smsget", messages, now), wire)
    (form,) = forms_of(wire)
    return form


def forms_of(wire: Wire) -> list[str]:
    return [urlencode(request.fields) for request in wire.requests if isinstance(request, HttpRequest)]


def many(count: int, **fields: Any) -> tuple[Message, ...]:
    return tuple(hello(message_id=f"abcdefghijklmnopqrstuvwx-{n}", to=f"+88691{n:07}", **fields) for n in range(count))


def test_a_message_goes_out_as_the_form_of_section_1() -> None:
    wire = Wire([http_answer(SENT)])

    SmsGet(ACCOUNT).send(Dispatch("smsget", (hello(text="測試"),), NOW), wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", "https://sms-get.com/api_send.php")
    assert urlencode(request.fields) == f"{LOGIN}&method=1&sms_msg=%E6%B8%AC%E8%A9%A6&phone=0912345678"


def test_a_scheduled_message_goes_out_as_the_form_of_section_1() -> None:
    form = sent_form(hello(text="hi", send_at=NOW + timedelta(hours=2)))

    assert form == f"{LOGIN}&method=2&sms_msg=hi&phone=0912345678&send_date=2026%2F11%2F20&hour=14&min=00"


@pytest.mark.parametrize("send_at", [None, NOW + timedelta(hours=2)])
def test_a_two_way_message_has_the_same_form_and_a_page_of_its_own(send_at: datetime | None) -> None:
    message = hello(text="hi", reply_days=3, send_at=send_at)
    wire = Wire([http_answer(SENT)])

    SmsGet(ACCOUNT).send(Dispatch("smsget", (message,), NOW), wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", "https://sms-get.com/api_send_twoway.php")
    assert urlencode(request.fields) == sent_form(replace(message, reply_days=None))


def test_up_to_250_recipients_are_one_call_with_commas_between() -> None:
    form = sent_form(*many(250, text="hi"))

    assert SmsGet.capabilities.recipients_per_call == 250
    assert f"&phone={'%2C'.join(f'091{n:07}' for n in range(250))}" in form


def test_countries_travel_together_each_in_its_own_form() -> None:
    messages = [
        hello(message_id=f"abcdefghijklmnopqrstuvwx-{n}", to=to, text="hi")
        for n, to in enumerate(("+886912345678", "+8613512345678", "+85254123456"))
    ]

    assert len({SmsGet.group(message) for message in messages}) == 1
    assert sent_form(*messages).endswith("&phone=0912345678%2C13512345678%2C54123456")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({}, {"to": "+886987654321"}, True),
        ({"text": "a\r\nb"}, {"text": "a\nb"}, True),
        ({"text": "a"}, {"text": "b"}, False),
        ({"text": None}, {"text": ""}, True),
        ({"reply_days": 3}, {"reply_days": 30}, True),
        ({"reply_days": 3}, {}, False),
        ({"send_at": NOW + timedelta(hours=1)}, {}, False),
        ({"send_at": NOW + timedelta(seconds=61)}, {"send_at": NOW + timedelta(seconds=120)}, True),
        ({"send_at": NOW + timedelta(seconds=60)}, {"send_at": NOW + timedelta(seconds=61)}, False),
        ({"label": "a", "context": (("a", "b"),), "valid_for": 60, "private": True, "request_id": "other"}, {}, True),
    ],
)
def test_together_travels_what_one_form_can_say(one: dict[str, Any], other: dict[str, Any], together: bool) -> None:
    assert (SmsGet.group(hello(**one)) == SmsGet.group(hello(**other))) == together


def test_username_and_password_may_have_all_of_the_twenty_characters() -> None:
    form = sent_form(hello(text="hi"), username="u" * 20, password="p&ss=wörd+%41-of-20!")

    assert form.startswith(f"username={'u' * 20}&password=p%26ss%3Dw%C3%B6rd%2B%2541-of-20%21&method=1&")


def test_characters_that_mean_something_in_a_form_arrive_as_themselves() -> None:
    form = sent_form(hello(text="a&b=c+d %41#\n\u3000?"))

    assert "&sms_msg=a%26b%3Dc%2Bd+%2541%23%0A%E3%80%80%3F&" in form


def test_line_breaks_are_sent_as_line_feeds() -> None:
    assert "&sms_msg=one%0Atwo%0Athree&" in sent_form(hello(text="one\r\ntwo\nthree"))


def test_the_base_url_is_a_setting_with_or_without_its_slash() -> None:
    for base_url in ("https://sms.example/get", "https://sms.example/get/"):
        wire = Wire([http_answer(SENT)])

        SmsGet({**ACCOUNT, "base_url": base_url}).send(Dispatch("smsget", (hello(),), NOW), wire)

        (request,) = wire.requests
        assert isinstance(request, HttpRequest)
        assert request.url == "https://sms.example/get/api_send.php"


def test_a_base_url_without_tls_needs_the_accounts_word() -> None:
    with pytest.raises(ValueError, match="base_url"):
        SmsGet({**ACCOUNT, "base_url": "http://sms-get.com/"})

    SmsGet({**ACCOUNT, "base_url": "http://sms-get.com/", "allow_http": True})


@pytest.mark.parametrize("code", ["3", "003", "a3", " 03", "03 ", "０３", 3, ["03"], True])
def test_a_reply_code_has_two_digits(code: object) -> None:
    with pytest.raises(ValueError, match="reply_code"):
        SmsGet({**ACCOUNT, "reply_code": code})


@pytest.mark.parametrize("without", [{"reply_code": None}, {"reply_code": ""}])
def test_a_two_way_message_is_not_sent_where_no_answer_would_come(without: dict[str, object]) -> None:
    wire = Wire([http_answer(SENT)])

    outcomes = SmsGet({**ACCOUNT, **without}).send(Dispatch("smsget", many(2, reply_days=3), NOW), wire)

    assert wire.requests == []
    assert [type(outcome) for outcome in outcomes] == [Refused, Refused]
    assert {each.reason.code for each in outcomes if isinstance(each, Refused)} == {Code.UNSUPPORTED_FEATURE}


def test_an_account_without_a_reply_code_sends_what_is_not_two_way() -> None:
    account = {"username": "test", "password": PASSWORD}

    (outcome,) = SmsGet(account).send(Dispatch("smsget", (hello(),), NOW), Wire([http_answer(SENT)]))

    assert isinstance(outcome, Accepted)


# Numbers

# Section 一, phone: every country's sample, with digits where it has X, and without as many as it allows.
NUMBERS = [
    ("+886912345678", "0912345678", 10),
    ("+8613512345123", "13512345123", 11),
    ("+85254123123", "54123123", 8),
    ("+85366123123", "85366123123", 11),
    ("+819012345123", "819012345123", 12),
    ("+60121234123", "60121234123", 11),
    ("+601212341234", "601212341234", 12),
    ("+84121234123", "84121234123", 11),
    ("+841212341234", "841212341234", 12),
    ("+628123123123", "628123123123", 12),
    ("+6281231231234", "6281231231234", 13),
    ("+66812312123", "66812312123", 11),
    ("+61412312123", "61412312123", 11),
    ("+6581231123", "6581231123", 10),
    ("+639712345123", "639712345123", 12),
    ("+971512345123", "971512345123", 12),
    ("+85512312312", "85512312312", 11),
    ("+855123123123", "855123123123", 12),
    ("+12123123123", "0012123123123", 13),
    ("+82112123123", "82112123123", 11),
    ("+821121231234", "821121231234", 12),
]


@pytest.mark.parametrize(("to", "written", "digits"), NUMBERS)
def test_a_number_is_written_as_its_country_has_it(to: str, written: str, digits: int) -> None:
    assert len(written) == digits
    assert refused(hello(to=to, text="hi")) is None
    assert sent_form(hello(to=to, text="hi")).endswith(f"&phone={written}")


@pytest.mark.parametrize(("to", "written", "digits"), NUMBERS)
def test_a_number_is_known_again_in_a_receipt(to: str, written: str, digits: int) -> None:
    (report,) = SmsGet.read_receipts(receipt_of(ROW.replace("0912345678", written)))

    assert report.to == to


def test_sixteen_countries_are_reached() -> None:
    sixteen = "TW CN HK MO JP MY VN ID TH AU SG PH AE KH US KR"

    assert SmsGet.capabilities.countries == frozenset(sixteen.split())


# Every number that the forms of section 一 can write, whether or not a network has given it to somebody.
any_number = st.one_of(
    *(
        st.from_regex(pattern, fullmatch=True)
        for pattern in (
            r"\+8869[0-9]{8}",
            r"\+861[0-9]{10}",
            r"\+852[0-9]{8}",
            r"\+853[0-9]{8}",
            r"\+81[0-9]{10}",
            r"\+(60|84)[0-9]{9,10}",
            r"\+62[0-9]{10,11}",
            r"\+(66|61)[0-9]{9}",
            r"\+65[0-9]{8}",
            r"\+63[0-9]{10}",
            r"\+971[0-9]{9}",
            r"\+855[0-9]{8,9}",
            r"\+1212[0-9]{7}",
            r"\+821[0-9]{8,9}",
        )
    )
)


@given(to=any_number)
@example(to="+8618533123456")
@example(to="+8618212345678")
@anything
def test_no_number_is_taken_for_that_of_another_country(to: str) -> None:
    wire = Wire([http_answer(SENT)])

    SmsGet(ACCOUNT).send(Dispatch("smsget", (hello(to=to),), NOW), wire)
    (form,) = forms_of(wire)
    (report,) = SmsGet.read_receipts(receipt_of(ROW.replace("0912345678", form.partition("&phone=")[2])))

    assert report.to == to


@pytest.mark.parametrize(
    "to",
    [
        "+886223456789",  # Taipei, on land
        "+886800123456",
        "+8685331234567",  # Anshun, on land: without its country code it would begin as Macau's do
        "+861012345678",
        "+81312345678",
        "+62812312312",
        "+62812312312345",
        "+82212345678",  # Seoul, on land
    ],
)
def test_a_number_that_has_not_the_form_is_refused(to: str) -> None:
    assert refused(hello(to=to)) == (
        Code.INVALID_NUMBER,
        "`to` has not the form SMS-Get documents for mobile numbers: correct it",
    )


# Great Britain, France, Canada and Puerto Rico (of the countries behind +1 only the United States are listed), a phone
# on a ship.
@pytest.mark.parametrize("to", ["+447911123456", "+33612345678", "+16135550123", "+17875550123", "+870773111632"])
def test_a_country_that_is_not_reached_is_refused(to: str) -> None:
    assert refused(hello(to=to)) == (
        Code.COUNTRY_NOT_ENABLED,
        "`to` is in a country SMS-Get does not reach: use another provider",
    )


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("+886912345678", "+886912345678"),
        ("886912345678", "+886912345678"),
        ("0912-345-678", "+886912345678"),
        (" 0912345678 ", "+886912345678"),
        ("8613512345678", "+8613512345678"),
        ("85254123456", "+85254123456"),
        ("12123123123", "+8612123123123"),  # a form of the document comes first: the United States are 001
        ("0912***678", None),
        ("912345678", None),
        ("447911123456", None),
        ("55123", None),
        ("０９１２３４５６７８", None),
    ],
)
def test_a_number_may_be_written_a_little_differently_in_a_receipt(written: str, to: str | None) -> None:
    (report,) = SmsGet.read_receipts(receipt_of(ROW.replace("0912345678", written)))

    assert (report.status, report.to) == (Status.DELIVERED, to)


# Time


@pytest.mark.parametrize(
    ("send_at", "date", "hour", "minute"),
    [
        ("2026-11-20T14:00:00+08:00", "2026%2F11%2F20", "14", "00"),
        ("2026-11-20T14:00:00.000001+08:00", "2026%2F11%2F20", "14", "01"),
        ("2026-11-20T14:00:59+08:00", "2026%2F11%2F20", "14", "01"),
        ("2026-11-21T00:05:00+08:00", "2026%2F11%2F21", "00", "05"),
        ("2026-11-20T23:59:59+08:00", "2026%2F11%2F21", "00", "00"),
        ("2026-12-31T23:59:30+08:00", "2027%2F01%2F01", "00", "00"),
        ("2028-02-28T23:59:01+08:00", "2028%2F02%2F29", "00", "00"),
        ("2026-11-20T06:30:00+00:00", "2026%2F11%2F20", "14", "30"),
        ("2026-11-20T10:30:00-09:30", "2026%2F11%2F21", "04", "00"),
        ("2026-11-21T01:15:00+05:45", "2026%2F11%2F21", "03", "30"),
        ("9999-12-31T15:59:00+00:00", "9999%2F12%2F31", "23", "59"),
    ],
)
def test_a_scheduled_time_is_rounded_up_to_the_minute_in_taipei(
    send_at: str, date: str, hour: str, minute: str
) -> None:
    form = sent_form(hello(text="hi", send_at=datetime.fromisoformat(send_at)))

    assert form.endswith(f"&send_date={date}&hour={hour}&min={minute}")
    assert "&method=2&" in form


@pytest.mark.parametrize("seconds", [0, -1, -3600])
def test_a_time_that_has_come_is_now(seconds: int) -> None:
    form = sent_form(hello(text="hi", send_at=NOW + timedelta(seconds=seconds)))

    assert form == sent_form(hello(text="hi"))


@pytest.mark.parametrize(
    ("seconds", "now", "minute"),
    [(1, "12:00:00", "01"), (1, "12:00:29", "01"), (1, "12:00:30", "01"), (1, "12:00:31", "02")],
)
def test_a_time_that_would_be_past_on_arrival_is_moved_to_the_next_minute(seconds: int, now: str, minute: str) -> None:
    clock = datetime.fromisoformat(f"2026-11-20T{now}+08:00")

    form = sent_form(hello(text="hi", send_at=clock + timedelta(seconds=seconds)), now=clock)

    assert form.endswith(f"&hour=12&min={minute}")


def test_what_travels_together_goes_out_when_the_last_of_it_may() -> None:
    clock = datetime.fromisoformat("2026-11-20T12:00:20+08:00")
    early = hello(text="hi", message_id="early", send_at=clock - timedelta(seconds=10))
    late = hello(text="hi", message_id="late", to="+886987654321", send_at=clock + timedelta(seconds=35))
    assert SmsGet.group(early) == SmsGet.group(late)

    for messages in ((early, late), (late, early)):
        assert sent_form(*messages, now=clock).endswith("&hour=12&min=01")


# What a text costs, and what cannot be sent


@pytest.mark.parametrize(
    ("text", "parts", "encoding"),
    [
        ("a", 1, "ASCII"),
        ("a" * 160, 1, "ASCII"),
        ("a" * 161, 2, "ASCII"),
        ("a" * 306, 2, "ASCII"),
        ("a" * 307, 3, "ASCII"),
        ("a" * 765, 5, "ASCII"),
        ("a" * 766, 6, "ASCII"),
        ("中" * 70, 1, "Unicode"),
        ("中" * 71, 2, "Unicode"),
        ("中" * 134, 2, "Unicode"),
        ("中" * 135, 3, "Unicode"),
        ("中" * 335, 5, "Unicode"),
        ("中" * 336, 6, "Unicode"),
        ("a" * 70 + "é", 2, "Unicode"),
        ("𠮷" * 35, 1, "Unicode"),
        ("𠮷" * 36, 2, "Unicode"),
    ],
)
def test_a_text_has_the_parts_section_1_says(text: str, parts: int, encoding: str) -> None:
    measure = SmsGet.measure(hello(text=text))

    assert (measure.parts, measure.points, measure.encoding) == (parts, Decimal(parts), encoding)


@pytest.mark.parametrize(
    ("fields", "a_part"),
    [
        ({"to": "+886912345678"}, 1),  # 台灣、香港門號每則扣一點
        ({"to": "+85254123456"}, 1),
        ({"to": "+8613512345678"}, 2),  # 中國大陸門號每則扣二點
        ({"to": "+886912345678", "reply_days": 1}, 2),  # 三, by the vendor's price list
        *(({"to": to}, 2) for to, _, _ in NUMBERS[3:]),  # no price is documented: the dearest there is
    ],
)
def test_a_part_costs_what_the_document_says_or_is_reckoned_at_the_dearest(fields: dict[str, Any], a_part: int) -> None:
    points = [SmsGet.measure(hello(text=text, **fields)).points for text in ("hi", "中" * 71, "a" * 765)]

    assert points == [a_part, 2 * a_part, 5 * a_part]


def refused(message: Message) -> tuple[Code, str] | None:
    refusal = SmsGet.refusal(message, NOW)
    return None if refusal is None else (refusal.reason.code, refusal.problem)


@pytest.mark.parametrize("text", ["a" * 765, "中" * 335, "a" * 161, "中" * 71])
@pytest.mark.parametrize("to", [NUMBER, "+85254123456"])
def test_a_long_text_is_carried_in_up_to_five_parts(text: str, to: str) -> None:
    assert refused(hello(text=text, to=to)) is None


@pytest.mark.parametrize("text", ["a" * 766, "中" * 336])
def test_a_text_of_six_parts_is_too_long(text: str) -> None:
    assert refused(hello(text=text)) == (
        Code.TOO_LONG,
        "`text` takes 6 parts, and more than 5 are not sent by SMS-Get: shorten it",
    )


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 160, True), ("a" * 161, False), ("中" * 70, True), ("中" * 71, False)]
)
def test_who_wants_one_part_gets_no_second(text: str, fits: bool) -> None:
    refusal = refused(hello(text=text, too_long=TooLong.REJECT))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize("emoji", ["😀", "👨‍👩‍👧", "🇹🇼", "1️⃣", "❤️", "👍🏽", "⭐"])
def test_emoji_are_refused_by_name(emoji: str) -> None:
    refusal = refused(hello(text=f"中文 {emoji} text"))

    assert refusal == (
        Code.UNSUPPORTED_CHARACTER,
        f"`text` holds emoji, which SMS-Get does not carry: remove {emoji}",
    )


@pytest.mark.parametrize(
    "text", ["★ ☎ ♥ → ① ㊣ ※", "「全形」，。！", "𠮷野家", "é ñ ü ß", "한국어", "ไทย", "\n", "1 # *", "a|b,c"]
)
def test_what_is_no_emoji_is_sent(text: str) -> None:
    assert refused(hello(text=text)) is None


def test_answers_are_taken_from_taiwan_only() -> None:
    assert refused(hello(to="+85254123456", reply_days=3)) == (
        Code.UNSUPPORTED_FEATURE,
        "SMS-Get takes answers from Taiwan only: leave `replies` out for other `to`",  # 僅台灣手機門號可送達
    )


def test_there_is_no_way_to_ask_or_to_take_back_and_none_is_pretended() -> None:
    for ability in (Queries, Cancels, PollsReplies):
        assert not issubclass(SmsGet, ability)
    assert not SmsGet.capabilities.validity


# What comes back


def outcomes_of(body: bytes | str, *messages: Message) -> tuple[Outcome, ...]:
    return SmsGet(ACCOUNT).send(Dispatch("smsget", messages or (hello(),), NOW), Wire([http_answer(body)]))


def outcome_of(body: bytes | str) -> Outcome:
    (outcome,) = outcomes_of(body)
    return outcome


@pytest.mark.parametrize(
    "body",
    [
        SENT,
        b'{"stats":"True","error_code":"000","error_msg":"5837201|1|437"}',
        b'{"stats":"true","error_code":"000","error_msg":" 5837201 | 1 | 437 "}',
        b'{ "error_msg" : "5837201|1|437", "error_code" : "000", "stats" : true, "new": [1] }',
        b'{"stats":true,"error_code":"000","error_msg":"5837201|1|437|more"}',
        b'\xef\xbb\xbf{"stats":true,"error_code":"000","error_msg":"5837201|1|437"}\r\n',
        rb'{"stats":true,"error_code":"000","error_msg":"5837201\u007c1\u007c437"}',
    ],
)
def test_a_success_is_read_however_it_is_written(body: bytes) -> None:
    assert outcome_of(body) == Accepted("5837201", points=Decimal(1), credit=Decimal(437))


@pytest.mark.parametrize("sms_id", ["1", "59c4e123", "a" * 20, "58-37201", "10"])
def test_an_id_may_be_any_word(sms_id: str) -> None:
    outcome = outcome_of(SENT.replace(b"5837201", sms_id.encode()))

    assert isinstance(outcome, Accepted)
    assert outcome.provider_ref == sms_id


@pytest.mark.parametrize("points", ["", "many", "NaN", "Infinity", "1e9", "1_0", "１", "1" * 30])
def test_points_that_are_no_number_are_none_and_turn_no_success_into_a_doubt(points: str) -> None:
    body = f'{{"stats":true,"error_code":"000","error_msg":"5837201|{points}|{points}"}}'

    assert outcome_of(body) == Accepted("5837201")


@pytest.mark.parametrize(
    ("numbers", "used", "shares"),
    [
        (["+886912345678"], "1", ["1"]),
        (["+886912345678"], "3", ["3"]),  # their prices are not ours to know
        (["+886912345678", "+886987654321"], "2", ["1", "1"]),
        (["+886912345678", "+886987654321"], "4", ["2", "2"]),
        (["+886912345678", "+886987654321"], "3", [None, None]),
        (["+886912345678", "+886987654321"], "0", ["0", "0"]),
        (["+886912345678", "+8613512345678"], "3", ["1", "2"]),
        (["+886912345678", "+8613512345678"], "4", [None, None]),
        (["+886912345678", "+886987654321"], "1.5", [None, None]),
        (["+886912345678", "+886987654321"], "many", [None, None]),
        (["+886912345678", "+60121234123"], "3", ["1", "2"]),
        (["+886912345678", "+60121234123"], "4", [None, None]),
    ],
)
def test_the_points_of_a_call_are_shared_where_that_can_be_told(
    numbers: list[str], used: str, shares: list[str | None]
) -> None:
    messages = [hello(message_id=str(n), to=to) for n, to in enumerate(numbers)]

    outcomes = outcomes_of(f'{{"stats":true,"error_code":"000","error_msg":"5837201|{used}|437"}}', *messages)

    assert outcomes == tuple(
        Accepted("5837201", points=None if share is None else Decimal(share), credit=Decimal(437)) for share in shares
    )


def test_a_refusal_is_one_for_every_recipient_of_the_call() -> None:
    outcomes = outcomes_of('{"stats":false,"error_code":"009","error_msg":"點數不足"}', *many(3))

    assert outcomes == (Refused(Reason(Code.CREDIT_EXHAUSTED, "009", "點數不足")),) * 3


def test_their_words_are_kept_without_a_number_in_them_and_can_be_stored() -> None:
    numbered = outcome_of(code_answer("001", "參數錯誤 0912345678\x00"))
    halved = outcome_of(rb'{"stats":false,"error_code":"001","error_msg":"\ud83d"}')
    wordless = outcome_of(b'{"stats":false,"error_code":"001"}')

    assert numbered == Refused(Reason(Code.INVALID_REQUEST, "001", "參數錯誤 *******678"))
    assert halved == Refused(Reason(Code.INVALID_REQUEST, "001", "\ufffd"))
    assert wordless == Refused(Reason(Code.INVALID_REQUEST, "001"))


@pytest.mark.parametrize("stats", ["false", '"False"', '"false"'])
def test_an_unlisted_code_is_a_refusal_where_stats_says_that_it_failed(stats: str) -> None:
    outcome = outcome_of(f'{{"stats":{stats},"error_code":"011","error_msg":"words"}}')

    assert outcome == Refused(Reason(Code.UNKNOWN, "011", "words"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"stats":false,"error_code":"000","error_msg":"5837201|1|437"}',
        b'{"stats":true,"error_code":"009","error_msg":"words"}',
        b'{"stats":true,"error_code":"011","error_msg":"5837201|1|437"}',
        b'{"error_code":"000","error_msg":"5837201|1|437"}',
        b'{"error_code":"009","error_msg":"words"}',
        b'{"stats":null,"error_code":"009","error_msg":"words"}',
        b'{"stats":0,"error_code":"009","error_msg":"words"}',
        b'{"stats":"no","error_code":"009","error_msg":"words"}',
        b'{"stats":false,"error_msg":"words"}',
        b'{"stats":false,"error_code":9,"error_msg":"words"}',
        b'{"stats":false,"error_code":"","error_msg":"words"}',
        b'{"stats":false,"error_code":"not a code","error_msg":"words"}',
        b'{"stats":true,"error_code":0,"error_msg":"5837201|1|437"}',
        b'{"stats":true,"error_code":"0","error_msg":"5837201|1|437"}',
        b'{"stats":true,"error_code":"0000","error_msg":"5837201|1|437"}',
        '{"stats":true,"error_code":"０００","error_msg":"5837201|1|437"}'.encode(),
        b'[{"stats":true,"error_code":"000","error_msg":"5837201|1|437"}]',
        b'{"stats":true,"error_code":"000","error_msg":"5837201|1|437"}{}',
    ],
)
def test_what_is_neither_the_documented_success_nor_a_documented_error_may_have_been_sent(body: bytes) -> None:
    assert isinstance(outcome_of(body), MaybeSent)


# Credit


def test_the_credit_is_asked_for_as_section_5_says() -> None:
    wire = Wire([http_answer(CREDIT)])

    SmsGet(ACCOUNT).credit(wire)

    (request,) = wire.requests
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url) == ("POST", "https://sms-get.com/api_query_credit.php")
    assert urlencode(request.fields) == LOGIN


@pytest.mark.parametrize(
    ("words", "credit"),
    [("test|438", "438"), ("test|0", "0"), ("test|-3", "-3"), ("te|st| 12.5 ", "12.5"), ("438", "438")],
)
def test_the_credit_is_what_stands_last(words: str, credit: str) -> None:
    body = json.dumps({"stats": True, "error_code": "000", "error_msg": words})

    assert SmsGet(ACCOUNT).credit(Wire([http_answer(body)])) == Decimal(credit)


@pytest.mark.parametrize("words", ["", "test|", "test|many", "test|NaN", "test|438|", "|"])
def test_what_is_no_number_is_no_credit(words: str) -> None:
    body = json.dumps({"stats": True, "error_code": "000", "error_msg": words})

    with pytest.raises(CannotSay) as raised:
        SmsGet(ACCOUNT).credit(Wire([http_answer(body)]))

    assert raised.value.reason.code is Code.PROVIDER_ERROR


# Section 五, typed out again.
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("001", Code.INVALID_REQUEST),
        ("005", Code.BAD_CREDENTIALS),
        ("006", Code.IP_NOT_ALLOWED),
        ("042", Code.UNKNOWN),
    ],
)
def test_a_credit_that_was_refused_says_why(code: str, reason: Code) -> None:
    with pytest.raises(CannotSay) as raised:
        SmsGet(ACCOUNT).credit(Wire([http_answer(code_answer(code))]))

    assert (raised.value.reason.code, raised.value.reason.provider_code) == (reason, code)


@pytest.mark.parametrize(("stats", "code"), [(True, "005"), (False, "000")])
def test_a_contradiction_is_no_credit(stats: bool, code: str) -> None:
    body = json.dumps({"stats": stats, "error_code": code, "error_msg": "test|438"})

    with pytest.raises(CannotSay):
        SmsGet(ACCOUNT).credit(Wire([http_answer(body)]))


# Receipts

# SMPP 3.4, appendix B, typed out again: the document has no list, and shows the first of these.
STATUSES: list[tuple[str, Status, Code | None]] = [
    ("DELIVRD", Status.DELIVERED, None),
    ("EXPIRED", Status.EXPIRED, Code.EXPIRED),
    ("DELETED", Status.CANCELED, Code.CANCELED),
    ("UNDELIV", Status.UNDELIVERED, Code.UNREACHABLE),
    ("ACCEPTD", Status.SENT, None),
    ("UNKNOWN", Status.UNDELIVERED, Code.UNKNOWN),
    ("REJECTD", Status.UNDELIVERED, Code.PROVIDER_ERROR),
]


@pytest.mark.parametrize(("said", "status", "code"), STATUSES)
def test_every_state_of_smpp_is_understood(said: str, status: Status, code: Code | None) -> None:
    (report,) = SmsGet.read_receipts(receipt_of(ROW.replace("DELIVRD", said)))

    assert report == replace(
        DELIVERED, status=status, reason=Reason(code, provider_code=said) if code else None, provider_code=said
    )


@pytest.mark.parametrize("said", ["ENROUTE", "DELIVERED", "0", "失敗", "OTHERROR"])
def test_a_state_that_is_none_of_these_is_kept_without_a_status(said: str) -> None:
    (report,) = SmsGet.read_receipts(receipt_of(ROW.replace("DELIVRD", said)))

    assert (report.status, report.provider_code) == (None, said)
    assert report.reason == Reason(Code.UNKNOWN, provider_code=said)
    assert (report.provider_ref, report.to) == ("5837201", NUMBER)


def test_a_receipt_is_the_form_of_section_2() -> None:
    body = b"sms_id=5837201&content=0912345678%7C59c4e123%7C2013-01-01+21%3A08%3A07%7CDELIVRD"

    assert SmsGet.read_receipts(Callback("POST", "", "", body, FORM)) == [DELIVERED]


def test_a_receipt_is_understood_however_it_is_carried() -> None:
    form = urlencode({"sms_id": "5837201", "content": ROW})
    parts = (
        b'--xyz\r\nContent-Disposition: form-data; name="sms_id"\r\n\r\n5837201\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="content"\r\n\r\n' + ROW.encode() + b"\r\n--xyz--\r\n"
    )

    carried = [
        Callback("POST", "", "", form.encode(), FORM),
        Callback("POST", "", "", form.encode(), ""),
        Callback("POST", "", "", f"{form}&new=1".encode(), f"{FORM}; charset=UTF-8"),
        Callback("POST", "", "", f"sms_id=5837201&content={ROW}".encode(), FORM),
        Callback("POST", "", "", form.replace("%7C", "%7c").replace("+", "%20").encode(), FORM),
        Callback("GET", "", form),
        Callback("POST", "", "sms_id=5837201", urlencode({"content": ROW}).encode(), FORM),
        Callback("POST", "", "", parts, "multipart/form-data; boundary=xyz"),
        Callback("POST", "", "", parts, 'Multipart/Form-Data; boundary="xyz"'),
    ]

    assert [SmsGet.read_receipts(callback) for callback in carried] == [[DELIVERED]] * len(carried)


def test_an_id_may_have_all_of_the_twenty_characters() -> None:
    (report,) = SmsGet.read_receipts(receipt_of(ROW, sms_id="58372015837201583720"))

    assert report == replace(DELIVERED, provider_ref="58372015837201583720")


def test_several_recipients_of_a_call_are_told_with_commas_between() -> None:
    content = f"{ROW},13512345678|59c4e124|2013-01-01 21:08:09|UNDELIV, 54123456|59c4e125|2013-01-01 21:08:11|EXPIRED,"

    reports = SmsGet.read_receipts(receipt_of(content))

    assert [(report.provider_ref, report.to, report.status) for report in reports] == [
        ("5837201", "+886912345678", Status.DELIVERED),
        ("5837201", "+8613512345678", Status.UNDELIVERED),
        ("5837201", "+85254123456", Status.EXPIRED),
    ]


def test_all_250_recipients_of_a_call_are_read() -> None:
    rows = [f"091{n:07}|{n:08x}|2013-01-01 21:08:07|DELIVRD" for n in range(250)]

    reports = SmsGet.read_receipts(receipt_of(",".join(rows)))

    assert [report.to for report in reports] == [f"+88691{n:07}" for n in range(250)]
    assert {report.status for report in reports} == {Status.DELIVERED}


@pytest.mark.parametrize(
    "row", ["garbage", "0912345678", "0912345678|59c4e123|DELIVRD", "|1|2|DELIVRD", "1|2|3|", "|||"]
)
def test_a_row_that_cannot_be_read_is_told_as_one_and_keeps_no_other_from_being_read(row: str) -> None:
    first, bad, last = SmsGet.read_receipts(receipt_of(f"{ROW},{row},{ROW.replace('0912345678', '0987654321')}"))

    assert (first.to, first.status) == ("+886912345678", Status.DELIVERED)
    assert (last.to, last.status) == ("+886987654321", Status.DELIVERED)
    assert (bad.to, bad.status, bad.provider_code) == (None, None, "malformed row")
    assert bad.provider_ref == "5837201"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW.replace("DELIVRD", "delivrd"), {"provider_code": "delivrd"}),
        (ROW.replace("DELIVRD", " DELIVRD \r\n"), {}),
        (f"{ROW}|more", {}),
        (ROW.replace("59c4e123", ""), {}),
        (ROW.replace("2013-01-01 21:08:07", ""), {"provider_time": None}),
        (ROW.replace("2013-01-01 21:08:07", "zzzz"), {"provider_time": None}),
        (ROW.replace("2013-01-01 21:08:07", "2013/01/01 21:08"), {"provider_time": None}),
    ],
)
def test_a_row_may_be_written_a_little_differently(row: str, expected: dict[str, Any]) -> None:
    assert SmsGet.read_receipts(receipt_of(row)) == [replace(DELIVERED, **expected)]


@pytest.mark.parametrize(
    "callback",
    [
        Callback("POST", "", "", b"sms_id=5837201", FORM),
        Callback("POST", "", "", urlencode({"content": ROW}).encode(), FORM),
        receipt_of(""),
        receipt_of(", ,"),
        receipt_of("garbage"),
        receipt_of("garbage,more"),
        receipt_of(ROW, sms_id=""),
        receipt_of(ROW, sms_id="0"),
        receipt_of(ROW, sms_id="58 37201"),
        receipt_of(ROW, sms_id="５８３７２０１"),
        receipt_of(ROW, sms_id="5" * 41),
        Callback("POST", "", "", b"\xff\xfe", FORM),
        Callback("POST", "", "", b"{}", "application/json"),
        Callback("POST", "", "", receipt_of(ROW).body, "multipart/form-data; boundary=xyz"),
        Callback("POST", "", "", receipt_of(ROW).body, "multipart/form-data"),
        Callback("POST", "", "", receipt_of(ROW).body + MANY_FIELDS, FORM),
        reply_of(REPLY_ROW),
    ],
)
def test_what_is_no_receipt_is_not_taken_for_one(callback: Callback) -> None:
    with pytest.raises(UNREADABLE):
        SmsGet.read_receipts(callback)


def test_of_a_field_that_is_there_twice_the_last_counts() -> None:
    body = receipt_of(ROW, sms_id="1").body + b"&" + receipt_of(ROW).body

    assert SmsGet.read_receipts(Callback("POST", "", "", body, FORM)) == [DELIVERED]


@given(body=st.binary(max_size=300), boundary=st.text(max_size=8))
@example(body=b"--x\r\nContent-Disposition: form-data; name*=\xff''sms_id\r\n\r\n1\r\n--x--", boundary="x")
@example(body=b"--x\r\nContent-Type: message/rfc822\r\n\r\n--x--", boundary="x")
@anything
def test_no_form_in_parts_breaks_the_reading(body: bytes, boundary: str) -> None:
    callback = Callback("POST", "", "", b"--x\r\n" + body, f"multipart/form-data; boundary={boundary}")

    for read in (SmsGet.read_receipts, SmsGet.read_replies):
        try:
            read(callback)
        except UNREADABLE:
            continue


# Replies


def typed(text: str, code: str = "03") -> str:
    """What the field holds when this was typed on a phone."""
    return REPLY_ROW.rpartition("|")[0] + "|" + quote_plus(code + text)


def test_a_reply_is_understood_however_it_is_carried() -> None:
    form = urlencode({"content": REPLY_ROW})
    part = b'--xyz\r\nContent-Disposition: form-data; name="content"\r\n\r\n' + REPLY_ROW.encode() + b"\r\n--xyz--\r\n"

    carried = [
        Callback("POST", "", "", form.encode(), FORM),
        Callback("POST", "", "", REPLY_ON_THE_WIRE.replace(b"%25E", b"%25e"), FORM),
        Callback("POST", "", "", f"content={REPLY_ROW}".encode(), FORM),  # encoded once after all
        Callback("GET", "", form),
        Callback("POST", "", "", part, "multipart/form-data; boundary=xyz"),
    ]

    read = [SmsGet.read_replies(callback) for callback in carried]

    assert [[(each.sender, each.text) for each in replies] for replies in read] == [
        [("+886912345678", "雙向簡訊回傳")]
    ] * len(carried)


@pytest.mark.parametrize(
    ("typed_text", "text"),
    [
        ("好", "好"),
        (" STOP", "STOP"),
        ("\nSTOP ", "STOP "),
        ("a|b,c", "a|b,c"),
        ("0987654321|59c4e124|2013-01-01 21:08:07|03STOP", "0987654321|59c4e124|2013-01-01 21:08:07|03STOP"),
        (",0987654321|59c4e124|2013-01-01 21:08:07|03STOP", ",0987654321|59c4e124|2013-01-01 21:08:07|03STOP"),
        ("100% +1 &x=y%41", "100% +1 &x=y%41"),
        ("0312", "0312"),
        ("😀", "😀"),
        ("", ""),
    ],
)
def test_the_text_is_what_was_typed_after_the_code(typed_text: str, text: str) -> None:
    (read,) = SmsGet.read_replies(reply_of(typed(typed_text)))

    assert read.text == text


@pytest.mark.parametrize(("content", "text"), [("%E5%A5%BD", "好"), ("3%E5%A5%BD", "3好"), ("%FF03", "\ufffd03")])
def test_a_text_without_a_code_is_left_as_it_is(content: str, text: str) -> None:
    (read,) = SmsGet.read_replies(reply_of(REPLY_ROW.rpartition("|")[0] + "|" + content))

    assert read.text == text


def test_several_replies_are_read_with_commas_between() -> None:
    content = f"{typed('好, 謝謝')},{typed('STOP').replace('0912345678', '0987654321')}"

    replies = SmsGet.read_replies(reply_of(content))

    assert [(each.sender, each.text) for each in replies] == [("+886912345678", "好, 謝謝"), ("+886987654321", "STOP")]


def test_a_text_that_was_not_encoded_is_not_cut_at_its_commas() -> None:
    (read,) = SmsGet.read_replies(reply_of(REPLY_ROW.rpartition("|")[0] + "|03好, 謝謝|再見,"))

    assert read.text == "好, 謝謝|再見,"


def test_the_same_reply_has_the_same_key_and_no_other_has_it() -> None:
    contents = [
        REPLY_ROW,
        REPLY_ROW.replace("0912345678", "0987654321"),
        REPLY_ROW.replace("59c4e123", "59c4e124"),
        REPLY_ROW.replace("21:08:07", "21:08:08"),
        typed("another"),
    ]

    keys = [SmsGet.read_replies(reply_of(content))[0].key for content in [*contents, *contents]]

    assert keys[: len(contents)] == keys[len(contents) :]
    assert len(set(keys)) == len(contents)
    assert not any("912345678" in key for key in keys)


@pytest.mark.parametrize(
    ("written", "sender"),
    [
        ("0912345678", "+886912345678"),
        ("886912345678", "+886912345678"),
        ("55123", "55123"),  # no telephone number to us, kept as it stands
    ],
)
def test_who_replied_is_known_in_e164(written: str, sender: str) -> None:
    (read,) = SmsGet.read_replies(reply_of(REPLY_ROW.replace("0912345678", written)))

    assert read.sender == sender


@given(content=st.text(max_size=200))
@anything
def test_whatever_the_field_holds_is_read_as_replies_or_refused(content: str) -> None:
    try:
        replies = SmsGet.read_replies(reply_of(content))
    except UNREADABLE:
        return

    assert all(each.sender and each.key for each in replies)


# The sample events


def event(name: str) -> tuple[str, Callback]:
    provider, _, callback = callback_of(json.loads((EVENTS / f"{name}.json").read_text("utf-8")))
    return provider, callback


def test_the_sample_receipt_tells_of_two_recipients_and_has_a_row_nobody_can_read() -> None:
    provider, callback = event("receipts-smsget")

    reports = SmsGet.read_receipts(callback)

    assert provider == "smsget"
    assert [(report.provider_ref, report.to, report.status) for report in reports] == [
        ("5837201", "+886912345678", Status.DELIVERED),
        ("5837201", None, None),
        ("5837201", "+8613512345678", Status.UNDELIVERED),
    ]


def test_the_sample_reply_is_the_documents() -> None:
    provider, callback = event("replies-smsget")

    (read,) = SmsGet.read_replies(callback)

    assert provider == "smsget"
    assert (read.sender, read.text) == ("+886912345678", "雙向簡訊回傳")


# Against a server that read the same document


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        yield simulator


@pytest.fixture
def provider(server: Simulator) -> SmsGet:
    return SmsGet(server.secret())


def submit_one(provider: SmsGet, message: Message, now: datetime) -> Outcome:
    (outcome,) = provider.send(Dispatch("smsget", (message,), now), plain_http.exchange)
    return outcome


def shown_on(server: Simulator, phone: str, ref: str) -> list[str]:
    return [shown.text for shown in server.phones[phone] if shown.ref == ref]


class TestServer(HttpServerContract):
    provider_class = SmsGet
    step = MINUTE
    own_faults = (
        (Says(SENT, status=502, carried_out=True), MaybeSent, True),
        (Simulator.says("009"), Refused, False),
    )

    def hand_over(self, server: Simulator, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        return SmsGet(server.secret()).send(Dispatch("smsget", messages, now), plain_http.exchange)

    def charged(self, message: Message) -> int:
        """Where no price is documented, the server takes one that nobody can foresee."""
        measure = SmsGet.measure(message)
        return int(measure.points) if country(message.to) in ("TW", "HK", "CN") else measure.parts * 3


@given(to=any_number)
@settings(parent=anything)
def test_any_number_of_the_sixteen_countries_is_the_one_that_is_texted(server: Simulator, to: str) -> None:
    outcome = submit_one(SmsGet(server.secret()), hello(to=to), server.now())

    assert isinstance(outcome, Accepted)
    assert server.accepted[-1].to == to


def test_a_price_that_is_not_documented_is_learnt_from_the_answer(server: Simulator, provider: SmsGet) -> None:
    message = hello(to="+819012345123")

    outcome = submit_one(provider, message, server.now())

    assert isinstance(outcome, Accepted)
    assert outcome.points == server.accepted[-1].points == 3
    assert SmsGet.measure(message).points == 2


def test_250_recipients_are_one_call_and_a_message_each(server: Simulator, provider: SmsGet) -> None:
    messages = many(250)
    before = len(server.calls)

    outcomes = provider.send(Dispatch("smsget", messages, server.now()), plain_http.exchange)

    assert len(server.calls) - before == 1
    assert {outcome.points for outcome in outcomes if isinstance(outcome, Accepted)} == {Decimal(1)}
    assert [taken.to for taken in server.accepted[-250:]] == [message.to for message in messages]


def test_251_recipients_are_refused_there(server: Simulator, provider: SmsGet) -> None:
    outcomes = provider.send(Dispatch("smsget", many(251), server.now()), plain_http.exchange)

    assert {each.reason.provider_code for each in outcomes if isinstance(each, Refused)} == {"008"}


@pytest.mark.parametrize("text", ["a" * 766, "中" * 336])
def test_what_is_too_long_here_is_too_long_there(server: Simulator, provider: SmsGet, text: str) -> None:
    message = hello(text=text)
    refusal = SmsGet.refusal(message, server.now())

    outcome = submit_one(provider, message, server.now())

    assert refusal is not None
    assert isinstance(outcome, Refused)
    assert outcome.reason.code is refusal.reason.code is Code.TOO_LONG


def test_an_account_without_two_way_says_so(server: Simulator, provider: SmsGet) -> None:
    server.two_way = False
    try:
        outcome = submit_one(provider, hello(reply_days=3), server.now())
    finally:
        server.two_way = True

    assert isinstance(outcome, Refused)
    assert (outcome.reason.code, outcome.reason.provider_code) == (Code.UNSUPPORTED_FEATURE, "010")


def test_a_wrong_password_is_said_to_be_one_everywhere(server: Simulator) -> None:
    provider = SmsGet({**server.secret(), "password": "nothing"})

    outcome = submit_one(provider, hello(), server.now())

    assert isinstance(outcome, Refused)
    assert outcome.reason.code is Code.BAD_CREDENTIALS
    with pytest.raises(CannotSay, match="bad_credentials"):
        provider.credit(plain_http.exchange)


def test_the_credit_is_asked_of_the_server(server: Simulator, provider: SmsGet) -> None:
    assert provider.credit(plain_http.exchange) == server.credit


class Heard:
    """What the server said to the account's URLs, instead of saying it."""

    def __init__(self, server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.callbacks: list[tuple[str, Callback]] = []
        monkeypatch.setattr(server, "receipt_url", "receipts")
        monkeypatch.setattr(server, "reply_url", "replies")
        monkeypatch.setattr(server, "_call_back", self._hear)

    def _hear(self, url: str, data: bytes) -> None:
        self.callbacks.append((url, Callback("POST", "", "", data, FORM)))

    def reports(self) -> list[Report]:
        return [r for url, callback in self.callbacks if url == "receipts" for r in SmsGet.read_receipts(callback)]

    def replies(self) -> list[Reply]:
        return [r for url, callback in self.callbacks if url == "replies" for r in SmsGet.read_replies(callback)]


@pytest.fixture
def heard(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(server, monkeypatch)


def test_a_receipt_names_its_message_by_the_id_of_the_call_and_the_number(
    server: Simulator, provider: SmsGet, heard: Heard
) -> None:
    messages = tuple(hello(message_id=str(n), to=to) for n, (to, _, _) in enumerate(NUMBERS))

    outcomes = provider.send(Dispatch("smsget", messages, server.now()), plain_http.exchange)

    refs = {outcome.provider_ref for outcome in outcomes if isinstance(outcome, Accepted)}
    assert len(refs) == 1
    assert server.wait_until(lambda: len(heard.reports()) == len(messages))
    assert [(report.provider_ref, report.to) for report in heard.reports()] == [
        (ref, message.to) for ref in refs for message in messages
    ]
    assert len(heard.callbacks) == 1


@given(text=st.text(st.characters(codec="utf-8"), max_size=335))
@settings(parent=anything)
def test_whatever_is_typed_on_a_phone_is_read_as_it_was_typed(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        simulator = Simulator()
        heard = Heard(simulator, patch)

        simulator.reply(NUMBER, text)

        (read,) = heard.replies()
    assert (read.sender, read.text) == (NUMBER, text.lstrip())
