"""Which providers may carry a message, in which order, and why the others were passed over. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from math import log

from smsgate.messages import Message
from smsgate.numbers import country
from smsgate.policy import Mode
from smsgate.providers.base import Measure, Provider
from smsgate.reasons import Code, Reason
from smsgate.routing_document import Choose, RoutingDocument, Rule, Use

_NO_DOCUMENT = RoutingDocument()
_OWN = "the request's own"


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
    trial: bool = False  # suspended, and to be tried by one message; only ever the first candidate


@dataclass(frozen=True, slots=True)
class Route:
    """`candidates` in the order to try. Without any: `waits` says until when and why, and `waits_for` whom; `refused`
    that it is for good."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[tuple[str, str], ...]  # provider, why
    refused: Reason | None = None
    waits: Obstacle | None = None
    waits_for: str | None = None
    monitored: tuple[str, ...] = ()  # limits that would have changed it, were they enforced
    explained: tuple[tuple[str, str], ...] = ()  # all of the decision, for the timeline


@dataclass(frozen=True, slots=True)
class _Fit:
    """A provider that can carry the message."""

    use: Use
    measure: Measure


class _Why:
    """What is found against providers on the way to a route."""

    def __init__(self) -> None:
        self.passed_over: list[tuple[str, str]] = []
        self.refusals: list[Reason] = []
        self.waits: list[tuple[str, Obstacle]] = []

    def refused(self, provider: str, why: str, reason: Reason | None = None) -> None:
        self.passed_over.append((provider, why))
        if reason is not None:
            self.refusals.append(reason)

    def closed(self, provider: str, obstacle: Obstacle) -> None:
        self.passed_over.append((provider, f"suspended: {obstacle.reason.code}"))
        self.waits.append((provider, obstacle))


def route(
    message: Message,
    offers: Mapping[str, type[Provider]],
    obstacles: Mapping[str, Obstacle],
    rules: Rules,
    now: datetime,
    document: RoutingDocument = _NO_DOCUMENT,
) -> Route:
    where = country(message.to)
    abroad = where not in rules.allowed_countries
    if abroad and document.policy.countries is Mode.ENFORCE:
        forbidden = f"{where} is not in AllowedCountries"
        reason = Reason(Code.COUNTRY_NOT_ENABLED, provider_text=forbidden)
        return Route((), (), refused=reason, explained=(("limit", forbidden),))

    found = document.class_of(message)
    rule = _rule(message, rules, document, found.name if found else None, where, now)
    why = _Why()
    fits = _in_order(_fitting(message, offers, rules, rule, document.policy.parts, now, why), rule, message)
    if not rule.failover:
        why.passed_over += [(fit.use.provider, "the rule does not fail over") for fit in fits[1:]]
        fits = fits[:1]
    usable = _usable(fits, obstacles, why)
    candidates = tuple(_candidate(fit, obstacles) for fit in usable)

    monitored = ("AllowedCountries",) if abroad else ()
    if candidates and rules.max_parts is not None and candidates[0].parts > rules.max_parts:
        monitored = (*monitored, "MaxParts")
    explained = (
        *((("class", found.name),) if found else ()),
        ("rule", rule.name),
        *((("candidates", ", then ".join(_told(fit, obstacles) for fit in usable)),) if usable else ()),
        *((("monitored", ", ".join(monitored)),) if monitored else ()),
        *why.passed_over,
        *_left_out(rule, rules),
    )
    closed = sorted(why.waits, key=lambda wait: wait[1].until) if not candidates else []
    waits_for, waits = closed[0] if closed else (None, None)
    refused = None if candidates or waits else _common(why.refusals)
    return Route(candidates, tuple(why.passed_over), refused, waits, waits_for, monitored, explained)


def _rule(
    message: Message, rules: Rules, document: RoutingDocument, class_name: str | None, where: str, now: datetime
) -> Rule:
    """The request's own choice, or the document's, or every enabled provider in the operator's order."""
    if message.providers:
        return Rule(_OWN, tuple(Use(key) for key in message.providers))
    return document.rule_for(message, class_name, where, now) or Rule(
        "default", tuple(Use(key) for key in rules.enabled)
    )


