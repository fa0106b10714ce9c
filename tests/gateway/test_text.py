"""Texts: lengths, alphabets, emoji, and what no message may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate import text


@pytest.mark.parametrize(
    ("said", "units"),
    [("", 0), ("abc", 3), ("你好", 2), ("𠮷", 2), ("😀", 2), ("👨\u200d👩\u200d👧", 8), ("a\u0301", 2), ("\ud800", 1)],
)
def test_characters_beyond_the_basic_plane_count_twice(said: str, units: int) -> None:
    assert text.units(said) == units


@given(st.text())
def test_units_are_what_utf_16_takes(said: str) -> None:
    assert text.units(said) == sum(2 if ord(char) > 0xFFFF else 1 for char in said)


@pytest.mark.parametrize(
    ("said", "septets"),
    [
        ("", 0),
        ("hello", 5),
        ("a" * 160, 160),
        ("[€]", 6),
        ("{}[]~\\|^€\f", 20),
        ("@£$¥ΔΦΓ", 7),
        ("Ünäß", 4),
        ("`", None),
        ("ç", None),
        ("Ç", 1),
        ("你", None),
        ("a你[", None),
        ("\t", None),
        ("\x1b", None),
        ("😀", None),
    ],
)
def test_the_gsm_alphabet_counts_its_extension_twice(said: str, septets: int | None) -> None:
    assert text.septets(said) == septets


def test_the_gsm_alphabet_has_128_places_one_of_them_the_escape() -> None:
    assert len(text.GSM_BASIC) == 127
    assert len(text.GSM_EXTENSION) == 10
    assert not text.GSM_BASIC & text.GSM_EXTENSION


def test_what_is_beyond_the_gsm_alphabet_is_named_once() -> None:
    assert text.beyond_gsm("a你[`你€") == ("你", "`")


@pytest.mark.parametrize(
    ("length", "single", "joined", "parts"),
    [
        (1, 70, 67, 1),
        (70, 70, 67, 1),
        (71, 70, 67, 2),
        (134, 70, 67, 2),
        (135, 70, 67, 3),
        (201, 70, 67, 3),
        (202, 70, 67, 4),
        (335, 70, 67, 5),
        (160, 160, 153, 1),
        (161, 160, 153, 2),
        (306, 160, 153, 2),
        (307, 160, 153, 3),
        (459, 160, 153, 3),
        (765, 160, 153, 5),
        (766, 160, 153, 6),
    ],
)
def test_a_long_text_is_counted_in_joined_parts(length: int, single: int, joined: int, parts: int) -> None:
    assert text.parts(length, single, joined) == parts


@pytest.mark.parametrize(
    "one",
    [
        "😀",
        "👍🏽",
        "☝🏽",
        "☎\ufe0f",
        "⌚",
        "⭐",
        "🈚",
        "🀄",
        "🅰",
        "🇹🇼",
        "1\ufe0f\u20e3",
        "#\u20e3",
        "㊗\ufe0f",
        "〰\ufe0f",
        "👨\u200d👩\u200d👧\u200d👦",
        "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏻",
        "🤷\u200d♂\ufe0f",
        "🤷\u200d♂",
        "❤\ufe0f\u200d🔥",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🏳\ufe0f\u200d🌈",
        "🫨",
    ],
)
def test_a_picture_however_it_is_put_together_is_one_emoji(one: str) -> None:
    found = text.emoji(f"你好{one}!{one} 123 abc")

    assert found == (one,)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "hello 123 #*",
        "你好",
        "𠮷野家",
        "𪚥 \U00030000",
        "© ® ™ ℹ ☎ ♥ ★ ☆ ♀ ♂ → ↔ ■ □ ● ◎ ㊣ ㊗ 〒",
        "٣ ０１２",
        "e\u0301 \u200d \u200f שלום",
        "¡¿ßΩ€",
        "葛\U000e0100",
    ],
)
def test_what_has_always_been_text_is_not_emoji(said: str) -> None:
    assert text.emoji(said) == ()


def test_two_flags_are_two_emoji() -> None:
    assert text.emoji("🇹🇼🇭🇰🇹🇼") == ("🇹🇼", "🇭🇰")


@given(st.text())
def test_emoji_are_found_as_they_stand_in_the_text_and_each_once(said: str) -> None:
    found = text.emoji(said)

    assert all(one in said for one in found)
    assert len(set(found)) == len(found)
    assert bool(found) >= any(0x1F600 <= ord(char) <= 0x1F64F for char in said)


CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"]
SEPARATORS = ["\u2028", "\u2029"]
SURROGATES = [chr(half) for half in (0xD800, 0xDBFF, 0xDC00, 0xDFFF)]
NOT_CHARACTERS = [
    "\ufdd0",
    "\ufdef",
    *(chr(plane | last) for plane in (0, 0x10000, 0x100000) for last in (0xFFFE, 0xFFFF)),
]


@pytest.mark.parametrize("char", [*CONTROLS, *SEPARATORS, *SURROGATES, *NOT_CHARACTERS])
def test_what_no_provider_can_carry_is_forbidden_by_name(char: str) -> None:
    assert text.forbidden(f"code {char}123{char}") == (f"U+{ord(char):04X}",)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "two\nlines",
        "你好，世界！",
        "😀👨\u200d👩\u200d👧",
        "\u202bשלום\u202c",
        "a\u0301",
        "]]>&<b>%0A{}${}",
        "\ufffd",
        "\U0010fffd",
        "𠮷",
    ],
)
def test_what_people_write_is_not_forbidden(said: str) -> None:
    assert text.forbidden(said) == ()


@pytest.mark.parametrize("said", ["one\r\ntwo", "one\ntwo"])
def test_a_line_break_is_one_character(said: str) -> None:
    assert text.normalized(said) == "one\ntwo"


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("a中😀", "a中😀"),
        ("\ufeffa", "\ufeffa"),
    ],
)
def test_half_a_character_is_replaced(said: str, whole: str) -> None:
    assert text.whole(said) == whole


def test_a_lone_carriage_return_stays_and_is_forbidden() -> None:
    assert text.forbidden(text.normalized("one\rtwo")) == ("U+000D",)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_not_forbidden_can_stand_in_xml(said: str) -> None:
    allowed = "".join(char for char in said if not text.forbidden(char))

    assert all(
        char == "\n" or 0x20 <= ord(char) <= 0xD7FF or 0xE000 <= ord(char) <= 0xFFFD or ord(char) >= 0x10000
        for char in allowed
    )
