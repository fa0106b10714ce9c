"""A message is claimed before anybody calls for it: one conditional write, won by one worker, and good for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from smsgate import lifecycle, telemetry
from smsgate.admission import Go, No, Slice, Stay, Verdict
from smsgate.ledger import Ledger, Saved
from smsgate.messages import Message
from smsgate.providers.base import Provider
from smsgate.requests import split_message_id
from smsgate.routing import Candidate
from smsgate.status import Status
from smsgate.wakeups import WakeUps, planned

_TURNS = 2
"""How many calls of others a claimed message may wait for, each of a provider's whole deadline, before its own."""

_SKEW = timedelta(seconds=1)
"""A wake-up that comes this much before its moment is not early: clocks differ."""


@dataclass(frozen=True, slots=True)
class Claimed:
    message: Message
    candidate: Candidate
    alternatives: tuple[Candidate, ...]  # to fail over to, in order


@dataclass(frozen=True, slots=True)
class IdReused:
    """The message id is taken by a request of other content."""


@dataclass(frozen=True, slots=True)
class _InTurn:
    """Parked until its turn, which may be near."""

    message: Message


Taken = Claimed | IdReused | bool
"""Claimed, or True where nothing is left to do now, or False where a redelivery must look again."""

Firsts = dict[tuple[str, str], "Taken | _InTurn"]
"""What the first message of each request came to: it stands for the request, as where one is posted."""


class Claims:
    def __init__(
        self,
        ledger: Ledger,
        offers: Mapping[str, type[Provider]],
        wake_ups: WakeUps,
        deadline: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._offers = offers
        self._wake_ups = wake_ups
        self._deadline = deadline
        self._clock = clock
        self._log = telemetry.logger()

    def until(self, now: datetime, slice_: Slice) -> datetime:
        """When a claim of now ends: nobody may call for it any more."""
        return min(now + self._deadline * (1 + _TURNS), slice_.ends)

    def take(self, messages: Sequence[Message], slice_: Slice, pool: Executor, firsts: Firsts) -> list[Taken]:
        """What each message came to, in their order; `firsts` is one of all slices of a request, and added to."""
        now = self._clock()
        waiting = [message for message in messages if _is_waiting(message, now)]
        verdicts = dict(zip(map(_name, waiting), slice_.decide(waiting, pool.map), strict=True))

        def take(message: Message) -> Taken | _InTurn:
            return self._take(message, verdicts.get(_name(message)), slice_, firsts.get(_request(message), True))

        first = [message for message in messages if _stands_for_its_request(message)]
        rest = [message for message in messages if not _stands_for_its_request(message)]
        taken = dict(zip(map(_name, first), pool.map(take, first), strict=True))
        firsts.update((_request(message), taken[_name(message)]) for message in first)
        taken.update(zip(map(_name, rest), pool.map(take, rest), strict=True))
        self._wake_ups.send(each.message for each in taken.values() if isinstance(each, _InTurn))
        in_order = (taken[_name(message)] for message in messages)
        return [True if isinstance(each, _InTurn) else each for each in in_order]

    def _take(
        self, message: Message, verdict: Verdict | None, slice_: Slice, first: Taken | _InTurn
    ) -> Taken | _InTurn:
        if not message.version and (first is False or isinstance(first, IdReused)):
            # Another content has the id of its request, or it is not known yet whether one has.
            if verdict is not None:
                slice_.withdraw(message, verdict)
            return first
        try:
            return self._claim(message, verdict, slice_)
        except Exception as error:
            # Nothing was sent; the record comes back and finds the ledger as it is.
            self._log.error(
                "claim failed",
                extra={
                    "message_id": message.message_id,
                    "request_id": message.request_id,
                    "error": type(error).__name__,
                },
            )
            telemetry.count("ClaimFailed")
            return False

    def _claim(self, message: Message, verdict: Verdict | None, slice_: Slice) -> Taken | _InTurn:
        digest = message.digest
        while message.digest == digest:
            now = self._clock()
            if message.status is Status.SENDING:
                lapsed = lifecycle.lapse(message, now)
                if lapsed is message:
                    # Another worker is calling for it; or has called, and an answer that comes later is waited for.
                    return message.attempts[-1].outcome != "calling"
                message = self._ledger.save(lapsed).message
                continue
            if message.status is Status.ACCEPTED and lifecycle.is_expired(message, now):
                message = self._ledger.save(lifecycle.expire(message, now)).message
                continue
            if not _is_waiting(message, now):
                return True
            if verdict is None:
                (verdict,) = slice_.decide([message], map)
            if verdict is None:
                return False
            result = self._ledger.save(self._next(message, verdict, slice_, now))
            if isinstance(result, Saved):
                if isinstance(verdict, Stay) and verdict.in_turn:
                    return _InTurn(result.message)
                if not isinstance(verdict, Go):
                    return True
                return Claimed(result.message, verdict.candidates[0], verdict.candidates[1:])
            slice_.withdraw(message, verdict)
            message, verdict = result.message, None
        return IdReused()

    def _next(self, message: Message, verdict: Verdict, slice_: Slice, now: datetime) -> Message:
        if isinstance(verdict, No):
            return lifecycle.reject(message, verdict.reason, now, verdict.explained)
        counted = replace(message, admitted=message.admitted or verdict.counted is not None)
        if isinstance(verdict, Stay):
            waits, provider = verdict.obstacle, verdict.provider
            told = (counted, waits.reason, now, waits.until, verdict.explained, provider)
            if verdict.in_turn:
                return planned(lifecycle.park_in_turn(*told), now)
            return lifecycle.park(*told, waits_for=verdict.waits_for)
        first = verdict.candidates[0]
        alone = self._offers[first.provider].capabilities.recipients_per_call == 1
        together = None if alone else slice_.name
        until = self.until(now, slice_)
        return lifecycle.claim(
            counted, first.provider, now, until, first.parts, first.points, verdict.explained, together
        )


def _name(message: Message) -> tuple[str, str]:
    """The same id with other content may stand beside it."""
    return message.message_id, message.digest


def _request(message: Message) -> tuple[str, str]:
    return message.request_id, message.digest


def _stands_for_its_request(message: Message) -> bool:
    return split_message_id(message.message_id)[1] == 1


def _is_waiting(message: Message, now: datetime) -> bool:
    """Ours to send now: not parked for later, where the schedule finds it."""
    if message.status is not Status.ACCEPTED or lifecycle.is_expired(message, now):
        return False
    rests = message.version > 0 and message.next_attempt_at is not None and message.next_attempt_at > now + _SKEW
    return not rests
