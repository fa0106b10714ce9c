"""One embedded AWS and one sample stack for all tests of the local runner: starting them is most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from local.aws import EmbeddedAws
from local.event_loop import EventLoop
from tests.local.sample_stack import SAMPLE, Sample


@pytest.fixture(scope="session")
def gateway() -> Iterator[Sample]:
    with Sample(template=SAMPLE, visibility_timeout=1, parameters={"Greeting": "hi"}) as running:
        yield running


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    embedded = EmbeddedAws(tmp_path_factory.mktemp("aws") / "scratch")
    embedded.wait_until_ready()
    yield embedded
    embedded.stop()


@pytest.fixture
def key() -> str:
    return uuid4().hex


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.stop()
