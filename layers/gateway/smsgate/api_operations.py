"""What operators ask and decide over HTTP: how each provider stands, who is left alone, what became of a doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

from smsgate import lifecycle
from smsgate.answers import Answer, Json, bad_fields, message_json, no_message, not_found, number_json, problem
from smsgate.balance import ASPECT as CREDIT
from smsgate.clock import TAIPEI
from smsgate.items import Plain, stamp
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.messages import Message
from smsgate.providers.base import Cancels, PollsReplies, Provider, Queries, ReadsReplies, TellsCredit
from smsgate.reasons import quoted
from smsgate.requests import Problem
from smsgate.status import Status
from smsgate.strict_json import NotJson, did_you_mean, kind, parse, repeatable
from smsgate.suspension import Suspension, Suspensions
from smsgate.wakeups import WakeUps

LONGEST_WHY = 150

_LARGEST_BODY = 4096
_SENT, _RESEND = "sent", "resend"

_WAKE_AGAIN = timedelta(minutes=2)
"""Should the wake-up of a message that is to be sent again be lost, the schedule finds it after this."""


class Operations:
    def __init__(
        self,
        *,
        ledger: Ledger,
        suspensions: Suspensions,
        wake_ups: WakeUps,
        offers: Mapping[str, type[Provider]],
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._suspensions = suspensions
        self._wake_ups = wake_ups
        self._offers = offers
        self._watch = watch
        self._clock = clock

    # Providers

    def providers(self) -> Answer:
        return Answer(200, {"providers": [self._provider_json(key) for key in self._offers]})

    def suspend(self, key: str, body: bytes) -> Answer:
        if key not in self._offers:
            return self._no_provider(key)
        try:
            why = _field(body, "why", 'send {"why": "…"}: it is shown wherever the suspension is')
            if not why.strip() or not why.isprintable() or len(why) > LONGEST_WHY:
                raise _Invalid("why", f"must be one line of 1 to {LONGEST_WHY} characters")
        except _Invalid as invalid:
            return bad_fields("Not suspended", "Nothing was changed.", [invalid.problem])
        self._suspensions.by_operator(key, quoted(why))
        return Answer(200, self._provider_json(key))

    def resume(self, key: str) -> Answer:
        """Also what nobody suspended: it is as it was asked to be."""
        if key not in self._offers:
            return self._no_provider(key)
        self._suspensions.resume(key)
        return Answer(200, self._provider_json(key))

    def _no_provider(self, key: str) -> Answer:
        enabled = ", ".join(self._offers)
        return not_found(
            "provider", f"no enabled provider has this key; there are {enabled}{did_you_mean(key, self._offers)}"
        )

    def _provider_json(self, key: str) -> Json:
        credit = self._ledger.provider_state(key, CREDIT) or {}
        return {
            "provider": key,
            "credit": number_json(credit.get("credit")),
            "measured_at": credit.get("at"),
            "low": credit.get("low"),
            "threshold": number_json(credit.get("threshold")),
            "hours_left": number_json(credit.get("hours_left")),
            **_suspension_json(self._suspensions.read(key), self._clock()),
            "capabilities": _capabilities_json(self._offers[key]),
            "accounts": self._accounts_json(key, credit),
        }

    def _accounts_json(self, key: str, credit: Plain) -> list[Json]:
        """Of today and of yesterday, as far as there is anything to tell. Days are Taipei's."""
        today = self._clock().astimezone(TAIPEI).date()
        accounts: list[Json] = []
        for day in (today, today - timedelta(days=1)):
            moved = {**credit, "ended": credit["credit"]} if credit.get("day") == day.isoformat() else {}
            account = {**(self._ledger.account(key, day) or {}), **moved}
            if account:
                accounts.append(_account_json(day, account))
        return accounts

    # Doubtful messages

    def resolve(self, message_id: str, body: bytes) -> Answer:
        try:
            verdict = _field(body, "as", 'send {"as": "sent"} or {"as": "resend"}')
            if verdict not in (_SENT, _RESEND):
                raise _Invalid("as", "must be `sent` (the provider took it) or `resend` (it goes out again)")
        except _Invalid as invalid:
            return bad_fields("Not settled", "Nothing was changed.", [invalid.problem])
        message = self._ledger.get(message_id)
        if message is None:
            return no_message()
        now = self._clock()
        ours = False

        def step(known: Message) -> Message:
            nonlocal ours
            if verdict == _SENT:
                settled = lifecycle.resolve_as_sent(known, now, self._watch)
            else:
                settled = lifecycle.resolve_by_resend(known, now, now + _WAKE_AGAIN)
            ours = settled is not known
            return settled

        settled = self._ledger.change_from(message, step)
        if not ours:
            return _not_doubtful(settled)
        if verdict == _RESEND:
            self._wake_ups.send([settled])
        return Answer(200, message_json(settled))


