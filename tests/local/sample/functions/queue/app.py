"""Does with each record what its body says, most things only the first time it comes."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from shared import seen  # type: ignore[import-not-found]  # a layer, on the path only where it runs


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    failed = []
    for record in event["Records"]:
        order = json.loads(record["body"])
        times = int(record["attributes"]["ApproximateReceiveCount"])
        began = time.time()
        seen({"key": order["key"], "times": times, "pid": os.getpid(), "of": len(event["Records"]), "record": record})
        failed += _obey(order["do"], record["messageId"], first=times == 1)
        seen({"done": order["key"], "began": began, "ended": time.time()})
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _obey(what: str, message_id: str, *, first: bool) -> list[str]:
    if what == "fail always":
        return [message_id]
    if what == "work for a moment":
        time.sleep(0.3)
    if first:
        if what == "fail once":
            return [message_id]
        if what == "blame a stranger once":
            return ["nobody"]
        if what == "raise once":
            raise ValueError("as ordered")
        if what == "hang once":
            time.sleep(60)
    return []
