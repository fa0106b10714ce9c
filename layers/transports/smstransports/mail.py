"""Mails to providers, by SMTP or Amazon SES: each under one total deadline, and each that breaks says if it may go on.

A mail is handed over by the dot that ends it. Until that dot has left us nobody delivers the mail (RFC 5321, section
4.1.1.4); once it has, only the answer to it tells, and a line lost in between leaves both possible (RFC 1047).
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import cached_property
from typing import Any, Protocol

import certifi

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason, quoted
from smsgate.wire import MailRequest, MailResponse, SmtpServer

IMPLICIT_TLS = 465
"""The port on which TLS comes before the first word (RFC 8314); on any other it is asked for with STARTTLS."""

_SUBJECT = re.compile(r"[A-Za-z0-9-]{1,64}")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
_LINE = re.compile(r"[\x20-\x7e]{0,998}")  # RFC 5322, section 2.1.1
_DOT_FIRST = re.compile(rb"^\.", re.MULTILINE)

_MECHANISMS = {"PLAIN": "auth_plain", "LOGIN": "auth_login", "CRAM-MD5": "auth_cram_md5"}

_NEVER_LEFT = frozenset(
    {
        "ConnectTimeoutError",
        "CredentialRetrievalError",
        "EndpointConnectionError",
        "NoCredentialsError",
        "NoRegionError",
        "ParamValidationError",
        "PartialCredentialsError",
        "ProxyConnectionError",
    }
)
"""What botocore raises before a byte of the request has left, by name: nothing here imports it."""


class SesClient(Protocol):
    """As much of botocore's SES client as a mail needs. It must not try again by itself: SES knows no same mail."""

    def send_raw_email(self, *, Source: str, Destinations: list[str], RawMessage: Any) -> Any: ...  # noqa: N803


class MailTransport:
    """Any number of threads may share it. A mail has a connection of its own: mails are few, and each carries many."""

    def __init__(
        self,
        deadline_seconds: float = 10.0,
        *,
        ses: Callable[[], SesClient] | None = None,
        ca_file: str | None = None,
    ) -> None:
        """`ses` makes or finds the client when a mail without a server of its own needs it."""
        self._seconds = deadline_seconds
        self._ses = ses
        self._ses_lock = threading.Lock()
        self._ca_file = ca_file

    def exchange(self, request: MailRequest) -> MailResponse:
        """The mail was taken over. Raises CallBroken and nothing else."""
        outcome = self._attempt(request)
        # Raised out here, so that no exception of a library's, which may quote a line, hangs on it as its context.
        if outcome is None:
            return MailResponse()
        raise CallBroken(outcome)

    def _attempt(self, request: MailRequest) -> NotSent | MaybeSent | None:
        try:
            mail = rendered(request)
        except ValueError as error:
            return NotSent(Reason(Code.UNSUPPORTED_CHARACTER, provider_text=str(error)))
        delivery = _Delivery(lambda delivery: self._deliver(request, mail, delivery))
        return delivery.wait(self._seconds)

    def _deliver(self, request: MailRequest, mail: bytes, delivery: _Delivery) -> NotSent | MaybeSent | None:
        if request.server is not None:
            return self._by_smtp(request, request.server, mail, delivery)
        return self._by_ses(request, mail, delivery)

    # SMTP

    def _by_smtp(
        self, request: MailRequest, server: SmtpServer, mail: bytes, delivery: _Delivery
    ) -> NotSent | MaybeSent | None:
        try:
            client = _Client(server, request.mail_from, self._seconds, self._tls, delivery)
        except Exception as error:
            return _not_handed_over(error)
        try:
            outcome = self._converse(client, request, server, mail, delivery)
            delivery.settle(outcome)  # Nobody has to wait for the farewell.
            with suppress(smtplib.SMTPException):
                client.putcmd("QUIT")
        finally:
            client.close()
        return outcome

    def _converse(
        self, client: _Client, request: MailRequest, server: SmtpServer, mail: bytes, delivery: _Delivery
    ) -> NotSent | MaybeSent | None:
        try:
            _introduce(client, server, self._tls)
            refused = _login(client, server)
            if refused is not None:
                return refused
            _demand(client.mail(request.mail_from), 250)
            _demand(client.rcpt(request.mail_to), 250, 251)
            _demand(client.docmd("DATA"), 354)
            client.send(_DOT_FIRST.sub(b"..", mail))
            delivery.hand_over()
        except Exception as error:
            return _not_handed_over(error)
        try:
            client.send(b".\r\n")
            return _verdict(*client.getreply())
        except Exception as error:
            return MaybeSent(Reason(Code.NO_REPLY, provider_text=type(error).__name__))

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Not create_default_context: it lets SSLKEYLOGFILE write out session keys, and from 3.13 on refuses older but
        # valid certificate authorities (VERIFY_X509_STRICT). This kind verifies chain and name too.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self._ca_file or certifi.where())
        return context

    # SES

    def _by_ses(self, request: MailRequest, mail: bytes, delivery: _Delivery) -> NotSent | MaybeSent | None:
        try:
            if self._ses is None:
                raise LookupError("no SES here")
            with self._ses_lock:  # botocore's sessions make one client at a time
                client = self._ses()
            delivery.hand_over()
        except Exception as error:
            return _not_handed_over(error)
        try:
            client.send_raw_email(Source=request.mail_from, Destinations=[request.mail_to], RawMessage={"Data": mail})
        except Exception as error:
            return _ses_failure(error)
        return None


