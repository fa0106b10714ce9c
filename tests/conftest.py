"""What holds for every test: no test reaches a real AWS account, and how many examples a property is tried with."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION="ap-northeast-1",
    AWS_REGION="ap-northeast-1",
    AWS_EC2_METADATA_DISABLED="true",
)
for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ.pop(variable, None)

settings.register_profile(
    "default", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


class _Canaries(logging.Handler):
    """Hears every log line of every test, at every level, and remembers those that show a credential of a provider."""

    # What the pretended providers and the contract's accounts have for passwords, none of which occurs elsewhere.
    SECRET = re.compile(r"\b(?:twsms|smsgo|smsget|every8d|meteorsis|smtp|canary)-password\b")

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "mail.log":
            return  # The other side: a pretended vendor's mail server, telling what it was given.
        try:
            line = f"{record.getMessage()} {record.exc_info[1] if record.exc_info else ''}"
        except Exception:
            line = f"{record.msg} {record.args}"
        if self.SECRET.search(line):
            self.seen.append(f"{record.name}: {self.SECRET.sub('***', line)[:300]}")


_canaries = _Canaries()


@pytest.fixture(autouse=True, scope="session")
def _hears_everything() -> Iterator[None]:
    root = logging.getLogger()
    for library in ("botocore", "boto3", "urllib3"):  # The tests' own clients, a hundred lines a call.
        logging.getLogger(library).setLevel(logging.INFO)
    root.addHandler(_canaries)
    yield
    root.removeHandler(_canaries)


@pytest.fixture(autouse=True)
def _no_credential_is_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """No credential of any provider appears in any log line, at DEBUG, in any of the tests."""
    _canaries.seen.clear()
    yield
    if "plants_canaries" not in request.keywords:
        assert _canaries.seen == []


_PLACES = {"tests/transports/": 0, "tests/faults/": 1, "tests/": 2, "tests/local/": 3, "tests/journeys/": 4}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at real time goes first, while little else is in the process; then what takes long, or one worker
    would be left alone with it in the end; and last what leaves a whole gateway running until the worker ends."""

    def place(item: pytest.Item) -> int:
        return _PLACES[max((folder for folder in _PLACES if item.nodeid.startswith(folder)), key=len)]

    items.sort(key=place)
