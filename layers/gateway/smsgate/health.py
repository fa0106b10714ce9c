"""What a call says of its provider: that it works, that it fails, or that it is to be left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smsgate.accounts import Accounts
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome
from smsgate.reasons import SUSPENDING, Code
from smsgate.routing import Obstacle
from smsgate.secrets import SecretUnreadable
from smsgate.suspension import FAILURES, Suspensions


@dataclass(frozen=True, slots=True)
class Learnt:
    obstacle: Obstacle | None = None
    rotated: bool = False  # its password was changed under us: the same provider may be tried once more


class Health:
    def __init__(self, accounts: Accounts, suspensions: Suspensions) -> None:
        self._accounts = accounts
        self._suspensions = suspensions
        self._proven: dict[str, str] = {}

    def is_proven(self, provider: str) -> bool:
        """Has this worker seen its present credentials work?"""
        try:
            return self._proven.get(provider) == self._accounts.open(provider).version
        except SecretUnreadable:
            return False

    def learn(self, provider: str, outcomes: Sequence[Outcome], secret_version: str) -> Learnt:
        """Once per call, however many messages it carried. Says nothing where no secret was had to call with."""
        if not secret_version:
            return Learnt()
        reasons = [outcome.reason for outcome in outcomes if not isinstance(outcome, Accepted)]
        about_us = next((reason for reason in reasons if reason.code in SUSPENDING), None)
        if about_us is not None:
            if about_us.code is Code.BAD_CREDENTIALS and self._accounts.rotated(provider, secret_version):
                return Learnt(rotated=True)
            return Learnt(self._suspensions.suspend(provider, about_us, secret_version))
        if outcomes and all(_failed(outcome) for outcome in outcomes):
            return Learnt(self._suspensions.failed(provider, reasons[0], secret_version))
        if any(isinstance(outcome, Accepted) for outcome in outcomes):
            self._proven[provider] = secret_version
            self._suspensions.worked(provider)
        elif any(_is_answered_later(outcome) for outcome in outcomes):
            self._suspensions.reached(provider)
        return Learnt()


def _is_answered_later(outcome: Outcome) -> bool:
    """A mail that was handed over: says that the way there is open, and nothing of password, credit or account."""
    return isinstance(outcome, MaybeSent) and outcome.evidence_within is not None


def _failed(outcome: Outcome) -> bool:
    if _is_answered_later(outcome):
        return False
    return isinstance(outcome, (NotSent, MaybeSent)) and outcome.reason.code in FAILURES
