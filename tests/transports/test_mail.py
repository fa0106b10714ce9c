"""Real sockets, real TLS: a mail is certainly not sent before its final dot, and after it only the answer tells."""

from __future__ import annotations

import base64
import logging
import re
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from smsgate import aws
from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason
from smsgate.wire import MailRequest, MailResponse, SmtpServer
from smstransports import mail
from smstransports.mail import MailTransport, rendered
from tests.transports.conftest import Serve, tls_with
from tests.transports.post_office import BEFORE_THE_DOT, Act, PostOffice, closes, drips, resets, stays_silent
from tests.transports.raw_server import Conversation, RawServer

DEADLINE = 0.4
SLACK = 1.0  # A busy machine wakes a thread late.
PATIENT = 10.0

# Section 5, example 1 of the vendor's document, in the order and spelling of its section 3.2.
SAMPLE = (
    "[USERNAME]=canary-user",
    "[PASSWORD]=canary-password",
    "[RECIPIENT]=85299999999,85399999999,8611223344556",
    "[CONTENT]=4F60597D55CE003F0061",
    "[LANG_ENG]=0",
    "[SCHEDULING]=now",
    "[SENDERID]=meteorsis",
)
CANARIES = ("canary-user", "canary-password", "85299999999", "4F60597D55CE003F0061", "canary-smtp-password")
ID = "abcdefghijklmnopqrstuvwx-1-1"
MAIL = MailRequest("gateway@sms.example", "sendsms@vendor.example", ID, SAMPLE)
FAREWELL = b"QUIT\r\n"  # Said when the outcome is known already: it may come while a test looks, or later.


def server_at(port: int, *, starttls: bool = True) -> SmtpServer:
    # With an address literal the certificate has to name the address, which is as strict as a name.
    return SmtpServer("127.0.0.1", port, starttls, "canary-smtp-user", "canary-smtp-password")


Office = Callable[..., tuple[PostOffice, MailRequest]]


@pytest.fixture
def office(serve: Serve, server_tls: ssl.SSLContext) -> Office:
    """Opens a post office with acts by step; gives it and a mail to it."""

    def opened(acts: dict[str, Act] | None = None, **other: Act) -> tuple[PostOffice, MailRequest]:
        place = PostOffice(server_tls, {**(acts or {}), **other})
        return place, replace(MAIL, server=server_at(serve(place).port))

    return opened


@pytest.fixture
def transport(ca_file: str) -> MailTransport:
    return MailTransport(PATIENT, ca_file=ca_file)


@pytest.fixture
def hasty(ca_file: str) -> MailTransport:
    return MailTransport(DEADLINE, ca_file=ca_file)


def outcome_of(transport: MailTransport, request: MailRequest) -> NotSent | MaybeSent:
    with pytest.raises(CallBroken) as broken:
        transport.exchange(request)
    return broken.value.outcome


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


