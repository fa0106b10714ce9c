"""The way to a provider's account: the wires, and the session where the vendor wants one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from smsgate.sessions import Sessions
from smsgate.wire import Exchange, Line


class Lines:
    def __init__(self, exchange: Callable[[], Exchange], sessions: Sessions) -> None:
        """`exchange` is opened with the first call, once: a cold start without one loads no transport, and all calls
        after it find the connections and whatever else was prepared."""
        self._open_exchange = exchange
        self._opened: Exchange | None = None
        self._lock = threading.Lock()
        self._sessions = sessions

    def open(self, provider: str, secret_version: str) -> Line:
        return _Line(self._exchange, self._sessions, provider, secret_version)

    def _exchange(self) -> Exchange:
        with self._lock:  # Many workers make their first call at once.
            if self._opened is None:
                self._opened = self._open_exchange()
            return self._opened


class _Line:
    def __init__(
        self, exchange: Callable[[], Exchange], sessions: Sessions, provider: str, secret_version: str
    ) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._provider = provider
        self._secret_version = secret_version

    def __call__(self, request: Any, /) -> Any:
        return self._exchange()(request)

    def session(self, login: Callable[[], str], ends: datetime) -> str:
        return self._sessions.get(self._provider, self._secret_version, login, ends)

    def session_lost(self, session: str) -> None:
        self._sessions.lost(self._provider, session)
