"""A mail server's end of a connection, without a socket: what smtplib writes is read here, and answered in place.

So `smstransports.mail` converses for itself, and learns where the connection breaks. The steps of a mail are
`wire.meteorsis.connect` and `wire.meteorsis.send`, the dot that ends it.
"""

from __future__ import annotations

from socket import gaierror
from typing import NoReturn

from local.simulators.base import Closes, Hangs, Late, Says
from local.simulators.base import Fault as OnTheirSide
from local.simulators.meteorsis import ADDRESS, Meteorsis
from tests.world.faults import Fault, Kill, Lost, NoSuchName, Slow, Unavailable
from tests.world.kernel import Kernel
from tests.world.network import Network, Steps

_TAKES = (0.01, 0.1)
_CLOSED = b""


class GivenUp(BaseException):
    """Whoever waits for the mail does not any more."""


class MailServer:
    """In the place of a connected socket, as far as smtplib uses one."""

    def __init__(self, kernel: Kernel, network: Network, steps: Steps, seconds: float) -> None:
        """Connects. Raises OSError where nobody is reached, GivenUp where it takes too long."""
        (self._simulator,) = (each for each in network.simulators.values() if isinstance(each, Meteorsis))
        self._kernel = kernel
        self._steps = steps
        self._deadline = kernel.elapsed + seconds
        self._said: list[bytes] = []
        self._mail: list[bytes] = []
        self._sender = ""
        self._reads_mail = False
        self._open = True
        fault = steps.step("before", "wire", "meteorsis.connect", "meteorsis")
        if isinstance(fault, Kill):
            steps.die()
        if isinstance(fault, Unavailable) or self._simulator.key in network.offline:
            raise ConnectionRefusedError
        if isinstance(fault, NoSuchName):
            raise gaierror
        if isinstance(fault, Slow):
            self._pause(fault.seconds)
        steps.takes(*_TAKES)
        self._say(b"220 mail.meteorsis.example ESMTP")

    # What smtplib calls

    def makefile(self, mode: str) -> MailServer:
        return self

    def readline(self, most: int = -1) -> bytes:
        return self._said.pop(0) if self._said else _CLOSED

    def sendall(self, data: bytes) -> None:
        if not self._open:
            raise BrokenPipeError
        if self._reads_mail:
            self._read_mail(data)
        else:
            self._steps.takes(*_TAKES)
            self._obey(data.decode("ascii").strip())

    def close(self) -> None:
        self._open = False

    # The conversation

    def _obey(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        match command.upper():
            case "EHLO":
                self._say(b"250-mail.meteorsis.example\r\n250 8BITMIME")
            case "MAIL":
                self._sender = rest.partition("<")[2].partition(">")[0]
                self._answer_scripted("mail")
            case "RCPT":
                known = rest.partition("<")[2].partition(">")[0] == ADDRESS
                self._answer_scripted("rcpt") if known else self._say(b"550 5.1.1 no such mailbox")
            case "DATA":
                self._reads_mail = True
                self._say(b"354 go on")
            case "QUIT":
                self._say(b"221 bye")
            case _:
                self._say(b"502 5.5.1 not known here")

    def _answer_scripted(self, operation: str) -> None:
        fault = self._simulator.next_fault(operation)
        self._say(fault.body if isinstance(fault, Says) else b"250 2.1.0 ok")

    def _read_mail(self, data: bytes) -> None:
        self._mail.append(data)
        whole = b"".join(self._mail)
        if whole.endswith(b"\r\n.\r\n"):
            self._reads_mail = False
            self._take(whole.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."))

    def _take(self, raw: bytes) -> None:
        """The dot has come."""
        before = self._steps.step("before", "wire", "meteorsis.send", "meteorsis")
        if isinstance(before, Kill):
            self._steps.die()
        fault = before if isinstance(before, OnTheirSide) else self._simulator.next_fault("send")
        self._steps.takes(*_TAKES)
        if fault is None or fault.carried_out:
            self._simulator.receive(self._sender, raw)
        self._end(fault)
        self._brought_back(self._steps.step("after", "wire", "meteorsis.send", "meteorsis"))

    def _end(self, fault: OnTheirSide | None) -> None:
        match fault:
            case None:
                self._say(b"250 2.0.0 taken over")
            case Says():
                self._say(fault.body)
            case Closes():
                self._said.clear()
            case Hangs():
                self._wait_for_nothing()
            case Late(seconds=seconds):
                self._pause(seconds)
                self._say(b"250 2.0.0 taken over")
            case _:
                raise TypeError(f"{type(fault).__name__} has no meaning in SMTP")

    def _brought_back(self, fault: Fault | None) -> None:
        match fault:
            case None:
                pass
            case Kill():
                self._steps.die()
            case Lost():
                self._said.clear()
            case Slow(seconds):
                self._pause(seconds)
            case _:
                raise TypeError(f"{fault} has no meaning after a mail")

    def _say(self, line: bytes) -> None:
        self._said += [each + b"\r\n" for each in line.split(b"\r\n")]

    def _pause(self, seconds: float) -> None:
        if self._kernel.elapsed + seconds >= self._deadline:
            self._wait_for_nothing()
        self._steps.sleep(seconds)

    def _wait_for_nothing(self) -> NoReturn:
        self._steps.sleep(max(0.0, self._deadline - self._kernel.elapsed))
        raise GivenUp
