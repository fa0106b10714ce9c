"""Sessions with vendors that want one: a single login for all workers, and never a second try of a refused password.

Some vendors lock the account after a few bad logins, so who logs in is decided in the ledger: one worker takes the
turn, the others wait a moment for its result. A refusal closes the door until the secret has another version. A turn
whose end nobody recorded may have been a refusal, so two of those close it as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from smsgate import telemetry
from smsgate.items import stamp, time_of
from smsgate.ledger import Ledger
from smsgate.providers.base import CannotSay
from smsgate.reasons import SUSPENDING, Code, Reason

ASPECT = "session"

_UNANSWERED = 2
"""Logins begun and never recorded, after which the secret's version counts as refused."""

_WAITS = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Seconds to look again while another worker logs in: three in all, within the reserve of an invocation."""


class Sessions:
    def __init__(
        self,
        ledger: Ledger,
        turn: timedelta,
        clock: Callable[[], datetime],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`turn`: how long a login can take at most."""
        self._ledger = ledger
        self._turn = turn
        self._clock = clock
        self._pause = pause

    def get(self, provider: str, secret_version: str, login: Callable[[], str], ends: datetime) -> str:
        """The session all workers share, from a login of this worker where it is its turn. Raises CannotSay."""
        for wait in (*_WAITS, None):
            state = self._read(provider) or {}
            now = self._clock()
            if state.get("secret_version") != secret_version:
                state = {"version": state.get("version", 0)}  # Nothing of an older secret counts.
            if "session" in state and now < time_of(state["ends"]):
                return str(state["session"])
            if "refused" in state:
                raise CannotSay(Reason(Code(state["refused"]), provider_text="refused before; store a new secret"))
            busy = "turn_until" in state and now < time_of(state["turn_until"])
            if not busy and int(state.get("unanswered", 0)) >= _UNANSWERED:
                raise CannotSay(
                    Reason(Code.BAD_CREDENTIALS, provider_text="two logins were never answered; store the secret again")
                )
            if not busy:
                begun = self._begin(provider, secret_version, state, now)
                if begun is not None:
                    return self._login(provider, secret_version, begun, login, ends)
            if wait is not None:
                self._pause(wait)
        raise CannotSay(Reason(Code.RATE_LIMITED, provider_text="another worker is logging in"))

    def lost(self, provider: str, session: str) -> None:
        """The vendor does not know the session any more; unless somebody has a newer one already, forget it."""
        state = self._read(provider)
        if state is None or state.get("session") != session:
            return
        self._write(provider, {"secret_version": state["secret_version"]}, int(state["version"]))

    def _begin(self, provider: str, secret_version: str, state: Mapping[str, Any], now: datetime) -> int | None:
        """Take the turn; gives the version to write the end under, or None where another worker was faster."""
        seen = int(state.get("version", 0))
        begun = {
            "secret_version": secret_version,
            "turn_until": stamp(now + self._turn),
            "unanswered": int(state.get("unanswered", 0)) + 1,
        }
        return seen + 1 if self._write(provider, begun, seen) else None

    def _login(self, provider: str, secret_version: str, begun: int, login: Callable[[], str], ends: datetime) -> str:
        try:
            session = login()
        except CannotSay as silence:
            ended: dict[str, Any] = {"secret_version": secret_version}
            if silence.reason.code in SUSPENDING:
                ended["refused"] = silence.reason.code.value
            self._record(provider, ended, begun)
            raise
        self._record(provider, {"secret_version": secret_version, "session": session, "ends": stamp(ends)}, begun)
        return session

    def _record(self, provider: str, ended: Mapping[str, Any], begun: int) -> None:
        """How a login ended. Where that cannot be written it counts as one that was never answered."""
        try:
            self._write(provider, ended, begun)
        except CannotSay as silence:
            telemetry.logger().error(
                "login not recorded", extra={"provider": provider, "error": silence.reason.provider_text}
            )

    def _read(self, provider: str) -> Mapping[str, Any] | None:
        with _or_cannot_say():
            return self._ledger.provider_state(provider, ASPECT)

    def _write(self, provider: str, state: Mapping[str, Any], seen: int) -> bool:
        with _or_cannot_say():
            return self._ledger.set_provider_state(provider, ASPECT, state, seen)


@contextmanager
def _or_cannot_say() -> Iterator[None]:
    """Without the ledger there is no session, and without a session nothing was sent: that is certain, and no doubt."""
    try:
        yield
    except Exception as error:
        reason = Reason(Code.RATE_LIMITED, provider_text=f"the session cannot be looked up: {type(error).__name__}")
        raise CannotSay(reason) from None
