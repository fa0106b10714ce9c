"""CreditsFunction: on a schedule, what is left on each account, and once a day what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import telemetry
from smsgate.credits import Credits
from smsgate.wiring import Wiring
from smstransports import open_exchange


@cache
def _credits() -> Credits:
    parts = Wiring()
    accounts = parts.accounts(lambda: open_exchange(parts.settings.provider_deadline))
    return Credits(
        balance=parts.balance(accounts),
        daybook=parts.daybook,
        offers=parts.offers,
        clock=parts.clock,
        misnamed=parts.misnamed_thresholds,
    )


@telemetry.flushed
def handler(_event: Mapping[str, Any], _context: Any) -> None:
    _credits().handle()
