"""No number, text, password or token in any log line of any function, at DEBUG, whatever happens."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest

from local.simulators.base import Closes, Says, Simulator
from tests.journeys.conftest import House

FUNCTIONS = ("Sender", "Receipts", "Reconciler", "Credits", "Api", "Publisher")


def secret(simulator: Simulator, field: str) -> str:
    return str(simulator.secret()[field])


@pytest.fixture
def canaries(house: House) -> dict[str, str]:
    """One of everything that must not be seen, sent through everything that could show it."""
    phone, text = "+886966778899", f"canary {uuid.uuid4()}"
    for key in house.simulators:
        house.wait_for(house.publish(providers=[key], to=phone, text=text), "delivered")
    house.twsms.script(
        Says(f"<html>{text} {phone} {house.twsms.password}</html>".encode(), status=500),
        Closes(),
        Says(json.dumps({"code": "00100", "text": f"{phone} not in service"}).encode()),
        operation="send",
    )
    for ending in ("doubtful", "doubtful", "rejected", "delivered"):
        house.wait_for(house.publish(to=phone, text=text, label=text, context={"note": text}), ending)
    house.wait_for(house.publish(to=phone, text=text, txt=text, id=f"wrong-{uuid.uuid4()}"), "rejected")
    answer = house.http("POST", "/messages", {"to": phone, "text": text, "name": text})
    assert answer.status == 422
    assert house.http("POST", "/messages", {"to": phone, "text": text, "context": {"note": text}}).status == 202
    house.http("GET", f"/messages?to=%2B{phone[1:]}")
    house.http("GET", f"/receipts/twsms/{house.gateway.callback_token}/?smsresp=%7B{phone}%7D")
    house.twsms.reply(phone, text)
    for function in ("ReconcilerFunction", "CreditsFunction"):
        house.gateway.tick(function)
    house.gateway.events.wait_for(lambda event: event["detail"].get("from") == phone)
    return {
        "phone": phone,
        "phone without plus": phone[1:],
        "national phone": f"0{phone[4:]}",
        "text": text,
        "token": house.gateway.callback_token,
        **{f"password of {key}": secret(simulator, "password") for key, simulator in house.simulators.items()},
        **{f"user name of {key}": secret(simulator, "username") for key, simulator in house.simulators.items()},
    }


def test_no_log_line_shows_a_canary(house: House, canaries: dict[str, str]) -> None:
    for function in FUNCTIONS:
        log = house.gateway.lambdas.log(f"{function}Function")

        assert log, f"{function} wrote nothing, so nothing was tested"
        for name, canary in canaries.items():
            assert canary not in log, f"{name} in the log of {function}"


def test_every_log_line_is_one_json_object(house: House, canaries: dict[str, str]) -> None:
    for function in FUNCTIONS:
        lines = Path(house.gateway.lambdas.log_file(f"{function}Function")).read_text("utf-8").splitlines()

        for line in lines:
            assert re.match(r"^\{.*\}$", line), f"{function}: {line[:200]}"
            json.loads(line)


def test_status_events_hold_the_number_the_contract_says_and_no_text(house: House, canaries: dict[str, str]) -> None:
    events = [e["detail"] for e in house.gateway.events.all() if e["detail-type"] == "Message Status Changed"]
    mine = [detail for detail in events if detail["to"] == canaries["phone"]]

    assert mine
    for detail in mine:
        told = {name: value for name, value in detail.items() if name not in ("label", "context")}
        assert canaries["text"] not in json.dumps(told, ensure_ascii=False)


def test_answers_of_the_api_hold_no_text(house: House, canaries: dict[str, str]) -> None:
    answer = house.http("GET", f"/messages?to=%2B{canaries['phone without plus']}")

    for message in answer.body["messages"]:
        told = {name: value for name, value in message.items() if name not in ("label", "context")}
        assert canaries["text"] not in json.dumps(told, ensure_ascii=False)
