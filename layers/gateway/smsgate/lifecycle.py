"""What may happen to a message, decided once and without I/O: each function takes a message and gives the next one.

A function that finds nothing to do gives back the very message it was given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from smsgate.messages import Attempt, Claim, Kind, Message, Moment, OnDoubt, Report
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.reasons import Code, Reason
from smsgate.status import Status, report_moves

REPORTS_KEPT = 40
"""Distinct reports kept in a timeline: far above what an honest provider sends, far below what an item can hold."""

_LONGEST_TIME = 40
"""Characters of a provider's time: some vendors' is read as it stands, and a message has to fit into an item."""

RESENDS = 2
"""How often `on_doubt: resend` sends again after a dispatch that may have gone out."""

TOLD_WITHIN = timedelta(days=1)
"""A vendor may keep what was typed to itself: "我們將會在簡訊發出後 24 小時傳送 CallBack 資訊"."""

LONGEST_WAIT = timedelta(hours=1)
"""Between two looks at what nothing can send: of a hundred thousand that wait for an account, each look costs."""

OFTEN = 40
"""Calls for one message after which it is not the first any more to try its provider with: each is another chapter of
its story, which must fit into an item."""

Data = tuple[tuple[str, str], ...]

_OVERDUE = "overdue"
_ON_THE_PHONE = frozenset({Status.DELIVERED, Status.UNCONFIRMED})
_ANSWERED = frozenset({"accepted", "refused", "not_sent"})
_OUTCOME_WORDS = {Accepted: "accepted", Refused: "refused", NotSent: "not_sent", MaybeSent: "maybe_sent"}


@dataclass(frozen=True, slots=True)
class Watch:
    """When a provider is asked about a message, and when we stop waiting."""

    schedule: tuple[timedelta, ...]
    length: timedelta

    def first_check(self, submitted: datetime) -> datetime:
        return submitted + self.schedule[0]

    def next_check(self, checks: int, now: datetime) -> datetime:
        return now + self.schedule[min(checks, len(self.schedule) - 1)]

    def ends(self, message: Message) -> datetime:
        return (message.send_at or message.accepted_at) + self.length


def accept(message: Message, now: datetime) -> Message:
    """The first entry of a message that is written before anything is tried."""
    return message if message.timeline else _move(message, Status.ACCEPTED, now)


def enqueue(message: Message, now: datetime, again: datetime) -> Message:
    """Written before its wake-up is queued; should the wake-up be lost, it is woken `again`."""
    return replace(accept(message, now), due_at=again)


def reject(message: Message, reason: Reason, now: datetime, explained: Data = ()) -> Message:
    """Refused before any provider was asked."""
    if message.status is not Status.ACCEPTED:
        return message
    return _explain(_end(message, Status.REJECTED, now, reason), explained, now, reason)


def claim(
    message: Message,
    provider: str,
    now: datetime,
    until: datetime,
    parts: int | None = None,
    points: Decimal | None = None,
    explained: Data = (),
    batch: str | None = None,
) -> Message:
    """Only whose write of this succeeds may call the provider, and only before `until`."""
    if message.status is not Status.ACCEPTED:
        return message
    accepted = accept(replace(message, parts=parts, points=points, admitted=True, turn=None), now)
    routed = _explain(accepted, (("provider", provider), *explained), now)
    return _call(_move(routed, Status.SENDING, now), provider, now, until, batch)


def call_next(
    message: Message,
    attempt: int,
    outcome: Refused | NotSent,
    provider: str,
    now: datetime,
    until: datetime,
    parts: int,
    points: Decimal,
) -> Message:
    """Fail over: the dispatch certainly did not go out, so another provider is called under a new claim."""
    if not _is_latest_call(message, attempt):
        return message
    noted = _note_outcome(message, attempt, outcome)
    instead = (("instead_of", message.provider or ""), ("provider", provider))
    elsewhere = replace(_explain(noted, instead, now, outcome.reason), parts=parts, points=points)
    return _call(elsewhere, provider, now, until)


def settle(message: Message, attempt: int, outcome: Outcome, now: datetime, watch: Watch) -> Message:
    """Record what a dispatch came to, whatever has been learnt of the message in the meantime.

    `NotSent` is settled by `release` or `call_next`; one that comes here gives the message up.
    """
    if isinstance(outcome, MaybeSent) and _is_answered(message, attempt):
        return message  # The evidence was faster.
    noted = _note_outcome(message, attempt, outcome)
    if isinstance(outcome, Accepted):
        return _settle_accepted(noted, outcome, now, watch)
    if not _awaits_outcome(noted, attempt):
        return noted
    if isinstance(outcome, MaybeSent):
        if outcome.evidence_within is not None and message.status is Status.SENDING and message.claim is not None:
            until = now + outcome.evidence_within
            return replace(noted, claim=replace(message.claim, until=until), due_at=until)
        return _doubt(noted, outcome.reason, now)
    status = Status.REJECTED if isinstance(outcome, Refused) else Status.FAILED
    return _end(noted, status, now, outcome.reason)


def release(
    message: Message,
    attempt: int,
    outcome: Refused | NotSent,
    now: datetime,
    until: datetime,
    waits_for: str | None = None,
) -> Message:
    """The dispatch did not go out and nobody else can send it now: wait in the ledger."""
    noted = _note_outcome(message, attempt, outcome)
    if not _awaits_outcome(message, attempt):
        return noted
    return _wait(noted, outcome.reason, now, until, message.provider, waits_for)


def park(
    message: Message,
    reason: Reason,
    now: datetime,
    until: datetime,
    explained: Data = (),
    provider: str | None = None,
    waits_for: str | None = None,
) -> Message:
    """Nothing can send it now: wait in the ledger for a provider, to be woken at `until`, or later the longer it waits
    already: whoever mends what it waits for wakes it ahead of that."""
    if message.status is not Status.ACCEPTED:
        return message
    accepted = accept(message, now)
    patient = max(until, now + min(now - _accepted_since(accepted), LONGEST_WAIT)) if waits_for else until
    told = accepted if _has_told(accepted, reason) else _explain(accepted, explained, now, reason)
    return replace(_wait(told, reason, now, patient, provider, waits_for), turn=None)


def park_in_turn(
    message: Message, reason: Reason, now: datetime, turn: datetime, explained: Data, provider: str | None
) -> Message:
    """Its turn at the provider comes later, and is kept for it."""
    parked = park(message, reason, now, turn, explained, provider)
    return parked if parked is message else replace(parked, turn=provider)


def lapse(message: Message, now: datetime) -> Message:
    """The worker that held the claim is gone and took with it what the provider answered."""
    if message.status is not Status.SENDING or message.claim is None or now < message.claim.until:
        return message
    last = message.attempts[-1]
    lost = Reason(Code.NO_REPLY, provider_text="the worker was lost during the call")
    reason = last.reason if last.outcome == "maybe_sent" and last.reason else lost
    return _doubt(_note_outcome(message, len(message.attempts), MaybeSent(reason)), reason, now)


def expire(message: Message, now: datetime) -> Message:
    """`valid_for` ran out before any provider could be asked."""
    if message.status is not Status.ACCEPTED or not is_expired(message, now):
        return message
    return _end(accept(message, now), Status.EXPIRED, now, Reason(Code.EXPIRED))


def give_up(message: Message, now: datetime, watch: Watch) -> Message:
    """It waited as long as we watch, and nothing could send it."""
    if message.status is not Status.ACCEPTED or now < watch.ends(message):
        return message
    return _end(message, Status.FAILED, now, message.reason or Reason(Code.NO_ROUTE))


def is_expired(message: Message, now: datetime) -> bool:
    end = _valid_until(message)
    return end is not None and now >= end


def _valid_until(message: Message) -> datetime | None:
    return message.accepted_at + timedelta(seconds=message.valid_for) if message.valid_for is not None else None


def cancel(message: Message, now: datetime, points: Decimal | None = None) -> Message:
    """The provider confirmed, or was never asked to send it."""
    if message.status not in (Status.ACCEPTED, Status.SCHEDULED):
        return message
    data = (("points_returned", str(points)),) if points is not None else ()
    noted = _note(message, now, "canceled", "by the publisher", data)
    return _end(noted, Status.CANCELED, now, Reason(Code.CANCELED))


def resolve_as_sent(message: Message, now: datetime, watch: Watch) -> Message:
    """An operator knows that the provider took it: it is watched for reports like any other."""
    if message.status is not Status.DOUBTFUL:
        return message
    return _taken(_note(message, now, "resolved", "as sent, by the operator"), now, watch)


def resolve_by_resend(message: Message, now: datetime, again: datetime) -> Message:
    """An operator wants it sent again, whatever became of the first time. Should its wake-up be lost, it is woken
    `again`."""
    if message.status is not Status.DOUBTFUL:
        return message
    noted = _note(message, now, "resolved", "to be sent again, by the operator")
    return replace(_wait(noted, message.reason or Reason(Code.UNKNOWN), now, now, message.provider), due_at=again)


def report(message: Message, told: Report, now: datetime, watch: Watch) -> Message:
    """Apply what a provider reported. Every distinct report is kept; the status moves only as `status.py` allows."""
    told = replace(told, provider_time=told.provider_time[:_LONGEST_TIME] if told.provider_time else None)
    if _is_known(message, told):
        return message
    ours = _speaks_of(message, told)
    moves = (
        ours
        and told.status is not None
        and report_moves(message.status, told.status, is_later=_is_later(message, told))
    )
    noted = _note_report(message, told, now, applied=moves or (ours and told.status is message.status))
    if ours and noted.provider_ref is None and told.provider_ref:
        noted = replace(noted, provider_ref=told.provider_ref)
    if not moves or told.status is None:
        return noted
    moved = _move(noted, told.status, now, told.reason)
    moved = replace(
        moved, reported_at=told.provider_time, points=told.points if told.points is not None else moved.points
    )
    if moved.status.is_final:
        return _finish(moved)
    return replace(
        moved, claim=None, next_attempt_at=None, waits_for=None, due_at=watch.next_check(message.checks, now)
    )


def unconfirm(message: Message, now: datetime, watch: Watch) -> Message:
    """Taken, but nobody said what became of it while we watched."""
    if message.status not in (Status.SENT, Status.SCHEDULED) or now < watch.ends(message):
        return message
    return _finish(_move(message, Status.UNCONFIRMED, now, Reason(Code.NO_REPORT)))


def checked(message: Message, now: datetime, watch: Watch) -> Message:
    """Its provider is being asked: nobody else need ask before the next check. The last one is just before the end."""
    ends = watch.ends(message)
    last = ends - watch.schedule[0]
    due = min(watch.next_check(message.checks + 1, now), last if now < last else max(ends, now + watch.schedule[0]))
    return replace(message, checks=message.checks + 1, due_at=due)


def watched(message: Message, watch: Watch) -> Message:
    """Its provider cannot be asked: look again when the watch is over."""
    return replace(message, due_at=watch.ends(message))


def not_asked(message: Message, now: datetime) -> Message:
    """There was no time left to ask: it is as due as it was."""
    if message.due_at is None or message.due_at <= now:
        return message
    return replace(message, checks=max(0, message.checks - 1), due_at=now)


def listen(message: Message, now: datetime, watch: Watch) -> Message:
    """Its provider tells answers to whoever asks, and they are asked for: it is asked on after its final report."""
    ends = _answerable_until(message)
    if message.due_at is not None or ends is None or now >= ends:
        return message
    return replace(message, due_at=watch.next_check(message.checks, now))


def listened(message: Message, now: datetime, watch: Watch) -> Message:
    """Its provider is being asked for answers; for the last time, where nobody can give one any more."""
    ends = _answerable_until(message)
    goes_on = ends is not None and now < ends
    due = min(watch.next_check(message.checks + 1, now), ends) if ends and goes_on else None
    return replace(message, checks=message.checks + 1, due_at=due)


def rest(message: Message) -> Message:
    """Nobody need look at it any more."""
    return replace(message, due_at=None)


def is_overdue(message: Message, now: datetime, after: timedelta) -> bool:
    """Taken so long ago, and nothing was heard of it."""
    return not _reports(message) and now >= overdue_at(message, after)


def overdue_at(message: Message, after: timedelta) -> datetime:
    taken = message.attempts[-1].at
    return max(taken, message.send_at or taken) + after


def note_overdue(message: Message, now: datetime, after: timedelta) -> Message:
    """Said once of a message, so that it is counted once."""
    if noted_overdue(message) or not is_overdue(message, now, after):
        return message
    return _note(message, now, "report", _OVERDUE)


def noted_overdue(message: Message) -> datetime | None:
    notes = (moment.at for moment in message.timeline if ("report", _OVERDUE) in moment.data)
    return next(notes, None)


def woken(message: Message, again: datetime) -> Message:
    """A parked message is being brought back to the sender; should that fail, it is woken `again`."""
    return replace(message, due_at=again, waits_for=None) if message.status is Status.ACCEPTED else message


def hasten(message: Message, now: datetime) -> Message:
    """What it waits for is there again."""
    if message.status is not Status.ACCEPTED:
        return message
    return replace(message, next_attempt_at=now, due_at=now)


def _answerable_until(message: Message) -> datetime | None:
    """None where no answers were asked for, or nobody can have read it."""
    if message.reply_days is None or message.status not in _ON_THE_PHONE or not message.attempts:
        return None
    went_out = max(message.attempts[-1].at, message.send_at or message.attempts[-1].at)
    return went_out + timedelta(days=message.reply_days) + TOLD_WITHIN


def _call(message: Message, provider: str, now: datetime, until: datetime, batch: str | None = None) -> Message:
    return replace(
        message,
        provider=provider,
        claim=Claim(provider, until),
        attempts=(*message.attempts, Attempt(provider, now, "calling", batch=batch)),
        reason=None,
        next_attempt_at=None,
        waits_for=None,
        due_at=until,
    )


def _settle_accepted(message: Message, outcome: Accepted, now: datetime, watch: Watch) -> Message:
    known = replace(
        message,
        provider_ref=message.provider_ref or outcome.provider_ref,
        points=outcome.points if outcome.points is not None else message.points,
        text=_text_after_submission(message),
    )
    if not (known.status in (Status.ACCEPTED, Status.SENDING) or known.status.is_open_to_evidence):
        return message if known == message else known  # A report was faster than the answer.
    return _taken(known, now, watch)


def _taken(message: Message, now: datetime, watch: Watch) -> Message:
    """The provider has it: it is sent, or will be at its time."""
    scheduled = message.send_at is not None and message.send_at > now
    taken = _move(message, Status.SCHEDULED if scheduled else Status.SENT, now)
    submitted = message.send_at if scheduled and message.send_at else now
    return replace(
        taken,
        claim=None,
        next_attempt_at=None,
        waits_for=None,
        due_at=watch.first_check(submitted),
        text=_text_after_submission(message),
    )


def _text_after_submission(message: Message) -> str | None:
    return None if message.private else message.text


def _doubt(message: Message, reason: Reason, now: datetime) -> Message:
    doubts = sum(attempt.outcome == "maybe_sent" for attempt in message.attempts)
    if message.on_doubt is OnDoubt.RESEND and doubts <= RESENDS and not is_expired(message, now):
        return _wait(message, reason, now, now, message.provider)
    return _finish(_move(message, Status.DOUBTFUL, now, reason), keep_text=True)


def _wait(
    message: Message,
    reason: Reason,
    now: datetime,
    until: datetime,
    provider: str | None,
    waits_for: str | None = None,
) -> Message:
    moved = message if message.status is Status.ACCEPTED else _move(message, Status.ACCEPTED, now, reason)
    waited_for = (("provider", provider),) if provider else ()
    waits = Moment(now, Kind.WAIT, reason=reason, data=(*waited_for, ("until", until.isoformat())))
    return replace(
        moved,
        timeline=moved.timeline if _has_told(moved, reason) else (*moved.timeline, waits),
        reason=reason,
        claim=None,
        next_attempt_at=until,
        waits_for=waits_for,
        due_at=min(until, _valid_until(message) or until),
        updated_at=now,
    )


def _has_told(message: Message, reason: Reason) -> bool:
    """A message that goes on waiting says so once for each reason: what changes from one look to the next, for weeks
    perhaps, must not fill its item."""
    for moment in reversed(message.timeline):
        if moment.kind is Kind.STATUS:
            return False
        if moment.kind is Kind.WAIT and moment.reason is not None and moment.reason.code is reason.code:
            return True
    return False


def _accepted_since(message: Message) -> datetime:
    moved = (moment.at for moment in reversed(message.timeline) if moment.kind is Kind.STATUS)
    return next(moved, message.accepted_at)


def _explain(message: Message, explained: Data, now: datetime, reason: Reason | None = None) -> Message:
    if not explained:
        return message
    why = Moment(now, Kind.ROUTE, reason=reason, data=tuple(sorted(explained)))
    last = next((moment for moment in reversed(message.timeline) if moment.kind is Kind.ROUTE), None)
    if last is not None and replace(last, at=now) == why:
        return message  # Decided as before, for the same reasons.
    return replace(message, timeline=(*message.timeline, why))


def _note(message: Message, now: datetime, name: str, words: str, more: Data = ()) -> Message:
    moment = Moment(now, Kind.NOTE, data=((name, words), *more))
    return replace(message, timeline=(*message.timeline, moment))


def _end(message: Message, status: Status, now: datetime, reason: Reason) -> Message:
    """No provider took it; but where an earlier dispatch of a resend may have gone out, not even that is known."""
    if any(attempt.outcome == "maybe_sent" for attempt in message.attempts):
        return _finish(_move(message, Status.DOUBTFUL, now, reason), keep_text=True)
    return _finish(_move(message, status, now, reason))


def _finish(message: Message, *, keep_text: bool = False) -> Message:
    text = message.text if keep_text or not message.private else None
    return replace(message, claim=None, due_at=None, next_attempt_at=None, waits_for=None, text=text)


def _move(message: Message, status: Status, now: datetime, reason: Reason | None = None) -> Message:
    previous = message.status if message.timeline else None
    if previous is status:
        return message
    revised = previous is not None and previous.is_final
    moment = Moment(now, Kind.STATUS, status, previous, revised, reason)
    return replace(message, status=status, reason=reason, updated_at=now, timeline=(*message.timeline, moment))


def _note_outcome(message: Message, attempt: int, outcome: Outcome) -> Message:
    if not 1 <= attempt <= len(message.attempts):
        return message
    known = message.attempts[attempt - 1]
    noted = replace(
        known,
        outcome=_OUTCOME_WORDS[type(outcome)],
        reason=None if isinstance(outcome, Accepted) else outcome.reason,
        provider_ref=outcome.provider_ref if isinstance(outcome, Accepted) else known.provider_ref,
    )
    if noted == known:
        return message
    return replace(message, attempts=(*message.attempts[: attempt - 1], noted, *message.attempts[attempt:]))


def _is_latest_call(message: Message, attempt: int) -> bool:
    return message.status is Status.SENDING and attempt == len(message.attempts)


def _is_answered(message: Message, attempt: int) -> bool:
    return 1 <= attempt <= len(message.attempts) and message.attempts[attempt - 1].outcome in _ANSWERED


def _awaits_outcome(message: Message, attempt: int) -> bool:
    """Under way, or given up as doubtful when the worker seemed lost: then its outcome is the evidence."""
    return attempt == len(message.attempts) and message.status in (Status.SENDING, Status.DOUBTFUL)


def _speaks_of(message: Message, told: Report) -> bool:
    """Is the report about this message? A stranger's reference or number is kept, but changes nothing."""
    if told.to is not None and told.to != message.to:
        return False
    if told.provider_ref is None or message.provider_ref is None or told.provider_ref == message.provider_ref:
        return bool(message.attempts)
    return any(
        attempt.provider_ref == told.provider_ref or (attempt.provider_ref is None and attempt.outcome != "refused")
        for attempt in message.attempts
    )


def _is_later(message: Message, told: Report) -> bool:
    # One provider's own times, in its own form, compare as text; without both there is no "later".
    return bool(told.provider_time and message.reported_at and told.provider_time > message.reported_at)


def _report_data(told: Report) -> tuple[tuple[str, str], ...]:
    fields = (
        ("code", told.provider_code),
        ("status", told.status.value if told.status else "unlisted"),
        ("provider_time", told.provider_time),
        ("ref", told.provider_ref),
    )
    return tuple(sorted((name, value) for name, value in fields if value))


def _is_known(message: Message, told: Report) -> bool:
    data = set(_report_data(told))
    return any(data <= set(moment.data) for moment in _reports(message))


def _reports(message: Message) -> list[Moment]:
    return [moment for moment in message.timeline if moment.kind is Kind.REPORT]


def _note_report(message: Message, told: Report, now: datetime, *, applied: bool) -> Message:
    if len(_reports(message)) >= REPORTS_KEPT:
        return message
    data = _report_data(told) if applied else (*_report_data(told), ("applied", "no"))
    moment = Moment(now, Kind.REPORT, reason=told.reason, data=data)
    return replace(message, timeline=(*message.timeline, moment), updated_at=now)
