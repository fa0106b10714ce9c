"""What the tests of all providers share: a second server, and contracts that explain themselves like any test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.providers.contract", "tests.providers.server_contract")


@pytest.fixture(scope="module")
def calendar(server: Any) -> Iterator[Any]:
    """A server for what is due later: half a minute on, it would disturb whichever test is at the module's own."""
    with type(server)() as simulator:
        yield simulator
