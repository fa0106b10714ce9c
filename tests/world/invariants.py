"""What must hold in every world, whatever went wrong in it: N1 to N9, each violation in a sentence."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local.simulators.every8d import Every8d
from smsgate.messages import Kind, Message, Moment, OnDoubt
from smsgate.status import Status
from tests.world.world import Published, World

_NEVER_TAKEN = frozenset({Status.REJECTED, Status.FAILED})
_TAKEN = frozenset({Status.SENT, Status.SCHEDULED, Status.DELIVERED, Status.UNDELIVERED, Status.UNCONFIRMED})
_CONTESTED = frozenset({"delivered", "undelivered"})
_OPEN_TO_EVIDENCE = frozenset({"doubtful", "unconfirmed"})

_BAD_LOGINS = 2  # per version of the secret
_RESENDS = 2
_CALL_LASTS = 120.0  # seconds from a claim to the last moment at which its call, or its recording, can go wrong
_MAIL_LASTS = 1800.0

_SEND_OPERATIONS = frozenset({"send", "sendSMS", "sendParamSMS"})


@dataclass(frozen=True, slots=True)
class Violation:
    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


def violations(world: World, *, converged: bool = True) -> list[Violation]:
    """`converged`: the faults have stopped so long ago that everything must have come to rest (N2, N5, N6, N8)."""
    ledger = world.messages()
    found = [
        *_no_duplicate(world, ledger),
        *_no_lie(world, ledger),
        *_no_going_back(world, ledger),
        *_no_secret(world),
        *_bounded_harm(world, ledger),
    ]
    if converged:
        found += _no_loss(world, ledger)
        found += _acknowledged_is_kept(world)
        found += _no_silent_doubt(world, ledger)
        found += _events_once(world, ledger)
        found += _at_rest(world, ledger)
    return found


def assert_clean(world: World, *, converged: bool = True) -> None:
    found = violations(world, converged=converged)
    if found:
        raise AssertionError("\n".join([f"seed {world.seed}: {len(found)} violations", *map(str, found[:20])]))


# N1


def _no_duplicate(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    """Nobody's message is taken twice, but where its publisher prefers that to a doubt, and there was one."""
    accepts = world.accepts()
    for message in ledger:
        times = accepts[message.to, _text_of(world, message)]
        allowed = 1
        if message.on_doubt is OnDoubt.RESEND:
            allowed += min(
                _RESENDS, sum(_may_have_failed(world, message, place) for place in range(len(message.attempts)))
            )
        if times > allowed:
            yield Violation(
                "N1 no duplicate", f"{_who(message)} was taken {times} times, {allowed} allowed{_how(message)}"
            )


def _may_have_failed(world: World, message: Message, place: int) -> bool:
    """Whether something went wrong while this attempt was under way."""
    attempt = message.attempts[place]
    began = (attempt.at - world.clock()).total_seconds() + world.kernel.elapsed
    lasts = _MAIL_LASTS if world.is_mail(attempt.provider) else _CALL_LASTS
    slack = abs(world.widest_clock_error) + 1
    return any(began - slack <= at <= began + lasts + slack for at in world.troubles(attempt.provider))


# N2


