"""What is counted before anything is spent, by one worker and by many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from smsgate.items import Plain
from smsgate.ledger import Contended
from smsgate.limits import Admission, Limits
from smsgate.messages import Kind, Lane
from smsgate.policy import Mode, Policy, Rate, Velocity
from smsgate.reasons import Code, Reason
from smsgate.routing_document import RoutingDocument
from smsgate.status import Status
from tests.gateway.examples import MINUTE, NOON, SECOND, message
from tests.gateway.house import Counts, House, fails, record, wake_up

PHONE, OTHER = "+886912345678", "+886987654321"
TEN_MINUTES = 10 * MINUTE
FIVE_IN_TEN_MINUTES = Policy(velocities=(Velocity(5, TEN_MINUTES),))
TEN_A_SECOND = Rate(10, SECOND)
ONE = Decimal(1)


@pytest.fixture
def limited(house: House) -> Limits:
    """Ten points a day."""
    return Limits(house.ledger, Decimal(10), house.clock)


@pytest.fixture
def limits(house: House) -> Limits:
    return Limits(house.ledger, None, house.clock)


def refused(admission: Admission) -> Code | None:
    return admission.refused.code if admission.refused else None


def fitting(limits: Limits, policy: Policy, attempts: int, to: str = PHONE) -> int:
    """How many of so many attempts are let through."""
    return sum(limits.admit(message(to=to), ONE, policy).refused is None for _ in range(attempts))


class TestPointsOfADay:
    def test_are_spent_to_the_last_and_not_beyond(self, limited: Limits) -> None:
        codes = [refused(limited.admit(message(), Decimal("2.5"), Policy())) for _ in range(6)]

        assert codes == [None] * 4 + [Code.RATE_LIMITED] * 2

    def test_what_is_dearer_than_the_rest_leaves_it_to_what_is_not(self, limited: Limits) -> None:
        limited.admit(message(), Decimal(9), Policy())

        assert refused(limited.admit(message(), Decimal(2), Policy())) is Code.RATE_LIMITED
        assert refused(limited.admit(message(), ONE, Policy())) is None

    def test_what_alone_is_dearer_than_a_day_is_refused_on_a_day_on_which_nothing_was_spent(
        self, limited: Limits
    ) -> None:
        assert refused(limited.admit(message(), Decimal(11), Policy())) is Code.RATE_LIMITED
        assert refused(limited.admit(message(), Decimal(10), Policy())) is None

    def test_a_new_day_begins_at_midnight_in_taipei(self, house: House, limited: Limits) -> None:
        house.now = datetime(2026, 11, 20, 15, 59, 59, 999_999, tzinfo=UTC)
        limited.admit(message(), Decimal(10), Policy())

        assert refused(limited.admit(message(), ONE, Policy())) is Code.RATE_LIMITED
        house.now = datetime(2026, 11, 20, 16, tzinfo=UTC)
        assert refused(limited.admit(message(), Decimal(10), Policy())) is None

    def test_given_back_after_midnight_they_are_of_the_day_they_were_counted_on(
        self, house: House, limited: Limits
    ) -> None:
        admission = limited.admit(message(), Decimal(10), Policy())
        house.later(days=1)
        limited.admit(message(), Decimal(10), Policy())

        limited.give_back(admission)

        assert refused(limited.admit(message(), ONE, Policy())) is Code.RATE_LIMITED
        house.later(days=-1)
        assert refused(limited.admit(message(), ONE, Policy())) is None

    def test_given_back_they_can_be_spent_again(self, limited: Limits) -> None:
        admission = limited.admit(message(), Decimal(10), Policy())

        limited.give_back(admission)

        assert refused(limited.admit(message(), Decimal(10), Policy())) is None

    def test_what_was_refused_has_nothing_to_give_back(self, limited: Limits) -> None:
        limited.admit(message(), Decimal(10), Policy())
        admission = limited.admit(message(), ONE, Policy())

        limited.give_back(admission)

        assert refused(limited.admit(message(), ONE, Policy())) is Code.RATE_LIMITED

    def test_monitored_they_are_told_and_not_refused(self, limited: Limits) -> None:
        watched = Policy(points=Mode.MONITOR)

        told = [limited.admit(message(), Decimal(6), watched) for _ in range(3)]

        assert [refused(each) for each in told] == [None] * 3
        assert [each.monitored for each in told] == [(), ("DailyPointsLimit",), ("DailyPointsLimit",)]

    def test_once_enforced_what_went_out_while_they_were_monitored_is_known(self, house: House) -> None:
        watched, later = Policy(points=Mode.MONITOR), Limits(house.ledger, Decimal(20), house.clock)
        for _ in range(3):
            Limits(house.ledger, Decimal(10), house.clock).admit(message(), Decimal(6), watched)

        assert refused(later.admit(message(), Decimal(3), Policy())) is Code.RATE_LIMITED
        assert refused(later.admit(message(), Decimal(2), Policy())) is None

    def test_given_back_what_went_beyond_while_they_were_monitored_is_free_again(self, limited: Limits) -> None:
        watched = Policy(points=Mode.MONITOR)
        limited.admit(message(), Decimal(6), watched)
        beyond = limited.admit(message(), Decimal(6), watched)

        limited.give_back(beyond)

        assert refused(limited.admit(message(), Decimal(5), Policy())) is Code.RATE_LIMITED
        assert refused(limited.admit(message(), Decimal(4), Policy())) is None

    def test_the_reason_says_which_limit_and_no_number(self, limited: Limits) -> None:
        admission = limited.admit(message(), Decimal(11), Policy())

        assert admission.refused == Reason(
            Code.RATE_LIMITED, provider_text="more than the 10 points a day that DailyPoints allows"
        )


class TestMessagesToOneNumber:
    def test_more_than_allowed_are_refused_and_other_numbers_are_not(self, limits: Limits) -> None:
        codes = [refused(limits.admit(message(to=PHONE), ONE, FIVE_IN_TEN_MINUTES)) for _ in range(6)]

        assert codes == [None] * 5 + [Code.RATE_LIMITED]
        assert refused(limits.admit(message(to=OTHER), ONE, FIVE_IN_TEN_MINUTES)) is None

    def test_the_reason_says_which_limit_and_not_the_number(self, limits: Limits) -> None:
        fitting(limits, FIVE_IN_TEN_MINUTES, 5)

        admission = limits.admit(message(), ONE, FIVE_IN_TEN_MINUTES)

        assert admission.refused == Reason(
            Code.RATE_LIMITED, provider_text="more than 5 messages to this number in 600 seconds"
        )

    def test_the_next_stretch_of_time_begins_anew(self, house: House, limits: Limits) -> None:
        fitting(limits, FIVE_IN_TEN_MINUTES, 6)

        house.later(minutes=10)

        assert fitting(limits, FIVE_IN_TEN_MINUTES, 6) == 5

    def test_in_any_stretch_of_time_are_twice_as_many_at_the_worst(self, house: House, limits: Limits) -> None:
        """Tried every second through three turns of the stretch, which is worse than any attack that knew its turn."""
        let_through = []
        for second in range(1_800):
            house.now = NOON + second * SECOND
            if refused(limits.admit(message(), ONE, FIVE_IN_TEN_MINUTES)) is None:
                let_through.append(house.now)

        assert all(later - at >= TEN_MINUTES for at, later in zip(let_through, let_through[10:], strict=False))
        assert 15 <= len(let_through) <= 20

    def test_the_stretches_of_two_numbers_begin_at_different_moments(self, house: House, limits: Limits) -> None:
        begins = []
        for to in (PHONE, OTHER):
            fitting(limits, FIVE_IN_TEN_MINUTES, 5, to)
            for second in range(601):
                house.now = NOON + second * SECOND
                if fitting(limits, FIVE_IN_TEN_MINUTES, 1, to):
                    begins.append(second)
                    break
            house.now = NOON

        assert len(set(begins)) == 2

    def test_every_limit_holds_and_what_one_refuses_is_not_counted_against_another(self, limits: Limits) -> None:
        both = Policy(velocities=(Velocity(2, TEN_MINUTES), Velocity(1, timedelta(hours=1))))
        short_alone = Policy(velocities=both.velocities[:1])

        assert fitting(limits, both, 3) == 1
        assert fitting(limits, short_alone, 3) == 1

    def test_what_the_day_refuses_is_not_counted_against_the_number(self, house: House, limits: Limits) -> None:
        spent = Limits(house.ledger, Decimal(1), house.clock)

        assert fitting(spent, FIVE_IN_TEN_MINUTES, 8) == 1
        assert fitting(limits, FIVE_IN_TEN_MINUTES, 8) == 4

    def test_what_the_number_refuses_costs_no_points(self, limited: Limits) -> None:
        fitting(limited, FIVE_IN_TEN_MINUTES, 20)

        assert fitting(limited, Policy(), 20) == 5

    def test_given_back_it_may_be_sent_again(self, limits: Limits) -> None:
        admissions = [limits.admit(message(), ONE, FIVE_IN_TEN_MINUTES) for _ in range(5)]

        limits.give_back(admissions[2])

        assert fitting(limits, FIVE_IN_TEN_MINUTES, 3) == 1

    def test_monitored_they_are_told_and_not_refused(self, limits: Limits) -> None:
        watched = Policy(velocities=(Velocity(1, MINUTE, Mode.MONITOR),))

        told = [limits.admit(message(), ONE, watched).monitored for _ in range(3)]

        assert told == [(), ("NumberLimit",), ("NumberLimit",)]

    def test_a_stricter_limit_of_the_same_time_may_be_monitored_beside_the_one_that_is_enforced(
        self, limits: Limits
    ) -> None:
        both = Policy(velocities=(Velocity(4, MINUTE), Velocity(2, MINUTE, Mode.MONITOR)))

        told = [limits.admit(message(), ONE, both) for _ in range(5)]

        assert [each.monitored for each in told[:4]] == [(), (), ("NumberLimit",), ("NumberLimit",)]
        assert [refused(each) for each in told] == [None] * 4 + [Code.RATE_LIMITED]

    def test_the_number_stands_in_no_key(self, house: House, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
        requests = written(house, monkeypatch)

        limits.admit(message(to=PHONE), ONE, FIVE_IN_TEN_MINUTES)

        assert len(requests) == 1
        assert PHONE.lstrip("+")[3:] not in str(requests[0])


class TestWhatItCosts:
    def test_what_is_not_limited_asks_nobody(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house.ledger._client, "update_item", fails)

        assert Limits(house.ledger, None, house.clock).admit(message(), Decimal(99), Policy()) == Admission()

    def test_what_is_free_of_charge_asks_nobody(self, limited: Limits, house: House, monkeypatch: Any) -> None:
        monkeypatch.setattr(house.ledger._client, "update_item", fails)

        assert limited.admit(message(), Decimal(0), Policy()) == Admission()

    def test_every_limit_one_write_however_much_was_counted(
        self, limited: Limits, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = Policy(velocities=(Velocity(50, MINUTE), Velocity(100, TEN_MINUTES)))
        fitting(limited, policy, 9)
        requests = written(house, monkeypatch)

        limited.admit(message(), ONE, policy)

        assert len(requests) == 3

    def test_the_day_that_is_everybodys_is_not_touched_for_what_its_number_refuses(
        self, limited: Limits, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fitting(limited, FIVE_IN_TEN_MINUTES, 5)
        requests = written(house, monkeypatch)

        limited.admit(message(), ONE, FIVE_IN_TEN_MINUTES)

        assert len(requests) == 1

    def test_turns_one_write_for_any_number_of_messages(self, limits: Limits, house: House, monkeypatch: Any) -> None:
        requests = written(house, monkeypatch, "put_item")

        limits.turns("plainline", 320, TEN_A_SECOND)

        assert len(requests) == 1

    @pytest.mark.parametrize("policy", [Policy(), FIVE_IN_TEN_MINUTES])
    def test_a_ledger_that_cannot_be_asked_admits_nobody(
        self, limited: Limits, house: House, policy: Policy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(house.ledger._client, "update_item", fails)

        with pytest.raises(Exception, match="InternalServerError"):
            limited.admit(message(), ONE, policy)


class TestTurns:
    def test_the_first_go_at_once_and_the_others_in_their_time(self, limits: Limits, counts: Counts) -> None:
        turns = limits.turns("plainline", 25, TEN_A_SECOND)

        assert turns == [NOON] * 10 + [NOON + SECOND] * 10 + [NOON + 2 * SECOND] * 5
        assert counts.told == {("WaitedForTurn", "plainline"): 15}

    def test_who_asks_later_comes_behind(self, house: House, limits: Limits) -> None:
        limits.turns("plainline", 15, TEN_A_SECOND)

        house.later(seconds=0.5)

        assert limits.turns("plainline", 7, TEN_A_SECOND) == [NOON + SECOND] * 5 + [NOON + 2 * SECOND] * 2

    def test_of_one_provider_are_no_turns_of_another(self, limits: Limits) -> None:
        limits.turns("plainline", 10, TEN_A_SECOND)

        assert limits.turns("castello", 1, TEN_A_SECOND) == [NOON]

    def test_a_password_does_not_wait_behind_a_campaign(self, limits: Limits) -> None:
        limits.turns("plainline", 300, TEN_A_SECOND, Lane.BULK)

        assert limits.turns("plainline", 1, TEN_A_SECOND, Lane.URGENT) == [NOON]

    def test_a_turn_that_is_wanted_now_or_not_at_all_is_not_taken_later(self, house: House, limits: Limits) -> None:
        limits.turns("plainline", 9, TEN_A_SECOND)

        assert [limits.take_turn_now("plainline", TEN_A_SECOND) for _ in range(3)] == [True, False, False]
        house.later(seconds=1)
        assert limits.turns("plainline", 10, TEN_A_SECOND) == [house.now] * 10

    def test_a_worker_that_is_never_fast_enough_gives_up(self, limits: Limits, house: House, monkeypatch: Any) -> None:
        monkeypatch.setattr(house.ledger, "set_provider_state", lambda *_: False)

        with pytest.raises(Contended):
            limits.turns("plainline", 1, TEN_A_SECOND)

    @pytest.mark.parametrize(
        ("provider", "late", "holds"),
        [("plainline", -1, True), ("plainline", 119, True), ("plainline", 120, False), ("castello", 0, False)],
    )
    def test_a_turn_is_good_at_its_provider_and_for_two_minutes(
        self, limits: Limits, house: House, provider: str, late: int, holds: bool
    ) -> None:
        waiting = message(turn="plainline", next_attempt_at=NOON - late * SECOND)

        assert limits.holds(waiting, provider) is holds

    def test_who_was_never_given_a_turn_has_none(self, limits: Limits) -> None:
        assert not limits.holds(message(next_attempt_at=NOON), "plainline")
        assert not limits.holds(message(turn="plainline"), "plainline")


class TestThroughTheGateway:
    def test_the_provider_takes_messages_for_the_points_of_a_day_and_not_one_more(self, house: House) -> None:
        house.daily_points = Decimal(10)

        for place in range(3):
            house.handle(record({"id": f"r{place}", "to": numbers(8), "text": "hello"}))

        statuses = Counter(each.status for place in range(3) for each in house.of(f"r{place}"))
        assert statuses == {Status.SENT: 10, Status.REJECTED: 14}
        assert len(house.wire.calls("/send")) == 10

    def test_a_message_that_is_refused_says_by_which_limit(self, house: House, counts: Counts) -> None:
        house.routing = RoutingDocument(policy=Policy(velocities=(Velocity(1, TEN_MINUTES),)))
        house.handle(record())

        house.handle(record(id="order-18"))

        refusal = house.one("order-18")
        assert refusal.status is Status.REJECTED
        assert refusal.reason is not None
        assert refusal.reason.code is Code.RATE_LIMITED
        assert refusal.reason.provider_text == "more than 1 messages to this number in 600 seconds"
        assert counts["RefusedNumberLimit"] == 1

    def test_a_limit_that_is_monitored_is_told_in_the_timeline_and_counted(self, house: House, counts: Counts) -> None:
        house.routing = RoutingDocument(policy=Policy(velocities=(Velocity(1, TEN_MINUTES, Mode.MONITOR),)))
        house.handle(record())

        house.handle(record(id="order-18"))

        assert house.one("order-18").status is Status.SENT
        routes = [moment for moment in house.one("order-18").timeline if moment.kind is Kind.ROUTE]
        assert dict(routes[0].data)["monitored"] == "NumberLimit"
        assert counts["MonitoredNumberLimit"] == 1

    def test_a_record_that_comes_again_is_not_counted_again(self, house: House) -> None:
        house.daily_points = Decimal(2)
        for _ in range(5):
            house.handle(record())

        house.handle(record(id="order-18"))

        assert house.one("order-18").status is Status.SENT

    def test_what_waits_for_its_turn_is_woken_at_its_moment_and_sent_then(self, house: House) -> None:
        house.routing = RoutingDocument(policy=Policy(rates={"plainline": TEN_A_SECOND}))

        house.handle(record(to=numbers(25)))

        waiting = {each.message_id: each.next_attempt_at for each in house.of() if each.status is Status.ACCEPTED}
        assert Counter(waiting.values()) == {NOON + SECOND: 10, NOON + 2 * SECOND: 5}
        assert house.queues.delays == {name: (at - NOON).seconds for name, at in waiting.items() if at}
        for second in (1, 2):
            house.now = NOON + second * SECOND
            house.handle(wake_up(*[name for name, delay in house.queues.delays.items() if delay == second]))
            assert len(house.wire.calls("/send")) == min(25, 10 + 10 * second)
        assert {each.status for each in house.of()} == {Status.SENT}

    def test_the_schedule_does_not_wake_a_second_time_what_the_queue_wakes(self, house: House) -> None:
        house.routing = RoutingDocument(policy=Policy(rates={"plainline": Rate(1, MINUTE)}))
        house.handle(record(to=numbers(2)))

        for _ in range(3):
            house.later(minutes=1)
            house.reconcile()

        assert len(house.queues.urgent) == 1

    def test_what_is_woken_too_early_or_by_a_mistake_goes_on_waiting(self, house: House) -> None:
        house.routing = RoutingDocument(policy=Policy(rates={"plainline": Rate(1, MINUTE)}))
        house.handle(record(to=numbers(2)))

        house.later(seconds=50)
        house.handle(wake_up(*[each.message_id for each in house.of()]))

        assert len(house.wire.calls("/send")) == 1

    def test_after_an_outage_of_the_queues_those_that_waited_do_not_go_all_at_once(self, house: House) -> None:
        house.routing = RoutingDocument(policy=Policy(rates={"plainline": TEN_A_SECOND}))
        house.handle(record(to=numbers(40)))
        waiting = [each.message_id for each in house.of() if each.status is Status.ACCEPTED]

        house.later(minutes=30)
        house.handle(wake_up(*waiting))

        assert len(house.wire.calls("/send")) == 10 + 10


class TestManyWorkersAtOnce:
    def test_spend_a_day_exactly_to_its_end(self, atomic_house: House) -> None:
        atomic_house.now = datetime(2026, 3, 1, tzinfo=UTC)

        admissions = at_once(lambda limits: limits.admit(message(), ONE, Policy()), atomic_house, Decimal(100))

        assert len(admissions) == 160
        assert sum(each.refused is None for each in admissions) == 100

    def test_spend_exactly_what_is_given_back_again(self, atomic_house: House) -> None:
        atomic_house.now = datetime(2026, 3, 2, tzinfo=UTC)

        def admit_or_give_back(limits: Limits) -> int:
            admission = limits.admit(message(), ONE, Policy())
            if admission.refused is None and len(given_back) < 30:
                given_back.append(1)
                limits.give_back(admission)
                return 0
            return admission.refused is None

        given_back: list[int] = []
        spent = sum(at_once(admit_or_give_back, atomic_house, Decimal(500)))
        rest = sum(
            admission.refused is None
            for _ in range(5)
            for admission in at_once(lambda limits: limits.admit(message(), ONE, Policy()), atomic_house, Decimal(500))
        )

        # In a race it cannot always be known whether something was given back; then it stays counted.
        assert 500 - len(given_back) <= spent + rest <= 500

    def test_reach_the_limit_of_a_number_exactly(self, atomic_house: House) -> None:
        atomic_house.now = datetime(2026, 3, 3, tzinfo=UTC)
        policy = Policy(velocities=(Velocity(50, TEN_MINUTES), Velocity(20, timedelta(days=1))))

        admissions = at_once(lambda limits: limits.admit(message(), ONE, policy), atomic_house, None)

        assert sum(each.refused is None for each in admissions) == 20

    def test_never_share_a_turn(self, atomic_house: House) -> None:
        atomic_house.now = datetime(2026, 3, 4, tzinfo=UTC)
        rate = Rate(7, SECOND)

        turns = sorted(
            turn for some in at_once(lambda limits: limits.turns("raced", 3, rate), atomic_house, None) for turn in some
        )

        assert len(turns) == 480
        assert all(later - turn >= rate.per for turn, later in zip(turns, turns[7:], strict=False))
        assert turns[-1] <= turns[0] + 480 / 7 * rate.per


def numbers(count: int) -> list[str]:
    return [f"+8869{place:08}" for place in range(10_000_000, 10_000_000 + count)]


def written(house: House, monkeypatch: pytest.MonkeyPatch, call: str = "update_item") -> list[Plain]:
    """What is asked of the table from here on."""
    requests: list[Plain] = []
    original = getattr(house.ledger._client, call)

    def watched(**request: Any) -> Any:
        requests.append(request)
        return original(**request)

    monkeypatch.setattr(house.ledger._client, call, watched)
    return requests


def at_once(call: Callable[[Limits], Any], house: House, daily_points: Decimal | None) -> list[Any]:
    """A hundred and sixty calls of eight workers."""

    def work(_: int) -> list[Any]:
        limits = Limits(house.ledger, daily_points, house.clock)
        return [call(limits) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        return [each for some in pool.map(work, range(8)) for each in some]
