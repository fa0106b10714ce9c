"""How reports may come: ten times, early, late, out of order, contradicting each other, of strangers, in a storm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote, unquote_plus

from local.simulators.base import Closes, Late, Step
from smsgate.messages import Kind, Message
from smsgate.status import Status
from tests.faults.callbacks import ACCEPTED, FAILED, Called, Gate, Repeating, contents, of_nobody, stored
from tests.faults.suite import SEEDS, Run, Where, fault
from tests.faults.traffic import (
    EVERYBODY,
    OVER_HTTP,
    REPORTED_AT_OWN_URL,
    alone,
    dice,
    of_provider,
    one,
    statuses,
    strike,
    together,
)
from tests.world.faults import Throttled
from tests.world.world import API, START, TOKEN, World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
EACH = 4
REPEATED = 10
STRANGERS = 200
"""Callbacks of a seed; a thousand in all."""

STORM, WIND = 500, 50
"""Callbacks a second: of the first seed, and of the others."""


def publish_each(world: World, each: int = EACH) -> None:
    for provider in EVERYBODY:
        alone(world, provider, each)


def plan(world: World, *steps: tuple[float, Mapping[str, str] | None]) -> None:
    """What the vendors report of every message and when; None is that it was delivered."""
    for provider, simulator in world.providers.items():
        simulator.receipts = tuple(
            Step(after, words[provider] if words else simulator.delivered) for after, words in steps
        )


def changes_to(world: World, status: Status) -> list[str]:
    """The ids of the events that tell it."""
    return [event.detail["event_id"] for event in world.events if event.detail.get("status") == status]


def reports(message: Message) -> int:
    return sum(moment.kind is Kind.REPORT for moment in message.timeline)


@fault("F58", "every callback comes ten times", Where.CALLBACK)
def test_a_callback_that_comes_ten_times_changes_a_message_once(run: Run) -> None:
    with run.world() as world:
        gate = Repeating(world, REPEATED, within=5, random=dice(world))
        publish_each(world)
        world.run(2 * MINUTE)

        run.equal("acknowledged", gate.acknowledged, REPEATED * run.messages)
        run.equal("calls", len(gate.answered), REPEATED * run.messages)
        run.equal("state changes", len(changes_to(world, Status.DELIVERED)), run.messages)
        run.equal("event ids", len(set(changes_to(world, Status.DELIVERED))), run.messages)
        run.equal("reports in the history", sum(map(reports, world.messages())), run.messages)
        run.equal("stored", len(list(stored(world))), run.messages)


@fault("F59", "the callback comes before the answer to the send", Where.CALLBACK)
def test_a_report_that_is_faster_than_the_answer_is_applied_with_it(run: Run) -> None:
    with run.world() as world:
        plan(world, (0.3, None))
        for provider in OVER_HTTP:
            strike(world, Late(3), provider)
        world.script("meteorsis", *[Late(20)] * EACH, operation="reply")
        publish_each(world)
        world.run(MINUTE)
        early = sum(status is Status.SENT for message in world.messages() for status in history(message))
        world.faults.stop()
        for provider in EVERYBODY:  # And some that race with it.
            for number in range(EACH, EACH + 3):
                one(world, provider, number)
        world.run(10 * MINUTE)

        messages = world.messages()
        refs = {ref for simulator in world.providers.values() for ref in (each.ref for each in simulator.accepted)}
        run.equal("late ones that were sent before they were delivered", early, 0)
        run.equal("delivered", statuses(messages)[Status.DELIVERED], run.messages)
        run.equal("provider ids stored", sum(message.provider_ref in refs for message in messages), run.messages)
        run.equal("state changes", len(changes_to(world, Status.DELIVERED)), run.messages)


def history(message: Message) -> list[Status | None]:
    return [moment.status for moment in message.timeline]


@fault("F60", "delivered is reported before accepted", Where.CALLBACK)
def test_what_is_delivered_stays_so_whatever_is_reported_of_the_way(run: Run) -> None:
    with run.world() as world:
        plan(world, (1, None), (2, ACCEPTED), (40, ACCEPTED))
        publish_each(world)
        world.run(5 * MINUTE)

        messages = world.messages()
        run.equal("delivered", statuses(messages)[Status.DELIVERED], run.messages)
        run.equal("left what is final", sum(history(message)[-1] is Status.SENT for message in messages), 0)
        run.equal("state changes", len(changes_to(world, Status.DELIVERED)), run.messages)
        run.at_least("reports in the history", sum(map(reports, messages)), 2 * run.messages)


@fault("F61", "delivered and undelivered within a millisecond", Where.CALLBACK)
def test_of_two_ends_within_a_millisecond_one_holds_and_both_are_kept(run: Run) -> None:
    with run.world() as world:
        ends = [None, FAILED] if run.seed % 2 else [FAILED, None]
        plan(world, (2, ends[0]), (2.001, ends[1]))
        publish_each(world)
        world.run(5 * MINUTE)

        messages = world.messages()
        found = statuses(messages)
        finals = [status for message in messages for status in history(message) if status and status.is_final]
        run.equal("delivered or not", found[Status.DELIVERED] + found[Status.UNDELIVERED], run.messages)
        run.equal("ends", len(finals), run.messages)
        run.equal("reports in the history", sum(map(reports, messages)), 2 * run.messages)


@fault("F62", "a thousand callbacks of messages nobody knows", Where.CALLBACK)
def test_callbacks_of_strangers_are_kept_and_make_no_message(run: Run) -> None:
    with run.world() as world:
        gate = Gate(world)
        publish_each(world)
        world.run(MINUTE)
        before, known = world.messages(), {each.called.provider: each for each in gate.answered}
        counted = world.metrics()["ReceiptUnmatched"]
        gate.answered.clear()
        for number in range(STRANGERS):
            provider = EVERYBODY[number % len(EVERYBODY)]
            gate.call_later(of_nobody(known[provider], world, number), number / 100)
        world.run(MINUTE)

        run.equal("callbacks", len(gate.answered), STRANGERS)
        run.equal("acknowledged", gate.acknowledged, STRANGERS)
        run.equal("server errors", gate.server_errors, 0)
        run.equal("orphans", sum("problem" in each for each in stored(world)), STRANGERS)
        run.equal("messages changed or created", sum(message not in before for message in world.messages()), 0)
        run.equal("counted", world.metrics()["ReceiptUnmatched"] - counted, STRANGERS)


@fault("F63", "the callback comes after four days", Where.CALLBACK)
def test_a_report_that_comes_after_the_watch_revises_its_end(run: Run) -> None:
    with run.world(schedules=False) as world:
        plan(world, (4 * DAY, None))
        publish_each(world)
        for _ in range(10):
            world.run(8 * HOUR)
            world.tick("reconciler")
        world.run(MINUTE)
        unconfirmed = statuses(world.messages())[Status.UNCONFIRMED]
        world.run(DAY)

        run.equal("unconfirmed after the watch", unconfirmed, run.messages)
        run.equal("delivered in the end", statuses(world.messages())[Status.DELIVERED], run.messages)
        revised = [event for event in world.events if event.detail.get("revised")]
        run.equal("revisions told", len(revised), run.messages)


@fault("F64", "the store is down for half a minute in a storm of callbacks", Where.CALLBACK)
def test_what_was_acknowledged_in_a_storm_lies_in_the_store(run: Run) -> None:
    with run.world(schedules=False) as world:
        gate = Gate(world)
        plan(world, (20, None))
        world.providers["smsgo"].retry_seconds = 15  # type: ignore[attr-defined]  # how soon is not documented
        world.providers["every8d"].retry_callbacks_after = timedelta(seconds=8)  # type: ignore[attr-defined]
        publish_each(world)
        world.run(15)
        a_second = STORM if run.seed == SEEDS[0] else WIND
        world.faults.inject(Throttled(), service="dynamodb", times=None, delay=1, seconds=30)
        for number in range(32 * a_second):
            report = f'{{"code":"00000","msgid":"{10**9 + number}","mobile":"0912345678","statustext":"DELIVRD"}}'
            called = Called("GET", f"{API}/receipts/twsms/{TOKEN}?smsresp={quote(report)}", b"", {})
            gate.begin(called, number / a_second)
        world.run(10 * MINUTE)

        kept = contents(world)
        acknowledged = [each.called.content for each in gate.answered if each.status == 200]
        refused = sum(each.status == 503 for each in gate.answered)
        run.at_least("callbacks", len(gate.answered), 32 * a_second + run.messages)
        run.at_least("refused with 503", refused, 29 * a_second)
        run.equal("neither acknowledged nor refused", len(gate.answered) - len(acknowledged) - refused, 0)
        run.at_least("acknowledged", len(acknowledged), a_second)
        run.equal("acknowledged but missing", sum(content not in kept for content in acknowledged), 0)
        again = [message for key in ("smsgo", "every8d") for message in of_provider(world)[key]]
        run.equal("delivered by the vendors' retries", statuses(again)[Status.DELIVERED], len(again))


@fault("F65", "a callback for a message in doubt", Where.CALLBACK)
def test_a_report_to_a_messages_own_url_settles_its_doubt(run: Run) -> None:
    with run.world() as world:
        gate = Gate(world)
        plan(world, (5 * MINUTE, None))
        for number in range(24):
            for provider in REPORTED_AT_OWN_URL:
                if number % 2:  # Not each of them, or the vendor would be left alone.
                    strike(world, Closes(), provider, times=1)
                one(world, provider, number)
            world.run(4)
        world.run(10)
        doubtful = statuses(world.messages())[Status.DOUBTFUL]
        world.run(10 * MINUTE)

        came = {each.called.content[1]: each.at for each in gate.answered if each.status == 200}
        messages = world.messages()
        settled = [message.timeline[-1].at - START for message in messages]
        within = [
            at.total_seconds() - came[message.message_id] < 1 for message, at in zip(messages, settled, strict=True)
        ]
        run.equal("doubtful", doubtful, run.messages // 2)
        run.equal("delivered", statuses(messages)[Status.DELIVERED], run.messages)
        run.equal("within a second", sum(within), run.messages)
        run.equal("accepts", world.accepts().total(), run.messages)


@fault("F66", "one row of a report about 250 messages is damaged", Where.CALLBACK)
def test_a_damaged_row_keeps_no_other_back(run: Run) -> None:
    with run.world(providers=["smsget"], schedules=False) as world:
        number = f"09{dice(world).randrange(250):08}"
        damaged = [number, "|", "no row at all", f"{number}|59c4e123", "|x|2026-03-02 09:30:00|DELIVRD"][run.seed - 1]
        rows: list[int] = []

        def damage(called: Called) -> Called:
            found = unquote_plus(called.body.decode()).partition("content=")[2].split(",")
            rows.append(len(found))
            place = run.seed * 40 % len(found)
            spoilt = ",".join([*found[:place], damaged, *found[place + 1 :]])
            head = called.body.partition(b"content=")[0]
            return replace(called, body=head + b"content=" + quote(spoilt, safe="").encode())

        gate = Gate(world, damage)
        together(world, "smsget", 250)
        world.run(MINUTE)

        found = statuses(world.messages())
        run.equal("rows in one call", rows[0], 250)
        run.equal("calls", len(gate.answered), 1)
        run.equal("acknowledged", gate.acknowledged, 1)
        run.equal("delivered", found[Status.DELIVERED], 249)
        run.equal("not heard of", found[Status.SENT], 1)
        run.equal("kept as not understood", sum("problem" in each for each in stored(world)), 1)