def _no_loss(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    """Every recipient of every request has a row, a recorded refusal, or its record among the dead letters."""
    dead = "\n".join(letter.body for letter in world.dead_letters.letters.values())
    rows_of: dict[str, set[str]] = defaultdict(set)
    for message in ledger:
        rows_of[message.request_id].add(message.to)
    for published in world.published:
        rows = rows_of[published.request_id]
        missing = [to for to in published.to if to not in rows]
        if missing and not world.ledger.rejections(published.request_id) and f'"{published.request_id}"' not in dead:
            for to in missing:
                yield Violation("N2 no loss", f"{published.request_id} to {_masked(to)} is nowhere")


def _acknowledged_is_kept(world: World) -> Iterator[Violation]:
    """A callback that was answered with 200 lies in the table as it came, unless it tells of a private message, whose
    text it may repeat; strangers leave nothing there."""
    kept = {item["query"]["S"] for item in world.table.items() if item["sk"]["S"] == "callback" and "query" in item}
    private = {to[-8:] for published in world.published if published.fields.get("private") for to in published.to}
    for key, query in world.acknowledged():
        if query not in kept and not any(digits in query for digits in private):
            yield Violation("N2 no loss", f"a callback of {key} was acknowledged and is not there")
    for status in world.answers_to_strangers:
        if status not in (404, 500, 503):
            yield Violation("N2 no loss", f"a stranger was answered with {status}")


# N3


def _no_lie(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    accepts = world.accepts()
    shown = Counter(
        (to, each.text)
        for simulator in world.providers.values()
        for to, phone in simulator.phones.items()
        for each in phone
    )
    for message in ledger:
        key = message.to, _text_of(world, message)
        taken = accepts[key]
        if message.status in _NEVER_TAKEN and taken:
            yield Violation("N3 no lie", f"{_who(message)} is {message.status} but was taken{_how(message)}")
        if message.status is Status.EXPIRED and taken and not message.provider_ref:
            yield Violation("N3 no lie", f"{_who(message)} is expired here but was taken{_how(message)}")
        if message.status in _TAKEN and not taken and not world.has_record_of(message):
            yield Violation("N3 no lie", f"{_who(message)} is {message.status} but nobody took it{_how(message)}")
        if message.status is Status.DELIVERED and not shown[key]:
            yield Violation("N3 no lie", f"{_who(message)} is delivered but on no phone{_how(message)}")
        if message.status is Status.CANCELED and shown[key]:
            yield Violation("N3 no lie", f"{_who(message)} is canceled but on a phone{_how(message)}")


# N4


def _no_going_back(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    """In the history and on the bus: what is final changes only on better evidence, and says so."""
    for message in ledger:
        previous: str | None = None
        for moment in _statuses(message):
            status = str(moment.status)
            if (moment.previous.value if moment.previous else None) != previous:
                yield Violation(
                    "N4 no going back", f"{_who(message)} became {status} from {moment.previous}, not {previous}"
                )
            if previous is not None and Status(previous).is_final and not _may_follow(previous, status, moment.revised):
                yield Violation(
                    "N4 no going back", f"{_who(message)} was {previous} and became {status}{_how(message)}"
                )
            previous = status
    for event in world.events:
        detail = event.detail
        before = detail.get("previous")
        if before and Status(before).is_final and not _may_follow(before, detail["status"], detail["revised"]):
            yield Violation(
                "N4 no going back", f"an event takes {detail['message_id']} from {before} to {detail['status']}"
            )


def _may_follow(previous: str, status: str, revised: bool) -> bool:
    return revised and (previous in _OPEN_TO_EVIDENCE or {previous, status} == _CONTESTED)


# N5


def _no_silent_doubt(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    told = {event.detail["message_id"] for event in world.events if event.detail.get("status") == "doubtful"}
    for message in ledger:
        if message.status is not Status.DOUBTFUL:
            continue
        if message.message_id not in told:
            yield Violation("N5 no silent doubt", f"{_who(message)} is doubtful without an event")
        if not any(_may_have_failed(world, message, place) for place in range(len(message.attempts))):
            yield Violation(
                "N5 no silent doubt", f"{_who(message)} is doubtful though nothing went wrong{_how(message)}"
            )


# N6


def _events_once(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    """Every change of status is on the bus under one id, whatever else is there is none of ours."""
    seen: dict[str, set[str]] = defaultdict(set)
    for event in world.events:
        if event.detail_type == "Message Status Changed" and event.detail["message_id"] is not None:
            seen[event.detail["event_id"]].add(repr(sorted(_stable(event.detail).items())))
    for event_id, contents in seen.items():
        if len(contents) > 1:
            yield Violation("N6 events once", f"the event {event_id} says {len(contents)} different things")
    expected: dict[str, str] = {}
    for message in ledger:
        for place, moment in enumerate(message.timeline):
            if moment.kind is Kind.STATUS:
                expected[f"{message.message_id}.{place}"] = str(moment.status)
    for event_id in expected.keys() - seen.keys():
        yield Violation("N6 events once", f"there is no event {event_id} ({expected[event_id]})")
    for event_id in seen.keys() - expected.keys():
        yield Violation("N6 events once", f"the event {event_id} is of no change in the ledger")


def _stable(detail: dict[str, Any]) -> dict[str, Any]:
    """What an event says of its change; the rest is how the message stood when it was told."""
    return {name: detail[name] for name in ("message_id", "status", "previous", "revised", "final", "at", "to")}


# N7


def _no_secret(world: World) -> Iterator[Violation]:
    """Credentials and tokens are nowhere; numbers and texts are in no line, and texts in no event."""
    logged = "\n".join([*world.logs, *(failure.text for failure in world.functions.failures)])
    alerts = "\n".join(f"{alert.subject} {alert.message}" for alert in world.alerts)
    events = "\n".join(repr(event.detail) for event in world.events if event.detail_type != "Reply Received")
    letters = "\n".join(letter.body for queue in world.services.queues.values() for letter in queue.letters.values())
    places = {"a log line": logged, "an alert": alerts, "an event": events, "a queue": letters}
    for what, secret in world.credentials():
        for place, text in places.items():
            if secret in text:
                yield Violation("N7 no secret", f"{what} is in {place}")
    for published in world.published:
        for place in ("a log line", "an alert", "an event"):
            if published.text and published.text in places[place]:
                yield Violation("N7 no secret", f"the text of {published.request_id} is in {place}")
    numbers = {_national(to): published.request_id for published in world.published for to in published.to}
    for place in ("a log line", "an alert"):
        for number in sorted(_digits_in(places[place], {len(number) for number in numbers}) & numbers.keys()):
            yield Violation("N7 no secret", f"a number of {numbers[number]} is in {place}")


def _digits_in(text: str, lengths: set[int]) -> set[str]:
    """Every so many digits in a row: to look for one number after the other would take hours after a long run."""
    rows = set(re.findall(r"[0-9]+", text))
    return {row[at : at + length] for row in rows for length in lengths for at in range(len(row) - length + 1)}


def _national(number: str) -> str:
    """What all ways to write the number share."""
    return number.removeprefix("+886").removeprefix("+852").removeprefix("+")


# N8


def _at_rest(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    for name, queue in (("urgent", world.send_queue), ("bulk", world.bulk_queue)):
        if queue.letters:
            yield Violation("N8 converge", f"{len(queue.letters)} records are in the {name} lane")
    if world.stream.behind:
        yield Violation("N8 converge", f"{world.stream.behind} changes are not published")
    if world.undelivered_changes:
        yield Violation("N8 converge", f"{len(world.undelivered_changes)} changes were given up")
    poison = Counter(world.poison)
    for letter in world.dead_letters.letters.values():
        if not poison[letter.body]:
            yield Violation("N8 converge", f"{letter.message_id} is a dead letter and no poison")
        poison[letter.body] -= 1
    for message in ledger:
        if message.status is Status.SENDING and not world.is_mail(message.provider or ""):
            yield Violation("N8 converge", f"{_who(message)} is still being sent{_how(message)}")


# N9


def _bounded_harm(world: World, ledger: Sequence[Message]) -> Iterator[Violation]:
    for key, simulator in world.providers.items():
        versions = world.versions_of(key)
        if isinstance(simulator, Every8d) and simulator.bad_logins > _BAD_LOGINS * versions:
            yield Violation(
                "N9 bounded harm", f"{simulator.bad_logins} bad logins with {versions} versions of the secret of {key}"
            )
        calls = sum(call.operation in _SEND_OPERATIONS for call in simulator.calls)
        attempts = sum(attempt.provider == key for message in ledger for attempt in message.attempts)
        repeats = world.documented_repeats(key)
        if calls > attempts + repeats:
            yield Violation("N9 bounded harm", f"{key} was called {calls} times for {attempts} attempts")


# Words


def _statuses(message: Message) -> list[Moment]:
    return [moment for moment in message.timeline if moment.kind is Kind.STATUS]


def _text_of(world: World, message: Message) -> str:
    """What was asked for, also where the ledger keeps it no longer."""
    return message.text if message.text is not None else _published(world, message).text


def _published(world: World, message: Message) -> Published:
    return next(each for each in world.published if each.request_id == message.request_id)


def _who(message: Message) -> str:
    return f"{message.message_id} of {message.request_id} to {_masked(message.to)} ({message.on_doubt})"


def _how(message: Message) -> str:
    """Its story in one line."""
    attempts = [f"{attempt.provider} {attempt.outcome} at {attempt.at:%H:%M:%S}" for attempt in message.attempts]
    statuses = [f"{moment.status} at {moment.at:%H:%M:%S}" for moment in _statuses(message)]
    return f"; attempts: {', '.join(attempts) or 'none'}; history: {', '.join(statuses)}"


def _masked(number: str) -> str:
    return f"...{number[-3:]}"


__all__ = ["Violation", "assert_clean", "violations"]
