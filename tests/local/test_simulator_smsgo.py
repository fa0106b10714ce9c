"""The pretended smsgo: as strict as the vendor's document, and as unreliable as it is told to be."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Cut, Says, Step
from local.simulators.smsgo import SmsGo
from tests.local import listener
from tests.local.listener import Listener

PHONE = "+886911222333"
MOBILE = "0911222333"
CHINA = "+8613681912700"


@pytest.fixture
def server() -> Iterator[SmsGo]:
    with SmsGo() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        simulator.retry_seconds = 0.01
        yield simulator


class Gateway(Listener):
    """Somebody who waits for receipts and replies, and acknowledges them as he is told."""

    def __init__(self) -> None:
        super().__init__()
        self.body = "magicid=tccrd_sms_gateway_rpack\nmsgid={msgid}\n"
        self.answer = lambda heard: self.body.format(msgid=heard.query.get("msgid", ""))

    @property
    def url(self) -> str:
        return f"{self.root}/receipts/smsgo/token/m-0"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


def raw_call(server: SmsGo, page: str, query: str, method: str = "GET") -> tuple[int, bytes, str]:
    return listener.raw_call(server.root, method, f"/sms_gw/{page}?{query}")


def call(server: SmsGo, page: str, **fields: str) -> str:
    query = urlencode({"username": server.username, "password": server.password, **fields})
    status, body, content_type = raw_call(server, page, query)
    assert status == 200
    assert content_type.startswith("text/html")
    return body.decode()


def send(server: SmsGo, **fields: str) -> dict[str, Any]:
    told = call(server, "sendsms.aspx", **{"dstaddr": MOBILE, "smbody": "測試", "rtype": "JSON", **fields})
    result: dict[str, Any] = json.loads(told)["result"]
    return result


def dlvtime(server: SmsGo, ahead: timedelta) -> str:
    return (server.now().astimezone(UTC) + ahead + timedelta(hours=8)).strftime("%Y/%m/%d %H:%M:%S")


def shown(server: SmsGo, phone: str = PHONE) -> list[str]:
    assert server.wait_until(lambda: server.phones[phone])
    return [each.text for each in server.phones[phone]]


# Sending


def test_a_message_is_taken_and_shown_on_the_phone(server: SmsGo) -> None:
    answer = send(server)

    (taken,) = server.accepted
    assert answer == {"msgid": int(taken.ref), "statuscode": "0", "statusstr": "OK", "point": 1}
    assert (taken.to, taken.text, taken.points) == (PHONE, "測試", 1)
    assert shown(server) == ["測試"]


@pytest.mark.parametrize(
    ("rtype", "success", "error"),
    [
        (
            "",
            r"msgid=[0-9]{16}\r\nstatuscode=0\r\nstatusstr=OK\r\npoint=1\r\n",
            r"msgid=-5\r\nstatuscode=-5\r\nstatusstr=B Number違反規則\r\npoint=0\r\n",
        ),
        (
            "JSON",
            r'{"result":{"msgid":[0-9]{16},"statuscode":"0","statusstr":"OK","point":1}}',
            r'{"result":{"msgid":-5,"statuscode":"-5","statusstr":"B Number違反規則","point":0}}',
        ),
        (
            "XML",
            (
                r'<\?xml version="1.0" encoding="utf-8"\?>\r\n<result><msgid>[0-9]{16}</msgid>'
                r"<statuscode>0</statuscode><statusstr>OK</statusstr><point>1</point></result>"
            ),
            (
                r'<\?xml version="1.0" encoding="utf-8"\?>\r\n<result><msgid>-5</msgid><statuscode>-5</statuscode>'
                r"<statusstr>B Number違反規則</statusstr><point>0</point></result>"
            ),
        ),
    ],
)
def test_the_answer_comes_in_the_form_that_was_asked_for(server: SmsGo, rtype: str, success: str, error: str) -> None:
    assert re.fullmatch(success, call(server, "sendsms.aspx", dstaddr=MOBILE, smbody="hi", rtype=rtype))
    assert re.fullmatch(error, call(server, "sendsms.aspx", dstaddr="123", smbody="hi", rtype=rtype))


def test_every_call_has_a_msgid_of_its_own_and_all_its_numbers_share_it(server: SmsGo) -> None:
    one, two = send(server, dstaddr=f"{MOBILE},0911222334"), send(server)

    assert one["msgid"] != two["msgid"]
    assert [(taken.to, taken.ref) for taken in server.accepted] == [
        (PHONE, str(one["msgid"])),
        ("+886911222334", str(one["msgid"])),
        (PHONE, str(two["msgid"])),
    ]


FIFTY = ",".join(f"09112223{n:02}" for n in range(50))

REFUSED = [
    ({"dstaddr": ""}, "-9"),
    ({"dstaddr": f"{FIFTY},{MOBILE}"}, "-9"),
    ({"dstaddr": "091122233"}, "-5"),
    ({"dstaddr": "0223456789"}, "-5"),
    ({"dstaddr": "886911222333"}, "-5"),
    ({"dstaddr": "+886911222333"}, "-5"),
    ({"dstaddr": " 8613681912700"}, "-5"),  # a plus that was not percent-encoded
    ({"dstaddr": "8613681912700"}, "-5"),
    ({"dstaddr": f"{MOBILE},123"}, "-5"),
    ({"dstaddr": f"{MOBILE},"}, "-5"),
    ({"dstaddr": "０９１１２２２３３３"}, "-5"),
    ({"encoding": "UTF8"}, "-7"),
    ({"encoding": "big5"}, "-7"),
    ({"encoding": "PUCS2"}, "-7"),
    ({"encoding": "LBIG5", "dstaddr": CHINA}, "-7"),
    ({"encoding": "PBIG5", "dstaddr": CHINA}, "-7"),
    ({"encoding": "PUSH", "dstaddr": CHINA, "wapurl": "http://a.example/"}, "-7"),
    ({"encoding": "LUCS2", "dstaddr": f"{MOBILE},{CHINA}"}, "-7"),
    ({"smbody": ""}, "-1"),
    ({"smbody": "", "smbdy": "測試"}, "-1"),
    ({"encoding": "PUSH"}, "-1"),
    ({"wapurl": "http://a.example/"}, "-1"),
    ({"encoding": "LBIG5", "replyurl": "http://a.example/"}, "-1"),
    ({"encoding": "PASCII", "replydays": "3"}, "-1"),
    ({"replyurl": "http://a.example/" + "x" * 284}, "-1"),
    ({"replydays": "0"}, "-1"),
    ({"replydays": "31"}, "-1"),
    ({"replydays": "three"}, "-1"),
    ({"dlvtime": "2026-11-20 12:00:00"}, "-1"),
    ({"dlvtime": "2026/11/20 12:00"}, "-1"),
    ({"dlvtime": "2026/02/30 12:00:00"}, "-1"),
    ({"username": "nobody"}, "-2"),
    ({"password": ""}, "-2"),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_what_the_document_forbids_is_refused_and_costs_nothing(
    server: SmsGo, fields: dict[str, str], code: str
) -> None:
    before = server.credit

    answer = send(server, **fields)

    assert (answer["statuscode"], answer["msgid"], answer["point"]) == (code, int(code), 0)
    assert server.accepted == []
    assert server.credit == before


ALLOWED = [
    {"dstaddr": FIFTY},
    {"dstaddr": CHINA, "encoding": "UCS2", "smbody": "简体"},
    {"dstaddr": f"{MOBILE},{CHINA}"},
    {"encoding": "PBIG5"},
    {"encoding": "PASCII", "smbody": "hi"},
    {"encoding": "PUSH", "wapurl": "http://a.example/"},
    {"replyurl": "http://a.example/" + "x" * 283, "replydays": "30"},
    {"encoding": "UCS2", "replyurl": "http://a.example/"},
    {"unknown": "tag"},
]


@pytest.mark.parametrize("fields", ALLOWED)
def test_what_the_document_allows_is_taken(server: SmsGo, fields: dict[str, str]) -> None:
    assert send(server, **fields)["statuscode"] == "0"


@pytest.mark.parametrize(
    ("encoding", "text", "seen", "points"),
    [
        ("BIG5", "中" * 71, "中" * 70, 1),  # note 1: "超過字數部份會自動截斷"
        ("ASCII", "a" * 161, "a" * 160, 1),
        ("UCS2", "简" * 71, "简" * 70, 1),
        ("UCS2", "a" * 69 + "😀", "a" * 69, 1),
        ("PBIG5", "中" * 71, "中" * 70, 1),
        ("PASCII", "a" * 161, "a" * 160, 1),
        ("LBIG5", "中" * 331, "中" * 330, 5),
        ("LASCII", "a" * 331, "a" * 330, 3),
        ("LUCS2", "简" * 330, "简" * 330, 5),
        ("LBIG5", "中" * 70, "中" * 70, 1),
        ("LBIG5", "中" * 71, "中" * 71, 2),
        ("LASCII", "a" * 160, "a" * 160, 1),
        ("BIG5", "简体a", "?体a", 1),
        ("ASCII", "中a", "?a", 1),
    ],
)
def test_what_does_not_fit_an_encoding_is_cut_or_lost(
    server: SmsGo, encoding: str, text: str, seen: str, points: int
) -> None:
    answer = send(server, encoding=encoding, smbody=text)

    assert answer["point"] == points
    assert shown(server) == [seen]


@pytest.mark.parametrize(
    ("title", "points"), [("a" * 68, 1), ("a" * 69, 2), ("中" * 22 + "aa", 1), ("中" * 23, 1), ("中" * 60, 2)]
)
def test_a_push_message_of_more_than_88_bytes_is_charged_as_a_long_one(server: SmsGo, title: str, points: int) -> None:
    """With a link of 20 bytes; 23 characters and the link are 89 bytes, which as text is one message still."""
    assert send(server, encoding="PUSH", smbody=title, wapurl="https://a.example/ab")["point"] == points


def test_points_are_taken_for_each_number_and_for_every_tenth_two_way_message(server: SmsGo) -> None:
    reply = {"replyurl": "http://a.example/"}

    points = [
        send(server, dstaddr=FIFTY)["point"],
        send(server, dstaddr=FIFTY, **reply)["point"],
        *(send(server, **reply)["point"] for _ in range(10)),
    ]

    assert points == [50, 55, *[1] * 9, 2]
    assert server.credit == 1_000_000 - sum(points)


def test_without_enough_credit_nothing_is_sent(server: SmsGo) -> None:
    server.credit = 3

    codes = [send(server, dstaddr=f"{MOBILE},{MOBILE}")["statuscode"] for _ in range(2)]

    assert codes == ["0", "-8"]
    assert (server.credit, len(server.accepted)) == (1, 2)


@pytest.mark.parametrize(
    ("attribute", "value", "code"),
    [("closed", True, "-6"), ("api_enabled", False, "-16"), ("address_allowed", False, "-15")],
)
def test_an_account_can_be_in_trouble(server: SmsGo, attribute: str, value: bool, code: str) -> None:
    setattr(server, attribute, value)

    assert send(server)["statuscode"] == code
    assert call(server, "query_point.asp") == code
    assert server.accepted == []


def test_only_get_is_documented_and_only_five_pages(server: SmsGo) -> None:
    query = urlencode({"username": server.username, "password": server.password, "dstaddr": MOBILE, "smbody": "hi"})

    assert raw_call(server, "sendsms.aspx", query, "POST")[0] == 405
    assert raw_call(server, "sendsms.asp", query)[0] == 404
    assert server.accepted == []


# What becomes of a message


def test_a_receipt_has_the_bytes_of_the_documents_sample(server: SmsGo, gateway: Gateway) -> None:
    answer = send(server, response=gateway.url)

    assert server.wait_until(lambda: server.callbacks)
    assert gateway.received == [
        f"/receipts/smsgo/token/m-0?msgid={answer['msgid']}&statusstr=DELIVRD&statuscode=0&dstaddr=0911222333"
    ]


def test_a_receipt_names_a_number_abroad_with_its_plus_encoded(server: SmsGo, gateway: Gateway) -> None:
    send(server, dstaddr=CHINA, response=gateway.url)

    assert server.wait_until(lambda: gateway.received)
    assert gateway.received[0].endswith("&dstaddr=%2B8613681912700")


def test_a_receipt_can_be_without_a_number(server: SmsGo, gateway: Gateway) -> None:
    server.tells_number = False
    answer = send(server, response=gateway.url)

    assert server.wait_until(lambda: gateway.received)
    assert gateway.received[0].endswith(f"?msgid={answer['msgid']}&statusstr=DELIVRD&statuscode=0")


def test_every_number_of_a_call_has_a_receipt(server: SmsGo, gateway: Gateway) -> None:
    send(server, dstaddr=FIFTY, response=gateway.url)

    assert server.wait_until(lambda: len(gateway.received) == 50)
    assert {path.rpartition("=")[2] for path in gateway.received} == set(FIFTY.split(","))


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("body", ""),
        ("body", "magicid=tccrd_sms_gateway_rpack\nmsgid=1\n"),
        ("body", "magicid=tccrd_sms_gateway_rpack\r\nmsgid={msgid}\r\n"),
        ("body", "magicid=tccrd_sms_gateway_rpack\nmsgid={msgid}"),
        ("content_type", "text/html"),
        ("status", 202),
        ("status", 503),
    ],
)
def test_without_the_exact_acknowledgement_a_receipt_comes_three_times_more(
    server: SmsGo, gateway: Gateway, wrong: str, value: object
) -> None:
    setattr(gateway, wrong, value)

    send(server, response=gateway.url)

    assert server.wait_until(lambda: len(server.callbacks) == 4)
    assert not server.wait_until(lambda: len(server.callbacks) > 4, 0.05)
    assert len(set(gateway.received)) == 1


def test_where_nobody_listens_a_receipt_is_tried_again(server: SmsGo) -> None:
    send(server, response="http://127.0.0.1:9/receipts")

    assert server.wait_until(lambda: len(server.callbacks) == 4)
    assert {made.status for made in server.callbacks} == {None}


def test_receipts_come_as_they_were_planned(server: SmsGo, gateway: Gateway) -> None:
    server.plan_receipts((Step(0, "ACCEPTD"), Step(0.1, "BLOCK")), ())

    told, untold = send(server, response=gateway.url)["msgid"], send(server, response=gateway.url)["msgid"]

    assert server.wait_until(lambda: len(gateway.received) == 2)
    assert [re.search("statusstr=([A-Z]+)", path)[1] for path in gateway.received] == ["ACCEPTD", "BLOCK"]  # type: ignore[index]
    assert [each.ref for each in server.phones[PHONE]] == [str(untold)]
    assert all(str(told) in path for path in gateway.received)


def test_a_late_receipt_is_counted_from_when_its_message_is_due(server: SmsGo, gateway: Gateway) -> None:
    server.plan_receipts((Step(3600, "DELIVRD"),))
    send(server, response=gateway.url, dlvtime=dlvtime(server, timedelta(hours=3)))

    server.advance(timedelta(hours=4, minutes=1))

    assert server.wait_until(lambda: len(gateway.received) == 1)


# Schedules


def test_a_scheduled_message_waits_for_its_time(server: SmsGo) -> None:
    msgid = send(server, dlvtime=dlvtime(server, timedelta(hours=3)))["msgid"]

    waiting = call(server, "query.asp", msgid=str(msgid), dstaddr=MOBILE)
    on_phone = list(server.phones[PHONE])
    server.advance(timedelta(hours=4))

    assert (waiting, on_phone) == ("0||0911222333\r\n", [])
    assert shown(server) == ["測試"]


def test_a_scheduled_call_is_canceled_whole_and_its_points_come_back(server: SmsGo) -> None:
    before = server.credit
    msgid = str(send(server, dstaddr=FIFTY, dlvtime=dlvtime(server, timedelta(hours=3)))["msgid"])

    first = call(server, "sendsms_cancel.asp", msgid=msgid)
    again = call(server, "sendsms_cancel.asp", msgid=msgid, rtype="JSON")
    server.advance(timedelta(hours=4))

    assert first == f"msgid={msgid}\r\nstatuscode=0\r\nstatusstr=OK\r\npoint=0\r\n"
    assert json.loads(again)["result"]["statuscode"] == "-1"
    assert call(server, "query.asp", msgid=msgid, dstaddr="0911222300") == "0|DELETED|0911222300\r\n"
    assert server.credit == before
    assert not server.wait_until(lambda: any(server.phones.values()), 0.1)


@pytest.mark.parametrize("fields", [{}, {"msgid": "1"}])
def test_what_is_not_scheduled_cannot_be_canceled(server: SmsGo, fields: dict[str, str]) -> None:
    msgid = str(send(server)["msgid"])

    assert "statuscode=-1\r\n" in call(server, "sendsms_cancel.asp", **{"msgid": msgid, **fields})


# Asking


def test_a_query_has_the_bytes_of_the_documents_sample_with_its_comma(server: SmsGo) -> None:
    msgid = str(send(server)["msgid"])
    shown(server)

    assert call(server, "query.asp", msgid=msgid, dstaddr=MOBILE, rtype="JSON") == (
        '{"results":{"result":[{"statusCode": "0","statusStr":"DELIVRD","cellphone":"0911222333"},]}}'
    )


def test_many_messages_are_told_of_by_lines(server: SmsGo) -> None:
    one = str(send(server, dstaddr=f"{MOBILE},0911222334")["msgid"])
    two = str(send(server, dstaddr=CHINA)["msgid"])
    assert server.wait_until(lambda: server.phones[CHINA])

    every = call(server, "queryBulk.asp", msgid=f"{one},{two},77")
    some = call(server, "queryBulk.asp", msgid=f"{one},{one},{two}", dstaddr=f"0911222334,{CHINA}")

    assert every == (f"0|DELIVRD|0911222333|{one}\r\n0|DELIVRD|0911222334|{one}\r\n0|DELIVRD|+8613681912700|{two}\r\n")
    assert some == f"0|DELIVRD|0911222334|{one}\r\n0|DELIVRD|+8613681912700|{two}\r\n"


def test_a_stranger_learns_nothing(server: SmsGo) -> None:
    msgid = str(send(server)["msgid"])
    shown(server)

    assert "DELIVRD" not in call(server, "query.asp", msgid=msgid, dstaddr=MOBILE, password="wrong")
    assert "DELIVRD" not in call(server, "queryBulk.asp", msgid=msgid, password="wrong")
    assert call(server, "query_point.asp", password="wrong") == "-2"
    assert call(server, "query.asp", msgid="1", dstaddr=MOBILE).startswith("-1|")


def test_the_credit_has_the_bytes_of_the_documents_sample(server: SmsGo) -> None:
    server.credit = 6220

    assert call(server, "query_point.asp") == "6220"
    assert call(server, "query_point.asp", rtype="JSON") == (
        '{"results":{"result":[{"statuscode": "0","point": "6220"}]}}'
    )


# Replies


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("OK 1+1", "ASCII", "OK%201%2B1"),
        ("好的", "BIG5", "%A6n%AA%BA"),
        ("简信#@", "UCS2", "%7B%80O%E1%00%23%00%40"),
        ("😀", "UCS2", "%D8%3D%DE%00"),
    ],
)
def test_a_reply_comes_percent_encoded_in_its_own_encoding(
    server: SmsGo, gateway: Gateway, text: str, encoding: str, written: str
) -> None:
    server.travel_to(datetime(2026, 11, 20, 4, 0, tzinfo=UTC))
    msgid = send(server, replyurl=gateway.url, replydays="3")["msgid"]
    shown(server)

    server.reply(PHONE, text)

    assert server.wait_until(lambda: gateway.received)
    timestamp = quote("2026/11/20 12:00:0", safe="")
    assert re.fullmatch(
        re.escape(
            f"/receipts/smsgo/token/m-0?msgid={msgid}&srcaddr=0911222333&dstaddr=0911510128&smbody={written}"
            f"&encoding={encoding}&timestamp={timestamp}"
        )
        + "[0-9]",
        gateway.received[0],
    )


def test_a_reply_can_be_said_to_be_in_any_encoding(server: SmsGo, gateway: Gateway) -> None:
    send(server, replyurl=gateway.url)
    shown(server)

    server.reply(PHONE, "OK", "UCS2")

    assert server.wait_until(lambda: gateway.received)
    assert "&smbody=%00O%00K&encoding=UCS2&" in gateway.received[0]


def test_a_reply_that_is_not_acknowledged_comes_three_times_more(server: SmsGo, gateway: Gateway) -> None:
    gateway.body = "ok"
    send(server, replyurl=gateway.url)
    shown(server)

    server.reply(PHONE, "OK")

    assert server.wait_until(lambda: len(server.callbacks) == 4)


def test_only_a_two_way_message_can_be_answered_and_only_for_its_days(server: SmsGo, gateway: Gateway) -> None:
    send(server)
    send(server, dstaddr="0911222334", replyurl=gateway.url, replydays="2")
    assert server.wait_until(lambda: server.phones["+886911222334"])

    server.reply(PHONE, "OK")
    server.advance(timedelta(days=1, hours=23))
    server.reply("+886911222334", "in time")
    server.advance(timedelta(hours=2))
    server.reply("+886911222334", "late")

    assert server.wait_until(lambda: server.callbacks)
    assert not server.wait_until(lambda: len(server.callbacks) > 1, 0.05)
    assert "in%20time" in gateway.received[0]


# Faults


def test_a_scripted_answer_is_given_once(server: SmsGo) -> None:
    server.script(server.says("-10", carried_out=True), operation="send")

    codes = [send(server)["statuscode"] for _ in range(2)]

    assert codes == ["-10", "0"]
    assert len(server.accepted) == 2


def test_a_fault_waits_for_the_operation_it_is_meant_for(server: SmsGo) -> None:
    for operation, page in (
        ("query", "query.asp"),
        ("query", "queryBulk.asp"),
        ("credit", "query_point.asp"),
        ("cancel", "sendsms_cancel.asp"),
        ("send", "sendsms.aspx"),
    ):
        server.script(Says(operation.encode()), operation=operation)

        assert call(server, page) == operation

    server.script(Closes(carried_out=False), Cut(10), operation="send")
    with pytest.raises(http.client.RemoteDisconnected):
        send(server)
    with pytest.raises(json.JSONDecodeError):
        send(server)
    assert len(server.accepted) == 1


def test_the_secret_is_what_an_account_needs(server: SmsGo) -> None:
    assert SIMULATORS["smsgo"] is SmsGo
    assert server.secret() == {
        "username": server.username,
        "password": server.password,
        "base_url": f"{server.root}sms_gw/",
        "allow_http": True,
    }


def test_every_call_is_remembered_with_what_it_wanted(server: SmsGo) -> None:
    send(server)
    call(server, "query_point.asp")
    call(server, "queryBulk.asp", msgid="1")

    assert [made.operation for made in server.calls] == ["send", "credit", "query"]
    assert server.calls[0].fields["smbody"] == "測試"
