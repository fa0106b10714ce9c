"""Calls to us, as their senders wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate.wire import Callback


@pytest.mark.parametrize(
    ("query", "body", "is_probe"), [("", b"", True), ("a=1", b"", False), ("", b"a=1", False), ("", b"\x00", False)]
)
def test_a_call_that_says_nothing_is_a_probe(query: str, body: bytes, is_probe: bool) -> None:
    assert Callback("GET", "", query, body).is_probe == is_probe


@pytest.mark.parametrize(
    ("query", "body", "pairs"),
    [
        ("", b"", ()),
        ("a=1&b=%E5%A5%BD+%2B", b"", (("a", "1"), ("b", "好 +"))),
        ("", b"a=1&b=%E5%A5%BD+%2B", (("a", "1"), ("b", "好 +"))),
        ("a=1", b"a=2", (("a", "1"), ("a", "2"))),
        ("a&b=&=c&d=e=f", b"", (("a", ""), ("b", ""), ("", "c"), ("d", "e=f"))),
        ("好=人", "好=人".encode(), (("好", "人"), ("好", "人"))),
        ("a=%A6n", b"", (("a", "\ufffdn"),)),
        ("a=%zz", b"", (("a", "%zz"),)),
    ],
)
def test_query_and_form_are_read_alike(query: str, body: bytes, pairs: tuple[tuple[str, str], ...]) -> None:
    assert Callback("POST", "", query, body).pairs() == pairs


@given(value=st.binary())
def test_what_is_percent_encoded_in_no_known_charset_is_had_byte_for_byte(value: bytes) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in value)
    raw = bytes(byte for byte in value if byte not in b"%&+")

    ((_, queried), (_, posted)) = Callback("POST", "", f"a={escaped}", b"a=" + raw).pairs("latin-1")

    assert (queried.encode("latin-1"), posted.encode("latin-1")) == (value, raw)


@pytest.mark.parametrize(
    ("query", "body"), [("&".join(["a=1"] * 51), b""), ("", b"&".join([b"a=1"] * 51)), ("", b"\xff"), ("\ud800", b"")]
)
def test_what_no_vendor_sends_is_not_read(query: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"Max number of fields|codec can't decode"):
        Callback("POST", "", query, body).pairs()
