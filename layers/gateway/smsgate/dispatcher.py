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

from smsgate import lifecycle, telemetry
from smsgate.accounts import Accounts
from smsgate.admission import Admissions, Slice
from smsgate.callback_urls import first_of_many, receipt_url, reply_url
from smsgate.claims import Claimed, Claims, Firsts, IdReused
from smsgate.evidence import Evidence
from smsgate.health import Health, Learnt
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.messages import Dispatch, Message
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import Provider
from smsgate.reasons import ABOUT_US, SUSPENDING, Code, Reason
from smsgate.routing import Candidate
from smsgate.secrets import Secrets, SecretUnreadable
from smsgate.wakeups import WakeUps

WORKERS = 32
"""Calls in flight at once. The providers' answers take 50 ms and more; waiting for them costs nothing but threads."""

SLICE = 320
"""Messages claimed together: what the workers can call for well before the first of the claims runs out."""

RESERVE = timedelta(seconds=5)
"""Beyond the provider's deadline: for claiming, recording and answering."""

_TO_RECORD = timedelta(seconds=3)
"""Of these: who has called no one by then calls no one any more, and what was claimed is given back."""

_BACK_OFF = ((1, 30), (2, 60), (3, 120), (lifecycle.OFTEN, 300), (140, 600), (200, 1800))
_PATIENT = timedelta(hours=12)
"""Seconds to the next try, up to which attempt; then hours. A message may wait for weeks, and its story must still fit
into its item."""


_EXPIRED = NotSent(Reason(Code.EXPIRED))

Call = Sequence[Claimed]
"""Messages that travel together."""


@dataclass(frozen=True, slots=True)
class Result:
    unfinished: frozenset[str]  # message ids that a redelivery must look at again
    late: frozenset[str]  # message ids that there was no time for, though there was for others
    reused: frozenset[Message]  # messages whose request id is taken by a request of other content