def _fitting(
    message: Message,
    offers: Mapping[str, type[Provider]],
    rules: Rules,
    rule: Rule,
    parts: Mode,
    now: datetime,
    why: _Why,
) -> list[_Fit]:
    fits: list[_Fit] = []
    for use in rule.use:
        key = use.provider
        if key not in rules.enabled or key not in offers:
            why.refused(key, "not enabled")
            continue
        refusal = offers[key].refusal(message, now)
        if refusal is not None:
            why.refused(key, refusal.problem, refusal.reason)
            continue
        measure = offers[key].measure(message)
        if parts is Mode.ENFORCE and rules.max_parts is not None and measure.parts > rules.max_parts:
            why.refused(key, f"{measure.parts} parts, MaxParts allows {rules.max_parts}", Reason(Code.TOO_LONG))
            continue
        fits.append(_Fit(use, measure))
    return fits


def _in_order(fits: list[_Fit], rule: Rule, message: Message) -> list[_Fit]:
    """By priority, and in one priority as the rule chooses; what is equal stays as it is listed."""
    if rule.choose is Choose.CHEAPEST:
        return sorted(fits, key=lambda fit: (fit.use.priority, fit.measure.points * fit.use.price))
    if rule.choose is Choose.WEIGHTED:
        return sorted(fits, key=lambda fit: (fit.use.priority, _draw(message.message_id, fit.use)))
    return sorted(fits, key=lambda fit: fit.use.priority)


def _draw(message_id: str, use: Use) -> float:
    """Whose is the lowest comes first: as often as the weights say, and for one message always the same.

    An exponential variate by weight, each of its provider's own: that one drops out leaves the order of the others.
    """
    drawn = int.from_bytes(sha256(f"{message_id} {use.provider}".encode()).digest()[:8], "big")
    return -log((drawn + 0.5) / 2**64) / use.weight


def _usable(fits: list[_Fit], obstacles: Mapping[str, Obstacle], why: _Why) -> list[_Fit]:
    """Those without an obstacle, then those whose obstacle is soft; one to be tried again only in the first place."""
    usable: list[_Fit] = []
    on_trial: list[_Fit] = []
    for fit in sorted(fits, key=lambda fit: _is_soft(fit, obstacles)):
        obstacle = obstacles.get(fit.use.provider)
        if obstacle is not None and obstacle.trial and usable:
            on_trial.append(fit)
        elif obstacle is not None and not obstacle.trial and not obstacle.soft:
            why.closed(fit.use.provider, obstacle)
        else:
            usable.append(fit)
    for fit in on_trial:
        code = obstacles[fit.use.provider].reason.code
        why.passed_over.append((fit.use.provider, f"suspended: {code}; tried again as the first choice only"))
    return usable


def _is_soft(fit: _Fit, obstacles: Mapping[str, Obstacle]) -> bool:
    obstacle = obstacles.get(fit.use.provider)
    return obstacle is not None and obstacle.soft


def _candidate(fit: _Fit, obstacles: Mapping[str, Obstacle]) -> Candidate:
    obstacle = obstacles.get(fit.use.provider)
    return Candidate(fit.use.provider, fit.measure.parts, fit.measure.points, obstacle is not None and obstacle.trial)


def _told(fit: _Fit, obstacles: Mapping[str, Obstacle]) -> str:
    points = f"{fit.measure.points.normalize():f}"
    price = f" at {fit.use.price:f}" if fit.use.price != 1 else ""
    obstacle = obstacles.get(fit.use.provider)
    state = ""
    if obstacle is not None:
        state = f" ({'on trial' if obstacle.trial else 'last resort'}: {obstacle.reason.code})"
    return f"{fit.use.provider} for {points} point{'' if points == '1' else 's'}{price}{state}"


def _left_out(rule: Rule, rules: Rules) -> list[tuple[str, str]]:
    named = {use.provider for use in rule.use}
    why = "not asked for" if rule.name == _OWN else "not in the rule"
    return [(key, why) for key in rules.enabled if key not in named]


def _common(refusals: list[Reason]) -> Reason:
    """One reason where all agree, which is the useful answer; else that there is no route."""
    codes = {reason.code for reason in refusals}
    return refusals[0] if len(codes) == 1 else Reason(Code.NO_ROUTE)
