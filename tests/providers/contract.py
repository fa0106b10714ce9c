"""What every provider must do, whatever it is. Each provider's test inherits one class per ability.

A test says what its vendor's answers look like; the rules themselves are written here once, and hold for the provider
nobody has written yet.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, overload

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smsgate.messages import Dispatch, Form, Message, Reply, Report, TooLong
from smsgate.numbers import country
from smsgate.outcomes import Accepted, CallBroken, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers import PROVIDERS
from smsgate.providers.base import (
    UNREADABLE,
    Ask,
    Cancels,
    CannotSay,
    PollsReplies,
    Provider,
    Queries,
    ReadsReceipts,
    ReadsReplies,
    Refusal,
    TellsCredit,
)
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wire import (
    Acknowledgement,
    Callback,
    HttpRequest,
    HttpResponse,
    MailRequest,
    MailResponse,
    SoapRequest,
    SoapResponse,
)
from tests.providers.strategies import numbers

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # noon in Taipei
PASSWORD = "s3cret-canary-password"
TEXT = "您的驗證碼是 123456 canary"
NUMBER = "+886912345678"
RECEIPT_URL = "https://gateway.example/receipts/{key}/token/{message_id}"

NONSENSE: Mapping[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "a byte order mark and nothing": b"\xef\xbb\xbf",
    "an error page": b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "a page of a captive portal": b"<!DOCTYPE html><html><body><form action='/login'></form></body></html>",
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a list in a list": b"[[[]]]",
    "a bare string": b'"00000"',
    "a lone number": b"0.5",
    "a number nobody can read": b"1" * 5000,
    "an infinite number": b"Infinity",
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "NUL": b"\x00" * 16,
    "no text in any encoding": b"\xff\xfe\xfd\x80\x81",
    "half a character": "通數不足".encode()[:-1],
    "another alphabet's bytes": "通數不足".encode("big5"),
    "words": b"OK",
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*.",
}

NOT_OK = (201, 202, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504, 520)

BROKEN: tuple[NotSent | MaybeSent, ...] = (
    NotSent(Reason(Code.PROVIDER_UNREACHABLE)),
    MaybeSent(Reason(Code.NO_REPLY)),
)

# The same property holds for several classes; hypothesis warns of that unless told that it is meant.
anything = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])


def hello(**fields: Any) -> Message:
    given_fields: dict[str, Any] = {
        "message_id": "abcdefghijklmnopqrstuvwx-0",
        "request_id": "order-17",
        "to": NUMBER,
        "text": TEXT,
        "accepted_at": NOW,
        "digest": "d1",
    }
    return Message(**{**given_fields, **fields})


Request = HttpRequest | SoapRequest | MailRequest
Response = HttpResponse | SoapResponse | MailResponse
Answer = Response | NotSent | MaybeSent


@dataclass
class Wire:
    """A line that answers from a list, the last answer again and again, and keeps what was asked."""

    answers: list[Answer]
    requests: list[Request] = field(default_factory=list)
    logged_in: str | None = None

    @overload
    def __call__(self, request: HttpRequest, /) -> HttpResponse: ...
    @overload
    def __call__(self, request: SoapRequest, /) -> SoapResponse: ...
    @overload
    def __call__(self, request: MailRequest, /) -> MailResponse: ...
    def __call__(self, request: Request, /) -> Response:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, NotSent | MaybeSent):
            raise CallBroken(answer)
        return answer

    def session(self, login: Callable[[], str], ends: datetime) -> str:
        if self.logged_in is None:
            self.logged_in = login()
        return self.logged_in

    def session_lost(self, session: str) -> None:
        if self.logged_in == session:
            self.logged_in = None


def http_answer(body: bytes | str, status: int = 200, content_type: str = "text/html") -> HttpResponse:
    return HttpResponse(status, body.encode() if isinstance(body, str) else body, content_type)


class Contract:
    """What all of the classes below need to know of a provider."""

    provider_class: ClassVar[type[Provider]]
    account: ClassVar[Mapping[str, object]]

    def provider(self) -> Provider:
        return self.provider_class(self.account)

    def answer(self, body: bytes, status: int = 200) -> Answer:
        """The vendor's answer with these bytes, as the provider gets it from its wire."""
        return http_answer(body, status)

    def wire(self, answer: Answer) -> Wire:
        """A provider that must log in first is given the answer to that before this one."""
        return Wire([answer])


