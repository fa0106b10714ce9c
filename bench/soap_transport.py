"""What one SOAP call costs in CPU: ours, and plain zeep over requests, at the same WSDL and the same server.

    PYTHONPATH=layers/gateway:layers/transports python bench/soap_transport.py [calls per measurement]

The provider is a child process, so its CPU is not counted. Figures move from machine to machine and with the machine's
load: only the ratio, taken from rounds next to each other in one run, says anything. The target is 0.25.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import zeep

from smsgate.wire import SoapRequest
from smstransports.soap import WSDL, SoapTransport

BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" '
    b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>'
    b'<sendSMSResponse xmlns="http://tempuri.org/"><sendSMSResult>285.0,1,1.0,0,220478cc-8506-49b2-93b7-2505f651c12e'
    b"</sendSMSResult></sendSMSResponse></soap:Body></soap:Envelope>"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
ARGUMENTS = (
    ("sessionKey", "0123456789abcdef0123456789abcdef"),
    ("subject", ""),
    ("content", "您的驗證碼是 123456"),
    ("mobile", "+886912345678"),
    ("sendTime", ""),
)
ROUNDS = 7


class _Provider(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if blank and len(body) >= int(length):
            self._received = b""
            self._transport.write(ANSWER)


def serve(port: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def cpu_ms_per_call(call: Callable[[], object], calls: int) -> float:
    call()  # Connected, rendered, imported.
    before = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - before) / calls * 1000


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    ours_end, theirs_end = multiprocessing.Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs_end,), daemon=True)
    provider.start()
    url = f"http://127.0.0.1:{ours_end.recv()}/SMS.asmx"
    transport, request = SoapTransport(30), SoapRequest(url, "1.1", "sendSMS", ARGUMENTS)
    service = zeep.Client(str(WSDL)).create_service("{http://tempuri.org/}SMSSoap", url)
    arguments = dict(ARGUMENTS)
    assert transport.exchange(request).result == service.sendSMS(**arguments)
    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(cpu_ms_per_call(lambda: transport.exchange(request), calls))
        plain.append(cpu_ms_per_call(lambda: service.sendSMS(**arguments), calls))
    provider.terminate()

    print(f"      ours: {_spread(ours)} CPU-ms per call")
    print(f"plain zeep: {_spread(plain)} CPU-ms per call")
    print(f"     ratio: {_spread([our / their for our, their in zip(ours, plain, strict=True)])}")


def _spread(figures: list[float]) -> str:
    return f"{statistics.median(figures):.3f} ({min(figures):.3f} to {max(figures):.3f})"


if __name__ == "__main__":
    main()
