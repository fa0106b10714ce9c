"""The statuses of the contract: which are final, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    UNCONFIRMED = "unconfirmed"
    DOUBTFUL = "doubtful"

    @property
    def is_final(self) -> bool:
        return self in _FINAL

    @property
    def is_open_to_evidence(self) -> bool:
        """Final only for want of knowledge: whatever we learn is better."""
        return self in (Status.UNCONFIRMED, Status.DOUBTFUL)


_FINAL = frozenset(Status) - {Status.ACCEPTED, Status.SCHEDULED, Status.SENDING, Status.SENT}

# How far a message has come. A report never moves it back.
_RANK = {Status.ACCEPTED: 0, Status.SENDING: 10, Status.SCHEDULED: 20, Status.SENT: 30}

# What two reports of one message may contradict each other in.
_CONTESTED = frozenset({Status.DELIVERED, Status.UNDELIVERED})


def report_moves(current: Status, reported: Status, *, is_later: bool) -> bool:
    """May a provider's report take a message from `current` to `reported`?

    `is_later`: the provider's own time of this report is after that of the report that made the status final.
    Reports come late, twice and out of order: never backwards, and final stays final but for better evidence.
    """
    if current is reported:
        return False
    if current.is_open_to_evidence:
        return True
    if current.is_final:
        return is_later and {current, reported} == _CONTESTED
    return reported.is_final or _RANK[reported] > _RANK[current]
