"""The stop list: numbers that get no more messages, through whichever provider, and who put them there.

A number can be on it for three reasons at once, each lifted by its own: the person said stop on the phone, a provider
reported that the person wants none, or the operator put it there. It is on the list while one of them stands. What a
word or a report did is done once: the same one coming again finds itself in the entry's history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from smsgate import telemetry
from smsgate.items import Plain, stamp, time_of
from smsgate.ledger import Contended, Ledger
from smsgate.messages import Message, Reply
from smsgate.reasons import Code, Reason
from smsgate.stop_words import Word

SUPPRESSED = Reason(Code.SUPPRESSED, provider_text="the number is on the stop list")
"""Why a message to a number on the list is rejected."""

HISTORY = 10
"""Changes kept of one number, the latest ones."""

_TRIES = 20

_E164 = re.compile(r"\+[1-9][0-9]{5,14}")


class Source(StrEnum):
    REPLY = "reply"
    PROVIDER = "provider"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Stop:
    """One reason for being on the list."""

    source: Source
    since: datetime
    why: str | None = field(default=None, repr=False)  # the word, their code, or the operator's own words
    provider: str | None = None
    evidence: str | None = None  # the reply or the message it was learnt from
    told_at: str | None = None  # the provider's own time of the word, as it stood


@dataclass(frozen=True, slots=True)
class Change:
    at: datetime
    change: str  # added, lifted
    source: Source  # of the reason that was added or lifted
    evidence: str | None = None
    why: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is known of a number: why it is on the list now, if it is, and what happened before."""

    number: str = field(repr=False)
    stops: tuple[Stop, ...] = ()  # the first reason first
    history: tuple[Change, ...] = ()
    version: int = 0  # 0: never on the list

    def stop_of(self, source: Source) -> Stop | None:
        return next((stop for stop in self.stops if stop.source is source), None)

    def knows(self, evidence: str) -> bool:
        return any(stop.evidence == evidence for stop in self.stops) or any(
            change.evidence == evidence for change in self.history
        )


class Suppressions:
    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock

    def find(self, numbers: Collection[str]) -> frozenset[str]:
        """Which of these numbers are on the list. Raises where the ledger cannot say: then nothing may be spent."""
        return frozenset(self._ledger.suppressed(numbers))

    def read(self, number: str) -> Suppression:
        plain = self._ledger.suppression(number)
        return _from_plain(number, plain) if plain else Suppression(number)

    def heed(self, word: Word, reply: Reply, reply_id: str) -> None:
        """Do what a stop or start word asks for.

        A stop counts when it is heard, however old it is; a start lifts what a stop word did and nothing else, and no
        stop that the same provider says was typed after it. So words that come late or out of order end in silence.
        """
        if not _E164.fullmatch(reply.sender):
            telemetry.count("StopWordOfNobody", provider=reply.provider)
            return
        now = self._clock()
        if word.stops:
            heard = Stop(Source.REPLY, now, word.word, reply.provider, reply_id, reply.provider_time)
            self._change(reply.sender, lambda known: known if known.knows(reply_id) else _added(known, heard, now))
        else:
            self._change(reply.sender, lambda known: _started(known, word, reply, reply_id, now))

    def refused(self, provider: str, message: Message, code: str) -> None:
        """A provider reports that the person behind the number wants no messages."""
        now = self._clock()
        reported = Stop(Source.PROVIDER, now, code, provider, message.message_id)

        def add(known: Suppression) -> Suppression:
            if known.knows(message.message_id) or known.stop_of(Source.PROVIDER):
                return known
            return _added(known, reported, now)

        self._change(message.to, add)

    def put(self, number: str, why: str | None) -> Suppression:
        """The operator's word; said again, it may say another why."""
        now = self._clock()
        return self._change(number, lambda known: _added(known, Stop(Source.OPERATOR, now, why), now))

    def lift(self, number: str) -> frozenset[Source]:
        """The operator takes the number off, whoever put it on; gives whose reasons stood until now."""
        now = self._clock()
        lifted: frozenset[Source] = frozenset()

        def clear(known: Suppression) -> Suppression:
            nonlocal lifted
            lifted = frozenset(stop.source for stop in known.stops)
            for source in sorted(lifted):
                known = _lifted(known, source, now, "by the operator")
            return known

        self._change(number, clear)
        return lifted

    def _change(self, number: str, step: Callable[[Suppression], Suppression]) -> Suppression:
        for _ in range(_TRIES):
            known = self.read(number)
            changed = step(known)
            if changed is known:
                return known
            forgotten_from = None if changed.stops else self._clock()
            if self._ledger.set_suppression(number, _to_plain(changed), known.version, forgotten_from):
                _count(known, changed)
                return replace(changed, version=known.version + 1)
        raise Contended("suppression")


