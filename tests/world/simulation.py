"""One seed, one life: fifty messages, everything that can go wrong, then nothing goes wrong any more and all must rest.

    .venv/bin/python -m tests.world 4711

tells the whole story of a seed, step by step, and what it violates.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Literal

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Cut, Drips, Fault, Hangs, Late, Leaves, Says, Simulator, Step
from local.simulators.every8d import Every8d
from local.simulators.smsget import SmsGet
from local.simulators.smsgo import SmsGo
from local.simulators.twsms import TwSms
from smsgate.status import Status
from tests.world.faults import (
    BadCertificate,
    Kill,
    Lost,
    Moment,
    NoSuchName,
    OurFault,
    Refuses,
    Slow,
    Throttled,
    Twice,
    Unavailable,
)
from tests.world.invariants import Violation, violations
from tests.world.world import START, World

MESSAGES = 50
TROUBLED = 300.0  # seconds in which things go wrong
RESTS_WITHIN = 600.0  # seconds after which nothing is under way any more
PATIENCE = 4 * 3600.0  # seconds after which nothing waits any more

CHANGED_PASSWORD = "changed-password"

P = 0.2
"""How likely each kind of trouble is to be met in a life, and each call to be hit by those that are met."""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a seed."""

    world: World
    violations: tuple[Violation, ...]

    @property
    def seed(self) -> int:
        return self.world.seed

    def story(self) -> str:
        """Every step, and how each message ended."""
        ends = [f"{m.request_id} {m.message_id} {m.provider} {m.status}" for m in self.world.messages()]
        return "\n".join([*map(str, self.world.trace), *sorted(ends), *map(str, self.violations)])


def live(seed: int) -> Life:
    random = Random(f"{seed} life")
    with World(seed, start=_beginning(random), index_delay=random.choice([0.0, 0.05, 2.0])) as world:
        for trouble in _TROUBLES:
            if random.random() < P:
                trouble(world, random)
        _publish(world, random)
        world.run(TROUBLED)
        _mend(world)
        rested = world.run_until(lambda: _is_at_rest(world), RESTS_WITHIN)
        world.note("everything is at rest" if rested else "not at rest in time")
        found = [] if rested else [Violation("N8 converge", _what_is_under_way(world))]
        if not world.run_until(lambda: not _is_waiting(world), PATIENCE, step=60):
            found += [
                Violation("N8 converge", f"{message.message_id} still waits: {message.status} {message.reason}")
                for message in world.messages()
                if message.status in _WAITING
            ]
        world.settle(RESTS_WITHIN)
        found += violations(world)
    return Life(world, tuple(found))


def _beginning(random: Random) -> datetime:
    """Any moment of a day; now and then a few minutes before midnight in Taipei."""
    if random.random() < P:
        return START.replace(hour=15, minute=58) + timedelta(seconds=random.uniform(0, 100))
    return START + timedelta(minutes=random.randrange(1440))


def _what_is_under_way(world: World) -> str:
    return (
        f"after {RESTS_WITHIN:g} s: {len(world.send_queue)} urgent and {len(world.bulk_queue)} bulk records, "
        f"{world.stream.behind} changes, {world.functions.running} invocations"
    )


def _is_at_rest(world: World) -> bool:
    """Nobody works, every change is on the bus, and what lies in the queues only repeats what was done.

    Such an echo is held back by its queue for six minutes: whoever took it found that another worker was calling.
    """
    if world.stream.behind or world.functions.running:
        return False
    letters = [*world.send_queue.letters.values(), *world.bulk_queue.letters.values()]
    return all(_is_echo(world, letter.body) for letter in letters)


def _is_echo(world: World, body: str) -> bool:
    try:
        named = json.loads(body)
    except ValueError:
        return False
    if isinstance(named, dict):
        messages: list[Any] = list(world.ledger.of_request(named["id"])) if "id" in named else []
    else:
        messages = [world.ledger.get(message_id) for message_id in named]
    return bool(messages) and all(each is not None and each.status not in _WAITING for each in messages)


def _is_waiting(world: World) -> bool:
    return any(item["status"]["S"] in _WAITING for item in world.table.items() if item["sk"]["S"].startswith("m#"))


_WAITING = frozenset({Status.ACCEPTED.value, Status.SENDING.value})


# What publishers do