class TestTheMail:
    def test_on_the_wire_is_the_sample_of_the_document_line_by_line(
        self, office: Office, transport: MailTransport
    ) -> None:
        place, request = office()

        assert transport.exchange(request) == MailResponse()

        (sent,) = place.mails
        head, body = sent.split(b"\r\n\r\n", 1)
        assert body == b"".join(line.encode() + b"\r\n" for line in SAMPLE)
        assert re.sub(rb"Date: [^\r]*", b"Date: -", head).split(b"\r\n") == [
            b"From: gateway@sms.example",
            b"To: sendsms@vendor.example",
            b"Subject: " + ID.encode(),
            b"Date: -",
            b"Message-ID: <" + ID.encode() + b"@sms.example>",
            b"MIME-Version: 1.0",
            b"Content-Type: text/plain; charset=us-ascii",
            b"Content-Transfer-Encoding: 7bit",
        ]

    def test_goes_from_our_address_to_theirs_over_tls_after_a_login(
        self, office: Office, transport: MailTransport
    ) -> None:
        place, request = office()

        transport.exchange(request)

        login = base64.b64encode(b"\0canary-smtp-user\0canary-smtp-password")
        assert wait_for(lambda: place.commands[-1] == b"QUIT\r\n")
        assert [command.lower() for command in place.commands] == [
            b"ehlo sms.example\r\n",
            b"starttls\r\n",
            b"ehlo sms.example\r\n",
            b"auth plain " + login.lower() + b"\r\n",
            b"mail from:<gateway@sms.example>\r\n",
            b"rcpt to:<sendsms@vendor.example>\r\n",
            b"data\r\n",
            b"quit\r\n",
        ]

    def test_is_dated_now(self, office: Office, transport: MailTransport) -> None:
        from email.utils import parsedate_to_datetime

        place, request = office()

        transport.exchange(request)

        written = re.search(rb"^Date: (.*)\r$", place.mails[0], re.MULTILINE)
        assert written
        assert abs(parsedate_to_datetime(written[1].decode()).timestamp() - time.time()) < 60

    def test_keeps_a_line_of_998_characters_in_one_piece(self, office: Office, transport: MailTransport) -> None:
        place, request = office()
        line = "[RECIPIENT]=" + ",".join(["85299999999"] * 82)
        longest = "[CONTENT]=" + "=3D4" * 247

        transport.exchange(replace(request, lines=(line, longest)))

        assert len(line) == 995
        assert len(longest) == 998
        assert place.mails[0].endswith(f"\r\n\r\n{line}\r\n{longest}\r\n".encode())

    def test_keeps_a_line_that_begins_with_a_dot(self, office: Office, transport: MailTransport) -> None:
        place, request = office()

        transport.exchange(replace(request, lines=(".", "..a", "b")))

        assert place.mails[0].endswith(b"\r\n\r\n..\r\n...a\r\nb\r\n")  # RFC 5321, section 4.5.2

    def test_is_taken_by_a_server_that_nobody_here_wrote(
        self, ca_file: str, server_tls: ssl.SSLContext, transport: MailTransport
    ) -> None:
        class Taken:
            def __init__(self) -> None:
                self.mails: list[bytes] = []

            async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
                assert session.ssl
                assert session.authenticated
                self.mails.append(envelope.original_content or b"")
                return "250 OK"

        def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            known = LoginPassword(b"canary-smtp-user", b"canary-smtp-password")
            return AuthResult(success=data == known)

        taken = Taken()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        controller = Controller(
            taken,
            hostname="127.0.0.1",
            port=port,
            tls_context=server_tls,
            require_starttls=True,
            auth_required=True,
            authenticator=knows,
        )
        controller.start()
        try:
            transport.exchange(replace(MAIL, server=server_at(port)))
        finally:
            controller.stop()

        assert taken.mails[0].endswith(b"".join(line.encode() + b"\r\n" for line in SAMPLE))

    def test_of_many_threads_each_arrives_once(self, office: Office, transport: MailTransport) -> None:
        place, request = office()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(transport.exchange, [replace(request, subject=f"id-{n}") for n in range(40)]))

        subjects = [re.search(rb"^Subject: (.*)\r$", sent, re.MULTILINE)[1] for sent in place.mails]  # type: ignore[index]
        assert sorted(subjects) == sorted(f"id-{n}".encode() for n in range(40))

    @pytest.mark.parametrize("answer", [b"250 2.0.0 Ok: queued as 1\r\n", b"250-first\r\n250 last\r\n", b"251 ok\r\n"])
    def test_is_handed_over_whatever_words_say_so(
        self, office: Office, transport: MailTransport, answer: bytes
    ) -> None:
        place, request = office(dot=answer)

        transport.exchange(request)

        assert len(place.mails) == 1


SEPARATORS = (
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\t",
    "\x7f",
)
SUBJECTS = (
    "",
    "a" * 65,
    "a b",
    "a.b",
    "a_b",
    "id\r\nBcc: thief@evil.example",
    "id\nBcc: thief@evil.example",
    "id\rBcc: thief@evil.example",
    "id\r\n\r\n[RECIPIENT]=85266666666",
    "=?UTF-8?Q?=0A?=Bcc:",
    "=?UTF-8?Q?id=0D=0ABcc:_thief@evil.example?=",
    "=?utf-8?B?aWQKQmNjOiB0aGllZkBldmlsLmV4YW1wbGU=?=",
    "id\n",
    "\nid",
    " id",
    "id ",
    "id\0",
    "id\x0bBcc: thief@evil.example",
    "id\x85Bcc: thief@evil.example",
    "id\u2028Bcc: thief@evil.example",
    "ｉｄ",
    "您好",
    "id,",
    "id\t",
)


