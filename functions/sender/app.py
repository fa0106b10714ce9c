"""SenderFunction: records of the two lanes in, the ids of those that must come again out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from smsgate import aws, telemetry
from smsgate.admission import Admissions
from smsgate.dispatcher import Dispatcher
from smsgate.health import Health
from smsgate.limits import Limits
from smsgate.providers import PROVIDERS
from smsgate.sender import Sender
from smsgate.wiring import Wiring
from smstransports import open_exchange


@cache
def _sender() -> Sender:
    parts = Wiring()
    accounts = parts.accounts(lambda: open_exchange(parts.settings.provider_deadline, aws.ses))
    admissions = Admissions(
        accounts=accounts,
        suspensions=parts.suspensions,
        suppressions=parts.suppressions,
        limits=Limits(parts.ledger, parts.settings.daily_points, parts.clock),
        balance=parts.balance(accounts),
        routebook=parts.routebook,
        offers=parts.offers,
        rules=parts.rules,
        clock=parts.clock,
    )
    dispatcher = Dispatcher(
        ledger=parts.ledger,
        accounts=accounts,
        secrets=parts.secrets,
        admissions=admissions,
        health=Health(accounts, parts.suspensions),
        evidence=parts.evidence,
        offers=parts.offers,
        wake_ups=parts.wake_ups,
        watch=parts.watch,
        deadline=parts.settings.provider_deadline,
        clock=parts.clock,
        pool=parts.pool,
    )
    return Sender(
        ledger=parts.ledger,
        dispatcher=dispatcher,
        continuations=parts.continuations,
        known_providers=tuple(PROVIDERS),
        bulk_queue=parts.settings.bulk_queue_url.rpartition("/")[2],
        clock=parts.clock,
    )


@telemetry.flushed
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def time_left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    failed = _sender().handle(event["Records"], time_left)
    return {"batchItemFailures": [{"itemIdentifier": record_id} for record_id in failed]}
