"""What goes to a provider and what comes back, as plain values whose repr shows neither secret nor text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`fields` travel percent-encoded as UTF-8: in the query of a GET, as the form of a POST."""

    method: Literal["GET", "POST"]
    url: str
    fields: Pairs = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes = field(repr=False)
    content_type: str = ""

    def text(self, encoding: str = "utf-8") -> str:
        """The body as text; raises ValueError where it is none. A byte order mark is not part of it."""
        return self.body.decode("utf-8-sig" if encoding == "utf-8" else encoding)


@dataclass(frozen=True, slots=True)
class Callback:
    """An HTTP call to us, byte for byte as it came. `path` is what stands behind the token."""

    method: str
    path: str
    query: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The exact bytes a provider waits for."""

    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


HttpExchange = Callable[[HttpRequest], HttpResponse]
"""One call over the wire under one total deadline. Raises `outcomes.CallBroken` and nothing else."""
