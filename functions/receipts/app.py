"""ReceiptsFunction: a provider's delivery report in, the acknowledgement it waits for out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import telemetry
from smsgate.callbacks import callback_of, response
from smsgate.providers import PROVIDERS
from smsgate.receipts import Receipts, Stranger, TooLarge
from smsgate.wiring import Wiring


@cache
def _receipts() -> Receipts:
    parts = Wiring()
    return Receipts(
        ledger=parts.ledger, evidence=parts.evidence, secrets=parts.secrets, find=PROVIDERS.get, clock=parts.clock
    )


@telemetry.flushed
def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    provider, token, callback = callback_of(event)
    try:
        acknowledgement = _receipts().handle(provider, token, callback)
    except Stranger:
        return response(404)
    except TooLarge:
        return response(413)
    except Exception as error:
        # What came is not safely stored: the provider keeps it and calls again.
        telemetry.logger().error("callback not stored", extra={"provider": provider, "error": type(error).__name__})
        telemetry.count("CallbackNotStored", provider=provider)
        return response(503)
    return response(200, acknowledgement)
