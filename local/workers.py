"""One worker: a process under the real Lambda runtime client, ended by force when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from local.event_loop import tell
from local.runtime_api import Answer, Invocation, RuntimeApi, error

INIT_SECONDS = 10.0
"""AWS: an initialisation that takes longer is done again within the time of the first invocation."""


class Worker:
    """Lives on the loop that it was started on; whether it lives and killing it are for any thread."""

    @classmethod
    async def start(cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Self:
        api = RuntimeApi()
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220, S603  # our own handlers, with this interpreter
                list(command),
                cwd=folder,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": api.address},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, and kill reaches its children
            )
        worker = cls(api, process, log)
        await api.start()
        return worker

    def __init__(self, api: RuntimeApi, process: subprocess.Popen[bytes], log: Path) -> None:
        self._api = api
        self._process = process
        self._log = log
        self._current: Invocation | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        threading.Thread(target=self._wait_for_its_end, name=f"worker-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        return self._current is not None

    async def invoke(self, invocation: Invocation) -> Answer:
        if not self.alive:
            return self._obituary(invocation)
        self._current = invocation
        try:
            self._api.hand_over(invocation)
            invocation.wait_to_begin(INIT_SECONDS + invocation.timeout)
            answer = await invocation.answer
            if invocation.timed_out:
                await self.stop()
                self._note(answer)
            return answer
        finally:
            self._current = None

    def kill(self) -> None:
        if self.alive:  # else its number may be another's by now
            self._kill_group()

    async def stop(self) -> None:
        self.kill()
        await self._ended.wait()

    def _wait_for_its_end(self) -> None:
        """A thread that only waits: asyncio's own way belongs to the main thread."""
        self._process.wait()
        self._kill_group()  # what it may have started
        tell(self._loop, self._bury)

    def _bury(self) -> None:
        if (invocation := self._current) is not None and not invocation.answer.done():
            invocation.settle(self._obituary(invocation))
            self._note(invocation.answer.result())
        self._api.close()
        self._ended.set()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _obituary(self, invocation: Invocation) -> Answer:
        if self._api.init_error is not None:
            return Answer(self._api.init_error, failed=True)
        code = self._process.returncode
        how = f"signal: {signal.strsignal(-code)}".lower() if code < 0 else f"exit status {code}"
        return error("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}")

    def _note(self, answer: Answer) -> None:
        with self._log.open("ab") as log:
            log.write(answer.payload + b"\n")
