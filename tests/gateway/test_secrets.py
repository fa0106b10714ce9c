"""Secrets: read once in five minutes, at once after a refusal, kept through an outage, and never shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from smsgate import secrets as secrets_module
from smsgate.accounts import Accounts
from smsgate.lines import Lines
from smsgate.secrets import Secrets, SecretUnreadable
from tests.gateway.examples import NOON
from tests.gateway.house import House
from tests.gateway.plainline import OFFERS, Plainline

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PLAINLINE = "prod/providers/plainline"


@dataclass
class Store:
    """Secrets Manager, with the clock and its outages in the test's hands."""

    lying: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False
    now: datetime = NOON

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803  boto3's own name
        self.asked.append(SecretId)
        if self.down:
            raise ConnectionError("p4ssword-in-the-error")
        return self.lying[SecretId]

    def put(self, name: str, value: object, version: str = "v1") -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.lying[name] = {"SecretString": text, "VersionId": version}

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def store() -> Store:
    store = Store()
    store.put(PLAINLINE, {"username": "shop", "password": "p4ssword"})
    store.put("prod/callbacks", {"tokens": ["t0ken-1", "t0ken-2"], "public_url": "https://sms.example.org/"})
    return store


@pytest.fixture
def secrets(store: Store) -> Secrets:
    return Secrets(cast("SecretsManagerClient", store), "prod", store.clock)


