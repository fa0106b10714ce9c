"""Credit: measured of everybody who tells, low once when it falls, recovered once when it is back."""

from __future__ import annotations

from decimal import Decimal
from threading import Thread
from typing import Any

import pytest

from smsgate.items import Plain
from smsgate.reasons import Code, Reason
from tests.gateway.house import Counts, House
from tests.gateway.plainline import not_sent


@pytest.fixture(autouse=True)
def _watched(house: House) -> None:
    house.thresholds = {"plainline": Decimal(100)}


def measure(house: House, *credit: str) -> None:
    for each in credit:
        house.wire.say("/credit", each)
        house.credits().handle()


def state(house: House, provider: str = "plainline") -> Plain:
    return house.ledger.provider_state(provider, "credit") or {}


@pytest.mark.parametrize(
    ("credit", "low"), [("100", False), ("99.99", True), ("0", True), ("-3", True), ("1e3", False)]
)
def test_credit_is_low_below_the_threshold_and_not_at_it(house: House, credit: str, low: bool) -> None:
    measure(house, credit)

    assert state(house)["credit"] == Decimal(credit)
    assert state(house)["low"] is low


def test_credit_without_a_threshold_is_never_low(house: House) -> None:
    house.thresholds = {"castello": Decimal(100)}

    measure(house, "0")

    assert state(house)["low"] is False
    assert "threshold" not in state(house)


def test_who_measured_what_when_is_kept(house: House) -> None:
    measure(house, "250.5")

    kept = state(house)
    assert (kept["credit"], kept["threshold"], kept["at"]) == (
        Decimal("250.5"),
        Decimal(100),
        "2026-11-20T04:00:00.000000Z",
    )


def test_every_provider_that_tells_is_asked_and_no_other(house: House) -> None:
    house.enabled = ("oneway", "plainline", "castello")
    house.wire.say("plainline.example/credit", "1")
    house.wire.say("castello.example/credit", "2")

    house.credits().handle()

    assert [request.url for request in house.wire.requests] == [
        "https://plainline.example/credit",
        "https://castello.example/credit",
    ]
    assert (state(house)["credit"], state(house, "castello")["credit"]) == (1, 2)


def test_one_that_cannot_say_keeps_its_last_measurement_and_costs_the_others_nothing(
    house: House, counts: Counts
) -> None:
    house.enabled = ("plainline", "castello")
    house.wire.say("/credit", "7", "8")
    house.credits().handle()
    before = state(house)
    house.wire.say("plainline.example/credit", not_sent())
    house.wire.say("castello.example/credit", "9")

    house.credits().handle()

    assert state(house) == before
    assert state(house, "castello")["credit"] == 9
    assert counts["CreditNotMeasured"] == 1


@pytest.mark.parametrize("answer", ["", "<html>", "NaN", "many"])
def test_an_answer_that_is_no_number_is_no_measurement(house: House, counts: Counts, answer: str) -> None:
    measure(house, answer)

    assert state(house) == {}
    assert counts["CreditNotMeasured"] == 1


def test_a_missing_secret_costs_the_others_nothing(house: House, counts: Counts) -> None:
    house.enabled = ("plainline", "castello")
    house.vault.lost = {"plainline"}
    house.wire.say("castello.example/credit", "9")

    house.credits().handle()

    assert state(house) == {}
    assert state(house, "castello")["credit"] == 9
    assert counts["SecretUnreadable"] == 1
    assert counts["CreditsRan"] == 1


def test_a_table_that_fails_for_one_costs_the_others_nothing(
    house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enabled = ("plainline", "castello")
    house.wire.say("/credit", "7", "8")
    whole = house.ledger.set_provider_state

    def set_provider_state(provider: str, *rest: Any) -> bool:
        if provider == "plainline":
            raise ConnectionError
        return whole(provider, *rest)

    monkeypatch.setattr(house.ledger, "set_provider_state", set_provider_state)

    house.credits().handle()

    assert state(house, "castello")["credit"] == 8
    assert counts["CreditNotMeasured"] == 1


def test_a_refused_password_suspends_the_provider_and_is_not_tried_again(house: House) -> None:
    house.wire.say("/credit", "ERR password", "500")

    house.credits().handle()
    house.later(hours=1)
    house.credits().handle()

    assert len(house.wire.calls("/credit")) == 1
    suspension = house.suspensions.read("plainline")
    assert suspension is not None
    assert (suspension.active, suspension.reason.code) == (True, Code.BAD_CREDENTIALS)


def test_with_a_new_password_it_is_measured_again(house: House) -> None:
    house.wire.say("/credit", "ERR password")
    house.credits().handle()
    house.vault.versions["plainline"] = "v2"

    measure(house, "500")

    assert state(house)["credit"] == 500


def test_a_refusal_counts_against_the_version_of_the_secret_that_was_refused(house: House) -> None:
    house.wire.say("/credit", "ERR password")
    whole = house.wire.exchange

    def exchange(request: Any) -> Any:
        answer = whole(request)
        house.vault.versions["plainline"] = "v2"
        return answer

    house.wire.exchange = exchange  # type: ignore[method-assign]

    house.credits().handle()

    suspension = house.suspensions.read("plainline")
    assert suspension is not None
    assert suspension.secret_version == "v1"
    assert not house.suspensions.forbids_questions("plainline", "v2")


def test_without_credit_a_suspended_provider_is_measured_still(house: House) -> None:
    house.suspensions.suspend("plainline", Reason(Code.CREDIT_EXHAUSTED), "v1")

    measure(house, "0")

    assert state(house)["credit"] == 0


def test_measurements_at_once_lose_none_and_cross_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(house, "500")
    crossings = []
    whole = house.ledger.set_provider_state

    def set_provider_state(provider: str, aspect: str, new: Any, seen: int) -> bool:
        old = house.ledger.provider_state(provider, aspect) or {}
        written = whole(provider, aspect, new, seen)
        if written:
            crossings.append((bool(old.get("low")), new["low"]))
        return written

    monkeypatch.setattr(house.ledger, "set_provider_state", set_provider_state)
    house.wire.say("/credit", *["50"] * 6)

    runs = [Thread(target=house.credits().handle) for _ in range(6)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert crossings.count((False, True)) == 1
    assert state(house)["low"] is True
