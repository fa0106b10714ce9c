"""What a change of a message tells its operators: a count by status and provider, a duration, a line in the log.

Read from the two images of an item in the stream, where every change passes once, whoever made it: a worker, a
callback, a question, a mail, an operator. Counted when the change is on the bus, so that a batch that is tried again
counts nothing twice.
"""

from __future__ import annotations

from datetime import timedelta

from smsgate import telemetry
from smsgate.items import Plain, time_of
from smsgate.messages import Kind
from smsgate.status import Status

_TAKEN_IN = "MessageAccepted"
_PARKED = "MessageParked"
_BECAME = {
    status.value: f"Message{status.value.capitalize()}"
    for status in Status
    if status not in (Status.ACCEPTED, Status.SENDING)  # Every message passes there, some more than once.
}


def tell(new: Plain, old: Plain) -> None:
    """Never raises: what was published must not come again for a metric's sake."""
    if not str(new.get("sk", "")).startswith("m#"):
        return
    try:
        for moment in new.get("timeline", ())[len(old.get("timeline", ())) :]:
            if moment["kind"] == Kind.STATUS:
                _changed(new, moment)
            elif moment["kind"] == Kind.WAIT:
                _waits(moment)
    except Exception as error:
        telemetry.logger().error(
            "change not counted",
            extra={
                "message_id": new.get("message_id"),
                "request_id": new.get("request_id"),
                "error": type(error).__name__,
            },
        )


def _changed(new: Plain, moment: Plain) -> None:
    status, provider = moment["status"], new.get("provider", "")
    telemetry.logger().info(
        "message changed",
        extra={
            "message_id": new["message_id"],
            "request_id": new["request_id"],
            "status": status,
            "previous": moment.get("previous"),
            "provider": provider or None,
            "code": moment.get("reason", {}).get("code"),
        },
    )
    if status == Status.ACCEPTED and "previous" not in moment:
        telemetry.count(_TAKEN_IN)
    elif status in _BECAME:
        telemetry.count(_BECAME[status], provider=provider)
    if status == Status.DELIVERED and new.get("attempts"):
        submitted = max(time_of(new["attempts"][-1]["at"]), time_of(new.get("send_at") or new["accepted_at"]))
        telemetry.took("TimeToDelivery", max(time_of(moment["at"]) - submitted, timedelta(0)), provider=provider)


def _waits(moment: Plain) -> None:
    """A message that is to be sent again at once does not wait for anybody."""
    if time_of(moment["data"]["until"]) > time_of(moment["at"]):
        telemetry.count(_PARKED, provider=moment["data"].get("provider", ""))
