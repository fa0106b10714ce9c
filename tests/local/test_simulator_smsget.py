"""The pretended SMS-Get: as strict as the vendor's document, and as unreliable as it is told to be."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlencode

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Cut, Says, Step
from local.simulators.smsget import SmsGet
from tests.local.listener import Listener, call_with_form

PHONE = "+886912345678"
WRITTEN = "0912345678"


@pytest.fixture
def server() -> Iterator[SmsGet]:
    with SmsGet() as simulator:
        simulator.receipts = (Step(0, "DELIVRD"),)
        yield simulator


class Gateway(Listener):
    """Somebody who waits for callbacks and says ok."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = lambda heard: "ok"

    def told(self, path: str) -> list[dict[str, str]]:
        return [each.form for each in self.heard if each.path == path]

    def states(self) -> list[tuple[str, str]]:
        """Number and state of every row, in the order they came."""
        rows = [row.split("|") for told in self.told("/receipts") for row in told["content"].split(",")]
        return [(row[0], row[3]) for row in rows]


@pytest.fixture
def gateway(server: SmsGet) -> Iterator[Gateway]:
    gateway = Gateway()
    server.receipt_url = f"{gateway.root}/receipts"
    server.reply_url = f"{gateway.root}/replies"
    yield gateway
    gateway.close()


def raw_call(server: SmsGet, page: str, form: str, verb: str = "POST") -> tuple[int, bytes, str]:
    return call_with_form(server.root, verb, f"/{page}", form)


def call(server: SmsGet, page: str, verb: str = "POST", **fields: str) -> dict[str, Any]:
    form = urlencode({"username": server.username, "password": server.password, **fields})
    status, body, content_type = raw_call(server, page, form, verb)
    assert status == 200
    assert content_type.startswith("text/html")
    answer: dict[str, Any] = json.loads(body)
    assert answer["stats"] is (answer["error_code"] == "000")
    return answer


def send(server: SmsGet, page: str = "api_send.php", verb: str = "POST", **fields: str) -> dict[str, Any]:
    return call(server, page, verb, **{"method": "1", "sms_msg": "測試", "phone": WRITTEN, **fields})


def schedule(server: SmsGet, ahead: timedelta) -> dict[str, str]:
    due = server.now().astimezone(UTC) + timedelta(hours=8) + ahead
    return {"method": "2", "send_date": f"{due:%Y/%m/%d}", "hour": f"{due:%H}", "min": f"{due:%M}"}


def test_it_is_registered_under_its_own_name() -> None:
    assert SIMULATORS["smsget"] is SmsGet
    assert SmsGet.key == "smsget"


# Sending


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("page", ["api_send.php", "api_send_twoway.php"])
def test_a_message_is_taken_by_get_and_by_post_and_shown_on_the_phone(server: SmsGet, page: str, verb: str) -> None:
    answer = send(server, page, verb)

    (taken,) = server.accepted
    assert answer["error_msg"] == f"{taken.ref}|{taken.points}|{server.credit}"
    assert (taken.to, taken.text) == (PHONE, "測試")
    assert server.wait_until(lambda: server.phones[PHONE])
    assert [shown.text for shown in server.phones[PHONE]] == ["測試"]


def test_the_answer_has_the_bytes_that_were_seen(server: SmsGet) -> None:
    fields = {"username": server.username, "password": server.password, "method": "1", "sms_msg": "hi"}

    _, body, _ = raw_call(server, "api_send.php", urlencode({**fields, "phone": WRITTEN}))

    assert re.fullmatch(rb'{"stats":true,"error_code":"000","error_msg":"[0-9]{7}\|1\|999999"}', body)


def test_one_call_has_one_id_and_another_call_another(server: SmsGet) -> None:
    send(server, phone="0912345678,13512345678,54123456")
    send(server)

    refs = [taken.ref for taken in server.accepted]
    assert len(refs) == 4
    assert len(set(refs[:3])) == 1
    assert refs[3] != refs[0]


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("0912345678", "+886912345678"),
        ("13512345678", "+8613512345678"),
        ("54123456", "+85254123456"),
        ("85366123456", "+85366123456"),
        ("819012345678", "+819012345678"),
        ("60123456789", "+60123456789"),
        ("601234567890", "+601234567890"),
        ("84123456789", "+84123456789"),
        ("841234567890", "+841234567890"),
        ("628123456789", "+628123456789"),
        ("6281234567890", "+6281234567890"),
        ("66812345678", "+66812345678"),
        ("61412345678", "+61412345678"),
        ("6581234567", "+6581234567"),
        ("639712345678", "+639712345678"),
        ("971512345678", "+971512345678"),
        ("85512345678", "+85512345678"),
        ("855123456789", "+855123456789"),
        ("0012125551234", "+12125551234"),
        ("82112345678", "+82112345678"),
        ("821012345678", "+821012345678"),
    ],
)
def test_each_country_has_its_form(server: SmsGet, written: str, to: str) -> None:
    assert send(server, phone=written)["error_code"] == "000"
    assert server.accepted[0].to == to


