"""`make run`: the whole gateway until Ctrl-C, saying where everything is and what becomes of every message."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from local.gateway import DEFAULT_PORT, TEMPLATES, Gateway
from local.simulators import SIMULATORS

_NOTICED_AFTER = 0.5
"""Seconds. A signal that arrives just before an endless wait would be noticed only at its end."""

_EXAMPLE = {"to": "+886912345678", "text": "Hello from smsgate"}


class _Asked(Exception):
    """Somebody wants it to end: Ctrl-C, or whoever started it."""


def main(arguments: list[str]) -> int:
    given = _parse(arguments)
    signal.signal(signal.SIGINT, _stop_once)
    signal.signal(signal.SIGTERM, _stop_once)
    began = time.monotonic()
    gateway = Gateway(
        given.code,
        providers={key: SIMULATORS[key]() for key in given.providers},
        parameters=dict(given.parameter),
        speed=given.speed,
        port=given.port,
    )
    try:
        gateway.start()
        gateway.events.listen(lambda event: print(_line(event), flush=True))
        print(_welcome(gateway, given.port, time.monotonic() - began), flush=True)
        # Whoever sends the first message should not wait for Python to start.
        threading.Thread(target=gateway.lambdas.warm, daemon=True).start()
        while True:
            time.sleep(_NOTICED_AFTER)
    except _Asked:
        print("\nStopping …", flush=True)
    finally:
        gateway.stop()
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="of the HTTP API (default %(default)s)")
    parser.add_argument("--code", choices=list(TEMPLATES), default="source", help="the source, or what was built")
    parser.add_argument("--speed", type=float, default=1, help="how much faster than real the schedules run")
    parser.add_argument(
        "--providers", type=_providers, default=list(SIMULATORS), help="which to pretend, comma separated"
    )
    parser.add_argument(
        "--parameter", type=_parameter, action="append", default=[], metavar="NAME=VALUE", help="of the template"
    )
    return parser.parse_args(arguments)


def _providers(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if unknown := [key for key in keys if key not in SIMULATORS]:
        raise argparse.ArgumentTypeError(
            f"nobody pretends to be {', '.join(unknown)}; there are {', '.join(SIMULATORS)}"
        )
    return keys


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE")
    return name, value


def _stop_once(_signal: int, _frame: FrameType | None) -> None:
    """Once is enough: stopping is not to be interrupted half-way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Asked


def _welcome(gateway: Gateway, wanted_port: int, seconds: float) -> str:
    lines = [f"The gateway is ready, after {seconds:.1f} seconds."]
    if not gateway.api_url.endswith(f":{wanted_port}"):
        lines.append(f"(Port {wanted_port} is taken, so another one was chosen.)")
    lines += [
        "",
        f"HTTP API   {gateway.api_url}   (IAM authorization is not enforced on this machine)",
        f"AWS        {gateway.aws.url}   region {gateway.place.region}, any credentials",
        f"Providers  {', '.join(gateway.providers) or 'none'}, pretended",
        f"Logs       {gateway.lambdas.log_file('*').parent}",
        *(f"Not started by anything here: {source}" for source in gateway.stack.not_wired),
        "",
        "Send a message over HTTP:",
        f"  {_curl(gateway)}",
        "or through the queue:",
        f"  {_python(gateway)}",
        "",
        "What becomes of each message follows. Ctrl-C stops everything and forgets it.",
    ]
    return "\n".join(lines)


def _curl(gateway: Gateway) -> str:
    body = shlex.quote(json.dumps(_EXAMPLE))
    return f"curl -sS {gateway.api_url}/messages -H 'content-type: application/json' -d {body}"


def _python(gateway: Gateway) -> str:
    where = f"endpoint_url='{gateway.aws.url}', region_name='{gateway.place.region}'"
    who = "aws_access_key_id='local', aws_secret_access_key='local'"
    queue = gateway.template.output("SendQueueUrl")
    code = (
        f"import boto3; boto3.client('sqs', {where}, {who})"
        f".send_message(QueueUrl='{queue}', MessageBody={json.dumps(_EXAMPLE)!r})"
    )
    return f"{_interpreter()} -c {shlex.quote(code)}"


def _interpreter() -> str:
    path = os.path.relpath(sys.executable, Path.cwd())
    return shlex.quote(sys.executable if path.startswith("..") else path)


def _line(event: dict[str, Any]) -> str:
    detail = event["detail"]
    at = time.strftime("%H:%M:%S")
    if "status" not in detail:
        return f"{at}  {event['detail-type']}: {json.dumps(detail, ensure_ascii=False)}"
    words = [f"{detail['to'] or 'no recipient':<15}", f"{detail['previous'] or '':>11} → {detail['status']:<11}"]
    words += [
        detail.get("provider") or "",
        (detail.get("reason") or {}).get("code", ""),
        detail.get("message_id") or "",
    ]
    return f"{at}  {'  '.join(word for word in words if word)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
