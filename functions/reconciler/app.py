"""ReconcilerFunction: on a schedule, whatever is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from smsgate import telemetry
from smsgate.reconciler import Reconciler
from smsgate.wiring import Wiring
from smstransports import open_exchange


@cache
def _reconciler() -> Reconciler:
    parts = Wiring()
    accounts = parts.accounts(lambda: open_exchange(parts.settings.provider_deadline))
    return Reconciler(
        ledger=parts.ledger,
        accounts=accounts,
        suspensions=parts.suspensions,
        evidence=parts.evidence,
        conversation=parts.conversation,
        offers=parts.offers,
        wake_ups=parts.wake_ups,
        shelves=parts.shelves(accounts),
        watch=parts.watch,
        deadline=parts.settings.provider_deadline,
        clock=parts.clock,
        pool=parts.pool,
    )


@telemetry.flushed
def handler(_event: Mapping[str, Any], context: Any) -> None:
    _reconciler().handle(lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()))
