"""The ledger against a table: one writer wins, nobody's change is lost, a lost answer is no lost claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from smsgate import lifecycle
from smsgate.items import due_shards, waiting_shards
from smsgate.ledger import Contended, Ledger, Saved, Taken, message_id_of
from smsgate.messages import Message, Reply
from smsgate.outcomes import Accepted
from smsgate.reasons import Code, Reason
from smsgate.requests import InvalidRequest, Problem, request_hash
from smsgate.status import Status
from smsgate.wire import Callback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

from tests.gateway.conftest import TABLE
from tests.gateway.examples import MINUTE, NOON, SECOND, UNTIL, WATCH, message


def of_request(request_id: str, position: int = 1, **fields: Any) -> Message:
    return message(message_id=f"{request_hash(request_id)}-{position}", request_id=request_id, **fields)


def claimed(of: Message | None = None) -> Message:
    return lifecycle.claim(of or message(), "plainline", NOON, UNTIL, 1, Decimal(1))


class TestSaving:
    def test_what_was_saved_is_read_back(self, ledger: Ledger) -> None:
        saved = ledger.save(claimed())

        assert isinstance(saved, Saved)
        assert ledger.get(saved.message.message_id) == saved.message

    def test_the_second_of_two_claims_learns_who_has_it(self, ledger: Ledger) -> None:
        first = ledger.save(claimed())

        second = ledger.save(claimed())

        assert second == Taken(first.message)

    def test_a_change_of_what_has_changed_since_is_refused(self, ledger: Ledger) -> None:
        seen = ledger.save(claimed()).message
        newer = ledger.save(lifecycle.lapse(seen, UNTIL)).message

        late = ledger.save(lifecycle.cancel(seen, NOON))

        assert late == Taken(newer)

    def test_a_claim_whose_answer_was_lost_is_still_ours(
        self, ledger: Ledger, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """botocore repeats a write whose answer was lost, and the repetition fails on our own success."""
        put = dynamodb.put_item

        def put_twice(**request: Any) -> Any:
            put(**request)
            return put(**request)

        monkeypatch.setattr(dynamodb, "put_item", put_twice)

        assert isinstance(ledger.save(claimed()), Saved)

    def test_a_change_starts_over_from_what_somebody_else_wrote(self, ledger: Ledger) -> None:
        stale = ledger.save(claimed()).message
        ledger.change(stale.message_id, lambda m: lifecycle.lapse(m, UNTIL))
        seen = []

        def revive(found: Message) -> Message:
            seen.append(found.status)
            return lifecycle.settle(found, 1, Accepted("77"), NOON, WATCH)

        changed = ledger.change_from(stale, revive)

        assert seen == [Status.SENDING, Status.DOUBTFUL]
        assert changed.status is Status.SENT

    def test_a_change_that_never_gets_its_turn_is_given_up(self, ledger: Ledger) -> None:
        stale = ledger.save(claimed()).message

        def always_late(found: Message) -> Message:
            newest = ledger.get(found.message_id) or found
            ledger.save(replace(newest, checks=found.checks + 1))
            return lifecycle.lapse(found, UNTIL)

        with pytest.raises(Contended):
            ledger.change_from(stale, always_late)

    def test_a_step_that_changes_nothing_writes_nothing(self, ledger: Ledger) -> None:
        saved = ledger.save(claimed()).message

        assert ledger.change(saved.message_id, lambda m: m) == saved

    @pytest.mark.parametrize("unknown", ["", "x", "abc-", "../..-1", f"{request_hash('nobody')}-1"])
    def test_an_unknown_or_malformed_id_is_nobody(self, ledger: Ledger, unknown: str) -> None:
        assert ledger.get(unknown) is None
        assert ledger.change(unknown, lambda m: m) is None

    def test_an_item_past_its_time_but_still_there_protects_from_a_second_send(self, ledger: Ledger) -> None:
        """DynamoDB deletes days after the time; until then what lies there counts."""
        old = ledger.save(claimed(message(accepted_at=NOON - timedelta(days=400))))

        assert isinstance(old, Saved)
        assert isinstance(ledger.save(claimed()), Taken)


class TestFinding:
    def test_the_messages_of_a_request(self, ledger: Ledger) -> None:
        for position in (1, 2, 10):
            ledger.save(claimed(of_request("order-17", position)))
        ledger.save(claimed(of_request("order-18")))

        assert {m.message_id for m in ledger.of_request("order-17")} == {
            f"{request_hash('order-17')}-{position}" for position in (1, 2, 10)
        }

    def test_what_went_to_a_number_newest_first_in_pages(self, ledger: Ledger) -> None:
        for age in range(1, 6):
            ledger.save(claimed(of_request("r", age, accepted_at=NOON - age * MINUTE)))
        ledger.save(claimed(of_request("r", 99, to="+886900000000")))

        first = ledger.to_recipient("+886912345678", 3)
        second = ledger.to_recipient("+886912345678", 3, first.cursor)

        ids = [message_id_of(key) for key in first.items + second.items]
        assert ids == [f"{request_hash('r')}-{age}" for age in range(1, 6)]

    def test_due_work_the_longest_overdue_first_and_only_what_is_due(self, ledger: Ledger) -> None:
        for position in range(1, 17):
            parked = lifecycle.park(
                of_request("r", position), Reason(Code.RATE_LIMITED), NOON, NOON - position * MINUTE
            )
            ledger.save(parked)
        ledger.save(lifecycle.park(of_request("r", 17), Reason(Code.RATE_LIMITED), NOON, NOON + SECOND))

        pages = [ledger.due(shard, NOON, 20).items for shard in due_shards()]

        found = [message_id_of(key) for page in pages for key in page]
        assert sorted(found) == sorted(f"{request_hash('r')}-{position}" for position in range(1, 17))
        assert all(page == sorted(page, key=lambda key: str(key["due_at"])) for page in pages)

    def test_requests_of_one_message_lie_in_all_shards(self, ledger: Ledger) -> None:
        for number in range(40):
            ledger.save(lifecycle.park(of_request(f"r{number}"), Reason(Code.RATE_LIMITED), NOON, NOON))

        pages = [ledger.due(shard, NOON, 40).items for shard in due_shards()]

        assert min(map(len, pages)) >= 4

    def test_what_waits_for_a_provider_lies_apart_and_is_found_ahead_of_its_time(self, ledger: Ledger) -> None:
        waits = lifecycle.park(
            of_request("r"), Reason(Code.CREDIT_EXHAUSTED), NOON, NOON + MINUTE, (), "castello", "castello"
        )
        ledger.save(waits)
        later = NOON + 2 * MINUTE

        assert not any(ledger.due(shard, later, 10).items for shard in due_shards())
        assert sum(len(ledger.due(shard, later, 10).items) for shard in waiting_shards("castello")) == 1
        assert not any(ledger.due(shard, NOON, 10).items for shard in waiting_shards("castello"))
        assert sum(len(ledger.waiting(shard, 10).items) for shard in waiting_shards("castello")) == 1

    def test_what_is_final_is_in_no_index_of_due_work(self, ledger: Ledger) -> None:
        saved = ledger.save(claimed()).message
        ledger.change(saved.message_id, lambda m: lifecycle.lapse(m, UNTIL))

        assert not any(ledger.due(shard, NOON + 400 * MINUTE, 10).items for shard in due_shards())


class TestRejectedRequests:
    invalid = InvalidRequest("order-17", (Problem("to[3]", "too short"),))

    def test_problems_are_kept_once_however_often_the_record_comes(self, ledger: Ledger) -> None:
        assert ledger.reject_request(self.invalid, Code.INVALID_REQUEST, NOON)
        assert not ledger.reject_request(self.invalid, Code.INVALID_REQUEST, NOON + MINUTE)

        (kept,) = ledger.rejections("order-17")
        assert kept["problems"] == [{"field": "to[3]", "problem": "too short"}]

    def test_a_rejected_request_does_not_hold_its_id(self, ledger: Ledger) -> None:
        ledger.reject_request(self.invalid, Code.INVALID_REQUEST, NOON)

        assert isinstance(ledger.save(claimed(of_request("order-17"))), Saved)
        assert len(list(ledger.of_request("order-17"))) == 1


class TestReferences:
    """The report and the answer of the send meet, whichever is first."""

    def test_a_report_after_the_answer_finds_the_message(self, ledger: Ledger) -> None:
        assert ledger.link("plainline", "77", message()) == []

        found = ledger.find("plainline", "77", "+886912345678", "callback#plainline#a", NOON)

        assert found == message().message_id

    def test_a_report_before_the_answer_leaves_word(self, ledger: Ledger) -> None:
        assert ledger.find("plainline", "77", "+886912345678", "callback#plainline#a", NOON) is None
        assert ledger.find("plainline", "77", "+886912345678", "callback#plainline#b", NOON) is None

        assert ledger.link("plainline", "77", message()) == ["callback#plainline#a", "callback#plainline#b"]

    @pytest.mark.parametrize(
        "stranger",
        [("castello", "77", "+886912345678"), ("plainline", "78", "+886912345678"), ("plainline", "77", "+1")],
    )
    def test_another_provider_reference_or_number_is_another_message(
        self, ledger: Ledger, stranger: tuple[str, str, str]
    ) -> None:
        ledger.link("plainline", "77", message())

        assert ledger.find(*stranger, "callback#x", NOON) is None


class TestCallbacks:
    raw = Callback("GET", "abc-0", "smsresp=%7B%22a%22", b"\xb4\xfa\x00", "text/html")

    def test_a_callback_is_kept_byte_for_byte(self, ledger: Ledger) -> None:
        key = ledger.keep_callback("plainline", "receipts", self.raw, NOON)

        assert ledger.callback(key) == self.raw

    def test_the_same_bytes_are_kept_once_and_others_apart(self, ledger: Ledger) -> None:
        key = ledger.keep_callback("plainline", "receipts", self.raw, NOON)

        assert ledger.keep_callback("plainline", "receipts", self.raw, NOON + MINUTE) == key
        assert ledger.keep_callback("plainline", "receipts", replace(self.raw, body=b"other"), NOON) != key
        assert ledger.keep_callback("castello", "receipts", self.raw, NOON) != key


class TestReplies:
    def test_a_reply_is_kept_once_and_found_by_its_number(self, ledger: Ledger) -> None:
        reply = Reply("plainline", "12345:221831", "+886911222333", "台灣簡訊")

        assert ledger.keep_reply(reply, None, None, "none", NOON)
        assert not ledger.keep_reply(reply, None, None, "none", NOON)
        assert len(ledger.to_recipient("from:+886911222333", 5).items) == 1
        assert ledger.to_recipient("+886911222333", 5).items == []


class TestProviderState:
    def test_a_state_that_was_deleted_since_it_was_read_is_not_written(
        self, ledger: Ledger, dynamodb: DynamoDBClient
    ) -> None:
        ledger.set_provider_state("plainline", "turns", {"given": 1}, 0)
        dynamodb.delete_item(TableName=TABLE, Key={"pk": {"S": "provider#plainline"}, "sk": {"S": "turns"}})

        assert not ledger.set_provider_state("plainline", "turns", {"given": 2}, 1)
        assert ledger.provider_state("plainline", "turns") is None

    def test_only_one_of_two_writers_who_saw_the_same_wins(self, ledger: Ledger) -> None:
        assert ledger.set_provider_state("plainline", "credit", {"credit": Decimal(5)}, 0)
        assert not ledger.set_provider_state("plainline", "credit", {"credit": Decimal(6)}, 0)
        assert ledger.set_provider_state("plainline", "credit", {"credit": Decimal(7)}, 1)

        state = ledger.provider_state("plainline", "credit") or {}
        assert state["credit"] == 7
        assert state["version"] == 2


class TestCounts:
    """Of a write whose answer was lost the client learns nothing, so it writes again."""

    LATER = NOON + MINUTE

    def fits(self, ledger: Ledger, amount: str, limit: str = "10") -> bool:
        return ledger.count_within("points", Decimal(amount), Decimal(limit), self.LATER)

    def test_are_added_to_up_to_their_limit(self, ledger: Ledger) -> None:
        assert [self.fits(ledger, amount) for amount in ("6.5", "3.6", "3.5", "0.1")] == [True, False, True, False]

    def test_may_go_beyond_it_where_nobody_minds(self, ledger: Ledger) -> None:
        assert [ledger.count("points", Decimal(6), self.LATER) for _ in range(2)] == [Decimal(6), Decimal(12)]
        assert not self.fits(ledger, "1")

    def test_what_was_counted_in_a_write_that_is_repeated_is_counted_once_and_fits(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            _repeat(ledger, patch)

            assert self.fits(ledger, "10")

        assert not self.fits(ledger, "0.1")
        ledger.count_back("points", Decimal(10))
        assert self.fits(ledger, "10")

    def test_and_once_where_there_would_be_room_for_both(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            _repeat(ledger, patch)

            assert self.fits(ledger, "3")

        assert self.fits(ledger, "7")

    def test_where_others_count_between_the_two_it_is_counted_twice_and_never_less_than_once(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            _repeat(ledger, patch, between=lambda: self.fits(ledger, "1"))

            assert self.fits(ledger, "2")

        assert not self.fits(ledger, "5.1")
        assert self.fits(ledger, "5")

    def test_what_is_given_back_in_a_write_that_is_repeated_is_given_back_once(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fits(ledger, "10")
        with monkeypatch.context() as patch:
            _repeat(ledger, patch)

            ledger.count_back("points", Decimal(3))

        assert not self.fits(ledger, "3.1")
        assert self.fits(ledger, "3")

    def test_and_once_where_others_count_between_the_two(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fits(ledger, "9")
        with monkeypatch.context() as patch:
            _repeat(ledger, patch, between=lambda: self.fits(ledger, "1"))

            ledger.count_back("points", Decimal(3))

        assert not self.fits(ledger, "3.1")
        assert self.fits(ledger, "3")

    def test_is_given_back_although_somebody_else_counted_first(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fits(ledger, "9")
        get = ledger._client.get_item
        raced: list[bool] = []

        def get_and_lose(**request: Any) -> Any:
            found = get(**request)
            if not raced:
                raced.append(self.fits(ledger, "1"))
            return found

        monkeypatch.setattr(ledger._client, "get_item", get_and_lose)

        ledger.count_back("points", Decimal(3))

        assert raced == [True]
        assert self.fits(ledger, "3")

    def test_that_are_gone_or_smaller_are_left_alone(self, ledger: Ledger) -> None:
        ledger.count_back("points", Decimal(1))
        self.fits(ledger, "2")

        ledger.count_back("points", Decimal(3))

        assert not self.fits(ledger, "8.1")
        assert self.fits(ledger, "8")

    def test_are_forgotten_when_their_time_is_over(self, ledger: Ledger, dynamodb: DynamoDBClient) -> None:
        self.fits(ledger, "1")
        ledger.count("others", Decimal(1), self.LATER)

        items = dynamodb.scan(TableName=TABLE)["Items"]

        assert [item["expires"]["N"] for item in items] == [str(int(self.LATER.timestamp()))] * 2


def _repeat(ledger: Ledger, patch: pytest.MonkeyPatch, between: Callable[[], Any] | None = None) -> None:
    """The next update is made twice, as botocore does where an answer was lost; others may write in between."""
    update = ledger._client.update_item

    def twice(**request: Any) -> Any:
        patch.undo()
        update(**request)
        if between is not None:
            between()
        return update(**request)

    patch.setattr(ledger._client, "update_item", twice)


def test_trouble_of_the_table_is_raised_and_not_mistaken_for_a_lost_race(
    ledger: Ledger, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutItem")

    monkeypatch.setattr(dynamodb, "put_item", throttled)

    with pytest.raises(ClientError):
        ledger.save(claimed())


def test_the_ledger_writes_to_the_table_it_was_given(dynamodb: DynamoDBClient) -> None:
    Ledger(dynamodb, TABLE, timedelta(days=1)).save(claimed())

    assert dynamodb.scan(TableName=TABLE)["Count"] == 1
