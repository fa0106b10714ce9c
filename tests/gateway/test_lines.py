"""The way to a provider is opened with the first call, and is the same for all that follow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, cast

from smsgate.lines import Lines
from smsgate.wire import Exchange, HttpRequest

ANY_CALL = cast(HttpRequest, None)


class Opener:
    """Says what was opened, as its answer to every call."""

    def __init__(self) -> None:
        self.opened = 0

    def __call__(self) -> Exchange:
        self.opened += 1
        number = self.opened
        return cast(Exchange, lambda request: number)


def test_nothing_is_opened_before_the_first_call() -> None:
    opener = Opener()

    Lines(opener, cast(Any, None)).open("plainline", "v1")

    assert opener.opened == 0


def test_calls_of_every_account_and_version_go_over_one_exchange() -> None:
    """A new one for each call would have no connection to use again, and would render SOAP anew every time."""
    opener = Opener()
    lines = Lines(opener, cast(Any, None))

    answers: list[Any] = [
        lines.open(provider, version)(ANY_CALL) for provider in ("plainline", "other") for version in ("v1", "v2")
    ]

    assert answers == [1, 1, 1, 1]


def test_first_calls_at_the_same_moment_open_one_as_well() -> None:
    opener, together = Opener(), Barrier(16)
    line = Lines(opener, cast(Any, None)).open("plainline", "v1")

    def call(_: int) -> Any:
        together.wait()
        return line(ANY_CALL)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(call, range(16)))

    assert answers == [1] * 16
