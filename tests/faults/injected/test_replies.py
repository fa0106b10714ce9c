"""Replies in every encoding, of strangers, and around midnight: each is kept once, as it was typed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from local.simulators.smsgo import SmsGo
from tests.faults.callbacks import Repeating
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import EVERYBODY, MANY, alone, dice, phone
from tests.world.faults import Kill
from tests.world.world import World

MINUTE = 60.0
TWO_WAY = ("smsgo", "twsms", "smsget", "every8d")
BEFORE_MIDNIGHT = datetime(2026, 3, 2, 15, 45, tzinfo=UTC)  # a quarter to midnight in Taipei

TYPED = (
    ("ASCII", "OK, thanks"),
    ("BIG5", "好的，謝謝"),
    ("BIG5", "許功蓋淚"),  # the second byte of each is one that means something in ASCII
    ("UCS2", "收到了😀"),
    ("UCS2", "Ünïcödé, naïve"),
    ("ASCII", "100% & more = a+b #1 ~ /?"),
    ("BIG5", "價格：１００％＆＝＋＃"),
    ("UCS2", "第一行\n第二行"),
)


def type_on(world: World, provider: str, to: str, text: str, encoding: str) -> None:
    simulator = world.providers[provider]
    if isinstance(simulator, SmsGo):
        simulator.reply(to, text, encoding)
    else:
        simulator.reply(to, text)


def told(world: World) -> list[dict[str, Any]]:
    return [event.detail for event in world.events if event.detail_type == "Reply Received"]


@fault("F67", "replies in BIG5, in UCS2, encoded twice", Where.CALLBACK)
def test_a_reply_is_what_was_typed_whatever_it_was_encoded_in(run: Run) -> None:
    with run.world() as world:
        orders = {provider: alone(world, provider, len(TYPED), replies=True) for provider in TWO_WAY}
        world.run(MINUTE)
        typed = {}
        for provider in TWO_WAY:
            for number, (encoding, text) in enumerate(TYPED):
                (message,) = world.messages(orders[provider][number])
                typed[message.message_id] = message.to, text
                type_on(world, provider, message.to, text, encoding)
        world.run(3 * MINUTE)

        heard = {reply["message_id"]: (reply["from"], reply["text"]) for reply in told(world)}
        run.equal("replies told", len(told(world)), len(typed))
        run.equal("of their messages, as typed", sum(heard.get(key) == said for key, said in typed.items()), len(typed))
        run.equal("unreadable", world.metrics()["CallbackUnreadable"], 0)


@fault("F68", "replies of numbers that were never texted, each five times", Where.CALLBACK)
def test_a_reply_to_no_message_is_kept_and_told_once(run: Run) -> None:
    with run.world() as world:
        Repeating(world, 5, within=20, random=dice(world))
        for provider in EVERYBODY:
            alone(world, provider, MANY // len(EVERYBODY))
        strangers = {}
        for provider in ("twsms", "smsget", "every8d"):
            for number, (encoding, text) in enumerate(TYPED):
                to = phone(provider, 500 + number)
                strangers[to] = text
                type_on(world, provider, to, text, encoding)
        world.run(5 * MINUTE)

        replies = told(world)
        run.equal("replies told", len(replies), len(strangers))
        run.equal("as typed", sum(strangers.get(reply["from"]) == reply["text"] for reply in replies), len(strangers))
        run.equal("of no message", sum(reply["match"] == "none" for reply in replies), len(strangers))
        run.equal("kept", sum(len(world.ledger.replies_from(to, None, 10).items) for to in strangers), len(strangers))


@fault("F69", "runs that fetch replies fail around midnight", Where.CLOCK)
def test_no_reply_is_lost_or_told_twice_when_the_vendors_day_ends(run: Run) -> None:
    with run.world(providers=["twsms"], start=BEFORE_MIDNIGHT) as world:
        chance = dice(world)
        alone(world, "twsms", MANY, replies=True)
        world.run(MINUTE)
        typed = Counter[tuple[str, str]]()
        for number in range(3 * MANY):
            to, text = phone("twsms", number % MANY), f"reply {number}"
            typed[to, text] += 1
            # Most of them in the two minutes around midnight, the others in half an hour.
            seconds = chance.uniform(0, 28 * MINUTE) if number % 3 else 14 * MINUTE + chance.uniform(-MINUTE, MINUTE)
            world.kernel.after(seconds, lambda to=to, text=text: world.providers["twsms"].reply(to, text))  # type: ignore[misc]
        world.run(chance.uniform(8, 13) * MINUTE)
        world.stopped.add("reconciler")
        world.run(chance.uniform(4, 14) * MINUTE)
        world.stopped.clear()
        killed = world.faults.inject(Kill(), function="reconciler", times=3, chance=0.3)
        world.run(40 * MINUTE)

        replies = told(world)
        heard = Counter((reply["from"], reply["text"]) for reply in replies)
        run.equal("replies told as typed", (heard & typed).total(), typed.total())
        run.equal("told besides", (heard - typed).total(), 0)
        run.equal("ids", len({reply["reply_id"] for reply in replies}), typed.total())
        run.equal("runs killed", len(killed.hits), 3)
