"""smstransports: the wires to the providers.

Each transport knows one library and decides once, for every provider, whether a call that broke was certainly not sent
or may have been.

  http.py     HTTP over httpx, under one total deadline
  sockets.py  the httpx transport below it, which keeps that deadline
  soap.py     SOAP: zeep renders and reads, HTTP carries
  mail.py     mail: SMTP, or Amazon SES

Which of them a request goes over is said by its type, and a transport is loaded with the first request for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any, Protocol, cast

from smsgate.wire import Exchange, HttpRequest, MailRequest, SoapRequest

_TRANSPORTS: dict[type, tuple[str, str]] = {
    HttpRequest: ("smstransports.http", "HttpTransport"),
    SoapRequest: ("smstransports.soap", "SoapTransport"),
    MailRequest: ("smstransports.mail", "MailTransport"),
}


class _Transport(Protocol):
    """What each transport is: made with the seconds one call may take in all, and shared by any number of threads."""

    def exchange(self, request: Any) -> Any: ...


def open_exchange(deadline: timedelta, ses: Callable[[], Any] | None = None) -> Exchange:
    """Calls over whichever wire a request names, each under this deadline in all.

    `ses` gives the client for mails without a server of their own: AWS clients are made elsewhere, and only if needed.
    """
    return _Wires(deadline.total_seconds(), {MailRequest: {"ses": ses}})


class _Wires:
    def __init__(self, deadline_seconds: float, options: Mapping[type, Mapping[str, Any]]) -> None:
        self._deadline_seconds = deadline_seconds
        self._options = options
        self._opened: dict[type, _Transport] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Any, /) -> Any:
        kind = type(request)
        transport = self._opened.get(kind) or self._open(kind)
        return transport.exchange(request)

    def _open(self, kind: type) -> _Transport:
        if kind not in _TRANSPORTS:
            raise TypeError(f"no wire carries a {kind.__name__}")
        with self._lock:  # Many threads make their first call at once; one transport is opened for all of them.
            if kind not in self._opened:
                module, name = _TRANSPORTS[kind]
                transport = getattr(import_module(module), name)
                opened = transport(self._deadline_seconds, **self._options.get(kind, {}))
                self._opened[kind] = cast("_Transport", opened)
            return self._opened[kind]
