"""The table's stream as Lambda's event source reads it: in order by key, in batches, tried again from what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from zlib import crc32

from local.batches import failed_ids
from local.dynamodb.rows import Record
from local.lambdas import Result
from local.stack import StreamSource
from tests.world.kernel import Kernel
from tests.world.queues import Invoke

LANES = 4  # ParallelizationFactor: batches at a time, of which each key has its own
_READ_WITHIN = (0.05, 0.4)
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 60.0


class StreamReader:
    def __init__(
        self,
        kernel: Kernel,
        random: Random,
        source: StreamSource,
        invoke: Invoke,
        give_up: Callable[[Sequence[Record], int], None],
    ) -> None:
        self._lanes = [_Lane(kernel, random, source, invoke, give_up) for _ in range(LANES)]

    def add(self, record: Record) -> None:
        key = record["dynamodb"]["Keys"]["pk"]["S"]
        self._lanes[crc32(key.encode()) % LANES].add(record)

    @property
    def behind(self) -> int:
        """Records that are not done yet."""
        return sum(lane.behind for lane in self._lanes)


class _Lane:
    def __init__(
        self,
        kernel: Kernel,
        random: Random,
        source: StreamSource,
        invoke: Invoke,
        give_up: Callable[[Sequence[Record], int], None],
    ) -> None:
        self._kernel = kernel
        self._random = random
        self._source = source
        self._invoke = invoke
        self._give_up = give_up
        self._waiting: deque[Record] = deque()
        self._in_hand: list[list[Record]] = []  # batches, in order; the first is being tried
        self._busy = False
        self._tries = 0

    @property
    def behind(self) -> int:
        return len(self._waiting) + sum(map(len, self._in_hand))

    def add(self, record: Record) -> None:
        self._waiting.append(record)
        if not self._busy:
            self._busy = True
            self._kernel.after(self._random.uniform(*_READ_WITHIN), self._next)

    def _next(self) -> None:
        if not self._in_hand:
            batch = [self._waiting.popleft() for _ in range(min(self._source.batch_size, len(self._waiting)))]
            if not batch:
                self._busy = False
                return
            self._in_hand, self._tries = [batch], 0
        event = {"Records": self._in_hand[0]}
        self._invoke(self._source.function, event, self._ended)

    def _ended(self, result: Result) -> None:
        batch = self._in_hand[0]
        ids = [record["dynamodb"]["SequenceNumber"] for record in batch]
        failed = failed_ids(result, ids, partial=self._source.partial_failures)
        wait = self._random.uniform(*_READ_WITHIN)
        if not failed:
            self._in_hand.pop(0)
            self._tries = 0
        else:
            first = min(ids.index(each) for each in failed)
            if first:
                self._in_hand[0], self._tries = batch[first:], 0
            elif result.failed and self._source.bisect and len(batch) > 1:
                half = len(batch) // 2  # AWS: splitting does not use up an attempt
                self._in_hand[0:1] = [batch[:half], batch[half:]]
            self._tries += 1
            if self._source.retries is not None and self._tries > self._source.retries:
                self._give_up(self._in_hand.pop(0), self._tries)
                self._tries = 0
            else:
                wait = min(_FIRST_RETRY * 2 ** min(self._tries - 1, 10), _LONGEST_RETRY)
        self._kernel.after(wait, self._next)