def _publish(world: World, random: Random) -> None:
    """Requests of one or some recipients until there are fifty messages, at any time, some twice, some canceled."""
    made = 0
    while made < MESSAGES:
        request = _request(world, random, made)
        made += len(request["to"])
        delay = random.uniform(0, TROUBLED * 0.6)
        lane: Literal["urgent", "bulk"] = "bulk" if random.random() < P else "urgent"
        if random.random() < P:
            _post(world, request, delay)
        else:
            world.kernel.after(delay, lambda request=request, lane=lane: world.publish(lane=lane, **request))  # type: ignore[misc]
        if random.random() < P / 2:
            again = delay + random.uniform(0, 60)
            world.kernel.after(again, lambda request=request: world.publish(**request))  # type: ignore[misc]
        if random.random() < P / 4 and "private" not in request:
            other = {**request, "text": f"another text of {request['id']}"}
            world.kernel.after(delay + random.uniform(1, 60), lambda other=other: world.send(json.dumps(other)))  # type: ignore[misc]
        if random.random() < P / 2:
            path = f"/requests/{request['id']}/cancel"
            world.start_call("POST", path, delay=delay + random.choice([0.0, 0.2, 0.5, 1.0, 30.0]))
        if random.random() < P / 4:
            world.kernel.after(delay, lambda: world.send('{"to": "nobody", "text": '))


def _post(world: World, request: dict[str, Any], delay: float) -> None:
    """Over HTTP; a publisher who gets no 202 posts the same again a little later."""

    def post() -> None:
        for _ in range(20):
            if world.post(**request).status == 202:
                return
            world.sleep(30)

    world.kernel.spawn("publisher", post, delay=delay)


def _request(world: World, random: Random, number: int) -> dict[str, Any]:
    count = 1 if random.random() > P else random.randint(2, 6)
    request: dict[str, Any] = {
        "id": f"order-{world.seed}-{number}",
        "to": [f"+8869127{(number + place):05}" for place in range(count)],
        "text": f"canary {world.seed} {number}" + random.choice(["", " 你好", " " + "long " * 40]),
        "on_doubt": random.choice(["hold", "resend"]),
    }
    if random.random() < 0.7:
        request["providers"] = random.sample(sorted(SIMULATORS), random.choice([1, 1, 2, 5]))
    if random.random() < P / 4:
        request["send_at"] = (world.clock() + timedelta(seconds=random.uniform(600, 1800))).isoformat()
    if random.random() < P / 4:
        request["valid_for"] = random.choice([60, 300, 3600])
    if random.random() < P / 2:
        request["private"] = True
    return request


# What goes wrong

Trouble = Callable[[World, Random], None]
_TROUBLES: list[Trouble] = []


def _trouble(trouble: Trouble) -> Trouble:
    _TROUBLES.append(trouble)
    return trouble


def _span(random: Random) -> tuple[float, float]:
    """Some of the time of trouble: when it begins, and how long it lasts."""
    begins = random.uniform(0, TROUBLED / 2)
    return begins, random.uniform(10, TROUBLED - begins)


def _on_the_wire(fault: Callable[[Random, str], Fault | OurFault], moment: Moment = "before") -> Trouble:
    """With some of the providers, for some of the time, with some of the sends."""

    def trouble(world: World, random: Random) -> None:
        for key in world.providers:
            if key == "meteorsis" or random.random() < 0.5:
                continue
            begins, lasts = _span(random)
            for operation in _SENDS.get(key, ("send",)):
                world.faults.inject(
                    fault(random, key),
                    service="wire",
                    operation=f"{key}.{operation}",
                    moment=moment,
                    chance=P,
                    times=None,
                    delay=begins,
                    seconds=lasts,
                )

    return trouble


_SENDS = {"every8d": ("sendSMS", "sendParamSMS")}


def _at_aws(
    fault: OurFault,
    chance: float,
    *,
    times: int | None = None,
    service: str | None = None,
    operation: str | None = None,
    function: str | None = None,
    moment: Moment | None = None,
    subject: str = "",
) -> Trouble:
    def trouble(world: World, random: Random) -> None:
        begins, lasts = _span(random)
        world.faults.inject(
            fault,
            service=service,
            operation=operation,
            function=function,
            moment=moment,
            subject=subject,
            chance=chance,
            times=times,
            delay=begins,
            seconds=lasts,
        )

    return trouble


def _taken(random: Random) -> bool:
    return random.random() < 0.5


_PAGE = b"<html><body>502 Bad Gateway</body></html>"

