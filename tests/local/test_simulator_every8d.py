"""The pretended EVERY8D: as strict as the vendor's document, and as unreliable as it is told to be."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

import pytest
from lxml import etree

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Step
from local.simulators.every8d import OPERATIONS, Every8d
from tests.local.listener import Listener, raw_call

PHONE = "+886911222333"
OTHER = "+886922333444"
GUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
TAIPEI = timezone(timedelta(hours=8))


@pytest.fixture
def server() -> Iterator[Every8d]:
    with Every8d() as simulator:
        simulator.receipts = (Step(0, "100"),)
        yield simulator


class Gateway(Listener):
    """Somebody who waits for reports, and answers as he is told."""

    @property
    def url(self) -> str:
        return f"{self.root}/receipts/every8d/token"

    def told(self) -> list[dict[str, str]]:
        return [each.query for each in self.heard]


@pytest.fixture
def gateway(server: Every8d) -> Iterator[Gateway]:
    gateway = Gateway()
    server.receipt_url = gateway.url
    yield gateway
    gateway.close()


def post(server: Every8d, body: str | bytes, headers: dict[str, str], path: str = Every8d.path) -> tuple[int, bytes]:
    status, said, _ = raw_call(server.root, "POST", path, body.encode() if isinstance(body, str) else body, headers)
    return status, said


def envelope(inside: str, soap: str = SOAP_11) -> str:
    return f'<e:Envelope xmlns:e="{soap}"><e:Body>{inside}</e:Body></e:Envelope>'


def call_xml(operation: str, **arguments: str) -> str:
    listed = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in arguments.items())
    return f'<{operation} xmlns="http://tempuri.org/">{listed}</{operation}>'


def headers_11(operation: str) -> dict[str, str]:
    return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"http://tempuri.org/{operation}"'}


def call(server: Every8d, operation: str, **arguments: str) -> str:
    status, body = post(server, envelope(call_xml(operation, **arguments)), headers_11(operation))
    assert status == 200, body
    return result_of(body, operation)


def result_of(body: bytes, operation: str) -> str:
    (found,) = etree.fromstring(body).iter(f"{{http://tempuri.org/}}{operation}Result")
    return found.text or ""


def fault_of(body: bytes) -> str:
    return " ".join(str(text) for text in etree.fromstring(body).itertext())


def log_in(server: Every8d) -> str:
    root = etree.fromstring(call(server, "getConnection", userID=server.username, password=server.password).encode())
    assert [root.tag, root[0].tag, root.findtext("GET_CONNECTION/CODE")] == ["SMS", "GET_CONNECTION", "0"]
    key = root.findtext("GET_CONNECTION/SESSION_KEY") or ""
    assert re.fullmatch("[0-9A-F]{32}", key)
    return key


def send(server: Every8d, session: str, content: str = "hi", mobile: str = PHONE, send_time: str = "") -> str:
    arguments = {"subject": "", "content": content, "mobile": mobile, "sendTime": send_time}
    return call(server, "sendSMS", sessionKey=session, **arguments)


def personal(server: Every8d, session: str, content_xml: str) -> str:
    return call(server, "sendParamSMS", sessionKey=session, subject="", contentXML=content_xml, sendTime="")


def user(mobile: str, text: str, name: str = "", email: str = "", send_time: str = "") -> str:
    said = f'NAME={quoteattr(name)} MOBILE="{mobile}" EMAIL="{email}" SENDTIME="{send_time}"'
    return f"<USER {said}><![CDATA[{text}]]></USER>"


def log_of(server: Every8d, session: str, batch: str, page: str = "") -> etree._Element:
    return etree.fromstring(call(server, "getDeliveryStatus", sessionKey=session, batchID=batch, pageNo=page).encode())


def batch_in(answer: str) -> str:
    return answer.rpartition(",")[2]


def test_it_is_one_of_the_simulators() -> None:
    assert SIMULATORS["every8d"] is Every8d


# SOAP


@pytest.mark.parametrize(
    ("soap", "headers", "media_type"),
    [
        (SOAP_11, headers_11("getConnection"), "text/xml"),
        (SOAP_12, {"Content-Type": "application/soap+xml; charset=utf-8"}, "application/soap+xml"),
        (
            SOAP_12,
            {"Content-Type": 'application/soap+xml; charset=utf-8; action="http://tempuri.org/getConnection"'},
            "application/soap+xml",
        ),
    ],
)
def test_it_speaks_soap_1_1_and_1_2(server: Every8d, soap: str, headers: dict[str, str], media_type: str) -> None:
    called = call_xml("getConnection", userID=server.username, password=server.password)

    status, body = post(server, envelope(called, soap), headers)

    assert status == 200
    assert etree.fromstring(body).tag == f"{{{soap}}}Envelope"
    assert "<CODE>0</CODE>" in result_of(body, "getConnection")
    assert server.logins == 1


GOOD = envelope(call_xml("getCredit", sessionKey="x"))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (GOOD, {"Content-Type": "text/xml"}),
        (GOOD, headers_11("getConnection")),
        (GOOD, {**headers_11("getCredit"), "SOAPAction": "http://tempuri.org/getCredit"}),
        (GOOD, {**headers_11("getCredit"), "Content-Type": "application/x-www-form-urlencoded"}),
        (GOOD, {"Content-Type": "application/soap+xml"}),
        (GOOD.replace(SOAP_11, SOAP_12), headers_11("getCredit")),
        (
            GOOD.replace(SOAP_11, SOAP_12),
            {"Content-Type": 'application/soap+xml; action="http://tempuri.org/sendSMS"'},
        ),
        (GOOD.replace("http://tempuri.org/", "http://other.example/"), headers_11("getCredit")),
        (GOOD.replace("getCredit", "getCash"), headers_11("getCash")),
        (GOOD.replace("sessionKey", "SessionKey"), headers_11("getCredit")),
        (GOOD.replace(">x<", "><y>x</y><"), headers_11("getCredit")),
        (GOOD.replace("<sessionKey>x</sessionKey>", "<sessionKey>x</sessionKey>" * 2), headers_11("getCredit")),
        (envelope(call_xml("eraseBooking", batchID="b", sessionKey="x")), headers_11("eraseBooking")),
        (envelope(call_xml("getCredit") * 2), headers_11("getCredit")),
        (envelope(""), headers_11("getCredit")),
        (GOOD[:-3], headers_11("getCredit")),
        ("", headers_11("getCredit")),
        ('<!DOCTYPE a [<!ENTITY b "x">]>' + GOOD.replace(">x<", ">&b;<"), headers_11("getCredit")),
    ],
)
def test_an_envelope_that_is_not_exactly_right_is_a_fault(server: Every8d, body: str, headers: dict[str, str]) -> None:
    status, answer = post(server, body, headers)

    assert status == 500
    assert b"Fault>" in answer
    assert server.calls == []


def test_elsewhere_nothing_is_found_and_a_visitor_sees_a_page(server: Every8d) -> None:
    seen = raw_call(server.root, "GET", Every8d.path)

    assert post(server, GOOD, headers_11("getCredit"), "/other.asmx")[0] == 404
    assert (seen[0], b"SMS Web Service" in seen[1]) == (200, True)


# Sections 1.1 and 1.3


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [("nobody", "x", "-100"), ("every8d-user", "x", "-101")],
)
def test_a_bad_login_says_what_is_wrong_and_is_counted(
    server: Every8d, username: str, password: str, code: str
) -> None:
    answer = call(server, "getConnection", userID=username, password=password)

    assert f"<CODE>{code}</CODE><SESSION_KEY></SESSION_KEY>" in answer
    assert (server.bad_logins, server.logins) == (1, 0)


def test_a_login_without_a_password_is_said_in_a_line(server: Every8d) -> None:
    assert call(server, "getConnection", userID="every8d-user", password="") == "-300, 帳號密碼不得為空值。"
    assert call(server, "getConnection") == "-300, 帳號密碼不得為空值。"


def test_the_account_is_locked_after_ten_bad_logins(server: Every8d) -> None:
    answers = [call(server, "getConnection", userID=server.username, password="x") for _ in range(11)]
    right = call(server, "getConnection", userID=server.username, password=server.password)

    assert all("<CODE>-101</CODE>" in answer for answer in answers)
    assert "<CODE>-999</CODE>" in right
    assert server.locked


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("getConnection", "closeConnection")])
def test_without_a_session_nothing_is_done(server: Every8d, operation: str) -> None:
    answer = call(server, operation, **dict.fromkeys(OPERATIONS[operation], "x"))

    assert answer.startswith("-301,") or "<CODE>-301</CODE>" in answer
    assert server.accepted == []


def test_a_session_ends_at_midnight_in_taipei(server: Every8d) -> None:
    server.travel_to(datetime(2026, 11, 20, 23, 59, 58, tzinfo=TAIPEI))
    session = log_in(server)

    before = call(server, "getCredit", sessionKey=session)
    server.travel_to(datetime(2026, 11, 21, 0, 0, 0, tzinfo=TAIPEI))
    after = call(server, "getCredit", sessionKey=session)

    assert (before, after) == ("1000000.00", "-301,Session 資料不存在,請重新登入。")


def test_a_session_that_was_closed_is_gone(server: Every8d) -> None:
    session, other = log_in(server), log_in(server)

    assert call(server, "closeConnection", sessionKey=session) == "1"
    assert call(server, "closeConnection", sessionKey=session) == "-1"
    assert call(server, "getCredit", sessionKey=session).startswith("-301,")
    assert call(server, "getCredit", sessionKey=other) == "1000000.00"


# Sections 1.2 and 2.2


def test_a_text_reaches_everybody_it_is_meant_for(server: Every8d) -> None:
    answer = send(server, log_in(server), "測試 <&>", f"{PHONE},0922333444,+85261234567")

    found = re.fullmatch(rf"999995\.00,3,5\.0,0,{GUID}", answer)
    assert found
    assert [(each.to, each.text, each.points) for each in server.accepted] == [
        (PHONE, "測試 <&>", 1),
        (OTHER, "測試 <&>", 1),
        ("+85261234567", "測試 <&>", 3),
    ]
    assert server.wait_until(lambda: all(server.phones[each.to] for each in server.accepted))


@pytest.mark.parametrize(
    ("length", "points"),
    [(70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4), (268, 4), (269, 5), (333, 5), (334, 6), (667, 11)],
)
def test_a_text_costs_what_the_table_says(server: Every8d, length: int, points: int) -> None:
    send(server, log_in(server), "字" * length)

    assert [each.points for each in server.accepted] == [points]
    assert server.credit == 1_000_000 - points


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"content": ""}, "-24"), ({"mobile": ""}, "-41"), ({"mobile": ","}, "-41")],
)
def test_what_makes_no_message_is_an_error(server: Every8d, arguments: dict[str, str], code: str) -> None:
    assert send(server, log_in(server), **arguments).startswith(f"{code},")
    assert server.accepted == []


@pytest.mark.parametrize("mobile", ["+886212345678", "12345", "+88691234567", "091234567a", "+886９12345678", "PHONE"])
def test_a_number_that_is_none_is_told_with_the_status_and_costs_nothing(server: Every8d, mobile: str) -> None:
    session = log_in(server)

    answer = send(server, session, mobile=f"{mobile},{PHONE}")

    assert answer.startswith("999999.00,1,1.0,0,")
    statuses = [sms.findtext("STATUS") for sms in log_of(server, session, batch_in(answer)).iter("SMS")]
    assert statuses[0] == "-3"
    assert [each.to for each in server.accepted] == [PHONE]


def test_abroad_is_closed_until_it_is_opened(server: Every8d) -> None:
    session = log_in(server)
    server.international = False

    answer = send(server, session, mobile="+85261234567")

    assert answer.startswith("1000000.00,0,0.0,0,")
    assert log_of(server, session, batch_in(answer)).findtext(".//STATUS") == "500"


def test_where_the_credit_ends_the_rest_is_unsent(server: Every8d) -> None:
    session = log_in(server)
    server.credit = Decimal(2)

    answer = send(server, session, mobile=f"{PHONE},{OTHER},+886933444555")

    assert answer.startswith("0.00,2,2.0,1,")
    statuses = [sms.findtext("STATUS") for sms in log_of(server, session, batch_in(answer)).iter("SMS")]
    assert statuses[2] == "301"
    assert len(server.accepted) == 2


def test_personal_texts_names_and_times_are_taken_for_each(server: Every8d) -> None:
    session = log_in(server)
    later = (server.now() + timedelta(hours=1)).astimezone(TAIPEI).strftime("%Y%m%d%H%M%S")

    answer = personal(
        server, session, f"<REPS>{user(PHONE, 'ok <>&', 'Eric1')}{user(OTHER, '測試', send_time=later)}</REPS>"
    )

    assert answer.startswith("999998.00,2,2.0,0,")
    assert [(each.to, each.text, each.due is None) for each in server.accepted] == [
        (PHONE, "ok <>&", True),
        (OTHER, "測試", False),
    ]
    names = [sms.findtext("NAME") for sms in log_of(server, session, batch_in(answer)).iter("SMS")]
    assert names == ["Eric1", ""]


@pytest.mark.parametrize(
    "content_xml",
    [
        "",
        "hi",
        user(PHONE, "hi"),
        f"<REPS>{user(PHONE, 'hi')}",
        f"<REPS>x{user(PHONE, 'hi')}</REPS>",
        f"<REPS>{user(PHONE, 'hi')}x</REPS>",
        f"<REPS a='b'>{user(PHONE, 'hi')}</REPS>",
        f"<REPS><USER MOBILE='{PHONE}'>hi</USER></REPS>",
        f"<REPS><USER NAME='' MOBILE='{PHONE}' EMAIL='' SENDTIME='' NEW=''>hi</USER></REPS>",
        f"<REPS><USER NAME='' MOBILE='{PHONE}' EMAIL='' SENDTIME=''><b>hi</b></USER></REPS>",
        f"<REPS><USER NAME='' MOBILE='{PHONE}' EMAIL='' SENDTIME=''></USER></REPS>",
        f"<REPS>{user(PHONE, 'hi', name='x' * 51)}</REPS>",
        f"<REPS>{user('+' + '8' * 20, 'hi')}</REPS>",
        f"<!DOCTYPE REPS><REPS>{user(PHONE, 'hi')}</REPS>",
        f"<REPS><MAN>{PHONE}</MAN></REPS>",
    ],
)
def test_recipients_that_are_not_exactly_as_documented_reach_nobody(server: Every8d, content_xml: str) -> None:
    assert personal(server, log_in(server), content_xml).startswith("-99,")
    assert server.accepted == []


# Bookings (sections 1.2 and 4.2)


def stamp(server: Every8d, ahead: timedelta) -> str:
    return (server.now() + ahead).astimezone(TAIPEI).strftime("%Y%m%d%H%M%S")


def test_a_booking_waits_for_its_time(server: Every8d) -> None:
    session = log_in(server)

    batch = batch_in(send(server, session, send_time=stamp(server, timedelta(hours=2))))
    waiting = log_of(server, session, batch).findtext(".//STATUS")
    server.advance(timedelta(hours=2))

    assert waiting == "300"
    assert server.wait_until(lambda: server.phones[PHONE])


@pytest.mark.parametrize("send_time", ["20090131153000", "2026", "20261340000000", "2026-11-20 12:00"])
def test_a_time_that_is_past_or_none_is_never_sent(server: Every8d, send_time: str) -> None:
    session = log_in(server)

    answer = send(server, session, send_time=send_time)

    assert answer.startswith("1000000.00,0,0.0,0,")
    assert log_of(server, session, batch_in(answer)).findtext(".//STATUS") == "-4"


def test_a_booking_is_erased_as_a_whole_and_once(server: Every8d) -> None:
    session = log_in(server)
    answer = send(server, session, mobile=f"{PHONE},{OTHER}", send_time=stamp(server, timedelta(hours=2)))

    first = call(server, "eraseBooking", sessionKey=session, batchID=batch_in(answer))
    second = call(server, "eraseBooking", sessionKey=session, batchID=batch_in(answer))
    server.advance(timedelta(hours=3))
    time.sleep(0.05)

    assert (first, second.partition(",")[0]) == ("2,2.0", "-4")
    assert call(server, "eraseBooking", sessionKey=log_in(server), batchID="nothing") == ""
    assert server.credit == 1_000_000
    assert not server.phones[PHONE]


# Sections 3.1 and 3.2


def test_a_report_is_a_get_with_more_than_the_document_lists(server: Every8d, gateway: Gateway) -> None:
    answer = send(server, log_in(server), "a b+測")

    assert server.wait_until(lambda: gateway.received)
    (path,), (told,) = gateway.received, gateway.told()
    assert "RM=%2b886911222333" in path
    assert "SM=a+b%2b%e6%b8%ac" in path
    assert (told["BatchID"], told["STATUS"], told["SM"], told["MR"]) == (batch_in(answer), "100", "a b+測", "")
    assert re.fullmatch("[0-9]{14}", told["RT"])
    assert {"CustID", "USERID", "CHARGE", "MSGID"} <= told.keys()


def test_a_reply_says_999_and_is_in_the_log_as_well(server: Every8d, gateway: Gateway) -> None:
    session = log_in(server)
    batch = batch_in(send(server, session))
    assert server.wait_until(lambda: server.phones[PHONE])

    server.reply(PHONE, "好的 <]]>")

    assert server.wait_until(lambda: len(gateway.received) == 2)
    (told,) = [told for told in gateway.told() if told["STATUS"] == "999"]
    assert (told["BatchID"], told["RM"], told["SM"]) == (batch, PHONE, "好的 <]]>")
    log = log_of(server, session, batch)
    assert (log.findtext(".//STATUS"), log.findtext(".//REPLY_SMS/MESSAGE")) == ("100", "好的 <]]>")


def test_a_call_that_is_not_answered_200_is_made_up_to_ten_times_more(server: Every8d, gateway: Gateway) -> None:
    server.retry_callbacks_after = timedelta(0)
    gateway.status = 503

    send(server, log_in(server))

    assert server.wait_until(lambda: len(server.callbacks) == 11)
    time.sleep(0.05)
    assert len(gateway.received) == 11
    assert len(set(gateway.received)) == 1


def test_the_log_has_the_documents_shape(server: Every8d) -> None:
    session = log_in(server)
    batch = batch_in(send(server, session))
    assert server.wait_until(lambda: server.phones[PHONE])

    log = log_of(server, session, batch)

    (sms,) = log.iter("SMS")
    assert (log.tag, log.findtext("CODE"), log.find("GET_DELIVERY_STATUS").get("COUNT")) == ("SMS_LOG", "0", "1")  # type: ignore[union-attr]
    assert [child.tag for child in sms] == ["NAME", "MOBILE", "SENT_TIME", "COST", "STATUS"]
    assert sms.findtext("MOBILE") == f"{PHONE:<20}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", sms.findtext("SENT_TIME") or "")
    assert (sms.findtext("COST"), sms.findtext("STATUS")) == ("1.00", "100")


def test_a_large_batch_comes_in_pages_of_a_thousand(server: Every8d) -> None:
    session = log_in(server)
    server.receipts = ()
    batch = batch_in(send(server, session, mobile=",".join(f"+88691{n:07}" for n in range(1230))))

    pages = [log_of(server, session, batch, page) for page in ("", "1", "2", "3")]

    assert [len(list(page.iter("SMS"))) for page in pages] == [1000, 1000, 230, 0]
    assert {page.find("GET_DELIVERY_STATUS").get("COUNT") for page in pages} == {"1230"}  # type: ignore[union-attr]
    assert log_of(server, session, batch, "x").findtext("CODE") == "-99"
    assert log_of(server, session, "nothing").find("GET_DELIVERY_STATUS").get("COUNT") == "0"  # type: ignore[union-attr]


def test_what_becomes_of_a_message_can_be_planned(server: Every8d, gateway: Gateway) -> None:
    session = log_in(server)
    server.plan_receipts((Step(0, "0"), Step(0.02, "103")), (Step(0, "107", told=False),))

    batch = batch_in(send(server, session, mobile=f"{PHONE},{OTHER}"))

    assert server.wait_until(lambda: len(gateway.received) == 2)
    assert [(told["RM"], told["STATUS"]) for told in gateway.told()] == [(PHONE, "0"), (PHONE, "103")]
    assert [sms.findtext("STATUS") for sms in log_of(server, session, batch).iter("SMS")] == ["103", "107"]
    assert not server.phones[PHONE]


def test_a_late_report_is_counted_from_when_its_message_is_due(server: Every8d, gateway: Gateway) -> None:
    session = log_in(server)
    server.plan_receipts((Step(3600, "100"),))
    later = (server.now() + timedelta(hours=3)).astimezone(TAIPEI).strftime("%Y%m%d%H%M%S")
    send(server, session, send_time=later)

    server.advance(timedelta(hours=4, minutes=1))

    assert server.wait_until(lambda: [told["STATUS"] for told in gateway.told()] == ["100"])


def test_faults_come_when_they_are_told_to(server: Every8d) -> None:
    session = log_in(server)
    server.script(
        Every8d.faults("busy", carried_out=True),
        Every8d.says(None),
        Every8d.says("-99,x"),
        Closes(),
        operation="sendSMS",
    )
    wanted = envelope(call_xml("sendSMS", sessionKey=session, subject="", content="a", mobile=PHONE, sendTime=""))

    fault = post(server, wanted, headers_11("sendSMS"))
    nothing = post(server, wanted, headers_11("sendSMS"))
    error = send(server, session)
    with pytest.raises(http.client.RemoteDisconnected):
        send(server, session)

    assert (fault[0], "busy" in fault_of(fault[1])) == (500, True)
    assert (nothing[0], b"sendSMSResult" in nothing[1]) == (200, False)
    assert error == "-99,x"
    assert len(server.accepted) == 2
    assert call(server, "getCredit", sessionKey=session) == "999998.00"


def test_its_secret_leads_to_it(server: Every8d) -> None:
    secret = server.secret()

    assert secret["base_url"] == f"{server.root}API21/SOAP/SMS.asmx"
    assert (secret["allow_http"], secret["soap_version"]) == (True, "1.1")


def test_time_here_is_utc_and_there_taipeis(server: Every8d) -> None:
    server.travel_to(datetime(2026, 11, 20, 16, 0, tzinfo=UTC))
    session = log_in(server)
    server.receipts = ()

    batch = batch_in(send(server, session))

    assert (log_of(server, session, batch).findtext(".//SENT_TIME") or "").startswith("2026/11/21 00:00:0")
