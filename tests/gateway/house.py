"""A whole gateway around one table: every use case, with the clock, the wire, the secrets and the queues in the test's
hands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from smsgate.accounts import Accounts
from smsgate.admission import Admissions
from smsgate.api import Api
from smsgate.api_cancel import Cancellations
from smsgate.api_operations import Operations
from smsgate.balance import Balance
from smsgate.callback_urls import receipt_url
from smsgate.continuations import Continuations
from smsgate.conversation import Conversation
from smsgate.credits import Credits
from smsgate.daybook import Daybook
from smsgate.dispatcher import Dispatcher
from smsgate.evidence import Evidence
from smsgate.health import Health
from smsgate.intake import Intake
from smsgate.ledger import Ledger
from smsgate.limits import Limits
from smsgate.lines import Lines
from smsgate.messages import Lane, Message
from smsgate.providers.base import Provider
from smsgate.receipts import Receipts
from smsgate.reconciler import Reconciler
from smsgate.replies import Replies
from smsgate.routebook import Routebook
from smsgate.routing import Rules
from smsgate.routing_document import RoutingDocument
from smsgate.secrets import Callbacks, Secret, Secrets, SecretUnreadable
from smsgate.sender import Sender
from smsgate.sessions import Sessions
from smsgate.shelves import Shelves
from smsgate.suppression import Suppressions
from smsgate.suspension import Suspensions
from smsgate.wakeups import WakeUps
from smsgate.wire import Acknowledgement, Callback
from tests.gateway.examples import NOON, WATCH
from tests.gateway.plainline import OFFERS, Wire

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

TOKEN = "t0ken-of-the-account"
QUEUES = {Lane.URGENT: "https://sqs/urgent", Lane.BULK: "https://sqs/bulk"}


@dataclass
class Vault:
    """Secrets that can be rotated, or lost."""

    versions: dict[str, str] = field(default_factory=lambda: dict.fromkeys(OFFERS, "v1"))
    newest: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def account(self, provider: str) -> Secret:
        if provider in self.lost:
            raise SecretUnreadable(provider)
        return Secret(self.versions[provider], {"password": f"password-{self.versions[provider]}"})

    def reread(self, provider: str) -> Secret:
        self.versions |= self.newest
        return self.account(provider)

    def callbacks(self) -> Callbacks:
        if "callbacks" in self.lost:
            raise SecretUnreadable("callbacks")
        return Callbacks((TOKEN, "t0ken-before"), "https://sms.example.org")


class Queues:
    """Takes wake-ups, unless it is told to fail, and hands them out as the sender would get them."""

    def __init__(self) -> None:
        self.woken: dict[str, list[str]] = {url: [] for url in QUEUES.values()}
        self.calls: list[list[dict[str, Any]]] = []
        self.delays: dict[str, int] = {}
        self.continued: list[dict[str, Any]] = []  # records, as they would come
        self.broken = False
        self.refusing = False

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if self.broken:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch")
        if self.refusing:
            return {"Successful": [], "Failed": [{"Id": entry["Id"]} for entry in Entries]}
        self.calls.append(Entries)
        for entry in Entries:
            ids = json.loads(entry["MessageBody"])
            self.woken[QueueUrl] += ids
            self.delays |= dict.fromkeys(ids, entry.get("DelaySeconds", 0))
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def send_message(self, QueueUrl: str, MessageBody: str, MessageAttributes: dict[str, Any]) -> None:  # noqa: N803
        if self.broken:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessage")
        given = {
            name: {"stringValue": value["StringValue"], "dataType": "String"}
            for name, value in MessageAttributes.items()
        }
        self.continued.append(
            {
                **record(MessageBody, name=f"again-{len(self.continued)}"),
                "messageAttributes": given,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1893456000000"},
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{QueueUrl.rpartition('/')[2]}",
            }
        )

    @property
    def urgent(self) -> list[str]:
        return self.woken[QUEUES[Lane.URGENT]]

    @property
    def bulk(self) -> list[str]:
        return self.woken[QUEUES[Lane.BULK]]


@dataclass
class House:
    ledger: Ledger
    enabled: tuple[str, ...] = ("plainline",)
    offers: dict[str, type[Provider]] = field(default_factory=lambda: dict(OFFERS))
    now: datetime = NOON
    wire: Wire = field(default_factory=Wire)
    vault: Vault = field(default_factory=Vault)
    queues: Queues = field(default_factory=Queues)
    thresholds: dict[str, Decimal] = field(default_factory=dict)
    deadline: timedelta = timedelta(seconds=10)
    routing: RoutingDocument = field(default_factory=RoutingDocument)
    daily_points: Decimal | None = None

    def document(self) -> RoutingDocument:
        """In the place of the routebook."""
        return self.routing

    def clock(self) -> datetime:
        return self.now

    def later(self, **ahead: float) -> None:
        self.now += timedelta(**ahead)

    # The use cases, each as a worker of its own would have it

    @property
    def offered(self) -> dict[str, type[Provider]]:
        return {key: self.offers[key] for key in self.enabled}

    @property
    def suspensions(self) -> Suspensions:
        return Suspensions(self.ledger, self.clock, lambda: self.routing.policy.slow_receipts)

    @property
    def suppressions(self) -> Suppressions:
        return Suppressions(self.ledger, self.clock)

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.ledger, self.suppressions, self.daybook, self.offers.get, WATCH, self.clock)

    def accounts(self) -> Accounts:
        lines = Lines(lambda: self.wire.exchange, Sessions(self.ledger, self.deadline, self.clock))
        return Accounts(cast(Secrets, self.vault), self.offers.__getitem__, lines)

    def sender(self) -> Sender:
        accounts = self.accounts()
        suspensions = self.suspensions
        admissions = Admissions(
            accounts=accounts,
            suspensions=suspensions,
            suppressions=self.suppressions,
            limits=Limits(self.ledger, self.daily_points, self.clock),
            balance=self.balance(),
            routebook=cast(Routebook, self),
            offers=self.offered,
            rules=Rules(self.enabled, frozenset({"TW", "HK"}), None),
            clock=self.clock,
        )
        dispatcher = Dispatcher(
            ledger=self.ledger,
            accounts=accounts,
            secrets=cast(Secrets, self.vault),
            admissions=admissions,
            health=Health(accounts, suspensions),
            evidence=self.evidence,
            offers=self.offered,
            wake_ups=self.wake_ups(),
            watch=WATCH,
            deadline=self.deadline,
            clock=self.clock,
        )
        return Sender(
            ledger=self.ledger,
            dispatcher=dispatcher,
            continuations=Continuations(lambda: cast("SQSClient", self.queues), QUEUES),
            known_providers=sorted(OFFERS),
            bulk_queue="bulk",
            clock=self.clock,
        )

    def receipts(self) -> Receipts:
        return Receipts(intake=self.intake(), evidence=self.evidence, conversation=self.conversation())

    def replies(self) -> Replies:
        return Replies(intake=self.intake(), conversation=self.conversation())

    def conversation(self) -> Conversation:
        return Conversation(self.ledger, self.suppressions, self.clock)

    def intake(self) -> Intake:
        return Intake(ledger=self.ledger, secrets=cast(Secrets, self.vault), find=self.offers.get, clock=self.clock)

    def reconciler(self) -> Reconciler:
        accounts = self.accounts()
        return Reconciler(
            ledger=self.ledger,
            accounts=accounts,
            suspensions=self.suspensions,
            evidence=self.evidence,
            conversation=self.conversation(),
            offers=self.offered,
            wake_ups=self.wake_ups(),
            shelves=self.shelves(accounts),
            watch=WATCH,
            deadline=self.deadline,
            clock=self.clock,
        )

    def shelves(self, accounts: Accounts) -> Shelves:
        return Shelves(
            ledger=self.ledger,
            accounts=accounts,
            suspensions=self.suspensions,
            offers=self.offered,
            known_providers=sorted(OFFERS),
            clock=self.clock,
        )

    def wake_ups(self) -> WakeUps:
        return WakeUps(lambda: cast("SQSClient", self.queues), QUEUES, self.clock)

    def credits(self) -> Credits:
        return Credits(
            balance=self.balance(),
            daybook=self.daybook,
            offers=self.offered,
            clock=self.clock,
            misnamed=sorted(set(self.thresholds) - set(self.offered)),
        )

    def balance(self) -> Balance:
        return Balance(
            ledger=self.ledger,
            accounts=self.accounts(),
            suspensions=self.suspensions,
            daybook=self.daybook,
            offers=self.offered,
            thresholds=self.thresholds,
            clock=self.clock,
        )

    @property
    def daybook(self) -> Daybook:
        return Daybook(self.ledger, self.clock)

    def api(self) -> Api:
        return Api(
            ledger=self.ledger,
            wake_ups=self.wake_ups(),
            known_providers=sorted(OFFERS),
            new_id=lambda: "new-id",
            clock=self.clock,
        )

    def cancellations(self) -> Cancellations:
        return Cancellations(
            ledger=self.ledger, accounts=self.accounts(), suspensions=self.suspensions, clock=self.clock
        )

    def operations(self) -> Operations:
        return Operations(
            ledger=self.ledger,
            suspensions=self.suspensions,
            wake_ups=self.wake_ups(),
            offers=self.offered,
            watch=WATCH,
            clock=self.clock,
        )

    # What happens to it

    def handle(self, *records: Mapping[str, Any], left: float = 60) -> list[str]:
        return self.sender().handle(records, lambda: timedelta(seconds=left))

    def reconcile(self, left: float = 60) -> None:
        self.reconciler().handle(lambda: timedelta(seconds=left))

    def receive(self, provider: str, token: str, query: str, path: str = "", body: bytes = b"") -> Acknowledgement:
        return self.receipts().handle(provider, token, Callback("GET", path, query, body))

    def receive_at_own_url(self, message: Message, query: str) -> Acknowledgement:
        """A report to the URL that was given out for this message alone."""
        url = receipt_url(self.vault.callbacks(), message.provider or "", message.message_id)
        provider, token, path = url.split("/receipts/")[1].split("/")
        return self.receive(provider, token, query, path)

    # What lies in the ledger

    def of(self, request_id: str = "order-17") -> list[Message]:
        return sorted(self.ledger.of_request(request_id), key=lambda m: m.to)

    def one(self, request_id: str = "order-17") -> Message:
        (message,) = self.of(request_id)
        return message


def record(request: object = None, name: str = "q1", receives: int = 1, **fields: Any) -> dict[str, Any]:
    body = request if request is not None else {"id": "order-17", "to": "+886912345678", "text": "hello", **fields}
    return {
        "messageId": name,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(int(NOON.timestamp() * 1000)),
        },
        "messageAttributes": {},
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:urgent",
    }


def wake_up(*ids: str) -> dict[str, Any]:
    return {
        **record(json.dumps(ids), name="wake"),
        "messageAttributes": {"smsgate": {"stringValue": "wake", "dataType": "String"}},
    }


def fails(*_: object, **__: object) -> None:
    raise ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")


@dataclass
class Counts:
    """What was counted, in the place of telemetry."""

    told: dict[tuple[str, str], float] = field(default_factory=dict)

    def count(self, name: str, value: float = 1, *, provider: str = "") -> None:
        self.told[name, provider] = self.told.get((name, provider), 0) + value

    def __getitem__(self, name: str) -> float:
        return sum(value for (told, _), value in self.told.items() if told == name)
