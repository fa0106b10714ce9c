"""Credit runs down at each pretended provider and is topped up: one alert and one event each, whoever measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from local.simulators import SIMULATORS
from smsgate import lifecycle
from smsgate.messages import Dispatch, Message
from smsgate.outcomes import Accepted, Outcome
from smsgate.providers import PROVIDERS
from smsgate.providers.base import TellsCredit
from smsgate.publisher import Publisher
from smsgate.reasons import Code
from smsgate.secrets import Callbacks, Secret
from smsgate.status import Status
from smsgate.wire import HttpRequest
from smstransports.http import HttpTransport
from smstransports.soap import SoapTransport
from tests.gateway.bus import Bus, Stream, Topic
from tests.gateway.examples import MINUTE, message
from tests.gateway.house import House, record, wake_up
from tests.gateway.plainline import Castello
from tests.gateway.plainline import Wire as PlainWire

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

TELLING = sorted(key for key, provider in PROVIDERS.items() if issubclass(provider, TellsCredit))
STATING = ("every8d", "smsget")  # in the answer to a dispatch; the others' documents have no field for it
CREDIT_EVENTS = ("Credit Low", "Credit Recovered")


class Vault:
    """The account that the pretended provider knows."""

    def __init__(self, secret: dict[str, object]) -> None:
        self._secret = secret

    def account(self, _: str) -> Secret:
        return Secret("v1", self._secret)

    reread = account

    def callbacks(self) -> Callbacks:
        return Callbacks(("t0ken",), "")


class Wire:
    """The transports as they are deployed, over connections that are closed at the end."""

    def __init__(self) -> None:
        self._http = HttpTransport(5)
        self._soap = SoapTransport(http=self._http)

    def exchange(self, request: Any, /) -> Any:
        return (self._http if isinstance(request, HttpRequest) else self._soap).exchange(request)

    def close(self) -> None:
        self._http.close()


@dataclass
class Account:
    """A provider, its pretended server, and everybody who hears of its credit."""

    key: str
    house: House
    simulator: Any
    stream: Stream
    bus: Bus
    topic: Topic

    def hears(self, *steps: Callable[[], object]) -> None:
        publisher = Publisher(
            "bus", "topic", cast("EventBridgeClient", self.bus), lambda: cast("SNSClient", self.topic)
        )
        assert publisher.handle(self.stream.after(*steps)) is None

    def measure(self, credit: int) -> None:
        self.simulator.credit = credit
        self.pass_a_quarter_of_an_hour()
        self.hears(self.house.credits().handle)

    def pass_a_quarter_of_an_hour(self) -> None:
        self.house.later(minutes=15)
        self.simulator.advance(timedelta(minutes=15))

    def messages(self, count: int) -> list[Message]:
        given = [
            message(message_id=f"abcdefghijklmnopqrstuvwx-{place}", to=f"+8869123{place:05}", text="hello")
            for place in range(1, count + 1)
        ]
        until = self.house.now + MINUTE
        points = [PROVIDERS[self.key].measure(each).points for each in given]
        return [
            lifecycle.claim(each, self.key, self.house.now, until, 1, cost, batch="together")
            for each, cost in zip(given, points, strict=True)
        ]

    def send(self, *messages: Message) -> tuple[Outcome, ...]:
        """One call in a slice of its own, as a worker makes it."""
        outcomes: list[Outcome] = []

        def call() -> None:
            balance, account = self.house.balance(), self.house.accounts().open(self.key)
            purse = balance.purse(len(messages))
            paid = [each for each in messages if purse.pays(self.key, each.points or Decimal(0))]
            asked_at = self.house.now
            answer = account.provider.send(Dispatch(self.key, tuple(paid), asked_at), account.line) if paid else ()
            self.house.later(seconds=1)
            purse.answered(self.key, paid, answer, asked_at)
            purse.close(may_ask=True)
            outcomes.extend(answer)

        self.hears(call)
        return tuple(outcomes)

    @property
    def told(self) -> list[str]:
        return [event["detail-type"] for event in self.bus.events if event["detail-type"] in CREDIT_EVENTS]

    @property
    def alerts(self) -> list[str]:
        return [alert["Subject"] for alert in self.topic.alerts]


def opened(key: str, house: House, dynamodb: DynamoDBClient) -> Iterator[Account]:
    simulator = SIMULATORS[key]()
    simulator.receipts = ()
    with simulator:
        simulator.travel_to(house.now)
        house.enabled = (key,)
        house.offers = dict(PROVIDERS)
        house.thresholds = {key: Decimal(100)}
        house.vault = cast(Any, Vault(simulator.secret()))
        wire = Wire()
        house.wire = cast(Any, wire)
        yield Account(key, house, simulator, Stream(dynamodb), Bus(), Topic())
        wire.close()


@pytest.fixture(params=TELLING)
def account(request: pytest.FixtureRequest, house: House, dynamodb: DynamoDBClient) -> Iterator[Account]:
    yield from opened(request.param, house, dynamodb)


@pytest.fixture(params=STATING)
def stating(request: pytest.FixtureRequest, house: House, dynamodb: DynamoDBClient) -> Iterator[Account]:
    yield from opened(request.param, house, dynamodb)


@pytest.fixture
def half_sender(house: House, dynamodb: DynamoDBClient) -> Iterator[Account]:
    """Takes of a call what the account can pay, and leaves the rest to its reports."""
    yield from opened("every8d", house, dynamodb)


def test_the_schedule_tells_once_that_it_is_low_and_once_that_it_recovered(account: Account) -> None:
    for credit in (500, 99, 80, 3):
        account.measure(credit)
    low, low_alerts = account.told, account.alerts

    for credit in (5000, 4000):
        account.measure(credit)

    assert (low, low_alerts) == (["Credit Low"], [f"smsgate: Credit Low: {account.key}"])
    assert account.told == ["Credit Low", "Credit Recovered"]
    assert account.alerts == [f"smsgate: Credit Low: {account.key}", f"smsgate: Credit Recovered: {account.key}"]
    measured = account.bus.details("Credit Measured")
    assert [detail["credit"] for detail in measured] == [500, 99, 80, 3, 5000, 4000]
    assert {detail["provider"] for detail in measured} == {account.key}


def test_a_forecast_is_told_with_each_measurement(account: Account) -> None:
    for credit in (500, 475, 450, 425, 400):
        account.measure(credit)

    assert [detail["hours_left"] for detail in account.bus.details("Credit Measured")] == [None, 19, 9, 5.6, 4]


def test_sending_until_it_is_low_is_told_by_the_very_answer_that_crosses_the_threshold(stating: Account) -> None:
    stating.measure(102)
    crossed_at: list[int] = []

    for place, each in enumerate(stating.messages(6)):
        stating.send(each)
        if stating.told and not crossed_at:
            crossed_at.append(place + 1)
    stating.measure(96)

    assert crossed_at == [3]  # 102 - 3 = 99
    assert stating.told == ["Credit Low"]
    assert stating.bus.details("Credit Low")[0]["credit"] == 99
    assert stating.alerts == [f"smsgate: Credit Low: {stating.key}"]


def test_topping_up_is_told_by_the_next_answer(stating: Account) -> None:
    stating.measure(50)
    stating.simulator.credit = 5000

    first, *others = stating.messages(4)
    stating.send(first)
    stating.send(*others)

    assert stating.told == ["Credit Low", "Credit Recovered"]
    assert stating.bus.details("Credit Recovered")[0]["credit"] == 4999


def test_what_the_account_cannot_pay_is_not_sent_by_half(half_sender: Account) -> None:
    half_sender.measure(60)

    outcomes = half_sender.send(*half_sender.messages(100))

    assert len(outcomes) == 60
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len(half_sender.simulator.accepted) == 60
    assert half_sender.simulator.credit == 0


def test_the_rest_goes_with_the_next_slice_after_it_was_topped_up(half_sender: Account) -> None:
    half_sender.measure(60)
    messages = half_sender.messages(100)
    half_sender.send(*messages)
    half_sender.simulator.credit = 1000
    half_sender.pass_a_quarter_of_an_hour()

    before = half_sender.send(*messages[60:])  # Held back once more, on what is known; asked again at its end.
    after = half_sender.send(*messages[60:])

    assert (len(before), len(after)) == (0, 40)
    assert len(half_sender.simulator.accepted) == 100


def test_the_day_is_what_each_provider_took(account: Account) -> None:
    account.measure(1000)
    day = account.house.now.date()
    (first, *_) = account.messages(1)

    account.send(first)
    account.measure(999)

    sums = account.house.daybook.account(account.key, day) or {}
    assert (sums["messages"], sums["reckoned"], sums["taken"], sums["differing"]) == (1, 1, 1, 0)
    assert sums["stated"] == (1 if account.key != "twsms" else 0)


@pytest.fixture
def overcharging(house: House, dynamodb: DynamoDBClient) -> Iterator[Account]:
    yield from opened("smsget", house, dynamodb)


def test_a_message_that_cost_more_than_we_reckoned_is_behind_the_difference_of_its_day(overcharging: Account) -> None:
    overcharging.measure(1000)
    day = overcharging.house.now.date()
    cheap, dear = overcharging.messages(2)
    wrong = message(message_id=dear.message_id, to=dear.to, text="x" * 200)  # two parts, reckoned as one
    claimed = lifecycle.claim(wrong, "smsget", overcharging.house.now, overcharging.house.now + MINUTE, 1, Decimal(1))

    overcharging.send(cheap)
    overcharging.send(claimed)

    sums = overcharging.house.daybook.account("smsget", day) or {}
    assert (sums["reckoned"], sums["taken"], sums["named"]) == (2, 3, {dear.message_id})


class TestARequestToThirtyWithCreditForTwenty:
    """Through the sender itself."""

    @pytest.fixture
    def account(self, half_sender: Account) -> Account:
        half_sender.measure(20)
        everybody = [f"+8869123{place:05}" for place in range(30)]
        assert half_sender.house.handle(record({"id": "order-17", "to": everybody, "text": "hello"})) == []
        return half_sender

    def test_twenty_are_sent_and_ten_wait_and_none_is_half_sent(self, account: Account) -> None:
        waiting = [each for each in account.house.of() if each.status is Status.ACCEPTED]

        assert len(account.simulator.accepted) == 20
        assert {each.reason.code for each in waiting if each.reason} == {Code.CREDIT_EXHAUSTED}
        assert len(waiting) == 10
        assert all(each.next_attempt_at for each in waiting)

    def test_the_rest_goes_within_minutes_of_topping_up(self, account: Account) -> None:
        waiting = [each.message_id for each in account.house.of() if each.status is Status.ACCEPTED]
        account.simulator.credit = 1000

        for _ in range(3):
            account.house.later(minutes=2)
            account.house.handle(wake_up(*waiting))

        numbers = [taken.to for taken in account.simulator.accepted]
        assert len(numbers) == len(set(numbers)) == 30
        assert {each.status for each in account.house.of()} == {Status.SENT}
        known = account.house.balance().known(account.key)
        assert known is not None
        assert known.measured.credit == 990

    def test_another_provider_that_can_pay_takes_the_rest(self, half_sender: Account) -> None:
        house = half_sender.house
        half_sender.measure(20)
        house.offers |= {"castello": Castello}
        house.enabled = (half_sender.key, "castello")
        plain = PlainWire()
        real = house.wire.exchange
        house.wire.exchange = lambda request: (  # type: ignore[method-assign]
            plain.exchange(request) if "castello.example" in getattr(request, "url", "") else real(request)
        )
        house.vault = cast(Any, Vault({**half_sender.simulator.secret()}))

        house.handle(record({"id": "order-17", "to": [f"+8869123{place:05}" for place in range(30)], "text": "hi"}))

        assert len(half_sender.simulator.accepted) == 20
        assert len(plain.accepted) == 10
