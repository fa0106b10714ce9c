"""Which providers may carry a message, in which order, and why the others were passed over. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from smsgate.messages import Message
from smsgate.numbers import country
from smsgate.providers.base import Provider
from smsgate.reasons import Code, Reason


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a provider is not used just now, and when it is worth another look."""

    reason: Reason
    until: datetime
    trial: bool = False  # one message may try whether it is mended
    soft: bool = False  # better used than no provider at all


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows, whatever a provider could do."""

    enabled: tuple[str, ...]
    allowed_countries: frozenset[str]
    max_parts: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    provider: str
    parts: int
    points: Decimal


@dataclass(frozen=True, slots=True)
class Route:
    """`candidates` in the order to try. Without any: `waits` says until when and why, `refused` that it is for good."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[tuple[str, str], ...]  # provider, why
    refused: Reason | None = None
    waits: Obstacle | None = None


def route(
    message: Message,
    offers: Mapping[str, type[Provider]],
    obstacles: Mapping[str, Obstacle],
    rules: Rules,
    now: datetime,
) -> Route:
    forbidden = _forbidden(message, rules)
    if forbidden is not None:
        return Route((), (), refused=forbidden)
    candidates: list[Candidate] = []
    passed_over: list[tuple[str, str]] = []
    refusals: list[Reason] = []
    waits: list[Obstacle] = []
    for key in message.providers or rules.enabled:
        if key not in rules.enabled or key not in offers:
            passed_over.append((key, "not enabled"))
            continue
        refusal = offers[key].refusal(message, now)
        if refusal is not None:
            passed_over.append((key, refusal.problem))
            refusals.append(refusal.reason)
            continue
        measure = offers[key].measure(message)
        if rules.max_parts is not None and measure.parts > rules.max_parts:
            passed_over.append((key, f"{measure.parts} parts, MaxParts allows {rules.max_parts}"))
            refusals.append(Reason(Code.TOO_LONG))
            continue
        if key in obstacles:
            passed_over.append((key, f"suspended: {obstacles[key].reason.code}"))
            waits.append(obstacles[key])
            continue
        candidates.append(Candidate(key, measure.parts, measure.points))
    if candidates:
        return Route(tuple(candidates), tuple(passed_over))
    if waits:
        return Route((), tuple(passed_over), waits=min(waits, key=lambda obstacle: obstacle.until))
    return Route((), tuple(passed_over), refused=_common(refusals))


def _forbidden(message: Message, rules: Rules) -> Reason | None:
    where = country(message.to)
    if where not in rules.allowed_countries:
        return Reason(Code.COUNTRY_NOT_ENABLED, provider_text=f"{where or 'this country'} is not in AllowedCountries")
    return None


def _common(refusals: list[Reason]) -> Reason:
    """One reason where all agree, which is the useful answer; else that there is no route."""
    codes = {reason.code for reason in refusals}
    return refusals[0] if len(codes) == 1 else Reason(Code.NO_ROUTE)
