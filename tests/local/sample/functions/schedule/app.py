"""Shows the event of a schedule."""

from __future__ import annotations

from typing import Any

from shared import seen  # type: ignore[import-not-found]  # a layer, on the path only where it runs


def handler(event: dict[str, Any], _context: object) -> None:
    seen({"event": event})
