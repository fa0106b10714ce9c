"""What a slice of messages meets before and between its calls: trials, closed providers, the operator's document."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from smsgate.attributes import to_wire
from smsgate.dispatcher import Dispatcher, back_off
from smsgate.health import Health
from smsgate.items import message_to_plain
from smsgate.ledger import Saved, Taken
from smsgate.lifecycle import claim, park, release
from smsgate.messages import Kind, Message
from smsgate.outcomes import Accepted, NotSent
from smsgate.policy import Mode, Policy, Rate, Velocity
from smsgate.providers.base import Measure
from smsgate.reasons import Code, Reason
from smsgate.routing_document import RoutingDocument, Rule, Use
from smsgate.status import Status
from tests.gateway.examples import NOON, UNTIL, message
from tests.gateway.house import Counts, House, record, wake_up
from tests.gateway.plainline import Castello, maybe_sent, not_sent

NUMBERS = [f"+8869120000{n:02}" for n in range(40)]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher whose calls go one after the other, so that each knows what the last one learnt."""
    made = Dispatcher.__init__

    def with_one_worker(self: Dispatcher, **parts: Any) -> None:
        made(self, **{**parts, "pool": lambda _: ThreadPoolExecutor(1)})

    monkeypatch.setattr(Dispatcher, "__init__", with_one_worker)


def many(count: int, **fields: Any) -> dict[str, Any]:
    return record({"id": "order-17", "to": NUMBERS[:count], "text": "hello", **fields})


def suspend(house: House, provider: str, code: Code) -> None:
    house.suspensions.suspend(provider, Reason(code), "v1")


def by_status(house: House) -> dict[Status, int]:
    statuses = [message.status for message in house.of()]
    return {status: statuses.count(status) for status in set(statuses)}


def routed(message: Message) -> list[dict[str, str]]:
    return [dict(moment.data) for moment in message.timeline if moment.kind is Kind.ROUTE]


class TestATrial:
    def test_is_one_message_of_all_that_are_there(self, house: House) -> None:
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)

        house.handle(many(20))

        assert len(house.wire.accepted) == 1
        assert by_status(house) == {Status.SENT: 1, Status.ACCEPTED: 19}

    def test_that_went_well_lets_the_others_go_when_they_are_woken(self, house: House) -> None:
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)
        house.handle(many(20))

        house.later(minutes=6)
        house.handle(wake_up(*(message.message_id for message in house.of())))

        assert by_status(house) == {Status.SENT: 20}

    def test_that_failed_leaves_the_others_where_they_are(self, house: House) -> None:
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)
        house.wire.say("/send", "ERR credit")

        house.handle(many(20))

        assert len(house.wire.calls("/send")) == 1
        assert by_status(house) == {Status.ACCEPTED: 20}

    def test_is_not_spent_on_a_message_that_goes_elsewhere_first(self, house: House) -> None:
        house.enabled = ("castello", "plainline")
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)

        house.handle(many(3))

        assert {provider for provider, _ in house.wire.accepted} == {"castello"}
        assert house.suspensions.take_trial("plainline", "v1")

    def test_is_nobodys_second_choice(self, house: House) -> None:
        house.enabled = ("castello", "plainline")
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)
        house.wire.say("castello.example/send", not_sent())

        house.handle(record())

        assert house.wire.calls("plainline.example/send") == []
        assert house.one().status is Status.ACCEPTED

    def test_whose_message_another_worker_has_taken_is_still_one(self, house: House) -> None:
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.later(minutes=6)
        other = house.sender()

        house.handle(many(5))
        other.handle([many(5)], lambda: timedelta(seconds=60))

        assert len(house.wire.accepted) == 1