class BasicsContract(Contract):
    """What a provider says of itself and of a message, before any call."""

    required: ClassVar[tuple[str, ...]] = ("username", "password")

    # What it says of itself

    def test_it_is_registered_under_its_own_name(self) -> None:
        key = self.provider_class.key

        assert PROVIDERS[key] is self.provider_class
        assert self.provider_class.__module__ == f"smsgate.providers.{key}"

    def test_its_capabilities_agree_with_its_abilities(self) -> None:
        capabilities = self.provider_class.capabilities

        assert (capabilities.receipts is not None) == issubclass(self.provider_class, ReadsReceipts)
        assert capabilities.recipients_per_call >= 1
        assert Form.TEXT in capabilities.forms

    # What it refuses, for one field, with a remedy

    def refused(self, **fields: Any) -> tuple[Code, str] | None:
        refusal = self.provider_class.refusal(hello(**fields), NOW)
        if refusal is None:
            return None
        assert refusal.reason.provider_text == refusal.problem
        return refusal.reason.code, refusal.problem

    def test_what_holds_for_all_providers_is_judged_where_none_of_them_can_forget_it(self) -> None:
        own = [one.__name__ for one in self.provider_class.__mro__ if "refusal" in vars(one)]

        assert own == [Provider.__name__]

    @pytest.mark.parametrize(
        ("capability", "fields", "problem"),
        [
            ("schedule", {"send_at": NOW + timedelta(hours=2)}, "{} sends at once only: leave `send_at` out"),
            ("sender", {"sender": "Acme"}, "{} shows its own number as sender: leave `sender` out"),
            ("two_way", {"reply_days": 3}, "{} brings no answers back: leave `replies` out"),
        ],
    )
    def test_what_it_cannot_do_is_refused_before_anything_is_spent(
        self, capability: str, fields: dict[str, Any], problem: str
    ) -> None:
        can = getattr(self.provider_class.capabilities, capability)

        refused = self.refused(**fields)

        assert refused == (None if can else (Code.UNSUPPORTED_FEATURE, problem.format(self.provider_class.name)))

    @pytest.mark.parametrize("form", [Form.POPUP, Form.PUSH])
    def test_forms_it_cannot_send_are_refused(self, form: Form) -> None:
        can = form in self.provider_class.capabilities.forms
        problem = f"{self.provider_class.name} sends no {form} messages: leave `form` out"

        refused = self.refused(form=form, url="https://shop.example/")

        assert refused == (None if can else (Code.UNSUPPORTED_FEATURE, problem))

    def test_countries_it_does_not_reach_are_refused_and_no_others(self) -> None:
        reached = self.provider_class.capabilities.countries
        problem = f"`to` is in a country {self.provider_class.name} does not reach: use another provider"
        beyond = set() if reached is None else {number for number in numbers() if country(number) not in reached}

        refused = {number: self.refused(to=number, text="hi") for number in numbers()}

        assert {number: why for number, why in refused.items() if why and why[0] is Code.COUNTRY_NOT_ENABLED} == (
            dict.fromkeys(beyond, (Code.COUNTRY_NOT_ENABLED, problem))
        )

    @pytest.mark.parametrize("text", ["", None])
    @pytest.mark.parametrize("form", Form)
    def test_no_empty_text_is_sent_in_any_form(self, form: Form, text: str | None) -> None:
        if form in self.provider_class.capabilities.forms:
            refused = self.refused(form=form, text=text, url="https://a.example/" if form is Form.PUSH else None)

            assert refused == (
                Code.EMPTY_TEXT,
                f"`text` is empty: {self.provider_class.name} sends no empty message",
            )

    @pytest.mark.parametrize("to", [NUMBER, "+85261234567"])
    def test_who_wants_no_second_part_gets_none(self, to: str) -> None:
        for length in range(1, 200):
            message = hello(to=to, text="中" * length, too_long=TooLong.REJECT)
            parts = self.provider_class.measure(message).parts

            refusal = self.provider_class.refusal(message, NOW)

            assert (refusal.problem if refusal else None) == (
                f"`text` takes {parts} parts, and `too_long` is reject: shorten it to one" if parts > 1 else None
            )

    def test_a_time_after_the_calendars_end_is_refused(self) -> None:
        if self.provider_class.capabilities.schedule:
            refused = self.refused(send_at=datetime(9999, 12, 31, 16, tzinfo=UTC))

            assert refused is not None
            assert refused[0] is Code.SCHEDULE_INVALID
            assert "`send_at`" in refused[1]

    def test_a_plain_message_is_carried_and_costs_something(self) -> None:
        measure = self.provider_class.measure(hello())

        assert self.provider_class.refusal(hello(), NOW) is None
        assert measure.parts == 1
        assert measure.points > 0
        assert not measure.offending

    def test_messages_travel_together_only_where_one_call_takes_several(self) -> None:
        one, other = hello(), hello(message_id="abcdefghijklmnopqrstuvwx-1", to="+886987654321")

        together = self.provider_class.group(one) == self.provider_class.group(other)

        assert together == (self.provider_class.capabilities.recipients_per_call > 1)

    @given(text=st.text(max_size=900))
    @anything
    def test_any_text_is_measured_and_judged(self, text: str) -> None:
        message = hello(text=text)

        measure = self.provider_class.measure(message)
        refusal = self.provider_class.refusal(message, NOW)

        assert measure.parts >= 1
        if measure.offending:
            assert refusal is not None
            assert refusal.reason.code is Code.UNSUPPORTED_CHARACTER

    # The account

    def test_a_field_that_is_missing_or_wrong_is_named_and_its_value_is_not(self) -> None:
        for name in self.required:
            for value in (None, "", "  ", 20261120, ["canary"], {"canary": 1}):
                account = {**self.account, name: value}

                with pytest.raises((KeyError, ValueError), match=name) as raised:
                    self.provider_class(account)

                shown = "".join(traceback.format_exception(raised.value))
                assert "20261120" not in shown
                assert "'canary'" not in str(raised.value)
                assert PASSWORD not in shown


