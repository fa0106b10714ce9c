"""CreditsFunction: on a schedule, what is left on each account."""

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
    return Credits(
        ledger=parts.ledger,
        accounts=parts.accounts(lambda: open_exchange(parts.settings.provider_deadline)),
        suspensions=parts.suspensions,
        offers=parts.offers,
        thresholds=parts.settings.low_credit,
        clock=parts.clock,
    )


@telemetry.flushed
def handler(_event: Mapping[str, Any], _context: Any) -> None:
    _credits().handle()
