"""What publishers post over HTTP and ask about it afterwards: a request, a message, what went to a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

from smsgate import lifecycle, telemetry
from smsgate.answers import Answer, Json, bad_fields, bad_request, message_json, no_message, not_found
from smsgate.cursors import closed, opened
from smsgate.ledger import Ledger, Saved, message_id_of
from smsgate.messages import Lane, Message
from smsgate.numbers import e164
from smsgate.reasons import Code, Reason
from smsgate.requests import InvalidRequest, Problem, Request, check, decode, split_message_id
from smsgate.wakeups import WakeUps

WORKERS = 16
PAGE = 50

_WAKE_AGAIN = timedelta(minutes=2)
"""Should the wake-up of a posted message be lost, the schedule finds it after this."""

_LANES = {None: Lane.URGENT, "": Lane.URGENT, "urgent": Lane.URGENT, "bulk": Lane.BULK}


class Api:
    def __init__(
        self,
        *,
        ledger: Ledger,
        wake_ups: WakeUps,
        known_providers: Sequence[str],
        new_id: Callable[[], str],
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._wake_ups = wake_ups
        self._known_providers = known_providers
        self._new_id = new_id
        self._clock = clock
        self._pool = pool

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
        self._wake_ups.send(_enqueued(message, now) for message in messages)
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

    def _store(self, message: Message, now: datetime) -> bool:
        """False where the id belongs to another request; the same request again changes nothing."""
        result = self._ledger.save(_enqueued(message, now))
        return isinstance(result, Saved) or result.message.digest == message.digest

    # Reading

    def request(self, request_id: str) -> Answer:
        messages = sorted(self._ledger.of_request(request_id), key=_place)
        rejections = self._ledger.rejections(request_id)
        if not messages and not rejections:
            return not_found("request", "no request of this id is known; ids are URL-encoded in the path")
        body: Json = {"id": request_id, "messages": [message_json(message) for message in messages]}
        if rejections:
            body["rejected"] = [
                {"at": each["at"], "reason": Reason(Code(each["code"])).as_json(), "problems": each["problems"]}
                for each in rejections
            ]
        return Answer(200, body)

    def message(self, message_id: str) -> Answer:
        message = self._ledger.get(message_id)
        return Answer(200, message_json(message)) if message else no_message()

    def messages_to(self, number: str | None, cursor: str | None) -> Answer:
        if not number:
            return bad_request("to", "give the number whose messages you want: ?to=%2B886912345678")
        try:
            # A plus that was not encoded arrives as a space.
            to = e164("+" + number[1:] if number.startswith(" ") else number)
        except ValueError as error:
            return bad_request("to", str(error))
        try:
            after = _open_cursor(cursor, to) if cursor else None
        except ValueError:
            return bad_request("cursor", "use the cursor of the page before, unchanged, with the same number")
        page = self._ledger.to_recipient(to, PAGE, after)
        found = (self._ledger.get(message_id_of(key)) for key in page.items)
        body: Json = {"messages": [message_json(message) for message in found if message]}
        body["cursor"] = closed(page.cursor)
        return Answer(200, body)


def _enqueued(message: Message, now: datetime) -> Message:
    """As it is stored before its wake-up is queued: should that be lost, the schedule finds it."""
    return lifecycle.enqueue(message, now, now + _WAKE_AGAIN)


def _place(message: Message) -> int:
    return split_message_id(message.message_id)[1]


def _id_reused(request_id: str) -> InvalidRequest:
    problem = Problem("id", "this id was used for a request of other content; give each request an id of its own")
    return InvalidRequest(request_id, (problem,))


def _invalid(problems: Sequence[Problem]) -> Answer:
    return bad_fields("Invalid send request", "Nothing was sent. Mend every problem and post it again.", problems)


def _open_cursor(cursor: str, to: str) -> dict[str, str]:
    key = opened(cursor, "to", to, "accepted_at")
    split_message_id(message_id_of(key))
    return key
