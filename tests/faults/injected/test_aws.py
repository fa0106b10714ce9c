"""What AWS does to a gateway: its store is throttled, down or behind, secrets and the bus fail, schedules run twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from local.simulators.base import Step as Told
from smsgate.messages import Kind
from smsgate.status import Status
from tests.faults.deliveries import deliver_again, letters
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import EVERYBODY, MANY, alone, events, of_provider, one, repeats, statuses, until_over
from tests.world.faults import Kill, Lost, Refuses, Step, Throttled, Unavailable
from tests.world.world import World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
EACH = 4
ASKED = ("smsgo", "twsms", "every8d")
"""Those that can be asked what became of a message."""

WRITES = frozenset({"put_item", "update_item", "delete_item"})
ANSWER_COMES, NO_ANSWER_COMES = "the next try is answered", "no try is answered"
VENDOR_FIRST, SECRET_FIRST = "at the vendors first", "in the secrets first"
WARM, COLD = "workers that know them", "new workers"


def publish_each(world: World, each: int = EACH) -> None:
    for provider in EVERYBODY:
        alone(world, provider, each)


def tells_nobody(world: World) -> None:
    """Messages arrive, and the vendor says so to whoever asks, and to nobody else."""
    for simulator in world.providers.values():
        simulator.receipts = (Told(3, simulator.delivered, told=False),)


def before_any_call() -> Callable[[Step], bool]:
    """Steps of an invocation up to the first call it makes for a message."""
    called = set[str]()

    def is_before(step: Step) -> bool:
        worker = step.who.partition("/")[0]
        if step.service in ("wire", "ses"):
            called.add(worker)
        return worker not in called

    return is_before


def writes_after_the_first_acceptance(seconds: float) -> Callable[[Step], bool]:
    began: list[float] = []

    def is_down(step: Step) -> bool:
        if step.service in ("wire", "ses") and step.moment == "after" and not began:
            began.append(step.at)
        return step.operation in WRITES and bool(began) and step.at < began[0] + seconds

    return is_down


def the_first_claims() -> Callable[[Step], bool]:
    claimed = set[str]()

    def is_first(step: Step) -> bool:
        if (step.operation, step.moment) != ("put_item", "after") or "/m#" not in step.subject:
            return False
        known = step.subject in claimed
        claimed.add(step.subject)
        return not known

    return is_first


def count_once(run: Run, world: World) -> None:
    run.equal("accepts", world.accepts().total(), run.messages)
    run.equal("accepted twice", repeats(world), 0)
    run.equal("dead letters", len(world.dead_letters), 0)


@fault("F46", "half of the store's calls before a claim are throttled", Where.AWS)
def test_a_store_that_is_throttled_before_the_claim_delays_and_loses_nothing(run: Run) -> None:
    with run.world() as world:
        throttled = world.faults.inject(
            Throttled(),
            service="dynamodb",
            function="sender",
            times=None,
            chance=0.5,
            seconds=2 * MINUTE,
            only=before_any_call(),
        )
        for number in range(EACH):
            for provider in EVERYBODY:
                one(world, provider, number)
                world.run(2)
        until_over(world)

        run.at_least("throttled", len(throttled.hits), 10)
        count_once(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)


@fault("F47", "nothing can be written for a minute after the first acceptance", Where.AWS)
def test_an_acceptance_that_cannot_be_written_is_never_a_rejection_nor_sent_again(run: Run) -> None:
    with run.world() as world:
        for provider in EVERYBODY:  # Whoever wants a session has one.
            one(world, provider, MANY)
        world.run(MINUTE)
        writes = writes_after_the_first_acceptance(MINUTE)
        world.faults.inject(Unavailable(), service="dynamodb", times=None, only=writes)
        publish_each(world)
        world.run(20 * MINUTE)

        count_once(run, world)
        found = statuses(world.messages())
        taken = found[Status.SENT] + found[Status.DELIVERED]
        run.at_least("outcomes not recorded", world.metrics()["OutcomeNotRecorded"], 3)
        run.equal("sent, delivered or doubtful", taken + found[Status.DOUBTFUL], run.messages)
        run.equal("rejected or failed", found[Status.REJECTED] + found[Status.FAILED], 0)
        run.at_least("doubts told", events(world, Status.DOUBTFUL), found[Status.DOUBTFUL])


@fault("F48", "the answer to the first claim is lost", Where.AWS, cases=(ANSWER_COMES, NO_ANSWER_COMES))
def test_a_claim_whose_answer_is_lost_is_nobody_elses(run: Run) -> None:
    with run.world() as world:
        lost = world.faults.inject(
            Lost(tried_again=run.case == ANSWER_COMES),
            service="dynamodb",
            function="sender",
            times=None,
            only=the_first_claims(),
        )
        publish_each(world)
        until_over(world)

        found = statuses(world.messages())
        run.equal("answers lost", len(lost.hits), run.messages)
        run.equal("accepted twice", repeats(world), 0)
        run.equal("dead letters", len(world.dead_letters), 0)
        wanted = Status.DELIVERED if run.case == ANSWER_COMES else Status.DOUBTFUL
        run.equal("accepts", world.accepts().total(), run.messages if wanted is Status.DELIVERED else 0)
        run.equal(str(wanted), found[wanted], run.messages)


@fault("F49", "the index is two minutes behind the table", Where.AWS)
def test_what_an_index_shows_late_is_done_once(run: Run) -> None:
    with run.world(providers=ASKED, index_delay=2 * MINUTE) as world:
        tells_nobody(world)
        world.offline.add("smsgo")
        for provider in ASKED:
            alone(world, provider, 7)
        world.run(10 * MINUTE)
        world.offline.clear()
        until_over(world)

        count_once(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        asked = Counter(call.fields["msgid"] for call in world.providers["twsms"].calls if call.operation == "query")
        of_twsms = of_provider(world)["twsms"]
        run.equal("questions", asked.total(), sum(message.checks for message in of_twsms))
        run.equal("asked about each", sum(asked[message.provider_ref or ""] > 0 for message in of_twsms), len(of_twsms))


@fault("F50", "an item has expired and is not deleted yet", Where.AWS)
def test_what_has_expired_and_is_still_there_is_not_sent_again(run: Run) -> None:
    with run.world(schedules=False, parameters={"RetentionDays": "15"}) as world:
        publish_each(world)
        records = letters(world)
        world.run(2 * MINUTE)
        before, events_before = world.accepts(), len(world.events)
        world.run(15 * DAY)
        now = world.kernel.now.timestamp()
        expired = sum(int(item["expires"]["N"]) <= now for item in world.table.items() if "expires" in item)
        for record in records:
            deliver_again(world, record)
            world.send(record.body)
        world.run(10 * MINUTE)

        run.at_least("expired items", expired, run.messages)
        run.equal("accepts besides", (world.accepts() - before).total(), 0)
        run.equal("events besides", len(world.events) - events_before, 0)
        count_once(run, world)


@fault("F51", "no secret can be read for a quarter of an hour", Where.AWS, cases=(WARM, COLD))
def test_secrets_that_cannot_be_read_stop_only_workers_that_never_read_them(run: Run) -> None:
    with run.world() as world:
        for provider in EVERYBODY:  # One after the other, so that one worker knows the secrets of all.
            one(world, provider)
            world.run(15)
        before = world.accepts().total()
        world.faults.inject(Unavailable(), service="secretsmanager", times=None, seconds=15 * MINUTE)
        if run.case == COLD:
            world.functions.forget()
        for number in range(1, 1 + EACH):
            for provider in EVERYBODY:
                one(world, provider, number)
                world.run(20)
        during = world.accepts().total() - before
        until_over(world)

        run.equal("accepts meanwhile", during, len(EVERYBODY) * EACH if run.case == WARM else 0)
        count_once(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)


@fault("F52", "passwords are changed while messages are sent", Where.AWS, cases=(VENDOR_FIRST, SECRET_FIRST))
def test_a_password_that_is_changed_loses_no_message(run: Run) -> None:
    with run.world() as world:
        for number in range(2 * EACH):
            for provider in EVERYBODY:
                one(world, provider, number)
            if number == EACH:
                rotate(world, secret_first=run.case == SECRET_FIRST)
            world.run(10)
        if run.case == SECRET_FIRST:
            # The new password was refused before it was good; that it is good now only an operator can know.
            answers = [world.call("POST", f"/providers/{provider}/resume") for provider in EVERYBODY]
            run.equal("resumed", sum(answer.status == 200 for answer in answers), len(EVERYBODY))
        until_over(world)

        count_once(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        refused = Counter(
            attempt.provider
            for message in world.messages()
            for attempt in message.attempts
            if attempt.reason is not None and attempt.reason.code == "bad_credentials"
        )
        run.at_most("refusals by a provider", max(refused.values(), default=0), 2)


def rotate(world: World, *, secret_first: bool) -> None:
    """At the vendor and in the secret, one ten seconds before the other."""

    def at_the_vendors() -> None:
        for simulator in world.providers.values():
            simulator.password = f"{simulator.key}-second"  # type: ignore[attr-defined]  # each has one

    def in_the_secrets() -> None:
        for provider in world.providers:
            world.put_secret(f"providers/{provider}", password=f"{provider}-second")

    first, second = (in_the_secrets, at_the_vendors) if secret_first else (at_the_vendors, in_the_secrets)
    first()
    world.kernel.after(10, second)


@fault("F53", "the bus takes some events of a call and refuses others", Where.AWS)
def test_an_event_that_the_bus_refused_is_brought_again_under_its_id(run: Run) -> None:
    with run.world() as world:
        refused = world.faults.inject(
            Refuses(0.1 * run.seed), service="events", times=None, chance=0.5, seconds=5 * MINUTE
        )
        publish_each(world)
        until_over(world)

        changes = sum(moment.kind is Kind.STATUS for message in world.messages() for moment in message.timeline)
        told = {event.detail["event_id"] for event in world.events if event.detail_type == "Message Status Changed"}
        run.at_least("calls with refusals", len(refused.hits), 5)
        run.equal("changes told", len(told), changes)
        run.equal("changes given up", len(world.undelivered_changes), 0)
        count_once(run, world)


@fault("F54", "two runs of a schedule at once", Where.PROCESS)
def test_two_runs_at_once_ask_once_and_alert_once(run: Run) -> None:
    thresholds = '{"smsgo": 2000000, "twsms": 2000000, "every8d": 2000000}'
    with run.world(providers=ASKED, schedules=False, parameters={"LowCredit": thresholds}) as world:
        tells_nobody(world)
        for provider in ASKED:
            alone(world, provider, 7)
        world.run(90)
        world.providers["twsms"].reply("+886912345678", "said once")
        for name in ("reconciler", "credits"):
            world.tick(name)
            world.tick(name)
            world.run(0.02)
            world.tick(name)
            world.run(MINUTE)

        messages = world.messages()
        asked = Counter(call.fields["msgid"] for call in world.providers["twsms"].calls if call.operation == "query")
        run.equal("checks", sum(message.checks for message in messages), run.messages)
        run.equal("questions about each message", max(asked.values()), 1)
        run.equal("delivered", statuses(messages)[Status.DELIVERED], run.messages)
        low = Counter(alert.subject for alert in world.alerts)
        run.equal("alerts", low.total(), len(ASKED))
        run.equal("replies told", sum(event.detail_type == "Reply Received" for event in world.events), 1)


@fault("F55", "a run of a schedule is killed half-way", Where.PROCESS)
def test_a_run_that_is_killed_leaves_the_rest_to_the_next(run: Run) -> None:
    with run.world(providers=ASKED) as world:
        tells_nobody(world)
        world.offline.add("smsgo")
        for provider in ASKED:
            alone(world, provider, 7)
        world.faults.inject(Kill(), function="reconciler", times=None, chance=0.05, seconds=20 * MINUTE)
        world.faults.inject(Kill(), function="credits", times=2, chance=0.2, seconds=20 * MINUTE)
        world.run(5 * MINUTE)
        world.offline.clear()
        until_over(world)

        run.at_least("runs killed", len(world.deaths), 5)
        count_once(run, world)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], run.messages)
        asked = Counter(call.fields["msgid"] for call in world.providers["twsms"].calls if call.operation == "query")
        checks = sum(message.checks for message in of_provider(world)["twsms"])
        run.at_most("questions beyond what was taken", asked.total() - checks, 0)
