"""The small sample stack around the real runner, and ways to see what its functions saw."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from local.gateway import Gateway

SAMPLE = Path(__file__).parent / "sample" / "template.yaml"

T = TypeVar("T")


class Sample(Gateway):
    """The gateway's runner around the sample stack."""

    def send(self, queue: str, *orders: dict[str, Any]) -> None:
        entries = [{"Id": str(n), "MessageBody": json.dumps(order)} for n, order in enumerate(orders)]
        self.aws.sqs.send_message_batch(QueueUrl=self.queue_url(queue), Entries=entries)  # type: ignore[arg-type]

    def seen(self, function: str) -> list[dict[str, Any]]:
        """What a function said it saw. A line that is still being written is not read."""
        lines = self.lambdas.log(function).splitlines(keepends=True)
        return [json.loads(line[5:]) for line in lines if line.startswith("SEEN ") and line.endswith("\n")]

    def seen_of(self, function: str, key: str) -> list[dict[str, Any]]:
        return [entry for entry in self.seen(function) if entry.get("key") == key]

    def waiting_in(self, queue: str) -> int:
        answer = self.aws.sqs.get_queue_attributes(
            QueueUrl=self.queue_url(queue),
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        return sum(int(number) for number in answer["Attributes"].values())


def wait_until(what: Callable[[], T], seconds: float = 15) -> T:
    """Polls, because it looks into another process; returns what was at last true."""
    give_up = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > give_up:
            raise AssertionError(f"still not so after {seconds} seconds")
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