class TestNothingOfACallerIsInAHeader:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_a_subject_that_is_no_id_of_ours_is_not_sent(
        self, office: Office, transport: MailTransport, subject: str
    ) -> None:
        place, request = office()

        outcome = outcome_of(transport, replace(request, subject=subject))

        assert isinstance(outcome, NotSent)
        assert place.commands == []

    @pytest.mark.parametrize("separator", SEPARATORS)
    def test_no_separator_makes_a_second_line(self, office: Office, transport: MailTransport, separator: str) -> None:
        for position in range(len(SAMPLE)):
            lines = (*SAMPLE[:position], f"{SAMPLE[position]}{separator}[RECIPIENT]=1", *SAMPLE[position + 1 :])

            with pytest.raises(ValueError, match="line"):
                rendered(replace(MAIL, lines=lines))

        place, request = office()
        assert isinstance(outcome_of(transport, replace(request, lines=(f"a{separator}b",))), NotSent)
        assert place.commands == []

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "gateway",
            "@sms.example",
            "gateway@",
            "gateway@sms.example\r\nBcc: thief@evil.example",
            "gateway@sms.example\nBcc: thief@evil.example",
            "gateway@sms.example, thief@evil.example",
            "<gateway@sms.example>",
            "gateway@sms.example>",
            '"a b"@sms.example',
            "gateway@sms..example",
            "gateway @sms.example",
            "gäteway@sms.example",
            "=?UTF-8?Q?=0A?=Bcc:@sms.example",
        ],
    )
    def test_an_address_is_one_plain_address(self, address: str) -> None:
        for request in (replace(MAIL, mail_from=address), replace(MAIL, mail_to=address)):
            with pytest.raises(ValueError, match="address"):
                rendered(request)

    def test_the_number_of_headers_never_changes(self) -> None:
        heads = {rendered(replace(MAIL, subject=subject)).count(b"\r\n") for subject in ("a", "a-1", "A" * 64)}

        assert heads == {len(SAMPLE) + 9}

    def test_a_line_of_999_characters_is_not_sent(self) -> None:
        with pytest.raises(ValueError, match="too long"):
            rendered(replace(MAIL, lines=("a" * 999,)))


