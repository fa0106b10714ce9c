"""What stands between messages and a provider before any is claimed: asked once for a slice of them, not for each.

A slice knows who is suspended, who is on the stop list, what the operator's document says, what the accounts can pay
and whose turn it is; with that it says of each message whether it may go, must wait, or is refused. What the calls of
the slice learn of a provider closes it for the rest of the slice.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex

from smsgate import telemetry
from smsgate.accounts import Accounts
from smsgate.balance import Balance, Purse
from smsgate.limits import Admission, Limits
from smsgate.messages import Lane, Message, credit_of
from smsgate.outcomes import Accepted, Outcome
from smsgate.providers.base import Provider
from smsgate.reasons import Code, Reason
from smsgate.routebook import Routebook
from smsgate.routing import Candidate, Obstacle, Route, Rules, route
from smsgate.routing_document import RoutingDocument
from smsgate.secrets import SecretUnreadable
from smsgate.suppression import SUPPRESSED, Suppressions
from smsgate.suspension import Suspensions

Explained = tuple[tuple[str, str], ...]

_LOOK_AGAIN = timedelta(minutes=1)
"""When a provider whose secret cannot be read, or whose account cannot pay, is worth another look."""


@dataclass(frozen=True, slots=True)
class Go:
    """It may be claimed for the first of these, and for those behind it should that certainly not go out."""

    candidates: tuple[Candidate, ...]
    explained: Explained
    counted: Admission | None  # against the limits, with this verdict


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing can send it now: it waits for a provider, perhaps for its turn there."""

    obstacle: Obstacle
    explained: Explained
    provider: str | None = None
    waits_for: str | None = None
    in_turn: bool = False
    counted: Admission | None = None


@dataclass(frozen=True, slots=True)
class No:
    """Refused before anything is spent."""

    reason: Reason
    explained: Explained


Verdict = Go | Stay | No


_BEYOND = Reason(Code.CREDIT_EXHAUSTED, provider_text="the account has less than this would cost")
_IN_TURN = Reason(Code.RATE_LIMITED, provider_text="waits for its turn: the routing document limits the rate")


class Admissions:
    def __init__(
        self,
        *,
        accounts: Accounts,
        suspensions: Suspensions,
        suppressions: Suppressions,
        limits: Limits,
        balance: Balance,
        routebook: Routebook,
        offers: Mapping[str, type[Provider]],
        rules: Rules,
        clock: Callable[[], datetime],
    ) -> None:
        self.accounts = accounts
        self.suspensions = suspensions
        self.suppressions = suppressions
        self.limits = limits
        self.balance = balance
        self.routebook = routebook
        self.offers = offers
        self.rules = rules
        self.clock = clock
        self.log = telemetry.logger()

    def open(self, messages: Sequence[Message], ends: datetime) -> Slice | None:
        """For calls that are over by `ends`. None where something cannot be asked that could forbid a call: then nobody
        is called."""
        try:
            document = self.routebook.document()
            stopped = self.suppressions.find({message.to for message in messages})
            versions, obstacles = self._look_at(self._wanted(messages))
        except Exception as error:
            self.log.error("slice not opened", extra={"error": type(error).__name__})
            telemetry.count("SliceNotOpened")
            return None
        return Slice(self, ends, document, stopped, versions, obstacles, self.balance.purse(len(messages)))

    def _wanted(self, messages: Iterable[Message]) -> list[str]:
        wanted = set(self.rules.enabled).intersection(self.offers)
        named = [message.providers for message in messages]
        if all(named):
            wanted &= {key for keys in named for key in keys}
        return sorted(wanted)

    def _look_at(self, providers: Iterable[str]) -> tuple[dict[str, str], dict[str, Obstacle]]:
        versions: dict[str, str] = {}
        obstacles: dict[str, Obstacle] = {}
        for key in providers:
            try:
                versions[key] = self.accounts.open(key).version
            except SecretUnreadable as error:
                self.log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
                telemetry.count("SecretUnreadable", provider=key)
                reason = Reason(Code.BAD_CREDENTIALS, provider_text="the provider's secret is missing or not valid")
                obstacles[key] = Obstacle(reason, self.clock() + _LOOK_AGAIN)
                continue
            obstacle = self.suspensions.obstacle(key, versions[key])
            if obstacle is not None:
                obstacles[key] = obstacle
        return versions, obstacles


