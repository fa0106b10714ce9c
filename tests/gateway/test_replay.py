"""Callbacks that came to nothing are read once more: after a parser was mended, or a message became known."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from smsgate.answers import Answer
from smsgate.api_callbacks import Callbacks
from smsgate.ledger import Saved, Taken
from smsgate.messages import Message, Report
from smsgate.replay import Replay
from smsgate.status import Status
from smsgate.wire import Callback
from tests.gateway.house import TOKEN, House, fails, record
from tests.gateway.plainline import Castello, Plainline

NOT_FORESEEN = "state=arrived&number=ref1"


class Mended(Plainline):
    """The same provider after its parser has learnt what it did not foresee."""

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        query = callback.query.replace("state=arrived", "status=there&to=%2B886912345678").replace("number=", "ref=")
        return super().read_receipts(Callback("GET", callback.path, query, b""))


@pytest.fixture
def sent(house: House) -> House:
    house.handle(record())
    return house


def replay(house: House, cursor: str | None = None) -> Answer:
    again = Replay(
        ledger=house.ledger,
        receipts=house.receipts(),
        replies=house.replies(),
        find=house.offers.get,
        clock=house.clock,
    )
    return Callbacks(again).replay(cursor)


def told(answer: Answer) -> tuple[int, int, bool]:
    return answer.body["read"], answer.body["understood"], answer.body["cursor"] is not None


def test_a_mended_parser_reads_what_was_stored_and_it_is_listed_no_more(sent: House) -> None:
    sent.receive("plainline", TOKEN, NOT_FORESEEN)
    assert told(replay(sent)) == (1, 0, False)
    assert sent.one().status is Status.SENT

    sent.offers["plainline"] = Mended

    assert told(replay(sent)) == (1, 1, False)
    assert sent.one().status is Status.DELIVERED
    assert told(replay(sent)) == (0, 0, False)


def test_what_a_lost_worker_left_of_a_callback_of_many_is_applied(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.enabled = ("castello",)
    numbers = [f"+8869{place:08}" for place in range(10_000_000, 10_000_020)]
    house.handle(record(to=numbers))
    reports = [
        Report(Status.DELIVERED, None, "there", provider_ref=each.provider_ref, to=each.to) for each in house.of()
    ]
    monkeypatch.setattr(Castello, "read_receipts", lambda _callback: reports)
    save, saves_left = house.ledger.save, iter(range(10))

    def lost(message: Message) -> Saved | Taken:
        if next(saves_left, None) is None:
            raise KeyboardInterrupt
        return save(message)

    with monkeypatch.context() as broken:
        broken.setattr(house.ledger, "save", lost)
        with pytest.raises(KeyboardInterrupt):
            house.receive("castello", TOKEN, "twenty=reports")
    before = Counter(message.status for message in house.of())

    assert told(replay(house)) == (1, 1, False)

    assert before == {Status.DELIVERED: 10, Status.SENT: 10}
    assert {message.status for message in house.of()} == {Status.DELIVERED}
    assert told(replay(house)) == (0, 0, False)


def test_again_and_again_it_changes_nothing_more(sent: House) -> None:
    sent.receive("plainline", TOKEN, NOT_FORESEEN)
    sent.offers["plainline"] = Mended
    replay(sent)
    once = sent.one()

    sent.receive("plainline", TOKEN, NOT_FORESEEN)
    replay(sent)

    assert sent.one() == once


def test_what_is_still_not_understood_stays_and_does_not_come_round_in_one_run(sent: House) -> None:
    for number in range(60):
        sent.receive("plainline", TOKEN, f"nonsense={number}")
        sent.later(seconds=1)

    assert told(replay(sent)) == (60, 0, False)
    assert told(replay(sent)) == (60, 0, False)


def test_a_report_whose_message_became_known_later_is_applied(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it known was lost before looking at what had come before."""
    house.enabled = ("castello",)
    house.receive("castello", TOKEN, "status=there&ref=ref1&to=%2B886912345678")
    with monkeypatch.context() as lost:
        link = house.ledger.link
        lost.setattr(house.ledger, "link", lambda *known: link(*known)[:0])
        house.handle(record())

    answer = replay(house)

    assert told(answer) == (1, 1, False)
    assert house.one().status is Status.DELIVERED


def test_when_the_time_is_short_it_says_where_to_go_on(sent: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        sent.receive("plainline", TOKEN, f"nonsense={number}")
    with monkeypatch.context() as slow:
        step = sent.ledger.unread_callbacks

        def slowly(*arguments: object) -> object:
            sent.later(seconds=11)
            return step(*arguments)  # type: ignore[arg-type]

        slow.setattr(sent.ledger, "unread_callbacks", slowly)
        first = replay(sent)

    second = replay(sent, first.body["cursor"])

    assert told(first) == (50, 0, True)
    assert told(second) == (10, 0, False)


def test_one_that_fails_does_not_keep_the_others_from_being_read(sent: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent.receive("plainline", TOKEN, NOT_FORESEEN)
    sent.later(seconds=1)
    sent.receive("castello", TOKEN, "nonsense=1")
    sent.offers["plainline"] = Mended
    monkeypatch.setattr(sent.ledger, "save", fails)

    assert told(replay(sent)) == (2, 0, False)

    monkeypatch.undo()
    assert told(replay(sent)) == (2, 1, False)


def test_a_cursor_that_was_made_up_is_refused_by_name(house: House) -> None:
    answer = replay(house, "bm9uc2Vuc2U")

    assert answer.status == 400
    assert answer.body["problems"][0]["field"] == "cursor"


def test_what_expired_since_it_was_listed_is_passed_over(sent: House) -> None:
    sent.receive("plainline", TOKEN, NOT_FORESEEN)
    sent.later(days=91)
    (stored,) = sent.ledger.unread_callbacks(5).items
    sent.ledger._client.delete_item(TableName="messages", Key={"pk": {"S": stored["pk"]}, "sk": {"S": stored["sk"]}})
    sent.ledger.mark_callback(str(stored["pk"]), "unreadable: ValueError", sent.now + timedelta(seconds=1))

    assert told(replay(sent)) == (0, 0, False)
