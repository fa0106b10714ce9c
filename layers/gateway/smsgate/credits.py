"""What is left on each account: measured on a schedule, forecast, and accounted for at the end of each day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from smsgate import telemetry
from smsgate.balance import Balance, Known
from smsgate.daybook import Daybook
from smsgate.providers.base import Provider, TellsCredit

_TOO_OLD = timedelta(hours=1)
"""Four measurements missed: nobody would be told of a low credit any more."""


class Credits:
    def __init__(
        self,
        *,
        balance: Balance,
        daybook: Daybook,
        offers: Mapping[str, type[Provider]],
        clock: Callable[[], datetime],
        misnamed: Collection[str] = (),
    ) -> None:
        """`misnamed`: what the operator set a threshold for, and no provider is called."""
        self._balance = balance
        self._daybook = daybook
        self._offers = offers
        self._clock = clock
        self._misnamed = misnamed
        self._log = telemetry.logger()

    def handle(self) -> None:
        """Every enabled provider; one that cannot be asked now costs the others nothing."""
        known = {key: self._measured(key) for key, offered in self._offers.items() if issubclass(offered, TellsCredit)}
        for key in self._misnamed:  # Somebody relies on a warning that nobody will give.
            self._log.error("a threshold of low credit names no provider", extra={"threshold_of": key})
        self._gauge(known)
        for key in self._offers:
            self._account(key)
        telemetry.count("CreditsRan")

    def _measured(self, key: str) -> Known | None:
        self._balance.ask(key)
        try:
            return self._balance.known(key)
        except Exception as error:
            self._log.error("credit not read", extra={"provider": key, "error": type(error).__name__})
            telemetry.count("CreditNotRead", provider=key)
            return None

    def _gauge(self, known: Mapping[str, Known | None]) -> None:
        """For each provider, and over all of them for the alarms, which can name none."""
        now = self._clock()
        fresh = {key: each for key, each in known.items() if each and now - each.measured.answered_at < _TOO_OLD}
        for key, each in fresh.items():
            telemetry.gauge("CreditLow", int(each.is_low), provider=key)
            if each.hours_left is not None:
                telemetry.gauge("CreditHoursLeft", float(each.hours_left), provider=key)
        telemetry.gauge("ProvidersLowOnCredit", sum(each.is_low for each in fresh.values()))
        telemetry.gauge("ProvidersOfUnknownCredit", len(known) - len(fresh) + len(self._misnamed))
        hours = [each.hours_left for each in fresh.values() if each.hours_left is not None]
        if hours:
            telemetry.gauge("HoursToFirstEmpty", float(min(hours)))

    def _account(self, key: str) -> None:
        try:
            self._balance.close_day(key)
            self._daybook.tell(key)
        except Exception as error:
            self._log.error("account not told", extra={"provider": key, "error": type(error).__name__})
            telemetry.count("AccountNotTold", provider=key)
