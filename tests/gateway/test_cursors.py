"""Cursors: what was handed out leads on, and what was made up leads nowhere."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.cursors import closed, opened

KEY = {"pk": "abc", "sk": "m#1", "to": "+886912345678", "accepted_at": "2026-11-20T04:00:00.000000Z"}


def read(cursor: str) -> dict[str, str]:
    return opened(cursor, "to", KEY["to"], "accepted_at")


def written(key: object) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def test_what_was_handed_out_leads_on() -> None:
    cursor = closed(KEY)

    assert cursor is not None
    assert read(cursor) == KEY
    assert closed(None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"pk": ""},
        {"sk": ""},
        {"pk": "x" * 1025},
        {"pk": "字" * 342},
        {"pk": "\ud83d"},
        {"pk": None},
        {"pk": ["abc"]},
        {"to": "+886912345679"},
        {"accepted_at": "now"},
        {"accepted_at": "2026-11-20T12:00:00+08:00"},
        {"more": "x"},
    ],
)
def test_a_key_that_no_list_ends_at_is_none(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        read(written({**KEY, **changed}))


@given(st.text() | st.binary().map(lambda said: urlsafe_b64encode(said).decode()))
def test_whatever_was_made_up_is_none(cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        read(cursor)
