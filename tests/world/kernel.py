"""Virtual time and one baton: any number of tasks, of which exactly one runs, in an order that the seed decides.

A task is a thread, but it runs only while it holds the baton, and it gives the baton away only where it sleeps. Time
moves only from one event to the next. So two workers interleave at every call that takes time, differently for every
seed and the same for every run of a seed.
"""

from __future__ import annotations

import heapq
import itertools
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

Answer = TypeVar("Answer")
Job = Callable[[], object]

SECOND: Final = 1_000_000
"""Time is counted in whole microseconds, which add up the same on every machine."""


class Killed(BaseException):
    """The process is gone: no `except Exception` sees it, and nothing the process does after it has any effect."""


class Deadlock(AssertionError):
    """Nobody can go on."""


class Task:
    """Something that runs, sleeps and ends. What belongs to one process shares its `process`."""

    __slots__ = ("_carrier", "begun", "done", "error", "job", "name", "parent", "process", "waits_for")

    def __init__(self, name: str, job: Job, process: Process, parent: Task | None) -> None:
        self.name = name
        self.job = job
        self.process = process
        self.parent = parent
        self.begun = False
        self.done = False
        self.error: BaseException | None = None
        self.waits_for = 0
        self._carrier: _Carrier | None = None

    def __repr__(self) -> str:
        return self.name


class Process:
    """What dies together. `kill` takes effect at the next thing it wants to do."""

    __slots__ = ("dead", "name", "skew", "why")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.why = ""
        self.skew = timedelta(0)

    def kill(self, why: str) -> None:
        if not self.dead:
            self.dead, self.why = True, why


class Signal:
    """Something that happens once, and that tasks wait for."""

    __slots__ = ("is_set", "waiting")

    def __init__(self) -> None:
        self.is_set = False
        self.waiting: list[Task] = []


class _Carrier:
    """A thread that waits for tasks to carry, one after the other, in any number of kernels."""

    __slots__ = ("gate", "ident", "kernel", "task")

    _idle: list[_Carrier] = []  # noqa: RUF012  shared by all kernels on purpose: threads are dear

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.task: Task | None = None
        self.kernel: Kernel | None = None
        self.ident = start_new_thread(self._run, ())

    @classmethod
    def take(cls) -> _Carrier:
        return cls._idle.pop() if cls._idle else cls()

    def _run(self) -> None:
        while True:
            self.gate.acquire()
            kernel, task = self.kernel, self.task
            if kernel is not None and task is not None:
                kernel._carry(task)
                self.kernel = self.task = None
                self._idle.append(self)
                kernel._pass_on(None)


