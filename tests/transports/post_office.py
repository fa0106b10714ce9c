"""An SMTP server that does at each step of a conversation exactly what a test says, and keeps what it was told."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.transports.raw_server import Conversation

Act = bytes | Callable[[Conversation], None]
"""What happens in place of the usual answer: other bytes, or whatever is done to the connection."""

STEPS = ("greeting", "EHLO", "STARTTLS", "EHLO again", "AUTH", "MAIL", "RCPT", "DATA", "dot")
BEFORE_THE_DOT = STEPS[:-1]

_USUAL = {
    "greeting": b"220 mail.example ESMTP\r\n",
    "EHLO": b"250-mail.example\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
    "STARTTLS": b"220 go ahead\r\n",
    "EHLO again": b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n",
    "AUTH": b"235 welcome\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    "dot": b"250 taken\r\n",
}


@dataclass
class PostOffice:
    """`acts`: by step. A mail counts as taken once its final dot was read, whatever is answered."""

    tls: ssl.SSLContext | None = None
    acts: Mapping[str, Act] = field(default_factory=dict)
    in_the_clear: list[bytes] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    def __call__(self, conversation: Conversation) -> None:
        try:
            self._converse(conversation)
        finally:
            conversation.wire.close()

    def _converse(self, conversation: Conversation) -> None:
        self._answer(conversation, "greeting")
        encrypted = False
        while line := self._line(conversation):
            if not encrypted:
                self.in_the_clear.append(line)
            self.commands.append(line)
            verb = line.split()[0].decode("latin-1").upper()
            if verb == "QUIT":
                return
            step = "EHLO again" if verb == "EHLO" and encrypted else verb
            self._answer(conversation, step)
            if verb == "STARTTLS" and self.tls is not None:
                conversation.wire = self.tls.wrap_socket(conversation.wire, server_side=True)
                encrypted = True
            if verb == "DATA" and "DATA" not in self.acts:
                self._take(conversation)

    def _take(self, conversation: Conversation) -> None:
        lines: list[bytes] = []
        while (line := self._line(conversation)) != b".\r\n":
            if not line:
                return
            lines.append(line)
        self.mails.append(b"".join(lines))
        self._answer(conversation, "dot")

    def _answer(self, conversation: Conversation, step: str) -> None:
        act = self.acts.get(step, _USUAL.get(step, b"500 what?\r\n"))
        if isinstance(act, bytes):
            conversation.say(act)
        else:
            act(conversation)

    def _line(self, conversation: Conversation) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = conversation.wire.recv(1)
            if not byte:
                return b""
            line += byte
        return line


def closes(conversation: Conversation) -> None:
    conversation.wire.close()


def resets(conversation: Conversation) -> None:
    conversation.reset()


def stays_silent(conversation: Conversation) -> None:
    conversation.stay_silent()


def drips(answer: bytes) -> Callable[[Conversation], None]:
    return lambda conversation: conversation.drip(answer, 0.1)
