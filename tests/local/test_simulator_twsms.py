"""The pretended TwSMS: as strict as the vendor's document, and as unreliable as it is told to be."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Cut, Drips, Fault, Hangs, Late, Leaves, Says, Step
from local.simulators.twsms import TwSms
from tests.local.listener import Listener, call_with_form

PHONE = "+886911222333"
MOBILE = "0911222333"


@pytest.fixture
def server() -> Iterator[TwSms]:
    with TwSms() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        yield simulator


class Gateway(Listener):
    """Somebody who waits for receipts, and answers as he is told."""

    @property
    def url(self) -> str:
        return f"{self.root}/receipts/twsms/token/m-0"

    def told(self) -> list[dict[str, str]]:
        return [json.loads(unquote(path.partition("smsresp=")[2])) for path in self.received if "smsresp=" in path]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


def raw_call(server: TwSms, page: str, form: str, method: str = "POST", seconds: float = 5.0) -> tuple[int, bytes, str]:
    return call_with_form(server.root, method, f"/json/{page}", form, seconds)


def call(server: TwSms, page: str, method: str = "POST", **fields: str) -> dict[str, Any]:
    form = urlencode({"username": server.username, "password": server.password, **fields})
    status, body, content_type = raw_call(server, page, form, method)
    assert status == 200
    assert content_type.startswith("text/html")
    answer: dict[str, Any] = json.loads(body)
    return answer


def send(server: TwSms, method: str = "POST", **fields: str) -> dict[str, Any]:
    return call(server, "sms_send.php", method, **{"mobile": MOBILE, "message": "測試", **fields})


def query(server: TwSms, msgid: object, **fields: str) -> dict[str, Any]:
    return call(server, "sms_query.php", **{"mobile": MOBILE, "msgid": str(msgid), **fields})


def in_taipei(moment: datetime) -> datetime:
    return moment.astimezone(UTC) + timedelta(hours=8)


def sendtime(server: TwSms, ahead: timedelta) -> str:
    return in_taipei(server.now() + ahead).strftime("%Y%m%d%H%M")


# Sending


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_message_is_taken_by_get_and_by_post_and_shown_on_the_phone(server: TwSms, method: str) -> None:
    answer = send(server, method)

    (taken,) = server.accepted
    assert answer == {"code": "00000", "text": "Success", "msgid": int(taken.ref)}
    assert 8 <= len(taken.ref) <= 11
    assert (taken.to, taken.text, taken.points) == (PHONE, "測試", 1)
    assert server.wait_until(lambda: server.phones[PHONE])
    assert [shown.text for shown in server.phones[PHONE]] == ["測試"]


def test_the_answer_has_the_bytes_of_the_documents_sample(server: TwSms) -> None:
    form = urlencode({"username": server.username, "password": server.password, "mobile": MOBILE, "message": "hi"})

    _, body, _ = raw_call(server, "sms_send.php", form)

    assert re.fullmatch(rb'{"code":"00000","text":"Success","msgid":[0-9]{8,11}}', body)


def test_every_message_has_a_reference_of_its_own(server: TwSms) -> None:
    references = {send(server)["msgid"] for _ in range(5)}

    assert len(references) == 5


def test_big5_is_understood_as_well(server: TwSms) -> None:
    form = urlencode({"username": server.username, "password": server.password, "mobile": MOBILE})

    raw_call(server, "sms_send.php", f"{form}&message={quote('台灣簡訊'.encode('big5'))}")

    assert server.accepted[0].text == "台灣簡訊"


def test_what_big5_cannot_say_becomes_a_question_mark(server: TwSms) -> None:
    form = urlencode({"username": server.username, "password": server.password, "mobile": MOBILE})

    raw_call(server, "sms_send.php", f"{form}&message={quote('台灣'.encode('big5') + bytes([255]))}")

    assert server.accepted[0].text == "台灣?"


REFUSED = [
    ({"mobile": ""}, "00100"),
    ({"mobile": "091122233"}, "00100"),
    ({"mobile": "09112223334"}, "00100"),
    ({"mobile": "0223456789"}, "00100"),
    ({"mobile": "+886911222333"}, "00100"),
    ({"mobile": "886911222333"}, "00100"),
    ({"mobile": "+85261234567"}, "00100"),
    ({"mobile": "０９１１２２２３３３"}, "00100"),
    ({"message": ""}, "00110"),
    ({"mobile": "85261234567", "message": "中" * 71}, "00120"),
    ({"mobile": "85261234567", "message": "a" * 161}, "00120"),
    ({"message": "中" * 336}, "00130"),
    ({"message": "a" * 766}, "00130"),
    ({"message": "a" * 70 + "中" * 266}, "00130"),
    ({"message": "中" * 71, "lmsg": "N"}, "00130"),
    ({"message": "a" * 161, "lmsg": "N"}, "00130"),
    ({"message": "hi 😀"}, "00180"),
    ({"message": "1️⃣"}, "00180"),
    ({"message": "❤️"}, "00180"),
    ({"sendtime": "2026"}, "00050"),
    ({"sendtime": "202613010000"}, "00050"),
    ({"sendtime": "20261120120000"}, "00050"),
    ({"sendtime": "202602301200"}, "00050"),
    ({"sendtime": "202011201200"}, "00150"),
    ({"expirytime": "299"}, "00060"),
    ({"expirytime": "28801"}, "00060"),
    ({"expirytime": "soon"}, "00060"),
    ({"expirytime": "-300"}, "00060"),
    ({"drurl": "gateway.example/receipts"}, "00140"),
    ({"drurl": "ftp://gateway.example/receipts", "drurl_check": "N"}, "00140"),
    ({"drurl": "http://127.0.0.1:9/receipts"}, "00170"),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_what_the_document_forbids_is_refused_and_costs_nothing(
    server: TwSms, fields: dict[str, str], code: str
) -> None:
    before = server.credit

    answer = send(server, **fields)

    assert answer["code"] == code
    assert "msgid" not in answer
    assert server.accepted == []
    assert server.credit == before


ALLOWED = [
    {"message": "中" * 335},
    {"message": "a" * 765},
    {"message": "中" * 70, "lmsg": "N"},
    {"mobile": "85261234567", "message": "a" * 160},
    {"expirytime": "300"},
    {"expirytime": "28800"},
    {"drurl": "http://127.0.0.1:9/receipts", "drurl_check": "N"},
    {"message": "★ ☎ → 「全形」"},
    {"unknown": "tag"},
]


@pytest.mark.parametrize("fields", ALLOWED)
def test_what_the_document_allows_is_taken(server: TwSms, fields: dict[str, str]) -> None:
    assert send(server, **fields)["code"] == "00000"


@pytest.mark.parametrize(
    ("fields", "points"),
    [
        ({"message": "中" * 70}, 1),
        ({"message": "中" * 71}, 2),
        ({"message": "中" * 134}, 2),
        ({"message": "中" * 135}, 3),
        ({"message": "a" * 160}, 1),
        ({"message": "a" * 161}, 2),
        ({"message": "a" * 765}, 5),
        ({"mobile": "85261234567"}, 3),
    ],
)
def test_points_are_taken_by_the_price_list(server: TwSms, fields: dict[str, str], points: int) -> None:
    before = int(call(server, "sms_query.php", checkpoint="Y")["point"])

    send(server, **fields)

    assert before - int(call(server, "sms_query.php", checkpoint="Y")["point"]) == points


def test_without_enough_credit_nothing_is_sent(server: TwSms) -> None:
    server.credit = 2

    answers = [
        send(server, mobile="85261234567")["code"],
        send(server)["code"],
        send(server)["code"],
        send(server)["code"],
    ]

    assert answers == ["00020", "00000", "00000", "00020"]
    assert server.credit == 0
    assert len(server.accepted) == 2


@pytest.mark.parametrize("page", ["sms_send.php", "sms_query.php", "smsmo_query.php"])
@pytest.mark.parametrize(
    ("login", "code"),
    [
        ({"username": "nobody"}, "00010"),
        ({"username": ""}, "00010"),
        ({"password": ""}, "00010"),
        ({"password": "wrong"}, "00012"),
    ],
)
def test_a_stranger_is_refused_on_every_page(server: TwSms, page: str, login: dict[str, str], code: str) -> None:
    assert call(server, page, **login)["code"] == code


@pytest.mark.parametrize(
    ("attribute", "value", "code"),
    [
        ("disabled", True, "00040"),
        ("api_enabled", False, "00041"),
        ("address_allowed", False, "00030"),
        ("international", False, "00031"),
    ],
)
def test_an_account_can_be_in_trouble(server: TwSms, attribute: str, value: bool, code: str) -> None:
    setattr(server, attribute, value)

    assert send(server, mobile="85261234567")["code"] == code
    assert server.accepted == []


def test_another_page_is_not_found(server: TwSms) -> None:
    assert raw_call(server, "smsSend.php", "")[0] == 404


# What becomes of a message


def test_a_receipt_has_the_bytes_of_the_documents_sample(server: TwSms, gateway: Gateway) -> None:
    answer = send(server, drurl=gateway.url, drurl_check="N")

    assert server.wait_until(lambda: server.callbacks)
    (path,) = gateway.received
    assert re.fullmatch(
        "/receipts/twsms/token/m-0"
        r"\?smsresp=%7B%22code%22%3A%2200000%22%2C%22text%22%3A%22Success%22%2C%22msgid%22%3A%22"
        + str(answer["msgid"])
        + "%22%2C%22mobile%22%3A%220911222333%22%2C%22statuscode%22%3A%220%22%2C%22statustext%22%3A%22DELIVRD%22"
        "%2C%22downtime%22%3A%22[0-9]{14}%22%7D",
        path,
    )
    assert (server.callbacks[0].status, server.callbacks[0].body) == (200, b"")


def test_the_receipt_url_is_called_before_sending_unless_that_is_switched_off(server: TwSms, gateway: Gateway) -> None:
    gateway.status = 503

    checked = send(server, drurl=gateway.url)
    unchecked = send(server, drurl=gateway.url, drurl_check="N")

    assert (checked["code"], unchecked["code"]) == ("00170", "00000")
    assert gateway.received[0] == "/receipts/twsms/token/m-0"


def test_without_a_receipt_url_nobody_is_called_and_the_status_can_be_asked_for(
    server: TwSms, gateway: Gateway
) -> None:
    msgid = send(server)["msgid"]

    assert server.wait_until(lambda: query(server, msgid)["code"] == "00000")
    assert query(server, msgid)["statustext"] == "DELIVRD"
    assert (gateway.received, server.callbacks) == ([], [])


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ((), []),
        ((Step(0, "DELIVRD", told=False),), []),
        ((Step(0, "UNDELIV"),), [("-1", "UNDELIV")]),
        ((Step(0, "DELIVRD"), Step(0, "DELIVRD")), [("0", "DELIVRD")] * 2),
        ((Step(0, "ACCEPTD"), Step(0.1, "DELIVRD")), [("0", "ACCEPTD"), ("0", "DELIVRD")]),
        ((Step(0, "DELIVRD"), Step(0.1, "ACCEPTD")), [("0", "DELIVRD"), ("0", "ACCEPTD")]),
        ((Step(0, "DELIVRD"), Step(0.1, "EXPIRED")), [("0", "DELIVRD"), ("-1", "EXPIRED")]),
    ],
)
def test_receipts_come_as_they_were_planned(
    server: TwSms, gateway: Gateway, plan: tuple[Step, ...], told: list[tuple[str, str]]
) -> None:
    server.plan_receipts(plan)

    send(server, drurl=gateway.url, drurl_check="N")
    send(server, mobile="0987654321", drurl=gateway.url, drurl_check="N")

    assert server.wait_until(lambda: len(gateway.told()) == len(told) + 1)
    planned = [each for each in gateway.told() if each["mobile"] == MOBILE]
    assert [(each["statuscode"], each["statustext"]) for each in planned] == told


def test_a_late_receipt_is_late(server: TwSms, gateway: Gateway) -> None:
    server.plan_receipts((Step(3600, "DELIVRD"),))
    msgid = send(server, drurl=gateway.url, drurl_check="N")["msgid"]

    early = query(server, msgid)
    server.advance(timedelta(hours=2))

    assert early["code"] == "00001"
    assert server.wait_until(gateway.told)
    assert query(server, msgid)["statustext"] == "DELIVRD"


def test_a_late_receipt_is_counted_from_when_its_message_is_due(server: TwSms, gateway: Gateway) -> None:
    server.plan_receipts((Step(3600, "DELIVRD"),))
    send(server, drurl=gateway.url, drurl_check="N", sendtime=sendtime(server, timedelta(hours=3)))

    server.advance(timedelta(hours=4, minutes=1))

    assert server.wait_until(gateway.told)


def test_what_was_not_delivered_is_on_no_phone(server: TwSms) -> None:
    server.plan_receipts((Step(0, "UNDELIV"),), ())

    lost, unreported = send(server)["msgid"], send(server)["msgid"]

    assert server.wait_until(lambda: query(server, lost)["code"] == "00000")
    assert server.wait_until(lambda: server.phones[PHONE])
    assert [shown.ref for shown in server.phones[PHONE]] == [str(unreported)]


# Schedules


def test_a_scheduled_message_waits_for_its_time(server: TwSms) -> None:
    msgid = send(server, sendtime=sendtime(server, timedelta(hours=3)))["msgid"]

    waiting = query(server, msgid)["code"]
    on_phone = list(server.phones[PHONE])
    server.advance(timedelta(hours=4))

    assert (waiting, on_phone) == ("00310", [])
    assert server.wait_until(lambda: server.phones[PHONE])
    assert server.wait_until(lambda: query(server, msgid)["code"] == "00000")


@pytest.mark.parametrize("spelling", ["delttime", "deltime"])
def test_a_scheduled_message_can_be_deleted_before_its_time(server: TwSms, spelling: str) -> None:
    before = server.credit
    msgid = send(server, sendtime=sendtime(server, timedelta(hours=3)))["msgid"]

    first = query(server, msgid, **{spelling: "Y"})
    again = query(server, msgid, **{spelling: "Y"})
    server.advance(timedelta(hours=4))

    assert first == {"code": "00000", "text": "Success"}
    assert again["code"] == "00300"
    assert query(server, msgid)["statustext"] == "DELETED"
    assert server.credit == before
    assert not server.wait_until(lambda: server.phones[PHONE], 0.1)


def test_what_went_out_cannot_be_deleted(server: TwSms) -> None:
    at_once = send(server)["msgid"]
    scheduled = send(server, sendtime=sendtime(server, timedelta(hours=3)))["msgid"]
    server.advance(timedelta(hours=4))

    assert query(server, at_once, delttime="Y")["code"] == "00300"
    assert query(server, scheduled, delttime="Y")["code"] == "00300"


# Asking


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_question_is_answered_by_get_and_by_post(server: TwSms, method: str) -> None:
    msgid = str(send(server)["msgid"])
    server.reply(PHONE, "好")
    assert server.wait_until(lambda: query(server, msgid)["code"] == "00000")

    status = call(server, "sms_query.php", method, mobile=MOBILE, msgid=msgid)
    credit = call(server, "sms_query.php", method, checkpoint="Y")
    replies = call(server, "smsmo_query.php", method, snumber="12345")

    assert status["statustext"] == "DELIVRD"
    assert credit["point"] == "999999"
    assert [reply["message"] for reply in replies["moResp"]] == ["好"]


def test_a_query_has_the_fields_of_the_documents_sample(server: TwSms) -> None:
    msgid = send(server)["msgid"]
    assert server.wait_until(lambda: query(server, msgid)["code"] == "00000")

    answer = query(server, msgid)

    assert re.fullmatch("[0-9]{14}", answer.pop("donetime"))
    assert list(answer.items()) == [
        ("code", "00000"),
        ("text", "Success"),
        ("statuscode", "0"),
        ("statustext", "DELIVRD"),
    ]


def test_only_who_knows_number_and_msgid_learns_anything(server: TwSms) -> None:
    msgid = send(server)["msgid"]

    assert query(server, msgid, mobile="0987654321")["code"] == "00300"
    assert query(server, int(msgid) + 1)["code"] == "00300"
    assert query(server, "")["code"] == "00420"
    assert query(server, msgid, mobile="")["code"] == "00420"
    assert query(server, "abc")["code"] == "00420"


def test_after_three_days_a_message_is_found_only_the_slow_way(server: TwSms) -> None:
    msgid = send(server)["msgid"]
    assert server.wait_until(lambda: query(server, msgid)["code"] == "00000")

    server.advance(timedelta(days=3, minutes=1))

    assert query(server, msgid)["code"] == "00300"
    assert query(server, msgid, outrange="Y")["statustext"] == "DELIVRD"


def test_replies_are_told_by_day_and_two_way_number(server: TwSms) -> None:
    server.two_way_numbers.append("54321")
    server.travel_to(datetime(2026, 11, 20, 15, 59, 58, tzinfo=UTC))  # two seconds to midnight in Taipei
    server.reply(PHONE, "好")
    server.reply("+85261234567", "STOP", "54321")
    server.advance(timedelta(minutes=1))
    server.reply(PHONE, "明天")

    def replies(**fields: str) -> list[tuple[str, str]]:
        answer = call(server, "smsmo_query.php", **fields)
        return [(each["mobile"], each["message"]) for each in answer.get("moResp", [])]

    assert replies(snumber="12345", sdate="2026-11-20") == [(MOBILE, "好")]
    assert replies(snumber="12345", sdate="2026-11-21") == [(MOBILE, "明天")]
    assert replies(snumber="12345") == [(MOBILE, "明天")]
    assert replies(snumber="54321", sdate="2026-11-20") == [("85261234567", "STOP")]


def test_a_reply_has_the_bytes_of_the_documents_sample(server: TwSms) -> None:
    server.reply(PHONE, "台灣")
    form = urlencode({"username": server.username, "password": server.password, "snumber": "12345"})

    _, body, _ = raw_call(server, "smsmo_query.php", form)

    assert re.fullmatch(
        rb'{"code":"00000","text":"Success","moResp":\[{"seq":"221831","date":"[0-9]{14}","mobile":"0911222333",'
        rb'"message":"\\u53f0\\u7063"}\]}',
        body,
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"snumber": "12345"}, "00410"),
        ({"snumber": "99999"}, "00400"),
        ({"snumber": "1234"}, "00430"),
        ({}, "00430"),
        ({"snumber": "12345", "sdate": "20261120"}, "00430"),
        ({"snumber": "12345", "sdate": "2026-02-30"}, "00430"),
    ],
)
def test_a_question_for_replies_is_read_strictly(server: TwSms, fields: dict[str, str], code: str) -> None:
    assert call(server, "smsmo_query.php", **fields)["code"] == code


# Faults


def send_raw(server: TwSms, seconds: float = 5.0) -> tuple[int, bytes, str]:
    fields = {"username": server.username, "password": server.password, "mobile": MOBILE, "message": "hi"}
    return raw_call(server, "sms_send.php", urlencode(fields), seconds=seconds)


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_scripted_answer_is_given_once(server: TwSms, carried_out: bool) -> None:
    server.script(Says(b"<html>", 503, "text/plain", (("Retry-After", "9"),), carried_out=carried_out))

    first, second = send_raw(server), send_raw(server)

    assert first == (503, b"<html>", "text/plain")
    assert json.loads(second[1])["code"] == "00000"
    assert len(server.accepted) == 1 + carried_out


def test_a_fault_waits_for_the_operation_it_is_meant_for(server: TwSms) -> None:
    server.script(server.says("99999"), operation="send")

    credit = call(server, "sms_query.php", checkpoint="Y")["code"]

    assert (credit, send(server)["code"], send(server)["code"]) == ("00000", "99999", "00000")


@pytest.mark.parametrize(
    ("fault", "broken", "taken"),
    [
        (Closes(), http.client.RemoteDisconnected, True),
        (Closes(carried_out=False), http.client.RemoteDisconnected, False),
        (Hangs(0.05), http.client.RemoteDisconnected, True),
        (Hangs(), TimeoutError, True),
        (Hangs(carried_out=False), TimeoutError, False),
        (Cut(10, on_the_wire=True), http.client.IncompleteRead, True),
        (Drips(0.2), TimeoutError, True),
    ],
)
def test_a_call_can_break_with_the_message_taken_or_not(
    server: TwSms, fault: Fault, broken: type[Exception], taken: bool
) -> None:
    server.script(fault)

    with pytest.raises(broken):
        send_slowly(server)

    assert len(server.accepted) == taken


def send_slowly(server: TwSms) -> None:
    """Like somebody with a deadline for the whole call."""
    fields = {"username": server.username, "password": server.password, "mobile": MOBILE, "message": "hi"}
    body = urlencode(fields)
    parts = urlsplit(server.root)
    deadline = time.monotonic() + 1
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
    try:
        connection.request("POST", "/json/sms_send.php", body)
        answer = connection.getresponse()
        while not answer.closed and answer.read1(1):
            if time.monotonic() > deadline:
                raise TimeoutError
        if answer.length:
            raise http.client.IncompleteRead(b"")
    finally:
        connection.close()


def test_a_cut_answer_may_look_complete(server: TwSms) -> None:
    server.script(Cut(20))

    assert send_raw(server)[1] == b'{"code":"00000","tex'


def test_an_answer_can_come_after_its_receipt(server: TwSms, gateway: Gateway) -> None:
    server.script(Late(2))
    answered = threading.Event()

    def submit() -> None:
        send(server, drurl=gateway.url, drurl_check="N")
        answered.set()

    threading.Thread(target=submit).start()

    assert server.wait_until(gateway.told, 1.8)
    assert not answered.is_set()
    assert answered.wait(5)


def test_an_idle_connection_can_be_closed_under_its_user(server: TwSms) -> None:
    server.script(Leaves())
    parts = urlsplit(server.root)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.request("GET", "/json/sms_query.php")
    answer = connection.getresponse()
    answer.read()

    assert "close" not in (answer.headers.get("Connection") or "")
    assert isinstance(connection.sock, socket.socket)
    assert connection.sock.recv(1) == b""
    connection.close()


def test_offline_refuses_connections_and_comes_back_on_the_same_port(server: TwSms) -> None:
    root = server.root
    send(server)

    server.go_offline()
    with pytest.raises(ConnectionRefusedError):
        send(server)
    server.come_back()

    assert server.root == root
    assert send(server)["code"] == "00000"
    assert len(server.accepted) == 2


def test_a_silent_call_ends_when_the_simulator_stops() -> None:
    simulator = SIMULATORS["twsms"]()
    assert isinstance(simulator, TwSms)
    simulator.start()
    simulator.script(Hangs())
    broke = threading.Event()

    def wait() -> None:
        with pytest.raises((http.client.HTTPException, OSError)):
            send(simulator)
        broke.set()

    threading.Thread(target=wait).start()
    assert simulator.wait_until(lambda: simulator.accepted)
    simulator.stop()

    assert broke.wait(5)


def test_the_secret_is_what_an_account_needs(server: TwSms) -> None:
    secret = server.secret()

    assert set(secret) == {"username", "password", "base_url", "allow_http", "reply_numbers"}
    assert secret["base_url"] == f"{server.root}json/"
    assert secret["allow_http"] is True


def test_every_call_is_remembered_with_what_it_wanted(server: TwSms) -> None:
    send(server)
    call(server, "sms_query.php", checkpoint="Y")
    send(server, message="")

    assert [made.operation for made in server.calls] == ["send", "credit", "send"]


def test_many_callers_at_once_are_all_served(server: TwSms) -> None:
    codes: list[str] = []
    callers = [threading.Thread(target=lambda: codes.append(send(server)["code"])) for _ in range(40)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert codes == ["00000"] * 40
    assert len({taken.ref for taken in server.accepted}) == 40
    assert server.credit == 1_000_000 - 40