def rendered(request: MailRequest) -> bytes:
    """The mail as it travels: ASCII, its lines as they were given, and not a word of a caller's in its headers.

    Laid out by hand, because `email` folds, encodes and, on some versions, can be talked into headers of somebody
    else's. Raises ValueError, which says what is wrong and quotes nothing.
    """
    if not _SUBJECT.fullmatch(request.subject):
        raise ValueError("the subject is no id of ours")
    for address in (request.mail_from, request.mail_to):
        if not _ADDRESS.fullmatch(address):
            raise ValueError("an address is none")
    if not all(_LINE.fullmatch(line) for line in request.lines):
        raise ValueError("a line is too long, or not printable ASCII")
    lines = (
        f"From: {request.mail_from}",
        f"To: {request.mail_to}",
        f"Subject: {request.subject}",
        f"Date: {formatdate()}",
        f"Message-ID: <{request.subject}@{_domain(request.mail_from)}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "",
        *request.lines,
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


class _GivenUp(Exception):
    """Whoever waited for this mail does not any more, and was told that it did not go out."""


class _Delivery:
    """One mail on its way in a thread of its own, so that nothing, not even a name server, outlasts the deadline.

    Who waits and who delivers agree under a lock on whether the mail was handed over: what was given up before is
    never handed over after.
    """

    def __init__(self, deliver: Callable[[_Delivery], NotSent | MaybeSent | None]) -> None:
        self._deliver = deliver
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._outcome: NotSent | MaybeSent | None = None
        self._given_up = False
        self._handed_over = False
        self._client: _Client | None = None

    def wait(self, seconds: float) -> NotSent | MaybeSent | None:
        try:
            threading.Thread(target=self._run, name="mail", daemon=True).start()
        except RuntimeError as error:  # No thread to be had: nothing has begun.
            return _not_handed_over(error)
        if self._done.wait(seconds):
            return self._outcome
        return self._give_up()

    def opened(self, client: _Client) -> None:
        self._client = client

    def hand_over(self) -> None:
        """From here on it may have been taken over. Raises _GivenUp where nobody waits any more."""
        with self._lock:
            if self._given_up:
                raise _GivenUp
            self._handed_over = True

    def settle(self, outcome: NotSent | MaybeSent | None) -> None:
        if not self._done.is_set():
            self._outcome = outcome
            self._done.set()

    def _run(self) -> None:
        self.settle(self._deliver(self))

    def _give_up(self) -> NotSent | MaybeSent | None:
        with self._lock:
            self._given_up = True
            handed_over = self._handed_over
        if self._done.is_set():
            return self._outcome  # At the very last moment.
        # From here on an answer may be no more than what had come of it when the line was cut.
        if self._client is not None:
            self._client.interrupt()
        if handed_over:
            return MaybeSent(Reason(Code.NO_REPLY, provider_text="no answer in time"))
        return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text="not handed over in time"))


