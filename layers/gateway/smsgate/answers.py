"""What the HTTP API answers with: a status and JSON, the same shape for a message wherever it is shown.

An error is a problem by RFC 9457, which names field and remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from smsgate.items import stamp
from smsgate.messages import Attempt, Message, Moment
from smsgate.requests import Problem

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Json = field(repr=False)

    @property
    def content_type(self) -> str:
        return "application/problem+json" if self.status >= 400 else "application/json"


def problem(status: int, title: str, detail: str, **more: Any) -> Answer:
    """RFC 9457."""
    return Answer(status, {"type": "about:blank", "title": title, "status": status, "detail": detail, **more})


def bad_request(name: str, detail: str) -> Answer:
    return problem(400, "Invalid parameter", detail, problems=[{"field": name, "problem": detail}])


def bad_fields(title: str, detail: str, problems: Sequence[Problem]) -> Answer:
    """A body that was understood and cannot be followed; every field with what is wrong with it."""
    named = [{"field": each.field, "problem": each.problem} for each in problems]
    return problem(422, title, detail, problems=named)


def not_found(what: str, detail: str) -> Answer:
    return problem(404, f"Unknown {what}", detail)


def no_message() -> Answer:
    return not_found("message", "no message of this id is known")


def message_json(message: Message) -> Json:
    return {
        "message_id": message.message_id,
        "request_id": message.request_id,
        "to": message.to,
        "status": message.status.value,
        "final": message.status.is_final,
        "reason": message.reason.as_json() if message.reason else None,
        "provider": message.provider,
        "provider_ref": message.provider_ref,
        "parts": message.parts,
        "points": number_json(message.points),
        "accepted_at": stamp(message.accepted_at),
        "send_at": stamp(message.send_at) if message.send_at else None,
        "updated_at": stamp(message.updated_at) if message.updated_at else None,
        "next_attempt_at": stamp(message.next_attempt_at) if message.next_attempt_at else None,
        "label": message.label,
        "context": dict(message.context),
        "attempts": [_attempt_json(attempt) for attempt in message.attempts],
        "timeline": [_moment_json(moment) for moment in message.timeline],
    }


def _attempt_json(attempt: Attempt) -> Json:
    return {
        "provider": attempt.provider,
        "at": stamp(attempt.at),
        "outcome": attempt.outcome,
        "reason": attempt.reason.as_json() if attempt.reason else None,
        "provider_ref": attempt.provider_ref,
    }


def _moment_json(moment: Moment) -> Json:
    shown: Json = {"at": stamp(moment.at), "kind": moment.kind.value}
    if moment.status:
        shown["status"] = moment.status.value
        shown["previous"] = moment.previous.value if moment.previous else None
        shown["revised"] = moment.revised
    if moment.reason:
        shown["reason"] = moment.reason.as_json()
    if moment.data:
        shown["data"] = dict(moment.data)
    return shown


def number_json(number: Decimal | None) -> int | float | None:
    if number is None:
        return None
    return int(number) if number == number.to_integral_value() else float(number)