class _Invalid(Exception):
    """A field that is not what it must be, and how to mend it."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(name)
        self.problem = Problem(name, detail)


def _field(body: bytes, name: str, remedy: str) -> str:
    """The one field that the body has. Raises _Invalid."""
    try:
        told = parse(body, _LARGEST_BODY, remedy)
    except NotJson as error:
        raise _Invalid("body", f"{error}; {remedy}") from None
    if not isinstance(told, dict):
        raise _Invalid("body", f"is {kind(told)}; {remedy}")
    unknown = sorted(told.keys() - {name})
    if unknown:
        raise _Invalid(repeatable(unknown[0]), f"is not a field here; {remedy}")
    if name not in told:
        raise _Invalid(name, f"is missing; {remedy}")
    value = told[name]
    if not isinstance(value, str):
        raise _Invalid(name, f"is {kind(value)}; {remedy}")
    return value


def _not_doubtful(message: Message) -> Answer:
    status = message.status
    why = f"it is {status.value}, and only a doubtful message is settled by an operator"
    if status in (Status.SENDING, Status.ACCEPTED):
        why += "; wait until it is known what comes of it"
    return problem(409, "Nothing to settle", why, message_id=message.message_id, message_status=status.value)


def _suspension_json(known: Suspension | None, now: datetime) -> Json:
    if known is None or not known.active:
        return {"suspended": False, "second_choice": False, "reason": None, "since": None, "next_try_at": None}
    waits_for_somebody = known.held or known.secret_version in known.refused_versions
    return {
        "suspended": True,
        "second_choice": known.soft,
        "reason": known.reason.as_json(),
        "since": stamp(known.since),
        "next_try_at": None if waits_for_somebody else stamp(max(known.retry_at, now)),
    }


def _account_json(day: date, account: Plain) -> Json:
    """What we reckoned it would take against what it says it took; and how its credit moved, as far as measured."""
    return {
        "day": day.isoformat(),
        "messages": number_json(account.get("messages", Decimal(0))),
        "reckoned": number_json(account.get("reckoned", Decimal(0))),
        "taken": number_json(account.get("taken", Decimal(0))),
        "stated": number_json(account.get("stated", Decimal(0))),
        "differing": number_json(account.get("differing", Decimal(0))),
        "message_ids": sorted(account.get("named", ())),
        "credit": {name: number_json(account.get(name)) for name in ("began", "ended", "fallen", "risen")},
    }


def _capabilities_json(offered: type[Provider]) -> Json:
    """As the provider's module declares them, and what can be asked of it."""
    declared = offered.capabilities
    return {
        "transport": declared.transport,
        "recipients_per_call": declared.recipients_per_call,
        "countries": sorted(declared.countries) if declared.countries is not None else None,
        "longest": declared.longest,
        "forms": sorted(form.value for form in declared.forms),
        "schedule": declared.schedule,
        "validity": declared.validity,
        "sender": declared.sender,
        "two_way": declared.two_way,
        "receipts": declared.receipts,
        "replies": issubclass(offered, (ReadsReplies, PollsReplies)),
        "status_checks": issubclass(offered, Queries),
        "cancels": issubclass(offered, Cancels),
        "tells_credit": issubclass(offered, TellsCredit),
    }
