"""SQS as Lambda's event source sees it: batches, visibility, receive counts, dead letters, partial failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from local.batches import failed_ids
from local.lambdas import Result
from local.stack import QueueSource
from tests.world.kernel import Kernel

_LARGEST = 1024 * 1024
_POISON = 3
_POLLED_WITHIN = (0.01, 0.2)  # seconds; the event source asks all the time


@dataclass
class Letter:
    """A message that lies in a queue."""

    message_id: str
    body: str = field(repr=False)
    attributes: Mapping[str, Any]
    sent_at_ms: int
    receives: int = 0
    visible_at: float = 0.0


class Queue:
    def __init__(
        self,
        kernel: Kernel,
        name: str,
        clock_ms: Callable[[], int],
        *,
        visibility: float = 30.0,
        most_receives: int | None = None,
        dead_letters: Queue | None = None,
    ) -> None:
        self.name = name
        self.visibility = visibility
        self.most_receives = most_receives
        self.dead_letters = dead_letters
        self.letters: dict[str, Letter] = {}
        self.on_arrival: Callable[[], None] = lambda: None
        self._kernel = kernel
        self._clock_ms = clock_ms
        self._sent = 0

    def __len__(self) -> int:
        return len(self.letters)

    @property
    def visible(self) -> int:
        return sum(letter.visible_at <= self._kernel.elapsed for letter in self.letters.values())

    @property
    def oldest_age(self) -> float:
        """Seconds. AWS: what was received more than three times does not count."""
        sent = [letter.sent_at_ms for letter in self.letters.values() if letter.receives <= _POISON]
        return (self._clock_ms() - min(sent)) / 1000 if sent else 0.0

    def send(self, body: str, attributes: Mapping[str, Any] | None = None) -> str:
        if len(body.encode()) > _LARGEST:
            raise ValueError("SQS takes no more than a megabyte")
        self._sent += 1
        message_id = f"{self.name}-{self._sent}"
        self.put(Letter(message_id, body, dict(attributes or {}), self._clock_ms(), 0, self._kernel.elapsed))
        return message_id

    def put(self, letter: Letter) -> None:
        self.letters[letter.message_id] = letter
        self.on_arrival()

    def receive(self, most: int) -> list[Letter]:
        """What is visible, the oldest first. What has come too often goes to the dead letters instead."""
        now = self._kernel.elapsed
        visible = [letter for letter in self.letters.values() if letter.visible_at <= now]
        received: list[Letter] = []
        for letter in visible:
            if len(received) == most:
                break
            if self.most_receives is not None and letter.receives >= self.most_receives:
                self._bury(letter)
                continue
            letter.receives += 1
            letter.visible_at = now + self.visibility
            received.append(letter)
        return received

    def delete(self, message_id: str) -> None:
        self.letters.pop(message_id, None)

    def show_again(self, message_id: str) -> bool:
        """As SQS does now and then: it is delivered again, though somebody has it. Rare enough not to wear it out."""
        letter = self.letters.get(message_id)
        if letter is None:
            return False
        letter.receives = max(0, letter.receives - 1)
        letter.visible_at = self._kernel.elapsed
        self.on_arrival()
        return True

    def next_visible(self) -> float | None:
        return min((letter.visible_at for letter in self.letters.values()), default=None)

    def redrive_to(self, source: Queue) -> int:
        """An operator moves every dead letter back to where it came from."""
        letters = list(self.letters.values())
        self.letters.clear()
        for letter in letters:
            letter.receives, letter.visible_at = 0, self._kernel.elapsed
            source.put(letter)
        return len(letters)

    def _bury(self, letter: Letter) -> None:
        del self.letters[letter.message_id]
        if self.dead_letters is not None:
            letter.visible_at = self._kernel.elapsed
            self.dead_letters.put(letter)


class Invoke(Protocol):
    def __call__(self, function: str, event: Any, on_end: Callable[[Result], None]) -> None: ...


class EventSource:
    """Hands what is visible to the function, and deletes what it says is done."""

    def __init__(
        self, kernel: Kernel, random: Random, queue: Queue, source: QueueSource, invoke: Invoke, region: str
    ) -> None:
        self.running = 0
        self.paused = False  # somebody switched it off
        self._kernel = kernel
        self._random = random
        self.queue = queue
        self._source = source
        self._invoke = invoke
        self._region = region
        self._next_poll: float | None = None
        queue.on_arrival = self.look_soon

    def look_soon(self) -> None:
        """With a batching window it waits for more to come."""
        self._look_at(self._kernel.elapsed + self._source.window + self._random.uniform(*_POLLED_WITHIN))

    def _look_at(self, when: float) -> None:
        if self._next_poll is not None and self._next_poll <= when:
            return
        self._next_poll = when

        def look() -> None:
            if self._next_poll == when:
                self._next_poll = None
                self._poll()

        self._kernel.after(when - self._kernel.elapsed, look)

    def _poll(self) -> None:
        if self.paused:
            return
        while self._source.concurrency is None or self.running < self._source.concurrency:
            letters = self.queue.receive(self._random.randint(1, self._source.batch_size))
            if not letters:
                break
            self.running += 1
            records = [self._record(letter) for letter in letters]
            ids = [letter.message_id for letter in letters]
            self._invoke(self._source.function, {"Records": records}, lambda result, ids=ids: self._ended(ids, result))  # type: ignore[misc]
        visible = self.queue.next_visible()
        if visible is not None and (self._source.concurrency is None or self.running < self._source.concurrency):
            self._look_at(max(visible, self._kernel.elapsed) + 0.01)

    def _ended(self, ids: Sequence[str], result: Result) -> None:
        self.running -= 1
        failed = failed_ids(result, ids, partial=self._source.partial_failures)
        for message_id in ids:
            if message_id not in failed:
                self.queue.delete(message_id)
        if self.queue.letters:
            self._look_at(self._kernel.elapsed + self._random.uniform(*_POLLED_WITHIN))

    def _record(self, letter: Letter) -> dict[str, Any]:
        """AWS, "Using Lambda with Amazon SQS", example event."""
        attributes = {
            name: {
                "stringValue": value["StringValue"],
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in letter.attributes.items()
        }
        return {
            "messageId": letter.message_id,
            "receiptHandle": f"{letter.message_id}#{letter.receives}",
            "body": letter.body,
            "attributes": {
                "ApproximateReceiveCount": str(letter.receives),
                "SentTimestamp": str(letter.sent_at_ms),
                "SenderId": "000000000000",
                "ApproximateFirstReceiveTimestamp": str(letter.sent_at_ms),
            },
            "messageAttributes": attributes,
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.queue_arn,
            "awsRegion": self._region,
        }
