"""A thread that takes one step after another until it is told to stop, and waits out an AWS that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from local.lambdas import PoolStopped

_PAUSE_AFTER_TROUBLE = 0.2


class Loop:
    def __init__(self, name: str, step: Callable[[], None]) -> None:
        self.stopping = threading.Event()
        self._step = step
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """After `stopping` is set and whatever the step waits for has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._step()
            except PoolStopped:
                return
            except (BotoCoreError, ClientError):
                self.stopping.wait(_PAUSE_AFTER_TROUBLE)
