"""Messages and times that the tests of the gateway start from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from smsgate.lifecycle import Watch
from smsgate.messages import Message

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # in Taipei
WATCH = Watch((timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1)), timedelta(hours=72))
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
UNTIL = NOON + timedelta(seconds=30)


def message(**fields: Any) -> Message:
    given: dict[str, Any] = {
        "message_id": "abcdefghijklmnopqrstuvwx-1",
        "request_id": "order-17",
        "to": "+886912345678",
        "text": "您的驗證碼是 123456",
        "accepted_at": NOON,
        "digest": "d1",
    }
    return Message(**{**given, **fields})
