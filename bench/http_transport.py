"""What one HTTP call costs in CPU: ours at 10 and at 100 in flight, and plain httpx shared by as many threads.

    PYTHONPATH=layers/gateway:layers/transports python -m bench.http_transport [calls per measurement]

The provider is a child process, so its CPU is not counted. Figures move from machine to machine and with the machine's
load: only the ratios, each taken from rounds next to each other in one run, say anything.
"""

from __future__ import annotations

import sys

import httpx

from bench.measured import cpu_ms_per_call, other_side, ratios, spread
from smsgate.wire import HttpRequest
from smstransports.http import HttpTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n\r\nmsgid=12345\r\nstatuscode=0\r\n"
FIELDS = (
    ("username", "bench"),
    ("password", "secret"),
    ("dstaddr", "+886912345678"),
    ("smbody", "您的驗證碼是 123456"),
)
PROVIDER_SECONDS = 0.005  # Long enough for all the threads to be in flight together.
ROUNDS = 5


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    ours = HttpTransport(30)
    plain = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=200, max_keepalive_connections=200))
    measured: dict[tuple[str, int], list[float]] = {}
    with other_side({b"POST": ANSWER}, PROVIDER_SECONDS) as server:
        url = f"{server}/sms/send"
        request, form = HttpRequest("POST", url, FIELDS), dict(FIELDS)
        calls_by = {"ours": lambda: ours.exchange(request), "httpx": lambda: plain.post(url, data=form)}
        for _ in range(ROUNDS):
            for in_flight in (10, 100):
                for name, call in calls_by.items():
                    measured.setdefault((name, in_flight), []).append(cpu_ms_per_call(call, calls, in_flight))

    for (name, in_flight), figures in measured.items():
        print(f"{name:>5} at {in_flight:>3} in flight: {spread(figures, '.3f')} CPU-ms per call")
    for what, above, below in (
        ("ours, 100 in flight / 10 in flight", ("ours", 100), ("ours", 10)),
        ("httpx, 100 in flight / 10 in flight", ("httpx", 100), ("httpx", 10)),
        ("ours / httpx, 10 in flight", ("ours", 10), ("httpx", 10)),
        ("ours / httpx, 100 in flight", ("ours", 100), ("httpx", 100)),
    ):
        print(f"{what:<36} {spread(ratios(measured[above], measured[below]), '.2f')}")


if __name__ == "__main__":
    main()
