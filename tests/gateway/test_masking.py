"""What may stand in a log line, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate import masking
from smsgate.masking import conceal, forget_texts, masked, shown, withhold


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    masking._secrets.clear()
    masking._texts.clear()


@pytest.mark.parametrize(
    "written",
    [
        "+886912345678",
        "886912345678",
        "0912345678",
        "0912-345-678",
        "0912 345 678",
        "(0912) 345-678",
        "+886 (0)912.345.678",
        "%2B886912345678",
        "+886%20912%20345%20678",
        "0912_345_678",
        "0912, 345, 678",
        "０９１２３４５６７８",
        "٠٩١٢٣٤٥٦٧٨",
        "0912–345–678",
        "order-0912345678-x",
        "tel:0912345678",
        "a0912345678b",
        "2345678",
    ],
)
def test_seven_digits_and_more_are_a_telephone_number_however_written(written: str) -> None:
    line = masked(f"to {written} again")

    digits = [character for character in line if character.isdigit()]
    assert "***" in line
    assert len(digits) <= 5  # The last three, and the `2` of a `%2B`.
    assert line.startswith("to ")
    assert line.endswith(" again")


@given(st.from_regex(r"\+?[0-9]([ .()-]?[0-9]){6,14}", fullmatch=True))
def test_no_number_of_seven_digits_comes_through(number: str) -> None:
    assert sum(character.isdigit() for character in masked(number)) <= 3


@pytest.mark.parametrize(
    "identifier",
    [
        "059f36b4-87a3-44ab-83d2-661975830a7d",
        "12345678-1234-4234-8234-123456789012",
        "abcdefghijklmnopqrstuvwx-0",
        "2345672345672345672345ab-9999",
        "1-5759e988-bd862e3fe1be46a994272793",
        "callback#twsms#0123456789abcdef0123456789abcdef01234567",
        "2026-11-21T09:46:00.123456+00:00",
        "2026-11-21T09:46:00Z",
        "2026-11-21 09:46",
        "2026-11-21",
        "HTTP 502 after 3 of 100",
    ],
)
def test_ids_and_times_stay_readable(identifier: str) -> None:
    assert masked(identifier) == identifier
    assert masked(f"<{identifier}>") == f"<{identifier}>"


def test_an_id_beside_a_number_does_not_save_the_number() -> None:
    line = masked("059f36b4-87a3-44ab-83d2-661975830a7d 0912345678 on 2026-11-21 to 0912345678")

    assert line == "059f36b4-87a3-44ab-83d2-661975830a7d ***678 on 2026-11-21 to ***678"


@pytest.mark.parametrize("secret", ["hunter22", "p&ss w=rd%", "密碼密碼", "line\nbreak", "quote'\"s", "1234"])
def test_a_secret_is_hidden_in_whatever_encoding_it_turns_up(secret: str) -> None:
    conceal(secret)

    assert masked(f"password is {secret}!") == "password is ***!"
    assert masked(repr({"password": secret})).count("***") == 1
    assert masked(urlencode({"password": secret})) == "password=***"
    assert masked(quote(secret)) == "***"
    assert masked("another sentence") == "another sentence"


def test_of_two_secrets_that_overlap_nothing_is_left() -> None:
    conceal("abcd")
    conceal("abcdefgh")

    assert masked("abcdefgh") == "***"


def test_what_is_too_short_to_be_a_secret_does_not_ruin_every_line() -> None:
    conceal("")
    conceal("e")
    conceal("sms")

    assert masked("the sms gateway") == "the sms gateway"


def test_a_text_is_withheld_until_the_invocation_ends() -> None:
    withhold("Hello")
    during = masked("sent Hello")
    forget_texts()

    assert during == "sent ***"
    assert masked("sent Hello") == "sent Hello"


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (17, 17),
        (0.25, 0.25),
        (886912345678, "***678"),
        (886912345678.0, "*****.0"),
        (float("nan"), "nan"),
        (Decimal("12.5"), "12.5"),
        (Decimal(886912345678), "***678"),
        ("twsms", "twsms"),
        (Colour.RED, "red"),
        ("https://api.example.com/json/", "https://api.example.com/json/"),
        ("https://api.example.com/?password=x", "<35 characters>"),
        ("Your code is 42", "<15 characters>"),
        ("驗證碼", "<3 characters>"),
        ("line\nbreak", "<10 characters>"),
        (b"bytes", "<bytes>"),
        (ValueError("Your code is 42"), "ValueError"),
        (ValueError, "ValueError"),
        (datetime(2026, 11, 21, 9, 46, tzinfo=UTC), "2026-11-21T09:46:00+00:00"),
        (date(2026, 11, 21), "2026-11-21"),
        (timedelta(seconds=90), "0:01:30"),
        (["to", "two words", ["a"]], ["to", "<9 characters>", ["a"]]),
        (("a",), ["a"]),
        ({"code": "42", "text": "word", "Your code": 1}, {"code": "42", "text": "***", "<9 characters>": 1}),
        (object(), "<object>"),
    ],
)
def test_a_value_is_shown_if_it_looks_like_a_word_of_a_machine(value: object, expected: object) -> None:
    if isinstance(value, float) and value > 1_000_000:
        assert "886912345678" not in str(shown(value))
    else:
        assert shown(value) == expected


@pytest.mark.parametrize("key", ["text", "body", "password", "Username", "user_name", "token", "payload", "sms_text"])
def test_some_keys_are_never_shown(key: str) -> None:
    assert shown("word", key) == "***"
    assert shown({key: ["word"]}) == {key: "***"}


def test_a_sentence_of_ours_is_shown_under_its_key_alone() -> None:
    sentence = "smsgate/providers/twsms: must hold one JSON object"

    assert shown(sentence, "problem") == sentence
    assert shown(sentence, "note") == f"<{len(sentence)} characters>"
    assert shown("the number 0912345678", "problem") == "the number ***678"


@pytest.mark.parametrize("reference", ["1234567890", "59f36b4-87a3", "10001"])
def test_a_provider_s_reference_is_what_settles_a_message_by_hand(reference: str) -> None:
    assert shown(reference, "provider_ref") == reference


@pytest.mark.parametrize("number", ["0912345678", "886912345678", "00886912345678", "+886912345678", "85291234567"])
def test_a_number_is_no_reference(number: str) -> None:
    assert number not in str(shown(number, "provider_ref"))


def test_what_is_nested_or_long_without_end_comes_to_one() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert "<list>" in str(shown(endless))
    assert len(str(shown(["word"] * 10_000))) < 1000
    assert len(masked("word " * 10_000)) <= 2000
