"""Only the addresses we gave out are genuine, each for its own message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.callback_urls import first_of_many, is_genuine, named, receipt_url, reply_url
from smsgate.secrets import Callbacks

CURRENT, PREVIOUS = "k7Zt0v3mQ1xW9y2uJ5aBnA", "p3Fq8r6sT4yU1oV0cXzDhL"
CALLBACKS = Callbacks((CURRENT, PREVIOUS), "https://sms.example.org")
MESSAGE = "abcdefghijklmnopqrstuvwx-1"


def parts(url: str) -> tuple[str, str, str, str]:
    kind, provider, token, rest = url.removeprefix("https://sms.example.org/").split("/", 3)
    return kind, provider, token, rest


def test_a_messages_own_url_is_genuine() -> None:
    kind, provider, token, rest = parts(receipt_url(CALLBACKS, "plainline", MESSAGE))

    assert (kind, provider, rest) == ("receipts", "plainline", MESSAGE)
    assert is_genuine(CALLBACKS.tokens, kind, provider, token, rest)


def test_a_url_given_out_before_a_rotation_stays_genuine_while_its_token_is_listed() -> None:
    kind, provider, token, rest = parts(
        receipt_url(Callbacks((PREVIOUS,), "https://sms.example.org"), "plainline", MESSAGE)
    )

    assert is_genuine((CURRENT, PREVIOUS), kind, provider, token, rest)
    assert not is_genuine((CURRENT,), kind, provider, token, rest)


@pytest.mark.parametrize("token", [CURRENT, PREVIOUS])
def test_an_accounts_token_is_genuine_with_and_without_more_path(token: str) -> None:
    assert is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, "")
    assert is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, "any/thing")


def test_a_messages_url_neither_holds_the_accounts_token_nor_opens_another_message_provider_or_kind() -> None:
    _, _, token, _ = parts(receipt_url(CALLBACKS, "plainline", MESSAGE))

    assert CURRENT not in token
    assert not is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, "abcdefghijklmnopqrstuvwx-2")
    assert not is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, "")
    assert not is_genuine(CALLBACKS.tokens, "receipts", "castello", token, MESSAGE)
    assert not is_genuine(CALLBACKS.tokens, "replies", "plainline", token, MESSAGE)
    assert parts(reply_url(CALLBACKS, "plainline", MESSAGE))[2] != token


@pytest.mark.parametrize("good", [CURRENT, parts(receipt_url(CALLBACKS, "plainline", MESSAGE))[2]])
def test_a_token_with_any_character_changed_added_or_missing_is_refused(good: str) -> None:
    bent = [
        good[:place] + other + good[place + 1 :]
        for place in range(len(good))
        for other in "A_é"
        if good[place] != other
    ]
    bent += [good[:-1], good + "A", "", good.swapcase()]

    assert not any(is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, MESSAGE) for token in bent)


@given(st.text(max_size=60), st.text(max_size=40))
def test_nothing_made_up_is_genuine_and_nothing_breaks_the_check(token: str, rest: str) -> None:
    assert not is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, rest)


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=24, max_size=24), st.integers(0, 9999))
def test_a_url_fits_where_vendors_take_it(hashed: str, position: int) -> None:
    """smsgo takes at most 300 characters and appends `?msgid=…` to whatever it was given."""
    url = reply_url(CALLBACKS, "meteorsis", f"{hashed}-{position}")

    assert len(url) <= 300
    assert "?" not in url
    assert url.isascii()


def test_a_call_of_many_has_a_url_of_its_own_that_names_the_first() -> None:
    many = first_of_many(MESSAGE)
    _, _, token, rest = parts(receipt_url(CALLBACKS, "plainline", many))

    assert named(rest) == (MESSAGE, True)
    assert named(MESSAGE) == (MESSAGE, False)
    assert is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, rest)
    assert not is_genuine(CALLBACKS.tokens, "receipts", "plainline", token, MESSAGE)
