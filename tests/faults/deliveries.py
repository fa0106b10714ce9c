"""How records come to the sender in a run: once more, in a batch of the test's own, to two workers at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copytree

from local.batches import failed_ids
from local.lambdas import Result
from tests.world.queues import EventSource, Letter
from tests.world.world import World


def letters(world: World) -> list[Letter]:
    """What lies in the urgent queue now."""
    return list(world.send_queue.letters.values())


def take_away(world: World) -> list[Letter]:
    """The same, and nobody is given it."""
    found = letters(world)
    world.send_queue.letters.clear()
    return found


def deliver_again(world: World, letter: Letter) -> None:
    """As SQS does now and then: though somebody works on it, or though it was deleted."""
    letter.visible_at = world.kernel.elapsed
    world.send_queue.put(letter)


def send_later(world: World, seconds: float, body: str, lane: str = "urgent") -> None:
    def send() -> None:
        world.send(body, lane=lane)

    world.kernel.after(seconds, send)


def rename(world: World, folder: Path) -> None:
    """The function that sends is deployed under another name: a copy of its code, in this folder, takes its place."""
    known = world.stack.functions[_source(world)._source.function]
    copytree(known.folder, folder)
    renamed = replace(known, name=folder.name, folder=folder)
    world.stack = replace(world.stack, functions={**world.stack.functions, known.logical_id: renamed})
    world.functions._functions = world.stack.functions
    world.functions.forget()


def as_batch(world: World, batch: Sequence[Letter]) -> list[frozenset[str]]:
    """Exactly these records to one invocation; the ids it fails are in the list once it has ended, and come again."""
    ended: list[frozenset[str]] = []
    source = _source(world)

    def on_end(result: Result) -> None:
        failed = frozenset(failed_ids(result, [letter.message_id for letter in batch], partial=True))
        ended.append(failed)
        for letter in batch:
            if letter.message_id in failed:
                letter.visible_at = world.kernel.elapsed + world.send_queue.visibility
                world.send_queue.put(letter)

    for letter in batch:
        letter.receives += 1
    world.functions.invoke(source._source.function, {"Records": [source._record(letter) for letter in batch]}, on_end)
    return ended


def in_envelope(body: str) -> str:
    """As a topic hands it to a queue where raw delivery is off (AWS, "Amazon SNS message formats")."""
    return json.dumps({"Type": "Notification", "MessageId": "of the topic", "TopicArn": "arn", "Message": body})


def turns(world: World, since: int) -> tuple[bool, ...]:
    """How the steps of two senders lie between each other, from this line of the story on: True is the first one's."""
    senders = [who for line in world.trace[since:] if (who := line.text.split(" ", 1)[0]).startswith("sender#")]
    return tuple(who.split("/")[0] == senders[0].split("/")[0] for who in senders)


def _source(world: World) -> EventSource:
    return next(source for source in world.sources if source.queue is world.send_queue)
