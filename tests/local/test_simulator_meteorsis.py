"""The pretended Meteorsis: as strict about its lines as the document, and as unreliable as it is told to be."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme

from local.simulators import SIMULATORS
from local.simulators.base import Closes, Hangs, Late, Says, Step
from local.simulators.meteorsis import Meteorsis, Twice
from tests.local.listener import Listener

PHONE = "+85261234567"

LINES = (
    "[USERNAME]=meteorsis-user",
    "[PASSWORD]=meteorsis-password",
    "[RECIPIENT]=85261234567",
    "[CONTENT]=4F60597D55CE003F0061",
    "[LANG_ENG]=0",
    "[SCHEDULING]=now",
    "[SENDERID]=meteorsis",
)
HEAD = ("From: gateway@sms.example", "To: sendsms@meteorsis.com", "Subject: id-1")


@pytest.fixture
def server() -> Iterator[Meteorsis]:
    with Meteorsis() as simulator:
        simulator.receipts = (Step(0, "22"),)
        yield simulator


def mail(*lines: str, head: tuple[str, ...] = HEAD) -> bytes:
    return "".join(f"{line}\r\n" for line in (*head, "", *(lines or LINES))).encode()


def with_line(name: str, value: str) -> tuple[str, ...]:
    return tuple(f"[{name}]={value}" if line.startswith(f"[{name}]=") else line for line in LINES)


def post(server: Meteorsis, raw: bytes) -> None:
    port = server.secret()["smtp"]["port"]  # type: ignore[index]
    with smtplib.SMTP("127.0.0.1", port, "sms.example", timeout=5) as client:
        client.sendmail("gateway@sms.example", ["sendsms@meteorsis.com"], raw)


def answer(server: Meteorsis, *lines: str) -> str:
    """The text of the mail that comes back."""
    before = len(server.answers)
    post(server, mail(*lines))
    assert server.wait_until(lambda: len(server.answers) > before)
    back = message_from_bytes(server.answers[before])
    assert (back["To"], back["Subject"]) == ("gateway@sms.example", "id-1")
    assert str(back["From"]).endswith("<sendsms@meteorsis.com>")
    return str(back.get_payload()).strip()


def test_it_is_known_by_its_key() -> None:
    assert SIMULATORS["meteorsis"] is Meteorsis


def test_the_documents_example_is_taken_and_shown(server: Meteorsis) -> None:
    text = answer(server, *with_line("RECIPIENT", "85299999999,85399999999,8611223344556"))

    assert re.fullmatch(r"SMSDID:\d{6,9},\d{6,9},\d{6,9}", text)
    assert server.wait_until(lambda: len(server.phones) == 3)
    assert [shown.text for shown in server.phones["+8611223344556"]] == ["你好嗎?a"]
    assert server.credit == 1_000_000 - 3


def test_english_is_shown_as_it_stands(server: Meteorsis) -> None:
    lines = [line.replace("4F60597D55CE003F0061", "Hello").replace("LANG_ENG]=0", "LANG_ENG]=1") for line in LINES]

    answer(server, *lines, "[DNCR]=0")

    assert server.wait_until(lambda: server.phones[PHONE])
    assert server.phones[PHONE][0].text == "Hello"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (LINES[:6], "250"),
        ((*LINES, "[DNCR]=0", "[DNCR]=0"), "250"),
        ((*LINES[:3], "", *LINES[3:]), "254"),
        ((LINES[1], LINES[0], *LINES[2:]), "251"),
        (("[username]=meteorsis-user", *LINES[1:]), "251"),
        ((LINES[0], "PASSWORD=meteorsis-password", *LINES[2:]), "252"),
        ((*LINES[:2], " [RECIPIENT]=85261234567", *LINES[3:]), "253"),
        ((*LINES[:3], "[CONTENT] =Hello", *LINES[4:]), "254"),
        ((*LINES[:4], "[LANG]=0", *LINES[5:]), "255"),
        ((*LINES[:5], "[SCHEDULE]=now", *LINES[6:]), "256"),
        ((*LINES[:6], "[SENDER]=meteorsis"), "257"),
        ((*LINES, "[DNC]=0"), "259"),
        ((*LINES, "[DNCR]=2"), "259"),
        (with_line("USERNAME", "u" * 21), "251"),
        (with_line("PASSWORD", "p" * 21), "252"),
        (with_line("PASSWORD", ""), "252"),
        (with_line("USERNAME", "nobody"), "2"),
        (with_line("PASSWORD", "wrong"), "2"),
        (with_line("RECIPIENT", ""), "253"),
        (with_line("RECIPIENT", "+85261234567"), "17"),
        (with_line("RECIPIENT", "061234567"), "17"),
        (with_line("RECIPIENT", "85261234567, 85261234568"), "17"),
        (with_line("RECIPIENT", "85261234567,"), "17"),
        (with_line("CONTENT", ""), "6"),
        (with_line("CONTENT", "你好"), "250"),  # not ASCII: the mail is not read at all
        (with_line("CONTENT", "4f60"), "254"),
        (with_line("CONTENT", "4F6"), "254"),
        (with_line("CONTENT", "D83D"), "254"),
        (with_line("CONTENT", "4E2D" * 202), "6"),
        (with_line("LANG_ENG", "2"), "255"),
        (with_line("SCHEDULING", "NOW"), "256"),
        (with_line("SCHEDULING", "2026-13-01 00:00"), "256"),
        (with_line("SCHEDULING", "2026-12-01 00:00:00"), "256"),
        (with_line("SCHEDULING", "2099-12-01 00:00"), "5"),
        (with_line("SENDERID", ""), "8"),
        (with_line("SENDERID", "#Acme"), "8"),
        (with_line("SENDERID", "abcdefghijkl"), "8"),
        (with_line("SENDERID", "Acme Ltd"), "8"),
    ],
)
def test_a_mail_that_is_not_by_the_letter_is_an_error(server: Meteorsis, lines: tuple[str, ...], code: str) -> None:
    before = len(server.answers)
    raw = mail(*lines)
    server.receive("gateway@sms.example", raw)

    assert server.wait_until(lambda: len(server.answers) > before)
    assert f"ERROR:{code} (XXXXXX)" in server.answers[-1].decode()
    assert server.accepted == []


def test_the_economy_line_is_for_hong_kong(server: Meteorsis) -> None:
    lines = with_line("SENDERID", "SMSNotice")

    assert answer(server, *lines).startswith("SMSDID:")
    assert answer(server, *(line.replace("85261234567", "85366123456") for line in lines)).startswith("ERROR:25 ")


def test_accounts_countries_words_and_money_can_be_wrong(server: Meteorsis) -> None:
    server.disabled = True
    assert answer(server).startswith("ERROR:3 ")
    server.disabled = False

    server.blocked = {"86"}
    assert answer(server, *with_line("RECIPIENT", "8613812345678")).startswith("ERROR:22 ")
    server.blocked = set()

    server.forbidden_words = {"你好"}
    assert answer(server, *with_line("RECIPIENT", "8613812345678")).startswith("ERROR:18 ")
    assert answer(server).startswith("SMSDID:")

    server.credit = 0
    assert answer(server).startswith("ERROR:16 ")
    assert len(server.accepted) == 1


@pytest.mark.parametrize(
    "raw",
    [
        mail(head=HEAD[:2]),
        mail(head=HEAD[:1] + HEAD[2:]),
        mail(head=(*HEAD[:2], "Subject:")),
        mail(head=(HEAD[0], "To: somebody@meteorsis.com", HEAD[2])),
        mail(head=(*HEAD, "Subject: id-2")),
    ],
)
def test_a_mail_without_what_it_needs_is_not_answered(server: Meteorsis, raw: bytes) -> None:
    server.receive("gateway@sms.example", raw)

    assert server.mails == [raw]
    assert not server.wait_until(lambda: server.answers, 0.1)
    assert server.accepted == []


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: text/html",
        "Content-Type: multipart/mixed; boundary=x",
        "Content-Transfer-Encoding: quoted-printable",
    ],
)
def test_only_plain_text_is_read(server: Meteorsis, header: str) -> None:
    server.receive("gateway@sms.example", mail(head=(*HEAD, header)))

    assert server.wait_until(lambda: server.answers)
    assert b"ERROR:250 " in server.answers[0]


@pytest.mark.parametrize("separator", ["\r", "\n"])
def test_a_bare_line_end_makes_a_line(server: Meteorsis, separator: str) -> None:
    server.receive("gateway@sms.example", mail(*with_line("CONTENT", f"0061{separator}[RECIPIENT]=85266666666")))

    assert server.wait_until(lambda: server.answers)
    assert b"ERROR:255 " in server.answers[0]


def test_another_mailbox_is_refused(server: Meteorsis) -> None:
    port = server.secret()["smtp"]["port"]  # type: ignore[index]

    with smtplib.SMTP("127.0.0.1", port, "sms.example", timeout=5) as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("gateway@sms.example", ["somebody@meteorsis.com"], mail())


def test_with_tls_nothing_is_taken_before_it_and_a_login() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    with Meteorsis(context) as server:
        smtp = server.secret()["smtp"]
        assert isinstance(smtp, dict)
        with smtplib.SMTP("127.0.0.1", smtp["port"], "sms.example", timeout=5) as client:
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("gateway@sms.example", ["sendsms@meteorsis.com"], mail())
            client.starttls(context=trusting)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(smtp["username"], "wrong")
            client.login(smtp["username"], smtp["password"])
            client.sendmail("gateway@sms.example", ["sendsms@meteorsis.com"], mail())

        assert server.wait_until(lambda: server.answers)
        assert server.secret()["allow_http"] is False


# Faults


def test_a_line_of_smtp_is_said_as_scripted(server: Meteorsis) -> None:
    server.script(Says(b"450 4.2.0 greylisted"), operation="rcpt")

    with pytest.raises(smtplib.SMTPRecipientsRefused):
        post(server, mail())
    post(server, mail())

    assert server.wait_until(lambda: server.accepted)
    assert len(server.accepted) == 1


@pytest.mark.parametrize("carried_out", [True, False])
def test_the_line_goes_dead_after_the_final_dot(server: Meteorsis, carried_out: bool) -> None:
    server.script(Closes(carried_out=carried_out), operation="send")

    with pytest.raises(smtplib.SMTPServerDisconnected):
        post(server, mail())

    assert len(server.accepted) == carried_out
    assert bool(server.wait_until(lambda: server.answers, 0.2)) == carried_out


def test_it_may_hang_until_it_is_stopped() -> None:
    with Meteorsis() as server:
        server.script(Hangs(), operation="send")
        failed: list[type[BaseException]] = []

        def patient() -> None:
            try:
                post(server, mail())
            except (smtplib.SMTPException, OSError) as error:
                failed.append(type(error))

        waiting = threading.Thread(target=patient)
        waiting.start()
        assert server.wait_until(lambda: server.accepted)
    waiting.join(5)

    assert failed


def test_the_mail_back_may_be_lost_late_twice_or_another(server: Meteorsis) -> None:
    server.script(Closes(), Late(0.2), Twice(), server.says("16"), operation="reply")

    post(server, mail())
    assert server.wait_until(lambda: server.accepted)
    assert not server.wait_until(lambda: server.answers, 0.05)

    post(server, mail())
    assert not server.wait_until(lambda: server.answers, 0.05)
    assert server.wait_until(lambda: server.answers)

    post(server, mail())
    assert server.wait_until(lambda: len(server.answers) == 3)
    assert server.answers[1] == server.answers[2]

    taken = len(server.accepted)
    assert answer(server) == "ERROR:16 (XXXXXX)"
    assert len(server.accepted) == taken == 3


def test_whoever_asks_is_given_each_mail_back(server: Meteorsis) -> None:
    read: list[bytes] = []
    server.on_reply(read.append)

    post(server, mail())

    assert server.wait_until(lambda: read)
    assert read == server.answers


def test_offline_it_refuses_connections_and_comes_back_to_the_same_port(server: Meteorsis) -> None:
    secret = server.secret()
    server.go_offline()
    with pytest.raises(OSError):  # noqa: PT011  refused, in whichever words
        post(server, mail())

    server.come_back()
    post(server, mail())

    assert server.secret() == secret


# What becomes of a message


@pytest.fixture
def gateway(server: Meteorsis) -> Iterator[Listener]:
    gateway = Listener()
    server.receipt_url = f"{gateway.root}/receipts/meteorsis/token"
    yield gateway
    gateway.close()


def test_receipts_are_gets_of_the_parameters_of_section_6(server: Meteorsis, gateway: Listener) -> None:
    server.plan_receipts((Step(0, "4"), Step(0.01, "21/304")))

    reference = answer(server).removeprefix("SMSDID:")

    assert server.wait_until(lambda: len(gateway.received) == 2)
    told = [dict(parse_qsl(urlsplit(path).query, strict_parsing=True)) for path in gateway.received]
    assert list(told[0]) == [
        "smsdid", "recipient", "senderid", "content", "dos", "smsdstatus", "smsderrorcode", "charged",
    ]  # fmt: skip
    assert (told[0]["smsdid"], told[0]["recipient"]) == (reference, "85261234567")
    assert told[0]["content"] == "4F60597D55CE003F0061"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told[0]["dos"])
    assert sorted((each["smsdstatus"], each["smsderrorcode"]) for each in told) == [("21", "304"), ("4", "300")]
    assert server.phones[PHONE] == []


def test_who_is_on_the_register_is_spared_where_it_is_asked(server: Meteorsis, gateway: Listener) -> None:
    server.do_not_call = {PHONE}

    answer(server, *LINES, "[DNCR]=1")
    assert server.wait_until(lambda: gateway.received)
    assert "smsdstatus=21&smsderrorcode=307" in gateway.received[0]
    assert server.phones[PHONE] == []

    answer(server, *LINES, "[DNCR]=0")
    assert server.wait_until(lambda: server.phones[PHONE])


def test_a_scheduled_message_comes_at_its_time_in_hong_kong(server: Meteorsis) -> None:
    due = server.now() + timedelta(hours=2, minutes=1)
    in_hong_kong = (due + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M")

    answer(server, *with_line("SCHEDULING", in_hong_kong))

    assert not server.wait_until(lambda: server.phones[PHONE], 0.1)
    server.advance(timedelta(hours=2, minutes=2))
    assert server.wait_until(lambda: server.phones[PHONE])
    assert server.accepted[0].due == due.replace(second=0, microsecond=0)


def test_nobody_can_answer_it(server: Meteorsis) -> None:
    server.reply(PHONE, "STOP")

    assert server.callbacks == []


def test_its_port_is_free_again_when_it_has_stopped() -> None:
    with Meteorsis() as server:
        port = server.secret()["smtp"]["port"]  # type: ignore[index]

    with pytest.raises(OSError):  # noqa: PT011
        socket.create_connection(("127.0.0.1", port), 1).close()