@pytest.mark.usefixtures("one_by_one")
class TestWhatACallLearns:
    @pytest.mark.parametrize(("broken", "doubtful"), [(not_sent, 0), (maybe_sent, 5)])
    def test_a_provider_in_trouble_costs_five_calls_and_the_rest_waits(
        self, house: House, broken: Any, doubtful: int
    ) -> None:
        house.wire.say("/send", *(broken() for _ in range(40)))

        house.handle(many(40))

        assert len(house.wire.calls("/send")) == 5
        assert by_status(house).get(Status.DOUBTFUL, 0) == doubtful
        assert by_status(house)[Status.ACCEPTED] == 40 - doubtful

    def test_the_rest_goes_elsewhere_where_there_is_another(self, house: House) -> None:
        house.enabled = ("plainline", "oneway")
        house.wire.say("plainline.example/send", *(not_sent() for _ in range(40)))

        house.handle(many(40))

        assert len(house.wire.calls("plainline.example/send")) == 5
        assert by_status(house) == {Status.SENT: 40}
        assert len(set(house.wire.accepted)) == len(house.wire.accepted) == 40

    def test_what_waits_says_why_and_comes_back_when_the_provider_may_be_tried(self, house: House) -> None:
        house.wire.say("/send", *(not_sent() for _ in range(40)))

        house.handle(many(40))

        waiting = house.of()[-1]
        assert waiting.reason is not None
        assert waiting.reason.code is Code.PROVIDER_UNREACHABLE
        assert waiting.next_attempt_at is not None
        assert timedelta(seconds=30) <= waiting.next_attempt_at - NOON <= timedelta(minutes=5)

    def test_an_empty_account_is_asked_once(self, house: House) -> None:
        house.wire.say("/send", *["ERR credit"] * 40)

        house.handle(many(40))

        assert len(house.wire.calls("/send")) == 1
        assert by_status(house) == {Status.ACCEPTED: 40}


class TestCredentialsNobodyHasSeenWork:
    def test_are_tried_by_one_call_and_not_by_all_workers(self, house: House) -> None:
        house.wire.say("/send", *["ERR password"] * 40)

        house.handle(many(40))

        assert len(house.wire.calls("/send")) == 1
        assert by_status(house) == {Status.ACCEPTED: 40}

    def test_are_seen_to_work_by_the_first_message_that_is_taken_until_they_change(self, house: House) -> None:
        accounts = house.accounts()
        health = Health(accounts, house.suspensions)
        before = health.is_proven("plainline")

        health.learn("plainline", (Accepted("ref"),), "v1")

        assert (before, health.is_proven("plainline")) == (False, True)
        house.vault.versions["plainline"] = "v2"
        assert not health.is_proven("plainline")


