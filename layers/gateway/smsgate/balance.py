"""What is left on each account: every measurement of it, whoever made it, and what a slice of messages may spend.

A credit was true at some moment between the question and the answer. Of two measurements whose calls did not overlap
the later one counts; where they did, nobody knows which is newer, and the lower one counts until the next: a high value
that comes late cannot undo a low one. So a threshold is crossed once, however many workers see it crossed.

Answers to dispatches state the credit far more often than anybody needs it. They are written when they tell something:
a crossing, a change by a tenth, or news after a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from secrets import token_hex

from smsgate import telemetry
from smsgate.accounts import Accounts
from smsgate.clock import TAIPEI
from smsgate.daybook import Daybook, Movement, Tally, day_of
from smsgate.forecast import Point, Use
from smsgate.items import Plain, stamp, time_of
from smsgate.ledger import Ledger
from smsgate.messages import Message
from smsgate.outcomes import Accepted, Outcome
from smsgate.providers.base import CannotSay, Provider, TellsCredit
from smsgate.reasons import SUSPENDING
from smsgate.secrets import SecretUnreadable
from smsgate.suspension import Suspensions

ASPECT = "credit"

TRUSTED = timedelta(minutes=20)
"""What was measured before says nothing of now. Longer than the schedule of measurements takes."""

_NEWS = timedelta(minutes=1)
_TENTH = Decimal("0.1")

_AMPLE = 50
"""As many workers may take from an account at once; where it has less for each, they take turns in the ledger."""

_HOLD = timedelta(minutes=2)
"""Longer than any slice takes. What a worker that was killed has taken is free again after this."""

_TRIES = 50


@dataclass(frozen=True, slots=True)
class Measured:
    credit: Decimal
    asked_at: datetime
    answered_at: datetime

    def is_after(self, other: Measured) -> bool:
        return self.asked_at >= other.answered_at


@dataclass(frozen=True, slots=True)
class _Hold:
    """Points that a worker may spend and nobody else."""

    by: str
    points: Decimal
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows of a provider's credit."""

    measured: Measured
    times: int  # measured so far
    threshold: Decimal | None
    movement: Movement
    use: Use
    spent: Decimal = Decimal(0)  # since it was measured, where that had to be known
    holds: tuple[_Hold, ...] = ()
    risen_at: datetime | None = None  # when it was last measured to be more than before
    version: int = 0

    @property
    def is_low(self) -> bool:
        return self.threshold is not None and self.measured.credit < self.threshold

    @property
    def hours_left(self) -> Decimal | None:
        return self.use.hours_left(self.measured.credit, self.measured.answered_at)

    def left(self, now: datetime) -> Decimal:
        """What nobody has taken yet."""
        return self.measured.credit - self.spent - sum(hold.points for hold in self.holds if now < hold.until)

    def gives_way_to(self, measured: Measured) -> bool:
        if measured.is_after(self.measured):
            return True
        return not self.measured.is_after(measured) and measured.credit < self.measured.credit

    def is_outdated_by(self, measured: Measured, threshold: Decimal | None) -> bool:
        """Does it tell something that is worth a write and an event?"""
        low = threshold is not None and measured.credit < threshold
        change = abs(measured.credit - self.measured.credit)
        return (
            low != self.is_low
            or change > abs(self.measured.credit) * _TENTH
            or measured.answered_at - self.measured.answered_at >= _NEWS
        )

    def next(self, measured: Measured, threshold: Decimal | None) -> Known:
        credit = measured.credit
        return replace(
            self,
            measured=measured,
            times=self.times + 1,
            threshold=threshold,
            movement=self.movement.to(credit, _day(measured.answered_at)),
            use=self.use.measured(measured.answered_at, self.measured.credit - credit),
            risen_at=measured.answered_at if credit > self.measured.credit else self.risen_at,
            spent=Decimal(0),
        )


