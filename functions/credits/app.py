"""CreditsFunction: on a schedule, what is left on each account."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from smsgate import telemetry
from smsgate.credits import Credits
from smsgate.wiring import Wiring

if TYPE_CHECKING:
    from smsgate.wire import HttpExchange


@cache
def _exchange() -> HttpExchange:
    from smstransports.http import HttpTransport

    return HttpTransport(Wiring().settings.provider_deadline.total_seconds()).exchange


@cache
def _credits() -> Credits:
    parts = Wiring()
    return Credits(
        ledger=parts.ledger,
        accounts=parts.accounts,
        suspensions=parts.suspensions,
        offers=parts.offers,
        exchange=_exchange,
        thresholds=parts.settings.low_credit,
        clock=parts.clock,
    )


@telemetry.flushed
def handler(_event: Mapping[str, Any], _context: Any) -> None:
    _credits().handle()