class TestTheDocument:
    def test_says_which_provider_and_the_timeline_says_why(self, house: House) -> None:
        house.enabled = ("plainline", "castello")
        house.routing = RoutingDocument(rules=(Rule("all to castello", (Use("castello"),)),))

        house.handle(record())

        assert house.wire.accepted == [("castello", "+886912345678")]
        (why,) = routed(house.one())
        assert why["provider"] == "castello"
        assert why["rule"] == "all to castello"
        assert why["plainline"] == "not in the rule"

    def test_what_waits_for_a_provider_says_so_once_however_often_it_is_woken(self, house: House) -> None:
        suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
        house.handle(record())

        for _ in range(3):
            suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
            house.later(minutes=5)
            suspend(house, "plainline", Code.CREDIT_EXHAUSTED)
            house.handle(wake_up(house.one().message_id))

        assert [moment.kind for moment in house.one().timeline].count(Kind.WAIT) == 1
        (why,) = routed(house.one())
        assert why["plainline"] == "suspended: credit_exhausted"

    def test_a_country_that_is_only_monitored_is_sent_and_counted(self, house: House, counts: Counts) -> None:
        house.routing = RoutingDocument(policy=Policy(countries=Mode.MONITOR))

        house.handle(record(to="+14155550123"))

        assert house.one().status is Status.SENT
        assert counts["MonitoredAllowedCountries"] == 1
        assert routed(house.one())[0]["monitored"] == "AllowedCountries"

    def test_that_cannot_be_known_sends_nothing_and_the_record_comes_again(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown() -> RoutingDocument:
            raise RuntimeError("Parameter Store cannot be asked")

        with monkeypatch.context() as down:
            down.setattr(house, "document", unknown)
            assert house.handle(record()) == ["q1"]

        assert house.wire.requests == []
        assert house.handle(record()) == []
        assert len(house.wire.accepted) == 1

    def test_failing_over_takes_a_turn_where_the_rate_is_limited(self, house: House) -> None:
        house.enabled = ("plainline", "castello")
        house.routing = RoutingDocument(policy=Policy(rates={"castello": Rate(1, timedelta(minutes=1))}))
        house.wire.say("plainline.example/send", not_sent(), not_sent(), not_sent())

        house.handle(many(3))

        assert [provider for provider, _ in house.wire.accepted] == ["castello"]
        assert by_status(house) == {Status.SENT: 1, Status.ACCEPTED: 2}


def test_what_was_counted_for_another_workers_message_is_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.routing = RoutingDocument(policy=Policy(velocities=(Velocity(1, timedelta(minutes=10)),)))
    save = house.ledger.save
    others: Iterator[bool] = iter([True])

    def somebody_was_faster(message: Message) -> Saved | Taken:
        if next(others, False):
            save(claim(message, "plainline", NOON, UNTIL))
        return save(message)

    monkeypatch.setattr(house.ledger, "save", somebody_was_faster)

    assert house.handle(record()) == ["q1"]

    monkeypatch.undo()
    assert house.handle(record({"id": "another", "to": "+886912345678", "text": "hello"})) == []
    assert house.one("another").status is Status.SENT


AT_LENGTH = (
    ("class", "campaigns of the autumn"),
    ("rule", "campaigns at night and on holidays, cheap"),
    ("candidates", "plainline for 12 points at 0.85 (on trial: provider_unreachable)"),
    ("monitored", "AllowedCountries, MaxParts, NumberLimit"),
    *((key, "suspended: provider_unreachable; tried again as the first choice only") for key in "abcd"),
)


def test_a_message_that_waits_for_weeks_still_fits_into_its_item() -> None:
    why = NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text="ConnectTimeout"))
    waiting = message()
    now, attempt = NOON, 0

    while now - NOON < timedelta(days=30):
        otherwise = (*AT_LENGTH, ("another", "not enabled")) if attempt % 2 else AT_LENGTH
        called = claim(waiting, "plainline", now, now + timedelta(seconds=30), explained=otherwise)
        attempt = len(called.attempts)
        waiting = release(called, attempt, why, now, now + back_off(attempt))
        now += back_off(attempt)

    assert back_off(1) < timedelta(minutes=1)
    assert attempt > 200
    assert item_size(waiting) < 300_000  # of the 400 KB an item may have


def test_nor_does_one_outgrow_it_whose_obstacles_change_with_every_look() -> None:
    codes = (Code.CREDIT_EXHAUSTED, Code.PROVIDER_UNREACHABLE, Code.BAD_CREDENTIALS, Code.RATE_LIMITED)
    waiting, now = message(), NOON

    for look in range(72 * 60):
        now += timedelta(minutes=1)
        waiting = park(waiting, Reason(codes[look % 4]), now, now + timedelta(minutes=1), AT_LENGTH, "plainline")

    assert [m.reason.code for m in waiting.timeline if m.kind is Kind.WAIT and m.reason] == list(codes)
    assert item_size(waiting) < 10_000


def item_size(message: Message) -> int:
    """As DynamoDB counts: names and values, three bytes for each list and map, and one for each of their entries."""

    def size(value: Any) -> int:
        ((kind, inner),) = value.items()
        if kind == "M":
            return 3 + sum(len(name) + size(each) + 1 for name, each in inner.items())
        if kind == "L":
            return 3 + sum(size(each) + 1 for each in inner)
        return len(str(inner).encode())

    wire = to_wire(message_to_plain(message, timedelta(days=90)))
    return sum(len(name) + size(value) for name, value in wire.items())


def test_after_a_failover_parts_and_points_are_those_of_the_provider_that_took_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enabled = ("plainline", "castello")
    monkeypatch.setattr(Castello, "measure", classmethod(lambda *_: Measure(3, Decimal(9), "ascii")))
    house.wire.say("plainline.example/send", not_sent())

    house.handle(record())

    assert house.one().provider == "castello"
    assert (house.one().parts, house.one().points) == (3, Decimal(9))