class Balance:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        daybook: Daybook,
        offers: Mapping[str, type[Provider]],
        thresholds: Mapping[str, Decimal],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._daybook = daybook
        self._offers = offers
        self._thresholds = thresholds
        self._clock = clock
        self._lately: dict[str, Known] = {}  # as this worker saw it last: spares asking the ledger what is no news
        self._log = telemetry.logger()

    def known(self, provider: str) -> Known | None:
        plain = self._ledger.provider_state(provider, ASPECT)
        return _from_plain(plain) if plain else None

    def ask(self, provider: str) -> None:
        """Measure now. A provider that cannot be asked costs the others nothing: never raises."""
        try:
            self._ask(provider)
        except SecretUnreadable as error:
            self._log.error("provider secret unreadable", extra={"provider": provider, "problem": str(error)})
            telemetry.count("SecretUnreadable", provider=provider)
        except Exception as error:
            self._log.error("credit not measured", extra={"provider": provider, "error": type(error).__name__})
            telemetry.count("CreditNotMeasured", provider=provider)

    def purse(self, messages: int) -> Purse:
        """For a slice of so many messages; asks nobody yet."""
        return Purse(self, self._daybook, self._clock, messages)

    def close_day(self, provider: str) -> None:
        """Write how the credit moved in a day that is over into its account, if nobody has measured since."""
        known = self.known(provider)
        if known is not None and known.movement.day < _day(self._clock()):
            self._daybook.moved(provider, known.movement)

    def _ask(self, provider: str) -> None:
        account = self._accounts.open(provider)
        if not isinstance(account.provider, TellsCredit):
            return
        if self._suspensions.forbids_questions(provider, account.version):
            telemetry.count("CreditNotMeasured", provider=provider)
            return
        asked_at = self._clock()
        try:
            credit = account.provider.credit(account.line)
        except CannotSay as silence:
            self._log.warning("credit not told", extra={"provider": provider, "reason": silence.reason.code.value})
            telemetry.count("CreditNotMeasured", provider=provider)
            if silence.reason.code in SUSPENDING:
                self._suspensions.suspend(provider, silence.reason, account.version)
            return
        self._record(provider, Measured(credit, asked_at, self._clock()))

    def _record(self, provider: str, measured: Measured) -> None:
        self._change(provider, lambda known: self._next(provider, known, measured))

    def _next(self, provider: str, known: Known | None, measured: Measured) -> Known | None:
        threshold = self._thresholds.get(provider)
        if known is None:
            at = measured.answered_at
            movement = Movement(_day(at), measured.credit, measured.credit)
            use = Use().measured(at, Decimal(0))
            return Known(measured=measured, times=1, threshold=threshold, movement=movement, use=use)
        return known.next(measured, threshold) if known.gives_way_to(measured) else known

    def _change(self, provider: str, step: Callable[[Known | None], Known | None]) -> Known | None:
        """What is known becomes, if nobody was faster; two at once lose nothing and cross a threshold once."""
        for _ in range(_TRIES):
            known = self.known(provider)
            changed = step(known)
            if changed is None or changed is known:
                return self._remember(provider, known)
            if known is not None and changed.movement.day != known.movement.day:
                self._daybook.moved(provider, known.movement)
            if self._ledger.set_provider_state(provider, ASPECT, _to_plain(changed), changed.version):
                if known is None or changed.times != known.times:
                    telemetry.gauge("Credit", float(changed.measured.credit), provider=provider)
                    if changed.measured.credit > 0:
                        self._suspensions.credit_seen(provider, changed.measured.credit)
                return self._remember(provider, replace(changed, version=changed.version + 1))
        self._log.warning("credit changed elsewhere all the time", extra={"provider": provider})
        return None

    def _remember(self, provider: str, known: Known | None) -> Known | None:
        if known is not None:
            self._lately[provider] = known
        return known

    # What a slice does

    def limits(self, provider: str) -> bool:
        """A call of one message cannot be half paid: it may go, and its answer is the truth."""
        return self._offers[provider].capabilities.recipients_per_call > 1

    def take(self, provider: str, by: str, least: Decimal, most: Decimal) -> Decimal | None:
        """Points for a slice, at best the most it wants; None where there is no knowing or no need to count."""
        known = self.known(provider)
        now = self._clock()
        if known is None or now - known.measured.answered_at > TRUSTED or known.left(now) >= most * _AMPLE:
            return None
        taken = Decimal(0)

        def hold(known: Known | None) -> Known | None:
            nonlocal taken
            if known is None:
                return None
            own = sum((each.points for each in known.holds if each.by == by), Decimal(0))
            taken = min(known.left(now), most)
            if taken < least:
                taken = Decimal(0)
                return known
            others = tuple(each for each in known.holds if each.by != by and now < each.until)
            return replace(known, holds=(*others, _Hold(by, own + taken, now + _HOLD)))

        return taken if self._change(provider, hold) is not None else Decimal(0)

    def give_back(self, provider: str, by: str, spent: Decimal, measured: Measured | None) -> None:
        def released(known: Known | None) -> Known | None:
            if known is None:
                return None
            free = replace(known, holds=tuple(each for each in known.holds if each.by != by))
            if measured is None:
                return replace(free, spent=known.spent + spent)
            # Taken or not: what was measured, here or by somebody later, knows of what was spent here.
            return self._next(provider, free, measured)

        self._change(provider, released)

    def tell(self, provider: str, measured: Measured) -> None:
        """What an answer stated: recorded where it is news."""
        threshold = self._thresholds.get(provider)
        lately = self._lately.get(provider)
        if lately is not None and not lately.is_outdated_by(measured, threshold):
            return
        self._change(
            provider,
            lambda known: (
                known
                if known is not None and not known.is_outdated_by(measured, threshold)
                else self._next(provider, known, measured)
            ),
        )

    def ask_again(self, provider: str) -> None:
        """Messages were held back for what was measured: nobody shall wait for an old measurement."""
        known = self.known(provider)
        if known is None or self._clock() - known.measured.answered_at >= _NEWS:
            self.ask(provider)


