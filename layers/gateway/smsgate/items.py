"""How a message lies in the table: every attribute of its item, out and back in, as plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32

from smsgate.messages import Attempt, Claim, Form, Kind, Lane, Message, Moment, OnDoubt, TooLong
from smsgate.reasons import Code, Reason
from smsgate.status import Status

Plain = dict[str, Any]
"""An item as plain values; attributes.py knows how DynamoDB types them."""

DUE_SHARDS = 4
"""A sparse index of one key would slow the table down at about a thousand messages a second."""

DOUBT = "doubt"
"""A shard of its own for messages that nothing but evidence or an operator settles: to be counted, not looked at."""


def stamp(moment: datetime) -> str:
    """Times as text of one width, so that they sort as they follow one another."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def message_to_plain(message: Message, retention: timedelta) -> Plain:
    plain: Plain = {
        "message_id": message.message_id,
        "request_id": message.request_id,
        "to": message.to,
        "text": message.text,
        "accepted_at": stamp(message.accepted_at),
        "digest": message.digest,
        "lane": message.lane.value,
        "name": message.name,
        "providers": list(message.providers) or None,
        "send_at": _stamp(message.send_at),
        "valid_for": message.valid_for,
        "sender": message.sender,
        "reply_days": message.reply_days,
        "form": message.form.value if message.form is not Form.TEXT else None,
        "url": message.url,
        "too_long": message.too_long.value if message.too_long is not TooLong.SPLIT else None,
        "on_doubt": message.on_doubt.value if message.on_doubt is not OnDoubt.HOLD else None,
        "label": message.label,
        "context": dict(message.context) or None,
        "private": message.private or None,
        "status": message.status.value,
        "reason": _reason_to_plain(message.reason),
        "provider": message.provider,
        "provider_ref": message.provider_ref,
        "parts": message.parts,
        "points": message.points,
        "updated_at": _stamp(message.updated_at),
        "next_attempt_at": _stamp(message.next_attempt_at),
        "due_at": _stamp(_listed_at(message)),
        "due_shard": _shard(message),
        "reported_at": message.reported_at,
        "checks": message.checks or None,
        "admitted": message.admitted or None,
        "turn": message.turn,
        "waits_for": message.waits_for,
        "claim": _claim_to_plain(message.claim),
        "attempts": [_attempt_to_plain(attempt) for attempt in message.attempts] or None,
        "timeline": [_moment_to_plain(moment) for moment in message.timeline] or None,
        "version": message.version,
        "expires": int(((message.send_at or message.accepted_at) + retention).timestamp()),
    }
    return {name: value for name, value in plain.items() if value is not None}


def message_from_plain(plain: Plain) -> Message:
    return Message(
        message_id=plain["message_id"],
        request_id=plain["request_id"],
        to=plain["to"],
        text=plain.get("text"),
        accepted_at=time_of(plain["accepted_at"]),
        digest=plain["digest"],
        lane=Lane(plain["lane"]),
        name=plain.get("name"),
        providers=tuple(plain.get("providers", ())),
        send_at=_time(plain.get("send_at")),
        valid_for=_int(plain.get("valid_for")),
        sender=plain.get("sender"),
        reply_days=_int(plain.get("reply_days")),
        form=Form(plain.get("form", Form.TEXT)),
        url=plain.get("url"),
        too_long=TooLong(plain.get("too_long", TooLong.SPLIT)),
        on_doubt=OnDoubt(plain.get("on_doubt", OnDoubt.HOLD)),
        label=plain.get("label"),
        context=tuple(sorted(plain.get("context", {}).items())),
        private=plain.get("private", False),
        status=Status(plain["status"]),
        reason=reason_from_plain(plain.get("reason")),
        provider=plain.get("provider"),
        provider_ref=plain.get("provider_ref"),
        parts=_int(plain.get("parts")),
        points=plain.get("points"),
        updated_at=_time(plain.get("updated_at")),
        next_attempt_at=_time(plain.get("next_attempt_at")),
        due_at=_time(plain.get("due_at")) if plain.get("due_shard") != DOUBT else None,
        reported_at=plain.get("reported_at"),
        checks=int(plain.get("checks", 0)),
        admitted=plain.get("admitted", False),
        turn=plain.get("turn"),
        waits_for=plain.get("waits_for"),
        claim=_claim_from_plain(plain.get("claim")),
        attempts=tuple(_attempt_from_plain(attempt) for attempt in plain.get("attempts", ())),
        timeline=tuple(_moment_from_plain(moment) for moment in plain.get("timeline", ())),
        version=int(plain["version"]),
    )