class Dispatcher:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        secrets: Secrets,
        admissions: Admissions,
        health: Health,
        evidence: Evidence,
        offers: Mapping[str, type[Provider]],
        wake_ups: WakeUps,
        watch: Watch,
        deadline: timedelta,
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._secrets = secrets
        self._admissions = admissions
        self._health = health
        self._evidence = evidence
        self._offers = offers
        self._watch = watch
        self._deadline = deadline
        self._clock = clock
        self._pool = pool
        self._claims = Claims(ledger, offers, wake_ups, deadline, clock)
        self._log = telemetry.logger()

    def send(self, messages: Sequence[Message], time_left: Callable[[], timedelta]) -> Result:
        """Bring every message as far as it can come now."""
        unfinished: set[str] = set()
        late: set[str] = set()
        reused: set[Message] = set()
        firsts: Firsts = {}
        with self._pool(WORKERS) as pool:
            for start in range(0, len(messages), SLICE):
                some = messages[start : start + SLICE]
                # Look at the clock before claiming: a claim without the time to use it would end in doubt.
                left = time_left()
                if left < self._deadline + RESERVE:
                    (late if start else unfinished).update(message.message_id for message in messages[start:])
                    break
                slice_ = self._admissions.open(some, self._clock() + left - _TO_RECORD)
                if slice_ is None:
                    unfinished.update(message.message_id for message in messages[start:])
                    break
                claimed: list[Claimed] = []
                for message, taken in zip(some, self._claims.take(some, slice_, pool, firsts), strict=True):
                    if isinstance(taken, Claimed):
                        claimed.append(taken)
                    elif isinstance(taken, IdReused):
                        reused.add(message)
                    elif not taken:
                        unfinished.add(message.message_id)
                for calls in self._one_alone_first(self._together(claimed)):
                    for failed in pool.map(partial(self._dispatch, slice_), calls):
                        unfinished.update(failed)
                slice_.close(may_ask=time_left() >= self._deadline + RESERVE)
        return Result(frozenset(unfinished), frozenset(late), frozenset(reused))

    # Before the wire

    def _together(self, claimed: Sequence[Claimed]) -> list[Call]:
        """What may travel in one call: same provider, same text and options, up to the provider's limit."""
        groups: dict[tuple[str, Hashable], list[Claimed]] = defaultdict(list)
        for each in claimed:
            provider = each.message.provider or ""
            groups[provider, self._offers[provider].group(each.message)].append(each)
        calls: list[Call] = []
        for (provider, _), members in groups.items():
            limit = self._offers[provider].capabilities.recipients_per_call
            for apart in _without_repetition(members):
                calls += [apart[start : start + limit] for start in range(0, len(apart), limit)]
        return calls

    def _one_alone_first(self, calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
        """A password that is refused must not be tried by all workers at once: vendors lock accounts for less."""
        first: dict[str, Call] = {}
        rest: list[Call] = []
        for call in calls:
            provider = call[0].message.provider or ""
            if provider in first or self._health.is_proven(provider):
                rest.append(call)
            else:
                first[provider] = call
        return list(first.values()), rest

    # The wire

    def _dispatch(self, slice_: Slice, call: Call) -> set[str]:
        """Make one call and record it; gives the ids whose outcome could not be recorded."""
        unfinished: set[str] = set()
        pending = list(call)
        while pending:
            key = pending[0].message.provider or ""
            outcomes, learnt = self._call(slice_, key, [each.message for each in pending])
            again: list[Claimed] = []
            for each, outcome in zip(pending, outcomes, strict=True):
                telemetry.count(f"Dispatch{type(outcome).__name__}", provider=key)
                try:
                    failed_over = self._record(slice_, each, outcome, learnt)
                except Exception as error:
                    # The emergency line: with it the message can be settled by hand. Raising would send it again.
                    self._log.critical(
                        "outcome not recorded",
                        extra={
                            "message_id": each.message.message_id,
                            "request_id": each.message.request_id,
                            "provider": key,
                            "outcome": type(outcome).__name__,
                            "provider_ref": outcome.provider_ref if isinstance(outcome, Accepted) else None,
                            "error": type(error).__name__,
                        },
                    )
                    telemetry.count("OutcomeNotRecorded")  # The alarm can name no provider; the line does.
                    unfinished.add(each.message.message_id)
                    continue
                if failed_over is not None:
                    again.append(failed_over)
            # Each to its own next provider; these are few, so they go one by one.
            for each in again[1:]:
                unfinished |= self._dispatch(slice_, [each])
            pending = again[:1]
        return unfinished

    def _call(self, slice_: Slice, key: str, messages: Sequence[Message]) -> tuple[tuple[Outcome, ...], Learnt]:
        closed = slice_.shut_by(key)
        if closed is not None:  # Another call of this slice learnt it after these were claimed.
            return (NotSent(closed.reason),) * len(messages), Learnt(closed)
        asked_at = self._clock()
        in_time = [message for message in messages if not lifecycle.is_expired(message, asked_at)]
        if len(in_time) < len(messages):
            return self._call_in_time(slice_, key, messages, in_time)
        outcomes, version = self._submit(key, messages)
        slice_.answered(key, messages, outcomes, asked_at)
        try:
            learnt = self._health.learn(key, outcomes, version)
        except Exception as error:
            # The provider's state can wait for the next call; what this one came to cannot.
            self._log.error("provider state not written", extra={"provider": key, "error": type(error).__name__})
            learnt = Learnt()
        if learnt.obstacle is not None:
            slice_.shut(key, learnt.obstacle)
        return outcomes, learnt

    def _call_in_time(
        self, slice_: Slice, key: str, messages: Sequence[Message], in_time: Sequence[Message]
    ) -> tuple[tuple[Outcome, ...], Learnt]:
        """Some were valid when they were claimed, and are not any more now that their turn has come."""
        outcomes, learnt = self._call(slice_, key, in_time) if in_time else ((), Learnt())
        known = dict(zip((message.message_id for message in in_time), outcomes, strict=True))
        return tuple(known.get(message.message_id, _EXPIRED) for message in messages), learnt

    def _submit(self, key: str, messages: Sequence[Message]) -> tuple[tuple[Outcome, ...], str]:
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
        telemetry.took("SubmitTime", self._clock() - now, provider=key)
        return outcomes, account.version

    # After the wire

    def _record(self, slice_: Slice, each: Claimed, outcome: Outcome, learnt: Learnt) -> Claimed | None:
        """Write what the dispatch came to; gives the message again where another provider is to be called now."""
        message = each.message
        attempt = len(message.attempts)
        now = self._clock()
        if isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason.code in ABOUT_US):
            return self._elsewhere_or_later(slice_, each, outcome, learnt)
        if isinstance(outcome, Accepted):
            # The reference first: should the rest be lost, a report still finds the message and proves its acceptance.
            message = self._evidence.link(message, self._offers[message.provider or ""], outcome.provider_ref)
        self._ledger.change_from(message, lambda m: lifecycle.settle(m, attempt, outcome, now, self._watch))
        return None

    def _elsewhere_or_later(
        self, slice_: Slice, each: Claimed, outcome: NotSent | Refused, learnt: Learnt
    ) -> Claimed | None:
        """It certainly did not go out here: the next provider, or wait."""
        attempt = len(each.message.attempts)
        now = self._clock()
        expired = lifecycle.is_expired(each.message, now)
        following: Sequence[Candidate] = ()
        if expired:
            pass  # Neither here nor elsewhere may it be submitted any more.
        elif learnt.rotated:  # Once more, with the new password.
            following = (each.candidate, *each.alternatives)
        elif now + self._deadline < slice_.ends:
            following = slice_.next_of(each.alternatives, each.message.lane)
        if following:
            until = self._claims.until(now, slice_)
            first, *rest = following
            changed = self._ledger.change_from(
                each.message,
                lambda m: lifecycle.call_next(
                    m, attempt, outcome, first.provider, now, until, first.parts, first.points
                ),
            )
            return Claimed(changed, first, tuple(rest)) if len(changed.attempts) == attempt + 1 else None
        if isinstance(outcome, Refused) and outcome.reason.code not in SUSPENDING:
            self._ledger.change_from(each.message, lambda m: lifecycle.settle(m, attempt, outcome, now, self._watch))
            return None
        if expired:
            self._ledger.change_from(
                each.message, lambda m: lifecycle.expire(lifecycle.release(m, attempt, outcome, now, now), now)
            )
            return None
        retry = now + back_off(attempt)
        if learnt.obstacle is not None:
            retry = (
                max(retry, learnt.obstacle.until) if outcome.reason.code not in SUSPENDING else learnt.obstacle.until
            )
        waits_for = each.message.provider if learnt.obstacle is not None else None
        self._ledger.change_from(each.message, lambda m: lifecycle.release(m, attempt, outcome, now, retry, waits_for))
        return None


def back_off(attempt: int) -> timedelta:
    return next((timedelta(seconds=seconds) for up_to, seconds in _BACK_OFF if attempt <= up_to), _PATIENT)


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
