"""The Lambda service of this machine: every function of the stack, each in as many processes as it needs at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal, TypeVar

from local.event_loop import EventLoop
from local.runtime_api import Answer, Invocation
from local.stack import Function
from local.template import Place
from local.workers import Worker

Code = Literal["source", "built"]
T = TypeVar("T")

MOST_WORKERS = min((os.cpu_count() or 1) + 1, 8)
"""Of one function at a time. On AWS each has a processor to itself; here those that wait for the store leave room for
one more than there are processors, and any beyond that make every call dearer and none earlier."""

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""AWS, Lambda quotas: 6 MB each for request and response of a synchronous invocation."""

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PROVIDED_BY_LAMBDA = ("awslambdaric", "boto3")


class BuiltForAnotherPython(Exception):
    """The artefact holds code compiled for another version than this interpreter's."""


class TooLarge(Exception):
    """The event is larger than Lambda takes."""


@dataclass(frozen=True, slots=True)
class Result:
    payload: bytes
    failed: bool

    @property
    def value(self) -> Any:
        return json.loads(self.payload) if self.payload else None


class Lambdas:
    """All that happens, happens on the loop; from any other thread it is asked for here, and waited for."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        place: Place,
        scratch: Path,
        loop: EventLoop,
        code: Code = "source",
    ) -> None:
        self._scratch = scratch
        (scratch / "home").mkdir(parents=True)
        (scratch / "logs").mkdir()
        self._runtime = _runtime_folder(scratch / "runtime") if code == "built" else None
        self._place = place
        self._loop = loop
        self._listeners: list[Callable[[str, float], None]] = []
        self._pools = {name: _Pool(function, self._launch, self._tell) for name, function in functions.items()}
        self._stopped = False
        if code == "built":
            for function in functions.values():
                _check_version(function)

    def invoke(self, function: str, event: object) -> Result:
        """Waits for the answer, as a synchronous invocation does; an error of the function is a failed result."""
        return self._run(self._answer(function, _payload(event)))

    async def answer(self, function: str, event: object) -> Result:
        """The same on the loop, where nothing waits."""
        return await self._answer(function, _payload(event))

    def listen(self, listener: Callable[[str, float], None]) -> None:
        """Told on the loop of each function's every answer and the seconds it took, from being handed over."""
        self._listeners.append(listener)

    def warm(self) -> None:
        """A worker for each function, started now instead of by the first invocation."""
        with contextlib.suppress(PoolStopped):
            self._run(self._warm())

    def kill(self, function: str) -> int:
        """Ends by force whatever of this function is at work, as losing the host would. Says how many were."""
        return self._pools[function].kill_busy()

    def pids(self, function: str | None = None) -> list[int]:
        return [pid for name, pool in self._pools.items() if function in {name, None} for pid in pool.pids()]

    def arn(self, function: str) -> str:
        return self._pools[function].arn

    def log_file(self, function: str) -> Path:
        return self._scratch / "logs" / f"{function}.log"

    def log(self, function: str) -> str:
        """Everything its processes ever printed."""
        path = self.log_file(function)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self) -> None:
        if not self._stopped:
            self._run(self._stop())
            self._stopped = True

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._stopped:
            coroutine.close()
            raise PoolStopped("all of them")
        return self._loop.run(coroutine)

    async def _answer(self, function: str, payload: bytes) -> Result:
        answer = await self._pools[function].invoke(payload)
        if len(answer.payload) > PAYLOAD_LIMIT:
            too_large = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            }
            return Result(json.dumps(too_large).encode(), failed=True)
        return Result(answer.payload, answer.failed)

    async def _warm(self) -> None:
        for pool in self._pools.values():
            await pool.warm()

    async def _stop(self) -> None:
        for pool in self._pools.values():
            pool.begin_to_stop()
        for pool in self._pools.values():
            await pool.stopped()

    def _tell(self, function: str, seconds: float) -> None:
        for listener in self._listeners:
            listener(function, seconds)

    async def _launch(self, function: Function) -> Worker:
        command = [sys.executable, *(["-S"] if self._runtime else []), "-m", "awslambdaric", function.handler]
        log = self.log_file(function.logical_id)
        return await Worker.start(command, function.folder, self._environment(function), log)

    def _environment(self, function: Function) -> dict[str, str]:
        """What Lambda sets and nothing of ours, so that nothing works here only because of this machine."""
        path = [function.folder, *function.layers, *([self._runtime] if self._runtime else [])]
        environment = {
            **function.environment,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python{}.{}".format(*sys.version_info),
            "AWS_REGION": self._place.region,
            "AWS_DEFAULT_REGION": self._place.region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_ENDPOINT_URL": self._place.aws_url,
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(function.folder),
            "HOME": str(self._scratch / "home"),
            "LANG": "en_US.UTF-8",
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "TZ": ":UTC",
        }
        if self._runtime:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"  # Lambda's disk is read-only
        if "LD_LIBRARY_PATH" in os.environ:  # some Pythons cannot start without
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        return environment


