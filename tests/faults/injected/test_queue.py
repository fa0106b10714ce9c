"""What a queue that delivers at least once does to records, and what publishers do: each is sent once all the same."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from local.simulators.base import Closes
from smsgate.reasons import Code
from smsgate.sender import Sender
from smsgate.status import Status
from tests.faults.deliveries import (
    as_batch,
    deliver_again,
    in_envelope,
    letters,
    rename,
    send_later,
    take_away,
    turns,
)
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import EVERYBODY, MANY, OVER_HTTP, alone, dice, events, one, phone, statuses, strike
from tests.world.faults import Raises, Slow, Throttled
from tests.world.world import Published, World

MINUTE, HOUR = 60.0, 3600.0
EACH, TOGETHER = 3, 2
"""Messages by each provider: alone, and together where the vendor takes lists."""

INTERLEAVINGS = 200
"""Of a seed; a thousand in all."""


POISON = (
    "",
    "null",
    "not JSON",
    "[]",
    "\x00\x01\x02",
    "{}",
    '{"to": "+886912345678"}',
    '{"to": "+886912345678", "text": "hello", "txet": "a typo"}',
    '{"to": "+886912345678", "text": "hello", "text": "twice"}',
    '{"to": "nobody", "text": "hello"}',
    '{"to": [], "text": "hello"}',
    '{"to": "+886912345678", "text": "half a pair \\ud83d"}',
    '{"to": "+886912345678", "text": "hello", "valid_for": 1e999}',
    '{"id": "' + "x" * 200 + '", "to": "+886912345678", "text": "hello"}',
    "[" * 100_000,
    '{"to": "+886912345678", "text": "' + "x" * 900_000 + '"}',
)


def publish_all(world: World) -> list[str]:
    """By every provider, alone and together."""
    orders = [order for provider in EVERYBODY for order in alone(world, provider, EACH)]
    for provider in EVERYBODY:
        to = [phone(provider, number) for number in range(EACH, EACH + TOGETHER)]
        orders.append(world.publish(to=to, text=f"{provider} to all", providers=[provider]))
    return orders


def count_accepts(run: Run, world: World) -> None:
    """Every recipient was sent its text, and nobody was sent anything twice."""
    wanted = sum(len(published.to) for published in world.published)
    run.equal("accepts", world.accepts().total(), wanted)
    run.equal("accepted once", sum(times == 1 for times in world.accepts().values()), wanted)


@fault("F36", "a record is delivered three times", Where.QUEUE)
def test_a_record_that_is_delivered_three_times_is_sent_once(run: Run) -> None:
    with run.world() as world:
        publish_all(world)
        for number in range(EACH):  # The queue's own id is the key of a request that has none.
            to = phone("smsget", 100 + number)
            text = f"without id {number}"
            body = {"to": to, "text": text, "providers": ["smsget"]}
            world.published.append(Published(world.send(json.dumps(body)), (to,), text, body))
        records, chance = letters(world), dice(world)
        while any(record.receives < 3 for record in records):
            world.run(chance.uniform(0.05, 3))
            for record in records:
                if record.receives < 3:
                    deliver_again(world, record)
        world.run(20 * MINUTE)

        run.at_least("deliveries of each record", min(record.receives for record in records), 3)
        count_accepts(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], world.accepts().total())


@fault("F37", "two workers hold the same record", Where.QUEUE)
def test_of_two_workers_with_one_record_one_sends_it(run: Run) -> None:
    with run.world(schedules=False) as world:
        chance = dice(world)
        world.faults.inject(Slow(0.02), service="dynamodb", function="sender", times=None, chance=0.3)
        accepts, ways = Counter[int](), set[tuple[bool, ...]]()
        for number in range(INTERLEAVINGS):
            order = one(world, EVERYBODY[number % len(EVERYBODY)], number)
            record, began = take_away(world)[0], len(world.trace)
            as_batch(world, [record])
            world.run(chance.uniform(0, 0.05))
            as_batch(world, [record])
            world.run(6)
            take_away(world)  # The record that its second worker gave back: here it is two workers and no third.
            accepts[world.accepts_of(order).total()] += 1
            ways.add(turns(world, began))

        run.equal("interleavings", accepts.total(), INTERLEAVINGS)
        run.equal("with one accept", accepts[1], INTERLEAVINGS)
        run.at_least("different ones", len(ways), INTERLEAVINGS // 4)


@fault("F38", "the same record twice in one batch", Where.QUEUE)
def test_a_record_that_is_twice_in_one_batch_is_sent_once(run: Run) -> None:
    with run.world() as world:
        publish_all(world)
        records = take_away(world)
        batches = [
            as_batch(world, [record for record in records[start : start + 5] for _ in range(2)])
            for start in range(0, len(records), 5)
        ]
        world.run(2 * MINUTE)

        run.equal("batches without a failed record", batches.count([frozenset()]), len(batches))
        count_accepts(run, world)


@fault("F39", "each message is published three times", Where.QUEUE)
def test_a_message_that_is_published_three_times_is_sent_once(run: Run) -> None:
    with run.world() as world:
        publish_all(world)
        chance = dice(world)
        bodies = [record.body for record in letters(world)]
        for body in bodies:
            send_later(world, chance.choice([0, chance.uniform(0, 60)]), in_envelope(body))
            send_later(world, chance.uniform(0, 60), body, "bulk")
        world.run(10 * MINUTE)

        run.equal("records", world.send_queue._sent + world.bulk_queue._sent, 3 * len(bodies))
        count_accepts(run, world)
        run.equal("rejected", statuses(world.messages())[Status.REJECTED], 0)


@fault("F40", "the same id with another content", Where.QUEUE)
def test_an_id_that_is_used_for_another_content_is_rejected_with_an_event(run: Run) -> None:
    with run.world() as world:
        orders = [order for provider in EVERYBODY for order in alone(world, provider, MANY // len(EVERYBODY))]
        chance = dice(world)
        for order, record in zip(orders, letters(world), strict=True):
            request = json.loads(record.body)
            other = chance.choice(
                [
                    {**request, "text": "another text"},
                    {**request, "to": phone("smsgo", 900)},
                    {**request, "to": [request["to"], phone("smsgo", 901), phone("smsgo", 902)]},
                    {**request, "label": "another label"},
                ]
            )
            assert other["id"] == order
            send_later(world, chance.choice([1, 5, chance.uniform(1, 60)]), json.dumps(other))
        world.run(10 * MINUTE)

        count_accepts(run, world)
        conflicts = [
            event.detail["event_id"]
            for event in world.events
            if event.detail.get("reason") and event.detail["reason"]["code"] == Code.ID_REUSED
        ]
        run.equal("conflicts told", len(set(conflicts)), len(orders))
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], len(orders))


@fault("F41", "half of the invocations are throttled", Where.QUEUE)
def test_throttled_invocations_use_up_receives_and_lose_nothing(run: Run) -> None:
    with run.world() as world:
        everything: dict[str, Any] = {"service": "lambda", "operation": "invoke", "subject": "sender", "times": None}
        throttled = world.faults.inject(Throttled(), **everything, chance=0.5, seconds=20 * MINUTE)
        for number in range(MANY):
            one(world, EVERYBODY[number % len(EVERYBODY)], number)
            world.run(15)
        world.run(HOUR)

        run.at_least("throttled", len(throttled.hits), 5)
        run.equal("dead letters", len(world.dead_letters), 0)
        count_accepts(run, world)

        # For so long that five receives are not enough: what was not sent lies among the dead letters.
        before = world.accepts().total()
        late = [one(world, "twsms", number) for number in range(100, 100 + MANY)]
        world.faults.inject(Throttled(), **everything, chance=0.9, seconds=HOUR)
        world.run(HOUR)
        run.equal("sent or dead", world.accepts().total() - before + len(world.dead_letters), len(late))
        world.dead_letters.redrive_to(world.send_queue)
        world.run(20 * MINUTE)
        count_accepts(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], 2 * MANY)


@fault("F42", "an exception leaves the handler after its work", Where.PROCESS)
def test_a_whole_batch_that_comes_again_after_an_exception_is_not_sent_again(run: Run) -> None:
    handle, batches = Sender.handle, count()

    def and_fail(sender: Sender, *batch: Any) -> list[str]:
        failed = handle(sender, *batch)
        if next(batches) < 6:
            raise ValueError("after the work was done")
        return failed

    with run.world() as world, patch.object(Sender, "handle", and_fail):
        publish_all(world)
        world.run(30 * MINUTE)

        run.equal("exceptions", len(world.functions.failures), 6)
        count_accepts(run, world)
        run.equal("dead letters", len(world.dead_letters), 0)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], world.accepts().total())


@fault("F43", "an error ends the process in the middle of a batch", Where.PROCESS)
def test_a_process_that_ends_in_the_middle_of_a_batch_sends_nothing_twice(run: Run) -> None:
    with run.world() as world:
        publish_all(world)
        chance = dice(world)
        for error in (SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, SystemExit):
            where: dict[str, Any] = {"moment": chance.choice(["before", "after"]), "skip": chance.randint(0, 2)}
            strike(world, Raises(error), chance.choice(EVERYBODY), times=1, **where)
            world.faults.inject(Raises(error), service="dynamodb", function="sender", chance=0.02, **where)
        world.run(30 * MINUTE)

        run.at_least("processes ended", len(world.deaths), 3)
        run.equal("accepted twice", sum(times > 1 for times in world.accepts().values()), 0)
        found = statuses(world.messages())
        taken = found[Status.DELIVERED] + found[Status.DOUBTFUL]
        run.equal("delivered or doubtful", taken, sum(len(published.to) for published in world.published))
        run.equal("doubtful and told so", events(world, Status.DOUBTFUL), doubted(world))


@fault("F44", "one record of ten cannot be read", Where.QUEUE)
def test_a_record_that_cannot_be_read_is_rejected_and_its_batch_is_sent(run: Run) -> None:
    with run.world() as world:
        poison = [POISON[(run.seed * 4 + number) % len(POISON)] for number in range(4)]
        batches, poisonous, chance = [], [], dice(world)
        for number, body in enumerate(poison):
            for place in range(9):
                one(world, OVER_HTTP[place % len(OVER_HTTP)], number * 10 + place)
            world.poison.append(body)
            poisonous.append(world.send(body))
            records = take_away(world)
            chance.shuffle(records)
            batches.append(as_batch(world, records))
        world.run(10 * MINUTE)

        run.equal("batches without a failed record", batches.count([frozenset()]), len(poison))
        count_accepts(run, world)
        rejections = [each for record in poisonous for each in world.ledger.rejections(record)]
        refused = [event for event in world.events if event.detail.get("problems")]
        run.equal("rejected with a reason", sum(bool(each["problems"]) for each in rejections), len(poison))
        run.equal("rejections told", len({event.detail["event_id"] for event in refused}), len(poison))
        run.equal("dead letters", len(world.dead_letters), 0)


@fault("F45", "sent messages are redriven from the dead letters", Where.QUEUE)
def test_what_was_sent_and_is_redriven_is_not_sent_again(run: Run) -> None:
    with run.world() as world:
        soon = (world.kernel.now + timedelta(minutes=30)).isoformat()
        for number in range(12):
            for provider in EVERYBODY:
                one(world, provider, number)
        for number in range(12, 16):
            for provider in EVERYBODY:
                one(world, provider, number, send_at=soon)
        records = letters(world)
        world.run(MINUTE)
        for provider in OVER_HTTP:
            strike(world, Closes(), provider)  # They took it, and nobody heard so.
            for number in range(20, 25):
                one(world, provider, number)
        records += letters(world)
        world.run(10 * MINUTE)
        world.faults.stop()
        before = world.accepts()

        for record in records:
            record.receives, record.visible_at = 5, world.kernel.elapsed
            world.dead_letters.put(record)
        run.equal("redriven", world.dead_letters.redrive_to(world.send_queue), 100)
        world.run(HOUR)

        run.equal("accepts besides", (world.accepts() - before).total(), 0)
        run.equal("records left", len(world.send_queue) + len(world.dead_letters), 0)
        run.equal("rejected", statuses(world.messages())[Status.REJECTED], 0)
        count_accepts(run, world)


@fault("F56", "the function is deployed again under another name", Where.PROCESS)
def test_what_was_sent_is_known_to_a_function_of_another_name(run: Run) -> None:
    with run.world() as world, TemporaryDirectory() as folder:
        publish_all(world)
        records, chance = letters(world), dice(world)
        world.run(chance.uniform(0.1, 1.0))
        rename(world, Path(folder) / "dispatch")
        for provider in EVERYBODY:
            one(world, provider, 100)
        for _ in range(2):
            for record in records:
                if record.receives:
                    deliver_again(world, record)
            world.run(chance.uniform(0.2, 5))
            world.functions.forget()
        world.run(20 * MINUTE)

        callers = {line.text.partition("#")[0] for line in world.trace if " before wire." in line.text}
        run.equal("names that called a provider", len(callers & {"sender", "dispatch"}), 2)
        run.at_least("deliveries of each record", min(record.receives for record in records), 2)
        count_accepts(run, world)


def doubted(world: World) -> int:
    """Messages that were doubtful at some time."""
    return sum(any(moment.status is Status.DOUBTFUL for moment in message.timeline) for message in world.messages())