def due_shards() -> list[str]:
    return [str(place) for place in range(DUE_SHARDS)]


def waiting_shards(waits_for: str) -> list[str]:
    """What waits for one provider lies apart: to be found when that takes messages again, and left alone till then."""
    return [f"waits#{waits_for}#{shard}" for shard in due_shards()]


def _shard(message: Message) -> str | None:
    if message.status is Status.DOUBTFUL:
        return DOUBT
    if message.due_at is None:
        return None
    # By the whole of the id: nearly every request has one message, and it is the first of all of them.
    place = crc32(message.message_id.encode()) % DUE_SHARDS
    waits_for = message.waits_for if message.status is Status.ACCEPTED else None
    return waiting_shards(waits_for)[place] if waits_for else due_shards()[place]


def _listed_at(message: Message) -> datetime | None:
    """Its place in the index: when it is due, or since when it has been doubtful."""
    if message.status is not Status.DOUBTFUL:
        return message.due_at
    since = (moment.at for moment in reversed(message.timeline) if moment.status is Status.DOUBTFUL)
    return next(since, message.accepted_at)


def reason_from_plain(plain: Plain | None) -> Reason | None:
    if plain is None:
        return None
    return Reason(Code(plain["code"]), plain.get("provider_code"), plain.get("provider_text"))


def _reason_to_plain(reason: Reason | None) -> Plain | None:
    if reason is None:
        return None
    plain = {"code": reason.code.value, "provider_code": reason.provider_code, "provider_text": reason.provider_text}
    return _without_none(plain)


def _claim_to_plain(claim: Claim | None) -> Plain | None:
    return {"provider": claim.provider, "until": stamp(claim.until)} if claim else None


def _claim_from_plain(plain: Plain | None) -> Claim | None:
    return Claim(plain["provider"], time_of(plain["until"])) if plain else None


def _attempt_to_plain(attempt: Attempt) -> Plain:
    return _without_none(
        {
            "provider": attempt.provider,
            "at": stamp(attempt.at),
            "outcome": attempt.outcome,
            "reason": _reason_to_plain(attempt.reason),
            "provider_ref": attempt.provider_ref,
            "batch": attempt.batch,
        }
    )


def _attempt_from_plain(plain: Plain) -> Attempt:
    return Attempt(
        plain["provider"],
        time_of(plain["at"]),
        plain["outcome"],
        reason_from_plain(plain.get("reason")),
        plain.get("provider_ref"),
        plain.get("batch"),
    )


def _moment_to_plain(moment: Moment) -> Plain:
    return _without_none(
        {
            "at": stamp(moment.at),
            "kind": moment.kind.value,
            "status": moment.status.value if moment.status else None,
            "previous": moment.previous.value if moment.previous else None,
            "revised": moment.revised or None,
            "reason": _reason_to_plain(moment.reason),
            "data": dict(moment.data) or None,
        }
    )


def _moment_from_plain(plain: Plain) -> Moment:
    return Moment(
        time_of(plain["at"]),
        Kind(plain["kind"]),
        Status(plain["status"]) if "status" in plain else None,
        Status(plain["previous"]) if "previous" in plain else None,
        plain.get("revised", False),
        reason_from_plain(plain.get("reason")),
        tuple(sorted(plain.get("data", {}).items())),
    )


def _without_none(plain: Plain) -> Plain:
    return {name: value for name, value in plain.items() if value is not None}


def _stamp(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None


def _time(text: str | None) -> datetime | None:
    return time_of(text) if text else None


def _int(number: Decimal | None) -> int | None:
    return int(number) if number is not None else None
