"""Everything that was put on an event bus, in the order in which it came out, for whoever looks or waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from local.aws import EmbeddedAws
from local.loops import Loop

Event = dict[str, Any]

_WAIT_SECONDS = 10.0
_GATHER_SECONDS = 0.02


class Events:
    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._place = 0
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
        self._place, texts = self._aws.await_events(self._place, _WAIT_SECONDS, _GATHER_SECONDS)
        if not texts:
            return
        events = [json.loads(text) for text in texts]
        with self._news:
            self._seen += events
            listeners = list(self._listeners)
            self._news.notify_all()
        for event in events:
            for listener in listeners:
                listener(event)
