"""One login for everybody, and a refused password is never tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from smsgate.ledger import Ledger
from smsgate.providers.base import CannotSay
from smsgate.reasons import Code, Reason
from smsgate.sessions import Sessions
from tests.gateway.examples import NOON
from tests.gateway.house import fails

MIDNIGHT = NOON + timedelta(hours=12)


class Vendor:
    """Counts logins, good and bad."""

    def __init__(self) -> None:
        self.logins = 0
        self.refuses: Code | None = None

    def login(self) -> str:
        self.logins += 1
        if self.refuses:
            raise CannotSay(Reason(self.refuses))
        return f"session-{self.logins}"


class House:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.vendor = Vendor()
        self.now = NOON
        self.waited: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def get(self, secret_version: str = "v1", ends: datetime = MIDNIGHT) -> str:
        """As a worker of its own would."""
        sessions = Sessions(self.ledger, timedelta(seconds=10), self.clock, self.waited.append)
        return sessions.get("castello", secret_version, self.vendor.login, ends)

    def lost(self, session: str) -> None:
        Sessions(self.ledger, timedelta(seconds=10), self.clock).lost("castello", session)


@pytest.fixture
def house(ledger: Ledger) -> House:
    return House(ledger)


def test_the_session_of_the_first_login_serves_every_worker(house: House) -> None:
    assert [house.get() for _ in range(50)] == ["session-1"] * 50
    assert house.vendor.logins == 1


def test_a_session_is_not_used_past_its_end(house: House) -> None:
    house.get()
    house.now = MIDNIGHT

    assert house.get(ends=MIDNIGHT + timedelta(days=1)) == "session-2"


def test_a_lost_session_is_replaced_by_one_login_however_many_workers_lost_it(house: House) -> None:
    lost = house.get()
    for _ in range(5):
        house.lost(lost)
        house.get()

    assert house.vendor.logins == 2


@pytest.mark.parametrize("code", [Code.BAD_CREDENTIALS, Code.ACCOUNT_DISABLED, Code.IP_NOT_ALLOWED])
def test_a_refused_password_is_tried_once_over_all_workers_until_the_secret_changes(house: House, code: Code) -> None:
    house.vendor.refuses = code
    for _ in range(50):
        with pytest.raises(CannotSay) as refused:
            house.get()
        assert refused.value.reason.code is code
    assert house.vendor.logins == 1

    house.vendor.refuses = None
    assert house.get("v2") == "session-2"


def test_a_login_that_was_not_answered_may_be_tried_again(house: House) -> None:
    house.vendor.refuses = Code.PROVIDER_UNREACHABLE
    for _ in range(3):
        with pytest.raises(CannotSay):
            house.get()
    house.vendor.refuses = None

    assert house.get() == "session-4"


def test_while_one_worker_logs_in_the_others_wait_a_moment_and_then_try_later(house: House) -> None:
    def meanwhile() -> str:
        with pytest.raises(CannotSay) as busy:
            house.get()
        assert busy.value.reason.code is Code.RATE_LIMITED
        return "session-1"

    sessions = Sessions(house.ledger, timedelta(seconds=10), house.clock, house.waited.append)

    assert sessions.get("castello", "v1", meanwhile, MIDNIGHT) == "session-1"
    assert sum(house.waited) == pytest.approx(3)
    assert house.vendor.logins == 0


def test_a_worker_that_waits_gets_the_session_of_the_one_that_logged_in(house: House) -> None:
    sessions = Sessions(house.ledger, timedelta(seconds=10), house.clock, lambda _: None)
    got: list[str] = []

    def slow_login() -> str:
        patient = Sessions(house.ledger, timedelta(seconds=10), house.clock, finish)
        got.append(patient.get("castello", "v1", house.vendor.login, MIDNIGHT))
        return "unreachable"

    def finish(_: float) -> None:
        state = house.ledger.provider_state("castello", "session") or {}
        done = {"secret_version": "v1", "session": "theirs", "ends": "2099-01-01T00:00:00.000000Z"}
        house.ledger.set_provider_state("castello", "session", done, int(state["version"]))

    sessions.get("castello", "v1", slow_login, MIDNIGHT)

    assert got == ["theirs"]
    assert house.vendor.logins == 0


def test_workers_lost_during_their_login_may_have_been_refused_so_two_of_them_are_enough(house: House) -> None:
    def killed() -> str:
        house.vendor.logins += 1
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Sessions(house.ledger, timedelta(seconds=10), house.clock).get("castello", "v1", killed, MIDNIGHT)
        house.now += timedelta(seconds=11)

    with pytest.raises(CannotSay) as closed:
        house.get()
    assert closed.value.reason.code is Code.BAD_CREDENTIALS
    assert house.vendor.logins == 2


@pytest.mark.parametrize("operation", ["provider_state", "set_provider_state"])
def test_a_ledger_that_cannot_be_asked_gives_no_session_and_logs_nobody_in(
    house: House, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(house.ledger, operation, fails)

    with pytest.raises(CannotSay) as silence:
        house.get()

    assert silence.value.reason.code is Code.RATE_LIMITED
    assert house.vendor.logins == 0


def test_a_login_whose_end_cannot_be_recorded_serves_its_worker_and_is_made_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in() -> str:
        monkeypatch.setattr(house.ledger, "set_provider_state", fails)
        return house.vendor.login()

    session = Sessions(house.ledger, timedelta(seconds=10), house.clock, house.waited.append).get(
        "castello", "v1", log_in, MIDNIGHT
    )
    monkeypatch.undo()
    house.now += timedelta(seconds=11)

    assert [session, house.get()] == ["session-1", "session-2"]
