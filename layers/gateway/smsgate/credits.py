"""What is left on each account: measured on a schedule; told once when it falls too low and once when it recovers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from smsgate import telemetry
from smsgate.accounts import Accounts
from smsgate.items import stamp
from smsgate.ledger import Ledger
from smsgate.providers.base import CannotSay, Provider, TellsCredit
from smsgate.reasons import SUSPENDING
from smsgate.secrets import SecretUnreadable
from smsgate.suspension import Suspensions

ASPECT = "credit"

_TRIES = 5


class Credits:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        offers: Mapping[str, type[Provider]],
        thresholds: Mapping[str, Decimal],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._offers = offers
        self._thresholds = thresholds
        self._clock = clock
        self._log = telemetry.logger()

    def handle(self) -> None:
        """Measure every enabled provider that tells; one that cannot be asked now costs the others nothing."""
        for key, offered in self._offers.items():
            if not issubclass(offered, TellsCredit):
                continue
            try:
                self._measure(key)
            except SecretUnreadable as error:
                self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
                telemetry.count("SecretUnreadable", provider=key)
            except Exception as error:
                self._log.error("credit not measured", extra={"provider": key, "error": type(error).__name__})
                telemetry.count("CreditNotMeasured", provider=key)
        telemetry.count("CreditsRan")

    def _measure(self, key: str) -> None:
        account = self._accounts.open(key)
        if self._suspensions.forbids_questions(key, account.version):
            telemetry.count("CreditNotMeasured", provider=key)
            return
        if not isinstance(account.provider, TellsCredit):
            return
        try:
            credit = account.provider.credit(account.line)
        except CannotSay as silence:
            self._log.warning("credit not told", extra={"provider": key, "reason": silence.reason.code.value})
            telemetry.count("CreditNotMeasured", provider=key)
            if silence.reason.code in SUSPENDING:
                self._suspensions.suspend(key, silence.reason, account.version)
            return
        self._record(key, credit)

    def _record(self, key: str, credit: Decimal) -> None:
        """Two measurements at once: each crossing is still written, and so told, once."""
        telemetry.gauge("Credit", float(credit), provider=key)
        threshold = self._thresholds.get(key)
        for _ in range(_TRIES):
            known = self._ledger.provider_state(key, ASPECT)
            state = {
                "credit": credit,
                "threshold": threshold,
                "low": threshold is not None and credit < threshold,
                "at": stamp(self._clock()),
            }
            if self._ledger.set_provider_state(key, ASPECT, state, int(known["version"]) if known else 0):
                return
        self._log.warning("credit measured elsewhere at the same time", extra={"provider": key})
