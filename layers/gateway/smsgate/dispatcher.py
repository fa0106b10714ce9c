"""Messages to a provider and what came of it into the ledger: route, claim, call once, record.

The order is the promise. A message is claimed before the wire and nobody calls for it without that claim; what the
call came to is recorded after; what is lost in between is found as a claim that ran out, and is doubtful, never sent
again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from secrets import token_hex

from smsgate import lifecycle, telemetry
from smsgate.accounts import Accounts
from smsgate.callback_urls import first_of_many, receipt_url, reply_url
from smsgate.evidence import Evidence
from smsgate.ledger import Ledger, Saved
from smsgate.lifecycle import Watch
from smsgate.messages import Dispatch, Message
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import Provider
from smsgate.reasons import ABOUT_US, SUSPENDING, Code, Reason
from smsgate.routing import Candidate, Obstacle, Route, Rules, route
from smsgate.secrets import Secrets, SecretUnreadable
from smsgate.status import Status
from smsgate.suspension import Suspensions

WORKERS = 32
"""Calls in flight at once. The providers' answers take 50 ms and more; waiting for them costs nothing but threads."""

SLICE = 320
"""Messages claimed together: what the workers can call for well before the first of the claims runs out."""

RESERVE = timedelta(seconds=3)
"""Beyond the provider's deadline: for claiming, recording and answering."""

_TURNS = 2
"""How many calls of others a claimed message may wait for, each of a provider's whole deadline, before its own."""

_BACK_OFF = (30, 60, 120, 300, 600, 900)


@dataclass(frozen=True, slots=True)
class Claimed:
    message: Message
    alternatives: tuple[str, ...]  # providers to fail over to, in order


@dataclass(frozen=True, slots=True)
class _Batch:
    """Messages that are claimed together, so that some of them may travel in one call."""

    name: str
    obstacles: Mapping[str, Obstacle]


@dataclass(frozen=True, slots=True)
class IdReused:
    """The message id is taken by a request of other content."""


@dataclass(frozen=True, slots=True)
class Result:
    unfinished: frozenset[str]  # message ids that a redelivery must look at again
    reused: frozenset[Message]  # messages whose request id is taken by a request of other content


