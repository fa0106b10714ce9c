"""The functions of template.yaml, each run by its real handler: instances, invocations, timeouts and deaths."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from local.lambdas import Result
from local.stack import Function
from tests.world.kernel import Kernel, Killed, Process

_NOTHING = Result(b"", failed=False)
_FAILED = Result(b'{"errorType": "Runtime.ExitError"}', failed=True)


@dataclass(eq=False)
class Instance:
    """A Lambda environment: what its handler keeps in memory lives as long as it does."""

    function: str
    version: int
    handler: Callable[[Any, Any], Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that left a handler; the runtime prints its text."""

    who: str
    text: str


class Functions:
    """`died` is told of every process that ended before it was done, `ended` of every one: its function, when it began,
    and whether it failed."""

    def __init__(
        self,
        kernel: Kernel,
        functions: Mapping[str, Function],
        died: Callable[[Process], None],
        ended: Callable[[str, float, bool], None],
    ) -> None:
        self.failures: list[Failure] = []
        self.running = 0
        self._kernel = kernel
        self._functions = functions
        self._died = died
        self._ended = ended
        self._version = 1
        self._free: dict[str, list[Instance]] = defaultdict(list)
        self._numbers: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    def invoke(self, function: str, event: Any, on_end: Callable[[Result], None]) -> Process:
        """Begins at once beside everything else; `on_end` is told what came of it, once."""
        timeout = self._functions[function].timeout
        name = self._functions[function].folder.name
        process = Process(f"{name}#{next(self._numbers[name])}")
        invocation = _Invocation(self, function, process, self._kernel.elapsed + timeout, on_end)
        self.running += 1
        self._kernel.spawn(process.name, lambda: invocation.run(event), process)
        self._kernel.after(timeout, invocation.time_out)
        return process

    def forget(self) -> None:
        """A new version is deployed: whoever is free is gone, whoever runs ends its work."""
        self._version += 1
        self._free.clear()

    def take(self, function: str) -> Instance:
        free = self._free[function]
        return free.pop() if free else self._start(function)

    def give_back(self, instance: Instance) -> None:
        if instance.version == self._version:
            self._free[instance.function].append(instance)

    def _start(self, function: str) -> Instance:
        described = self._functions[function]
        module = ModuleType(f"functions.{described.folder.name}.app")
        exec(_code(str(described.folder / "app.py")), module.__dict__)
        return Instance(function, self._version, module.__dict__[described.handler.rpartition(".")[2]])


class _Invocation:
    def __init__(
        self, functions: Functions, function: str, process: Process, ends: float, on_end: Callable[[Result], None]
    ) -> None:
        self.aws_request_id = process.name
        self._functions = functions
        self._function = function
        self._process = process
        self._began = functions._kernel.elapsed
        self._ends = ends
        self._on_end = on_end
        self._over = False

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - self._functions._kernel.elapsed) * 1000))

    def run(self, event: Any) -> None:
        instance = self._functions.take(self._function)
        try:
            answer = instance.handler(event, self)
        except Killed:
            self._end(_FAILED)
            raise
        except Exception as error:
            self._functions.failures.append(Failure(self._process.name, f"{type(error).__name__}: {error}"))
            self._functions.give_back(instance)
            self._end(_FAILED)
        except BaseException as error:
            # The runtime's process ends with it, and the environment is thrown away.
            self._functions.failures.append(Failure(self._process.name, f"{type(error).__name__}: {error}"))
            self._process.kill(f"ended by {type(error).__name__}")
            self._end(_FAILED)
        else:
            self._functions.give_back(instance)
            self._end(Result(json.dumps(answer).encode(), failed=False) if answer is not None else _NOTHING)

    def time_out(self) -> None:
        if not self._over:
            self._process.kill("timed out")
            self._end(_FAILED)

    def _end(self, result: Result) -> None:
        if self._over:
            return
        self._over = True
        self._functions.running -= 1
        if self._process.dead:
            self._functions._died(self._process)
        self._functions._ended(self._function, self._began, result.failed)
        self._on_end(result)


@lru_cache(maxsize=32)
def _code(path: str) -> CodeType:
    return compile(Path(path).read_bytes(), path, "exec")
