"""Plainline's own test: the contract, and its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from smsgate.outcomes import Outcome, Refused
from smsgate.providers.plainline import Plainline
from smsgate.reasons import Code
from tests.providers.contract import ProviderContract


def no(code: str) -> bytes:
    return json.dumps({"ok": False, "code": code}).encode()


CODES: Mapping[str, tuple[type[Outcome], Code]] = {
    "number": (Refused, Code.INVALID_NUMBER),
    "credit": (Refused, Code.CREDIT_EXHAUSTED),
    "password": (Refused, Code.BAD_CREDENTIALS),
}


class TestSending(ProviderContract):
    provider_class = Plainline
    account: ClassVar[Mapping[str, object]] = {"username": "someone", "password": "s3cret-canary-password"}
    ok = b'{"ok": true, "ref": "p1"}'
    ok_ref = "p1"
    without_reference = (b'{"ok": true}', b'{"ok": true, "ref": ""}', b'{"ok": true, "ref": 1}')
    unlisted: ClassVar[Mapping[str, bytes]] = {"novel": no("novel")}
    codes = CODES

    def says(self, code: str) -> bytes:
        return no(code)

    def is_success(self, body: bytes) -> bool:
        try:
            answer = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return False
        return isinstance(answer, dict) and answer.get("ok") is True and isinstance(answer.get("ref"), str)