class Dispatcher:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        secrets: Secrets,
        suspensions: Suspensions,
        evidence: Evidence,
        offers: Mapping[str, type[Provider]],
        rules: Rules,
        watch: Watch,
        deadline: timedelta,
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._secrets = secrets
        self._suspensions = suspensions
        self._evidence = evidence
        self._offers = offers
        self._rules = rules
        self._watch = watch
        self._deadline = deadline
        self._clock = clock
        self._pool = pool
        self._log = telemetry.logger()

    def send(self, messages: Sequence[Message], time_left: Callable[[], timedelta]) -> Result:
        """Bring every message as far as it can come now."""
        unfinished: set[str] = set()
        reused: set[Message] = set()
        with self._pool(WORKERS) as pool:
            for start in range(0, len(messages), SLICE):
                batch = messages[start : start + SLICE]
                # Look at the clock before claiming: a claim without the time to use it would end in doubt.
                obstacles = self._obstacles(batch) if time_left() >= self._deadline + RESERVE else None
                if obstacles is None:
                    unfinished.update(message.message_id for message in messages[start:])
                    break
                claimed: list[Claimed] = []
                claims = pool.map(partial(self._claim, _Batch(token_hex(6), obstacles)), batch)
                for message, result in zip(batch, claims, strict=True):
                    if isinstance(result, Claimed):
                        claimed.append(result)
                    elif isinstance(result, IdReused):
                        reused.add(message)
                    elif not result:
                        unfinished.add(message.message_id)
                for failed in pool.map(self._dispatch, self._together(claimed)):
                    unfinished.update(failed)
        return Result(frozenset(unfinished), frozenset(reused))

    # Before the wire

    def _obstacles(self, messages: Iterable[Message]) -> dict[str, Obstacle] | None:
        """Asked once per batch, not per message: who is suspended, and whose credentials cannot be had.

        None where the ledger cannot be asked: then nobody is called.
        """
        wanted = set(self._rules.enabled).intersection(self._offers)
        named = [message.providers for message in messages]
        if all(named):
            wanted &= {key for keys in named for key in keys}
        found = {}
        for key in sorted(wanted):
            try:
                version = self._accounts.open(key).version
                obstacle = self._suspensions.obstacle(key, version)
                if obstacle is not None and obstacle.trial and self._suspensions.take_trial(key, version):
                    obstacle = None
            except SecretUnreadable as error:
                self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
                telemetry.count("SecretUnreadable", provider=key)
                reason = Reason(Code.BAD_CREDENTIALS, provider_text="the provider's secret is missing or not valid")
                obstacle = Obstacle(reason, self._clock() + timedelta(seconds=_BACK_OFF[1]))
            except Exception as error:
                self._log.error("suspensions not read", extra={"provider": key, "error": type(error).__name__})
                return None
            if obstacle is not None:
                found[key] = obstacle
        return found

    def _claim(self, batch: _Batch, message: Message) -> Claimed | IdReused | bool:
        """Claimed, or True where nothing is left to do now, or False where a redelivery must look again."""
        try:
            return self._claim_or_settle(message, batch)
        except Exception as error:
            # Nothing was sent; the record comes back and finds the ledger as it is.
            self._log.error("claim failed", extra={"message_id": message.message_id, "error": type(error).__name__})
            telemetry.count("ClaimFailed")
            return False

    def _claim_or_settle(self, message: Message, batch: _Batch) -> Claimed | IdReused | bool:
        digest = message.digest
        while True:
            now = self._clock()
            if message.status is Status.SENDING:
                lapsed = lifecycle.lapse(message, now)
                if lapsed is message:
                    return False  # Another worker is calling for it.
                message = self._save(lapsed)
                continue
            if message.status is not Status.ACCEPTED or _rests(message, now):
                return True
            chosen = route(message, self._offers, batch.obstacles, self._rules, now)
            result = self._ledger.save(self._next(message, chosen, batch, now))
            if isinstance(result, Saved):
                if result.message.status is not Status.SENDING:
                    return True
                return Claimed(result.message, tuple(c.provider for c in chosen.candidates[1:]))
            if result.message.digest != digest:
                return IdReused()
            message = result.message

    def _next(self, message: Message, chosen: Route, batch: _Batch, now: datetime) -> Message:
        if lifecycle.is_expired(message, now):
            return lifecycle.expire(message, now)
        if chosen.refused is not None:
            return lifecycle.reject(message, chosen.refused, now, chosen.passed_over)
        if chosen.waits is not None:
            return lifecycle.park(message, chosen.waits.reason, now, chosen.waits.until)
        first: Candidate = chosen.candidates[0]
        until = now + self._deadline * (1 + _TURNS)
        alone = self._offers[first.provider].capabilities.recipients_per_call == 1
        together = None if alone else batch.name
        return lifecycle.claim(
            message, first.provider, now, until, first.parts, first.points, chosen.passed_over, together
        )

    def _save(self, message: Message) -> Message:
        """Write, or learn what somebody else wrote."""
        return self._ledger.save(message).message

    def _together(self, claimed: Sequence[Claimed]) -> list[list[Claimed]]:
        """What may travel in one call: same provider, same text and options, up to the provider's limit."""
        groups: dict[tuple[str, Hashable], list[Claimed]] = defaultdict(list)
        for each in claimed:
            provider = each.message.provider or ""
            groups[provider, self._offers[provider].group(each.message)].append(each)
        calls: list[list[Claimed]] = []
        for (provider, _), members in groups.items():
            limit = self._offers[provider].capabilities.recipients_per_call
            for apart in _without_repetition(members):
                calls += [apart[start : start + limit] for start in range(0, len(apart), limit)]
        return calls

    # The wire

    def _dispatch(self, call: Sequence[Claimed]) -> set[str]:
        """Make one call and record it; gives the ids whose outcome could not be recorded."""
        unfinished: set[str] = set()
        pending = list(call)
        while pending:
            key = pending[0].message.provider or ""
            outcomes, version = self._call(key, [each.message for each in pending])
            again: list[Claimed] = []
            for each, outcome in zip(pending, outcomes, strict=True):
                telemetry.count(f"Dispatch{type(outcome).__name__}", provider=key)
                try:
                    failed_over = self._record(each, outcome, key, version)
                except Exception as error:
                    # The emergency line: with it the message can be settled by hand. Raising would send it again.
                    self._log.critical(
                        "outcome not recorded",
                        extra={
                            "message_id": each.message.message_id,
                            "provider": key,
                            "outcome": type(outcome).__name__,
                            "provider_ref": outcome.provider_ref if isinstance(outcome, Accepted) else None,
                            "error": type(error).__name__,
                        },
                    )
                    telemetry.count("OutcomeNotRecorded", provider=key)
                    unfinished.add(each.message.message_id)
                    continue
                if failed_over is not None:
                    again.append(failed_over)
            # Each to its own next provider; these are few, so they go one by one.
            for each in again[1:]:
                unfinished |= self._dispatch([each])
            pending = again[:1]
        return unfinished

    def _call(self, key: str, messages: Sequence[Message]) -> tuple[tuple[Outcome, ...], str]:
        now = self._clock()
        if any(message.claim is None or now + self._deadline >= message.claim.until for message in messages):
            late = NotSent(Reason(Code.RATE_LIMITED, provider_text="its turn came too late"))
            return (late,) * len(messages), ""
        try:
            account = self._accounts.open(key)
            callbacks = self._secrets.callbacks()
        except SecretUnreadable as error:
            self._log.error("secret unreadable", extra={"provider": key, "problem": str(error)})
            return (NotSent(Reason(Code.BAD_CREDENTIALS, provider_text="a secret is missing or not valid")),) * len(
                messages
            ), ""
        dispatch = Dispatch(key, tuple(messages), now)
        if callbacks.public_url:
            first = messages[0].message_id if len(messages) == 1 else first_of_many(messages[0].message_id)
            dispatch = replace(
                dispatch,
                receipt_url=receipt_url(callbacks, key, first),
                reply_url=reply_url(callbacks, key, first),
            )
        try:
            outcomes = account.provider.send(dispatch, account.line)
            if len(outcomes) != len(messages):
                raise ValueError("as many outcomes as messages are due")
        except Exception as error:
            # A fault of ours after the request may have gone out: nobody can know, so nobody sends it again.
            self._log.error("provider module failed", extra={"provider": key, "error": type(error).__name__})
            outcomes = (MaybeSent(Reason(Code.UNKNOWN, provider_text=type(error).__name__)),) * len(messages)
        return outcomes, account.version

    # After the wire

    def _record(self, each: Claimed, outcome: Outcome, key: str, version: str) -> Claimed | None:
        """Write what the dispatch came to; gives the message again where another provider is to be called now."""
        message = each.message
        attempt = len(message.attempts)
        now = self._clock()
        if isinstance(outcome, Accepted):
            # The reference first: should the rest be lost, a report still finds the message and proves its acceptance.
            linked = self._evidence.link(message, self._offers[key], outcome.provider_ref)
            self._ledger.change_from(linked, lambda m: lifecycle.settle(m, attempt, outcome, now, self._watch))
            self._suspensions.worked(key)
            return None
        if isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason.code in ABOUT_US):
            return self._elsewhere_or_later(each, outcome, key, version)
        self._ledger.change_from(message, lambda m: lifecycle.settle(m, attempt, outcome, now, self._watch))
        return None

    def _elsewhere_or_later(self, each: Claimed, outcome: NotSent | Refused, key: str, version: str) -> Claimed | None:
        """It certainly did not go out here: the next provider, or wait."""
        attempt = len(each.message.attempts)
        now = self._clock()
        retry = now + timedelta(seconds=_BACK_OFF[min(attempt, len(_BACK_OFF)) - 1])
        following = each.alternatives
        if outcome.reason.code is Code.BAD_CREDENTIALS and version and self._accounts.rotated(key, version):
            following = (key, *following)  # The password was changed under us: once more with the new one.
        elif outcome.reason.code in SUSPENDING and version:
            retry = self._suspensions.suspend(key, outcome.reason, version).until
        if following:
            until = now + self._deadline * (1 + _TURNS)
            provider, *rest = following
            changed = self._ledger.change_from(
                each.message, lambda m: lifecycle.call_next(m, attempt, outcome, provider, now, until)
            )
            return Claimed(changed, tuple(rest)) if len(changed.attempts) == attempt + 1 else None
        if isinstance(outcome, Refused) and outcome.reason.code not in SUSPENDING:
            self._ledger.change_from(each.message, lambda m: lifecycle.settle(m, attempt, outcome, now, self._watch))
        else:
            self._ledger.change_from(each.message, lambda m: lifecycle.release(m, attempt, outcome, now, retry))
        return None


def _without_repetition(members: Iterable[Claimed]) -> list[list[Claimed]]:
    """A number at most once in a call: its reports name the call and the number, and nothing else."""
    rounds: list[list[Claimed]] = []
    seen: Counter[str] = Counter()
    for each in members:
        place = seen[each.message.to]
        seen[each.message.to] += 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(each)
    return rounds


def _rests(message: Message, now: datetime) -> bool:
    """Parked for later, and in the ledger, where the schedule finds it."""
    return message.version > 0 and message.next_attempt_at is not None and message.next_attempt_at > now
