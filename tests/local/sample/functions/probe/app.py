"""Does one thing to its own process, or says something about it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import Any

_started_with = dict(os.environ)


def handler(event: dict[str, Any], context: Any) -> Any:
    match event["do"]:
        case "raise":
            raise ValueError("as ordered")
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(60)
        case "sleep":
            time.sleep(event["seconds"])
        case "print":
            print(event["text"])  # noqa: T201
            print(event["text"], file=sys.stderr)  # noqa: T201
        case "environment":
            return _started_with
        case "can import":
            return importlib.util.find_spec(event["module"]) is not None
        case "bytes":
            return "x" * event["size"]
    return {
        "pid": os.getpid(),
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "request": context.aws_request_id,
        "folder": os.getcwd(),  # noqa: PTH109  # the process's own, as the handler sees it
    }
