"""Between API Gateway's events and callbacks: whatever an event holds, bytes come of it that can be stored."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smsgate.callbacks import body_of, callback_of


def event(**fields: Any) -> dict[str, Any]:
    return {"requestContext": {"http": {"method": "GET"}}, **fields}


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ({}, b""),
        ({"body": None}, b""),
        ({"body": "a=b"}, b"a=b"),
        ({"body": "簡"}, "簡".encode()),
        ({"body": base64.b64encode(b"\xa6\xff").decode(), "isBase64Encoded": True}, b"\xa6\xff"),
        ({"body": "", "isBase64Encoded": True}, b""),
        ({"body": "a", "isBase64Encoded": True}, b"a"),
        ({"body": "簡訊", "isBase64Encoded": True}, "簡訊".encode()),
    ],
)
def test_a_body_is_the_bytes_that_came_and_what_is_no_base64_is_text(said: dict[str, Any], body: bytes) -> None:
    assert body_of(event(**said)) == body


@pytest.mark.parametrize("missing", [{}, {"pathParameters": None, "headers": None}])
def test_an_event_without_path_or_headers_is_a_callback_of_nobody(missing: dict[str, Any]) -> None:
    provider, token, callback = callback_of(event(**missing))

    assert (provider, token) == ("", "")
    assert (callback.path, callback.query, callback.content_type) == ("", "", "")


def test_half_a_surrogate_pair_which_no_bytes_of_a_call_mean_does_not_come_through() -> None:
    half = "a\ud83d"
    parameters = {"provider": "plainline", "token": "t", "proxy": half}

    _, _, callback = callback_of(event(pathParameters=parameters, rawQueryString=half, headers={"content-type": half}))

    assert (callback.path, callback.query, callback.content_type) == ("a\ufffd",) * 3
