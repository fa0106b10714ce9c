"""The only four things a dispatch can mean for a message, and how a broken call says which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from smsgate.reasons import Reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """Documented success and a usable reference. `points` and `credit` where the answer states them."""

    provider_ref: str
    points: Decimal | None = None
    credit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A documented error that means no."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class NotSent:
    """It certainly did not go out. Safe to send again."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class MaybeSent:
    """We cannot tell. Sending it again may text somebody twice.

    `evidence_within`: the vendor answers later, by another way; until then it is being sent, and doubtful only after.
    """

    reason: Reason
    evidence_within: timedelta | None = None


Outcome = Accepted | Refused | NotSent | MaybeSent


class CallBroken(Exception):
    """A call that brought no answer to read; `outcome` says whether it may have been read at the other end."""

    def __init__(self, outcome: NotSent | MaybeSent) -> None:
        super().__init__(f"{type(outcome).__name__}: {outcome.reason.code}")
        self.outcome = outcome