class ProviderContract(BasicsContract):
    """Sending where the answer to the call says what came of it."""

    ok: ClassVar[bytes]
    ok_ref: ClassVar[str]
    without_reference: ClassVar[tuple[bytes, ...]]
    unlisted: ClassVar[Mapping[str, bytes]]  # by codes that the vendor's document does not list
    codes: ClassVar[Mapping[str, tuple[type[Outcome], Code]]]  # what those it lists mean
    tolerated: ClassVar[tuple[bytes, ...]] = (b"\xef\xbb\xbf%s", b" \r\n%s\r\n", b"%s\n")
    method: ClassVar[str] = "POST"

    def says(self, code: str) -> bytes:
        """The vendor's answer with this code."""
        raise NotImplementedError

    def is_success(self, body: bytes) -> bool:
        """Is this the documented success? Judged without the provider's own code."""
        raise NotImplementedError

    def dispatch(self, *messages: Message) -> Dispatch:
        carried = messages or (hello(),)
        key = self.provider_class.key
        url = RECEIPT_URL.format(key=key, message_id=carried[0].message_id)
        per_message = self.provider_class.capabilities.receipts == "message"
        return Dispatch(key, carried, NOW, url if per_message else None)

    def outcome(self, answer: Answer) -> Outcome:
        (outcome,) = self.provider().send(self.dispatch(), self.wire(answer))
        return outcome

    def outcome_of(self, body: bytes) -> Outcome:
        return self.outcome(self.answer(body))

    # What an answer means

    def test_the_documented_success_gives_their_reference(self) -> None:
        outcome = self.outcome_of(self.ok)

        assert isinstance(outcome, Accepted)
        assert outcome.provider_ref == self.ok_ref

    def test_bytes_around_the_answer_change_nothing(self) -> None:
        for around in self.tolerated:
            assert isinstance(self.outcome_of(around.replace(b"%s", self.ok)), Accepted), around

    def test_each_documented_code_means_what_it_says(self) -> None:
        read = {code: self.outcome_of(self.says(code)) for code in self.codes}

        reasons = {code: outcome.reason for code, outcome in read.items() if not isinstance(outcome, Accepted)}
        assert {code: (type(read[code]), reason.code) for code, reason in reasons.items()} == dict(self.codes)
        assert {code: reason.provider_code for code, reason in reasons.items()} == {code: code for code in self.codes}

    def test_an_unlisted_code_is_unknown_and_kept(self) -> None:
        for code, body in self.unlisted.items():
            outcome = self.outcome_of(body)

            assert isinstance(outcome, Refused | MaybeSent), code
            assert outcome.reason.code is Code.UNKNOWN, code
            assert outcome.reason.provider_code == code

    def test_success_without_a_reference_may_have_been_sent(self) -> None:
        for body in self.without_reference:
            assert isinstance(self.outcome_of(body), MaybeSent), body

    @pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
    def test_nonsense_may_have_been_sent(self, body: bytes) -> None:
        assert isinstance(self.outcome_of(body), MaybeSent)

    def test_an_answer_in_another_charset_may_have_been_sent(self) -> None:
        assert isinstance(self.outcome_of(self.ok.decode().encode("utf-16")), MaybeSent)

    def test_an_answer_that_was_cut_anywhere_is_no_refusal_and_no_other_reference(self) -> None:
        for length in range(len(self.ok)):
            outcome = self.outcome_of(self.ok[:length])

            if isinstance(outcome, Accepted):
                assert outcome.provider_ref == self.ok_ref, length
            else:
                assert isinstance(outcome, MaybeSent), length

    @pytest.mark.parametrize("status", NOT_OK)
    def test_any_other_status_may_have_been_sent_whatever_its_body_says(self, status: int) -> None:
        assert isinstance(self.outcome(self.answer(self.ok, status)), MaybeSent)

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_call_that_broke_means_what_the_wire_says(self, broken: NotSent | MaybeSent) -> None:
        assert self.outcome(broken) == broken

    @given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
    @example(body=b"")
    @anything
    def test_no_bytes_but_the_documented_success_are_accepted(self, body: bytes) -> None:
        assert isinstance(self.outcome_of(body), Accepted) == self.is_success(body)

    @given(data=st.data())
    @anything
    def test_a_damaged_success_is_accepted_only_where_it_still_is_one(self, data: st.DataObject) -> None:
        body = bytearray(self.ok)
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(body)))
            end = data.draw(st.integers(start, min(len(body), start + 4)))
            body[start:end] = data.draw(st.binary(max_size=4))

        outcome = self.outcome_of(bytes(body))

        assert isinstance(outcome, Accepted) == self.is_success(bytes(body))

    # The call

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_call_that_broke_is_not_made_again(self, broken: NotSent | MaybeSent) -> None:
        wire = self.wire(broken)

        self.provider().send(self.dispatch(), wire)

        assert len(wire.requests) == len(wire.answers)

    def test_there_is_one_outcome_for_each_message(self) -> None:
        messages = [
            hello(message_id=f"abcdefghijklmnopqrstuvwx-{n}", to=f"+88691234567{n}")
            for n in range(min(3, self.provider_class.capabilities.recipients_per_call))
        ]

        for answer in (self.answer(self.ok), self.answer(b"<html>"), *BROKEN):
            outcomes = self.provider().send(self.dispatch(*messages), self.wire(answer))

            assert len(outcomes) == len(messages)

    def test_neither_password_nor_text_nor_number_is_in_an_address(self) -> None:
        wire = self.wire(self.answer(self.ok))

        self.provider().send(self.dispatch(), wire)

        for request in wire.requests:
            assert not isinstance(request, MailRequest)
            assert "?" not in request.url
            assert "canary" not in request.url
            assert NUMBER[4:] not in request.url
            assert not isinstance(request, HttpRequest) or request.method == self.method

    def test_neither_password_nor_text_nor_number_is_shown_or_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        provider = self.provider()
        shown = [repr(provider), str(provider), repr(self.dispatch())]

        for answer in (self.answer(self.ok), self.answer(b"<html>"), self.answer(self.ok, 500), *BROKEN):
            wire = self.wire(answer)
            shown.append(repr(provider.send(self.dispatch(), wire)))
            shown += [repr(request) for request in wire.requests]

        for secret in (PASSWORD, TEXT, "canary", NUMBER, NUMBER[4:]):
            assert secret not in "\n".join([*shown, caplog.text])


