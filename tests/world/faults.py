"""What can go wrong at a step, and the rules that say at which: the fault layer of a world.

Every call that leaves a function is two steps, one before its effect and one after it. A rule names steps and what
happens there:

    world.faults.inject(Kill(), service="wire", operation="twsms.send", moment="after")
    world.faults.inject(Throttled(), service="dynamodb", function="sender", chance=0.5, times=None, seconds=120)
    world.faults.inject(Hangs(), service="wire", operation="smsgo.send")      # any fault that a simulator knows
    world.faults.inject(Kill(), number=17)                                    # the seventeenth step of this world

Services are those of AWS (`dynamodb`, `sqs`, `events`, `sns`, `secretsmanager`, `ssm`, `s3`, `ses`), `lambda` for the
start of an invocation, `wire` for a call to a provider (`<provider>.<operation>`), `callback` for a provider's call to
us and `mail` for its answer by mail (`<provider>`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from local.simulators.base import Fault as OnTheirSide

Moment = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    at: float  # seconds since the world began
    who: str  # one invocation of one function, `sender#3`; or a provider
    function: str  # `sender`; or a provider
    moment: Moment
    service: str
    operation: str
    subject: str  # what it is about: a key, a queue, a secret's name; never a secret, a number or a text

    def __str__(self) -> str:
        return f"{self.who} {self.moment} {self.service}.{self.operation} {self.subject}"


@dataclass(frozen=True, slots=True)
class OurFault:
    """What a rule does at a step."""


@dataclass(frozen=True, slots=True)
class Kill(OurFault):
    """The process is gone: a timeout, an OOM, a lost host. Its memory goes with it."""


@dataclass(frozen=True, slots=True)
class Throttled(OurFault):
    """AWS says no, after all of the client's tries. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Unavailable(OurFault):
    """Nobody answers, and nothing was done: no connection, no name, no TLS; on the wire a refused connection."""


@dataclass(frozen=True, slots=True)
class NoSuchName(OurFault):
    """On the wire: the provider's name has no address."""


@dataclass(frozen=True, slots=True)
class BadCertificate(OurFault):
    """On the wire: whoever answers cannot prove who it is."""


@dataclass(frozen=True, slots=True)
class Lost(OurFault):
    """It was done, but its answer is lost. `tried_again`: the client sends it again, and that answer comes."""

    tried_again: bool = True


@dataclass(frozen=True, slots=True)
class Refuses(OurFault):
    """Of a batch (PutEvents, SendMessageBatch) this share of the entries is not taken, and the answer says so."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Slow(OurFault):
    """It takes so many seconds longer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Twice(OurFault):
    """It arrives a second time, so many seconds later: a callback, an answer by mail."""

    after: float = 1.0


@dataclass(frozen=True, slots=True)
class Raises(OurFault):
    """The library that makes the call breaks: an error that nobody expects, or one that ends the process."""

    error: type[BaseException]


Fault = OurFault | OnTheirSide


@dataclass
class Rule:
    """Where a fault strikes: what is None fits every step; `subject` is how the subject begins.

    `only` is asked about every step, in their order, before anything else: so it may remember what went before.
    """

    fault: Fault
    service: str | None = None
    operation: str | None = None
    function: str | None = None
    moment: Moment | None = None
    subject: str = ""
    who: str | None = None
    number: int | None = None
    times: int | None = 1  # how often; None is always
    skip: int = 0  # so many fitting steps are spared first
    chance: float = 1.0
    since: float = 0.0
    until: float = float("inf")
    only: Callable[[Step], bool] | None = None
    hits: list[Step] = field(default_factory=list)

    def fits(self, step: Step) -> bool:
        return (
            (self.only is None or self.only(step))
            and (self.number is None or self.number == step.number)
            and (self.service is None or self.service == step.service)
            and (self.operation is None or self.operation == step.operation)
            and (self.function is None or self.function == step.function)
            and (self.moment is None or self.moment == step.moment)
            and (self.who is None or self.who == step.who)
            and (self.times is None or len(self.hits) < self.times)
            and self.since <= step.at < self.until
            and step.subject.startswith(self.subject)
        )


class Faults:
    def __init__(self, random: Random, elapsed: Callable[[], float]) -> None:
        self._random = random
        self._elapsed = elapsed
        self._rules: list[Rule] = []
        self.struck: list[tuple[Step, Fault]] = []

    def inject(
        self,
        fault: Fault,
        *,
        service: str | None = None,
        operation: str | None = None,
        function: str | None = None,
        moment: Moment | None = None,
        subject: str = "",
        who: str | None = None,
        number: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        chance: float = 1.0,
        delay: float = 0.0,
        seconds: float = float("inf"),
        only: Callable[[Step], bool] | None = None,
    ) -> Rule:
        """From now on (or so much later), for so many seconds. Gives the rule, whose `hits` say where it struck.

        Without a moment it strikes before the call, a lost answer after it; a `number` says that by itself.
        """
        since = self._elapsed() + delay
        when = moment if moment or number is not None else _moment_of(fault)
        rule = Rule(
            fault, service, operation, function, when, subject, who, number, times, skip, chance,
            since, since + seconds, only,
        )  # fmt: skip
        self._rules.append(rule)
        return rule

    def stop(self) -> None:
        """From now on everything goes well."""
        self._rules.clear()

    def at(self, step: Step) -> Fault | None:
        for rule in self._rules:
            if not rule.fits(step):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.chance < 1 and self._random.random() >= rule.chance:
                continue
            rule.hits.append(step)
            self.struck.append((step, rule.fault))
            return rule.fault
        return None


def _moment_of(fault: Fault) -> Moment:
    """A lost answer is an answer; everything else happens before, unless the rule says otherwise."""
    return "after" if isinstance(fault, Lost) else "before"
