"""Meteorsis, pretended: a mail server that reads "SMTTP API 說明書 2.1" by the letter, answers by mail, calls back.

The answer to a mail is handed to whoever asked for it with `on_reply`, as a raw mail to the sender. The address for
receipts is set on the vendor's site, so here it is an attribute.

Faults by operation: `mail` and `rcpt` take Says alone, a line of SMTP; `send` is the final dot; `reply` the mail back.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.simulators.base import Call, Closes, Fault, Hangs, Late, Says, Simulator, Step, Submission

# aiosmtpd tells every line of a conversation, and a mail's lines hold a password.
logging.getLogger("mail.log").setLevel(logging.WARNING)

HONG_KONG = timezone(timedelta(hours=8))
ADDRESS = "sendsms@meteorsis.com"

# Section 3.2 in its order, each tag with the code that section 7.1 has for its format.
TAGS = (
    ("USERNAME", "251"),
    ("PASSWORD", "252"),
    ("RECIPIENT", "253"),
    ("CONTENT", "254"),
    ("LANG_ENG", "255"),
    ("SCHEDULING", "256"),
    ("SENDERID", "257"),
    ("DNCR", "259"),
)
_WRONG_NUMBER_OF_TAGS = "250"
_OPTIONAL = 1

# Section 7.4: how long a text of so many parts may be.
_LIMITS = {
    ("elsewhere", "0"): (70, 134, 201),
    ("elsewhere", "1"): (160, 306, 459),
    ("China", "0"): (62, 120, 180, 240, 300, 360, 420, 459),
    ("China", "1"): (62, 120, 180, 240, 300, 360, 420, 459),
}
_ECONOMY_LINE = "SMSNotice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice(Fault):
    """The mail back arrives a second time."""


@dataclass(frozen=True, slots=True)
class _Mail:
    sender: str
    subject: str
    body: str


@dataclass(slots=True)
class _Message:
    taken: Submission
    tags: Mapping[str, str]
    shown: bool = False


class _Error(Exception):
    """One of section 7.1's codes."""


