"""What waits for a provider: left alone while that is not there, and woken ahead of its time once it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from smsgate.messages import Message
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.house import Counts, House, fails, record, wake_up
from tests.gateway.plainline import not_sent

EMPTY = Reason(Code.CREDIT_EXHAUSTED)


def suspend(house: House, reason: Reason = EMPTY, provider: str = "plainline") -> None:
    house.suspensions.suspend(provider, reason, house.vault.versions[provider])


def waiting(house: House, count: int = 1) -> list[Message]:
    """So many messages that wait for plainline and have been looked at for half a day."""
    suspend(house)
    house.handle(record(to=[f"+8869{place:08}" for place in range(count)]))
    house.later(hours=12)
    suspend(house)
    house.handle(wake_up(*(message.message_id for message in house.of())))
    assert {message.next_attempt_at for message in house.of()} == {house.now + timedelta(hours=1)}
    return house.of()


def test_each_look_at_what_waits_is_as_far_ahead_as_it_has_waited_and_an_hour_at_most(house: House) -> None:
    waits = []
    suspend(house)
    house.handle(record())

    for _ in range(8):
        message = house.one()
        assert message.next_attempt_at is not None
        waits.append((message.next_attempt_at - house.now) // timedelta(minutes=1))
        house.now = message.next_attempt_at
        suspend(house)
        house.handle(wake_up(message.message_id))

    assert waits == [5, 5, 10, 20, 40, 60, 60, 60]


def test_while_the_provider_is_suspended_none_is_woken_ahead_of_its_time(house: House) -> None:
    waiting(house, 3)

    house.reconcile()

    assert house.queues.urgent == []


def test_once_it_takes_messages_again_all_are_woken_and_sent(house: House) -> None:
    messages = waiting(house, 30)
    house.suspensions.resume("plainline")

    house.reconcile()
    house.reconcile()

    assert sorted(house.queues.urgent) == sorted(message.message_id for message in messages)
    house.handle(wake_up(*house.queues.urgent))
    assert {message.status for message in house.of()} == {Status.SENT}


@pytest.mark.parametrize("is_suspended", [False, True])
def test_no_shelf_is_searched_twice(house: House, is_suspended: bool) -> None:
    """Every minute, whether or not anything waits: each search is paid for."""
    if is_suspended:
        suspend(house)

    shards = [shelf.shard for shelf in house.shelves(house.accounts()).all()]

    assert sorted(shards) == sorted(set(shards))
    assert set(shards) > {"waits#plainline#0", "waits#plainline:credit#3", "0", "3"}


def test_to_try_a_provider_a_few_are_woken_however_many_wait(house: House) -> None:
    waiting(house, 30)
    house.later(minutes=5)

    house.reconcile()

    assert 1 <= len(house.queues.urgent) <= 4


def test_one_that_was_called_for_often_is_not_the_one_to_try_a_provider_with(house: House) -> None:
    """Its story must fit into its item."""
    house.wire.say("/send", *[not_sent() for _ in range(60)])
    house.handle(record())
    while len(house.one().attempts) < 40:
        house.now = house.one().next_attempt_at or house.now
        house.handle(wake_up(house.one().message_id))

    suspend(house)
    house.now = house.one().next_attempt_at or house.now
    house.handle(wake_up(house.one().message_id))
    suspend(house)
    house.later(minutes=6)
    # Its provider is to be tried now, and its own time comes later.
    before = len(house.queues.urgent)

    house.reconcile()
    assert len(house.queues.urgent) == before
    house.suspensions.resume("plainline")
    house.reconcile()
    assert len(house.queues.urgent) == before + 1


def test_what_waits_for_a_provider_that_is_not_enabled_any_more_goes_to_another(house: House) -> None:
    waiting(house)
    house.enabled = ("castello",)

    house.reconcile()
    house.handle(wake_up(*house.queues.urgent))

    assert house.one().status is Status.SENT
    assert house.wire.accepted == [("castello", house.one().to)]


def test_what_is_woken_ahead_of_its_time_and_is_not_valid_any_more_expires(house: House) -> None:
    suspend(house)
    house.handle(record(valid_for=3600))
    house.suspensions.resume("plainline")
    house.later(hours=2)

    house.reconcile()

    assert house.one().status is Status.EXPIRED
    assert house.queues.urgent == []


def test_it_is_looked_at_when_it_is_valid_no_more_and_not_only_at_its_next_try(house: House) -> None:
    suspend(house)
    house.handle(record(valid_for=90))
    house.later(seconds=90)
    suspend(house)

    house.reconcile()

    assert house.one().status is Status.EXPIRED


class TestCredit:
    @pytest.fixture
    def held_back(self, house: House) -> House:
        """Two messages that cost more than castello's account holds."""
        house.enabled = ("castello",)
        house.wire.say("castello.example/credit", "1")
        house.balance().ask("castello")
        house.handle(record(to=["+886911111111", "+886922222222"], text="x" * 320))
        assert {message.waits_for for message in house.of()} == {"castello:credit"}
        return house

    def test_what_costs_more_than_is_left_is_not_woken_ahead_of_its_time_while_nothing_changes(
        self, held_back: House
    ) -> None:
        held_back.later(seconds=30)

        held_back.reconcile()

        assert held_back.queues.urgent == []

    def test_once_there_is_more_it_is_woken_but_not_again_where_that_was_not_enough(self, held_back: House) -> None:
        held_back.later(seconds=10)
        held_back.wire.say("castello.example/credit", "2")
        held_back.balance().ask("castello")
        held_back.later(seconds=10)

        held_back.reconcile()
        assert len(held_back.queues.urgent) == 2
        held_back.handle(wake_up(*held_back.queues.urgent))
        held_back.later(seconds=10)
        held_back.reconcile()

        assert {message.status for message in held_back.of()} == {Status.ACCEPTED, Status.SENT}
        assert len(held_back.queues.urgent) == 2


def test_a_provider_whose_secret_cannot_be_read_is_not_there(house: House) -> None:
    waiting(house)
    house.suspensions.resume("plainline")
    house.vault.lost.add("plainline")

    house.reconcile()

    assert house.queues.urgent == []


def test_where_the_state_of_a_provider_cannot_be_read_all_else_that_is_due_is_looked_at(
    house: House, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(house)
    house.later(hours=1)
    monkeypatch.setattr(house.ledger, "provider_state", fails)

    assert len([shelf for shelf in house.shelves(house.accounts()).all() if shelf.is_free]) < 20
    assert counts["ProviderStateNotRead"] >= 1