class QuestionContract(Contract):
    """Whatever is asked, trouble is no answer: nothing may change for it."""

    bad_credentials: ClassVar[bytes]
    settled: ClassVar[bytes]  # an answer that says something

    def ask(self, wire: Wire) -> object:
        raise NotImplementedError

    def silence(self, answer: Answer) -> Reason:
        with pytest.raises(CannotSay) as raised:
            self.ask(self.wire(answer))

        shown = "".join(traceback.format_exception(raised.value))
        assert PASSWORD not in shown
        assert NUMBER[4:] not in shown
        return raised.value.reason

    def test_refused_credentials_are_told_apart_from_silence(self) -> None:
        assert self.silence(self.answer(self.bad_credentials)).code is Code.BAD_CREDENTIALS

    @pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
    def test_nonsense_is_no_answer(self, body: bytes) -> None:
        self.silence(self.answer(body))

    @pytest.mark.parametrize("status", NOT_OK)
    def test_any_other_status_is_no_answer_whatever_its_body_says(self, status: int) -> None:
        self.silence(self.answer(self.settled, status))

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_question_that_broke_is_no_answer(self, broken: NotSent | MaybeSent) -> None:
        assert self.silence(broken) == broken.reason

    def test_an_answer_that_was_cut_anywhere_is_no_answer(self) -> None:
        for length in range(len(self.settled.rstrip())):
            self.silence(self.answer(self.settled[:length]))

    @given(body=st.binary(max_size=300))
    @anything
    def test_no_bytes_break_the_question(self, body: bytes) -> None:
        try:
            self.ask(self.wire(self.answer(body)))
        except CannotSay:
            return

    @given(data=st.data())
    @anything
    def test_a_damaged_answer_breaks_no_question(self, data: st.DataObject) -> None:
        body = bytearray(self.settled)
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(body)))
            end = data.draw(st.integers(start, min(len(body), start + 4)))
            body[start:end] = data.draw(st.binary(max_size=4))
        try:
            self.ask(self.wire(self.answer(bytes(body))))
        except CannotSay:
            return


