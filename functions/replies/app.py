"""RepliesFunction: what somebody typed on a phone in, the acknowledgement its provider waits for out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import telemetry
from smsgate.callbacks import respond
from smsgate.replies import Replies
from smsgate.wiring import Wiring


@cache
def _replies() -> Replies:
    parts = Wiring()
    return Replies(intake=parts.intake, conversation=parts.conversation)


@telemetry.flushed
def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    return respond(event, lambda *call: _replies().handle(*call))