class _Client(smtplib.SMTP):
    """smtplib's client, connected to the server and past its greeting."""

    def __init__(
        self, server: SmtpServer, mail_from: str, seconds: float, tls: ssl.SSLContext, delivery: _Delivery
    ) -> None:
        self._implicit_tls = tls if server.port == IMPLICIT_TLS else None
        self._delivery = delivery
        # The domain we write from introduces us: left to itself smtplib asks a name server who we are.
        super().__init__(server.host, server.port, local_hostname=_domain(mail_from), timeout=seconds)

    def interrupt(self) -> None:
        """Ends whatever a thread is waiting for on this connection, without touching what that thread uses."""
        wire = self.sock
        if wire is not None:
            with suppress(OSError):
                # Not the TLS socket's own method, which would leave the other thread a moment in the clear.
                socket.socket.shutdown(wire, socket.SHUT_RDWR)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        wire = socket.create_connection((host, port), timeout)
        try:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._implicit_tls is not None:
                wire = self._implicit_tls.wrap_socket(wire, server_hostname=host)
        except BaseException:
            wire.close()
            raise
        self.sock = wire  # So that the greeting can be interrupted as well.
        self._delivery.opened(self)
        return wire


def _introduce(client: _Client, server: SmtpServer, tls: ssl.SSLContext) -> None:
    """EHLO, and TLS where it is wanted: without it there is neither login nor mail."""
    _demand(client.ehlo(), 250)
    if server.starttls and server.port != IMPLICIT_TLS:
        client.starttls(context=tls)
        _demand(client.ehlo(), 250)


def _login(client: _Client, server: SmtpServer) -> NotSent | None:
    """One try, with one mechanism: smtplib's own login tries a wrong password with each that is offered."""
    if server.username is None or server.password is None:
        return None
    offered = str(client.esmtp_features.get("auth", "")).upper().split()
    mechanism = next((name for name in _MECHANISMS if name in offered), None)
    if mechanism is None:
        raise smtplib.SMTPNotSupportedError
    client.user, client.password = server.username, server.password
    try:
        client.auth(mechanism, getattr(client, _MECHANISMS[mechanism]))
    except smtplib.SMTPAuthenticationError as refused:
        if refused.smtp_code < 500:
            raise
        # Without its text: some servers repeat the user name.
        return NotSent(Reason(Code.BAD_CREDENTIALS, provider_code=f"SMTP {refused.smtp_code}"))
    return None


def _demand(reply: tuple[int, bytes], *wanted: int) -> None:
    if reply[0] not in wanted:
        raise smtplib.SMTPResponseException(*reply)


def _verdict(code: int, text: bytes) -> NotSent | MaybeSent | None:
    """What the answer to the final dot means; None: the mail was taken over."""
    if 200 <= code < 300:
        return None
    if 400 <= code < 600:
        return _refused(code, text)
    return MaybeSent(Reason(Code.NO_REPLY, provider_text="an answer that is no SMTP"))


def _refused(code: int, text: bytes) -> NotSent:
    said = quoted(text.decode("latin-1"))
    return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_code=f"SMTP {code}", provider_text=said))


def _not_handed_over(error: Exception) -> NotSent:
    if isinstance(error, smtplib.SMTPAuthenticationError) or not isinstance(error, smtplib.SMTPResponseException):
        # The name of the failure, never its text: some hold the line that failed.
        return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text=type(error).__name__))
    text = error.smtp_error
    return _refused(error.smtp_code, text if isinstance(text, bytes) else text.encode("latin-1", "replace"))


def _ses_failure(error: Exception) -> NotSent | MaybeSent:
    """What SES says with a 4xx is a no. What it says with a 5xx, or does not say, may have come too late for us."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        code = str(answer.get("Error", {}).get("Code", ""))
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = quoted(f"SES {status} {code}")
        if 400 <= status < 500:
            return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_code=said))
        return MaybeSent(Reason(Code.NO_REPLY, provider_code=said))
    if any(kind.__name__ in _NEVER_LEFT for kind in type(error).__mro__):
        return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text=type(error).__name__))
    return MaybeSent(Reason(Code.NO_REPLY, provider_text=type(error).__name__))


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
