"""smstransports: the wires to the providers.

Each transport knows one library and decides once, for every provider, whether a call that broke was certainly not sent
or may have been.

  http.py     HTTP over httpx, under one total deadline
  sockets.py  the httpx transport below it, which keeps that deadline

Which of them a request goes over is said by its type, and a transport is loaded with the first request for it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from smsgate.wire import Exchange, HttpRequest

if TYPE_CHECKING:
    from smstransports.http import HttpTransport


def open_exchange(deadline: timedelta) -> Exchange:
    """Calls over whichever wire a request names, each under this deadline in all."""
    return _Wires(deadline)


class _Wires:
    def __init__(self, deadline: timedelta) -> None:
        self._deadline = deadline

    def __call__(self, request: Any, /) -> Any:
        if isinstance(request, HttpRequest):
            return self._http.exchange(request)
        raise TypeError(f"no wire carries a {type(request).__name__}")

    @cached_property
    def _http(self) -> HttpTransport:
        from smstransports.http import HttpTransport

        return HttpTransport(self._deadline.total_seconds())