REFUSED = [
    ({"phone": ""}, "007"),
    ({"phone": ","}, "007"),
    ({"phone": ",".join([WRITTEN] * 251)}, "008"),
    ({"phone": f"{WRITTEN},091234567"}, "001"),
    ({"phone": f"{WRITTEN}, 0987654321"}, "001"),
    ({"phone": "+886912345678"}, "001"),
    ({"phone": "886912345678"}, "001"),
    ({"phone": "0223456789"}, "001"),
    ({"phone": "8613512345678"}, "001"),
    ({"phone": "85254123456"}, "001"),
    ({"phone": "85331234567890"}, "001"),
    ({"phone": "75581234567"}, "001"),
    ({"phone": "12125551234567"}, "001"),
    ({"phone": "8212345678"}, "001"),
    ({"phone": "82212345678"}, "001"),
    ({"phone": "447911123456"}, "001"),
    ({"phone": "０９１２３４５６７８"}, "001"),
    ({"method": ""}, "001"),
    ({"method": "3"}, "001"),
    ({"sms_msg": ""}, "001"),
    ({"sms_msg": "hi 😀"}, "001"),
    ({"sms_msg": "1️⃣"}, "001"),
    ({"sms_msg": "中" * 336}, "004"),
    ({"sms_msg": "a" * 766}, "004"),
    ({"method": "2"}, "002"),
    ({"method": "2", "send_date": "2030-11-20", "hour": "12", "min": "00"}, "002"),
    ({"method": "2", "send_date": "2030/11/20", "hour": "9", "min": "00"}, "002"),
    ({"method": "2", "send_date": "2030/11/20", "hour": "24", "min": "00"}, "002"),
    ({"method": "2", "send_date": "2030/11/20", "hour": "12", "min": "60"}, "002"),
    ({"method": "2", "send_date": "2030/02/30", "hour": "12", "min": "00"}, "002"),
    ({"method": "2", "send_date": "2020/11/20", "hour": "12", "min": "00"}, "003"),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_what_the_document_forbids_is_refused_and_costs_nothing(
    server: SmsGet, fields: dict[str, str], code: str
) -> None:
    before = server.credit

    answer = send(server, **fields)

    assert answer["error_code"] == code
    assert "|" not in answer["error_msg"]
    assert server.accepted == []
    assert server.credit == before


ALLOWED = [
    {"sms_msg": "中" * 335},
    {"sms_msg": "a" * 765},
    {"sms_msg": "★ ☎ → 「全形」|,&"},
    {"phone": ",".join(f"091{n:07}" for n in range(250))},
    {"phone": f"{WRITTEN},13512345678"},
    {"unknown": "field"},
]


@pytest.mark.parametrize("fields", ALLOWED)
def test_what_the_document_allows_is_taken(server: SmsGet, fields: dict[str, str]) -> None:
    assert send(server, **fields)["error_code"] == "000"


@pytest.mark.parametrize(
    ("page", "fields", "points"),
    [
        ("api_send.php", {"sms_msg": "中" * 70}, 1),
        ("api_send.php", {"sms_msg": "中" * 71}, 2),
        ("api_send.php", {"sms_msg": "中" * 134}, 2),
        ("api_send.php", {"sms_msg": "中" * 135}, 3),
        ("api_send.php", {"sms_msg": "a" * 160}, 1),
        ("api_send.php", {"sms_msg": "a" * 161}, 2),
        ("api_send.php", {"sms_msg": "a" * 765}, 5),
        ("api_send.php", {"phone": "54123456"}, 1),
        ("api_send.php", {"phone": "13512345678"}, 2),
        ("api_send.php", {"phone": "0912345678,13512345678,54123456", "sms_msg": "中" * 71}, 8),
        ("api_send_twoway.php", {}, 2),
        ("api_send_twoway.php", {"sms_msg": "中" * 71}, 4),
    ],
)
def test_points_are_taken_by_the_price_list(server: SmsGet, page: str, fields: dict[str, str], points: int) -> None:
    answer = send(server, page, **fields)

    assert answer["error_msg"].split("|")[1:] == [str(points), str(1_000_000 - points)]
    assert call(server, "api_query_credit.php")["error_msg"] == f"{server.username}|{1_000_000 - points}"
    assert sum(taken.points for taken in server.accepted) == points


def test_without_enough_credit_nobody_is_texted(server: SmsGet) -> None:
    server.credit = 2

    codes = [send(server, phone=phone)["error_code"] for phone in (f"{WRITTEN},13512345678", "13512345678", WRITTEN)]

    assert codes == ["009", "000", "009"]
    assert [taken.to for taken in server.accepted] == ["+8613512345678"]


@pytest.mark.parametrize("phone", ["13512345678", "54123456", f"{WRITTEN},54123456"])
def test_two_way_messages_reach_taiwan_only(server: SmsGet, phone: str) -> None:
    assert send(server, "api_send_twoway.php", phone=phone)["error_code"] == "001"


@pytest.mark.parametrize("page", ["api_send.php", "api_send_twoway.php", "api_query_credit.php"])
@pytest.mark.parametrize(
    ("login", "code"),
    [
        ({"username": "nobody"}, "005"),
        ({"password": "wrong"}, "005"),
        ({"username": ""}, "001"),
        ({"password": ""}, "001"),
    ],
)
def test_a_stranger_is_refused_on_every_page(server: SmsGet, page: str, login: dict[str, str], code: str) -> None:
    assert send(server, page, **login)["error_code"] == code


def test_an_account_can_be_in_trouble(server: SmsGet) -> None:
    server.two_way = False

    two_way, one_way = send(server, "api_send_twoway.php")["error_code"], send(server)["error_code"]
    server.address_allowed = False

    assert (two_way, one_way) == ("010", "000")
    assert send(server)["error_code"] == call(server, "api_query_credit.php")["error_code"] == "006"


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_the_credit_is_told_by_get_and_by_post(server: SmsGet, verb: str) -> None:
    answer = call(server, "api_query_credit.php", verb)

    assert answer == {"stats": True, "error_code": "000", "error_msg": f"{server.username}|1000000"}


def test_another_page_is_not_found(server: SmsGet) -> None:
    assert raw_call(server, "api_cancel.php", "")[0] == 404


def test_a_scheduled_message_waits_for_its_time(server: SmsGet) -> None:
    send(server, **schedule(server, timedelta(hours=3)))

    waiting = list(server.phones[PHONE])
    server.advance(timedelta(hours=4))

    assert waiting == []
    assert server.wait_until(lambda: server.phones[PHONE])


# Receipts


def test_a_receipt_has_the_bytes_of_the_documents_sample(server: SmsGet, gateway: Gateway) -> None:
    sms_id = send(server)["error_msg"].split("|")[0]

    assert server.wait_until(lambda: server.callbacks)
    (heard,) = gateway.heard
    assert re.fullmatch(
        f"sms_id={sms_id}&content=0912345678%7C59c4e123%7C"
        r"\d{4}-\d\d-\d\d\+\d\d%3A\d\d%3A\d\d%7CDELIVRD",
        heard.body.decode(),
    )
    assert (server.callbacks[0].status, server.callbacks[0].body) == (200, b"ok")


def test_times_are_those_of_taipei(server: SmsGet, gateway: Gateway) -> None:
    server.travel_to(datetime(2026, 11, 20, 20, 0, tzinfo=UTC))

    send(server)

    assert server.wait_until(lambda: gateway.received)
    assert gateway.told("/receipts")[0]["content"].split("|")[2].startswith("2026-11-21 04:00:")


def test_all_recipients_of_a_call_are_told_in_one_callback(server: SmsGet, gateway: Gateway) -> None:
    send(server, phone="0912345678,0012125551234,54123456")

    assert server.wait_until(lambda: gateway.received)
    assert gateway.states() == [("0912345678", "DELIVRD"), ("0012125551234", "DELIVRD"), ("54123456", "DELIVRD")]
    assert len(gateway.received) == 1


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ((), []),
        ((Step(0, "DELIVRD", told=False),), []),
        ((Step(0, "UNDELIV"),), ["UNDELIV"]),
        ((Step(0, "DELIVRD"), Step(0, "DELIVRD")), ["DELIVRD", "DELIVRD"]),
        ((Step(0, "ACCEPTD"), Step(0.1, "DELIVRD")), ["ACCEPTD", "DELIVRD"]),
        ((Step(0, "DELIVRD"), Step(0.1, "EXPIRED")), ["DELIVRD", "EXPIRED"]),
    ],
)
def test_receipts_come_as_they_were_planned(
    server: SmsGet, gateway: Gateway, plan: tuple[Step, ...], told: list[str]
) -> None:
    server.plan_receipts(plan)

    send(server, phone="0912345678,0987654321")

    assert server.wait_until(lambda: len(gateway.states()) == len(told) + 1)
    assert [state for number, state in gateway.states() if number == WRITTEN] == told