class Slice:
    """Used by all workers of one slice at once."""

    def __init__(
        self,
        parts: Admissions,
        ends: datetime,
        document: RoutingDocument,
        stopped: frozenset[str],
        versions: Mapping[str, str],
        obstacles: Mapping[str, Obstacle],
        purse: Purse,
    ) -> None:
        self.name = token_hex(6)
        self.ends = ends
        self.purse = purse
        self._parts = parts
        self._document = document
        self._policy = document.policy
        self._stopped = stopped
        self._versions = versions
        self._lock = threading.Lock()
        self._obstacles = dict(obstacles)
        self._shut: dict[str, Obstacle] = {}
        self._taken: Counter[str] = Counter()

    # Before the claim

    def decide(self, messages: Sequence[Message], run: Callable[..., Iterable[Verdict | None]]) -> list[Verdict | None]:
        """A verdict for each, in their order; none where a limit could not be asked, so that its record comes again.

        `run` maps over the messages: one after the other, or as many at once as a pool has workers.
        """
        return self._in_turn(messages, list(run(self._decide_or_log, messages)))

    def withdraw(self, message: Message, verdict: Verdict) -> None:
        """Another worker has the message: what this verdict counted is given back."""
        if not isinstance(verdict, No) and verdict.counted is not None:
            self._parts.limits.give_back(verdict.counted)

    def _decide_or_log(self, message: Message) -> Verdict | None:
        try:
            return self._decide(message)
        except Exception as error:
            self._parts.log.error(
                "not decided",
                extra={
                    "message_id": message.message_id,
                    "request_id": message.request_id,
                    "error": type(error).__name__,
                },
            )
            telemetry.count("NotDecided")
            return None

    def _decide(self, message: Message) -> Verdict:
        if message.to in self._stopped and not self._is_transactional(message):
            return No(SUPPRESSED, ())
        parts = self._parts
        beyond: dict[str, Obstacle] = {}  # this message costs more than these accounts hold
        while True:
            with self._lock:
                obstacles = {**self._obstacles, **beyond}
            chosen = route(message, parts.offers, obstacles, parts.rules, parts.clock(), self._document)
            if chosen.refused is not None:
                return No(chosen.refused, chosen.explained)
            if chosen.waits is not None:
                key = chosen.waits_for or ""
                waits_for = credit_of(key) if chosen.waits is beyond.get(key) else key
                return Stay(chosen.waits, chosen.explained, key, waits_for)
            first = chosen.candidates[0]
            if not self.purse.pays(first.provider, first.points):
                beyond[first.provider] = Obstacle(_BEYOND, parts.clock() + _LOOK_AGAIN)
            elif not first.trial or self._takes_trial(first.provider):
                return self._counted(message, chosen)

    def _is_transactional(self, message: Message) -> bool:
        found = self._document.class_of(message)
        return found is not None and found.transactional

    def _takes_trial(self, provider: str) -> bool:
        """One message of one worker tries a suspended provider; for all others here the obstacle stands."""
        with self._lock:
            obstacle = self._obstacles.get(provider)
            if obstacle is None or not obstacle.trial:
                return False
            self._obstacles[provider] = replace(obstacle, trial=False)
        return self._parts.suspensions.take_trial(provider, self._versions[provider])

    def _counted(self, message: Message, chosen: Route) -> Verdict:
        """Against the limits, once, however often the message is tried; at what the dearest candidate takes."""
        monitored, explained = chosen.monitored, chosen.explained
        counted = None
        if not message.admitted:
            points = max(candidate.points for candidate in chosen.candidates)
            counted = self._parts.limits.admit(message, points, self._policy)
            monitored = (*monitored, *counted.monitored)
            if counted.monitored:
                others = (each for each in explained if each[0] != "monitored")
                explained = (*others, ("monitored", ", ".join(monitored)))
        for limit in monitored:
            telemetry.count(f"Monitored{limit}")
        if counted is not None and counted.refused is not None:
            return No(counted.refused, explained)
        return Go(chosen.candidates, explained, counted)

    def _in_turn(self, messages: Sequence[Message], verdicts: Sequence[Verdict | None]) -> list[Verdict | None]:
        """Where a provider takes only so many in so long: who goes now, and who waits until when."""
        given = list(verdicts)
        limits = self._parts.limits
        queues: dict[tuple[str, Lane], list[int]] = defaultdict(list)
        for place, (message, verdict) in enumerate(zip(messages, verdicts, strict=True)):
            if isinstance(verdict, Go):
                provider = verdict.candidates[0].provider
                if provider in self._policy.rates and not limits.holds(message, provider):
                    queues[provider, message.lane].append(place)
        for (provider, lane), places in queues.items():
            try:
                turns = limits.turns(provider, len(places), self._policy.rates[provider], lane)
            except Exception as error:
                self._parts.log.error("turns not taken", extra={"provider": provider, "error": type(error).__name__})
                telemetry.count("NotDecided", len(places))
                for place in places:
                    given[place] = None
                continue
            now = self._parts.clock()
            for place, turn in zip(places, turns, strict=True):
                verdict = given[place]
                if turn > now and isinstance(verdict, Go):
                    waits = Obstacle(_IN_TURN, turn)
                    given[place] = Stay(waits, verdict.explained, provider, in_turn=True, counted=verdict.counted)
        return given

    # After a call

    def shut(self, provider: str, obstacle: Obstacle) -> None:
        """A call of this slice learnt it: the messages that were claimed for the provider go elsewhere, or wait."""
        with self._lock:
            self._shut[provider] = obstacle
            self._obstacles[provider] = obstacle

    def shut_by(self, provider: str) -> Obstacle | None:
        with self._lock:
            return self._shut.get(provider)

    def next_of(self, candidates: Sequence[Candidate], lane: Lane) -> Sequence[Candidate]:
        """Of those a message may fail over to, the first that may be called now, and all behind it."""
        for place, candidate in enumerate(candidates):
            with self._lock:
                obstacle = self._obstacles.get(candidate.provider)
            if (obstacle is None or obstacle.soft) and self._takes_turn(candidate.provider, lane):
                return candidates[place:]
        return ()

    def _takes_turn(self, provider: str, lane: Lane) -> bool:
        """Never raises: that a message did not go out is known, and must not be lost for a turn elsewhere."""
        rate = self._policy.rates.get(provider)
        if rate is None:
            return True
        try:
            return self._parts.limits.take_turn_now(provider, rate, lane)
        except Exception as error:
            self._parts.log.error("turn not taken", extra={"provider": provider, "error": type(error).__name__})
            return False

    def answered(
        self, provider: str, messages: Sequence[Message], outcomes: Sequence[Outcome], asked_at: datetime
    ) -> None:
        self.purse.answered(provider, messages, outcomes, asked_at)
        if self._parts.offers[provider].capabilities.receipts is not None:
            with self._lock:
                self._taken[provider] += sum(isinstance(outcome, Accepted) for outcome in outcomes)

    def close(self, *, may_ask: bool) -> None:
        """Write down, once for all of the slice, what its calls came to. Never raises."""
        self.purse.close(may_ask=may_ask)
        for provider, count in self._taken.items():
            try:
                self._parts.suspensions.sent(provider, count, self._parts.clock())
            except Exception as error:
                self._parts.log.error("not counted", extra={"provider": provider, "error": type(error).__name__})
