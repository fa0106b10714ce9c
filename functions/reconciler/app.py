"""ReconcilerFunction: on a schedule, whatever is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from smsgate import aws, telemetry
from smsgate.reconciler import Reconciler
from smsgate.replies import Replies
from smsgate.wiring import Wiring

if TYPE_CHECKING:
    from smsgate.wire import HttpExchange


@cache
def _exchange() -> HttpExchange:
    from smstransports.http import HttpTransport

    return HttpTransport(Wiring().settings.provider_deadline.total_seconds()).exchange


@cache
def _reconciler() -> Reconciler:
    parts = Wiring()
    return Reconciler(
        ledger=parts.ledger,
        accounts=parts.accounts,
        suspensions=parts.suspensions,
        evidence=parts.evidence,
        replies=Replies(parts.ledger, parts.clock),
        offers=parts.offers,
        exchange=_exchange,
        sqs=aws.sqs(),
        queues=parts.queues,
        watch=parts.watch,
        deadline=parts.settings.provider_deadline,
        clock=parts.clock,
    )


@telemetry.flushed
def handler(_event: Mapping[str, Any], context: Any) -> None:
    _reconciler().handle(lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()))