def _added(known: Suppression, stop: Stop, now: datetime) -> Suppression:
    """The reason stands from its first day on; who gives it again gives its latest evidence."""
    before = known.stop_of(stop.source)
    if before is None:
        added = Change(now, "added", stop.source, stop.evidence, stop.why)
        return replace(known, stops=(*known.stops, stop), history=_kept(known, added))
    again = replace(stop, since=before.since)
    if again == before:
        return known
    return replace(known, stops=tuple(again if each is before else each for each in known.stops))


def _lifted(known: Suppression, source: Source, now: datetime, why: str, evidence: str | None = None) -> Suppression:
    lifted = Change(now, "lifted", source, evidence, why)
    return replace(
        known,
        stops=tuple(stop for stop in known.stops if stop.source is not source),
        history=_kept(known, lifted),
    )


def _started(known: Suppression, word: Word, reply: Reply, reply_id: str, now: datetime) -> Suppression:
    stop = known.stop_of(Source.REPLY)
    if stop is None or known.knows(reply_id) or _is_older(reply, stop):
        return known
    return _lifted(known, Source.REPLY, now, word.word, reply_id)


def _is_older(reply: Reply, stop: Stop) -> bool:
    """By one provider's own clock only; one provider's times differ in nothing but separators."""
    if reply.provider != stop.provider or not reply.provider_time or not stop.told_at:
        return False
    typed, stopped = _digits(reply.provider_time), _digits(stop.told_at)
    return len(typed) == len(stopped) and typed < stopped


def _digits(time: str) -> str:
    return re.sub("[^0-9]", "", time)


def _kept(known: Suppression, change: Change) -> tuple[Change, ...]:
    return (*known.history, change)[-HISTORY:]


def _count(before: Suppression, after: Suppression) -> None:
    if after.stops and not before.stops:
        telemetry.count("NumberSuppressed")
    elif before.stops and not after.stops:
        telemetry.count("SuppressionLifted")


def _to_plain(known: Suppression) -> Plain:
    return {
        "active": bool(known.stops),
        "stops": [
            _without_none(
                {
                    "source": stop.source.value,
                    "since": stamp(stop.since),
                    "why": stop.why,
                    "provider": stop.provider,
                    "evidence": stop.evidence,
                    "told_at": stop.told_at,
                }
            )
            for stop in known.stops
        ],
        "history": [
            _without_none(
                {
                    "at": stamp(change.at),
                    "change": change.change,
                    "source": change.source.value,
                    "evidence": change.evidence,
                    "why": change.why,
                }
            )
            for change in known.history
        ],
    }


def _from_plain(number: str, plain: Plain) -> Suppression:
    stops = (
        Stop(
            Source(each["source"]),
            time_of(each["since"]),
            each.get("why"),
            each.get("provider"),
            each.get("evidence"),
            each.get("told_at"),
        )
        for each in plain["stops"]
    )
    history = (
        Change(time_of(each["at"]), each["change"], Source(each["source"]), each.get("evidence"), each.get("why"))
        for each in plain["history"]
    )
    return Suppression(number, tuple(stops), tuple(history), int(plain["version"]))


def _without_none(plain: Mapping[str, Any]) -> Plain:
    return {name: value for name, value in plain.items() if value is not None}