def test_a_late_receipt_is_late(server: SmsGet, gateway: Gateway) -> None:
    server.plan_receipts((Step(3600, "DELIVRD"),))
    send(server)

    early = list(gateway.received)
    server.advance(timedelta(hours=2))

    assert early == []
    assert server.wait_until(gateway.states)


def test_a_receipt_a_day_late_is_counted_from_when_its_message_is_due(server: SmsGet, gateway: Gateway) -> None:
    server.plan_receipts((Step(86400, "DELIVRD"),))
    send(server, **schedule(server, timedelta(hours=3)))

    server.advance(timedelta(hours=27, minutes=1))

    assert server.wait_until(gateway.states)


def test_what_was_not_delivered_is_on_no_phone(server: SmsGet) -> None:
    server.plan_receipts((Step(0, "UNDELIV"),), ())

    send(server)
    unreported = send(server)["error_msg"].split("|")[0]

    assert server.wait_until(lambda: server.phones[PHONE])
    assert [shown.ref for shown in server.phones[PHONE]] == [unreported]


def test_an_account_without_a_callback_url_is_told_nothing(server: SmsGet) -> None:
    send(server)
    server.reply(PHONE, "好")

    assert server.wait_until(lambda: server.phones[PHONE])
    assert not server.wait_until(lambda: server.callbacks, 0.05)


