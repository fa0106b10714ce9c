"""The routing document in Parameter Store: read once a minute, the last good one kept through mistakes and outages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from smsgate.routebook import EARLIER, Routebook, RoutingUnknown
from smsgate.routing_document import RoutingDocument
from smsgate.telemetry import logger
from tests.gateway.examples import NOON, SECOND
from tests.gateway.house import Counts

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

NAME = "/prod/routing"
NO_DOCUMENT = RoutingDocument()
PROVIDERS = ("castello", "plainline")


class Store:
    """Parameter Store, with its outages and the clock in the test's hands."""

    def __init__(self, client: SSMClient) -> None:
        self._client = client
        self.exceptions = client.exceptions
        self.asked: list[str] = []
        self.down: set[str] = set()
        self.now = NOON

    def get_parameter(self, Name: str) -> Any:  # noqa: N803  boto3's own name
        self.asked.append(Name)
        if self.down & {Name, "all"}:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter")
        return self._client.get_parameter(Name=Name)

    def put(self, value: str, type_: Literal["String", "SecureString"] = "String") -> None:
        self._client.put_parameter(Name=NAME, Value=value, Type=type_, Overwrite=True)

    def delete(self) -> None:
        self._client.delete_parameter(Name=NAME)

    def clock(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += seconds * SECOND

    def book(self) -> Routebook:
        """As a worker that starts now would have it."""
        return Routebook(cast("SSMClient", self), "prod", PROVIDERS, self.clock)


@pytest.fixture(scope="module")
def ssm() -> SSMClient:
    return boto3.client("ssm")


@pytest.fixture
def store(ssm: SSMClient) -> Iterator[Store]:
    with mock_aws():
        yield Store(ssm)


def to(provider: str) -> str:
    return json.dumps({"version": 1, "rules": [{"name": f"to {provider}", "use": [{"provider": provider}]}]})


def follows(book: Routebook) -> str:
    """Whom the one rule of the document names; nobody where there is no rule."""
    return ", ".join(use.provider for rule in book.document().rules for use in rule.use) or "nobody"


class TestReading:
    def test_the_parameter_of_the_stack_is_followed(self, store: Store) -> None:
        store.put(to("castello"))

        assert follows(store.book()) == "castello"
        assert store.asked == ["/prod/routing"]

    def test_where_there_is_none_nothing_is_asked_of_routing(self, store: Store, counts: Counts) -> None:
        assert store.book().document() == NO_DOCUMENT
        assert counts.told == {}

    def test_it_is_kept_for_a_minute(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.put(to("plainline"))

        store.later(59.9)
        assert follows(book) == "castello"
        store.later(0.1)
        assert follows(book) == "plainline"

        assert len(store.asked) == 2

    def test_that_there_is_none_is_kept_for_a_minute_too(self, store: Store) -> None:
        book = store.book()
        book.document()

        store.later(30)
        book.document()

        assert len(store.asked) == 1

    def test_one_that_is_deleted_is_followed_no_more(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.delete()

        store.later(60)

        assert book.document() == NO_DOCUMENT

    def test_one_that_is_deleted_and_written_anew_is_followed_whatever_its_version(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.delete()
        store.put(to("plainline"))

        store.later(60)

        assert follows(book) == "plainline"

    def test_one_that_was_away_for_a_while_is_followed_again(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.delete()
        store.later(60)
        book.document()
        store.put(to("castello"))

        store.later(60)

        assert follows(book) == "castello"

    def test_as_long_as_it_stays_the_same_it_is_read_once(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        first = book.document()

        store.later(60)

        assert book.document() is first


class TestMistakes:
    def test_an_invalid_one_leaves_the_last_good_one_in_force(self, store: Store, counts: Counts) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.put(to("nobody"))

        store.later(60)

        assert follows(book) == "castello"
        assert counts["RoutingDocumentInvalid"] == 1

    def test_every_look_at_it_is_counted_until_it_is_mended(self, store: Store, counts: Counts) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.put(to("nobody"))
        for _ in range(3):
            store.later(60)
            book.document()
        store.put(to("plainline"))
        store.later(60)
        book.document()

        store.later(60)

        assert follows(book) == "plainline"
        assert counts["RoutingDocumentInvalid"] == 3

    def test_the_log_names_its_problems_once(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.put('{"version": 1, "rules": [{"name": "甲", "use": [{"provider": "沒有"}]}], "甲": 1}')

        for _ in range(3):
            store.later(60)
            book.document()

        (record,) = [record for record in caplog.records if record.message == "routing document invalid"]
        assert record.levelname == "ERROR"
        assert vars(record)["version"] == 2
        assert vars(record)["problem"].startswith(r"\u7532 unknown field `\u7532`")
        assert "rules[0].use[0].provider is not a provider of this gateway" in vars(record)["problem"]

    def test_another_mistake_is_logged_as_well(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()

        for mistake in ("{", "[]", "[]"):
            store.put(mistake)
            store.later(60)
            book.document()

        assert [record.message for record in caplog.records].count("routing document invalid") == 2

    def test_a_worker_that_starts_later_follows_the_last_good_one_too(self, store: Store, counts: Counts) -> None:
        for text in (to("plainline"), to("castello"), "{", to("nobody")):
            store.put(text)

        assert follows(store.book()) == "castello"
        assert store.asked == [NAME, f"{NAME}:3", f"{NAME}:2"]
        assert counts["RoutingDocumentInvalid"] == 1

    def test_before_the_first_good_one_there_was_none(self, store: Store) -> None:
        store.put("{")
        store.put("[]")

        assert store.book().document() == NO_DOCUMENT

    def test_a_first_mistake_leaves_in_force_that_there_is_none(self, store: Store, counts: Counts) -> None:
        book = store.book()
        book.document()
        store.put("{")

        store.later(60)

        assert book.document() == NO_DOCUMENT
        assert counts["RoutingDocumentInvalid"] == 1
        assert store.asked == [NAME, NAME]

    def test_after_too_many_mistakes_nothing_is_known(self, store: Store) -> None:
        store.put(to("castello"))
        for _ in range(EARLIER):
            store.put("{")
        assert follows(store.book()) == "castello"
        store.put("{")

        with pytest.raises(RoutingUnknown, match="no good one before it"):
            store.book().document()

    def test_one_that_is_encrypted_is_refused_with_the_remedy(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.put(to("castello"), "SecureString")

        assert store.book().document() == NO_DOCUMENT
        (record,) = [record for record in caplog.records if record.message == "routing document invalid"]
        assert vars(record)["problem"].startswith("document is stored as SecureString; store it as String")


class TestOutages:
    def test_what_is_kept_is_followed_on(self, store: Store, counts: Counts) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.down = {"all"}

        store.later(5 * 3600)

        assert follows(book) == "castello"
        assert counts["RoutingDocumentNotRead"] == 1

    def test_that_there_is_none_is_followed_on(self, store: Store) -> None:
        book = store.book()
        book.document()
        store.down = {"all"}

        store.later(60)

        assert book.document() == NO_DOCUMENT

    def test_the_store_is_asked_once_a_minute_while_it_is_down(self, store: Store) -> None:
        store.put(to("castello"))
        book = store.book()
        book.document()
        store.down = {"all"}
        store.later(60)

        for _ in range(20):
            book.document()

        assert len(store.asked) == 2

    def test_with_nothing_kept_nothing_is_known_and_the_next_question_asks_again(
        self, store: Store, counts: Counts
    ) -> None:
        store.put(to("castello"))
        store.down = {"all"}
        book = store.book()
        with pytest.raises(RoutingUnknown) as raised:
            book.document()
        store.down = set()

        assert follows(book) == "castello"
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        assert counts["RoutingDocumentNotRead"] == 1

    def test_with_a_mistake_and_the_one_before_it_not_to_be_had_nothing_is_known(
        self, store: Store, counts: Counts
    ) -> None:
        store.put(to("castello"))
        store.put("{")
        store.down = {f"{NAME}:1"}
        book = store.book()
        with pytest.raises(RoutingUnknown):
            book.document()
        store.down = set()

        assert follows(book) == "castello"
        assert counts["RoutingDocumentNotRead"] == 1

    def test_the_log_says_what_the_store_said(self, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
        logger()
        store.down = {"all"}

        with pytest.raises(RoutingUnknown):
            store.book().document()

        line = json.loads(capfd.readouterr().out)
        assert line["message"] == "routing document not read"
        assert line["exception"][0]["code"] == "ThrottlingException"
