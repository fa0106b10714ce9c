"""What one DynamoDB call costs in CPU: through the gateway's own client and through botocore's, in one run.

    PYTHONPATH=layers/gateway python -m bench.aws_calls [calls per measurement]

DynamoDB is a child process that does nothing but answer, so neither its CPU nor any waiting is counted. Figures move
from machine to machine and with the machine's load: only the ratios, each taken from rounds next to each other in one
run, say anything.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any
from zlib import crc32

from bench.measured import cpu_ms_per_call, other_side, ratios, spread
from smsgate import aws

ITEM = {
    "pk": {"S": "a2b3c4d5e6f7a2b3c4d5e6f7"},
    "sk": {"S": "m#1"},
    **{name: {"S": f"the value of {name}"} for name in ("to", "text", "status", "provider", "request_id", "stamp")},
    **{name: {"S": "2026-11-20T04:00:00.000000Z"} for name in ("accepted_at", "due_at", "next_attempt_at")},
    **{name: {"N": "1"} for name in ("version", "parts", "attempts", "expires")},
    "history": {"L": [{"M": {"at": {"S": "2026-11-20T04:00:00.000000Z"}, "status": {"S": "sent"}}}] * 3},
}
KEY = {name: ITEM[name] for name in ("pk", "sk")}
ROUNDS = 5


def _answer(told: dict[str, Any]) -> bytes:
    body = json.dumps(told).encode()
    lines = (
        b"HTTP/1.1 200 OK",
        b"Server: Server",
        b"Date: Fri, 20 Nov 2026 04:00:00 GMT",
        b"Content-Type: application/x-amz-json-1.0",
        b"Content-Length: %d" % len(body),
        b"Connection: keep-alive",
        b"x-amzn-RequestId: 5FEA77560EA4451AA703A558B933E274",
        b"x-amz-crc32: %d" % crc32(body),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


ANSWERS = {b"GetItem": _answer({"Item": ITEM}), b"PutItem": _answer({})}


def calls_of(client: Any) -> dict[str, Callable[[], object]]:
    put = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return {
        "get_item": lambda: client.get_item(TableName="messages", Key=KEY, ConsistentRead=True),
        "put_item": lambda: client.put_item(TableName="messages", Item=ITEM, **put),
    }


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    measured: dict[tuple[str, str, int], list[float]] = {}
    with other_side(ANSWERS) as server:
        os.environ |= {
            "AWS_ENDPOINT_URL": server,
            "AWS_REGION": "ap-northeast-1",
            "AWS_DEFAULT_REGION": "ap-northeast-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_SESSION_TOKEN": "bench" * 100,
        }
        clients = {
            "ours": calls_of(aws._json_client("dynamodb", 2, 3)),
            "botocore": calls_of(aws._botocore_client("dynamodb", 2, 3)),
        }
        for _ in range(ROUNDS):
            for threads in (1, 8):
                for operation in ("get_item", "put_item"):
                    for name, calls_by in clients.items():
                        figures = measured.setdefault((name, operation, threads), [])
                        figures.append(cpu_ms_per_call(calls_by[operation], calls, threads))

    for (name, operation, threads), figures in measured.items():
        print(f"{name:>8} {operation}, {threads} threads: {spread(figures, '.3f')} CPU-ms per call")
    for operation in ("get_item", "put_item"):
        for threads in (1, 8):
            both = measured["ours", operation, threads], measured["botocore", operation, threads]
            print(f"ours / botocore, {operation}, {threads} threads: {spread(ratios(*both), '.2f')}")


if __name__ == "__main__":
    main()