class QueriesContract(QuestionContract):
    """`settled` says that the message asked for was delivered."""

    asked: ClassVar[Ask]
    no_report_yet: ClassVar[tuple[bytes, ...]]
    unlisted_status: ClassVar[tuple[str, bytes]]

    def ask(self, wire: Wire) -> list[Report]:
        provider = self.provider()
        assert isinstance(provider, Queries)
        return provider.query([self.asked], NOW, wire)

    def test_a_report_names_its_message_and_its_recipient(self) -> None:
        (report,) = self.ask(self.wire(self.answer(self.settled)))

        assert report.status is Status.DELIVERED
        assert (report.provider_ref, report.to) == (self.asked.provider_ref, self.asked.to)

    def test_no_report_yet_is_no_report_and_no_error(self) -> None:
        for body in self.no_report_yet:
            assert self.ask(self.wire(self.answer(body))) == [], body

    def test_a_status_that_is_not_in_their_list_is_kept_without_one_of_ours(self) -> None:
        code, body = self.unlisted_status

        (report,) = self.ask(self.wire(self.answer(body)))

        assert report.status is None
        assert report.provider_code == code


class CancelsContract(QuestionContract):
    """`settled` says that the message was canceled."""

    to_cancel: ClassVar[Ask]
    points_returned: ClassVar[Decimal | None] = None
    too_late: ClassVar[tuple[bytes, ...]]

    def ask(self, wire: Wire) -> Decimal | Refusal | None:
        provider = self.provider()
        assert isinstance(provider, Cancels)
        return provider.cancel(self.to_cancel, wire)

    def test_what_can_be_canceled_can_be_scheduled(self) -> None:
        assert self.provider_class.capabilities.schedule

    def test_a_confirmation_gives_the_points_where_they_are_told(self) -> None:
        assert self.ask(self.wire(self.answer(self.settled))) == self.points_returned

    def test_too_late_is_said_with_the_reason(self) -> None:
        for body in self.too_late:
            refusal = self.ask(self.wire(self.answer(body)))

            assert isinstance(refusal, Refusal), body
            assert refusal.problem


