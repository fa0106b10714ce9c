"""One worker: a process under the real Lambda runtime client, ended by force when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswerYet
from pathlib import Path

from local.runtime_api import Answer, Invocation, RuntimeApi

INIT_SECONDS = 10.0
"""AWS: an initialisation that takes longer is done again within the time of the first invocation."""


class Worker:
    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._api = RuntimeApi()
        self._lock = threading.Lock()
        self._current: Invocation | None = None
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own handlers, with this interpreter
                list(command),
                cwd=folder,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, and kill reaches its children
            )
        self._ended = threading.Thread(target=self._wait_for_its_end, name=f"worker-{self.pid}", daemon=True)
        self._ended.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        return self._current is not None

    def invoke(self, invocation: Invocation) -> Answer:
        with self._lock:
            if self.alive:
                self._current = invocation
                self._api.hand_over(invocation)
            else:
                invocation.settle(self._obituary(invocation))
        try:
            if not invocation.handed_over.wait(INIT_SECONDS + invocation.timeout):
                return self._timed_out(invocation)
            return invocation.answer.result(invocation.timeout)
        except NoAnswerYet:
            return self._timed_out(invocation)
        finally:
            self._current = None

    def kill(self) -> None:
        if self.alive:  # else its number may be another's by now
            self._kill_group()

    def stop(self) -> None:
        self.kill()
        self._ended.join()

    def _timed_out(self, invocation: Invocation) -> Answer:
        invocation.settle(
            _error(
                "Sandbox.Timedout",
                f"RequestId: {invocation.request_id} Error: Task timed out after {invocation.timeout:.2f} seconds",
            )
        )
        self.stop()
        self._note(invocation.answer.result())
        return invocation.answer.result()

    def _wait_for_its_end(self) -> None:
        self._process.wait()
        self._kill_group()  # what it may have started
        with self._lock:
            if (invocation := self._current) is not None and not invocation.answer.done():
                invocation.settle(self._obituary(invocation))
                self._note(invocation.answer.result())
        self._api.close()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _obituary(self, invocation: Invocation) -> Answer:
        if self._api.init_error is not None:
            return Answer(self._api.init_error, failed=True)
        code = self._process.returncode
        how = f"signal: {signal.strsignal(-code)}".lower() if code < 0 else f"exit status {code}"
        return _error(
            "Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}"
        )

    def _note(self, answer: Answer) -> None:
        with self._log.open("ab") as log:
            log.write(answer.payload + b"\n")


def _error(kind: str, message: str) -> Answer:
    return Answer(json.dumps({"errorType": kind, "errorMessage": message}).encode(), failed=True)
