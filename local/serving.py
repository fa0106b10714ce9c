"""The embedded AWS's HTTP server: uvicorn, and a short way past it for what is answered at once.

Why not ministack's own hypercorn: it takes a millisecond for a call that is a tenth of that here.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from local.front import Front, target_of

_KEEP_ALIVE_SECONDS = 75


class _Protocol(HttpToolsProtocol):
    """Calls that the front answers at once need no task, no application and no events: half the time of a call."""

    _target = ""
    _content: list[bytes]

    def on_headers_complete(self) -> None:
        target = target_of(self.headers)
        idle = getattr(self.cycle, "response_complete", True)  # before the first request there is none
        if target and idle and not self.expect_100_continue and self._front.answers(target):
            self._target = target
            self._content = []
        else:
            self._target = ""
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._target:
            self._content.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._target:
            super().on_message_complete()
            return
        status, headers, body = self._front.answer(self._target, b"".join(self._content))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        if not self.parser.should_keep_alive():
            self.transport.close()

    @property
    def _front(self) -> Front:
        front: Any = self.config.app
        return front  # type: ignore[no-any-return]


def serve(front: Front, host: str, port: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # some systems name no number
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(
        front,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