class Kernel:
    def __init__(self, start: datetime) -> None:
        self._start = start
        self._micros = 0
        self._heap: list[tuple[int, int, Task | Job]] = []
        self._order = itertools.count()
        self._outside = Process("outside")
        self._main = Task("main", lambda: None, self._outside, None)
        self._main_gate = allocate_lock()
        self._main_gate.acquire()
        self._failure: BaseException | None = None
        self._unfinished: dict[Task, None] = {}
        self._closing = False
        self.current: Task = self._main
        self.switches = 0

    # Time

    @property
    def now(self) -> datetime:
        return self._start + timedelta(microseconds=self._micros)

    @property
    def elapsed(self) -> float:
        return self._micros / SECOND

    def at(self, when: datetime, job: Job) -> None:
        """Runs on nobody's behalf, and may not sleep."""
        micros = (when - self._start) // timedelta(microseconds=1)
        self._push(max(micros, self._micros), job)

    def after(self, seconds: float, job: Job) -> None:
        self._push(self._micros + _micros(seconds), job)

    def sleep(self, seconds: float) -> None:
        """Everybody else goes on meanwhile. Raises Killed where the sleeper's process is dead by then."""
        me = self.current
        wakes = self._micros + _micros(seconds)
        if not self._heap or self._heap[0][0] > wakes:
            self._micros = wakes  # Nothing else happens until then.
        else:
            self._push(wakes, me)
            self._pass_on(me)
        if me.process.dead:
            raise Killed(me.process.why)

    # Tasks

    def spawn(self, name: str, job: Job, process: Process | None = None, delay: float = 0.0) -> Task:
        """A task that begins as soon as whoever runs now sleeps or ends, or so much later."""
        task = Task(name, job, process or Process(name), None)
        self._unfinished[task] = None
        self._push(self._micros + _micros(delay), task)
        return task

    def together(self, name: str, jobs: Sequence[Callable[[], Answer]], most: int) -> list[Answer]:
        """Do several things at once within the caller's process, at most so many at a time; their results in order."""
        if len(jobs) == 1:
            return [jobs[0]()]
        me = self.current
        results: list[Any] = [None] * len(jobs)
        places = iter(range(len(jobs)))

        def worker() -> None:
            for place in places:
                results[place] = jobs[place]()

        tasks = [Task(f"{name}/{number}", worker, me.process, me) for number in range(min(most, len(jobs)))]
        me.waits_for = len(tasks)
        for task in tasks:
            self._unfinished[task] = None
            self._push(self._micros, task)
        if tasks:
            self._pass_on(me)
        if me.process.dead:
            raise Killed(me.process.why)
        for task in tasks:
            if task.error is not None:
                raise task.error
        return results

    def wait(self, signal: Signal) -> None:
        """Until somebody sets the signal. Raises Killed where the process of who waits is dead by then."""
        me = self.current
        if not signal.is_set:
            signal.waiting.append(me)
            self._pass_on(me)
        if me.process.dead:
            raise Killed(me.process.why)
        if me is self._main:
            self._raise_failure()

    def set(self, signal: Signal) -> None:
        if not signal.is_set:
            signal.is_set = True
            for task in signal.waiting:
                self._push(self._micros, task)

    def run(self, seconds: float) -> None:
        """Let so much time pass. Only for whoever is outside."""
        if self.current is not self._main:
            raise Deadlock("only a test lets time pass")
        self.sleep(seconds)
        self._raise_failure()

    def is_running_here(self) -> bool:
        """Whether whoever asks is a task of ours, on the thread that carries it."""
        carrier = self.current._carrier
        return carrier is not None and carrier.ident == get_ident()

    def close(self) -> None:
        """Kill whatever still runs, so that no thread is left behind."""
        self._closing = True
        asleep = [what for _, _, what in sorted(self._heap, key=lambda entry: entry[:2]) if isinstance(what, Task)]
        self._heap = []
        for task in self._unfinished:
            task.process.kill("the world ended")
        wait_for_others = [
            task for task in self._unfinished if task.begun and not task.waits_for and task not in asleep
        ]
        for task in (*asleep, *wait_for_others):
            if task.begun or task.parent is not None:
                self._push(self._micros, task)
        while self._heap:
            micros, _, what = self._heap[0]
            if isinstance(what, Task):
                self._micros = max(self._micros, micros)
                self.sleep(0)
            else:
                heapq.heappop(self._heap)  # What those who die leave to be done is done by nobody.
        with suppress(Exception):
            self._raise_failure()

    # The baton

    def _push(self, micros: int, what: Task | Job) -> None:
        heapq.heappush(self._heap, (micros, next(self._order), what))

    def _pass_on(self, me: Task | None) -> None:
        """Let events happen until it is my turn again; without me, until the baton is somebody else's."""
        while True:
            if not self._heap:
                self._fail(Deadlock("nobody is left to go on, and somebody waits"))
            micros, _, what = heapq.heappop(self._heap)
            self._micros = max(self._micros, micros)
            if not isinstance(what, Task):
                self.current = self._main
                try:
                    what()
                except BaseException as error:
                    self._fail(error)
                continue
            self.current = what
            if what is me:
                return
            self.switches += 1
            self._hand_over(what)
            if me is None:
                return
            self._wait(me)
            return  # Whoever woke me has made me the current one.

    def _hand_over(self, task: Task) -> None:
        if task is self._main:
            self._main_gate.release()
            return
        if not task.begun:
            task.begun = True
            task._carrier = _Carrier.take()
            task._carrier.kernel, task._carrier.task = self, task
        assert task._carrier is not None
        task._carrier.gate.release()

    def _wait(self, me: Task) -> None:
        if me is self._main:
            self._main_gate.acquire()
            return
        assert me._carrier is not None
        me._carrier.gate.acquire()

    def _carry(self, task: Task) -> None:
        try:
            if task.process.dead:
                raise Killed(task.process.why)
            task.job()
        except BaseException as error:
            task.error = error
            if task.parent is None and not isinstance(error, Killed):
                self._fail(error)
        task.done = True
        task._carrier = None
        self._unfinished.pop(task, None)
        parent = task.parent
        if parent is not None:
            parent.waits_for -= 1
            if parent.waits_for == 0:
                self._push(self._micros, parent)

    def _fail(self, error: BaseException) -> None:
        """A fault of the harness itself: the test hears of it as soon as it is its turn."""
        if self._failure is None and not self._closing:
            self._failure = error
        if not any(what is self._main for _, _, what in self._heap):
            self._push(self._micros, self._main)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


class PerProcess(MutableMapping[Any, Any]):
    """In the place of what a module keeps for one invocation: here many run in one interpreter, each with its own."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._kept: dict[Process, dict[Any, Any]] = {}

    def __getitem__(self, key: Any) -> Any:
        return self._own[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._kept.setdefault(self._kernel.current.process, {})[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def clear(self) -> None:
        self._kept.pop(self._kernel.current.process, None)

    @property
    def _own(self) -> dict[Any, Any]:
        return self._kept.get(self._kernel.current.process, {})


class Lock:
    """In the place of `threading.Lock`: whoever waits for it sleeps in virtual time and lets others go on."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._held = False
        self._waits: list[Signal] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        while self._held:
            if not blocking:
                return False
            signal = Signal()
            self._waits.append(signal)
            self._kernel.wait(signal)
        self._held = True
        return True

    def release(self) -> None:
        self._held = False
        waits, self._waits = self._waits, []
        for signal in waits:
            self._kernel.set(signal)

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Pool(Executor):
    """What a use case is given instead of threads: its calls are made at once, in virtual time."""

    def __init__(self, kernel: Kernel, most: int) -> None:
        self._kernel = kernel
        self._most = most

    def map(
        self,
        fn: Callable[..., Answer],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Answer]:
        jobs = [_job(fn, arguments) for arguments in zip(*iterables, strict=False)]
        return iter(self._kernel.together(self._kernel.current.name, jobs, self._most))

    def submit(self, fn: Callable[..., Answer], /, *args: Any, **kwargs: Any) -> Future[Answer]:
        future: Future[Answer] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _job(fn: Callable[..., Answer], arguments: tuple[Any, ...]) -> Callable[[], Answer]:
    return lambda: fn(*arguments)


def _micros(seconds: float) -> int:
    return max(0, round(seconds * SECOND))
