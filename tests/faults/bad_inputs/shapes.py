"""The shapes bad input has: what comes in at which entrance, and what must come of it. Plain data, no behaviour."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.bad_inputs.gateway import CANARY

QUEUE, ENVELOPE, DELIVERED_RAW, HTTP, HTTP_BASE64 = ENTRANCES = ("queue", "envelope", "raw", "http", "base64")
"""Where send requests come in: the queue's own body, an SNS envelope, SNS raw delivery, and the API, as text or not."""

TO = "0912345678"
E164 = "+886912345678"
OTHER = "0922333444"
OTHER_E164 = "+886922333444"
TEXT = f"{CANARY}: your parcel is here"
RIGHT: Mapping[str, Any] = {"id": "order-1", "to": TO, "text": TEXT}


def right_with(**fields: Any) -> dict[str, Any]:
    return {**RIGHT, **fields}


def same(given: str) -> str:
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    of: str
    """The class of bad input it is one of: B01 to B42."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted(Variant):
    """A body that must be refused, wherever send requests come in."""

    body: str | bytes = field(repr=False)
    problems: Mapping[str, str]
    """Every field that must be named, with a pattern that its problem must match; no other field may be."""
    entrances: tuple[str, ...] = ENTRANCES
    """Where it can come in, and comes to the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right(Variant):
    """A request that looks wrong and is right: one short message of this text to each of these numbers."""

    request: Mapping[str, Any] = field(repr=False)
    to: tuple[str, ...] = (E164,)
    text: str = field(default=TEXT, repr=False)
    refused: Mapping[str, str] = field(default_factory=dict)
    """By provider that cannot carry it, the code of the reason."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """By provider, how many parts it takes; not looked at where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Variant):
    """A provider's callback, and what it may come to; in each case but the first two it is acknowledged.

    `stranger`: 404, nothing stored. `too large`: 413, nothing stored. `nothing`: a probe, nothing stored.
    `unreadable`, `unmatched`: stored and marked so, and every message as it was. `kept`: stored, and kept in the
    message's timeline, whose status is as it was. `delivered`: understood in spite of all. `reply`: stored as a reply
    from this sender, of this text.
    """

    provider: str
    kind: str
    comes_to: tuple[str, ...]
    query: str = field(default="", repr=False)
    body: bytes | None = field(default=None, repr=False)
    method: str = "GET"
    headers: Mapping[str, str] | None = field(default_factory=dict)
    given: str | None = None
    """Whose URL it was given, as `receipts/smsgo`, where that is not the one of its provider and kind."""
    token: Callable[[str], str] = same
    """Of the token in that URL, makes the one it calls with; `path` does the same with what follows."""
    path: Callable[[str], str] = same
    sender: str = field(default="", repr=False)
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Variant):
    """A question or an order over HTTP that is refused, and changes nothing."""

    route: str
    status: int
    names: str | None = None
    """The field of the problem, where a parameter or a field is at fault."""
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] | None = field(default=None, repr=False)
    body: str | bytes = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken(Variant):
    """A wake-up that wakes nobody. It is told in a log line, counted by this metric, and does not come again."""

    body: str = field(repr=False)
    counts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed(Variant):
    """A mail that is counted by this metric and settles nothing; or, with none, one that is right in spite of all.

    In `raw`, SUBJECT stands for the subject that the message in question has.
    """

    raw: bytes = field(repr=False)
    counts: str | None
    verdicts: Mapping[str, str | None] = field(default_factory=dict)
    source: str = "sendsms@meteorsis.com"
    mail_id: str = "mail-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Variant):
    """A provider's secret that is no good: nobody is called with it, its messages wait, everybody else's go."""

    provider: str
    secret: str = field(repr=False)
    names: str
    """What the log line says of it must match this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed(Variant):
    """A routing document that is no good: it says so, and is not followed."""

    document: str = field(repr=False)
    names: str


def problem_of(of: str, name: str, request: object, where: str, problem: str) -> Posted:
    return Posted(of=of, name=name, body=json.dumps(request), problems={where: problem})