class Purse:
    """What the messages of one slice may spend with each provider, and what its answers say of the credit.

    Used by all threads of a slice. Whatever goes wrong in here stops no message: an account that cannot pay says so.
    """

    def __init__(self, balance: Balance, daybook: Daybook, clock: Callable[[], datetime], messages: int) -> None:
        self._balance = balance
        self._daybook = daybook
        self._clock = clock
        self._messages = messages
        self._by = token_hex(4)
        self._lock = threading.Lock()
        self._funds: dict[str, Decimal | None] = {}
        self._spent: dict[str, Decimal] = {}
        self._dry: set[str] = set()
        self._seen: dict[str, list[Measured]] = {}
        self._days: dict[tuple[str, date], Tally] = {}
        self._log = telemetry.logger()

    def pays(self, provider: str, points: Decimal) -> bool:
        """May a message of so many points go there with others? Takes them, where they have to be counted.

        False only for messages that would travel with others, on a credit measured lately: such a call would be
        refused whole, or taken by half.
        """
        if self._messages < 2 or not self._balance.limits(provider):
            return True
        with self._lock:
            fund = self._fund(provider, points)
            if fund is None:
                return True
            if fund < points:
                self._dry.add(provider)
                return False
            self._funds[provider] = fund - points
            self._spent[provider] = self._spent.get(provider, Decimal(0)) + points
            return True

    def answered(
        self, provider: str, messages: Sequence[Message], outcomes: Sequence[Outcome], asked_at: datetime
    ) -> None:
        """A dispatch came back: what it states of points and credit, kept until the slice ends."""
        accepted = [(m, o) for m, o in zip(messages, outcomes, strict=True) if isinstance(o, Accepted)]
        stated = [outcome.credit for _, outcome in accepted if outcome.credit is not None]
        now = self._clock()
        with self._lock:
            for message, outcome in accepted:
                self._days.setdefault((provider, day_of(message, now)), Tally()).add(message, outcome.points)
            if stated:
                self._see(provider, Measured(min(stated), asked_at, now))

    def close(self, *, may_ask: bool) -> None:
        """At the end of the slice: write what is news, give back what was not spent. Never raises.

        `may_ask`: there is time left for a call to each provider whose credit held messages back.
        """
        for provider in sorted({*self._funds, *self._seen}):
            self._safely("credit not recorded", provider, self._record, provider)
        for (provider, day), tally in self._days.items():
            self._safely("account not kept", provider, self._daybook.add, provider, day, tally)
        if may_ask:
            for provider in sorted(self._dry):
                self._safely("credit not asked again", provider, self._balance.ask_again, provider)

    def _fund(self, provider: str, points: Decimal) -> Decimal | None:
        fund = self._funds.get(provider, Decimal(0))
        if fund is None or fund >= points or provider in self._dry:
            return fund
        # What all the rest would cost if they cost as much; should some cost more, it is taken for once more.
        most = points * self._messages - sum(self._spent.values())
        try:
            taken = self._balance.take(provider, self._by, points, max(most, points))
        except Exception as error:
            self._log.error("credit not read", extra={"provider": provider, "error": type(error).__name__})
            telemetry.count("CreditNotRead", provider=provider)
            taken = None
        self._funds[provider] = None if taken is None else fund + taken
        return self._funds[provider]

    def _see(self, provider: str, measured: Measured) -> None:
        """Keeps those that none is after. They were all under way at one time, so there are no more than threads."""
        seen = self._seen.get(provider, [])
        if not any(other.is_after(measured) for other in seen):
            self._seen[provider] = [*(other for other in seen if not measured.is_after(other)), measured]

    def _record(self, provider: str) -> None:
        seen = self._seen.get(provider)
        measured = min(seen, key=lambda each: each.credit) if seen else None
        if self._spent.get(provider) or self._funds.get(provider):
            self._balance.give_back(provider, self._by, self._spent.get(provider, Decimal(0)), measured)
        elif measured is not None:
            self._balance.tell(provider, measured)

    def _safely(self, problem: str, provider: str, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._log.error(problem, extra={"provider": provider, "error": type(error).__name__})
            telemetry.count("CreditNotRecorded", provider=provider)


def _day(moment: datetime) -> date:
    return moment.astimezone(TAIPEI).date()


def _to_plain(known: Known) -> Plain:
    movement = known.movement
    return {
        "credit": known.measured.credit,
        "threshold": known.threshold,
        "low": known.is_low,
        "hours_left": known.hours_left,
        "asked_at": stamp(known.measured.asked_at),
        "at": stamp(known.measured.answered_at),
        "times": known.times,
        "day": movement.day.isoformat(),
        "began": movement.began,
        "fallen": movement.fallen,
        "risen": movement.risen,
        "risen_at": stamp(known.risen_at) if known.risen_at else None,
        "use": [{"at": stamp(point.at), "used": point.used} for point in known.use.points],
        "spent": known.spent or None,
        "holds": [{"by": hold.by, "points": hold.points, "until": stamp(hold.until)} for hold in known.holds] or None,
    }


def _from_plain(plain: Plain) -> Known:
    return Known(
        measured=Measured(plain["credit"], time_of(plain["asked_at"]), time_of(plain["at"])),
        times=int(plain["times"]),
        threshold=plain.get("threshold"),
        movement=Movement(
            date.fromisoformat(plain["day"]), plain["began"], plain["credit"], plain["fallen"], plain["risen"]
        ),
        use=Use(tuple(Point(time_of(point["at"]), point["used"]) for point in plain["use"])),
        risen_at=time_of(plain["risen_at"]) if "risen_at" in plain else None,
        spent=plain.get("spent", Decimal(0)),
        holds=tuple(_Hold(hold["by"], hold["points"], time_of(hold["until"])) for hold in plain.get("holds", ())),
        version=int(plain["version"]),
    )
