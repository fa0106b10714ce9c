"""What may be asked of a telephone number over HTTP: what it replied, and its place on the stop list."""

from __future__ import annotations

import re
from datetime import datetime

from smsgate.answers import Answer, Json, problem
from smsgate.cursors import closed, opened
from smsgate.items import Plain, stamp
from smsgate.ledger import Ledger
from smsgate.numbers import e164
from smsgate.requests import checked_time
from smsgate.strict_json import NotJson, kind, parse, repeatable
from smsgate.suppression import Change, Source, Stop, Suppression, Suppressions

PAGE = 50
LONGEST_WHY = 200

_LARGEST_BODY = 4096
_LARGEST_KEY = 2048  # DynamoDB's, in bytes
_UNENCODED_OFFSET = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")


class _Invalid(Exception):
    """A parameter or a field that is not what it must be, and how to mend it."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(name)
        self._name = name
        self._detail = detail

    def answer(self) -> Answer:
        problems = [{"field": self._name, "problem": self._detail}]
        return problem(400, "Invalid parameter", self._detail, problems=problems)


class Numbers:
    def __init__(self, ledger: Ledger, suppressions: Suppressions) -> None:
        self._ledger = ledger
        self._suppressions = suppressions

    def replies(self, sender: str | None, since: str | None, cursor: str | None) -> Answer:
        try:
            if not sender:
                raise _Invalid("from", "give the number whose replies you want: ?from=%2B886912345678")
            number = _number("from", sender)
            start = _time("since", since) if since else None
            after = _open_cursor(cursor, number, start) if cursor else None
        except _Invalid as invalid:
            return invalid.answer()
        page = self._ledger.replies_from(number, start, PAGE, after)
        return Answer(
            200,
            {
                "replies": [_reply_json(reply) for reply in page.items],
                "cursor": closed(page.cursor),
            },
        )

    def suppression(self, number: str) -> Answer:
        try:
            known = self._suppressions.read(_number("number", number))
        except _Invalid as invalid:
            return invalid.answer()
        return Answer(200, _suppression_json(known)) if known.stops else _not_listed()

    def suppress(self, number: str, body: bytes) -> Answer:
        try:
            listed, why = _number("number", number), _why(body)
        except _Invalid as invalid:
            return invalid.answer()
        return Answer(200, _suppression_json(self._suppressions.put(listed, why)))

    def unsuppress(self, number: str) -> Answer:
        try:
            listed = _number("number", number)
        except _Invalid as invalid:
            return invalid.answer()
        lifted = self._suppressions.lift(listed)
        return Answer(200, {"number": listed, "lifted": sorted(lifted)}) if lifted else _not_listed()


def _number(name: str, written: str) -> str:
    try:
        # A plus that was not encoded arrives as a space.
        return e164("+" + written[1:] if written.startswith(" ") else written)
    except ValueError as error:
        raise _Invalid(name, str(error)) from None


def _time(name: str, written: str) -> datetime:
    try:
        return checked_time(_UNENCODED_OFFSET.sub("+", written))
    except ValueError as error:
        raise _Invalid(name, str(error)) from None


def _why(body: bytes) -> str | None:
    """The operator's own words, which need not be given."""
    if not body.strip():
        return None
    try:
        told = parse(body, _LARGEST_BODY, 'send {"why": "…"} or nothing')
    except NotJson as error:
        raise _Invalid("body", str(error)) from None
    if not isinstance(told, dict):
        raise _Invalid("body", f'is {kind(told)}; send {{"why": "…"}} or nothing')
    unknown = sorted(told.keys() - {"why"})
    if unknown:
        raise _Invalid(repeatable(unknown[0]), "is not a field of a stop; there is only `why`")
    why = told.get("why")
    if why is None:
        return None
    if not isinstance(why, str) or not why.isprintable() or len(why) > LONGEST_WHY:
        raise _Invalid("why", f"must be one line of at most {LONGEST_WHY} characters")
    return why


def _not_listed() -> Answer:
    return problem(404, "Not on the stop list", "the number is not on the stop list")


def _reply_json(reply: Plain) -> Json:
    return {
        "reply_id": reply["reply_id"],
        "from": reply["from"],
        "text": reply["text"],
        "at": reply["at"],
        "provider": reply["provider"],
        "provider_time": reply.get("provider_time"),
        "message_id": reply.get("message_id"),
        "request_id": reply.get("request_id"),
        "match": reply["match"],
    }


def _suppression_json(known: Suppression) -> Json:
    """The first reason stands for all of them."""
    first = known.stops[0]
    return {
        "number": known.number,
        "since": stamp(first.since),
        "source": first.source.value,
        "why": first.why,
        "stops": [_stop_json(stop) for stop in known.stops],
        "history": [_change_json(change) for change in known.history],
    }


def _stop_json(stop: Stop) -> Json:
    return {
        "source": stop.source.value,
        "since": stamp(stop.since),
        "why": stop.why,
        "provider": stop.provider,
        "reply_id": stop.evidence if stop.source is Source.REPLY else None,
        "message_id": stop.evidence if stop.source is Source.PROVIDER else None,
    }


def _change_json(change: Change) -> Json:
    return {
        "at": stamp(change.at),
        "change": change.change,
        "source": change.source.value,
        "why": change.why,
    }


def _open_cursor(cursor: str, number: str, start: datetime | None) -> dict[str, str]:
    """Nor may it point beyond what was asked for: DynamoDB refuses a key that is outside the query."""
    try:
        key = opened(cursor, "to", f"from:{number}", "accepted_at")
        if key["sk"] != "reply" or not key["pk"].startswith("reply#"):
            raise ValueError
        if start is not None and key["accepted_at"] < stamp(start):
            raise ValueError
    except ValueError:
        raise _Invalid("cursor", "use the cursor of the page before, unchanged, with the same number") from None
    return key
