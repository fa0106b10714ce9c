"""A report finds its message: by its own URL, by that of the call it travelled in, or by the provider's reference."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate import lifecycle
from smsgate.callback_urls import first_of_many
from smsgate.messages import Message, Report
from smsgate.status import Status
from tests.gateway.examples import NOON, UNTIL, message
from tests.gateway.house import House

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HASH = "abcdefghijklmnopqrstuvwx"


def claimed(house: House, place: int, batch: str | None = "b1", **fields: str) -> Message:
    one = message(message_id=f"{HASH}-{place}", to=f"+88691234567{place}", **fields)
    return house.ledger.save(lifecycle.claim(one, "castello", NOON, UNTIL, batch=batch)).message


def delivered(named: str | None, to: str | None, ref: str | None = None) -> Report:
    return Report(Status.DELIVERED, None, "there", provider_ref=ref, to=to, message_id=named)


def status(house: House, of: Message) -> Status:
    found = house.ledger.get(of.message_id)
    assert found is not None
    return found.status


def test_a_report_on_the_url_of_a_call_finds_each_message_of_the_call(house: House) -> None:
    first, second = claimed(house, 1), claimed(house, 2)

    assert house.evidence.receive("castello", delivered(first_of_many(first.message_id), second.to), "callback#x")

    assert status(house, second) is Status.DELIVERED
    assert status(house, first) is Status.SENDING


@pytest.mark.parametrize("batch", ["b2", None])
def test_a_message_that_travelled_in_another_call_is_not_found_by_it(house: House, batch: str | None) -> None:
    first, stranger = claimed(house, 1), claimed(house, 2, batch)

    report = delivered(first_of_many(first.message_id), stranger.to)

    assert not house.evidence.receive("castello", report, "callback#x")
    assert status(house, stranger) is Status.SENDING


def test_a_report_without_a_number_settles_the_only_message_of_its_call_and_none_of_many(house: House) -> None:
    first = claimed(house, 1)

    assert not house.evidence.receive("castello", delivered(first_of_many(first.message_id), None), "callback#x")
    assert status(house, first) is Status.SENDING
    assert house.evidence.receive("castello", delivered(first.message_id, None), "callback#x")
    assert status(house, first) is Status.DELIVERED


def test_a_report_of_another_provider_finds_nobody(house: House) -> None:
    first = claimed(house, 1)

    assert not house.evidence.receive("plainline", delivered(first.message_id, first.to), "callback#x")


class TestWhatAReportCosts:
    """Calls of the table. Sixty thousand of them come in two minutes."""

    @pytest.fixture
    def calls(self, house: House) -> list[str]:
        client, made = house.ledger._client, list[str]()

        def counted(operation: str) -> Callable[..., Any]:
            def call(**arguments: Any) -> Any:
                made.append(operation)
                return getattr(client, operation)(**arguments)

            return call

        operations = {name: counted(name) for name in ("get_item", "put_item", "update_item", "query")}
        house.ledger._client = cast("DynamoDBClient", SimpleNamespace(exceptions=client.exceptions, **operations))
        return made

    def test_on_its_own_url_one_reading_and_one_write(self, house: House, calls: list[str]) -> None:
        first = claimed(house, 1)
        calls.clear()

        assert house.evidence.receive("castello", delivered(first.message_id, first.to, "r1"), "callback#x")

        assert calls == ["get_item", "put_item"]

    @pytest.mark.parametrize("own_url", [True, False], ids=["on the URL of its call", "on the account's URL"])
    def test_by_reference_two_readings_and_one_write(self, house: House, calls: list[str], own_url: bool) -> None:
        first, second = claimed(house, 1), claimed(house, 2)
        house.ledger.link("castello", "r2", second)
        calls.clear()

        url = first_of_many(first.message_id) if own_url else None
        assert house.evidence.receive("castello", delivered(url, second.to, "r2"), "callback#x")

        assert calls == ["get_item", "get_item", "put_item"]

    def test_told_again_it_writes_nothing(self, house: House, calls: list[str]) -> None:
        first = claimed(house, 1)
        report = delivered(first.message_id, first.to, "r1")
        house.evidence.receive("castello", report, "callback#x")
        calls.clear()

        assert house.evidence.receive("castello", report, "callback#x")

        assert calls == ["get_item"]