class TestBeforeTheFinalDot:
    @pytest.mark.parametrize("step", BEFORE_THE_DOT)
    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (b"421 closing\r\n", "SMTP 421"),
            (b"451 4.7.1 greylisted, try again later\r\n", "SMTP 451"),
            (b"550 5.7.1 no\r\n", "SMTP 550"),
            (b"554-no\r\n554 at all\r\n", "SMTP 554"),
        ],
    )
    def test_a_refusal_at_any_step_is_not_sent(
        self, office: Office, transport: MailTransport, step: str, answer: bytes, code: str
    ) -> None:
        place, request = office({step: answer})

        outcome = outcome_of(transport, request)

        assert isinstance(outcome, NotSent)
        assert place.mails == []
        if step == "AUTH":
            assert outcome.reason.provider_text in (None, "SMTPAuthenticationError")  # some repeat the user name
        else:
            assert outcome.reason.code is Code.PROVIDER_UNREACHABLE
            assert outcome.reason.provider_code == code

    @pytest.mark.parametrize("step", BEFORE_THE_DOT)
    @pytest.mark.parametrize(
        "act",
        [closes, resets, b"\x16\x03\x01\x02\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"2" * 9000 + b"\r\n", b"\r\n"],
        ids=["closes", "resets", "TLS", "HTTP", "endless line", "blank"],
    )
    def test_whatever_breaks_at_any_step_is_not_sent(
        self, office: Office, transport: MailTransport, step: str, act: Act
    ) -> None:
        place, request = office({step: act})

        assert isinstance(outcome_of(transport, request), NotSent)
        assert place.mails == []

    @pytest.mark.parametrize("step", BEFORE_THE_DOT)
    @pytest.mark.parametrize("act", [stays_silent, drips(b"250-" + b"a" * 1000)], ids=["silence", "drip"])
    def test_the_deadline_is_over_everything(self, office: Office, hasty: MailTransport, step: str, act: Act) -> None:
        place, request = office({step: act})
        started = time.monotonic()

        outcome = outcome_of(hasty, request)

        assert isinstance(outcome, NotSent)
        assert time.monotonic() - started < DEADLINE + SLACK
        assert place.mails == []

    def test_greylisted_once_it_goes_out_when_it_is_sent_again(
        self, serve: Serve, server_tls: ssl.SSLContext, transport: MailTransport
    ) -> None:
        def first_not(conversation: Conversation) -> None:
            conversation.say(b"450 4.2.0 greylisted\r\n" if conversation.number == 0 else b"250 ok\r\n")

        place = PostOffice(server_tls, {"RCPT": first_not})
        request = replace(MAIL, server=server_at(serve(place).port))

        first = outcome_of(transport, request)
        transport.exchange(request)

        assert isinstance(first, NotSent)
        assert len(place.mails) == 1

    @pytest.mark.parametrize("interrupted", [True, False])
    def test_what_was_given_up_is_not_handed_over_later(
        self, office: Office, ca_file: str, monkeypatch: pytest.MonkeyPatch, interrupted: bool
    ) -> None:
        if not interrupted:  # The line is not cut in time: what was agreed has to hold by itself.
            monkeypatch.setattr(mail._Client, "interrupt", lambda client: None)
        resumed = threading.Event()

        def slow(conversation: Conversation) -> None:
            conversation.server.stopping.wait(0.8)
            conversation.say(b"250 ok\r\n")

        def late(conversation: Conversation) -> None:
            conversation.server.stopping.wait(0.6)  # after the deadline, before the line's own timeout
            resumed.set()
            conversation.say(b"354 go on\r\n")
            place._take(conversation)

        place, request = office(MAIL=slow, DATA=late)

        outcome = outcome_of(MailTransport(1.0, ca_file=ca_file), request)

        assert isinstance(outcome, NotSent)
        assert resumed.wait(5)
        assert not wait_for(lambda: place.mails, 0.5)

    def test_a_refused_connection_is_not_sent(self, transport: MailTransport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        assert outcome_of(transport, replace(MAIL, server=server_at(port))) == NotSent(
            Reason(Code.PROVIDER_UNREACHABLE, provider_text="ConnectionRefusedError")
        )

    def test_a_name_that_does_not_exist_is_not_sent(self, transport: MailTransport) -> None:
        server = replace(server_at(587), host="mail.invalid")

        assert isinstance(outcome_of(transport, replace(MAIL, server=server)), NotSent)

    def test_a_name_server_that_hangs_is_left_behind_at_the_deadline(
        self, hasty: MailTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, over = threading.Event(), threading.Event()

        def hang(*_: object, **__: object) -> list[Any]:
            asked.set()
            over.wait(10)
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        started = time.monotonic()
        try:
            outcome = outcome_of(hasty, replace(MAIL, server=replace(server_at(587), host="mail.example")))
        finally:
            over.set()

        assert asked.is_set()
        assert isinstance(outcome, NotSent)
        assert time.monotonic() - started < DEADLINE + SLACK


class TestAfterTheFinalDot:
    @pytest.mark.parametrize(
        "act",
        [
            closes,
            resets,
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\r\n",
            b"2" * 9000 + b"\r\n",
            b"354 more?\r\n",
            b"999 what\r\n",
            b"-50 what\r\n",
        ],
        ids=["closes", "resets", "HTTP", "blank", "endless line", "354", "999", "negative"],
    )
    def test_without_an_answer_it_may_have_been_taken(self, office: Office, transport: MailTransport, act: Act) -> None:
        place, request = office(dot=act)

        outcome = outcome_of(transport, request)

        assert isinstance(outcome, MaybeSent)
        assert outcome.reason.code is Code.NO_REPLY
        assert len(place.mails) == 1

    @pytest.mark.parametrize("act", [stays_silent, drips(b"250 " + b"a" * 1000)], ids=["silence", "drip"])
    def test_with_the_answer_too_late_it_may_have_been_taken(self, office: Office, ca_file: str, act: Act) -> None:
        deadline = 1.5  # enough for everything before the dot, on a busy machine too
        place, request = office(dot=act)
        started = time.monotonic()

        outcome = outcome_of(MailTransport(deadline, ca_file=ca_file), request)

        assert isinstance(outcome, MaybeSent)
        assert time.monotonic() - started < deadline + SLACK
        assert len(place.mails) == 1

    def test_what_had_come_of_an_answer_when_the_line_was_cut_is_none(
        self, office: Office, ca_file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cut = mail._Client.interrupt

        def cut_and_let_the_other_thread_read(client: mail._Client) -> None:
            cut(client)
            time.sleep(0.3)

        monkeypatch.setattr(mail._Client, "interrupt", cut_and_let_the_other_thread_read)
        _, request = office(dot=drips(b"250 " + b"a" * 1000))

        outcome = outcome_of(MailTransport(1.5, ca_file=ca_file), request)

        assert outcome == MaybeSent(Reason(Code.NO_REPLY, provider_text="no answer in time"))

    @pytest.mark.parametrize("answer", [b"421 no room\r\n", b"451 later\r\n", b"552 too big\r\n", b"554 spam\r\n"])
    def test_a_refusal_is_not_sent(self, office: Office, transport: MailTransport, answer: bytes) -> None:
        _, request = office(dot=answer)

        outcome = outcome_of(transport, request)

        assert outcome == NotSent(
            Reason(
                Code.PROVIDER_UNREACHABLE,
                provider_code=f"SMTP {answer[:3].decode()}",
                provider_text=answer[4:].decode().strip(),
            )
        )

    def test_it_is_sent_once_whatever_is_answered(self, office: Office, transport: MailTransport) -> None:
        place, request = office(dot=closes)

        outcome_of(transport, request)

        assert not wait_for(lambda: len(place.mails) > 1, 0.3)

    def test_a_farewell_that_nobody_hears_changes_nothing(self, office: Office, transport: MailTransport) -> None:
        def then_closes(conversation: Conversation) -> None:
            conversation.say(b"250 taken\r\n")
            conversation.wire.close()

        _, request = office(dot=then_closes)

        assert transport.exchange(request) == MailResponse()


class TestTls:
    def test_without_starttls_on_offer_neither_login_nor_mail_leaves(
        self, office: Office, transport: MailTransport
    ) -> None:
        place, request = office(EHLO=b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n")

        outcome = outcome_of(transport, request)

        assert isinstance(outcome, NotSent)
        assert [line for line in place.commands if line != FAREWELL] == [b"ehlo sms.example\r\n"]

    def test_a_server_that_refuses_tls_gets_neither_login_nor_mail(
        self, office: Office, transport: MailTransport
    ) -> None:
        place, request = office(STARTTLS=b"454 not now\r\n")

        outcome = outcome_of(transport, request)

        assert isinstance(outcome, NotSent)
        assert b"AUTH" not in b"".join(place.commands).upper()

    def test_a_certificate_nobody_we_trust_has_signed_gets_nothing(
        self, serve: Serve, transport: MailTransport
    ) -> None:
        place = PostOffice(tls_with(trustme.CA().issue_cert("127.0.0.1")))

        outcome = outcome_of(transport, replace(MAIL, server=server_at(serve(place).port)))

        assert isinstance(outcome, NotSent)
        assert place.commands[-1].upper() == b"STARTTLS\r\n"

    def test_a_certificate_of_another_host_gets_nothing(
        self, serve: Serve, authority: trustme.CA, transport: MailTransport
    ) -> None:
        place = PostOffice(tls_with(authority.issue_cert("mail.example")))

        outcome = outcome_of(transport, replace(MAIL, server=server_at(serve(place).port)))

        assert isinstance(outcome, NotSent)
        assert place.commands[-1].upper() == b"STARTTLS\r\n"

    def test_tls_older_than_1_2_is_none(self, serve: Serve, authority: trustme.CA, transport: MailTransport) -> None:
        old = tls_with(authority.issue_cert("127.0.0.1"))
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        place = PostOffice(old)

        assert isinstance(outcome_of(transport, replace(MAIL, server=server_at(serve(place).port))), NotSent)
        assert place.mails == []

    def test_what_was_said_before_tls_is_not_heard_after_it(self, office: Office, transport: MailTransport) -> None:
        place, request = office(STARTTLS=b"220 go ahead\r\n250-injected\r\n250 AUTH CRAM-MD5\r\n")

        with suppress(CallBroken):  # Forgotten, or the broken beginning of a handshake; never an answer.
            transport.exchange(request)

        assert not any(b"CRAM" in command for command in place.commands)
        assert all(b"AUTH" not in command.upper() for command in place.in_the_clear)

    def test_on_its_own_port_tls_comes_before_the_first_word(
        self, serve: Serve, server_tls: ssl.SSLContext, transport: MailTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = PostOffice(acts={"EHLO": b"250-mail.example\r\n250 AUTH PLAIN\r\n"})
        server = serve(place, server_tls)
        monkeypatch.setattr(mail, "IMPLICIT_TLS", server.port)

        transport.exchange(replace(MAIL, server=server_at(server.port)))

        assert len(place.mails) == 1
        assert not any(b"STARTTLS" in command.upper() for command in place.commands)

    def test_without_tls_only_where_the_secret_says_so(self, serve: Serve, transport: MailTransport) -> None:
        place = PostOffice(acts={"EHLO": b"250-mail.example\r\n250-STARTTLS\r\n250 AUTH LOGIN PLAIN\r\n"})

        transport.exchange(replace(MAIL, server=server_at(serve(place).port, starttls=False)))

        assert len(place.mails) == 1


class TestLogin:
    @pytest.mark.parametrize("code", [530, 534, 535, 538, 550])
    def test_a_refused_login_is_tried_once_and_said_to_be_one(
        self, office: Office, transport: MailTransport, code: int
    ) -> None:
        place, request = office(AUTH=b"%d 5.7.8 canary-smtp-user is nobody\r\n" % code)

        outcome = outcome_of(transport, request)

        assert outcome == NotSent(Reason(Code.BAD_CREDENTIALS, provider_code=f"SMTP {code}"))
        assert sum(command.upper().startswith(b"AUTH") for command in place.commands) == 1

    def test_a_login_that_cannot_be_checked_now_is_not_a_refused_one(
        self, office: Office, transport: MailTransport
    ) -> None:
        _, request = office(AUTH=b"454 4.7.0 try again\r\n")

        outcome = outcome_of(transport, request)

        assert isinstance(outcome, NotSent)
        assert outcome.reason.code is Code.PROVIDER_UNREACHABLE

    @pytest.mark.parametrize("offer", [b"250 8BITMIME\r\n", b"250 AUTH XOAUTH2 NTLM\r\n"])
    def test_a_server_that_offers_no_login_we_know_gets_no_mail(
        self, office: Office, transport: MailTransport, offer: bytes
    ) -> None:
        place, request = office({"EHLO again": offer})

        assert isinstance(outcome_of(transport, request), NotSent)
        assert place.mails == []

    def test_a_server_without_a_login_is_asked_for_none(self, office: Office, transport: MailTransport) -> None:
        place, request = office()
        assert request.server is not None

        transport.exchange(replace(request, server=replace(request.server, username=None, password=None)))

        assert len(place.mails) == 1
        assert not any(command.upper().startswith(b"AUTH") for command in place.commands)

    def test_the_password_is_never_in_the_clear(self, office: Office, transport: MailTransport) -> None:
        place, request = office()

        transport.exchange(request)

        assert b"AUTH" not in b"".join(place.in_the_clear).upper()


class TestSecrets:
    def test_nothing_of_a_mail_is_logged_or_shown_whatever_happens(
        self, serve: Serve, server_tls: ssl.SSLContext, transport: MailTransport, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown: list[str] = []

        for step in (*BEFORE_THE_DOT, "dot"):
            for act in (closes, b"554 no\r\n", b"nonsense\r\n"):
                place = PostOffice(server_tls, {step: act})
                request = replace(MAIL, server=server_at(serve(place).port))
                with pytest.raises(CallBroken) as broken:
                    transport.exchange(request)
                shown += [repr(request), *traceback.format_exception(broken.value), repr(broken.value.outcome)]

        everything = "\n".join([*shown, caplog.text])
        assert not [canary for canary in CANARIES if canary in everything]
        assert base64.b64encode(b"\0canary-smtp-user\0canary-smtp-password").decode() not in everything


# Amazon SES, over the client that the functions use, against a server in its place.


def ses_answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


TAKEN = ses_answer(
    b"200 OK",
    b'<SendRawEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendRawEmailResult>'
    b"<MessageId>0100</MessageId></SendRawEmailResult></SendRawEmailResponse>",
)


def ses_error(status: bytes, code: bytes) -> bytes:
    return ses_answer(
        status, b"<ErrorResponse><Error><Code>%s</Code><Message>canary</Message></Error></ErrorResponse>" % code
    )


@pytest.fixture
def ses(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[Conversation], None]], RawServer]]:
    def at(script: Callable[[Conversation], None]) -> RawServer:
        server = serve(script)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SES", f"http://127.0.0.1:{server.port}")
        aws._client.cache_clear()
        aws._session.cache_clear()
        return server

    yield at
    aws._client.cache_clear()
    aws._session.cache_clear()


Ses = Callable[[Callable[[Conversation], None]], RawServer]


def says(reply: bytes) -> Callable[[Conversation], None]:
    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.say(reply)

    return script


def hears_and(then: Callable[[Conversation], None]) -> Callable[[Conversation], None]:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        then(conversation)

    return script


class TestSes:
    def test_gets_the_same_mail_with_its_envelope(self, ses: Ses) -> None:
        server = ses(says(TAKEN))

        assert MailTransport(PATIENT, ses=aws.ses).exchange(MAIL) == MailResponse()

        (request,) = server.requests
        form = parse_qs(request.split(b"\r\n\r\n", 1)[1].decode())
        sent = base64.b64decode(form["RawMessage.Data"][0])
        assert form["Action"] == ["SendRawEmail"]
        assert (form["Source"], form["Destinations.member.1"]) == ([MAIL.mail_from], [MAIL.mail_to])
        assert sent.endswith(b"\r\n\r\n" + b"".join(line.encode() + b"\r\n" for line in SAMPLE))

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (b"400 Bad Request", b"MessageRejected"),
            (b"400 Bad Request", b"MailFromDomainNotVerified"),
            (b"400 Bad Request", b"Throttling"),
            (b"403 Forbidden", b"AccessDenied"),
        ],
    )
    def test_says_no_and_nothing_was_sent(self, ses: Ses, status: bytes, code: bytes) -> None:
        server = ses(says(ses_error(status, code)))

        outcome = outcome_of(MailTransport(PATIENT, ses=aws.ses), MAIL)

        assert outcome == NotSent(
            Reason(Code.PROVIDER_UNREACHABLE, provider_code=f"SES {status[:3].decode()} {code.decode()}")
        )
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "script",
        [
            says(ses_error(b"500 Internal Server Error", b"InternalFailure")),
            says(ses_error(b"503 Service Unavailable", b"ServiceUnavailable")),
            hears_and(Conversation.reset),
            hears_and(closes),
            says(ses_answer(b"200 OK", b"<html>")),
        ],
        ids=["500", "503", "reset", "closed", "no XML"],
    )
    def test_fails_after_the_request_and_it_may_have_been_sent_and_is_not_sent_again(
        self, ses: Ses, script: Callable[[Conversation], None]
    ) -> None:
        server = ses(script)

        outcome = outcome_of(MailTransport(PATIENT, ses=aws.ses), MAIL)

        assert isinstance(outcome, MaybeSent)
        assert len(server.requests) == 1

    def test_is_silent_and_left_at_the_deadline(self, ses: Ses) -> None:
        server = ses(hears_and(Conversation.stay_silent))
        transport = MailTransport(2, ses=aws.ses)
        started = time.monotonic()

        outcome = outcome_of(transport, MAIL)

        assert isinstance(outcome, MaybeSent)
        assert time.monotonic() - started < 2 + SLACK
        assert len(server.requests) == 1

    def test_cannot_be_reached_and_nothing_was_sent(self, ses: Ses) -> None:
        server = ses(says(TAKEN))
        server.close()

        outcome = outcome_of(MailTransport(PATIENT, ses=aws.ses), MAIL)

        assert outcome == NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text="EndpointConnectionError"))

    def test_is_not_here_and_nothing_was_sent(self) -> None:
        assert isinstance(outcome_of(MailTransport(PATIENT), MAIL), NotSent)

    def test_tells_nothing_of_the_mail(self, ses: Ses, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        ses(says(ses_error(b"400 Bad Request", b"MessageRejected")))

        with pytest.raises(CallBroken) as broken:
            MailTransport(PATIENT, ses=aws.ses).exchange(MAIL)

        everything = "".join(traceback.format_exception(broken.value)) + repr(broken.value.outcome) + caplog.text
        assert "canary" not in everything
