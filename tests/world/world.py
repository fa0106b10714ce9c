"""The whole gateway in one process: the functions of template.yaml, the AWS they use and the five providers.

    with World(seed=7) as world:
        order = world.publish(to="+886912345678", text="hello", providers=["twsms"])
        world.faults.inject(Kill(), service="wire", operation="twsms.send", moment="after")
        world.run(600)
        message, = world.messages(order)

The handlers, the use cases, the provider modules, the transports and the simulators are the real ones. Time is virtual
and moves only while `run`, `settle` or a call over HTTP waits. Everything that happens is decided by the seed; the
same seed gives the same world, step by step (`trace`).

Faults: see `tests/world/faults.py`. What the providers do besides is scripted with their simulators
(`world.providers["twsms"].script(...)`), and `world.offline.add("smsgo")` takes one off the net.
"""

from __future__ import annotations

import json
import logging
import os
import random as random_module
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from unittest.mock import patch

import smstransports.http
import smstransports.mail
import smstransports.soap
from local.dynamodb.rows import Change, Record
from local.http_api import event_for, response_from
from local.http_server import Request
from local.lambdas import Result
from local.routes import find_route
from local.simulators import SIMULATORS
from local.simulators import base as simulators_base
from local.simulators.base import Fault as OnTheirSide
from local.simulators.base import Says, Simulator, Submission
from local.simulators.every8d import Every8d
from local.simulators.meteorsis import Meteorsis
from local.stack import Stack, read_stack
from local.template import Place, Template
from smsgate import aws, telemetry
from smsgate.attributes import from_wire
from smsgate.items import message_from_plain
from smsgate.ledger import Ledger
from smsgate.messages import Message
from smsgate.settings import Settings
from smsgate.status import Status
from smsgate.wiring import Wiring
from tests.world.aws import Alert, PublishedEvent, Services
from tests.world.cloudwatch import CloudWatch
from tests.world.faults import Fault, Faults, Moment, Raises, Slow, Step, Throttled, Twice, Unavailable
from tests.world.functions import Functions
from tests.world.kernel import Kernel, Killed, Lock, PerProcess, Pool, Process, Signal
from tests.world.messages_table import TABLE, messages_table
from tests.world.network import Network, Surroundings, VirtualTransport, sender_and_recipient
from tests.world.queues import EventSource, Queue
from tests.world.smtp import GivenUp, MailServer
from tests.world.streams import StreamReader

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).resolve().parent.parent.parent
API = "https://sms.example.org"
TOKEN = "canary-token-of-the-callbacks"
START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)

_API_SECONDS = 30.0  # API Gateway waits no longer
_ASYNCHRONOUS_TRIES = (0.0, 60.0, 120.0)  # AWS, "Asynchronous invocation": twice more, a minute and two later
_MAIL_TAKES = (0.2, 4.0)
_KEPT_FOR_AN_INVOCATION = ("_counts", "_gauges", "_durations", "_invocation")  # of telemetry
_REPORTED_AFTER = 3.0  # seconds from acceptance to delivery, unless a simulator is told otherwise


@dataclass(frozen=True, slots=True)
class Published:
    """What was asked for, as far as it was meant to be sent."""

    request_id: str
    to: tuple[str, ...]
    text: str = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """Something the world did, for the story of a seed."""

    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.at:14.6f}  {self.text}"