class TestReading:
    def test_an_account_is_read_under_its_providers_name(self, secrets: Secrets) -> None:
        secret = secrets.account("plainline")

        assert secret.version == "v1"
        assert secret.fields == {"username": "shop", "password": "p4ssword"}

    def test_it_is_kept_for_five_minutes(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.put(PLAINLINE, {"password": "new"}, "v2")

        store.now = NOON + timedelta(minutes=4, seconds=59)
        assert secrets.account("plainline").version == "v1"
        store.now = NOON + timedelta(minutes=5)
        assert secrets.account("plainline").version == "v2"

        assert len(store.asked) == 2

    def test_after_a_refusal_it_is_read_again_at_once(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.put(PLAINLINE, {"password": "new"}, "v2")

        assert secrets.reread("plainline").version == "v2"
        assert secrets.account("plainline").version == "v2"
        assert len(store.asked) == 2

    def test_nothing_secret_shows_in_its_repr(self, secrets: Secrets) -> None:
        assert "p4ssword" not in repr(secrets.account("plainline"))
        assert "t0ken" not in repr(secrets.callbacks())


class TestOutages:
    def test_with_nothing_kept_it_is_unreadable_and_tells_only_what_kind_of_trouble(
        self, secrets: Secrets, store: Store
    ) -> None:
        store.down = True

        with pytest.raises(SecretUnreadable, match=r"^prod/providers/plainline: ConnectionError$") as raised:
            secrets.account("plainline")

        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__

    def test_what_is_kept_serves_on(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.down = True

        store.now = NOON + timedelta(hours=5)

        assert secrets.account("plainline").version == "v1"

    def test_the_store_is_not_asked_with_every_message_while_it_is_down(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.down = True
        store.now = NOON + timedelta(minutes=6)

        for _ in range(20):
            secrets.account("plainline")
        assert len(store.asked) == 2
        store.now += timedelta(minutes=1)
        secrets.account("plainline")
        assert len(store.asked) == 3

    def test_once_it_is_back_the_new_one_is_had_within_a_minute(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.down = True
        store.now = NOON + timedelta(minutes=6)
        secrets.account("plainline")
        store.down = False
        store.put(PLAINLINE, {"password": "new"}, "v2")

        store.now += timedelta(minutes=1)

        assert secrets.account("plainline").version == "v2"

    def test_a_refusal_during_an_outage_loses_nothing_that_is_kept(self, secrets: Secrets, store: Store) -> None:
        secrets.account("plainline")
        store.down = True

        assert secrets.reread("plainline").version == "v1"
        assert secrets.account("plainline").version == "v1"


class TestMalformed:
    @pytest.mark.parametrize(
        "value",
        ["", "p4ssword", "[]", '"text"', "null", "{", "12", '{"a":' * 10_000, '{"password": "p4ssword\\ud83d"}'],
    )
    def test_a_secret_that_is_no_object_is_named_and_not_shown(
        self, secrets: Secrets, store: Store, value: str
    ) -> None:
        store.put(PLAINLINE, value)

        with pytest.raises(SecretUnreadable, match=r"^prod/providers/plainline: must hold one JSON object$"):
            secrets.account("plainline")

    def test_a_binary_secret_is_named(self, secrets: Secrets, store: Store) -> None:
        store.lying[PLAINLINE] = {"SecretBinary": b"{}", "VersionId": "v1"}

        with pytest.raises(SecretUnreadable, match=r"^prod/providers/plainline: must hold one JSON object$"):
            secrets.account("plainline")

    @pytest.mark.parametrize(
        ("value", "named"),
        [
            ({}, "tokens"),
            ({"tokens": []}, "tokens"),
            ({"tokens": "t0ken"}, "tokens"),
            ({"tokens": [""]}, "tokens"),
            ({"tokens": ["a", 1]}, "tokens"),
            ({"tokens": ["a", "b/c"]}, "tokens"),
            ({"tokens": ["a?b"]}, "tokens"),
            ({"tokens": ["a b"]}, "tokens"),
            ({"tokens": ["a\n"]}, "tokens"),
            ({"tokens": ["é"]}, "tokens"),
            ({"tokens": ["a"], "public_url": 1}, "public_url"),
            ({"tokens": ["a"], "public_url": None}, "public_url"),
        ],
    )
    def test_callbacks_that_are_not_as_they_must_be_name_the_field(
        self, secrets: Secrets, store: Store, value: dict[str, Any], named: str
    ) -> None:
        store.put("prod/callbacks", value)

        with pytest.raises(SecretUnreadable, match=f"^prod/callbacks: `{named}` must be"):
            secrets.callbacks()

    def test_callbacks_give_every_token_and_an_address_to_put_a_path_behind(self, secrets: Secrets) -> None:
        callbacks = secrets.callbacks()

        assert callbacks.tokens == ("t0ken-1", "t0ken-2")
        assert callbacks.public_url == "https://sms.example.org"

    def test_without_a_public_url_there_are_tokens_still(self, secrets: Secrets, store: Store) -> None:
        store.put("prod/callbacks", {"tokens": ["a"]})

        assert secrets.callbacks().public_url == ""


def test_a_value_is_concealed_however_deep_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    concealed: list[str] = []
    monkeypatch.setattr(secrets_module, "conceal", concealed.append)
    deep: object = "p4ssword"
    for _ in range(5_000):
        deep = [{"a": deep}]

    secrets_module._conceal_all(deep)

    assert concealed == ["p4ssword"]


def test_every_value_is_concealed_but_those_that_are_no_secret(
    secrets: Secrets, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    concealed: list[str] = []
    monkeypatch.setattr(secrets_module, "conceal", concealed.append)
    fields = {
        "username": "shop",
        "password": "p4ssword",
        "base_url": "https://plainline.example/",
        "sender": "SHOP",
        "smtp": {"host": "smtp.example", "username": "mailer", "password": "m4il", "port": 587},
        "later": [["deep"], "list"],
    }
    store.put(PLAINLINE, fields)

    secrets.account("plainline")
    secrets.callbacks()

    assert {"shop", "p4ssword", "mailer", "m4il", "deep", "list", "t0ken-1", "t0ken-2"} <= set(concealed)
    assert {"https://plainline.example/", "SHOP", "https://sms.example.org/"}.isdisjoint(concealed)


class TestAccounts:
    @pytest.fixture
    def accounts(self, secrets: Secrets, house: House) -> Accounts:
        lines = Lines(lambda: house.wire.exchange, cast(Any, None))
        return Accounts(secrets, OFFERS.__getitem__, lines)

    def test_are_opened_once_for_a_version_of_the_secret(self, accounts: Accounts) -> None:
        first = accounts.open("plainline")

        assert accounts.open("plainline") is first
        assert isinstance(first.provider, Plainline)

    def test_are_opened_anew_with_a_new_version(self, accounts: Accounts, store: Store) -> None:
        accounts.open("plainline")
        store.put(PLAINLINE, {"password": "new"}, "v2")

        assert accounts.rotated("plainline", "v1")
        opened = accounts.open("plainline")

        assert opened.version == "v2"
        assert isinstance(opened.provider, Plainline)
        assert opened.provider.password == "new"

    def test_are_not_rotated_while_the_newest_is_the_one_that_was_refused(self, accounts: Accounts) -> None:
        accounts.open("plainline")

        assert not accounts.rotated("plainline", "v1")

    def test_are_not_rotated_where_nobody_can_tell(self, accounts: Accounts, store: Store) -> None:
        store.down = True

        assert not accounts.rotated("plainline", "v1")

    def test_name_the_field_a_provider_misses(self, accounts: Accounts, store: Store) -> None:
        store.put(PLAINLINE, {"username": "shop"})

        with pytest.raises(SecretUnreadable, match="password"):
            accounts.open("plainline")

    def test_show_neither_secret_nor_line(self, accounts: Accounts) -> None:
        assert "p4ssword" not in repr(accounts.open("plainline"))