class CreditContract(QuestionContract):
    """`settled` says how much is left."""

    credit_left: ClassVar[Decimal]

    def ask(self, wire: Wire) -> Decimal:
        provider = self.provider()
        assert isinstance(provider, TellsCredit)
        return provider.credit(wire)

    def test_the_credit_is_what_they_say(self) -> None:
        assert self.ask(self.wire(self.answer(self.settled))) == self.credit_left


class RepliesPollingContract(QuestionContract):
    """`settled` holds replies."""

    day: ClassVar[date]
    replies: ClassVar[list[Reply]]
    no_replies: ClassVar[bytes]

    def ask(self, wire: Wire) -> list[Reply]:
        provider = self.provider()
        assert isinstance(provider, PollsReplies)
        return list(provider.replies_of(self.day, wire))

    def test_who_polls_can_send_two_way_messages(self) -> None:
        assert self.provider_class.capabilities.two_way

    def test_every_reply_is_read(self) -> None:
        assert self.ask(self.wire(self.answer(self.settled))) == self.replies

    def test_asked_again_the_same_reply_has_the_same_key_and_no_other_has_it(self) -> None:
        first = [reply.key for reply in self.ask(self.wire(self.answer(self.settled)))]
        again = [reply.key for reply in self.ask(self.wire(self.answer(self.settled)))]

        assert first == again
        assert len(set(first)) == len(first)

    def test_a_day_without_replies_is_no_error(self) -> None:
        assert self.ask(self.wire(self.answer(self.no_replies))) == []


class ReceiptsContract(Contract):
    receipt: ClassVar[Callback]
    reports: ClassVar[list[Report]]
    unlisted_receipt: ClassVar[tuple[str, Callback]]
    unwanted: ClassVar[tuple[Callback, ...]] = ()  # the person wants no such messages, in each way they have to say so
    probes: ClassVar[tuple[Callback, ...]] = (Callback("GET", "", ""), Callback("HEAD", "", ""))
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, callback: Callback) -> list[Report]:
        assert issubclass(self.provider_class, ReadsReceipts)
        return self.provider_class.read_receipts(callback)

    def read_or_refuse(self, callback: Callback) -> list[Report]:
        """Whatever comes, it is read, or refused in one of the ways that are expected."""
        try:
            return self.read(callback)
        except UNREADABLE:
            return []

    def test_a_receipt_is_read(self) -> None:
        assert self.read(self.receipt) == self.reports

    def test_a_receipt_is_acknowledged_with_their_exact_bytes(self) -> None:
        assert issubclass(self.provider_class, ReadsReceipts)
        assert self.provider_class.acknowledge(self.receipt) == self.acknowledgement

    def test_a_probe_carries_no_report(self) -> None:
        for probe in self.probes:
            assert self.read(probe) == []

    def test_a_code_that_is_not_in_their_list_is_kept_without_a_status(self) -> None:
        code, callback = self.unlisted_receipt

        (report,) = self.read(callback)

        assert report.status is None
        assert report.provider_code == code

    def test_who_wants_no_messages_is_told_apart_from_who_cannot_be_reached(self) -> None:
        told = [report for callback in self.unwanted for report in self.read(callback)]

        assert [(report.unwanted, report.status) for report in told] == [(True, Status.UNDELIVERED)] * len(told)
        assert {report.reason and report.reason.code for report in told} <= {Code.BLOCKED_BY_RECIPIENT}
        assert len(told) == len(self.unwanted)
        assert not any(report.unwanted for report in self.read(self.receipt))

    def test_a_receipt_that_was_cut_anywhere_never_tells_of_another_message(self) -> None:
        known = {report.provider_ref for report in self.reports}
        for length in range(len(self.receipt.query)):
            for report in self.read_or_refuse(replace(self.receipt, query=self.receipt.query[:length])):
                assert report.provider_ref in known, length
        for length in range(len(self.receipt.body)):
            for report in self.read_or_refuse(replace(self.receipt, body=self.receipt.body[:length])):
                assert report.provider_ref in known, length

    @given(query=st.text(max_size=200), body=st.binary(max_size=200))
    @anything
    def test_whatever_comes_is_read_or_refused(self, query: str, body: bytes) -> None:
        for callback in (replace(self.receipt, query=query), replace(self.receipt, body=body, query="")):
            for report in self.read_or_refuse(callback):
                assert report.status is None or report.provider_ref

    @given(data=st.data())
    @anything
    def test_a_damaged_receipt_is_read_or_refused(self, data: st.DataObject) -> None:
        query, body = bytearray(self.receipt.query.encode()), bytearray(self.receipt.body)
        for damaged in (query, body):
            at = data.draw(st.integers(0, len(damaged)))
            damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

        self.read_or_refuse(replace(self.receipt, query=query.decode("latin-1"), body=bytes(body)))

    def test_neither_number_nor_text_is_shown(self) -> None:
        shown = repr(self.receipt) + repr(self.read(self.receipt))

        assert not any(report.to and report.to[4:] in shown for report in self.reports)


