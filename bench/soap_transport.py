"""What one SOAP call costs in CPU: ours, and plain zeep over requests, at the same WSDL and the same server.

    PYTHONPATH=layers/gateway:layers/transports python -m bench.soap_transport [calls per measurement]

The provider is a child process, so its CPU is not counted. Figures move from machine to machine and with the machine's
load: only the ratio, taken from rounds next to each other in one run, says anything. The target is 0.25.
"""

from __future__ import annotations

import sys
from typing import Any

import zeep

from bench.measured import cpu_ms_per_call, other_side, ratios, spread
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


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    arguments = dict(ARGUMENTS)
    ours, plain = [], []
    with other_side({b"POST": ANSWER}) as server:
        url = f"{server}/SMS.asmx"
        transport, request = SoapTransport(30), SoapRequest(url, "1.1", "sendSMS", ARGUMENTS)
        client: Any = zeep.Client  # it has no types
        service = client(str(WSDL)).create_service("{http://tempuri.org/}SMSSoap", url)
        assert transport.exchange(request).result == service.sendSMS(**arguments)
        for _ in range(ROUNDS):
            ours.append(cpu_ms_per_call(lambda: transport.exchange(request), calls))
            plain.append(cpu_ms_per_call(lambda: service.sendSMS(**arguments), calls))

    print(f"      ours: {spread(ours, '.3f')} CPU-ms per call")
    print(f"plain zeep: {spread(plain, '.3f')} CPU-ms per call")
    print(f"     ratio: {spread(ratios(ours, plain), '.3f')}")


if __name__ == "__main__":
    main()
