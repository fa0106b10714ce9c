"""Meteorsis, shown by the lines and bytes of its document (SMTTP API 說明書 2.1, 2024-03-26)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.simulators.base import Closes, Hangs, Says, Step
from local.simulators.meteorsis import Meteorsis as Simulator
from smsgate.clock import MINUTE
from smsgate.messages import Attempt, Dispatch, Lane, Message, Report, TooLong
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import UNREADABLE, Cancels, MailAnswer, PollsReplies, Queries, ReadsReplies, TellsCredit
from smsgate.providers.meteorsis import Meteorsis
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from smsgate.wire import Callback, InboundMail, MailRequest, MailResponse, SmtpServer
from smstransports.mail import MailTransport, rendered
from tests.providers.contract import (
    BROKEN,
    NOW,
    NUMBER,
    PASSWORD,
    TEXT,
    BasicsContract,
    ReceiptsContract,
    Wire,
    anything,
    hello,
)
from tests.providers.server_contract import ServerContract

ACCOUNT: Mapping[str, object] = {
    "username": "test",
    "password": PASSWORD,
    "mail_from": "gateway@sms.example",
    "sender": "meteorsis",
}
REQUEST = "abcdefghijklmnopqrstuvwx"
HONG_KONG, MACAU, CHINA = "+85261234567", "+85366123456", "+8613812345678"

RECEIPT = (  # section 6.1
    "smsdid=123456&recipient=85299887766&senderid=meteorsis&content=4F60597D&dos=2011-12-31%2008:30:12"
    "&smsdstatus=22&smsderrorcode=300&charged=1"
)
UNWANTED = RECEIPT.replace("smsdstatus=22&smsderrorcode=300", "smsdstatus=21&smsderrorcode=307")


class TestBasics(BasicsContract):
    provider_class = Meteorsis
    account = ACCOUNT
    required = ("username", "password", "mail_from")


RECEIPT_READ = [
    Report(
        status=Status.DELIVERED,
        reason=None,
        provider_code="22/300",
        provider_time="2011-12-31 08:30",
        provider_ref="123456",
        to="+85299887766",
        points=Decimal(1),
    )
]


class TestReceipts(ReceiptsContract):
    provider_class = Meteorsis
    account = ACCOUNT
    receipt = Callback("GET", "", RECEIPT)
    reports = RECEIPT_READ
    unlisted_receipt = ("99/300", replace(receipt, query=RECEIPT.replace("smsdstatus=22", "smsdstatus=99")))
    unwanted = (replace(receipt, query=UNWANTED),)


# What goes out


def to_all(*numbers: str, **fields: Any) -> tuple[Message, ...]:
    return tuple(hello(message_id=f"{REQUEST}-{n}", to=number, **fields) for n, number in enumerate(numbers, 1))


def mail_of(*messages: Message, now: datetime = NOW, **account: Any) -> MailRequest:
    """The mail that carries these messages."""
    wire = Wire([MailResponse()])
    Meteorsis({**ACCOUNT, **account}).send(Dispatch("meteorsis", messages, now), wire)
    (request,) = wire.requests
    assert isinstance(request, MailRequest)
    return request


def line(name: str, *messages: Message, now: datetime = NOW, **account: Any) -> str:
    (found,) = [each for each in mail_of(*messages, now=now, **account).lines if each.startswith(f"[{name}]=")]
    return found.removeprefix(f"[{name}]=")


def test_a_chinese_text_to_many_is_the_first_example_line_by_line() -> None:
    messages = to_all("+85299999999", "+85399999999", "+8611223344556", text="你好嗎?a")

    request = mail_of(*messages, password="secret")

    assert request.lines == (
        "[USERNAME]=test",
        "[PASSWORD]=secret",
        "[RECIPIENT]=85299999999,85399999999,8611223344556",
        "[CONTENT]=4F60597D55CE003F0061",
        "[LANG_ENG]=0",
        "[SCHEDULING]=now",
        "[SENDERID]=meteorsis",
    )
    assert (request.mail_from, request.mail_to) == ("gateway@sms.example", "sendsms@meteorsis.com")


def test_a_scheduled_english_text_to_one_is_the_second_example_line_by_line() -> None:
    message = hello(to=HONG_KONG, text="Happy new year!", send_at=datetime(2006, 12, 31, 15, 59, tzinfo=UTC))

    request = mail_of(message, now=datetime(2006, 12, 1, tzinfo=UTC), password="secret")

    assert request.lines == (
        "[USERNAME]=test",
        "[PASSWORD]=secret",
        "[RECIPIENT]=85261234567",
        "[CONTENT]=Happy new year!",
        "[LANG_ENG]=1",
        "[SCHEDULING]=2006-12-31 23:59",
        "[SENDERID]=meteorsis",
    )


def test_the_whole_mail_is_plain_ascii_with_nothing_of_the_callers_in_its_headers() -> None:
    raw = rendered(mail_of(hello(text="驗證碼 123456", label="label", name="name", context=(("key", "value"),))))

    mail = message_from_bytes(raw)
    assert raw.isascii()
    assert mail.get_content_type() == "text/plain"
    assert mail["Content-Transfer-Encoding"] == "7bit"
    assert b"=3D" not in raw
    assert sorted(mail.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    )
    assert len(raw.split(b"\r\n\r\n", 1)[1].splitlines()) == 7


def test_the_address_of_the_gateway_is_a_setting() -> None:
    assert mail_of(hello(), mail_to="test@meteorsis.example").mail_to == "test@meteorsis.example"


@pytest.mark.parametrize(
    ("text", "content", "language"),
    [
        ("Hello", "Hello", "1"),
        ("It's 5 o'clock, isn't it? (Yes!) #1 & 50% @home; a_b-c/d:e=f", None, "1"),
        ("[Acme] {code} ~ ^ | \\ 123456", None, "1"),
        ("你好嗎?a", "4F60597D55CE003F0061", "0"),
        ("é", "00E9", "0"),
        ("a\nb", "0061000A0062", "0"),
        ("a\r\nb", "0061000A0062", "0"),
        (" a", "00200061", "0"),
        ("a ", "00610020", "0"),
        ("`", "0060", "0"),
        ("😀", "D83DDE00", "0"),
        ("𠮷", "D842DFB7", "0"),
        ("[RECIPIENT]=1", "005B0052004500430049005000490045004E0054005D003D0031", "0"),
    ],
)
def test_english_goes_as_text_and_everything_else_as_utf_16_in_upper_case_hex(
    text: str, content: str | None, language: str
) -> None:
    message = hello(text=text)

    assert line("CONTENT", message) == (content or text)
    assert line("LANG_ENG", message) == language


@given(text=st.text(max_size=250))
@example("a\rb")
@example("a\x85b")
@example("a\u2028[RECIPIENT]=1")
@anything
def test_whatever_the_text_there_are_seven_lines_of_printable_ascii(text: str) -> None:
    lines = mail_of(hello(text=text)).lines

    assert [each.partition("=")[0] for each in lines] == [
        "[USERNAME]", "[PASSWORD]", "[RECIPIENT]", "[CONTENT]", "[LANG_ENG]", "[SCHEDULING]", "[SENDERID]",
    ]  # fmt: skip
    assert all(each.isascii() and each.isprintable() for each in lines)


# Recipients


def test_eighty_two_numbers_of_eleven_digits_fill_a_line() -> None:
    messages = [hello(message_id=f"{REQUEST}-{n}", to=f"+8526{n:07}") for n in range(82)]

    recipients = mail_of(*messages).lines[2]

    assert Meteorsis.capabilities.recipients_per_call == 82
    assert len({Meteorsis.group(message) for message in messages}) == 1
    assert len(recipients) == 995
    assert recipients.count(",") == 81


@pytest.mark.parametrize("number", ["+8526{:07}", "+886{:09}", "+86138{:08}", "+49{:013}"])
def test_no_line_of_a_group_is_longer_than_a_line_of_a_mail_may_be(number: str) -> None:
    messages = [hello(message_id=f"{REQUEST}-{n}", to=number.format(n)) for n in range(1, 1001)]
    groups: dict[Any, list[Message]] = {}
    for message in messages:
        groups.setdefault(Meteorsis.group(message), []).append(message)

    assert max(len(group) for group in groups.values()) <= 82
    for group in groups.values():
        request = mail_of(*group)
        assert max(len(each) for each in request.lines) <= 998
        assert rendered(request)


@pytest.mark.parametrize(
    "other",
    [
        {"message_id": "zbcdefghijklmnopqrstuvwx-1"},
        {"text": "another"},
        {"sender": "Acme"},
        {"send_at": NOW + timedelta(hours=1)},
        {"lane": Lane.BULK},
        {"to": HONG_KONG},
        {"message_id": f"{REQUEST}-82"},
        {"attempts": (Attempt("meteorsis", NOW, "not_sent"), Attempt("meteorsis", NOW, "calling"))},
    ],
)
def test_what_differs_travels_apart(other: Mapping[str, Any]) -> None:
    assert Meteorsis.group(hello()) != Meteorsis.group(replace(hello(), **other))


def test_what_differs_in_nothing_that_is_sent_travels_together() -> None:
    first = hello(attempts=(Attempt("meteorsis", NOW, "calling"),))
    second = replace(first, message_id=f"{REQUEST}-7", to="+886987654321", name="Wang")

    assert Meteorsis.group(first) == Meteorsis.group(second)


@pytest.mark.parametrize("number", ["+1234567", "+1234567890123456", "+0852612345", "85261234567", "+852612345６７"])
def test_a_number_has_eight_to_fifteen_digits(number: str) -> None:
    refusal = Meteorsis.refusal(hello(to=number), NOW)

    assert refusal is not None
    assert refusal.reason.code is Code.INVALID_NUMBER


# Senders


def test_a_message_names_its_sender() -> None:
    assert line("SENDERID", hello(to=HONG_KONG, sender="Acme2026")) == "Acme2026"


def test_without_one_the_secrets_sender_is_shown() -> None:
    assert line("SENDERID", hello(to=HONG_KONG), sender="Default1") == "Default1"


def test_without_any_the_economy_line_carries_to_hong_kong() -> None:
    assert line("SENDERID", hello(to=HONG_KONG), sender=None) == "SMSNotice"


@pytest.mark.parametrize("sender", [None, "SMSNotice", "smsnotice"])
def test_without_any_nothing_is_sent_elsewhere(sender: str | None) -> None:
    wire = Wire([MailResponse()])

    (outcome,) = Meteorsis({**ACCOUNT, "sender": sender}).send(Dispatch("meteorsis", (hello(),), NOW), wire)

    assert wire.requests == []
    assert isinstance(outcome, Refused)
    assert outcome.reason.code is Code.UNSUPPORTED_FEATURE


@pytest.mark.parametrize("sender", ["A", "Acme2026", "abcdefghijk", "85261234567"[:11], "SMSNotice"])
def test_a_sender_of_up_to_eleven_letters_and_digits_is_taken(sender: str) -> None:
    assert Meteorsis.refusal(hello(to=HONG_KONG, sender=sender), NOW) is None


@pytest.mark.parametrize(
    "sender",
    ["", "abcdefghijkl", "Acme Ltd", "Acme-1", "#Acme", "#", "慧昇", "Acme\n", "Acme\r[DNCR]=0", "+85261234567"],
)
def test_any_other_sender_is_refused_by_name(sender: str) -> None:
    refusal = Meteorsis.refusal(hello(to=HONG_KONG, sender=sender), NOW)

    assert refusal is not None
    assert refusal.reason.code is Code.UNSUPPORTED_FEATURE
    assert "`sender`" in refusal.problem


@pytest.mark.parametrize(("to", "taken"), [(HONG_KONG, True), (NUMBER, False), (MACAU, False), (CHINA, False)])
def test_the_economy_line_is_for_hong_kong_only(to: str, taken: bool) -> None:
    refusals = [Meteorsis.refusal(hello(to=to, sender=sender), NOW) for sender in ("SMSNotice", "smsnotice")]

    assert [refusal is None for refusal in refusals] == [taken, taken]


def test_the_economy_line_is_written_as_the_vendor_writes_it() -> None:
    assert line("SENDERID", hello(to=HONG_KONG, sender="SMSNOTICE")) == "SMSNotice"


# The do-not-call register


@pytest.mark.parametrize(
    ("dncr", "lane", "eighth"),
    [
        (True, Lane.BULK, ("[DNCR]=1",)),
        (True, Lane.URGENT, ("[DNCR]=0",)),
        (False, Lane.BULK, ()),
        (False, Lane.URGENT, ()),
    ],
)
def test_the_register_is_asked_about_campaigns_where_the_secret_says_so(
    dncr: bool, lane: Lane, eighth: tuple[str, ...]
) -> None:
    assert mail_of(hello(lane=lane), dncr=dncr).lines[7:] == eighth


# Time


@pytest.mark.parametrize(
    ("send_at", "scheduling"),
    [
        ("2026-11-20T14:00:00+08:00", "2026-11-20 14:00"),
        ("2026-11-20T14:00:00.000001+08:00", "2026-11-20 14:01"),
        ("2026-11-20T14:00:59+08:00", "2026-11-20 14:01"),
        ("2026-11-20T23:59:59+08:00", "2026-11-21 00:00"),
        ("2026-12-31T23:59:30+08:00", "2027-01-01 00:00"),
        ("2028-02-28T23:59:01+08:00", "2028-02-29 00:00"),
        ("2026-11-20T06:30:00+00:00", "2026-11-20 14:30"),
        ("2026-11-20T10:30:00-09:30", "2026-11-21 04:00"),
        ("2026-11-20T12:00:30+08:00", "2026-11-20 12:02"),  # a mail takes its time
        ("2026-11-20T12:01:00+08:00", "2026-11-20 12:02"),
        ("2026-11-20T12:02:01+08:00", "2026-11-20 12:03"),
        ("2026-11-20T12:00:00+08:00", "now"),
        ("2026-11-20T11:59:59+08:00", "now"),
    ],
)
def test_a_scheduled_time_is_rounded_up_to_the_minute_in_hong_kong(send_at: str, scheduling: str) -> None:
    assert line("SCHEDULING", hello(send_at=datetime.fromisoformat(send_at))) == scheduling


@pytest.mark.parametrize(
    ("now", "send_at", "taken"),
    [
        ("2026-11-20T12:00:00+08:00", "2031-11-20T12:00:00+08:00", True),
        ("2026-11-20T12:00:00+08:00", "2031-11-20T12:00:01+08:00", False),
        ("2026-11-20T12:00:30+08:00", "2031-11-20T12:00:00+08:00", True),
        ("2026-11-20T12:00:30+08:00", "2031-11-20T12:00:30+08:00", False),  # it would be rounded up
        ("2028-02-29T12:00:00+08:00", "2033-02-28T12:00:00+08:00", True),
        ("2028-02-29T12:00:00+08:00", "2033-03-01T12:00:00+08:00", False),
        ("2026-11-20T12:00:00+08:00", "9999-12-31T23:59:59+08:00", False),
        ("2026-11-20T12:00:00+08:00", "9999-12-31T23:59:59-12:00", False),
    ],
)
def test_a_schedule_is_within_five_years(now: str, send_at: str, taken: bool) -> None:
    refusal = Meteorsis.refusal(hello(send_at=datetime.fromisoformat(send_at)), datetime.fromisoformat(now))

    assert (refusal is None) == taken
    assert refusal is None or refusal.reason.code is Code.SCHEDULE_INVALID


# What a text costs, and what cannot be sent


@pytest.mark.parametrize(
    ("text", "to", "parts", "encoding"),
    [
        # Section 7.4, typed out again: at each limit, and one beyond.
        ("中" * 70, HONG_KONG, 1, "Unicode"),
        ("中" * 71, HONG_KONG, 2, "Unicode"),
        ("中" * 134, HONG_KONG, 2, "Unicode"),
        ("中" * 135, HONG_KONG, 3, "Unicode"),
        ("中" * 201, HONG_KONG, 3, "Unicode"),
        ("中" * 202, HONG_KONG, 4, "Unicode"),
        ("a" * 160, HONG_KONG, 1, "ASCII"),
        ("a" * 161, HONG_KONG, 2, "ASCII"),
        ("a" * 306, HONG_KONG, 2, "ASCII"),
        ("a" * 307, HONG_KONG, 3, "ASCII"),
        ("a" * 459, HONG_KONG, 3, "ASCII"),
        ("a" * 460, HONG_KONG, 4, "ASCII"),
        ("中" * 70, NUMBER, 1, "Unicode"),
        ("a" * 161, MACAU, 2, "ASCII"),
        *(
            (character * length, CHINA, parts, encoding)
            for character, encoding in (("中", "Unicode"), ("a", "ASCII"))
            for length, parts in (
                (1, 1), (62, 1), (63, 2), (120, 2), (121, 3), (180, 3), (181, 4), (240, 4), (241, 5), (300, 5),
                (301, 6), (360, 6), (361, 7), (420, 7), (421, 8), (459, 8), (460, 9), (600, 10),
            )
        ),
        ("a" * 69 + "é", HONG_KONG, 1, "Unicode"),
        ("𠮷" * 35, HONG_KONG, 1, "Unicode"),
        ("𠮷" * 36, HONG_KONG, 2, "Unicode"),
        ("a\r\n" * 35, HONG_KONG, 1, "Unicode"),
    ],
)  # fmt: skip
def test_a_text_has_as_many_parts_as_section_7_4_says(text: str, to: str, parts: int, encoding: str) -> None:
    measure = Meteorsis.measure(hello(text=text, to=to))

    assert (measure.parts, measure.points, measure.encoding) == (parts, Decimal(parts), encoding)


def refused(message: Message) -> tuple[Code, str] | None:
    refusal = Meteorsis.refusal(message, NOW)
    return None if refusal is None else (refusal.reason.code, refusal.problem)


@pytest.mark.parametrize(
    ("text", "to"),
    [("a" * 459, HONG_KONG), ("中" * 201, HONG_KONG), ("a" * 459, CHINA), ("中" * 247, CHINA), ("𠮷" * 100, NUMBER)],
)
def test_a_long_text_is_carried_up_to_the_documents_limits(text: str, to: str) -> None:
    message = hello(text=text, to=to)

    assert refused(message) is None
    assert rendered(mail_of(message))


@pytest.mark.parametrize(
    ("text", "to", "problem"),
    [
        ("a" * 460, HONG_KONG, "`text` takes 4 parts, and Meteorsis sends at most 3: shorten it"),
        ("中" * 202, HONG_KONG, "`text` takes 4 parts, and Meteorsis sends at most 3: shorten it"),
        ("a" * 460, CHINA, "`text` takes 9 parts, and Meteorsis sends at most 8: shorten it"),
        ("中" * 460, CHINA, "`text` takes 9 parts, and Meteorsis sends at most 8: shorten it"),
        (
            "𠮷" * 124,
            CHINA,
            "`text` is longer than the 247 characters with Chinese that a line of a mail holds: shorten it",
        ),
        # The document allows 459, which no line of a mail holds: 4 * 459 + 10 is more than 998.
        (
            "中" * 248,
            CHINA,
            "`text` is longer than the 247 characters with Chinese that a line of a mail holds: shorten it",
        ),
    ],
)
def test_a_longer_text_is_too_long(text: str, to: str, problem: str) -> None:
    assert refused(hello(text=text, to=to)) == (Code.TOO_LONG, problem)


@pytest.mark.parametrize(
    ("text", "to", "fits"),
    [
        ("a" * 160, HONG_KONG, True),
        ("a" * 161, HONG_KONG, False),
        ("中" * 70, HONG_KONG, True),
        ("中" * 71, HONG_KONG, False),
        ("a" * 62, CHINA, True),
        ("a" * 63, CHINA, False),
    ],
)
def test_who_wants_one_part_gets_no_second(text: str, to: str, fits: bool) -> None:
    refusal = refused(hello(text=text, to=to, too_long=TooLong.REJECT))

    assert refusal is None if fits else refusal is not None and refusal[0] is Code.TOO_LONG


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        *(
            ({"text": f"a{character}b"}, Code.UNSUPPORTED_CHARACTER, f"U+{ord(character):04X}")
            for character in "\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\t\x1b\x7f\ud800"
        ),
    ],
)
def test_what_meteorsis_cannot_send_is_refused_with_the_field_and_the_remedy(
    fields: dict[str, Any], code: Code, named: str
) -> None:
    refusal = refused(hello(**fields))

    assert refusal is not None
    assert refusal[0] is code
    assert named in refusal[1]


@pytest.mark.parametrize("text", ["😀 👨‍👩‍👧", "「全形」，。！", "한국어", "ไทย", "\n", "𠮷野家"])
def test_unicode_carries_all_languages(text: str) -> None:
    assert refused(hello(text=text)) is None


# What a mail that went out means, and one that did not


def outcomes_of(answer: MailResponse | NotSent | MaybeSent, *messages: Message) -> tuple[Outcome, ...]:
    provider = Meteorsis(ACCOUNT)
    return provider.send(Dispatch("meteorsis", messages or (hello(),), NOW), Wire([answer]))


def test_a_mail_that_was_taken_over_waits_for_its_answer() -> None:
    (outcome,) = outcomes_of(MailResponse())

    assert isinstance(outcome, MaybeSent)
    assert outcome.reason.code is Code.NO_REPLY
    assert outcome.evidence_within == timedelta(minutes=15)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_mail_that_broke_means_what_the_wire_says(broken: NotSent | MaybeSent) -> None:
    assert outcomes_of(broken) == (broken,)


def test_there_is_one_outcome_for_each_message() -> None:
    for answer in (MailResponse(), *BROKEN):
        assert len(outcomes_of(answer, *to_all(NUMBER, "+886912345679", "+886912345670"))) == 3


def test_neither_password_nor_text_nor_number_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider = Meteorsis({**ACCOUNT, "smtp": {"host": "h.example", "username": "canary", "password": "canary"}})
    shown = [repr(provider), str(provider)]

    for answer in (MailResponse(), *BROKEN):
        wire = Wire([answer])
        shown.append(repr(provider.send(Dispatch("meteorsis", (hello(),), NOW), wire)))
        shown += [repr(request) for request in wire.requests]

    for secret in (PASSWORD, TEXT, "canary", NUMBER, NUMBER[4:]):
        assert secret not in "\n".join([*shown, caplog.text])


# The answer, by mail


def subject_of(*messages: Message) -> str:
    return mail_of(*messages).subject


def at_attempt(number: int, position: int = 1) -> Message:
    attempts = tuple(Attempt("meteorsis", NOW, "not_sent") for _ in range(number))
    return hello(message_id=f"{REQUEST}-{position}", attempts=attempts)


def answers(text: str, *messages: Message) -> list[MailAnswer]:
    return Meteorsis.read_mail(InboundMail(subject_of(*(messages or (at_attempt(1),))), text))


ONE = f"{REQUEST}-1"


def test_the_subject_is_the_messages_id_and_its_attempt() -> None:
    assert subject_of(at_attempt(1)) == f"{ONE}-1"
    assert subject_of(at_attempt(12, 10_000)) == f"{REQUEST}-10000-12"


@given(start=st.integers(0, 121), chosen=st.sets(st.integers(0, 81), min_size=1), data=st.data())
@settings(parent=anything)
def test_the_subject_tells_which_messages_of_a_block_the_mail_carries(
    start: int, chosen: set[int], data: st.DataObject
) -> None:
    messages = [at_attempt(1, start * 82 + place) for place in sorted(chosen)]
    shuffled = data.draw(st.permutations(messages))
    request = mail_of(*shuffled)
    references = [str(10_000 + place) for place in range(len(messages))]

    read = Meteorsis.read_mail(InboundMail(request.subject, f"SMSDID:{','.join(references)}"))

    assert rendered(request)  # which takes no subject longer than 64
    assert read == [
        MailAnswer(message.message_id, 1, Accepted(reference))
        for message, reference in zip(messages, references, strict=True)
    ]


def test_each_recipient_of_the_line_has_its_own_reference() -> None:
    numbers = ["+85261111111", "+85262222222", "+85263333333"]
    messages = to_all(*numbers, text="hi")

    request = mail_of(messages[2], messages[0], messages[1])
    read = Meteorsis.read_mail(InboundMail(request.subject, "SMSDID:10001,10002,10003"))

    assert request.lines[2] == "[RECIPIENT]=85261111111,85262222222,85263333333"
    assert [(answer.message_id, answer.outcome) for answer in read] == [
        (f"{REQUEST}-1", Accepted("10001")),
        (f"{REQUEST}-2", Accepted("10002")),
        (f"{REQUEST}-3", Accepted("10003")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "SMSDID:123456",
        "SMSDID:123456\r\n",
        "SMSDID:123456 <https://www.example.com/>",
        "<SMSDID:123456>".removeprefix("<"),
        "SMSDID:123456.",
        "\r\n  SMSDID:123456\r\n\r\nRegards\r\n",
        "[SMSDID:123456]",
        "[SMSDID:123456](#)",
        "*SMSDID:123456*",
        "SMSDID: 123456",
        "SMSDID : 123456 ",
        "SMSDID:\r\n123456",
        "Dear customer\nSMSDID:123456\nThank you",
        "SMSDID:123456\nSMSDID:123456",  # the same twice is one answer
        "\u3000SMSDID:123456\u3000",
    ],
)
def test_an_acceptance_is_read_however_it_is_wrapped(text: str) -> None:
    assert answers(text) == [MailAnswer(ONE, 1, Accepted("123456"))]


@pytest.mark.parametrize(
    "text",
    [
        "[SMSDID:10001,10002,10003](#)",
        "SMSDID:10001, 10002, 10003",
        "SMSDID:10001,\r\n10002,\r\n10003\r\n",
        "SMSDID:10001 , 10002 ,10003 .",
    ],
)
def test_references_of_a_list_are_read_however_they_are_written(text: str) -> None:
    read = answers(text, *to_all("+85261111111", "+85262222222", "+85263333333"))

    assert [answer.outcome for answer in read] == [Accepted("10001"), Accepted("10002"), Accepted("10003")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SMSDID:",
        "SMSDID:abc",
        "SMSDID:123456x",
        "SMSDID:1234\x0056",
        "SMSDID:1234\x1c56",
        "SMSDID:1234\x7f56",
        "SMSDID:1234\ufffd56",
        "SMSDID:1234\u200b56",
        "SMSDID:1234.56",
        "SMSDID:1234-56",
        "SMSDID:1234%2056",
        "SMSDID:123456,",
        "SMSDID:123456,x",
        "SMSDID:123456,123457",
        "SMSDID:" + "1" * 21,
        "SMSDID:１２３４５６",
        "SMSDID:-123456",
        "SMSDID:123456\nSMSDID:123457",
        "SMSDID:123456\nERROR:16",
        "ERROR:16\nERROR:17",
        "ERROR:",
        "ERROR:abc",
        "ERROR:12345",
        "ERROR:3x",
        "ERROR:1.6",
        "ERROR:1\x006",
        "error:3",
        "[CONTENT]=SMSDID:123456",
        "[CONTENT]=ERROR:3",
        "your SMSDID:123456",
        "Undelivered Mail Returned to Sender",
        "\0" * 100,
    ],
)
def test_what_is_not_one_clear_answer_is_none(text: str) -> None:
    with pytest.raises(UNREADABLE):
        answers(text)


@pytest.mark.parametrize(
    "text", ["SMSDID:10001,10002", "SMSDID:10001,10002,10003,10004", "SMSDID:10001,10001,10002", "SMSDID:10001"]
)
def test_a_list_has_as_many_references_as_recipients_and_each_its_own(text: str) -> None:
    with pytest.raises(UNREADABLE):
        answers(text, *to_all("+85261111111", "+85262222222", "+85263333333"))


@pytest.mark.parametrize(
    "subject",
    [
        f"{ONE}-1",
        f"Re: {ONE}-1",
        f"SMS result [{ONE}-1]",
        f"{ONE}-1 {ONE}-1",
        f"=?UTF-8?Q?no?= {ONE}-1",
    ],
)
def test_our_words_are_found_in_the_subject_of_the_answer(subject: str) -> None:
    assert Meteorsis.read_mail(InboundMail(subject, "SMSDID:1")) == [MailAnswer(ONE, 1, Accepted("1"))]


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "SMS result",
        REQUEST,
        ONE,
        f"x{ONE}-1",
        f"{ONE}-1x",
        f"{ONE}-1-0",
        f"{ONE}-1-01",
        f"{ONE}-1-{'f' * 22}",
        f"{ONE}-1-g",
        f"{REQUEST}-123456-1",
        f"{REQUEST}--1-1",
        f"{REQUEST.upper()}-1-1",
        f"{ONE}-1 {REQUEST}-2-1",
        f"{ONE}-１",
    ],
)
def test_a_subject_that_is_not_ours_is_none(subject: str) -> None:
    with pytest.raises(UNREADABLE):
        Meteorsis.read_mail(InboundMail(subject, "SMSDID:1"))


# Section 7.1, typed out again.
ERRORS: Mapping[str, Code] = {
    "1": Code.PROVIDER_ERROR,
    "2": Code.BAD_CREDENTIALS,
    "3": Code.ACCOUNT_DISABLED,
    "5": Code.SCHEDULE_INVALID,
    "6": Code.TOO_LONG,
    "8": Code.UNSUPPORTED_FEATURE,
    "16": Code.CREDIT_EXHAUSTED,
    "17": Code.INVALID_NUMBER,
    "18": Code.CONTENT_REFUSED,
    "20": Code.PROVIDER_ERROR,
    "22": Code.COUNTRY_NOT_ENABLED,
    "25": Code.UNSUPPORTED_FEATURE,
    "250": Code.PROVIDER_ERROR,
    "251": Code.BAD_CREDENTIALS,
    "252": Code.BAD_CREDENTIALS,
    "253": Code.INVALID_NUMBER,
    "254": Code.CONTENT_REFUSED,
    "255": Code.PROVIDER_ERROR,
    "256": Code.SCHEDULE_INVALID,
    "257": Code.UNSUPPORTED_FEATURE,
    "259": Code.PROVIDER_ERROR,
}


@pytest.mark.parametrize(("code", "reason"), ERRORS.items())
def test_every_error_of_section_7_1_is_a_refusal(code: str, reason: Code) -> None:
    assert answers(f"ERROR:{code} (XXXXXX)") == [MailAnswer(ONE, 1, Refused(Reason(reason, code, "XXXXXX")))]


@pytest.mark.parametrize("code", ["0", "4", "7", "9", "19", "21", "24", "258", "260", "999", "9999"])
def test_an_error_that_is_not_in_the_list_is_a_refusal_of_unknown_reason(code: str) -> None:
    assert answers(f"ERROR:{code} (XXXXXX)") == [MailAnswer(ONE, 1, Refused(Reason(Code.UNKNOWN, code, "XXXXXX")))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ERROR:3 (XXXXXX)", "XXXXXX"),
        ("[ERROR:3 (XXXXXX)](#)", "XXXXXX"),
        ("ERROR:3(XXXXXX)", "XXXXXX"),
        ("ERROR: 3", None),
        ("ERROR:3 ()", None),
        ("ERROR:3 (憑證已被停用)", "憑證已被停用"),
        ("ERROR:3 (85261234567)", "********567"),
        ("ERROR:3\r\n\r\nRegards", None),
    ],
)
def test_an_error_is_read_however_it_is_wrapped_and_its_words_kept_without_a_number(
    text: str, said: str | None
) -> None:
    assert answers(text) == [MailAnswer(ONE, 1, Refused(Reason(Code.ACCOUNT_DISABLED, "3", said)))]


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_that_one_of_many_is_enough_for_sends_each_of_them_again_alone(code: str) -> None:
    read = answers(f"ERROR:{code}", *to_all("+85261111111", "+85262222222"))

    expected = NotSent if code in {"17", "18", "22", "25", "253"} else Refused
    assert [type(answer.outcome) for answer in read] == [expected, expected]
    assert {answer.outcome.reason.code for answer in read if not isinstance(answer.outcome, Accepted)} == {ERRORS[code]}
    assert [answer.message_id for answer in read] == [f"{REQUEST}-1", f"{REQUEST}-2"]


@given(subject=st.text(max_size=120), text=st.text(max_size=300))
@example(f"{ONE}-1", "SMSDID:" + "1," * 5000)
@example(f"{ONE}-1", "[" * 50_000)
@example(f"{ONE}-1", "\n" * 50_000)
@example(f"{ONE}-1", "SMSDID:1,\n" * 5000)
@example(f"{ONE}-1", " " * 50_000 + "SMSDID")
@anything
def test_whatever_comes_by_mail_is_read_or_refused(subject: str, text: str) -> None:
    for carried in (subject, f"{ONE}-1", f"{subject}{ONE}-1"):
        for written in (text, f"SMSDID:{text}", f"ERROR:{text}"):
            try:
                read = Meteorsis.read_mail(InboundMail(carried, written))
            except UNREADABLE:
                continue
            assert all(answer.message_id.startswith(f"{REQUEST}-") for answer in read) or ONE not in carried


# Receipts

# Section 7.2, typed out again, with the cause 300 "不適用".
STATUSES: list[tuple[str, Status, Code | None]] = [
    ("1", Status.UNDELIVERED, Code.PROVIDER_ERROR),
    ("2", Status.SENT, None),
    ("3", Status.SCHEDULED, None),
    ("4", Status.SENT, None),
    ("19", Status.SENT, None),
    ("20", Status.EXPIRED, Code.EXPIRED),
    ("21", Status.UNDELIVERED, Code.UNREACHABLE),
    ("22", Status.DELIVERED, None),
]

# Section 7.3, typed out again.
CAUSES: list[tuple[str, Code]] = [
    ("301", Code.NO_REPORT),
    ("302", Code.INVALID_NUMBER),
    ("303", Code.INVALID_NUMBER),
    ("304", Code.UNREACHABLE),
    ("305", Code.HANDSET),
    ("306", Code.PROVIDER_ERROR),
    ("307", Code.BLOCKED_BY_RECIPIENT),
    ("308", Code.CREDIT_EXHAUSTED),
    ("309", Code.CONTENT_REFUSED),
    ("312", Code.BLOCKED_BY_RECIPIENT),
    ("315", Code.PROVIDER_ERROR),
    ("326", Code.CREDIT_EXHAUSTED),
]


def report_of(**fields: str | None) -> Report:
    told = dict(pair.split("=") for pair in RECEIPT.split("&")) | fields
    query = "&".join(f"{name}={value}" for name, value in told.items() if value is not None)
    (report,) = Meteorsis.read_receipts(Callback("GET", "", query))
    return report


@pytest.mark.parametrize(("said", "status", "reason"), STATUSES)
def test_every_status_of_section_7_2_is_understood(said: str, status: Status, reason: Code | None) -> None:
    for cause in ("300", "", None):
        report = report_of(smsdstatus=said, smsderrorcode=cause)

        code = f"{said}/{cause}" if cause else said
        assert (report.status, report.provider_code) == (status, code)
        assert report.reason == (Reason(reason, code) if reason else None)


@pytest.mark.parametrize(("cause", "reason"), CAUSES)
@pytest.mark.parametrize(
    ("said", "status"),
    [("1", Status.UNDELIVERED), ("19", Status.SENT), ("20", Status.EXPIRED), ("21", Status.UNDELIVERED)],
)
def test_every_cause_of_section_7_3_is_the_reason(said: str, status: Status, cause: str, reason: Code) -> None:
    report = report_of(smsdstatus=said, smsderrorcode=cause)

    assert (report.status, report.reason) == (status, Reason(reason, f"{said}/{cause}"))
    assert report.unwanted == (cause == "307")


@pytest.mark.parametrize("cause", [cause for cause, _ in CAUSES])
def test_delivered_and_why_it_was_not_is_neither(cause: str) -> None:
    report = report_of(smsdstatus="22", smsderrorcode=cause)

    assert (report.status, report.reason) == (None, Reason(Code.UNKNOWN, f"22/{cause}"))
    assert not report.unwanted


def test_a_cause_that_is_not_in_the_list_is_unknown_and_kept() -> None:
    failed, delivered = report_of(smsdstatus="21", smsderrorcode="999"), report_of(smsderrorcode="999")

    assert (failed.status, failed.reason) == (Status.UNDELIVERED, Reason(Code.UNKNOWN, "21/999"))
    assert (delivered.status, delivered.reason, delivered.provider_code) == (Status.DELIVERED, None, "22/999")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dos": "2011-12-31%2008:30"}, {}),
        ({"dos": "2011-12-31+08:30:59"}, {}),
        ({"dos": ""}, {"provider_time": None}),
        ({"dos": None}, {"provider_time": None}),
        ({"dos": "31/12/2011"}, {"provider_time": None}),
        ({"charged": "0.25"}, {"points": Decimal("0.25")}),
        ({"charged": "-1"}, {"points": None}),
        ({"charged": "NaN"}, {"points": None}),
        ({"charged": "1e9"}, {"points": None}),
        ({"charged": None}, {"points": None}),
        ({"recipient": "%2B85299887766"}, {}),
        ({"recipient": "+85299887766"}, {}),
        ({"recipient": "852****7766"}, {"to": None}),
        ({"recipient": None}, {"to": None}),
        ({"smsdid": "123456789012"}, {"provider_ref": "123456789012"}),
        ({"content": "zzzz", "senderid": "%00"}, {}),
        ({"content": None, "senderid": None}, {}),
        ({"more": "x"}, {}),
    ],
)
def test_a_receipt_may_be_written_a_little_differently(fields: dict[str, str | None], expected: dict[str, Any]) -> None:
    assert report_of(**fields) == replace(RECEIPT_READ[0], **expected)


def test_a_receipt_may_come_as_a_form() -> None:
    assert Meteorsis.read_receipts(Callback("POST", "", "", RECEIPT.encode())) == RECEIPT_READ


@pytest.mark.parametrize(
    "fields",
    [
        {"smsdid": None},
        {"smsdid": ""},
        {"smsdid": "abc"},
        {"smsdid": "１２３"},
        {"smsdid": "1" * 21},
        {"smsdid": "123456&smsdid=654321"},
        {"smsdstatus": None},
    ],
)
def test_what_is_no_receipt_is_not_taken_for_one(fields: dict[str, str | None]) -> None:
    with pytest.raises(UNREADABLE):
        report_of(**fields)


def test_a_thousand_parameters_are_no_receipt() -> None:
    query = "&".join(f"a{n}=1" for n in range(1000))

    with pytest.raises(UNREADABLE):
        Meteorsis.read_receipts(Callback("GET", "", f"{RECEIPT}&{query}"))


# The account


def test_without_a_server_of_its_own_the_mail_goes_by_ses() -> None:
    assert mail_of(hello()).server is None


@pytest.mark.parametrize(
    ("smtp", "server"),
    [
        ({"host": "mail.example"}, SmtpServer("mail.example", 587, starttls=True)),
        ({"host": "mail.example", "port": 465}, SmtpServer("mail.example", 465, starttls=True)),
        (
            {"host": "mail.example", "port": 2525, "starttls": True, "username": "u", "password": "p w"},
            SmtpServer("mail.example", 2525, starttls=True, username="u", password="p w"),
        ),
    ],
)
def test_a_server_of_its_own_is_asked_for_tls_unless_told_otherwise(
    smtp: Mapping[str, object], server: SmtpServer
) -> None:
    assert mail_of(hello(), smtp=smtp).server == server


def test_a_server_without_tls_needs_the_accounts_word() -> None:
    smtp = {"host": "mail.example", "port": 25, "starttls": False}
    with pytest.raises(ValueError, match="allow_http"):
        Meteorsis({**ACCOUNT, "smtp": smtp})

    server = mail_of(hello(), smtp=smtp, allow_http=True).server

    assert server == SmtpServer("mail.example", 25, starttls=False)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"username": "test\r\n[RECIPIENT]=85266666666"}, "username"),
        ({"username": " test"}, "username"),
        ({"password": "päss"}, "password"),
        ({"password": "pass\x85word"}, "password"),
        ({"mail_from": "gateway"}, "mail_from"),
        ({"mail_from": "gateway@sms.example\nBcc: thief@evil.example"}, "mail_from"),
        ({"mail_to": "a@b"}, "mail_to"),
        ({"mail_to": 7}, "mail_to"),
        ({"sender": "#Acme"}, "sender"),
        ({"sender": "abcdefghijkl"}, "sender"),
        ({"sender": ""}, "sender"),
        ({"sender": 852}, "sender"),
        ({"dncr": "1"}, "dncr"),
        ({"allow_http": "yes", "smtp": {"host": "h", "starttls": False}}, "allow_http"),
        ({"smtp": "mail.example"}, "smtp"),
        ({"smtp": {}}, "smtp.host"),
        ({"smtp": {"host": "mail.example/x"}}, "smtp.host"),
        ({"smtp": {"host": "mail.example", "port": "587"}}, "smtp.port"),
        ({"smtp": {"host": "mail.example", "port": 0}}, "smtp.port"),
        ({"smtp": {"host": "mail.example", "port": True}}, "smtp.port"),
        ({"smtp": {"host": "mail.example", "starttls": "yes"}}, "smtp.starttls"),
        ({"smtp": {"host": "mail.example", "username": "u"}}, "smtp.password"),
        ({"smtp": {"host": "mail.example", "username": "u", "password": "ü"}}, "smtp.password"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(fields: Mapping[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Meteorsis({**ACCOUNT, **fields})


# Against a server that read the same document


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.receipts = (Step(0, "22"),)
        yield simulator


TRANSPORT = MailTransport(30)


def answered(server: Simulator, *messages: Message, now: datetime | None = None, **account: Any) -> list[MailAnswer]:
    """What came back by mail for these messages."""
    before = len(server.answers)
    outcomes = Meteorsis({**server.secret(), **account}).send(
        Dispatch("meteorsis", messages, now or server.now()),
        TRANSPORT.exchange,  # type: ignore[arg-type]  # a line that only carries mail
    )
    assert all(isinstance(outcome, MaybeSent) and outcome.evidence_within for outcome in outcomes)
    assert server.wait_until(lambda: len(server.answers) > before)
    mail = message_from_bytes(server.answers[before])
    return Meteorsis.read_mail(InboundMail(str(mail["Subject"]), mail.get_payload()))  # type: ignore[arg-type]


def shown(server: Simulator, number: str, answer: MailAnswer) -> list[str]:
    assert isinstance(answer.outcome, Accepted)
    reference = answer.outcome.provider_ref
    assert server.wait_until(lambda: [each for each in server.phones[number] if each.ref == reference])
    return [each.text for each in server.phones[number] if each.ref == reference]


class TestServer(ServerContract):
    provider_class = Meteorsis
    step = MINUTE
    on_the_way = timedelta(minutes=2)
    silent_countries = frozenset({"TA", "TK"})  # Tristan da Cunha and Tokelau: four digits behind +290 and +690

    def hand_over(self, server: Simulator, messages: tuple[Message, ...], now: datetime) -> Sequence[Outcome]:
        sender: dict[str, Any] = {} if messages[0].sender or messages[0].to.startswith("+852") else {"sender": "Acme"}
        read = {answer.message_id: answer.outcome for answer in answered(server, *messages, now=now, **sender)}
        return [read[message.message_id] for message in messages]


def test_a_list_reaches_everybody_once_each_under_the_reference_that_was_told(server: Simulator) -> None:
    messages = [hello(message_id=f"{REQUEST}-{n}", to=f"+8526{n:07}", text="大家好") for n in range(82)]

    read = answered(server, *messages)

    assert [answer.message_id for answer in read] == [message.message_id for message in messages]
    assert [shown(server, message.to, answer) for message, answer in zip(messages, read, strict=True)] == [
        ["大家好"]
    ] * 82


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("a" * 160, HONG_KONG),
        ("a" * 161, HONG_KONG),
        ("a" * 459, HONG_KONG),
        ("中" * 70, HONG_KONG),
        ("中" * 201, NUMBER),
        ("中" * 247, CHINA),
        ("a" * 459, CHINA),
    ],
)
def test_the_server_takes_as_many_points_as_were_measured(server: Simulator, text: str, to: str) -> None:
    before = server.credit
    message = hello(text=text, to=to)

    (answer,) = answered(server, message)

    assert isinstance(answer.outcome, Accepted)
    assert before - server.credit == Meteorsis.measure(message).points


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (hello(text="a" * 460, to=HONG_KONG), "6"),
        (hello(text="中" * 202, to=HONG_KONG), "6"),
        (hello(sender="#Acme"), "8"),
        (hello(sender="abcdefghijkl"), "8"),
        (hello(sender="SMSNotice"), "25"),
        (hello(to="+1234567"), "17"),
        (hello(text=""), "6"),
        (hello(send_at=NOW + timedelta(days=20 * 365)), "5"),
    ],
)
def test_what_is_refused_here_would_be_refused_there(server: Simulator, message: Message, code: str) -> None:
    refusal = Meteorsis.refusal(message, NOW)
    provider = Meteorsis({**server.secret()})
    provider._sender_of = lambda message: message.sender or "x"  # type: ignore[method-assign]
    before = len(server.answers)

    provider.send(Dispatch("meteorsis", (message,), NOW), TRANSPORT.exchange)  # type: ignore[arg-type]

    assert refusal is not None
    assert server.wait_until(lambda: len(server.answers) > before)
    assert f"ERROR:{code} ".encode() in server.answers[-1]


def test_every_option_is_taken_as_it_was_meant(server: Simulator) -> None:
    now = server.now()
    send_at = now + timedelta(hours=3)

    answered(server, hello(send_at=send_at, sender="Acme", lane=Lane.BULK), now=now, dncr=True)

    taken = server.accepted[-1]
    assert taken.due is not None
    assert timedelta(0) <= taken.due - send_at < timedelta(minutes=1)
    assert (taken.fields["SENDERID"], taken.fields["DNCR"]) == ("Acme", "1")


@pytest.mark.parametrize(
    ("wrong", "code"), [({"username": "nobody"}, "2"), ({"password": "nothing"}, "2"), ({"username": "u" * 21}, "251")]
)
def test_a_wrong_password_is_said_to_be_one(server: Simulator, wrong: dict[str, Any], code: str) -> None:
    (answer,) = answered(server, hello(), **wrong)

    assert isinstance(answer.outcome, Refused)
    assert (answer.outcome.reason.code, answer.outcome.reason.provider_code) == (Code.BAD_CREDENTIALS, code)


def test_an_empty_account_is_said_to_be_one(server: Simulator) -> None:
    before, server.credit = server.credit, 0
    try:
        (answer,) = answered(server, hello())
    finally:
        server.credit = before

    assert isinstance(answer.outcome, Refused)
    assert answer.outcome.reason.code is Code.CREDIT_EXHAUSTED


@pytest.mark.parametrize(
    ("operation", "fault", "outcome", "taken"),
    [
        ("rcpt", Says(b"450 4.2.0 greylisted"), NotSent, False),
        ("mail", Says(b"550 5.7.1 who are you"), NotSent, False),
        ("send", Says(b"451 4.3.0 later"), NotSent, False),
        ("send", Says(b"554 5.7.1 spam"), NotSent, False),
        ("send", Closes(), MaybeSent, True),
        ("send", Closes(carried_out=False), MaybeSent, False),
        ("send", Hangs(0.1), MaybeSent, True),
    ],
)
def test_whatever_goes_wrong_on_the_wire_nothing_is_said_that_is_not_so(
    server: Simulator, operation: str, fault: Any, outcome: type[Outcome], taken: bool
) -> None:
    before = len(server.accepted)
    server.script(fault, operation=operation)

    (result,) = Meteorsis(server.secret()).send(
        Dispatch("meteorsis", (hello(),), server.now()),
        TRANSPORT.exchange,  # type: ignore[arg-type]
    )

    assert isinstance(result, outcome)
    assert not isinstance(result, MaybeSent) or result.evidence_within is None
    assert len(server.accepted) - before == taken


@pytest.mark.parametrize(("field", "code"), [("username", "251"), ("password", "252")])
def test_credentials_of_more_than_twenty_letters_are_said_to_be_wrong(server: Simulator, field: str, code: str) -> None:
    of_twenty: dict[str, Any] = {field: "x" * 20}
    longer: dict[str, Any] = {field: "x" * 21}

    answers = [*answered(server, hello(), **of_twenty), *answered(server, hello(), **longer)]

    told = [answer.outcome.reason for answer in answers if isinstance(answer.outcome, Refused)]
    assert [(reason.code, reason.provider_code) for reason in told] == [
        (Code.BAD_CREDENTIALS, "2"),
        (Code.BAD_CREDENTIALS, code),
    ]


@pytest.mark.parametrize("ability", [Queries, Cancels, TellsCredit, PollsReplies, ReadsReplies])
def test_what_section_2_does_not_support_is_never_asked_for(ability: type) -> None:
    """Section 2: "只提供傳送短訊的功能，其它服務例如傳送結果查詢並不支援"."""
    assert not issubclass(Meteorsis, ability)


def test_receipts_go_to_the_page_set_at_the_vendors_site_which_no_mail_names() -> None:
    wire = Wire([MailResponse(), MailResponse()])
    with_address = Dispatch("meteorsis", (hello(),), NOW, receipt_url="https://sms.example/receipts/meteorsis/t")

    for dispatch in (with_address, replace(with_address, receipt_url=None)):
        Meteorsis(ACCOUNT).send(dispatch, wire)

    assert wire.requests[0] == wire.requests[1]
    assert Meteorsis.capabilities.receipts == "account"