class RepliesContract(Contract):
    """Replies that are sent to a URL of ours."""

    reply: ClassVar[Callback]
    replies: ClassVar[list[Reply]]
    no_reply: ClassVar[tuple[Callback, ...]]  # calls that say something, but nothing that could be a reply
    probes: ClassVar[tuple[Callback, ...]] = (Callback("GET", "", ""), Callback("HEAD", "", ""))
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def reader(self) -> type[ReadsReplies]:
        assert issubclass(self.provider_class, ReadsReplies)
        return self.provider_class

    def read(self, callback: Callback) -> list[Reply]:
        return self.reader().read_replies(callback)

    def read_or_refuse(self, callback: Callback) -> list[Reply]:
        """Whatever comes, it is read, or refused in one of the ways that are expected."""
        try:
            return self.read(callback)
        except UNREADABLE:
            return []

    def test_the_registered_provider_reads_replies_and_can_send_what_they_answer(self) -> None:
        registered = PROVIDERS[self.provider_class.key]

        assert registered is self.provider_class
        assert issubclass(registered, ReadsReplies)
        assert registered.capabilities.two_way

    def test_a_reply_is_read(self) -> None:
        assert self.read(self.reply) == self.replies

    def test_a_reply_is_acknowledged_with_their_exact_bytes(self) -> None:
        assert self.reader().acknowledge_reply(self.reply) == self.acknowledgement

    def test_a_probe_carries_no_reply(self) -> None:
        for probe in self.probes:
            assert self.read(probe) == []

    def test_what_is_no_reply_is_not_taken_for_one(self) -> None:
        for callback in self.no_reply:
            with pytest.raises(UNREADABLE):
                self.read(callback)

    def test_a_reply_is_not_taken_for_a_receipt(self) -> None:
        assert issubclass(self.provider_class, ReadsReceipts)
        try:
            assert self.provider_class.read_receipts(self.reply) == []
        except UNREADABLE:
            # Where both come to one URL, a reply must be no trouble to who looks for receipts.
            assert not self.reader().replies_to_receipts

    @given(query=st.text(max_size=200), body=st.binary(max_size=200))
    @anything
    def test_whatever_comes_is_read_or_refused(self, query: str, body: bytes) -> None:
        for callback in (replace(self.reply, query=query), replace(self.reply, body=body, query="")):
            self.is_whole(self.read_or_refuse(callback))

    @given(data=st.data())
    @anything
    def test_a_damaged_reply_is_read_or_refused(self, data: st.DataObject) -> None:
        query, body = bytearray(self.reply.query.encode()), bytearray(self.reply.body)
        for damaged in (query, body):
            at = data.draw(st.integers(0, len(damaged)))
            damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

        self.is_whole(self.read_or_refuse(replace(self.reply, query=query.decode("latin-1"), body=bytes(body))))

    def is_whole(self, replies: list[Reply]) -> None:
        """It says who, can be known again and can be stored."""
        for reply in replies:
            assert reply.provider == self.provider_class.key
            assert reply.sender
            assert reply.key
            assert (reply.sender + reply.key + reply.text).encode()

    def test_neither_number_nor_text_is_shown(self) -> None:
        shown = repr(self.reply) + repr(self.read(self.reply))

        assert not any(reply.sender[4:] in shown or reply.text in shown for reply in self.replies)
