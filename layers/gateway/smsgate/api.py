"""What publishers and operators may ask over HTTP, a method a question; status and JSON in answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from smsgate import lifecycle, telemetry
from smsgate.accounts import Accounts
from smsgate.items import stamp, time_of
from smsgate.ledger import Ledger, Saved, message_id_of
from smsgate.messages import Attempt, Lane, Message, Moment
from smsgate.numbers import e164
from smsgate.providers.base import Ask, Cancels, CannotSay, Refusal
from smsgate.reasons import SUSPENDING, Code, Reason
from smsgate.requests import InvalidRequest, Problem, Request, check, decode, split_message_id
from smsgate.secrets import SecretUnreadable
from smsgate.status import Status
from smsgate.suspension import Suspensions
from smsgate.wakeups import wake

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Json = dict[str, Any]

WORKERS = 16
PAGE = 50

_WAKE_AGAIN = timedelta(minutes=2)
"""Should the wake-up of a posted message be lost, the schedule finds it after this."""


_LANES = {None: Lane.URGENT, "": Lane.URGENT, "urgent": Lane.URGENT, "bulk": Lane.BULK}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Json = field(repr=False)

    @property
    def content_type(self) -> str:
        return "application/problem+json" if self.status >= 400 else "application/json"


@dataclass(frozen=True, slots=True)
class _Canceled:
    message: Message
    points: Decimal | None


@dataclass(frozen=True, slots=True)
class _NotCanceled:
    message: Message
    why: str


class Api:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        sqs: SQSClient,
        queues: Mapping[Lane, str],
        known_providers: Sequence[str],
        new_id: Callable[[], str],
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._sqs = sqs
        self._queues = queues
        self._known_providers = known_providers
        self._new_id = new_id
        self._clock = clock
        self._pool = pool
        self._log = telemetry.logger()

    # Sending

    def post(self, body: bytes, lane: str | None) -> Answer:
        """Store every message, then queue their wake-ups: what was answered 202 is in the ledger."""
        now = self._clock()
        if lane not in _LANES:
            return _invalid([Problem("lane", "say ?lane=bulk for campaigns, or leave it out")])
        try:
            request = check(
                decode(body),
                fallback_id=self._new_id(),
                accepted_at=now,
                lane=_LANES[lane],
                known_providers=self._known_providers,
            )
        except InvalidRequest as invalid:
            if invalid.late is None or not self._is_known(invalid.late):
                return self._reject(invalid, Code.INVALID_REQUEST, now)
            request = invalid.late
        first, *rest = request.messages()
        # The first message stands for the request: should another content have its id, nothing else is written.
        if not self._store(first, now):
            return self._reject(_id_reused(request.request_id), Code.ID_REUSED, now)
        with self._pool(WORKERS) as pool:
            stored = list(pool.map(lambda message: self._store(message, now), rest))
        if not all(stored):
            return self._reject(_id_reused(request.request_id), Code.ID_REUSED, now)
        messages = request.in_order
        self._wake(first.lane, [message.message_id for message in messages])
        telemetry.count("RequestPosted")
        return Answer(
            202,
            {"id": request.request_id, "messages": [{"message_id": m.message_id, "to": m.to} for m in messages]},
        )

    def _is_known(self, request: Request) -> bool:
        """A request that comes again after its own `send_at` came in time when it came first."""
        first = request.messages()[0]
        known = self._ledger.get(first.message_id)
        return known is not None and known.digest == first.digest

    def _reject(self, invalid: InvalidRequest, code: Code, now: datetime) -> Answer:
        """As on the queues: kept with every problem, and told on the bus."""
        self._ledger.reject_request(invalid, code, now)
        telemetry.count("RequestRejected")
        return _invalid(invalid.problems)

    def _wake(self, lane: Lane, ids: Sequence[str]) -> None:
        try:
            wake(self._sqs, self._queues[lane], ids)
        except Exception as error:
            # They lie in the ledger and are due: the schedule wakes them, so the answer is as true as it would be.
            self._log.error("not woken", extra={"lane": lane.value, "error": type(error).__name__})
            telemetry.count("WakeUpFailed", value=len(ids))

    def _store(self, message: Message, now: datetime) -> bool:
        """False where the id belongs to another request; the same request again changes nothing."""
        result = self._ledger.save(lifecycle.enqueue(message, now, now + _WAKE_AGAIN))
        return isinstance(result, Saved) or result.message.digest == message.digest

    # Reading

    def request(self, request_id: str) -> Answer:
        messages = sorted(self._ledger.of_request(request_id), key=_position)
        rejections = self._ledger.rejections(request_id)
        if not messages and not rejections:
            return _not_found("request", "no request of this id is known; ids are URL-encoded in the path")
        body: Json = {"id": request_id, "messages": [message_json(message) for message in messages]}
        if rejections:
            body["rejected"] = [
                {"at": each["at"], "reason": Reason(Code(each["code"])).as_json(), "problems": each["problems"]}
                for each in rejections
            ]
        return Answer(200, body)

    def message(self, message_id: str) -> Answer:
        message = self._ledger.get(message_id)
        return Answer(200, message_json(message)) if message else _no_message()

    def messages_to(self, number: str | None, cursor: str | None) -> Answer:
        if not number:
            return _bad_request("to", "give the number whose messages you want: ?to=%2B886912345678")
        try:
            # A plus that was not encoded arrives as a space.
            to = e164("+" + number[1:] if number.startswith(" ") else number)
        except ValueError as error:
            return _bad_request("to", str(error))
        try:
            after = _open_cursor(cursor, to) if cursor else None
        except ValueError:
            return _bad_request("cursor", "use the cursor of the page before, unchanged, with the same number")
        page = self._ledger.to_recipient(to, PAGE, after)
        found = (self._ledger.get(message_id_of(key)) for key in page.items)
        body: Json = {"messages": [message_json(message) for message in found if message]}
        body["cursor"] = _close_cursor(page.cursor) if page.cursor else None
        return Answer(200, body)

    # Canceling

    def cancel_message(self, message_id: str) -> Answer:
        message = self._ledger.get(message_id)
        if message is None:
            return _no_message()
        return _cancel_answer([self._cancel(message)])

    def cancel_request(self, request_id: str) -> Answer:
        messages = sorted(self._ledger.of_request(request_id), key=_position)
        if not messages:
            return _not_found("request", "no message of a request of this id is known")
        # One alone first: a password that is refused is then not tried by all workers at once.
        first = self._cancel(messages[0])
        with self._pool(WORKERS) as pool:
            return _cancel_answer([first, *pool.map(self._cancel, messages[1:])])

    def _cancel(self, message: Message) -> _Canceled | _NotCanceled:
        """Only what no provider has, or what its provider confirms, is canceled."""
        now = self._clock()
        points: Decimal | None = None
        if message.status is Status.CANCELED:
            return _Canceled(message, None)
        if message.status is Status.SCHEDULED:
            taken_back = self._take_back(message)
            if isinstance(taken_back, str):
                return _NotCanceled(message, taken_back)
            points = taken_back.points
        elif message.status is not Status.ACCEPTED:
            return _NotCanceled(message, _TOO_LATE.get(message.status, f"it is {message.status.value} already"))
        changed = self._ledger.change_from(message, lambda m: lifecycle.cancel(m, now, points))
        if changed.status is not Status.CANCELED:
            return _NotCanceled(changed, _TOO_LATE.get(changed.status, f"it is {changed.status.value} already"))
        return _Canceled(changed, points)

    def _take_back(self, message: Message) -> _TakenBack | str:
        """Ask the provider; gives the words of its refusal where it did not."""
        key = message.provider or ""
        try:
            account = self._accounts.open(key)
        except SecretUnreadable as error:
            self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
            return f"{key} cannot be asked now: its secret is missing or not valid"
        if self._suspensions.forbids_questions(key, account.version):
            return f"{key} cannot be asked now: it refused our credentials; store new ones and try again"
        if not isinstance(account.provider, Cancels) or message.provider_ref is None:
            return f"{key} cannot cancel what it has taken"
        ask = Ask(message.provider_ref, message.to, submitted_at=message.attempts[-1].at)
        try:
            answer = account.provider.cancel(ask, account.line)
        except CannotSay as silence:
            if silence.reason.code in SUSPENDING:
                self._suspensions.suspend(key, silence.reason, account.version)
            return f"{key} did not say whether it is canceled ({silence.reason.code.value}); try again"
        return answer.problem if isinstance(answer, Refusal) else _TakenBack(answer)


@dataclass(frozen=True, slots=True)
class _TakenBack:
    points: Decimal | None


_TOO_LATE = {
    Status.SENDING: "it is being sent this moment",
    Status.SENT: "its provider has sent it already",
    Status.DOUBTFUL: "it is not known whether its provider has it",
}


def message_json(message: Message) -> Json:
    return {
        "message_id": message.message_id,
        "request_id": message.request_id,
        "to": message.to,
        "status": message.status.value,
        "final": message.status.is_final,
        "reason": message.reason.as_json() if message.reason else None,
        "provider": message.provider,
        "provider_ref": message.provider_ref,
        "parts": message.parts,
        "points": number_json(message.points),
        "accepted_at": stamp(message.accepted_at),
        "send_at": stamp(message.send_at) if message.send_at else None,
        "updated_at": stamp(message.updated_at) if message.updated_at else None,
        "next_attempt_at": stamp(message.next_attempt_at) if message.next_attempt_at else None,
        "label": message.label,
        "context": dict(message.context),
        "attempts": [_attempt_json(attempt) for attempt in message.attempts],
        "timeline": [_moment_json(moment) for moment in message.timeline],
    }


def number_json(number: Decimal | None) -> int | float | None:
    if number is None:
        return None
    return int(number) if number == number.to_integral_value() else float(number)


def _attempt_json(attempt: Attempt) -> Json:
    return {
        "provider": attempt.provider,
        "at": stamp(attempt.at),
        "outcome": attempt.outcome,
        "reason": attempt.reason.as_json() if attempt.reason else None,
        "provider_ref": attempt.provider_ref,
    }


def _moment_json(moment: Moment) -> Json:
    shown: Json = {"at": stamp(moment.at), "kind": moment.kind.value}
    if moment.status:
        shown["status"] = moment.status.value
        shown["previous"] = moment.previous.value if moment.previous else None
        shown["revised"] = moment.revised
    if moment.reason:
        shown["reason"] = moment.reason.as_json()
    if moment.data:
        shown["data"] = dict(moment.data)
    return shown


def _position(message: Message) -> int:
    return split_message_id(message.message_id)[1]


def _id_reused(request_id: str) -> InvalidRequest:
    problem = Problem("id", "this id was used for a request of other content; give each request an id of its own")
    return InvalidRequest(request_id, (problem,))


def _cancel_answer(results: Iterable[_Canceled | _NotCanceled]) -> Answer:
    canceled = [each for each in results if isinstance(each, _Canceled)]
    others = [each for each in results if isinstance(each, _NotCanceled)]
    points = [each.points for each in canceled if each.points is not None]
    body: Json = {
        "canceled": [{"message_id": each.message.message_id, "points": number_json(each.points)} for each in canceled],
        "not_canceled": [
            {"message_id": each.message.message_id, "status": each.message.status.value, "reason": each.why}
            for each in others
        ],
        "points_returned": number_json(sum(points, Decimal(0))) if points else None,
    }
    if canceled:
        return Answer(200, body)
    why = others[0].why if len({each.why for each in others}) == 1 else "none of its messages can be canceled any more"
    return problem(409, "Too late to cancel", why, **body)


def _invalid(problems: Sequence[Problem]) -> Answer:
    return problem(
        422,
        "Invalid send request",
        "Nothing was sent. Mend every problem and post it again.",
        problems=[{"field": each.field, "problem": each.problem} for each in problems],
    )


def _no_message() -> Answer:
    return _not_found("message", "no message of this id is known")


def _not_found(what: str, detail: str) -> Answer:
    return problem(404, f"Unknown {what}", detail)


def _bad_request(name: str, detail: str) -> Answer:
    return problem(400, "Invalid parameter", detail, problems=[{"field": name, "problem": detail}])


def problem(status: int, title: str, detail: str, **more: Any) -> Answer:
    """RFC 9457."""
    return Answer(status, {"type": "about:blank", "title": title, "status": status, "detail": detail, **more})


def _close_cursor(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(key)).encode()).decode().rstrip("=")


def _open_cursor(cursor: str, to: str) -> dict[str, str]:
    """A cursor is a key of the index; one that was made up may point nowhere but into the same number's messages."""
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if set(key) != {"pk", "sk", "to", "accepted_at"} or key["to"] != to:
            raise ValueError
        split_message_id(message_id_of(key))
        if stamp(time_of(key["accepted_at"])) != key["accepted_at"]:
            raise ValueError
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ValueError("not a cursor") from None
    return {name: str(value) for name, value in key.items()}