class World:
    def __init__(
        self,
        seed: int = 0,
        *,
        providers: Sequence[str] = tuple(SIMULATORS),
        parameters: Mapping[str, str] | None = None,
        start: datetime = START,
        index_delay: float = 0.05,
        schedules: bool = True,
        by_smtp: bool = False,
    ) -> None:
        """`providers`: those that are enabled, in this order. `parameters`: of template.yaml, besides their defaults.
        `schedules`: whether they run by themselves; `tick` starts one at any time. `by_smtp`: mails go to the vendor's
        own server, and not by SES."""
        self.seed = seed
        self.kernel = Kernel(start)
        self.random = Random(f"{seed} world")
        self.faults = Faults(Random(f"{seed} faults"), lambda: self.kernel.elapsed)
        self.clock_offset = timedelta(0)  # of the gateway's clock
        self.trace: list[Line] = []
        self.steps: list[Step] = []  # every one that was taken, in their order
        self.logs: list[str] = []
        self.cloudwatch = CloudWatch()
        self.stopped: set[str] = set()  # functions whose schedule does not start them
        self.published: list[Published] = []
        self.poison: list[str] = []
        self.answers_to_strangers: list[int] = []
        self.deaths: list[tuple[float, str, str]] = []  # when, which process, why
        self.undelivered_changes: list[Record] = []  # of the stream, given up
        self.scripted: dict[str, list[float]] = {}
        self.widest_clock_error = 0.0  # seconds
        self._latency = Random(f"{seed} latency")
        self._entropy = Random(f"{seed} entropy")
        self._steps = 0
        self._requests = 0
        self._by_smtp = by_smtp
        self._leaves = ExitStack()

        self.providers: dict[str, Simulator] = {key: SIMULATORS[key]() for key in providers}
        self.stack, self.template = _stack(tuple(providers), tuple(sorted((parameters or {}).items())))
        self.table = messages_table(
            clock=lambda: self.kernel.now, index_delay=timedelta(seconds=index_delay), on_change=self._changed
        )
        self.ledger = Ledger(cast("DynamoDBClient", self.table), TABLE, timedelta(days=90))
        self.services = Services(self, lambda: self.kernel.elapsed, self.table)
        self.functions = Functions(self.kernel, self.stack.functions, self._died, self._ended)
        self.network = Network(self.kernel, self, lambda: self._latency.uniform(*_MAIL_TAKES))
        self.services.mail_sent = self.network.carry_mail
        self.network.answer_gateway = self._route
        self._make_queues()
        self._make_stream()
        self._make_providers()
        self._measure_queues()
        if schedules:
            for schedule in self.stack.schedules:
                self._repeat(schedule.function, schedule.every)

    # Coming and going

    def __enter__(self) -> Self:
        VirtualTransport.network, VirtualTransport.steps, VirtualTransport.kernel = self.network, self, self.kernel
        entropy = self._entropy_of(os.urandom)
        enter = self._leaves.enter_context
        enter(patch.dict(os.environ, self._environment()))
        root = logging.getLogger()
        # The test runner's copies of every line would cost as much as all the rest; `logs` has them.
        enter(patch.object(root, "handlers", [each for each in root.handlers if "Capture" not in type(each).__name__]))
        for target, name, replacement in (
            (aws, "_client", self.services.client),
            (telemetry, "_write", self._print),
            *((telemetry, kept, PerProcess(self.kernel)) for kept in _KEPT_FOR_AN_INVOCATION),
            (Settings, "service", property(lambda _: self._service())),
            (Wiring, "clock", staticmethod(self.clock)),
            (Wiring, "pool", staticmethod(lambda most: Pool(self.kernel, most))),
            (Wiring, "pause", staticmethod(self.sleep)),
            (smstransports.http, "DeadlineTransport", VirtualTransport),
            (smstransports.soap, "DeadlineTransport", VirtualTransport),
            (smstransports.soap, "_Renderer", _renderer),
            (smstransports.mail._Delivery, "wait", _deliver_here),
            (smstransports.mail._Client, "_get_socket", self._mail_connection()),
            (time, "sleep", self._sleep_of(time.sleep)),
            (threading, "Lock", self._lock_of(threading.Lock)),
            (os, "urandom", entropy),
            (random_module, "_urandom", entropy),
        ):
            enter(patch.object(target, name, replacement))
        telemetry.logger.cache_clear()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.kernel.close()
        finally:
            self._leaves.close()
            telemetry.logger.cache_clear()

    # What publishers do

    def publish(self, *, lane: str = "urgent", **request: Any) -> str:
        """Queue a send request; its id, which is made up where none is given."""
        full = self._with_id(request)
        self.send(json.dumps(full, ensure_ascii=False), lane=lane)
        self._remember(full)
        return str(full["id"])

    def send(self, body: str, *, lane: str = "urgent") -> str:
        """Queue a record as it stands; the queue's id for it."""
        queue = self.bulk_queue if lane == "bulk" else self.send_queue
        return queue.send(body)

    def post(self, *, lane: str | None = None, **request: Any) -> Answer:
        """POST /messages, and wait for the answer."""
        full = self._with_id(request)
        answer = self.call("POST", "/messages" + (f"?lane={lane}" if lane else ""), full)
        if answer.status == 202:
            self._remember(full)
        return answer

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """A call of a publisher or an operator to the HTTP API; time passes until it is answered."""
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        status, answer, _ = self._route(method, API + path, raw, {"content-type": "application/json"})
        return Answer(status, json.loads(answer) if answer else None)

    def visit(self, path: str) -> None:
        """Somebody from the internet calls; what is answered is kept for the invariants."""
        status, _, _ = self._route("GET", API + path, b"", {})
        self.answers_to_strangers.append(status)

    def start_call(self, method: str, path: str, body: Any = None, delay: float = 0.0) -> list[Answer]:
        """As `call`, beside everything else: its answer is in the list once it is there."""
        answers: list[Answer] = []
        self.kernel.spawn(
            "publisher", lambda: answers.append(self.call(method, path, body)), Process("publisher"), delay
        )
        return answers

    # What time does

    def run(self, seconds: float) -> None:
        self.kernel.run(seconds)

    def run_until(self, condition: Callable[[], object], limit: float = 3600.0, step: float = 1.0) -> bool:
        """True as soon as it holds, looked at every second; False where it does not in time."""
        ends = self.kernel.elapsed + limit
        while not condition():
            if self.kernel.elapsed >= ends:
                return False
            self.run(step)
        return True

    def settle(self, limit: float = 3600.0) -> bool:
        """Until nothing is under way: queues and stream are empty, nobody works, no message is being sent."""
        return self.run_until(self.is_quiet, limit)

    def is_quiet(self) -> bool:
        return not (self.send_queue or self.bulk_queue or self.stream.behind or self.functions.running)

    def tick(self, name: str) -> Process:
        """Start a scheduled function (`reconciler`, `credits`) now."""
        function = next(each for each in self.stack.functions.values() if each.folder.name == name)
        return self.functions.invoke(function.logical_id, {}, lambda _: None)

    def sweep(self) -> int:
        """Let DynamoDB delete what has expired."""
        return self.table.sweep(self.kernel.now)

    # What there is

    @property
    def events(self) -> list[PublishedEvent]:
        return self.services.events

    @property
    def alerts(self) -> list[Alert]:
        return self.services.alerts

    @property
    def offline(self) -> set[str]:
        """Providers that nobody reaches; put them in, take them out."""
        return self.network.offline

    def messages(self, request_id: str | None = None) -> list[Message]:
        """What lies in the ledger, of one request or of all."""
        if request_id is not None:
            return sorted(self.ledger.of_request(request_id), key=lambda message: message.to)
        return [message_from_plain(from_wire(item)) for item in self.table.items() if item["sk"]["S"].startswith("m#")]

    def statuses(self) -> list[Status]:
        """Of all messages, for who looks often."""
        return [Status(item["status"]["S"]) for item in self.table.items() if item["sk"]["S"].startswith("m#")]

    def accepts(self) -> Counter[tuple[str, str]]:
        """The truth: how often the providers took each text for each number."""
        return Counter((taken.to, taken.text) for _, taken in self.taken())

    def taken(self) -> Iterator[tuple[str, Submission]]:
        """Every message a provider took, with who took it."""
        for key, simulator in self.providers.items():
            for submission in simulator.accepted:
                yield key, submission

    def accepts_of(self, request_id: str) -> Counter[tuple[str, str]]:
        """As `accepts`, of one request that was published here."""
        published = next(each for each in self.published if each.request_id == request_id)
        accepts = self.accepts()
        return Counter({key: accepts[key] for to in published.to if accepts[key := (to, published.text)]})

    def metrics(self) -> Counter[str]:
        """Everything that was counted, over all providers."""
        counted: Counter[str] = Counter()
        for line in self.logs:
            if '"_aws"' in line:
                told = json.loads(line)
                for metric in told["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                    if metric["Unit"] == "Count":
                        counted[metric["Name"]] += told[metric["Name"]]
        return counted

    def put_secret(self, name: str, **fields: Any) -> None:
        """Change fields of a secret (`providers/twsms`, `callbacks`), as a rotation does."""
        full = f"{self._prefix}/{name}"
        known = json.loads(self.services.secrets[full].text) if full in self.services.secrets else {}
        self.services.put_secret(full, known | fields)

    def put_routing(self, document: Mapping[str, Any]) -> None:
        self.services.put_parameter(f"/{self._prefix}/routing", json.dumps(document))

    # What invariants ask

    def credentials(self) -> Iterator[tuple[str, str]]:
        """Every secret word of this world, and what it is."""
        yield "the token of the callbacks", TOKEN
        for key, simulator in self.providers.items():
            yield f"the password of {key}", str(simulator.secret()["password"])
            if isinstance(simulator, Every8d):
                yield from ((f"a session of {key}", session) for session in simulator._sessions)

    def troubles(self, provider: str) -> list[float]:
        """When something went wrong that may have left a call to this provider, or its recording, in doubt."""
        found = [at for at, who, _ in self.deaths if who.startswith("sender")]
        for step, _ in self.faults.struck:
            theirs = step.service in ("wire", "mail", "callback") and step.operation.partition(".")[0] == provider
            if theirs or step.function in ("sender", "mailbox"):
                found.append(step.at)
        return found + self.scripted.get(provider, [])

    def script(self, provider: str, *faults: OnTheirSide, operation: str | None = None) -> None:
        """What goes wrong with the next calls at this provider, as of now a trouble."""
        self.scripted.setdefault(provider, []).append(self.kernel.elapsed)
        self.providers[provider].script(*faults, operation=operation)

    def set_clock_error(self, seconds: float) -> None:
        """How far the gateway's clock is ahead of the true time."""
        self.widest_clock_error = max(self.widest_clock_error, abs(seconds))
        self.clock_offset = timedelta(seconds=seconds)

    def has_record_of(self, message: Message) -> bool:
        """Its vendor answered with a reference under which it says, when asked, that it will not send it."""
        simulator = self.providers.get(message.provider or "")
        rows = simulator._batches.get(message.provider_ref or "", []) if isinstance(simulator, Every8d) else []
        return any(row.to == message.to for row in rows)

    def acknowledged(self) -> Iterator[tuple[str, str]]:
        """Provider and query of each callback that was answered with 200."""
        for key, simulator in self.providers.items():
            for made in simulator.callbacks:
                query = made.url.partition("?")[2]
                if made.status == 200 and query:
                    yield key, query

    def is_mail(self, provider: str) -> bool:
        return isinstance(self.providers.get(provider), Meteorsis)

    def versions_of(self, provider: str) -> int:
        """Versions of its secret there were."""
        return self.services.secrets[f"{self._prefix}/providers/{provider}"].version

    def documented_repeats(self, provider: str) -> int:
        """Calls that the vendor asked to be made once more: a session that is none any more, `please send it again`."""
        simulator = self.providers.get(provider)
        refusals = simulator.session_refusals if isinstance(simulator, Every8d) else {}
        return sum(
            isinstance(fault, Says) and not fault.carried_out
            for step, fault in self.faults.struck
            if step.service == "wire" and step.operation.startswith(provider)
        ) + sum(count for operation, count in refusals.items() if operation.startswith("send"))

    def note(self, text: str) -> None:
        """A line of the story."""
        self.trace.append(Line(self.kernel.elapsed, text))

    # Steps

    def step(self, moment: Moment, service: str, operation: str, subject: str) -> Fault | None:
        """Something is about to leave a function, or has come back: what goes wrong with it, if anything."""
        process = self.kernel.current.process
        if process.dead:
            raise Killed(process.why)
        self._steps += 1
        function = process.name.partition("#")[0]
        step = Step(
            self._steps, self.kernel.elapsed, self.kernel.current.name, function, moment, service, operation, subject
        )
        self.steps.append(step)
        fault = self.faults.at(step)
        self.note(f"{step}  !! {fault}" if fault else str(step))
        if isinstance(fault, Raises):
            raise fault.error
        return fault

    def takes(self, least: float, most: float) -> None:
        self.kernel.sleep(self._latency.uniform(least, most))

    def sleep(self, seconds: float) -> None:
        self.kernel.sleep(seconds)

    def die(self) -> NoReturn:
        """The process of whoever runs is killed."""
        process = self.kernel.current.process
        process.kill("killed")
        raise Killed("killed")

    def is_inside(self) -> bool:
        """Whether one of our functions runs, and not a test that looks at things."""
        return "#" in self.kernel.current.process.name

    def now(self) -> datetime:
        return self.kernel.now

    def clock(self) -> datetime:
        """The time as the gateway's functions see it."""
        return self.kernel.now + self.clock_offset + self.kernel.current.process.skew

    # Inside

    @property
    def _prefix(self) -> str:
        return self.template.place.stack

    def _environment(self) -> dict[str, str]:
        variables: dict[str, str] = {}
        for function in self.stack.functions.values():
            variables |= function.environment
        return variables | {"SERVICE_NAME": "world", "LOG_LEVEL": "DEBUG", "MESSAGES_TABLE": TABLE}

    def _service(self) -> str:
        """What the environment of whoever runs says: here all functions share one."""
        running = self.kernel.current.process.name.partition("#")[0]
        named = (
            each.environment["SERVICE_NAME"] for each in self.stack.functions.values() if each.folder.name == running
        )
        return next(named, "world")

    def _print(self, line: str) -> None:
        if not self.kernel.current.process.dead:
            self.logs.append(line)
            self.cloudwatch.read(self.kernel.elapsed, line)

    def _ended(self, function: str, began: float, failed: bool) -> None:
        name = self.template.name_of(function)
        self.cloudwatch.put(began, "AWS/Lambda", "Invocations", 1, FunctionName=name)
        self.cloudwatch.put(began, "AWS/Lambda", "Errors", failed, FunctionName=name)

    def _measure_queues(self) -> None:
        """Once a minute, as SQS does for queues that are used."""
        for queue in self.services.queues.values():
            now = self.kernel.elapsed
            put = partial(self.cloudwatch.put, now, "AWS/SQS", QueueName=queue.name)
            put("ApproximateNumberOfMessagesVisible", queue.visible)
            put("ApproximateAgeOfOldestMessage", queue.oldest_age)
        self.kernel.after(60, self._measure_queues)

    def _make_queues(self) -> None:
        described = self.template.resources("AWS::SQS::Queue")
        for logical_id, properties in described.items():
            name = self.template.name_of(logical_id)
            redrive = properties.get("RedrivePolicy") or {}
            queue = Queue(
                self.kernel,
                name,
                lambda: int(self.kernel.now.timestamp() * 1000),
                visibility=float(properties.get("VisibilityTimeout", 30)),
                most_receives=int(redrive["maxReceiveCount"]) if redrive else None,
            )
            self.services.queues[self.template.ref(logical_id)] = queue
        for logical_id, properties in described.items():
            target = (properties.get("RedrivePolicy") or {}).get("deadLetterTargetArn")
            if target:
                self.queue(logical_id).dead_letters = next(
                    self.queue(other) for other in described if self.template.arn_of(other) == target
                )
        self.send_queue, self.bulk_queue = self.queue("SendQueue"), self.queue("BulkQueue")
        self.dead_letters, self.backstage = self.queue("SendDeadLetterQueue"), self.queue("BackstageDeadLetterQueue")
        self.sources = [
            EventSource(
                self.kernel,
                Random(f"{self.seed} {source.queue_arn}"),
                self.services.queues[source.queue_url],
                source,
                self._invoke,
                self.template.place.region,
            )
            for source in self.stack.queues
        ]

    def queue(self, logical_id: str) -> Queue:
        return self.services.queues[self.template.ref(logical_id)]

    def _make_stream(self) -> None:
        (source,) = self.stack.streams

        def give_up(records: Sequence[Record], tries: int) -> None:
            self.undelivered_changes.extend(records)
            self.backstage.send(json.dumps({"batch": len(records)}))
            self.note(f"stream gives up {len(records)} records after {tries} tries")

        self.stream = StreamReader(self.kernel, Random(f"{self.seed} stream"), source, self._invoke, give_up)

    def _changed(self, change: Change) -> None:
        self.stream.add(change.record())

    def _make_providers(self) -> None:
        self.services.put_secret(f"{self._prefix}/callbacks", {"tokens": [TOKEN], "public_url": API})
        for key, simulator in self.providers.items():
            self.network.simulators[key] = simulator
            simulator.receipts = (simulators_base.Step(_REPORTED_AFTER, simulator.delivered),)
            simulator.live_in(Surroundings(self.kernel, self.network, self, key))
            for attribute, path in (("receipt_url", "receipts"), ("reply_url", "replies")):
                if hasattr(simulator, attribute):
                    setattr(simulator, attribute, f"{API}/{path}/{key}/{TOKEN}")
            if hasattr(simulator, "on_reply"):
                simulator.on_reply(self.receive_mail)
            self.services.put_secret(f"{self._prefix}/providers/{key}", _secret(simulator, by_smtp=self._by_smtp))

    def _repeat(self, function: str, every: float) -> None:
        def tick() -> None:
            if self.stack.functions[function].folder.name not in self.stopped:
                self.functions.invoke(function, {}, lambda _: None)
            self.kernel.after(every, tick)

        self.kernel.after(Random(f"{self.seed} {function}").uniform(1, min(every, 60)), tick)

    def _invoke(self, function: str, event: Any, on_end: Callable[[Result], None]) -> None:
        name = self.stack.functions[function].folder.name
        self._steps += 1
        step = Step(self._steps, self.kernel.elapsed, "lambda", "lambda", "before", "lambda", "invoke", name)
        fault = self.faults.at(step)
        if isinstance(fault, Throttled):
            self.note(f"{name} is throttled")
            self.kernel.after(0.1, lambda: on_end(Result(b"", failed=True)))
            return
        if fault is not None:
            raise TypeError(f"{fault} has no meaning before an invocation")
        if any(function == source.function for source in self.stack.streams):
            changed_at = event["Records"][-1]["dynamodb"]["ApproximateCreationDateTime"]
            age = (self.kernel.now.timestamp() - changed_at) * 1000
            called = self.template.name_of(function)
            self.cloudwatch.put(self.kernel.elapsed, "AWS/Lambda", "IteratorAge", age, FunctionName=called)
        self.functions.invoke(function, event, on_end)

    def _died(self, process: Process) -> None:
        self.deaths.append((self.kernel.elapsed, process.name, process.why))
        self.note(f"{process.name} {process.why}")

    def _route(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """As API Gateway does, which counts what it answers; whoever calls waits."""
        status, answer, content_type = self._answer(method, url, body, headers)
        for kind in (4, 5):
            api = self.template.name_of("HttpApi")
            self.cloudwatch.put(self.kernel.elapsed, "AWS/ApiGateway", f"{kind}xx", status // 100 == kind, ApiId=api)
        return status, answer, content_type

    def _answer(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        request = Request(method, url.removeprefix(API), list(headers.items()), body)
        match = find_route(self.stack.routes, method, request.path)
        if match is None:
            return 404, b'{"message":"Not Found"}', "application/json"
        ended, results = Signal(), list[Result]()

        def on_end(result: Result) -> None:
            results.append(result)
            self.kernel.set(ended)

        self.functions.invoke(match.route.function, event_for(request, match, "sms.example.org"), on_end)
        self.kernel.after(_API_SECONDS, lambda: self.kernel.set(ended))
        self.kernel.wait(ended)
        if not results:
            return 503, b'{"message":"Service Unavailable"}', "application/json"
        response = response_from(results[0])
        return response.status, response.body, dict(response.headers)["content-type"]

    def receive_mail(self, raw: bytes) -> None:
        """A mail to us, as SES takes it in: stored, then the function is told, three times if need be."""
        (source,) = self.stack.mails
        sender, recipient = sender_and_recipient(raw)
        copies = 1
        match self.step("before", "mail", self.kernel.current.process.name, "answer"):
            case Unavailable():
                return
            case Slow(seconds):
                self.sleep(seconds)
            case Twice():
                copies = 2
        self.takes(*_MAIL_TAKES)
        for _ in range(copies):
            mail_id = f"mail-{len(self.services.objects) + 1}"
            self.services.objects[source.bucket, f"{source.prefix}{mail_id}"] = raw
            self._tell(source.function, _mail_event(mail_id, sender, recipient), list(_ASYNCHRONOUS_TRIES))

    def _tell(self, function: str, event: Any, tries: list[float]) -> None:
        """An asynchronous invocation, with what is left of its tries."""

        def on_end(result: Result) -> None:
            if result.failed and tries:
                self._tell(function, event, tries)
            elif result.failed:
                self.backstage.send(json.dumps({"requestPayload": event}))

        self.kernel.after(tries.pop(0), lambda: self._invoke(function, event, on_end))

    def _sleep_of(self, real: Callable[[float], None]) -> Callable[[float], None]:
        """What `time.sleep` is in here: a task sleeps in virtual time, any other thread of this process as ever."""
        return lambda seconds: self.kernel.sleep(seconds) if self.kernel.is_running_here() else real(seconds)

    def _mail_connection(self) -> Callable[[Any, str, int, float], MailServer]:
        def connect(client: Any, _host: str, _port: int, timeout: float) -> MailServer:
            client.sock = MailServer(self.kernel, self.network, self, timeout)
            client._delivery.opened(client)
            return cast(MailServer, client.sock)

        return connect

    def _lock_of(self, real: Callable[[], Any]) -> Callable[[], Any]:
        """What `threading.Lock()` gives in here: to a task one that it may hold while it sleeps."""
        return lambda: Lock(self.kernel) if self.kernel.is_running_here() else real()

    def _entropy_of(self, real: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """What is drawn in here comes from the seed; another test's thread draws elsewhere, or it would change ours."""
        ours = threading.get_ident()
        return lambda size: (
            self._entropy.randbytes(size)
            if self.kernel.is_running_here() or threading.get_ident() == ours
            else real(size)
        )

    def _with_id(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._requests += 1
        return {"id": f"order-{self.seed}-{self._requests}", **request}

    def _remember(self, request: Mapping[str, Any]) -> None:
        given = request["to"] if isinstance(request["to"], list) else [request["to"]]
        numbers = tuple(dict.fromkeys(each if isinstance(each, str) else each["number"] for each in given))
        if all(each.request_id != request["id"] for each in self.published):
            self.published.append(Published(request["id"], numbers, request.get("text", ""), request))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any = field(repr=False)


@cache
def _renderer() -> Any:
    """zeep reads its WSDL once for all worlds, and not once for each worker that was killed."""
    return _RENDERER()


_RENDERER = smstransports.soap._Renderer


def _deliver_here(delivery: Any, seconds: float) -> Any:
    """In the place of a thread of its own, whose waiting would take real time."""
    try:
        delivery._run()
    except GivenUp:
        return delivery._give_up()
    return delivery._outcome


def _secret(simulator: Simulator, *, by_smtp: bool) -> dict[str, object]:
    """The account's fields as its simulator has them, at an address of this world; mail goes by SES or by SMTP."""
    fields = dict(simulator.secret())
    root = getattr(simulator, "root", None)
    if root is not None:
        fields["base_url"] = str(fields["base_url"]).replace(root.rstrip("/"), f"https://{simulator.key}.example")
    if by_smtp and "smtp" in fields:
        server = {"host": f"mail.{simulator.key}.example", "port": 587, "starttls": False}
        return fields | {"smtp": server}
    for unused in ("allow_http", "smtp"):
        fields.pop(unused, None)
    return fields


@lru_cache(maxsize=16)
def _stack(providers: tuple[str, ...], parameters: tuple[tuple[str, str], ...]) -> tuple[Stack, Template]:
    own = {"EnabledProviders": ",".join(providers), "MailAddress": "gateway@sms.example"}
    place = Place(aws_url="https://aws.example", api_url=API, stack="world")
    template = Template(ROOT / "template.yaml", place, own | dict(parameters))
    return read_stack(template), template


def _mail_event(mail_id: str, sender: str, recipient: str) -> dict[str, Any]:
    """AWS, "Contents of notifications for Amazon SES email receiving", the Lambda action's; headers left out."""
    passed = {f"{name}Verdict": {"status": "PASS"} for name in ("spam", "virus", "spf", "dkim", "dmarc")}
    mail = {"source": sender, "messageId": mail_id, "destination": [recipient], "headers": []}
    receipt = {"recipients": [recipient], **passed}
    return {"Records": [{"eventSource": "aws:ses", "eventVersion": "1.0", "ses": {"mail": mail, "receipt": receipt}}]}


__all__ = ["API", "START", "TOKEN", "Answer", "Line", "Published", "World"]