_TROUBLES += [
    # F01, F02 and more of their kind: killed anywhere
    _at_aws(Kill(), 0.03, function="sender"),
    _at_aws(Kill(), 0.1, function="sender", service="wire", moment="after"),
    _at_aws(Kill(), 0.05, function="receipts"),
    _at_aws(Kill(), 0.03, function="publisher"),
    _at_aws(Kill(), 0.03, function="reconciler"),
    _at_aws(Kill(), 0.03, function="api"),
    _at_aws(Kill(), 0.05, function="mailbox"),
    # F03 to F18: the wire
    _on_the_wire(lambda random, _: Hangs(carried_out=_taken(random))),
    _on_the_wire(lambda random, _: Late(random.choice([1.0, 5.0, 20.0]))),
    _on_the_wire(lambda random, _: Drips(random.choice([0.01, 0.3]))),
    _on_the_wire(lambda random, _: Says(b"x" * 70_000, carried_out=_taken(random))),
    _on_the_wire(lambda *_: Unavailable()),
    _on_the_wire(lambda *_: NoSuchName()),
    _on_the_wire(lambda *_: BadCertificate()),
    _on_the_wire(lambda *_: Slow(5)),
    _on_the_wire(lambda *_: Lost(), "after"),
    _on_the_wire(lambda random, _: Closes(carried_out=_taken(random))),
    _on_the_wire(lambda *_: Leaves()),
    _on_the_wire(lambda random, _: Says(_PAGE, random.choice((500, 502, 503, 504)), carried_out=_taken(random))),
    _on_the_wire(lambda random, _: Says(b"", 302, carried_out=_taken(random))),
    _on_the_wire(lambda random, _: Says(_PAGE, carried_out=_taken(random))),
    _on_the_wire(lambda random, _: Says(b"", carried_out=_taken(random))),
    _on_the_wire(lambda random, _: Cut(random.randrange(30), on_the_wire=random.random() < 0.5)),
    _on_the_wire(lambda *_: Says("\ufeff為什麼".encode("big5", "ignore"), carried_out=True)),
    # F36 to F56: queues and AWS
    _at_aws(Throttled(), 0.5, service="lambda", operation="invoke", subject="sender"),
    _at_aws(Throttled(), 0.1, service="dynamodb"),
    _at_aws(Unavailable(), 1.0, service="dynamodb", function="sender", times=40),
    _at_aws(Lost(tried_again=True), 0.1, service="dynamodb"),
    _at_aws(Lost(tried_again=False), 0.05, service="dynamodb"),
    _at_aws(Slow(1.5), 0.05, service="dynamodb"),
    _at_aws(Unavailable(), 0.5, service="secretsmanager"),
    _at_aws(Throttled(), 0.5, service="ssm"),
    _at_aws(Refuses(0.5), 0.3, service="events"),
    _at_aws(Unavailable(), 0.3, service="events"),
    _at_aws(Lost(tried_again=True), 0.2, service="events"),
    _at_aws(Unavailable(), 0.3, service="sqs"),
    _at_aws(Refuses(0.5), 0.3, service="sqs"),
    _at_aws(Lost(tried_again=True), 0.3, service="sqs"),
    _at_aws(Unavailable(), 0.5, service="sns"),
    _at_aws(Throttled(), 0.3, service="ses"),
    _at_aws(Lost(tried_again=False), 0.2, service="ses"),
    _at_aws(Unavailable(), 0.3, service="s3"),
    # F34, F58 to F65: callbacks and answers by mail
    _at_aws(Unavailable(), P, service="callback"),
    _at_aws(Lost(), P, service="callback"),
    _at_aws(Slow(90), P, service="callback"),
    _at_aws(Twice(5), P, service="callback"),
    _at_aws(Unavailable(), P, service="mail"),
    _at_aws(Slow(120), P, service="mail"),
    _at_aws(Twice(), P, service="mail"),
]  # fmt: skip


@_trouble
def _reports_of_all_kinds(world: World, random: Random) -> None:
    """Early, late, twice, out of order, contradicting each other, none at all."""
    for simulator in world.providers.values():
        done = simulator.delivered
        simulator.plan_receipts(
            *(
                random.choice(
                    [
                        (Step(0.0, done),),
                        (Step(0.01, done), Step(0.02, done)),
                        (Step(200.0, done),),
                        (Step(1.0, done), Step(1.001, _failed(simulator))),
                        (Step(1.0, _failed(simulator)),),
                        (Step(3.0, done, told=False),),
                        (),
                    ]
                )
                for _ in range(MESSAGES)
            )
        )


def _failed(simulator: Simulator) -> str:
    return {"every8d": "101", "meteorsis": "23", "smsget": "UNDELIV", "smsgo": "UNDELIV", "twsms": "UNDELIV"}[
        simulator.key
    ]


@_trouble
def _off_the_net(world: World, random: Random) -> None:
    for key in random.sample(sorted(world.providers), random.choice([1, 2, 5])):
        begins = random.uniform(0, TROUBLED / 2)
        world.kernel.after(begins, lambda key=key: world.offline.add(key))  # type: ignore[misc]
        world.kernel.after(begins + random.uniform(10, 200), lambda key=key: world.offline.discard(key))  # type: ignore[misc]


@_trouble
def _wrong_password(world: World, random: Random) -> None:
    """Changed at the vendor's, and here only later."""
    for simulator in random.sample(list(world.providers.values()), random.choice([1, 2])):
        changed = partial(setattr, simulator, "password", CHANGED_PASSWORD)
        world.kernel.after(random.uniform(0, 100), changed)


