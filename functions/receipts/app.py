"""ReceiptsFunction: a provider's delivery report in, the acknowledgement it waits for out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import telemetry
from smsgate.callbacks import respond
from smsgate.receipts import Receipts
from smsgate.wiring import Wiring


@cache
def _receipts() -> Receipts:
    parts = Wiring()
    return Receipts(intake=parts.intake, evidence=parts.evidence, conversation=parts.conversation, pool=parts.pool)


@telemetry.flushed
def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    return respond(event, lambda *call: _receipts().handle(*call))
