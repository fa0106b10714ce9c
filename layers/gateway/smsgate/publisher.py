"""Changes of the table become events on the bus: what changed is read from the stream's two images of an item.

An event's id is made from the message and the place of the change in its timeline, so a batch that is tried again sends
the same ids again, and a consumer that keys on `event_id` sees each change exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from smsgate import signals, telemetry
from smsgate.attributes import from_wire
from smsgate.items import Plain
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.suspension import ASPECT as SUSPENSION
from smsgate.suspension import trouble

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

SOURCE = "smsgate"
VERSION = "1"

_PER_CALL = 10  # what PutEvents takes at once
_PER_CALL_BYTES = 240_000  # of the 256 KB it takes, so that what it adds to each event fits as well
_TRIES = 3

_ALERTS = frozenset({"Credit Low", "Credit Recovered", "Provider Suspended", "Provider Resumed"})


@dataclass(frozen=True, slots=True)
class Event:
    detail_type: str
    detail: Plain = field(repr=False)
    repeated: bool = False  # it was told so lately that nobody need be alerted

    @property
    def alerts(self) -> bool:
        return self.detail_type in _ALERTS and not self.repeated

    def body(self) -> str:
        return json.dumps(self.detail, ensure_ascii=False, default=_number)


@dataclass(frozen=True, slots=True)
class _Pending:
    """An event on its way, and the place in the stream to go back to should it not get onto the bus."""

    sequence_number: str
    event: Event
    body: str = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.body.encode())


@dataclass(frozen=True, slots=True)
class _Change:
    """What a record of the stream comes to."""

    sequence_number: str
    new: Plain = field(repr=False)
    old: Plain = field(repr=False)
    pending: tuple[_Pending, ...]


class Publisher:
    def __init__(self, bus: str, topic: str, events: EventBridgeClient, sns: Callable[[], SNSClient]) -> None:
        self._bus = bus
        self._topic = topic
        self._events = events
        self._sns = sns
        self._log = telemetry.logger()

    def handle(self, records: Sequence[Mapping[str, Any]]) -> str | None:
        """Publish a batch in order; gives the sequence number of the first record that could not be, if any."""
        changes = [change for record in records if (change := self._read(record)) is not None]
        stopped = self._publish([each for change in changes for each in change.pending])
        for change in changes:
            if change.sequence_number == stopped:
                break  # It comes again with the next try, whatever of it is on the bus already.
            signals.tell(change.new, change.old)
        return stopped

    def _publish(self, pending: Sequence[_Pending]) -> str | None:
        while pending:
            count = _fitting(pending)
            failed = self._put(pending[:count])
            if failed is not None:
                return failed.sequence_number
            telemetry.count("EventsPublished", count)
            for each in pending[:count]:
                if each.event.alerts and not self._alert(each):
                    return each.sequence_number
            pending = pending[count:]
        return None

    def _read(self, record: Mapping[str, Any]) -> _Change | None:
        """What a record comes to. One that cannot be understood will not be on the next try either: it is counted,
        alarmed and passed over, for it would hold back every change behind it until the stream forgets them all."""
        try:
            images = record["dynamodb"]
            if "NewImage" not in images:
                return None  # Deleted at the end of its retention: nothing changed for anybody.
            events_of = _events_of(images["NewImage"]["sk"]["S"])
            if events_of is None:
                return None  # Half of all that changes: callbacks, references, counts.
            number = str(images["SequenceNumber"])
            new, old = from_wire(images["NewImage"]), from_wire(images.get("OldImage", {}))
            pending = tuple(_Pending(number, event, event.body()) for event in events_of(new, old))
            if any(each.size > _PER_CALL_BYTES for each in pending):
                raise ValueError("an event is larger than the bus takes")
        except Exception as error:
            self._log.exception(
                "stream record passed over",
                extra={"event_id": record.get("eventID"), "error": type(error).__name__},
            )
            telemetry.count("StreamRecordPassedOver")
            return None
        return _Change(number, new, old, pending)

    def _put(self, pending: Sequence[_Pending]) -> _Pending | None:
        """The first event that did not get onto the bus. PutEvents may take some and refuse others."""
        missing = list(pending)
        for _ in range(_TRIES):
            try:
                answer = self._events.put_events(
                    Entries=[
                        {
                            "Source": SOURCE,
                            "DetailType": each.event.detail_type,
                            "Detail": each.body,
                            "EventBusName": self._bus,
                        }
                        for each in missing
                    ]
                )
            except Exception as error:
                self._log.error("events not published", extra={"error": type(error).__name__})
                break
            missing = [each for each, entry in zip(missing, answer["Entries"], strict=True) if not entry.get("EventId")]
            if not missing:
                return None
        telemetry.count("EventsNotPublished", value=len(missing))
        return missing[0]

    def _alert(self, pending: _Pending) -> bool:
        try:
            self._sns().publish(TopicArn=self._topic, Subject=_subject(pending.event), Message=pending.body)
        except Exception as error:
            self._log.error("alert not published", extra={"error": type(error).__name__})
            telemetry.count("AlertNotPublished")
            return False
        return True


def _events_of(kind: str) -> Callable[[Plain, Plain], Iterator[Event]] | None:
    """What tells the events of a change, by the kind of its item; None where nobody is told of such."""
    if kind.startswith("m#"):
        return _message_events
    if kind.startswith("rejected#"):
        return _rejected_request
    return _BY_KIND.get(kind)


def _message_events(new: Plain, old: Plain) -> Iterator[Event]:
    seen = len(old.get("timeline", ()))
    for place, moment in enumerate(new.get("timeline", ())):
        if place < seen or moment["kind"] != "status":
            continue
        yield Event(
            "Message Status Changed",
            {
                "version": VERSION,
                "event_id": f"{new['message_id']}.{place}",
                "message_id": new["message_id"],
                "request_id": new["request_id"],
                "to": new["to"],
                "status": moment["status"],
                "previous": moment.get("previous"),
                "final": Status(moment["status"]).is_final,
                "revised": moment.get("revised", False),
                "reason": _reason(moment.get("reason")),
                "provider": new.get("provider"),
                "provider_ref": new.get("provider_ref"),
                "parts": new.get("parts"),
                "points": new.get("points"),
                "at": moment["at"],
                "label": new.get("label"),
                "context": new.get("context", {}),
            },
        )


def _rejected_request(new: Plain, old: Plain) -> Iterator[Event]:
    if old:
        return
    yield Event(
        "Message Status Changed",
        {
            "version": VERSION,
            "event_id": f"{new['pk']}.{new['sk']}",
            "message_id": None,
            "request_id": new["request_id"],
            "to": None,
            "status": Status.REJECTED.value,
            "previous": None,
            "final": True,
            "revised": False,
            "reason": _reason({"code": new["code"]}),
            "provider": None,
            "provider_ref": None,
            "parts": None,
            "points": None,
            "at": new["at"],
            "label": None,
            "context": {},
            "problems": new["problems"],
        },
    )


def _reply(new: Plain, old: Plain) -> Iterator[Event]:
    if old:
        return
    yield Event(
        "Reply Received",
        {
            "version": VERSION,
            "event_id": new["reply_id"],
            "reply_id": new["reply_id"],
            "from": new["from"],
            "text": new["text"],
            "at": new["at"],
            "provider": new["provider"],
            "message_id": new.get("message_id"),
            "request_id": new.get("request_id"),
            "match": new["match"],
        },
    )


def _credit_events(new: Plain, old: Plain) -> Iterator[Event]:
    provider = _provider_of(new)
    detail = {
        "version": VERSION,
        "provider": provider,
        "credit": new["credit"],
        "threshold": new.get("threshold"),
        "hours_left": new.get("hours_left"),
        "at": new["at"],
    }

    def named(detail_type: str) -> Event:
        return Event(detail_type, {**detail, "event_id": f"{provider}.{detail_type}.{new['version']}"})

    if new["times"] == old.get("times"):
        return  # What workers hold of it changed, not what was measured.
    yield named("Credit Measured")
    was_low, is_low = bool(old.get("low", False)), bool(new["low"])
    if is_low and not was_low:
        yield named("Credit Low")
    if was_low and not is_low and "threshold" in new:  # Without one it is not low, but it did not recover.
        yield named("Credit Recovered")


def _suspension_events(new: Plain, old: Plain) -> Iterator[Event]:
    """One for each change: suspended, for another reason than before, resumed. Not for every notice and trial."""
    was, now = bool(old.get("active", False)), bool(new["active"])
    if was == now and not (now and _trouble(new) != _trouble(old)):
        return
    provider = _provider_of(new)
    yield Event(
        "Provider Suspended" if now else "Provider Resumed",
        {
            "version": VERSION,
            "event_id": f"{provider}.suspension.{new['version']}",
            "provider": provider,
            "reason": _reason(new["reason"]),
            "at": new["at"],
        },
        repeated=not _is_news(int(new.get("relapses", 0))),
    )


_BY_KIND = {"reply": _reply, "credit": _credit_events, SUSPENSION: _suspension_events}


def _is_news(relapses: int) -> bool:
    """A trouble that comes and goes all night alerts the first time, the second, the fourth, the eighth, and so on."""
    times = relapses + 1
    return times & (times - 1) == 0


def _trouble(suspension: Plain) -> str:
    return trouble(Code(suspension["reason"]["code"]))


def _provider_of(new: Plain) -> str:
    return str(new["pk"]).removeprefix("provider#")


def _reason(plain: Plain | None) -> Plain | None:
    if plain is None:
        return None
    return Reason(Code(plain["code"]), plain.get("provider_code"), plain.get("provider_text")).as_json()


def _subject(event: Event) -> str:
    return f"smsgate: {event.detail_type}: {event.detail['provider']}"


def _fitting(pending: Sequence[_Pending]) -> int:
    """How many of the next events go into one call."""
    size = 0
    for count, each in enumerate(pending[:_PER_CALL]):
        size += each.size
        if size > _PER_CALL_BYTES and count:
            return count
    return min(len(pending), _PER_CALL)


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")