class Meteorsis(Simulator):
    key = "meteorsis"
    delivered = "22"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """With `tls` nothing is taken before STARTTLS and a login."""
        super().__init__()
        self.username = f"{self.key}-user"
        self.password = f"{self.key}-password"
        self.smtp_username = "smtp-user"
        self.smtp_password = "smtp-password"  # noqa: S105  its own, for whoever looks
        self.credit = 1_000_000
        self.disabled = False
        self.blocked: set[str] = set()  # what numbers of these countries begin with
        self.forbidden_words: set[str] = set()
        self.do_not_call: set[str] = set()  # E.164
        self.receipt_url = ""
        self.mails: list[bytes] = []
        self.answers: list[bytes] = []
        self._readers: list[Callable[[bytes], object]] = []
        self._smsdids = count(123_456)
        self._tls = tls
        self._server: _MailServer | None = None
        self._port = 0
        self._stopping = threading.Event()

    def secret(self) -> dict[str, object]:
        smtp: dict[str, object] = {"host": "127.0.0.1", "port": self._port, "starttls": self._tls is not None}
        if self._tls is not None:
            smtp |= {"username": self.smtp_username, "password": self.smtp_password}
        return {
            "username": self.username,
            "password": self.password,
            "mail_from": "gateway@sms.example",
            "sender": "meteorsis",
            "smtp": smtp,
            "allow_http": self._tls is None,
        }

    def on_reply(self, reader: Callable[[bytes], object]) -> None:
        """Calls it with each mail that goes back, raw, on a thread of its own."""
        self._readers.append(reader)

    def reply(self, phone: str, text: str) -> None:
        """Nobody hears of it: this interface only sends ("其它服務...並不支援", section 2)."""

    def start(self) -> None:
        super().start()
        self._stopping.clear()
        self.come_back()

    def stop(self) -> None:
        self._stopping.set()
        self.go_offline()
        super().stop()

    def go_offline(self) -> None:
        """Connections are refused, and the open ones closed, until it comes back."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def come_back(self) -> None:
        if self._server is None:
            self._server = _MailServer(self, self._port, self._tls)
            self._port = self._server.port

    @staticmethod
    def says(code: str, text: str = "XXXXXX") -> Says:
        """A mail back to script: this error of section 7.1. Nothing was taken."""
        return Says(f"ERROR:{code} ({text})".encode())

    # A mail

    def receive(self, sender: str, raw: bytes) -> None:
        """What the mail says is done at once; the answer goes back by mail."""
        with self._lock:
            self.mails.append(raw)
        try:
            mail = _read(sender, raw)
        except ValueError:
            return  # No subject to answer under, or no mail at all.
        fault = self.next_fault("reply")
        try:
            if fault is not None and not fault.carried_out:
                raise _Error("1")
            answer = f"SMSDID:{','.join(self._send(mail))}"
        except _Error as error:
            answer = f"ERROR:{error} (XXXXXX)"
        self._answer(mail, answer, fault)

    def _answer(self, mail: _Mail, text: str, fault: Fault | None) -> None:
        wait = fault.seconds if isinstance(fault, Late) else 0.0
        if isinstance(fault, Closes):
            return  # "傳送的電郵及結果回覆可能於網絡運送中得失掉" (section 2).
        if isinstance(fault, Says):
            text = fault.body.decode()
        raw = _mail_back(mail, text, self.now())
        for _ in range(2 if isinstance(fault, Twice) else 1):
            self._at(self.now() + timedelta(seconds=wait), lambda: self._deliver_back(raw))

    def _deliver_back(self, raw: bytes) -> None:
        with self._lock:
            self.answers.append(raw)
        for reader in self._readers:
            self._begin(reader, raw)

    def _send(self, mail: _Mail) -> list[str]:
        tags = _tags(mail.body)
        with self._lock:
            self.calls.append(Call(self.now(), "send", tags))
            self._check_account(tags)
            due = self._due(tags["SCHEDULING"])
            numbers, text = self._numbers(tags), self._text(tags)
            parts = [_parts(number, tags["LANG_ENG"], text) for number in numbers]
            if sum(parts) > self.credit:
                raise _Error("16")
            self.credit -= sum(parts)
            messages = [
                self._take(tags, number, text, points, due) for number, points in zip(numbers, parts, strict=True)
            ]
        for message in messages:
            start = message.taken.due or message.taken.at
            self._at(start, lambda message=message, start=start: self._deliver(message, start))  # type: ignore[misc]
        return [message.taken.ref for message in messages]

    def _take(self, tags: Mapping[str, str], number: str, text: str, points: int, due: datetime | None) -> _Message:
        ref = str(next(self._smsdids))
        taken = Submission(self.now(), ref, f"+{number}", text, points, dict(tags), due)
        self.accepted.append(taken)
        return _Message(taken, tags)

    def _check_account(self, tags: Mapping[str, str]) -> None:
        for name in ("USERNAME", "PASSWORD"):
            if not 1 <= len(tags[name]) <= 20:  # "字數長度只限於 20 個字母"
                raise _Error(dict(TAGS)[name])
        if (tags["USERNAME"], tags["PASSWORD"]) != (self.username, self.password):
            raise _Error("2")
        if self.disabled:
            raise _Error("3")

    def _due(self, scheduling: str) -> datetime | None:
        if scheduling == "now":
            return None
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}", scheduling):
            raise _Error("256")
        try:
            due = datetime.strptime(scheduling, "%Y-%m-%d %H:%M").replace(tzinfo=HONG_KONG)
        except ValueError:
            raise _Error("256") from None
        if due > _in_five_years(self.now()):
            raise _Error("5")
        return due if due > self.now() else None

    def _numbers(self, tags: Mapping[str, str]) -> list[str]:
        numbers = tags["RECIPIENT"].split(",")
        if not tags["RECIPIENT"]:
            raise _Error("253")
        if not all(re.fullmatch(r"[1-9][0-9]{7,14}", number) for number in numbers):
            raise _Error("17")
        if any(number.startswith(tuple(self.blocked)) for number in numbers):
            raise _Error("22")
        sender = tags["SENDERID"]
        if not re.fullmatch(r"[A-Za-z0-9]{1,11}", sender):
            raise _Error("8")
        if sender == _ECONOMY_LINE and not all(number.startswith("852") for number in numbers):
            raise _Error("25")
        return numbers

    def _text(self, tags: Mapping[str, str]) -> str:
        content, language = tags["CONTENT"], tags["LANG_ENG"]
        if language not in ("0", "1"):
            raise _Error("255")
        if tags.get("DNCR", "0") not in ("0", "1"):
            raise _Error("259")
        if not content:
            raise _Error("6")
        if language == "0" and not re.fullmatch("(?:[0-9A-F]{4})+", content):
            raise _Error("254")
        try:
            text = content if language == "1" else bytes.fromhex(content).decode("utf-16-be")
        except UnicodeDecodeError:
            raise _Error("254") from None
        numbers = tags["RECIPIENT"].split(",")
        if any(_length(language, text) > _LIMITS[_where(number), language][-1] for number in numbers):
            raise _Error("6")
        to_china = any(_where(number) == "China" for number in numbers)
        if to_china and any(word in text for word in self.forbidden_words):
            raise _Error("18")
        return text

    # What becomes of it

    def _deliver(self, message: _Message, start: datetime) -> None:
        plan: Sequence[Step] = self._plan()
        if message.tags.get("DNCR") == "1" and message.taken.to in self.do_not_call:
            plan = (Step(0, "21/307"),)
        if not plan:
            self._display(message)
        for step in plan:
            self._at(start + timedelta(seconds=step.after), lambda step=step: self._become(message, step))  # type: ignore[misc]

    def _become(self, message: _Message, step: Step) -> None:
        if step.status.partition("/")[0] == self.delivered:
            self._display(message)
        if step.told and self.receipt_url:
            self._call_back(_receipt(self.receipt_url, message, step.status))

    def _display(self, message: _Message) -> None:
        if not message.shown:
            message.shown = True
            self._show(message.taken.to, message.taken.text, message.taken.ref)

    # The line

    async def handle_MAIL(  # noqa: N802  the name the library gave it
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._scripted("mail")

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.lower() != ADDRESS:
            return "550 5.1.1 no such mailbox"
        said = self._scripted("rcpt")
        if said.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return said

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self.next_fault("send")
        if isinstance(fault, Says) and not fault.carried_out:
            return fault.body.decode()
        if fault is None or fault.carried_out:
            self.receive(envelope.mail_from or "", envelope.original_content or b"")
        match fault:
            case Says():
                return fault.body.decode()
            case Closes() | Hangs():
                await self._pause(fault.seconds if isinstance(fault, Hangs) else 0)
                if server.transport is not None:
                    server.transport.abort()  # type: ignore[attr-defined]  # asyncio's transports can
                await asyncio.sleep(3600)  # Ended with the connection.
            case Late():
                await self._pause(fault.seconds)
        return "250 2.0.0 taken over"

    def _scripted(self, operation: str) -> str:
        fault = self.next_fault(operation)
        return fault.body.decode() if isinstance(fault, Says) else "250 2.1.0 ok"

    async def _pause(self, seconds: float | None) -> None:
        await asyncio.to_thread(self._stopping.wait, seconds)

    def knows(self, data: Any) -> bool:
        return bool(data == LoginPassword(self.smtp_username.encode(), self.smtp_password.encode()))


class _MailServer:
    """aiosmtpd on a thread of its own."""

    def __init__(self, simulator: Meteorsis, port: int, tls: ssl.SSLContext | None) -> None:
        self._loop = asyncio.new_event_loop()
        self._simulator = simulator
        self._tls = tls
        self._connections: set[SMTP] = set()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._connection, "127.0.0.1", port))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name=simulator.key, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.abort()  # type: ignore[attr-defined]
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _connection(self) -> SMTP:
        connection = SMTP(
            self._simulator,
            hostname="mail.meteorsis.example",
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            auth_required=self._tls is not None,
            authenticator=self._authenticate,
            loop=self._loop,
        )
        self._connections.add(connection)
        return connection

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        return AuthResult(success=self._simulator.knows(data), handled=False)


def _read(sender: str, raw: bytes) -> _Mail:
    """By hand, so that a line is what the sender made one. Raises ValueError where there is nobody to answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    unfolded = re.sub(r"\r\n[ \t]+", " ", head.decode("ascii"))
    headers = [line.partition(":") for line in unfolded.split("\r\n")]
    named = {name.strip().lower(): value.strip() for name, _, value in headers}
    if len(named) != len(headers) or not {"from", "to", "subject"} <= named.keys() or not named["subject"]:
        raise ValueError("傳送者電郵、接收者電郵、電郵主題及電郵內容標籤必須填上")
    if named["to"] != ADDRESS:
        raise ValueError("客戶必須填上 sendsms@meteorsis.com")
    plain = named.get("content-type", "text/plain").lower().startswith("text/plain")
    as_it_is = named.get("content-transfer-encoding", "7bit").lower() in ("7bit", "8bit")
    return _Mail(sender, named["subject"], body.decode("ascii") if plain and as_it_is and body.isascii() else "")


