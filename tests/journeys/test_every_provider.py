"""Every provider, every operation: done where its vendor has it, honestly refused where not."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.simulators import SIMULATORS
from local.simulators.base import Step
from smsgate.providers import PROVIDERS
from smsgate.providers.base import Cancels, PollsReplies, Queries, TellsCredit
from tests.journeys.conftest import House

KEYS = list(SIMULATORS)
# A number each, so that what a phone shows is of one provider.
PHONES = {key: f"+88693300{place:04}" for place, key in enumerate(KEYS)}
SCHEDULED = [key for key in KEYS if PROVIDERS[key].capabilities.schedule]
TWO_WAY = [key for key in KEYS if PROVIDERS[key].capabilities.two_way]


def words() -> str:
    return f"您的包裹已到門市，取件碼 {uuid.uuid4().hex[:10]}"


def publish(house: House, key: str, **fields: Any) -> tuple[str, str]:
    text = words()
    return house.publish(providers=[key], to=PHONES[key], text=text, **fields), text


def told(house: House, detail_type: str, **fields: str) -> int:
    return sum(kind == detail_type and fields.items() <= detail.items() for kind, detail in house.told())


@pytest.mark.parametrize("key", KEYS)
def test_a_message_is_sent_once_shown_as_written_and_reported(house: House, key: str) -> None:
    request_id, text = publish(house, key)

    event = house.wait_for(request_id, "delivered")

    assert event["provider"] == key
    assert [shown.text for shown in house.simulators[key].phones[PHONES[key]]][-1] == text
    assert sum(submission.text == text for submission in house.simulators[key].accepted) == 1
    assert house.message(request_id)["provider_ref"]


@pytest.mark.parametrize("key", KEYS)
def test_many_recipients_of_one_request_are_each_sent_once(house: House, key: str) -> None:
    text = words()
    numbers = [f"+886922{KEYS.index(key)}{n:05}" for n in range(12)]

    request_id = house.publish("BulkQueue", providers=[key], to=numbers, text=text)

    house.until(lambda: [m["status"] for m in house.messages(request_id)] == ["delivered"] * 12, 40)
    taken = [submission.to for submission in house.simulators[key].accepted if submission.text == text]
    assert sorted(taken) == sorted(numbers)


@pytest.mark.parametrize("key", SCHEDULED)
def test_a_scheduled_message_is_canceled_or_its_provider_is_said_not_to_cancel(house: House, key: str) -> None:
    request_id, _ = publish(house, key, send_at=(datetime.now(UTC) + timedelta(hours=3)).isoformat())
    house.wait_for(request_id, "scheduled")

    answer = house.http("POST", f"/requests/{request_id}/cancel")

    if issubclass(PROVIDERS[key], Cancels):
        assert answer.status == 200
        house.wait_for(request_id, "canceled")
    else:
        assert answer.status == 409
        assert "cannot cancel" in answer.body["detail"]
        assert house.message(request_id)["status"] == "scheduled"


@pytest.mark.parametrize("key", KEYS)
def test_a_lost_receipt_is_asked_for_or_nobody_pretends(house: House, key: str) -> None:
    simulator = house.simulators[key]
    simulator.plan_receipts((Step(0, simulator.delivered, told=False),))
    request_id, _ = publish(house, key)
    house.wait_for(request_id, "sent")
    time.sleep(1.2)

    def asked() -> bool:
        house.gateway.tick("ReconcilerFunction")
        return "delivered" in house.statuses(request_id)

    if issubclass(PROVIDERS[key], Queries):
        house.until(asked)
    else:
        asked()
        assert house.message(request_id)["status"] == "sent"


@pytest.mark.parametrize("key", KEYS)
def test_credit_is_told_where_the_vendor_tells_it(house: House, key: str) -> None:
    before = told(house, "Credit Measured", provider=key)
    house.gateway.tick("CreditsFunction")

    if issubclass(PROVIDERS[key], TellsCredit):
        house.until(lambda: told(house, "Credit Measured", provider=key) > before)
    else:
        assert told(house, "Credit Measured", provider=key) == 0


@pytest.mark.parametrize("key", TWO_WAY)
def test_an_answer_typed_on_the_phone_is_an_event_tied_to_its_message(house: House, key: str) -> None:
    request_id, _ = publish(house, key, replies=True)
    house.wait_for(request_id, "delivered")
    said = f"好 {uuid.uuid4().hex[:6]}"
    house.simulators[key].reply(PHONES[key], said)

    def answered() -> bool:
        if issubclass(PROVIDERS[key], PollsReplies):
            house.gateway.tick("ReconcilerFunction")
        return told(house, "Reply Received", text=said) > 0

    house.until(answered)
    (event,) = [detail for _, detail in house.told() if detail.get("text") == said]
    assert (event["from"], event["provider"], event["request_id"]) == (PHONES[key], key, request_id)
    assert event["match"] in ("exact", "likely")


@pytest.mark.parametrize("key", [key for key in KEYS if key not in TWO_WAY])
def test_a_two_way_message_is_refused_by_who_has_no_answers(house: House, key: str) -> None:
    request_id, _ = publish(house, key, replies=True)

    assert house.wait_for(request_id, "rejected")["reason"]["code"] == "unsupported_feature"


@pytest.mark.parametrize("key", KEYS)
def test_what_a_provider_cannot_carry_is_refused_before_anything_is_spent(house: House, key: str) -> None:
    accepted = len(house.simulators[key].accepted)
    request_id, _ = (
        publish(house, key, form="push", url="https://www.example.com/x")
        if key != "smsgo"
        else publish(house, key, sender="SHOP")
    )

    event = house.wait_for(request_id, "rejected")

    assert event["reason"]["code"] == "unsupported_feature"
    assert len(house.simulators[key].accepted) == accepted
