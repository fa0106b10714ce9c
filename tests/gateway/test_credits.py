"""Credit: measured of everybody who tells, low once when it falls, recovered once when it is back."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from smsgate import telemetry
from smsgate.items import Plain
from smsgate.reasons import Code, Reason
from tests.gateway.house import Counts, House
from tests.gateway.plainline import not_sent

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], float]:
    """The last value of each metric, by its name and its provider."""
    told: dict[tuple[str, str], float] = {}

    def gauge(name: str, value: float, *, provider: str = "") -> None:
        told[name, provider] = value

    monkeypatch.setattr(telemetry, "gauge", gauge)
    return told


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


def test_a_day_that_cannot_be_told_costs_the_others_nothing(
    house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enabled = ("plainline", "castello")
    asked = []
    whole = house.ledger.account

    def account(provider: str, *rest: Any) -> Any:
        asked.append(provider)
        if provider == "plainline":
            raise ConnectionError
        return whole(provider, *rest)

    monkeypatch.setattr(house.ledger, "account", account)
    house.wire.say("/credit", "7", "8")

    house.credits().handle()

    assert "castello" in asked
    assert (counts["AccountNotTold"], counts["CreditsRan"]) == (1, 1)


class TestMetrics:
    def test_each_provider_has_its_credit_its_state_and_its_forecast(
        self, house: House, gauges: dict[tuple[str, str], float]
    ) -> None:
        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/credit", "150", "90")
        house.wire.say("castello.example/credit", "7", "7")
        house.credits().handle()
        house.later(hours=1)

        house.credits().handle()

        assert {key: value for key, value in gauges.items() if key[1]} == {
            ("Credit", "plainline"): 90,
            ("CreditLow", "plainline"): 1,
            ("CreditHoursLeft", "plainline"): 1.5,
            ("Credit", "castello"): 7,
            ("CreditLow", "castello"): 0,
        }
        assert {type(value) for value in gauges.values()} <= {int, float}, "CloudWatch knows no booleans"

    def test_the_alarms_hear_of_the_worst_of_all_providers(
        self, house: House, gauges: dict[tuple[str, str], float]
    ) -> None:
        house.enabled = ("plainline", "castello", "oneway")
        house.thresholds = {"plainline": Decimal(100), "castello": Decimal(50)}
        house.wire.say("plainline.example/credit", "150", "90")
        house.wire.say("castello.example/credit", "1000", "500")
        house.credits().handle()
        house.later(hours=1)

        house.credits().handle()

        assert gauges["ProvidersLowOnCredit", ""] == 1
        assert gauges["HoursToFirstEmpty", ""] == 1
        assert gauges["ProvidersOfUnknownCredit", ""] == 0

    def test_one_that_has_not_said_for_an_hour_is_unknown_and_neither_low_nor_forecast(
        self, house: House, gauges: dict[tuple[str, str], float]
    ) -> None:
        house.wire.say("/credit", "90", "80", not_sent(), not_sent())
        house.credits().handle()
        house.later(minutes=30)
        house.credits().handle()
        house.later(minutes=59)
        house.credits().handle()
        assert (gauges["ProvidersLowOnCredit", ""], gauges["ProvidersOfUnknownCredit", ""]) == (1, 0)
        gauges.clear()
        house.later(minutes=1)

        house.credits().handle()

        assert gauges == {("ProvidersLowOnCredit", ""): 0, ("ProvidersOfUnknownCredit", ""): 1}

    def test_one_that_never_told_is_unknown(self, house: House, gauges: dict[tuple[str, str], float]) -> None:
        house.vault.lost = {"plainline"}

        house.credits().handle()

        assert gauges["ProvidersOfUnknownCredit", ""] == 1

    def test_a_threshold_of_nobody_is_a_credit_nobody_knows_and_is_named_in_the_log(
        self, house: House, gauges: dict[tuple[str, str], float], capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.thresholds = {"plainline": Decimal(100), "planeline": Decimal(50)}

        measure(house, "90")

        (line,) = [line for line in capsys.readouterr().out.splitlines() if "names no provider" in line]
        assert json.loads(line)["threshold_of"] == "planeline"
        assert gauges["ProvidersOfUnknownCredit", ""] == 1
        assert gauges["ProvidersLowOnCredit", ""] == 1

    def test_are_those_that_the_alarms_of_the_template_look_at(
        self, house: House, gauges: dict[tuple[str, str], float]
    ) -> None:
        house.wire.say("/credit", "150", "90")
        house.credits().handle()
        house.later(hours=1)
        house.credits().handle()

        looked_at = re.findall(
            r"MetricName: (\w+)\n      Dimensions: \[{Name: service, Value: !Sub \"\${AWS::StackName}-credits\"}\]",
            TEMPLATE.read_text("utf-8"),
        )

        assert len(looked_at) >= 3
        assert set(looked_at) <= {name for name, provider in gauges if not provider}


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