def _tags(body: str) -> dict[str, str]:
    """Section 3.1: "全部大楷，順序排列，包括符號 "[", "]" 及 "="，一行一個標籤，總共 7 個"."""
    lines = re.split("\r\n|\r|\n", body)
    while lines and not lines[-1]:
        lines.pop()
    if not len(TAGS) - _OPTIONAL <= len(lines) <= len(TAGS):
        raise _Error(_WRONG_NUMBER_OF_TAGS)
    tags = {}
    for line, (name, code) in zip(lines, TAGS, strict=False):
        if not line.startswith(f"[{name}]="):
            raise _Error(code)
        tags[name] = line.removeprefix(f"[{name}]=")
    return tags


def _in_five_years(now: datetime) -> datetime:
    last_day_of_february = (now.month, now.day) == (2, 29)
    return now.replace(year=now.year + 5, day=28 if last_day_of_february else now.day)


def _where(number: str) -> str:
    return "China" if number.startswith("86") else "elsewhere"


def _length(language: str, text: str) -> int:
    return len(text) if language == "1" else sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def _parts(number: str, language: str, text: str) -> int:
    length = _length(language, text)
    return next(parts for parts, limit in enumerate(_LIMITS[_where(number), language], 1) if length <= limit)


def _mail_back(mail: _Mail, text: str, now: datetime) -> bytes:
    lines = (
        "From: Meteorsis SMS Gateway <sendsms@meteorsis.com>",
        f"To: {mail.sender}",
        f"Subject: {mail.subject}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{now.timestamp():.6f}@meteorsis.com>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        text,
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


def _receipt(url: str, message: _Message, status: str) -> str:
    """Section 6.1, in the order of its sample."""
    smsdstatus, _, cause = status.partition("/")
    told = {
        "smsdid": message.taken.ref,
        "recipient": message.taken.to.removeprefix("+"),
        "senderid": message.tags["SENDERID"],
        "content": message.taken.text[:5].encode("utf-16-be").hex().upper(),
        "dos": (message.taken.due or message.taken.at).astimezone(HONG_KONG).strftime("%Y-%m-%d %H:%M:%S"),
        "smsdstatus": smsdstatus,
        "smsderrorcode": cause or "300",
        "charged": str(message.taken.points),
    }
    return f"{url}?{urlencode(told)}"
