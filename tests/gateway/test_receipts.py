"""Reports by callback: whose path was not given out learns nothing; the others lose nothing and count once."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from smsgate import lifecycle
from smsgate.callback_urls import receipt_url, reply_url
from smsgate.intake import LARGEST, Stranger, TooLarge
from smsgate.messages import Kind, Message, Report
from smsgate.outcomes import Accepted
from smsgate.secrets import SecretUnreadable
from smsgate.status import Status
from smsgate.wire import Acknowledgement, Callback
from tests.gateway.conftest import TABLE
from tests.gateway.examples import MINUTE, NOON, WATCH, message
from tests.gateway.house import TOKEN, Counts, House, fails, record
from tests.gateway.plainline import Castello, Plainline, maybe_sent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

THERE = "status=there&ref=ref1"
OWN_ACCOUNTS = THERE + "&to=%2B886912345678"


def items(dynamodb: DynamoDBClient) -> list[dict[str, Any]]:
    return [dict(item) for item in dynamodb.scan(TableName=TABLE)["Items"]]


def kept(dynamodb: DynamoDBClient) -> list[dict[str, Any]]:
    return [item for item in items(dynamodb) if item["pk"]["S"].startswith("callback#")]


def statuses(known: Message) -> list[Status | None]:
    return [moment.status for moment in known.timeline if moment.kind is Kind.STATUS]


class _Repeating(Castello):
    repeats_text = True


class TestWhoMayCall:
    def stranger(
        self, house: House, dynamodb: DynamoDBClient, provider: str, token: str, query: str, path: str = ""
    ) -> None:
        before = items(dynamodb)

        with pytest.raises(Stranger):
            house.receive(provider, token, query, path)

        assert items(dynamodb) == before

    @pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "🔑", "\udc80", "../" + TOKEN])
    def test_another_token_is_a_stranger_and_nothing_is_written(
        self, house: House, dynamodb: DynamoDBClient, token: str
    ) -> None:
        house.handle(record())

        self.stranger(house, dynamodb, "plainline", token, OWN_ACCOUNTS)

    def test_every_single_bit_of_a_token_counts(self, house: House, dynamodb: DynamoDBClient) -> None:
        house.handle(record())
        good = receipt_url(house.vault.callbacks(), "plainline", house.one().message_id).split("/")[-2]

        for token, path in ((TOKEN, ""), (good, house.one().message_id)):
            for place in range(len(token)):
                for bit in range(7):
                    flipped = token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
                    with pytest.raises(Stranger):
                        house.receive("plainline", flipped, THERE, path)

        assert house.one().status is Status.SENT
        assert kept(dynamodb) == []

    def test_a_messages_token_is_good_neither_for_another_provider_nor_message_nor_kind_nor_account(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        house.handle(record(to=["+886912345678", "+886912345679"]))
        mine, other = (each.message_id for each in house.of())
        token = receipt_url(house.vault.callbacks(), "plainline", mine).split("/")[-2]
        for_replies = reply_url(house.vault.callbacks(), "plainline", mine).split("/")[-2]

        self.stranger(house, dynamodb, "castello", token, THERE, mine)
        self.stranger(house, dynamodb, "plainline", token, THERE, other)
        self.stranger(house, dynamodb, "plainline", token, THERE)
        self.stranger(house, dynamodb, "plainline", for_replies, THERE, mine)

    def test_a_provider_nobody_knows_is_a_stranger_even_with_the_accounts_token(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        self.stranger(house, dynamodb, "nobody", TOKEN, OWN_ACCOUNTS)

    def test_a_provider_that_sends_no_receipts_is_a_stranger(self, house: House, dynamodb: DynamoDBClient) -> None:
        self.stranger(house, dynamodb, "oneway", TOKEN, OWN_ACCOUNTS)

    def test_the_token_from_before_a_rotation_is_good_while_it_is_listed(self, house: House) -> None:
        house.handle(record())

        house.receive("plainline", "t0ken-before", OWN_ACCOUNTS)

        assert house.one().status is Status.DELIVERED

    def test_without_the_tokens_nobody_is_answered_as_a_stranger(self, house: House, dynamodb: DynamoDBClient) -> None:
        house.vault.lost = {"callbacks"}

        with pytest.raises(SecretUnreadable):
            house.receive("plainline", TOKEN, OWN_ACCOUNTS)

        assert items(dynamodb) == []


class TestKeeping:
    def test_a_report_is_kept_byte_for_byte(self, house: House, dynamodb: DynamoDBClient) -> None:
        callback = Callback("POST", "", "a=%A4%A4", b"\xa4\xa4\x00&status=there", "application/x-www-form-urlencoded")

        house.receipts().handle("plainline", TOKEN, callback)

        (item,) = kept(dynamodb)
        assert house.ledger.callback(item["pk"]["S"]) == callback

    def test_what_nobody_can_read_is_kept_marked_counted_and_acknowledged(
        self, house: House, dynamodb: DynamoDBClient, counts: Counts
    ) -> None:
        assert house.receive("plainline", TOKEN, "neither=this&nor=that") == Acknowledgement()

        (item,) = kept(dynamodb)
        assert item["problem"]["S"] == "unreadable: KeyError"
        assert counts["CallbackUnreadable"] == 1

    @pytest.mark.parametrize("error", [RuntimeError, AssertionError, SyntaxError, RecursionError, MemoryError])
    def test_whatever_reading_raises_the_provider_is_not_asked_to_call_again(
        self, house: House, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def read(_callback: Callback) -> None:
            raise error

        monkeypatch.setattr(Plainline, "read_receipts", read)

        assert house.receive("plainline", TOKEN, OWN_ACCOUNTS) == Acknowledgement()

        assert kept(dynamodb)[0]["problem"]["S"] == f"unreadable: {error.__name__}"

    def test_it_is_stored_before_it_is_read(
        self, house: House, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lying: list[int] = []

        def read(_callback: Callback) -> list[Any]:
            lying.append(len(kept(dynamodb)))
            return []

        monkeypatch.setattr(Plainline, "read_receipts", read)

        house.receive("plainline", TOKEN, OWN_ACCOUNTS)

        assert lying == [1]

    @pytest.mark.parametrize("step", ["keep_callback", "referenced", "find", "get", "save", "mark_callback"])
    def test_where_any_step_of_the_store_fails_nothing_is_acknowledged_and_the_next_call_loses_nothing(
        self, house: House, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        house.handle(record())
        is_known = step not in ("find", "mark_callback")
        query = OWN_ACCOUNTS if is_known else "status=there&ref=unknown&to=x"
        with monkeypatch.context() as broken:
            broken.setattr(house.ledger, step, fails)
            with pytest.raises(Exception, match="InternalServerError"):
                house.receive("plainline", TOKEN, query)

        house.receive("plainline", TOKEN, query)

        assert house.one().status is (Status.DELIVERED if is_known else Status.SENT)
        assert len(house.ledger.unread_callbacks(5).items) == (0 if is_known else 1)

    @pytest.mark.parametrize("path", ["", "the message's own"])
    def test_a_probe_that_carries_nothing_is_acknowledged_and_nothing_is_stored(
        self, house: House, dynamodb: DynamoDBClient, path: str
    ) -> None:
        house.handle(record())
        before = items(dynamodb)

        if path:
            assert house.receive_at_own_url(house.one(), "") == Acknowledgement()
        else:
            assert house.receive("plainline", TOKEN, "") == Acknowledgement()

        assert items(dynamodb) == before

    @pytest.mark.parametrize(("query", "body"), [("a" * (LARGEST + 1), b""), ("", b"a" * (LARGEST + 1))])
    def test_more_than_any_provider_sends_is_refused_unread(
        self, house: House, dynamodb: DynamoDBClient, counts: Counts, query: str, body: bytes
    ) -> None:
        with pytest.raises(TooLarge):
            house.receive("plainline", TOKEN, query, body=body)

        assert items(dynamodb) == []
        assert counts.told == {("CallbackTooLarge", "plainline"): 1}

    def test_as_much_as_is_allowed_is_kept(self, house: House, dynamodb: DynamoDBClient) -> None:
        house.receive("plainline", TOKEN, "", body=b"a" * LARGEST)

        assert len(kept(dynamodb)) == 1


class TestOnePerMessageUrl:
    def test_a_report_settles_its_message(self, house: House) -> None:
        house.handle(record())

        assert house.receive_at_own_url(house.one(), THERE) == Acknowledgement()

        assert house.one().status is Status.DELIVERED

    def test_ten_times_the_same_report_is_one_change_and_always_acknowledged(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        house.handle(record())

        answers = [house.receive_at_own_url(house.one(), THERE) for _ in range(10)]

        assert answers == [Acknowledgement()] * 10
        assert statuses(house.one()).count(Status.DELIVERED) == 1
        assert len(kept(dynamodb)) == 1

    def test_a_report_faster_than_the_answer_is_not_undone_by_it(self, house: House) -> None:
        house.wire.say("/send", lambda: _receive_at_own(house, THERE))

        assert house.handle(record()) == []

        assert house.one().status is Status.DELIVERED
        assert house.one().provider_ref == "ref1"
        assert statuses(house.one()) == [Status.ACCEPTED, Status.SENDING, Status.DELIVERED]

    def test_a_report_settles_what_nobody_knew_after_a_lost_answer(self, house: House) -> None:
        house.wire.say("/send", maybe_sent())
        house.handle(record())
        assert house.one().status is Status.DOUBTFUL

        house.receive_at_own_url(house.one(), THERE)

        assert house.one().status is Status.DELIVERED
        assert house.one().provider_ref == "ref1"

    @pytest.mark.parametrize("days", [4, 30])
    def test_a_report_later_than_our_watch_still_counts(self, house: House, days: int) -> None:
        house.handle(record())
        house.later(hours=73)
        house.ledger.change(house.one().message_id, lambda m: lifecycle.unconfirm(m, house.now, WATCH))
        assert house.one().status is Status.UNCONFIRMED

        house.now = NOON
        house.later(days=days)
        house.receive_at_own_url(house.one(), THERE)

        assert house.one().status is Status.DELIVERED
        assert house.one().timeline[-1].revised

    def test_an_earlier_state_that_is_told_later_moves_nothing_back(self, house: House) -> None:
        house.handle(record())
        house.receive_at_own_url(house.one(), THERE)

        house.receive_at_own_url(house.one(), "status=on+its+way&ref=ref1")

        assert house.one().status is Status.DELIVERED
        assert _reported(house.one()) == ["delivered", "sent"]

    def test_of_two_finals_the_first_stays_and_both_are_kept(self, house: House) -> None:
        house.handle(record())

        house.receive_at_own_url(house.one(), THERE)
        house.receive_at_own_url(house.one(), "status=lost&ref=ref1")

        assert house.one().status is Status.DELIVERED
        assert _reported(house.one()) == ["delivered", "undelivered"]

    def test_a_final_with_a_later_time_of_the_provider_revises_the_first(self, house: House) -> None:
        house.handle(record())

        house.receive_at_own_url(house.one(), "status=lost&ref=ref1&time=2026-11-20+12:00:00")
        house.receive_at_own_url(house.one(), "status=there&ref=ref1&time=2026-11-20+12:00:09")

        assert house.one().status is Status.DELIVERED
        assert house.one().timeline[-1].revised

    def test_a_code_nobody_listed_is_kept_counted_and_changes_nothing(self, house: House, counts: Counts) -> None:
        house.handle(record())

        house.receive_at_own_url(house.one(), "status=strange&ref=ref1")

        assert house.one().status is Status.SENT
        assert _reported(house.one()) == ["unlisted"]
        assert counts["UnlistedCode"] == 1

    def test_a_provider_cannot_report_on_what_another_one_carries(self, house: House, counts: Counts) -> None:
        house.handle(record())

        house.receive("castello", TOKEN, THERE, path=house.one().message_id)

        assert house.one().status is Status.SENT
        assert counts["ReceiptUnmatched"] == 1

    def test_a_message_that_went_to_another_provider_since_may_still_be_reported_by_the_first(
        self, house: House
    ) -> None:
        house.enabled = ("plainline", "castello")
        house.wire.say("plainline.example/send", maybe_sent())
        house.handle(record(on_doubt="resend", providers=["plainline"]))
        assert house.one().status is Status.ACCEPTED

        house.receive("plainline", TOKEN, THERE, path=house.one().message_id)

        assert house.one().status is Status.DELIVERED


class TestTheAccountsUrl:
    @pytest.fixture(autouse=True)
    def castello(self, house: House) -> None:
        house.enabled = ("castello",)

    def receive(self, house: House, ref: str = "ref1", to: str = "+886912345678", status: str = "there") -> None:
        query = urlencode({"status": status, "ref": ref, "to": to})
        assert house.receive("castello", TOKEN, query) == Acknowledgement()

    def test_a_report_finds_its_message_by_reference_and_number(self, house: House) -> None:
        house.handle(record(to=["+886912345678", "+886912345679"]))

        self.receive(house, "ref2", "+886912345679")

        assert [(each.to[-1], each.status) for each in house.of()] == [("8", Status.SENT), ("9", Status.DELIVERED)]

    def test_ten_times_is_one_change(self, house: House) -> None:
        house.handle(record())

        for _ in range(10):
            self.receive(house)

        assert statuses(house.one()).count(Status.DELIVERED) == 1

    @pytest.mark.parametrize("is_private", [True, False])
    def test_what_a_report_repeats_of_a_private_text_is_not_kept_however_often_it_comes(
        self, house: House, dynamodb: DynamoDBClient, is_private: bool
    ) -> None:
        house.offers["castello"] = _Repeating
        house.handle(record(private=is_private))

        for _ in range(3):
            assert house.receive("castello", TOKEN, OWN_ACCOUNTS, body=b"hello") == Acknowledgement()

        (stored,) = kept(dynamodb)
        assert ("body" in stored, "query" in stored) == (not is_private, not is_private)
        assert house.ledger.callback(stored["pk"]["S"]) is None or not is_private
        assert statuses(house.one()).count(Status.DELIVERED) == 1

    def test_a_report_faster_than_the_answer_waits_for_it_and_is_applied_with_it(self, house: House) -> None:
        house.wire.say("/send", lambda: self.receive(house))

        assert house.handle(record()) == []

        assert house.one().status is Status.DELIVERED
        assert house.one().provider_ref == "ref1"

    def test_several_reports_before_the_answer_are_all_applied(self, house: House) -> None:
        def early() -> None:
            self.receive(house, status="on its way")
            self.receive(house)
            self.receive(house, to="+886912345679")

        house.wire.say("/send", early)

        house.handle(record())

        assert house.one().status is Status.DELIVERED
        assert sorted(_reported(house.one())) == ["delivered", "sent"]

    def test_of_many_reports_in_one_early_callback_each_message_gets_its_own(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        numbers = ["+886912345678", "+886912345679"]
        one = Castello.read_receipts(Callback("GET", "", THERE))[0]
        both = [replace(one, provider_ref=f"ref{place}", to=to) for place, to in enumerate(numbers, start=1)]
        monkeypatch.setattr(Castello, "read_receipts", lambda _callback: both)
        house.wire.say("/send", lambda: self.receive(house))

        house.handle(record(to=numbers))

        assert [(each.status, _reported(each)) for each in house.of()] == [(Status.DELIVERED, ["delivered"])] * 2

    @pytest.mark.parametrize("told_of", [1, 2, 250])
    def test_an_early_callback_is_listed_as_unmatched_until_the_last_of_its_messages_is_known(
        self, house: House, monkeypatch: pytest.MonkeyPatch, told_of: int
    ) -> None:
        monkeypatch.setattr(Castello, "read_receipts", lambda _callback: _reports(told_of))
        known: list[bool] = []
        settle = house.ledger.callback_understood

        def settle_and_look(key: str) -> None:
            assert house.ledger.unread_callbacks(5).items or known, "it was listed until then"
            known.append(all(message.status in {Status.SENT, Status.DELIVERED} for message in house.of()))
            settle(key)

        monkeypatch.setattr(house.ledger, "callback_understood", settle_and_look)
        house.wire.say("/send", lambda: self.receive(house))

        house.handle(record(to=[report.to for report in _reports(told_of)]))

        assert house.ledger.unread_callbacks(5).items == []
        assert known
        assert all(known)
        assert {each.status for each in house.of()} == {Status.DELIVERED}

    def test_a_callback_that_also_tells_of_a_message_nobody_knows_stays_listed(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Castello, "read_receipts", lambda _callback: _reports(2))
        house.wire.say("/send", lambda: self.receive(house))

        house.handle(record(to=_reports(1)[0].to))

        assert house.one().status is Status.DELIVERED
        (listed,) = house.ledger.unread_callbacks(5).items
        assert listed["problem"] == "unmatched: 2 of 2"

    def test_a_message_that_becomes_known_just_before_its_report_is_listed_takes_it_off_the_list(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other half looked for the mark before it was there, and did not come to apply the report."""
        mark = house.ledger.mark_callback
        seen: list[tuple[Status, int]] = []

        def mark_late(*told: Any) -> None:
            house.ledger.link("castello", "ref1", house.one())
            mark(*told)

        def early() -> None:
            self.receive(house)
            seen.append((house.one().status, len(house.ledger.unread_callbacks(5).items)))

        monkeypatch.setattr(house.ledger, "mark_callback", mark_late)
        house.wire.say("/send", early)

        house.handle(record())

        assert seen == [(Status.DELIVERED, 0)]

    def test_what_others_were_told_in_an_early_callback_keeps_no_acceptance_from_being_stored(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Castello, "read_receipts", lambda _callback: _reports(1))
        house.wire.say("/send", lambda: self.receive(house))
        monkeypatch.setattr(house.ledger, "callback_understood", fails)

        assert house.handle(record(to=_reports(1)[0].to)) == []

        assert house.one().status is Status.DELIVERED
        assert len(house.ledger.unread_callbacks(5).items) == 1

    def test_a_report_of_a_known_message_writes_nothing_but_itself_and_the_message(
        self, house: House, dynamodb: DynamoDBClient
    ) -> None:
        house.handle(record())
        before = {item["pk"]["S"]: item for item in items(dynamodb)}

        self.receive(house)

        changed = [item["pk"]["S"] for item in items(dynamodb) if before.get(item["pk"]["S"]) != item]
        assert sorted(pk.partition("#")[0] for pk in changed) == ["callback", house.one().message_id[:24]]

    def test_an_early_report_that_cannot_be_read_any_more_keeps_no_acceptance_from_being_stored(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def early() -> None:
            self.receive(house)
            monkeypatch.setattr(Castello, "read_receipts", fails)

        house.wire.say("/send", early)

        assert house.handle(record()) == []

        assert house.one().status is Status.SENT

    def test_whoever_comes_second_applies_it_in_a_real_race(self, atomic_house: House) -> None:
        finals = []
        for place in range(25):
            hashed = "abcdefghijklmnopqrstuvwx"[place % 20 :].ljust(24, "a")[:24]
            claimed = lifecycle.claim(
                message(message_id=f"{hashed}-{place + 1}"), "castello", NOON, NOON + MINUTE, parts=1
            )
            saved = atomic_house.ledger.save(claimed).message
            ref = f"race{place}"
            start = Barrier(2)

            def answered(saved: Message = saved, ref: str = ref, start: Barrier = start) -> None:
                start.wait()
                sent = atomic_house.ledger.change_from(
                    saved, lambda m: lifecycle.settle(m, 1, Accepted(ref), NOON, WATCH)
                )
                atomic_house.evidence.link(sent, Castello, ref)

            def reported(ref: str = ref, start: Barrier = start) -> None:
                start.wait()
                self.receive(atomic_house, ref)

            both = [Thread(target=run) for run in (answered, reported)]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            final = atomic_house.ledger.get(saved.message_id)
            assert final is not None
            finals.append((final.status, final.provider_ref == ref, statuses(final).count(Status.DELIVERED)))

        assert finals == [(Status.DELIVERED, True, 1)] * 25

    def test_reports_of_unknown_references_are_kept_and_make_no_message(
        self, house: House, dynamodb: DynamoDBClient, counts: Counts
    ) -> None:
        for place in range(40):
            self.receive(house, f"unknown{place}")

        assert len(kept(dynamodb)) == 40
        assert {item["problem"]["S"] for item in kept(dynamodb)} == {"unmatched: 1 of 1"}
        assert all("expires" in item for item in items(dynamodb))
        assert [item for item in items(dynamodb) if item["sk"]["S"].startswith("m#")] == []
        assert counts["ReceiptUnmatched"] == 40
        assert counts["CallbackUnreadable"] == 0, "whoever they are about, they were understood"

    def test_a_known_reference_with_another_number_is_no_message_of_ours(self, house: House) -> None:
        house.handle(record())

        self.receive(house, to="+886912345670")

        assert house.one().status is Status.SENT
        assert _reported(house.one()) == []

    def test_a_report_without_a_number_or_reference_is_kept_for_people_who_are_told(
        self, house: House, dynamodb: DynamoDBClient, counts: Counts
    ) -> None:
        house.handle(record())

        house.receive("castello", TOKEN, THERE)

        assert kept(dynamodb)[0]["problem"]["S"] == "unmatched: 1 of 1"
        assert house.one().status is Status.SENT
        assert counts["CallbackUnreadable"] == 1

    def test_of_many_in_one_callback_those_that_are_ours_count(
        self, house: House, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        numbers = [f"+8869123456{place:02}" for place in range(20)]
        house.handle(record(to=numbers))
        one = Castello.read_receipts(Callback("GET", "", THERE))[0]
        several = [replace(one, provider_ref=each.provider_ref, to=each.to) for each in house.of()] + [
            replace(one, provider_ref="unknown", to=numbers[0])
        ]
        monkeypatch.setattr(Castello, "read_receipts", lambda _callback: several)

        house.receive("castello", TOKEN, "twenty=reports")

        assert {each.status for each in house.of()} == {Status.DELIVERED}
        assert kept(dynamodb)[0]["problem"]["S"] == "unmatched: 1 of 21"


def _receive_at_own(house: House, query: str) -> None:
    house.receive_at_own_url(house.one(), query)


def _reports(count: int) -> list[Report]:
    """Of the messages of one call, in its order."""
    places = range(1, count + 1)
    return [
        Report(Status.DELIVERED, None, "there", provider_ref=f"ref{place}", to=f"+8869{10_000_000 + place}")
        for place in places
    ]


def _reported(known: Message) -> list[str]:
    """The statuses of the reports in the timeline."""
    return [dict(moment.data)["status"] for moment in known.timeline if moment.kind is Kind.REPORT]