# Replies


def test_a_reply_has_the_bytes_of_the_documents_sample(server: SmsGet, gateway: Gateway) -> None:
    server.reply(PHONE, "雙向簡訊回傳")

    assert server.wait_until(lambda: server.callbacks)
    (heard,) = gateway.heard
    assert heard.path == "/replies"
    field = unquote_plus(heard.body.decode().removeprefix("content="))
    assert re.fullmatch(
        r"0912345678\|[0-9a-f]{8}\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|"
        "03%E9%9B%99%E5%90%91%E7%B0%A1%E8%A8%8A%E5%9B%9E%E5%82%B3",
        field,
    )
    assert quote("%E9%9B%99") in heard.body.decode()
    assert server.callbacks[0].body == b"ok"


def test_a_reply_carries_the_recognition_id_of_the_last_message_on_that_phone(server: SmsGet, gateway: Gateway) -> None:
    send(server)
    send(server, phone="0987654321")
    assert server.wait_until(lambda: len(gateway.states()) == 2)

    server.reply(PHONE, "好")

    assert server.wait_until(lambda: gateway.told("/replies"))
    ids = {row[0]: row[1] for row in (told["content"].split("|") for told in gateway.told("/receipts"))}
    assert gateway.told("/replies")[0]["content"].split("|")[1] == ids[WRITTEN]


@pytest.mark.parametrize("text", ["a|b,c", "100% +1 &x=y%41\n", "😀", "", "0912345678|x|2013-01-01 21:08:07|03STOP"])
def test_a_reply_holds_whatever_was_typed(server: SmsGet, gateway: Gateway, text: str) -> None:
    server.reply(PHONE, text)

    assert server.wait_until(lambda: gateway.told("/replies"))
    content = gateway.told("/replies")[0]["content"]
    assert content.count("|") == 3
    assert "," not in content
    assert unquote(content.rpartition("|")[2].replace("+", " ")) == f"03{text}"


@pytest.mark.parametrize("code", ["", "04", "3"])
def test_a_reply_without_the_accounts_code_never_comes(server: SmsGet, gateway: Gateway, code: str) -> None:
    server.reply(PHONE, "好", code=code)
    server.reply(PHONE, "再見")

    assert server.wait_until(lambda: gateway.told("/replies"))
    assert [unquote(told["content"].rpartition("|")[2]) for told in gateway.told("/replies")] == ["03再見"]


# Faults


def test_a_scripted_answer_is_given_once(server: SmsGet) -> None:
    server.script(server.says("009"), Says(b"<html>", 503), operation="send")

    credit = call(server, "api_query_credit.php")["error_code"]
    first = send(server)["error_code"]
    second = raw_call(server, "api_send_twoway.php", "")
    third = send(server)["error_code"]

    assert (credit, first, third) == ("000", "009", "000")
    assert second[:2] == (503, b"<html>")
    assert len(server.accepted) == 1


def test_a_call_that_breaks_may_have_been_carried_out(server: SmsGet) -> None:
    server.script(Closes(), Closes(carried_out=False), Cut(10, on_the_wire=True), operation="send")

    for broken in (http.client.RemoteDisconnected, http.client.RemoteDisconnected, http.client.IncompleteRead):
        with pytest.raises(broken):
            send(server)

    assert len(server.accepted) == 2


def test_every_call_is_remembered(server: SmsGet) -> None:
    send(server)
    call(server, "api_query_credit.php")

    assert [each.operation for each in server.calls] == ["send", "credit"]
    assert server.calls[0].fields["phone"] == WRITTEN
    assert server.secret().keys() == {"username", "password", "base_url", "allow_http", "reply_code"}
