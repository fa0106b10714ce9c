"""Messages to publish in a run, and what came of them, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from local.simulators import SIMULATORS
from local.simulators.base import HttpSimulator
from smsgate.messages import Message
from smsgate.status import Status
from tests.faults.suite import FEWEST_MESSAGES
from tests.world.faults import Fault, Rule
from tests.world.world import World

EVERYBODY = tuple(SIMULATORS)
OVER_HTTP = tuple(key for key, simulator in SIMULATORS.items() if issubclass(simulator, HttpSimulator))
BY_MAIL = tuple(key for key in EVERYBODY if key not in OVER_HTTP)
MANY = FEWEST_MESSAGES

REPORTED_AT_OWN_URL = ("smsgo", "twsms")
"""Their reports come to an address of each message's own, so that they prove an acceptance nobody heard of."""

SENDS = {key: ("wire", f"{key}.send") for key in OVER_HTTP} | {"every8d": ("wire", "every8d.sendSMS")}
SENDS |= dict.fromkeys(BY_MAIL, ("ses", "send_raw_email"))
"""The service and the operation of a call that sends: mails go by SES, unless the secret names a server."""


def some(seed: int, providers: Sequence[str], most: int) -> tuple[str, ...]:
    """So many of them, others with each seed: five seeds reach them all, as often as each other."""
    shift = seed * most % len(providers)
    return tuple((*providers[shift:], *providers[:shift])[:most])


def phone(provider: str, number: int) -> str:
    """A number that nobody else in the world has."""
    return f"+8869{EVERYBODY.index(provider):02}{number:06}"


def one(world: World, provider: str, number: int = 0, **fields: Any) -> str:
    """A request with a number, a text and a label of its own, so that it travels alone."""
    asked = {"to": phone(provider, number), "text": f"{provider} {number}", "label": str(number)}
    return world.publish(**{**asked, "providers": [provider], **fields})


def alone(world: World, provider: str, messages: int = MANY, **fields: Any) -> list[str]:
    """Each a request of its own; the vendor gets as many calls."""
    return [one(world, provider, number, **fields) for number in range(messages)]


def at_once(world: World, provider: str, messages: int = MANY, **fields: Any) -> None:
    """One request, each number with a text of its own, so that as many calls are under way together.

    EVERY8D would put them all into one call, so there they are requests of their own.
    """
    if provider == "every8d":
        alone(world, provider, messages, **fields)
        return
    to = [{"number": phone(provider, number), "text": f"{provider} {number}"} for number in range(messages)]
    world.publish(**{"to": to, "providers": [provider], **fields})


def together(world: World, provider: str, messages: int = MANY, **fields: Any) -> str:
    """One request, one text; its id. Where the vendor takes lists, one call."""
    to = [phone(provider, number) for number in range(messages)]
    return world.publish(to=to, text=f"{provider} to all", providers=[provider], **fields)


def strike(world: World, fault: Fault, provider: str, **where: Any) -> Rule:
    """A rule for the calls by which a provider is sent messages; always, unless it is said how often."""
    service, operation = SENDS[provider]
    return world.faults.inject(fault, service=service, operation=operation, **{"times": None, **where})


def calls(world: World, provider: str) -> int:
    """How often a provider was called to send something, whatever came of it."""
    service, operation = SENDS[provider]
    return sum(f" before {service}.{operation} " in line.text for line in world.trace)


def calls_by_worker(world: World, provider: str) -> Counter[str]:
    """As `calls`, by the invocation that made them."""
    service, operation = SENDS[provider]
    made = (line.text for line in world.trace if f" before {service}.{operation} " in line.text)
    return Counter(text.partition(" ")[0].partition("/")[0] for text in made)


def accepts(world: World, provider: str) -> int:
    return len(world.providers[provider].accepted)


def repeats(world: World) -> int:
    """Messages that a provider took once more than once."""
    return sum(times - 1 for times in world.accepts().values())


def statuses(messages: Iterable[Message]) -> Counter[Status]:
    return Counter(message.status for message in messages)


def of_provider(world: World) -> Mapping[str, list[Message]]:
    """The messages by the provider they were published for."""
    found: dict[str, list[Message]] = {key: [] for key in world.providers}
    for message in world.messages():
        found[message.providers[0]].append(message)
    return found


def events(world: World, status: Status) -> int:
    """Of how many messages the bus was told this status; each counts once, however often it was told."""
    told = {
        event.detail["message_id"]
        for event in world.events
        if event.detail_type == "Message Status Changed" and event.detail["status"] == status
    }
    return len(told)


def without_reports(world: World) -> None:
    """The vendors say nothing of what became of a message."""
    for simulator in world.providers.values():
        simulator.receipts = ()


def dice(world: World) -> Random:
    """For what a test draws, beside what the world draws."""
    return Random(f"{world.seed} test")


def until_over(world: World, limit: float = 4 * 3600.0) -> None:
    """Until every message has come to an end, and what else is on its way has arrived."""
    if not world.run_until(lambda: _is_over(world), 600, step=30):  # Looking takes long: later less often.
        world.run_until(lambda: _is_over(world), limit, step=240)
    world.run(60)
    world.settle()


def _is_over(world: World) -> bool:
    published = sum(len(each.to) for each in world.published)
    statuses = world.statuses()
    return len(statuses) >= published and all(status.is_final for status in statuses)
