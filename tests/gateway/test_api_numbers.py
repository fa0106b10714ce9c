"""What operators ask of a telephone number over HTTP: its replies, and its place on the stop list."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smsgate.answers import Answer
from smsgate.api_numbers import LONGEST_WHY, PAGE, Numbers
from smsgate.items import stamp
from smsgate.messages import Reply
from smsgate.wiring import Wiring
from tests.architecture.handlers import load_handler
from tests.gateway.examples import NOON, message
from tests.gateway.house import House, fails, record

ROOT = Path(__file__).parents[2]
PHONE = "+886912345678"


@pytest.fixture
def numbers(house: House) -> Numbers:
    return Numbers(house.ledger, house.suppressions)


def says(house: House, text: str, key: str = "1", **fields: Any) -> None:
    given: dict[str, Any] = {"provider": "plainline", "sender": PHONE}
    assert house.conversation().receive(Reply(**{**given, "key": key, "text": text, **fields}))


def texts(answer: Answer) -> list[str]:
    assert answer.status == 200
    return [reply["text"] for reply in answer.body["replies"]]


def problem_of(answer: Answer) -> str:
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    (problem,) = answer.body["problems"]
    return str(problem["field"])


class TestReplies:
    def test_a_reply_is_shown_with_the_message_it_answers_and_how_sure_that_is(
        self, house: House, numbers: Numbers
    ) -> None:
        house.handle(record())
        says(house, "好的", provider_time="2026/11/20 12:00")

        (reply,) = numbers.replies(PHONE, None, None).body["replies"]

        sent = house.one()
        assert reply.pop("reply_id").startswith("plainline-")
        assert reply == {
            "from": PHONE,
            "text": "好的",
            "at": "2026-11-20T04:00:00.000000Z",
            "provider": "plainline",
            "provider_time": "2026/11/20 12:00",
            "message_id": sent.message_id,
            "request_id": "order-17",
            "match": "likely",
        }

    def test_one_to_nothing_of_ours_is_shown_without_a_message(self, house: House, numbers: Numbers) -> None:
        says(house, "who is this?")

        (reply,) = numbers.replies(PHONE, None, None).body["replies"]

        assert (reply["message_id"], reply["request_id"], reply["match"]) == (None, None, "none")

    def test_the_newest_is_first_and_of_this_number_only(self, house: House, numbers: Numbers) -> None:
        for key in "123":
            says(house, key, key)
            house.later(minutes=1)
        says(house, "another's", "4", sender="+886912345679")

        assert texts(numbers.replies(PHONE, None, None)) == ["3", "2", "1"]

    @pytest.mark.parametrize(
        ("since", "shown"),
        [
            ("2026-11-20T12:01:00+08:00", ["3", "2"]),
            ("2026-11-20T04:01:00Z", ["3", "2"]),
            ("2026-11-20T12:01:00 08:00", ["3", "2"]),  # a plus that was not encoded
            ("2026-11-20T04:01:00.000001Z", ["3"]),
            ("2026-11-20T00:00:00Z", ["3", "2", "1"]),
            ("2027-01-01T00:00:00Z", []),
        ],
    )
    def test_since_a_moment_that_moment_included(
        self, house: House, numbers: Numbers, since: str, shown: list[str]
    ) -> None:
        for key in "123":
            says(house, key, key)
            house.later(minutes=1)

        assert texts(numbers.replies(PHONE, since, None)) == shown

    def test_more_than_a_page_is_paged_since_a_moment_without_gap_or_repetition(
        self, house: House, numbers: Numbers
    ) -> None:
        for place in range(PAGE + 3):
            says(house, str(place), str(place))
            house.later(seconds=1)
        since = (NOON + timedelta(seconds=1)).isoformat()

        first = numbers.replies(PHONE, since, None)
        second = numbers.replies(PHONE, since, first.body["cursor"])

        assert len(first.body["replies"]) == PAGE
        assert texts(first) + texts(second) == [str(place) for place in range(PAGE + 2, 0, -1)]
        assert second.body["cursor"] is None

    @pytest.mark.parametrize("written", ["0912345678", " 886912345678", "+886 912-345-678", "０９１２３４５６７８"])
    def test_the_number_may_be_written_as_in_a_request(self, house: House, numbers: Numbers, written: str) -> None:
        says(house, "好")

        assert texts(numbers.replies(written, None, None)) == ["好"]

    @pytest.mark.parametrize(
        ("sender", "since", "named"),
        [
            (None, None, "from"),
            ("", None, "from"),
            ("12345", None, "from"),
            ("abc", None, "from"),
            (PHONE, "yesterday", "since"),
            (PHONE, "2026-11-20", "since"),
            (PHONE, "2026-11-20T12:00:00", "since"),
            (PHONE, "2026-02-30T12:00:00Z", "since"),
        ],
    )
    def test_a_parameter_that_is_none_is_named(
        self, numbers: Numbers, sender: str | None, since: str | None, named: str
    ) -> None:
        assert problem_of(numbers.replies(sender, since, None)) == named

    def test_a_cursor_leads_nowhere_else(self, house: House, numbers: Numbers) -> None:
        for place in range(PAGE + 1):
            says(house, str(place), str(place))
        cursor = numbers.replies(PHONE, None, None).body["cursor"]

        for made_up in (f"{cursor}x", cursor[:-4], "bnVsbA", "W10", "e30", "🙂", "x" * 5000):
            assert problem_of(numbers.replies(PHONE, None, made_up)) == "cursor"
        assert problem_of(numbers.replies("+886912345679", None, cursor)) == "cursor"
        later = (NOON + timedelta(hours=1)).isoformat()
        assert problem_of(numbers.replies(PHONE, later, cursor)) == "cursor"

    def test_a_cursor_longer_than_any_key_is_refused(self, house: House, numbers: Numbers) -> None:
        key = {"pk": "reply#plainline#" + "x" * 3000, "sk": "reply", "to": f"from:{PHONE}", "accepted_at": stamp(NOON)}
        made_up = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")

        assert problem_of(numbers.replies(PHONE, None, made_up)) == "cursor"

    def test_a_cursor_of_messages_is_none_of_replies(self, house: House, numbers: Numbers) -> None:
        for place in range(PAGE + 1):
            house.ledger.save(message(message_id=f"abcdefghijklmnopqrstuvwx-{place + 1}"))
        cursor = house.api().messages_to(PHONE, None).body["cursor"]

        assert problem_of(numbers.replies(PHONE, None, cursor)) == "cursor"


class TestStopList:
    def test_who_put_a_number_there_since_when_and_why(self, house: House, numbers: Numbers) -> None:
        says(house, "退訂")
        (reply,) = house.ledger.replies_from(PHONE, None, 1).items
        house.later(hours=1)
        house.suppressions.refused("castello", message(), "UNWANTED")
        house.later(hours=1)
        house.suppressions.put(PHONE, "a letter")

        answer = numbers.suppression(PHONE)

        noon, one, two = (f"2026-11-20T0{hour}:00:00.000000Z" for hour in (4, 5, 6))
        assert answer.status == 200
        assert answer.body == {
            "number": PHONE,
            "since": noon,
            "source": "reply",
            "why": "退訂",
            "stops": [
                {
                    "source": "reply",
                    "since": noon,
                    "why": "退訂",
                    "provider": "plainline",
                    "reply_id": reply["reply_id"],
                    "message_id": None,
                },
                {
                    "source": "provider",
                    "since": one,
                    "why": "UNWANTED",
                    "provider": "castello",
                    "reply_id": None,
                    "message_id": message().message_id,
                },
                {
                    "source": "operator",
                    "since": two,
                    "why": "a letter",
                    "provider": None,
                    "reply_id": None,
                    "message_id": None,
                },
            ],
            "history": [
                {"at": noon, "change": "added", "source": "reply", "why": "退訂"},
                {"at": one, "change": "added", "source": "provider", "why": "UNWANTED"},
                {"at": two, "change": "added", "source": "operator", "why": "a letter"},
            ],
        }

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", None),
            (b"  \n", None),
            (b"{}", None),
            (b'{"why": null}', None),
            ('{"why": "律師函"}'.encode(), "律師函"),
            (json.dumps({"why": "x" * LONGEST_WHY}).encode(), "x" * LONGEST_WHY),
        ],
    )
    def test_the_operator_puts_a_number_on_it_and_need_not_say_why(
        self, house: House, numbers: Numbers, body: bytes, why: str | None
    ) -> None:
        answer = numbers.suppress("0912345678", body)

        assert (answer.status, answer.body["number"]) == (200, PHONE)
        assert (answer.body["source"], answer.body["why"]) == ("operator", why)
        assert house.suppressions.find([PHONE]) == {PHONE}

    def test_putting_it_again_changes_the_why_and_not_the_day(self, house: House, numbers: Numbers) -> None:
        first = numbers.suppress(PHONE, b'{"why": "asked"}').body
        house.later(days=1)

        again = numbers.suppress(PHONE, b'{"why": "asked twice"}').body
        same = numbers.suppress(PHONE, b'{"why": "asked twice"}').body

        assert (again["since"], again["why"]) == (first["since"], "asked twice")
        assert [stop["why"] for stop in same["stops"]] == ["asked twice"]

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b"{", "body"),
            (b"[]", "body"),
            (b'"why"', "body"),
            (b"\xff", "body"),
            (b'{"why": "a", "why": "b"}', "body"),
            (b" " * 5000 + b"{}", "body"),
            (b'{"because": "a"}', "because"),
            (b'{"why": 7}', "why"),
            (b'{"why": "two\\nlines"}', "why"),
            (json.dumps({"why": "x" * (LONGEST_WHY + 1)}).encode(), "why"),
        ],
    )
    def test_a_body_that_is_none_is_refused_by_what_is_wrong_with_it(
        self, house: House, numbers: Numbers, body: bytes, named: str
    ) -> None:
        assert problem_of(numbers.suppress(PHONE, body)) == named
        assert house.suppressions.find([PHONE]) == frozenset()

    def test_taking_it_off_takes_it_off_whoever_put_it_there(self, house: House, numbers: Numbers) -> None:
        says(house, "STOP")
        numbers.suppress(PHONE, b"")

        answer = numbers.unsuppress("0912345678")

        assert (answer.status, answer.body) == (200, {"number": PHONE, "lifted": ["operator", "reply"]})
        assert house.suppressions.find([PHONE]) == frozenset()

    def test_what_is_not_on_it_is_not_found(self, numbers: Numbers) -> None:
        never = [numbers.suppression(PHONE), numbers.unsuppress(PHONE)]
        numbers.suppress(PHONE, b"")
        numbers.unsuppress(PHONE)
        no_more = [numbers.suppression(PHONE), numbers.unsuppress(PHONE)]

        assert [answer.status for answer in never + no_more] == [404] * 4
        assert {answer.content_type for answer in never + no_more} == {"application/problem+json"}

    @pytest.mark.parametrize(
        "number", ["", "12345", "abc", "+886912345678,+886912345679", "../x", "\x00", "+999123456789"]
    )
    def test_what_is_no_number_is_refused_and_named(self, numbers: Numbers, number: str) -> None:
        for answer in (numbers.suppression(number), numbers.suppress(number, b""), numbers.unsuppress(number)):
            assert problem_of(answer) == "number"


class TestOverHttp:
    """The sample events, through the function's own handler."""

    @pytest.fixture
    def call(self, house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
        monkeypatch.setattr(Wiring, "ledger", house.ledger)
        monkeypatch.setattr(Wiring, "clock", staticmethod(house.clock))
        app = load_handler(ROOT / "functions/api/app.py")

        def call(name: str, **changes: Any) -> tuple[int, Any]:
            event = json.loads((ROOT / f"events/{name}.json").read_text("utf-8"))
            response = app.handler(event | changes, None)
            return response["statusCode"], json.loads(response["body"])

        return call

    def test_an_operator_puts_a_number_on_the_list_looks_and_takes_it_off(
        self, call: Callable[..., tuple[int, Any]], house: House
    ) -> None:
        put = call("api-put-suppression")
        on_it = house.suppressions.find([PHONE])
        got = call("api-get-suppression")
        deleted = call("api-delete-suppression")
        gone = call("api-get-suppression")

        assert (put[0], put[1]["why"]) == (200, "客訴 2026-117")
        assert on_it == {PHONE}
        assert got == put
        assert deleted == (200, {"number": PHONE, "lifted": ["operator"]})
        assert gone[0] == 404

    def test_an_operator_asks_what_a_phone_said(self, call: Callable[..., tuple[int, Any]], house: House) -> None:
        says(house, "昨天的", "1")
        house.later(hours=1)
        says(house, "好", "2")

        status, body = call("api-get-replies")

        assert (status, [reply["text"] for reply in body["replies"]]) == (200, ["好"])

    def test_what_fails_is_said_without_the_number_and_logged_without_it(
        self,
        call: Callable[..., tuple[int, Any]],
        monkeypatch: pytest.MonkeyPatch,
        house: House,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(house.ledger._client, "get_item", fails)
        caplog.set_level(logging.DEBUG, "smsgate")

        status, body = call("api-get-suppression")

        assert status == 500
        said = json.dumps(body) + "".join(capsys.readouterr()) + caplog.text
        assert "912345678" not in said