class _Pool:
    """The processes of one function. One invocation at a time each; one that failed by dying is not used again.

    An invocation that finds none free waits its turn.
    """

    def __init__(
        self,
        function: Function,
        launch: Callable[[Function], Awaitable[Worker]],
        tell: Callable[[str, float], None],
    ) -> None:
        self._function = function
        self._launch = launch
        self._tell = tell
        self._slots = asyncio.Semaphore(MOST_WORKERS)
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._stopping = False

    @property
    def arn(self) -> str:
        return self._function.arn

    async def invoke(self, payload: bytes) -> Answer:
        async with self._slots:
            worker = await self._take()
            try:
                invocation = Invocation(self._function.arn, payload, self._function.timeout)
                answer = await worker.invoke(invocation)
                if invocation.began is not None:
                    self._tell(self._function.logical_id, time.perf_counter() - invocation.began)
                return answer
            finally:
                self._give_back(worker)

    async def warm(self) -> None:
        async with self._slots:
            self._give_back(await self._take())

    def kill_busy(self) -> int:
        busy = [worker for worker in list(self._workers) if worker.busy]
        for worker in busy:
            worker.kill()
        return len(busy)

    def pids(self) -> list[int]:
        return [worker.pid for worker in list(self._workers) if worker.alive]

    def begin_to_stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            worker.kill()

    async def stopped(self) -> None:
        for worker in list(self._workers):
            await worker.stop()

    async def _take(self) -> Worker:
        self._check_whether_stopping()
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._workers.discard(worker)
        worker = await self._launch(self._function)
        self._workers.add(worker)
        try:
            self._check_whether_stopping()
        except PoolStopped:
            await worker.stop()
            raise
        return worker

    def _check_whether_stopping(self) -> None:
        if self._stopping:
            raise PoolStopped(self._function.logical_id)

    def _give_back(self, worker: Worker) -> None:
        if worker.alive:
            self._idle.append(worker)
        else:
            self._workers.discard(worker)


class PoolStopped(Exception):
    """The machine is being shut down; nothing is started any more."""


def _payload(event: object) -> bytes:
    payload = event if isinstance(event, bytes) else _write(event).encode()
    if len(payload) > PAYLOAD_LIMIT:
        raise TooLarge(f"{len(payload)} bytes")
    return payload


def _runtime_folder(folder: Path) -> Path:
    """What the Lambda runtime itself brings, and nothing else of the project's own environment."""
    folder.mkdir(parents=True)
    for name in sorted(_requirements_of(*_PROVIDED_BY_LAMBDA)):
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top not in {"..", "__pycache__"} and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))).resolve())
    return folder


def _requirements_of(*names: str) -> set[str]:
    from packaging.requirements import Requirement

    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        wanted = (Requirement(line) for line in requirements)
        ahead.extend(r.name for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""}))
    return found


def _check_version(function: Function) -> None:
    """Bytecode tells the version that an artefact was built for: `*.cpython-313.pyc`."""
    ours = sys.implementation.cache_tag
    for folder in (function.folder, *function.layers):
        path = next(folder.glob("**/*.pyc"), None)
        if path and ours not in path.name:
            raise BuiltForAnotherPython(f"{path.name} in {function.logical_id} is not for {ours}: build for the tests")
