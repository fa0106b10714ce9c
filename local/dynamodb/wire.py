"""DynamoDB's JSON: what a body says, with bytes as bytes, and an answer as it travels."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import orjson


def read(body: bytes) -> dict[str, Any]:
    """Raises ValueError on what is no JSON object."""
    holds_bytes = b'"B"' in body or b'"BS"' in body
    asked = json.loads(body, object_hook=_with_bytes) if holds_bytes else orjson.loads(body or b"{}")
    if not isinstance(asked, dict):
        raise ValueError("a request is a JSON object")  # one error for whatever cannot be read
    return asked


def written(answer: Any) -> bytes:
    return orjson.dumps(answer, default=_base64)


def _with_bytes(found: dict[str, Any]) -> dict[str, Any]:
    """An attribute that is itself named B holds an object, never text: this is the value's type."""
    if len(found) == 1:
        if isinstance(text := found.get("B"), str):
            return {"B": b64decode(text)}
        if isinstance(texts := found.get("BS"), list):
            return {"BS": [b64decode(text) for text in texts]}
    return found


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is nothing that DynamoDB knows")
