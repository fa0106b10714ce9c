"""Everything that was put on the event bus, in the order in which it came out, for whoever looks or waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from local.aws import EmbeddedAws
from local.loops import Loop
from local.template import Place

Event = dict[str, Any]

_QUEUE = "local-events"


class Events:
    """A rule of our own brings each event of the bus to a queue of our own."""

    def __init__(self, aws: EmbeddedAws, place: Place, buses: Iterable[str]) -> None:
        self._aws = aws
        self._url = aws.sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
        for bus in buses:
            anything = json.dumps({"source": [{"prefix": ""}]})
            aws.events.put_rule(Name=_QUEUE, EventBusName=bus, EventPattern=anything, State="ENABLED")
            aws.events.put_targets(
                Rule=_QUEUE, EventBusName=bus, Targets=[{"Id": _QUEUE, "Arn": place.arn("sqs", _QUEUE)}]
            )
        self._seen: list[Event] = []
        self._news = threading.Condition()
        self._listeners: list[Callable[[Event], None]] = []
        self._loop = Loop("events", self._step)

    def start(self) -> None:
        self._loop.start()

    def ask_to_stop(self) -> None:
        self._loop.stopping.set()

    def join(self) -> None:
        self._loop.join()

    def all(self) -> list[Event]:
        with self._news:
            return list(self._seen)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Called with each further event, one after the other."""
        with self._news:
            self._listeners.append(listener)

    def wait_for(self, wanted: Callable[[Event], bool], seconds: float = 30) -> Event:
        """The first event, past or to come, that is wanted."""
        give_up = time.monotonic() + seconds
        with self._news:
            checked = 0
            while True:
                for event in self._seen[checked:]:
                    if wanted(event):
                        return event
                checked = len(self._seen)
                left = give_up - time.monotonic()
                if left <= 0:
                    kinds = [event["detail-type"] for event in self._seen]
                    raise TimeoutError(f"no such event in {seconds:.0f} seconds; there were {kinds}")
                self._news.wait(left)

    def _step(self) -> None:
        answer = self._aws.sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        messages = answer.get("Messages", [])
        if not messages:
            return
        self._aws.sqs.delete_message_batch(
            QueueUrl=self._url,
            Entries=[{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)],
        )
        events = [json.loads(message["Body"]) for message in messages]
        with self._news:
            self._seen += events
            listeners = list(self._listeners)
            self._news.notify_all()
        for event in events:
            for listener in listeners:
                listener(event)
