"""The Lambda service of this machine: every function of the stack, each in as many processes as it needs at a time."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

from local.runtime_api import Answer, Invocation
from local.stack import Function
from local.template import Place
from local.workers import Worker

Code = Literal["source", "built"]

MOST_WORKERS = 4
PAYLOAD_LIMIT = 6 * 1024 * 1024
"""AWS, Lambda quotas: 6 MB each for request and response of a synchronous invocation."""

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
    def __init__(self, functions: Mapping[str, Function], place: Place, scratch: Path, code: Code = "source") -> None:
        self._scratch = scratch
        (scratch / "home").mkdir(parents=True)
        (scratch / "logs").mkdir()
        self._runtime = _runtime_folder(scratch / "runtime") if code == "built" else None
        self._place = place
        self._pools = {name: _Pool(function, self._launch) for name, function in functions.items()}
        if code == "built":
            for function in functions.values():
                _check_version(function)

    def invoke(self, function: str, event: object) -> Result:
        """Waits for the answer, as a synchronous invocation does; an error of the function is a failed result."""
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        if len(payload) > PAYLOAD_LIMIT:
            raise TooLarge(f"{len(payload)} bytes")
        answer = self._pools[function].invoke(payload)
        if len(answer.payload) > PAYLOAD_LIMIT:
            too_large = {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            }
            return Result(json.dumps(too_large).encode(), failed=True)
        return Result(answer.payload, answer.failed)

    def warm(self) -> None:
        """A worker for each function, started now instead of by the first invocation."""
        with ThreadPoolExecutor(2) as starters:
            list(starters.map(lambda pool: pool.warm(), self._pools.values()))

    def kill(self, function: str) -> int:
        """Ends by force whatever of this function is at work, as losing the host would. Says how many were."""
        return self._pools[function].kill_busy()

    def pids(self) -> list[int]:
        return [pid for pool in self._pools.values() for pid in pool.pids()]

    def arn(self, function: str) -> str:
        return self._pools[function].arn

    def log_file(self, function: str) -> Path:
        return self._scratch / "logs" / f"{function}.log"

    def log(self, function: str) -> str:
        """Everything its processes ever printed."""
        path = self.log_file(function)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self) -> None:
        for pool in self._pools.values():
            pool.stop()

    def _launch(self, function: Function) -> Worker:
        command = [sys.executable, *(["-S"] if self._runtime else []), "-m", "awslambdaric", function.handler]
        return Worker(command, function.folder, self._environment(function), self.log_file(function.logical_id))

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
    """The processes of one function. One invocation at a time each; one that failed by dying is not used again."""

    def __init__(self, function: Function, launch: Callable[[Function], Worker]) -> None:
        self._function = function
        self._launch = launch
        self._slots = threading.BoundedSemaphore(MOST_WORKERS)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._stopped = False

    @property
    def arn(self) -> str:
        return self._function.arn

    def invoke(self, payload: bytes) -> Answer:
        with self._worker() as worker:
            return worker.invoke(Invocation(self._function.arn, payload, self._function.timeout))

    def warm(self) -> None:
        with contextlib.suppress(PoolStopped), self._worker():
            pass

    def kill_busy(self) -> int:
        with self._lock:
            busy = [worker for worker in self._workers if worker.busy]
        for worker in busy:
            worker.kill()
        return len(busy)

    def pids(self) -> list[int]:
        with self._lock:
            return [worker.pid for worker in self._workers if worker.alive]

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            workers, self._workers, self._idle = self._workers, set(), []
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.stop()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        with self._slots:
            worker = self._take()
            try:
                yield worker
            finally:
                self._give_back(worker)

    def _take(self) -> Worker:
        with self._lock:
            if self._stopped:
                raise PoolStopped(self._function.logical_id)
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._workers.discard(worker)
            worker = self._launch(self._function)
            self._workers.add(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive and not self._stopped:
                self._idle.append(worker)
            else:
                self._workers.discard(worker)


class PoolStopped(Exception):
    """The machine is being shut down; nothing is started any more."""


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
