"""Answers with the event it was given, or on /answer with the very answer that the body holds."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    if event["routeKey"] != "POST /answer":
        return event
    wanted = json.loads(event["body"])
    if wanted == "raise":
        raise ValueError("as ordered")
    return wanted
