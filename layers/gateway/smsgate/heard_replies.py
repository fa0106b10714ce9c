"""Which days a provider that must be asked for replies is asked for: today, and those nobody may have heard yet.

Such a provider tells the replies of one day of its calendar at a time. Yesterday's are asked for until half past
midnight, and a day on which nobody could ask, for an outage or a refused password, is asked for when somebody can.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from smsgate.clock import TAIPEI
from smsgate.items import stamp, time_of
from smsgate.ledger import Ledger

_ASPECT = "replies"

_LATE = timedelta(minutes=30)
"""What a phone said takes no longer to lie there."""

_MARKED_EVERY = timedelta(minutes=10)
"""A write with every poll would tell no more: `_LATE` spans several."""

_LOOKS_BACK = timedelta(days=6)
"""No document says how long replies are kept; nor should one that cannot be read be asked for for ever."""


class HeardReplies:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def days(self, provider: str, now: datetime) -> list[date]:
        """Today first: it must not wait for days that somebody has trouble with."""
        heard = self._until(provider)[0]
        since = now - _LATE
        if heard is not None and heard + _MARKED_EVERY < now:
            since = heard + _MARKED_EVERY - _LATE
        first, today = (moment.astimezone(TAIPEI).date() for moment in (max(since, now - _LOOKS_BACK), now))
        return [today - timedelta(days=back) for back in range((today - first).days + 1)]

    def all_until(self, provider: str, moment: datetime) -> None:
        """Every reply that lay there at this moment is stored. Where two runs say so at once, one of them is enough."""
        heard, version = self._until(provider)
        if heard is None or moment - heard >= _MARKED_EVERY:
            self._ledger.set_provider_state(provider, _ASPECT, {"until": stamp(moment)}, version)

    def _until(self, provider: str) -> tuple[datetime | None, int]:
        plain = self._ledger.provider_state(provider, _ASPECT)
        return (time_of(plain["until"]), int(plain["version"])) if plain else (None, 0)
