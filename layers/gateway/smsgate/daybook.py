"""The account of a day with each provider: what we reckoned it would take, what it said it took, how its credit moved.

A day is one of Taipei's, and a message belongs to the day on which it was given to the provider. The sums are counters
that every slice adds to, so nothing is ever counted again and nothing is scanned. An answer of DynamoDB that is lost
makes its client add the same once more; that moves what we reckoned and what was taken alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from smsgate import telemetry
from smsgate.clock import TAIPEI
from smsgate.items import Plain
from smsgate.ledger import AccountSums, Ledger
from smsgate.messages import Message
from smsgate.status import Status

_NOT_COUNTED = frozenset({Status.ACCEPTED, Status.SENDING, Status.DOUBTFUL})
"""No answer said that the provider took it; where one comes yet, it counts what it says itself."""

KEPT = 100
"""Messages behind a difference that are kept by name, of a provider's day."""

_SETTLES = timedelta(hours=1)
"""After midnight: the last answers and most reports of the day are in. Later ones still correct what lies there."""

_LOOKS_BACK = 3
"""Days that are told of late, should the schedule have stood still."""


@dataclass(slots=True)
class Tally:
    """What one slice adds to a provider's day."""

    messages: int = 0
    reckoned: Decimal = Decimal(0)
    taken: Decimal = Decimal(0)
    stated: int = 0  # messages whose points the provider itself said; of the others we take our own word
    differing: list[str] = field(default_factory=list)

    def add(self, message: Message, stated: Decimal | None) -> None:
        reckoned = message.points or Decimal(0)
        taken = reckoned if stated is None else stated
        self.messages += 1
        self.reckoned += reckoned
        self.taken += taken
        self.stated += stated is not None
        if taken != reckoned:
            self.differing.append(message.message_id)


@dataclass(frozen=True, slots=True)
class Movement:
    """How the credit of an account moved in a day, as far as its measurements show."""

    day: date
    began: Decimal
    ended: Decimal
    fallen: Decimal = Decimal(0)
    risen: Decimal = Decimal(0)  # topped up, or given back for what was canceled

    def to(self, credit: Decimal, day: date) -> Movement:
        """A fall over midnight counts where it was seen."""
        known = self if day == self.day else Movement(day, self.ended, self.ended)
        change = credit - self.ended
        return Movement(
            day,
            known.began,
            credit,
            known.fallen + max(-change, Decimal(0)),
            known.risen + max(change, Decimal(0)),
        )


class Daybook:
    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._log = telemetry.logger()

    def add(self, provider: str, day: date, tally: Tally) -> None:
        sums = AccountSums(tally.messages, tally.reckoned, tally.taken, tally.stated, len(tally.differing))
        self._ledger.add_to_account(provider, day, sums, tally.differing[:KEPT], KEPT, self._clock())

    def accepted(self, provider: str, messages: Iterable[Message]) -> None:
        """Taken by a provider whose answer states no points. Never raises."""
        days: dict[date, Tally] = {}
        for message in messages:
            days.setdefault(day_of(message, self._clock()), Tally()).add(message, None)
        for day, tally in days.items():
            self._add(provider, day, tally)

    def corrected(self, before: Message, after: Message) -> None:
        """A report said what a message really took, which is not what was counted of it. Never raises."""
        if before.status in _NOT_COUNTED or before.points is None or after.points is None or not after.provider:
            return
        if before.points == after.points:
            return
        tally = Tally(taken=after.points - before.points, differing=[after.message_id])
        self._add(after.provider, day_of(after, self._clock()), tally)

    def moved(self, provider: str, movement: Movement) -> None:
        """May be said again: it is written, not added."""
        self._ledger.note_movement(
            provider,
            movement.day,
            began=movement.began,
            ended=movement.ended,
            fallen=movement.fallen,
            risen=movement.risen,
            now=self._clock(),
        )

    def account(self, provider: str, day: date) -> Plain | None:
        return self._ledger.account(provider, day)

    def tell(self, provider: str) -> None:
        """Every day that is over is told once; told and then marked, so that a run that is killed loses none."""
        over = (self._clock() - _SETTLES).astimezone(TAIPEI).date()
        for back in range(_LOOKS_BACK, 0, -1):
            day = over - timedelta(days=back)
            account = self.account(provider, day)
            if account is not None and not account.get("told"):
                self._tell(provider, day, account)
                self._ledger.mark_account_told(provider, day)

    def _add(self, provider: str, day: date, tally: Tally) -> None:
        try:
            self.add(provider, day, tally)
        except Exception as error:
            # What it is about is in the ledger; it must not be told again for the sake of a sum.
            self._log.error("account not kept", extra={"provider": provider, "error": type(error).__name__})
            telemetry.count("AccountNotKept", provider=provider)

    def _tell(self, provider: str, day: date, account: Plain) -> None:
        reckoned, taken = account.get("reckoned", Decimal(0)), account.get("taken", Decimal(0))
        telemetry.gauge("PointsDifference", float(taken - reckoned), provider=provider)
        line = {
            "provider": provider,
            "day": day.isoformat(),
            "messages": int(account.get("messages", 0)),
            "reckoned": reckoned,
            "taken": taken,
            "stated": int(account.get("stated", 0)),
            "differing": int(account.get("differing", 0)),
        }
        if "ended" in account:
            telemetry.gauge("PointsUnexplained", float(account["fallen"] - taken), provider=provider)
            line |= {name: account[name] for name in ("began", "ended", "fallen", "risen")}
        self._log.info("account of the day", extra=line)
        for message_id in sorted(account.get("named", ())):
            self._log.info("points differ", extra={"provider": provider, "message_id": message_id})


def day_of(message: Message, now: datetime) -> date:
    """The day a message was given to its provider."""
    at = message.attempts[-1].at if message.attempts else now
    return at.astimezone(TAIPEI).date()
