"""What every provider must do against a server that read the same document: there and back, over a wire that breaks.

The server is the pretended vendor, as the fixture `server` of the test's module.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.simulators.base import Closes, Cut, Fault, Hangs, Says
from smsgate.messages import Message
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome
from smsgate.providers.base import Ask, Cancels, Queries, Refusal
from smsgate.status import Status
from tests.providers import plain_http
from tests.providers.contract import NOW, NUMBER, Contract, anything, hello
from tests.providers.strategies import companies, countries, examples, payloads, verdict


class ServerContract(Contract):
    """Encoded, sent, decoded there, and shown on a phone."""

    step: ClassVar[timedelta]
    """What the vendor counts times in."""

    on_the_way: ClassVar[timedelta] = timedelta(seconds=30)
    """A time nearer than this is put off, so that it is not past when it arrives."""

    silent_countries: ClassVar[frozenset[str]] = frozenset()
    """Where no number passes its checks, though its capabilities name no country that is left out."""

    def hand_over(self, server: Any, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        """What became of these messages, over the wire it is deployed with or the plainest there is."""
        raise NotImplementedError

    def hand_over_one(self, server: Any, message: Message, now: datetime | None = None) -> Outcome:
        (outcome,) = self.hand_over(server, (message,), now or server.now())
        return outcome

    def charged(self, message: Message) -> int:
        """What the server takes for it."""
        return int(self.provider_class.measure(message).points)

    @given(data=st.data())
    @anything
    def test_any_text_to_any_number_that_is_allowed_is_shown_on_that_phone_as_it_was_written(
        self, server: Any, data: st.DataObject
    ) -> None:
        messages = data.draw(companies(self.provider_class, NOW))
        before = len(server.accepted)
        server.phones.clear()

        outcomes = self.hand_over(server, messages, server.now())

        refs = {outcome.provider_ref for outcome in outcomes if isinstance(outcome, Accepted)}
        assert [type(outcome) for outcome in outcomes] == [Accepted] * len(messages)
        assert server.wait_until(lambda: len(_shown(server, refs)) >= len(messages), seconds=30)
        assert sorted(_shown(server, refs)) == sorted((message.to, message.text) for message in messages)
        assert sorted((taken.to, taken.points) for taken in server.accepted[before:]) == sorted(
            (message.to, self.charged(message)) for message in messages
        )

    @pytest.mark.parametrize(
        "text",
        [
            "a&b=c+d %41#?/\\",
            "「全形」，。！\n第二行",
            "<b>&amp;</b>",
            "%E6%B8%AC",
            "𠮷野家",
            "{} %s ${x}",
            "发展",
            "a|b,c",
        ],
    )
    def test_texts_that_look_like_something_else_arrive_as_they_were_written(self, server: Any, text: str) -> None:
        outcome = self.hand_over_one(server, hello(text=text))

        assert isinstance(outcome, Accepted)
        assert server.wait_until(lambda: _shown(server, {outcome.provider_ref}))
        assert _shown(server, {outcome.provider_ref}) == [(NUMBER, text)]

    @given(ahead=st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)))
    @anything
    def test_no_future_time_is_past_when_it_arrives_or_early_when_it_comes(
        self, calendar: Any, ahead: timedelta
    ) -> None:
        now = calendar.now()

        outcome = self.hand_over_one(calendar, hello(send_at=now + ahead), now)

        due = calendar.accepted[-1].due
        assert isinstance(outcome, Accepted)
        assert due is not None
        assert now + ahead <= due < now + max(ahead, self.on_the_way) + self.step
        assert (due - datetime.min.replace(tzinfo=UTC)) % self.step == timedelta()

    def test_a_number_of_each_kind_in_each_country_it_reaches_is_texted(self, server: Any) -> None:
        lost = []

        for to in (number for found in examples(self.provider_class, NOW).values() for number in found):
            server.phones.clear()
            outcome = self.hand_over_one(server, hello(to=to, text="hi"))
            refs = {outcome.provider_ref} if isinstance(outcome, Accepted) else set()
            if not refs or not server.wait_until(lambda refs=refs: _shown(server, refs)):
                lost.append((to, outcome))
            assert all(shown == (to, "hi") for shown in _shown(server, refs)), to

        assert lost == []

    def test_the_numbers_it_is_tried_with_are_of_all_countries_it_reaches(self) -> None:
        named = self.provider_class.capabilities.countries

        reached = frozenset(examples(self.provider_class, NOW))

        assert reached == (countries() if named is None else named) - self.silent_countries

    def test_most_of_what_it_is_tried_with_is_allowed(self) -> None:
        verdicts = []

        @given(payload=payloads(self.provider_class, NOW))
        @settings(max_examples=200, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        def judge(payload: dict[str, object]) -> None:
            verdicts.append(verdict(self.provider_class, payload, NOW))

        judge()

        assert verdicts.count(None) > len(verdicts) / 2


class HttpServerContract(ServerContract):
    """Whatever goes wrong on the wire, nothing is said that is not so."""

    operation: ClassVar[str] = "send"
    own_faults: ClassVar[tuple[tuple[Fault, type[Outcome], bool], ...]]
    """What this vendor may answer besides: the fault, what comes of it, and whether the message was taken."""

    @pytest.mark.parametrize(
        ("fault", "taken"),
        [
            (Closes(), True),
            (Closes(carried_out=False), False),
            (Hangs(0.1), True),
            (Cut(30), True),
            (Cut(30, on_the_wire=True), True),
            (Cut(0), True),
            (Says(b"<html>busy</html>"), False),
            (Says(b"", status=302, headers=(("Location", "http://127.0.0.1:9/"),)), False),
        ],
    )
    def test_where_no_answer_comes_it_may_have_been_sent(self, server: Any, fault: Fault, taken: bool) -> None:
        self.comes_of(server, fault, MaybeSent, taken)

    def test_whatever_goes_wrong_on_the_wire_nothing_is_said_that_is_not_so(self, server: Any) -> None:
        for fault, outcome, taken in self.own_faults:
            self.comes_of(server, fault, outcome, taken)

    def comes_of(self, server: Any, fault: Fault, outcome: type[Outcome], taken: bool) -> None:
        before = len(server.accepted)
        server.script(fault, operation=self.operation)

        result = self.hand_over_one(server, hello())

        assert (type(result), len(server.accepted) - before) == (outcome, taken), fault

    def test_where_nobody_listens_nothing_was_sent(self, server: Any) -> None:
        server.go_offline()
        try:
            outcome = self.hand_over_one(server, hello())
        finally:
            server.come_back()

        assert isinstance(outcome, NotSent)


class CancelingServerContract(ServerContract):
    """What was scheduled is taken back there, once, and what has gone out is not."""

    line: ClassVar[Any] = staticmethod(plain_http.exchange)

    def asked(self, server: Any, **fields: Any) -> Ask:
        now = server.now()
        outcome = self.hand_over_one(server, hello(**fields))
        assert isinstance(outcome, Accepted)
        return Ask(outcome.provider_ref, NUMBER, submitted_at=now)

    def test_a_scheduled_message_can_be_taken_back_once(self, server: Any) -> None:
        before = server.credit
        asked = self.asked(server, send_at=server.now() + timedelta(hours=3))
        provider = self.provider_class(server.secret())
        assert isinstance(provider, Queries)
        assert isinstance(provider, Cancels)

        waiting = provider.query([asked], server.now(), self.line)
        first = provider.cancel(asked, self.line)
        second = provider.cancel(asked, self.line)
        (report,) = provider.query([asked], server.now(), self.line)

        assert waiting == []
        assert first is None
        assert isinstance(second, Refusal)
        assert report.status is Status.CANCELED
        assert server.credit == before

    def test_a_message_that_went_out_cannot_be_taken_back(self, server: Any) -> None:
        asked = self.asked(server)
        provider = self.provider_class(server.secret())
        assert isinstance(provider, Cancels)

        answer = provider.cancel(asked, self.line)

        assert isinstance(answer, Refusal)


def _shown(server: Any, refs: set[str]) -> list[tuple[str, str]]:
    """Number and text of all that any phone shows under these references."""
    return [(phone, each.text) for phone, shown in list(server.phones.items()) for each in shown if each.ref in refs]
