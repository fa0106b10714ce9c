"""Schedules: a function is invoked again and again by the clock, or at once when somebody asks for a tick."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from local.lambdas import Lambdas, PoolStopped, Result
from local.stack import ScheduleSource
from local.template import Place


class Schedules:
    def __init__(self, sources: Sequence[ScheduleSource], lambdas: Lambdas, place: Place, speed: float = 1) -> None:
        """With a speed of 12, five seconds pass for a minute."""
        self._sources = sources
        self._lambdas = lambdas
        self._place = place
        self._speed = speed
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[source], name=source.name, daemon=True) for source in sources
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def tick(self, function: str) -> Result:
        """What its schedule would do, now; waits until it is done."""
        source = next(source for source in self._sources if source.function == function)
        return self._lambdas.invoke(function, self._event(source))

    def _run(self, source: ScheduleSource) -> None:
        while not self._stopping.wait(source.every / self._speed):
            try:
                self._lambdas.invoke(source.function, self._event(source))
            except PoolStopped:
                return

    def _event(self, source: ScheduleSource) -> object:
        """AWS, "EventBridge event reference", scheduled events."""
        if source.input is not None:
            return json.loads(source.input)
        return {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._place.account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._place.region,
            "resources": [self._place.arn("events", f"rule/{self._place.stack}-{source.name}")],
            "detail": {},
        }
