"""Records of the two lanes: decode and check them, bring their messages to a provider, say which must come again.

The queue is only a wake-up: what a record asks for is decided by what the ledger knows, so a record may come twice,
late, or to two workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from smsgate import telemetry
from smsgate.continuations import Continuations, first_id, first_sent, is_continued
from smsgate.dispatcher import Dispatcher
from smsgate.ledger import Ledger
from smsgate.messages import Lane, Message
from smsgate.reasons import Code
from smsgate.requests import InvalidRequest, Problem, Request, check, decode
from smsgate.wakeups import is_wake_up, message_ids

Record = Mapping[str, Any]

_READ_AHEAD = 25
"""From this many messages on, a redelivered request is read in one query instead of by lost writes."""

_MOST = 20_000
"""Messages that are looked at in one go: a hundred records may hold hundreds of thousands, more than there is memory
for, and than there is time for in any case."""


@dataclass(frozen=True, slots=True)
class _Work:
    record: Record
    messages: tuple[Message, ...]


class Sender:
    def __init__(
        self,
        *,
        ledger: Ledger,
        dispatcher: Dispatcher,
        continuations: Continuations,
        known_providers: Sequence[str],
        bulk_queue: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._continuations = continuations
        self._known_providers = known_providers
        self._bulk_queue = bulk_queue
        self._clock = clock
        self._log = telemetry.logger()

    def handle(self, records: Sequence[Record], time_left: Callable[[], timedelta]) -> list[str]:
        """The ids of the records that must come again."""
        failed: list[str] = []
        work: list[_Work] = []
        late: list[Record] = []
        looked_at = 0
        for record in records:
            if looked_at >= _MOST:
                late.append(record)
                continue
            try:
                messages_of = self._messages_of(record)
                _keep_out_of_logs(messages_of)
                work.append(_Work(record, messages_of))
                looked_at += len(messages_of)
            except Exception as error:
                # The ledger cannot be reached: nothing is known of this record, so it comes again. The others go on.
                self._log.error(
                    "record not taken", extra={"record_id": record["messageId"], "error": type(error).__name__}
                )
                telemetry.count("RecordNotTaken")
                failed.append(record["messageId"])
        # The same message may stand in two records of one batch.
        messages = list({(m.message_id, m.digest): m for each in work for m in each.messages}.values())
        result = self._dispatcher.send(messages, time_left)
        reused = {(message.message_id, message.digest) for message in result.reused}
        for each in work:
            unfinished = any(message.message_id in result.unfinished for message in each.messages)
            taken = [message for message in each.messages if (message.message_id, message.digest) in reused]
            if unfinished or (taken and not self._reject_reused(taken[0])):
                failed.append(each.record["messageId"])
            elif any(message.message_id in result.late for message in each.messages):
                late.append(each.record)
        stuck = [record for record in late if not self._continuations.queue(record, self._lane_of(record))]
        return failed + [record["messageId"] for record in stuck]

    def _messages_of(self, record: Record) -> tuple[Message, ...]:
        if is_wake_up(record):
            return self._woken(record["body"])
        request = self._request_of(record)
        if isinstance(request, InvalidRequest):
            self._reject(request, Code.INVALID_REQUEST)
            return ()
        messages = request.messages()
        received = int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))
        if (received > 1 or is_continued(record)) and len(messages) >= _READ_AHEAD:
            known = {(m.message_id, m.digest): m for m in self._ledger.of_request(request.request_id)}
            messages = tuple(known.get((m.message_id, m.digest), m) for m in messages)
        return messages

    def _request_of(self, record: Record) -> Request | InvalidRequest:
        try:
            return check(
                decode(record["body"]),
                fallback_id=first_id(record),
                accepted_at=first_sent(record) or self._clock(),
                lane=self._lane_of(record),
                known_providers=self._known_providers,
            )
        except InvalidRequest as invalid:
            return invalid.late if invalid.late and self._is_known(invalid.late) else invalid

    def _lane_of(self, record: Record) -> Lane:
        return Lane.BULK if record.get("eventSourceARN", "").rpartition(":")[2] == self._bulk_queue else Lane.URGENT

    def _is_known(self, request: Request) -> bool:
        """A request that comes again after its own `send_at` came in time when it came first."""
        first = request.messages()[0]
        known = self._ledger.get(first.message_id)
        return known is not None and known.digest == first.digest

    def _woken(self, body: str) -> tuple[Message, ...]:
        try:
            ids = message_ids(body)
        except (ValueError, RecursionError) as error:
            self._log.error("wake-up not understood", extra={"error": type(error).__name__})
            telemetry.count("WakeUpUnreadable")
            return ()
        found = [self._ledger.get(message_id) for message_id in ids]
        messages = tuple(message for message in found if message is not None)
        if len(messages) < len(found):
            self._log.warning("wake-up of no message", extra={"unknown": len(found) - len(messages), "of": len(found)})
            telemetry.count("WakeUpUnmatched", value=len(found) - len(messages))
        return messages

    def _reject_reused(self, message: Message) -> bool:
        problem = Problem("id", "this id was used for a request of other content; give each request an id of its own")
        try:
            self._reject(InvalidRequest(message.request_id, (problem,)), Code.ID_REUSED)
        except Exception as error:
            self._log.error(
                "rejection not stored",
                extra={
                    "message_id": message.message_id,
                    "request_id": message.request_id,
                    "error": type(error).__name__,
                },
            )
            return False
        return True

    def _reject(self, invalid: InvalidRequest, code: Code) -> None:
        self._ledger.reject_request(invalid, code, self._clock())
        telemetry.count("RequestRejected")
        self._log.warning(
            "request rejected",
            extra={"request_id": invalid.request_id, "code": code.value, "fields": [p.field for p in invalid.problems]},
        )


def _keep_out_of_logs(messages: Sequence[Message]) -> None:
    for text in {message.text for message in messages if message.text}:
        telemetry.withhold(text)