@_trouble
def _out_of_credit(world: World, random: Random) -> None:
    for simulator in random.sample(list(world.providers.values()), random.choice([1, 2])):
        left = type(vars(simulator)["credit"])(random.choice([0, 1, 3]))
        world.kernel.after(random.uniform(0, 100), partial(setattr, simulator, "credit", left))


@_trouble
def _address_refused(world: World, random: Random) -> None:
    for simulator in world.providers.values():
        if isinstance(simulator, (SmsGo, SmsGet, TwSms)) and random.random() < 0.5:
            simulator.address_allowed = False


@_trouble
def _sessions_lost(world: World, random: Random) -> None:
    def lose() -> None:
        for simulator in world.providers.values():
            if isinstance(simulator, Every8d):
                simulator.lose_sessions()

    for _ in range(random.randint(1, 4)):
        world.kernel.after(random.uniform(0, TROUBLED), lose)


@_trouble
def _shown_again(world: World, random: Random) -> None:
    """SQS delivers what it has delivered, to somebody else, at the same time."""

    def show() -> None:
        for queue in (world.send_queue, world.bulk_queue):
            if queue.letters:
                queue.show_again(random.choice(sorted(queue.letters)))

    for _ in range(60):
        world.kernel.after(random.uniform(0, TROUBLED), show)


@_trouble
def _schedules_overlap(world: World, random: Random) -> None:
    for _ in range(20):
        name = random.choice(["reconciler", "reconciler", "reconciler", "credits"])
        begins = random.uniform(0, TROUBLED)
        for _ in range(random.randint(1, 3)):
            world.kernel.after(begins + random.uniform(0, 0.1), lambda name=name: world.tick(name))  # type: ignore[misc]


@_trouble
def _strangers_call(world: World, random: Random) -> None:
    """Somebody who knows message ids, but no token, says of them what is not so."""

    def call(key: str) -> None:
        ledger = [message for message in world.messages() if message.provider == key]
        if not ledger:
            return
        message = random.choice(ledger)
        told = {
            "smsgo": f"msgid={message.provider_ref or 1}&statusstr=DELIVRD&statuscode=0",
            "twsms": 'smsresp={"code":"00000","msgid":"%s","statuscode":"0","statustext":"DELIVRD"}'
            % (message.provider_ref or 1),
        }[key]
        world.visit(f"/receipts/{key}/{'x' * 32}/{message.message_id}?{told}")

    for _ in range(30):
        key = random.choice(["smsgo", "twsms"])
        world.kernel.spawn("stranger", partial(call, key), delay=random.uniform(0, TROUBLED))


@_trouble
def _clocks_jump(world: World, random: Random) -> None:
    """By seconds mostly, by an hour now and then; back again in the end."""
    for _ in range(random.randint(1, 3)):
        jump = random.choice([-3600.0, -5.0, -1.0, 1.0, 5.0, 3600.0])
        world.kernel.after(random.uniform(0, TROUBLED), lambda jump=jump: world.set_clock_error(jump))  # type: ignore[misc]


@_trouble
def _deployed_anew(world: World, random: Random) -> None:
    for _ in range(3):
        world.kernel.after(random.uniform(0, TROUBLED), world.functions.forget)


@_trouble
def _redriven(world: World, random: Random) -> None:
    """An operator moves dead letters back, before anybody knows why they died."""
    for _ in range(2):
        world.kernel.after(random.uniform(0, TROUBLED + 500), lambda: world.dead_letters.redrive_to(world.send_queue))


def _mend(world: World) -> None:
    """Faults stop, accounts are filled, passwords are stored, clocks are right."""
    world.note("the faults stop")
    world.faults.stop()
    world.offline.clear()
    world.set_clock_error(0.0)
    for key, simulator in world.providers.items():
        mended: Any = simulator
        mended.credit = type(mended.credit)(1_000_000)
        if hasattr(mended, "address_allowed"):
            mended.address_allowed = True
        if simulator.secret()["password"] == CHANGED_PASSWORD:
            world.put_secret(f"providers/{key}", password=CHANGED_PASSWORD)
    world.kernel.after(120, partial(_operate, world, len(world.alerts)))


def _operate(world: World, read: int) -> None:
    """An operator reads the alerts, and stores a secret again where one says that it was refused."""
    for alert in world.alerts[read:]:
        told = json.loads(alert.message)
        if "Suspended" in alert.subject and told["reason"]["code"] == "bad_credentials":
            world.note(f"the operator stores the secret of {told['provider']} again")
            world.put_secret(f"providers/{told['provider']}")
    world.kernel.after(120, partial(_operate, world, len(world.alerts)))
