"""Looks at changes in order and stops at the first that it is told to fail at; some it fails at by raising."""

from __future__ import annotations

from collections import Counter
from typing import Any

from shared import seen  # type: ignore[import-not-found]  # a layer, on the path only where it runs

_failures: Counter[str] = Counter()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    for record in event["Records"]:
        if "POISON" in record["dynamodb"].get("NewImage", {}):
            raise ValueError("poison")
    for record in event["Records"]:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        wanted = int(change.get("NewImage", {}).get("failures", {}).get("N", "0"))
        if _failures[key] < wanted:
            _failures[key] += 1
            seen({"failed": key})
            return {"batchItemFailures": [{"itemIdentifier": change["SequenceNumber"]}]}
        seen({"key": key, "record": record})
    return {"batchItemFailures": []}
