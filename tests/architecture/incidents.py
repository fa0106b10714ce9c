"""What fires each alarm: a fault in a world of its own, by the name of the alarm in template.yaml.

Beside them an hour in which all is well, and a day on which everything becomes of messages that can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from local.simulators import SIMULATORS
from local.simulators.base import Hangs, Late
from local.simulators.base import Step as Told
from tests.world.cloudwatch import Alarm, CloudWatch, State, alarms_of
from tests.world.faults import Kill, Slow, Throttled, Unavailable
from tests.world.messages_table import TABLE
from tests.world.world import API, TOKEN, World

MINUTE, HOUR = 60, 3600
ALL = tuple(SIMULATORS)
ANOTHER_TOKEN = "canary-token-that-nobody-was-given"
STRANGER = "+14155550123"


@dataclass(frozen=True, slots=True)
class Seen:
    """What CloudWatch has of a world when it is over."""

    cloudwatch: CloudWatch
    until: float
    alarms: Mapping[str, Alarm]

    def states(self, alarm: str) -> list[State]:
        return self.alarms[alarm].history(self.cloudwatch, self.until)


@dataclass(frozen=True, slots=True)
class Incident:
    happens: Callable[[World], None]
    providers: Sequence[str]
    parameters: Mapping[str, str] = field(default_factory=dict)

    def see(self) -> Seen:
        with World(7, providers=self.providers, parameters=self.parameters) as world:
            self.happens(world)
            alarms = alarms_of(world.template.resources("AWS::CloudWatch::Alarm"))
            return Seen(world.cloudwatch, world.kernel.elapsed, alarms)


INCIDENTS: dict[str, Incident] = {}


def fires(
    alarm: str, *providers: str, **parameters: str
) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def keep(happens: Callable[[World], None]) -> Callable[[World], None]:
        INCIDENTS[alarm] = Incident(happens, providers or ALL, parameters)
        return happens

    return keep


@cache
def seen(alarm: str) -> Seen:
    return INCIDENTS[alarm].see()


def publish(world: World, *providers: str, every: float = 0, times: int = 1, **fields: Any) -> None:
    """A message by each provider, again and again, to a number of its own."""
    for _ in range(times):
        for provider in providers:
            number = f"+8869{len(world.published):08}"
            world.publish(to=number, text=f"message {number[-4:]}", providers=[provider], **fields)
        world.run(every)


def call_back(world: World, path: str) -> int:
    status, _, _ = world.network.answer_gateway("GET", f"{API}/{path}", b"", {})
    return status


def mail(world: World, sender: str, subject: str) -> None:
    lines = (f"From: {sender}", "To: gateway@sms.example", f"Subject: {subject}", "", "Nothing that anybody waits for.")
    world.receive_mail("\r\n".join(lines).encode())


# ── All is well ──────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def healthy() -> Seen:
    """Three hours of traffic on both lanes, and what happens on any day: a deployment, a rotation, a probe, a typo."""

    def happens(world: World) -> None:
        for quarter in range(12):
            publish(world, *ALL, every=100, times=3)
            publish(world, "smsget", "every8d", lane="bulk", every=100)
            if quarter == 2:
                world.functions.forget()
            if quarter == 4:
                world.put_secret("callbacks", tokens=[ANOTHER_TOKEN, TOKEN])
            if quarter == 6:
                call_back(world, "receipts/twsms/guessed-by-somebody?a=b")
            if quarter == 8:
                world.send('{"to": "+886912345678", "tetx": "a typo"}')
                world.call("GET", "/messages/unknown-1")
            world.run(500)

    return Incident(happens, ALL, {"LowCredit": '{"twsms": 1000, "smsget": 1000}'}).see()


@cache
def idle() -> Seen:
    """Three hours in which nobody sends anything."""
    return Incident(lambda world: world.run(3 * HOUR), ALL).see()


@cache
def eventful() -> Seen:
    """Everything becomes of messages that can: no alarm is looked at, but every metric of a dashboard is put."""

    def happens(world: World) -> None:
        world.providers["twsms"].plan_receipts((Told(5, world.providers["twsms"].delivered, told=False),))
        publish(world, "twsms")  # nobody calls, so it is asked for
        publish(world, "smsgo", replies=True)
        world.providers["smsget"].plan_receipts((), (Told(5, "UNDELIV"),))
        publish(world, "smsget", times=2)  # of one nothing is heard, the other is not delivered
        world.providers["meteorsis"].blocked.add("886")  # type: ignore[attr-defined]
        publish(world, "meteorsis")
        world.publish(to=STRANGER, text="abroad", providers=["smsget"])
        world.send('{"to": "+886912345678", "tetx": "a typo"}')
        world.call("POST", "/messages", {"to": "nobody"})
        world.run(5 * MINUTE)
        world.providers["smsgo"].reply(world.published[1].to[0], "yes")
        world.providers["every8d"].script(Hangs(), operation="sendSMS")
        world.offline.add("twsms")
        publish(world, "every8d", "twsms")
        publish(world, "twsms", valid_for=100)  # called, and parked
        world.put_secret("providers/smsgo", password="wrong")
        publish(world, "smsgo")
        world.run(10)
        publish(world, "smsgo")  # waits, and is never called
        publish(world, "smsgo", valid_for=100)
        publish(world, "smsget", send_at="2026-03-02T04:00:00Z")
        world.run(2 * HOUR)

    return Incident(happens, ALL, {"WatchHours": "1"}).see()


# ── Requests and events that are stuck ───────────────────────────────────────────────────────────────────────────────


@fires("DeadLettersAlarm", "twsms")
def _the_sender_cannot_be_started(world: World) -> None:
    world.faults.inject(Throttled(), service="lambda", subject="sender", times=None)
    publish(world, "twsms")
    world.run(45 * MINUTE)


@fires("SendQueueAgeAlarm", "twsms")
def _the_sender_cannot_be_started_for_some_minutes(world: World) -> None:
    world.faults.inject(Throttled(), service="lambda", subject="sender", times=None, seconds=5 * MINUTE)
    publish(world, "twsms")
    world.run(8 * MINUTE)


@fires("BulkQueueAgeAlarm", "twsms")
def _nobody_takes_from_the_campaign_lane(world: World) -> None:
    bulk = next(source for source in world.sources if source.queue is world.bulk_queue)
    bulk.paused = True
    publish(world, "twsms", lane="bulk")
    world.run(70 * MINUTE)


@fires("BackstageDeadLettersAlarm", "meteorsis")
@fires("MailboxErrorsAlarm", "meteorsis")
def _the_bucket_cannot_be_read(world: World) -> None:
    world.faults.inject(Unavailable(), service="s3", times=None)
    publish(world, "meteorsis")
    world.run(8 * MINUTE)


@fires("PublisherBehindAlarm", "twsms")
def _the_bus_is_throttled(world: World) -> None:
    world.faults.inject(Throttled(), service="events", times=None)
    publish(world, "twsms")
    world.run(10 * MINUTE)


@fires("ChangesPassedOverAlarm", "twsms")
def _an_item_is_written_that_is_of_no_message(world: World) -> None:
    moment = {"M": {"kind": {"S": "status"}, "status": {"S": "unheard-of"}, "at": {"S": "noon"}}}
    world.table.put_item(TableName=TABLE, Item={"pk": {"S": "odd"}, "sk": {"S": "m#1"}, "timeline": {"L": [moment]}})
    world.run(70 * MINUTE)


@fires("OutcomesNotRecordedAlarm", "smsget")
def _the_table_is_lost_during_a_call(world: World) -> None:
    world.faults.inject(Late(4), service="wire", operation="smsget.send")
    publish(world, "smsget", every=2)
    world.faults.inject(Unavailable(), service="dynamodb", function="sender", times=None, seconds=30)
    world.run(70 * MINUTE)


@fires("DoubtfulAlarm", "smsget")
def _a_worker_is_lost_during_a_call(world: World) -> None:
    world.providers["smsget"].receipts = ()
    world.faults.inject(Kill(), service="wire", operation="smsget.send", moment="after")
    publish(world, "smsget")
    world.run(5 * MINUTE)


# ── Providers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@fires("ProvidersSuspendedAlarm", "twsms")
def _a_password_is_refused(world: World) -> None:
    world.put_secret("providers/twsms", password="wrong")
    publish(world, "twsms")
    world.run(15 * MINUTE)


@fires("RoutingDocumentInvalidAlarm", "twsms")
def _a_routing_document_names_nobody(world: World) -> None:
    world.put_routing({"version": 1, "rules": [{"name": "all", "use": [{"provider": "nobody"}]}]})
    world.run(15 * MINUTE)


@fires("LowCreditAlarm", "twsms", "smsget", LowCredit='{"twsms": 1000}')
def _an_account_is_low(world: World) -> None:
    world.providers["twsms"].credit = 500  # type: ignore[attr-defined]
    world.run(3 * HOUR)


@fires("CreditRunsOutAlarm", "twsms")
def _an_account_is_used_up_within_hours(world: World) -> None:
    world.providers["twsms"].credit = 100  # type: ignore[attr-defined]
    publish(world, "twsms", every=5 * MINUTE, times=24)


@fires("CreditUnknownAlarm", "twsms", "smsget")
def _a_provider_cannot_be_asked(world: World) -> None:
    world.offline.add("smsget")
    world.run(3 * HOUR)


# ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────────────


@fires("ReceiptsRefusedAlarm", "smsget")
def _a_token_is_dropped_that_a_provider_still_calls(world: World) -> None:
    world.put_secret("callbacks", tokens=[ANOTHER_TOKEN])
    publish(world, "smsget", every=MINUTE, times=20)


@fires("RepliesRefusedAlarm", "smsget")
def _a_token_is_dropped_that_replies_still_come_with(world: World) -> None:
    publish(world, "smsget", every=10)
    world.put_secret("callbacks", tokens=[ANOTHER_TOKEN])
    for _ in range(6):
        world.providers["smsget"].reply(world.published[0].to[0], "yes")
        world.run(2 * MINUTE)
    world.run(5 * MINUTE)


@fires("RepliesNotFetchedAlarm", "twsms", "smsgo")
def _replies_cannot_be_asked_for(world: World) -> None:
    world.run(10 * MINUTE)
    world.offline.add("twsms")
    world.run(HOUR)


@fires("ReceiptsNotUnderstoodAlarm", "twsms")
def _a_receipt_says_nothing(world: World) -> None:
    call_back(world, f"receipts/twsms/{TOKEN}?nonsense=1")
    world.run(70 * MINUTE)


@fires("RepliesNotUnderstoodAlarm", "smsgo")
def _a_reply_says_nothing(world: World) -> None:
    call_back(world, f"replies/smsgo/{TOKEN}?nonsense=1")
    world.run(70 * MINUTE)


@fires("MailsRefusedAlarm", "meteorsis")
def _a_stranger_writes_to_our_address(world: World) -> None:
    for _ in range(6):
        mail(world, "somebody@elsewhere.example", "hello")
        world.run(3 * MINUTE)


@fires("MailsNotUnderstoodAlarm", "meteorsis")
def _the_provider_writes_what_nobody_understands(world: World) -> None:
    mail(world, "reply@meteorsis.com", "We wish you a happy new year")
    world.run(70 * MINUTE)


@fires("HttpApiErrorsAlarm", "smsget")
def _receipts_cannot_be_stored(world: World) -> None:
    world.faults.inject(Unavailable(), service="dynamodb", function="receipts", times=None)
    publish(world, "smsget", every=30, times=20)


# ── Functions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@fires("ReconcilerErrorsAlarm", "twsms")
def _the_reconciler_cannot_read_the_table(world: World) -> None:
    world.faults.inject(Throttled(), service="dynamodb", function="reconciler", times=None)
    world.run(8 * MINUTE)


@fires("ReconcilerStalledAlarm", "twsms")
def _the_rule_of_the_reconciler_is_switched_off(world: World) -> None:
    world.run(15 * MINUTE)
    world.stopped.add("reconciler")
    world.run(20 * MINUTE)


@fires("SecretsUnreadableAlarm", "twsms", "smsget")
def _a_secret_is_stored_without_its_password(world: World) -> None:
    world.put_secret("providers/twsms", password=None)
    world.run(20 * MINUTE)


@fires("CreditsErrorsAlarm", "twsms")
def _the_credits_run_out_of_time(world: World) -> None:
    world.faults.inject(Slow(70), service="dynamodb", function="credits", times=None)
    world.run(HOUR)


@fires("CreditsStalledAlarm", "twsms")
def _the_rule_of_the_credits_is_switched_off(world: World) -> None:
    world.run(HOUR)
    world.stopped.add("credits")
    world.run(2 * HOUR)


@fires("SenderErrorsAlarm", "twsms")
def _the_sender_dies_again_and_again(world: World) -> None:
    world.faults.inject(Kill(), service="dynamodb", function="sender", times=None)
    publish(world, "twsms", every=20, times=10)


@fires("ReceiptsErrorsAlarm", "smsget")
def _the_receipts_function_dies(world: World) -> None:
    world.faults.inject(Kill(), service="dynamodb", function="receipts", times=None)
    publish(world, "smsget", every=2 * MINUTE)
