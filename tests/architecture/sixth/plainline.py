"""Plainline, guide 2.3: `to` and `text` by POST, JSON back; reports by GET to the account's address. Invented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qs

from smsgate.messages import Dispatch, Message, Report
from smsgate.numbers import e164
from smsgate.outcomes import Accepted, MaybeSent, Outcome, Refused
from smsgate.providers.base import (
    Capabilities,
    Measure,
    Provider,
    ReadsReceipts,
    Refusal,
    refuse,
    secret_text,
    submit,
    takes,
)
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.text import is_ascii, parts, units
from smsgate.urls import base_url
from smsgate.wire import Callback, HttpExchange, HttpRequest, HttpResponse

# Guide, table 4.
CODES = {"number": Code.INVALID_NUMBER, "credit": Code.CREDIT_EXHAUSTED, "password": Code.BAD_CREDENTIALS}
STATUSES = {"there": Status.DELIVERED, "lost": Status.UNDELIVERED}


class Plainline(Provider, ReadsReceipts):
    key = "plainline"
    name = "Plainline"
    capabilities = Capabilities("http", 1, None, "70 / 160 characters", receipts="account")

    def __init__(self, account: Mapping[str, object]) -> None:
        self._username = secret_text(account, "username")
        self._password = secret_text(account, "password")
        self._url = base_url(account, "https://api.plainline.example/")

    @classmethod
    def measure(cls, message: Message) -> Measure:
        text = message.text or ""
        single, joined = (160, 153) if is_ascii(text) else (70, 67)
        count = parts(units(text), single, joined)
        return Measure(count, Decimal(count), "ascii" if is_ascii(text) else "ucs2")

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        if measure.parts > 1:
            return refuse(Code.TOO_LONG, f"{takes(measure)}, and Plainline sends one: shorten it")
        return None

    def send(self, dispatch: Dispatch, exchange: HttpExchange) -> tuple[Outcome, ...]:
        (message,) = dispatch.messages
        fields = (
            ("user", self._username),
            ("pass", self._password),
            ("to", message.to.removeprefix("+")),
            ("text", message.text or ""),
        )
        return (submit(exchange, HttpRequest("POST", f"{self._url}send", fields), _read),)

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        fields = parse_qs(callback.query, strict_parsing=True)
        word, to = fields["status"][0], e164("+" + fields["to"][0].strip("+ "))
        return [Report(STATUSES.get(word), None, word, provider_ref=fields["ref"][0], to=to)]


def _read(response: HttpResponse) -> Outcome:
    answer = json.loads(response.text())
    if answer["ok"] is True and isinstance(answer["ref"], str) and answer["ref"]:
        return Accepted(answer["ref"])
    if answer["ok"] is False and answer["code"] in CODES:
        return Refused(Reason(CODES[answer["code"]], provider_code=answer["code"]))
    return MaybeSent(Reason(Code.UNKNOWN, provider_code=answer["code"]))
