"""Which replies ask for silence, which end it, and which are answers like any other."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smsgate.providers.smsget import SmsGet
from smsgate.stop_words import _WORDS, word_of
from smsgate.wire import Callback

STOPS = [
    # The words of Twilio and of AWS, and those the FCC names.
    *("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT-OUT", "REMOVE", "TD"),
    *("退訂", "取消訂閱", "停止", "拒收", "不要再傳", "不要再傳了", "請停止發送"),
    *("退订", "取消订阅", "拒收短信", "不要再发了"),
]
STARTS = ["START", "UNSTOP", "SUBSCRIBE", "OPT IN", "訂閱", "恢復", "開始", "恢复", "开始", "重新訂閱"]

DRESSED = [
    "{}",
    " {} ",
    "{}.",
    "{}!!!",
    "「{}」",
    "\t{}\r\n",
    "**{}**",
    "{}。",
    "({})",
    "{} 🙏",
    "🛑{}🛑",
    "{}\ufe0f",
    "\u200b{}\u200d",
    "\ufeff{}",
    "{0} {0} {0}",
]

ANSWERS = [
    "please stop sending the wrong parcel",
    "Don't stop!",
    "stop it",
    "non-stop",
    "nonstop",
    "the end",
    "weekend",
    "I will cancel my order",
    "cancel order 17",
    "STOP 1",
    "1",
    "Y",
    "N",
    "T",
    "yes",
    "YES",
    "no",
    "ok",
    "好的",
    "取消",
    "取消訂單",
    "我要取消預約",
    "不要停止",
    "停止營業了嗎",
    "什麼時候開始",
    "開始了嗎",
    "請問怎麼退訂",
    "退訂金",
    "stóp",
    "",
    " ",
    "...",
    "🛑",
    "👍🏽",
    "\x00",
    "\ud800",
    "0",
    "٣",
]


@pytest.mark.parametrize("dress", DRESSED)
@pytest.mark.parametrize("word", STOPS)
def test_a_stop_word_alone_stops_however_it_is_dressed(word: str, dress: str) -> None:
    found = word_of(dress.format(word))

    assert found is not None
    assert found.stops


@pytest.mark.parametrize("dress", DRESSED)
@pytest.mark.parametrize("word", STARTS)
def test_a_start_word_alone_starts_however_it_is_dressed(word: str, dress: str) -> None:
    found = word_of(dress.format(word))

    assert found is not None
    assert not found.stops


@pytest.mark.parametrize("written", ["stop", "Stop", "sToP", "ＳＴＯＰ", "ｓｔｏｐ", "S T O P", "ｓtop．"])
def test_case_width_and_spaces_make_no_difference(written: str) -> None:
    found = word_of(written)

    assert found is not None
    assert (found.word, found.stops) == ("stop", True)


@pytest.mark.parametrize("typed", ["03退訂", "03 STOP", "03。退訂"])
def test_the_code_a_vendor_wants_before_an_answer_is_no_part_of_the_word(typed: str) -> None:
    content = f"0912345678|59c4e123|2026-11-20 12:00:01|{quote(typed)}"
    (reply,) = SmsGet.read_replies(Callback("POST", "", "", f"content={quote(content)}".encode()))

    found = word_of(reply.text)

    assert found is not None
    assert found.stops


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_no_word(text: str) -> None:
    assert word_of(text) is None


@pytest.mark.parametrize("words", ["stop start", "START, STOP", "退訂訂閱", "stop quit"])
def test_two_different_words_are_no_word(words: str) -> None:
    assert word_of(words) is None


def test_no_word_both_stops_and_starts_and_none_is_another_one_repeated() -> None:
    for word, meant in _WORDS.items():
        assert word_of(word) == meant
        assert [other for other in _WORDS if other != word and other * (len(word) // len(other)) == word] == []


@given(st.text())
def test_whatever_a_phone_sends_is_read_without_a_crash(text: str) -> None:
    found = word_of(text)

    assert found is None or found.word in _WORDS


@given(st.text(st.characters(codec=None), max_size=50))
def test_lone_surrogates_and_unassigned_characters_too(text: str) -> None:
    word_of(text + "\udfff")


SOMETHING_ELSE = st.text("bxyz 7的我你們", min_size=1, max_size=20).filter(str.strip)


@given(st.sampled_from(sorted(_WORDS)), SOMETHING_ELSE, SOMETHING_ELSE)
def test_a_word_inside_a_longer_sentence_is_none(word: str, before: str, after: str) -> None:
    assert word_of(f"{before} {word} {after}") is None
    assert word_of(f"{before} {word}") is None
    assert word_of(f"{word} {after}") is None


@given(
    st.sampled_from(sorted(_WORDS)),
    st.text(st.characters(categories=["P", "S", "Z", "Cc", "Cf"]), max_size=10),
    st.text(st.characters(categories=["P", "S", "Z", "Cc", "Cf"]), max_size=10),
)
def test_what_is_neither_letter_nor_digit_changes_nothing(word: str, before: str, after: str) -> None:
    # Some signs are letters when they are folded: ™ is "tm".
    assume(not any(unicodedata.category(c)[0] in "LN" for c in unicodedata.normalize("NFKC", before + after)))

    assert word_of(before + word + after) == _WORDS[word]
