"""Starting and stopping the whole: nothing is left behind, however it ends, and what is printed works when pasted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.gateway import Gateway
from local.template import CannotRead
from tests.local.sample_stack import SAMPLE, Sample, is_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]


class _Pretended:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.receipt_url = ""

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def secret(self) -> dict[str, str]:
        return {"base_url": "http://127.0.0.1:9/"}


def test_stopping_leaves_no_process_no_thread_and_no_file() -> None:
    threads = set(threading.enumerate())
    gateway = Sample(template=SAMPLE, visibility_timeout=1)
    gateway.start()
    gateway.send("JobsQueue", {"key": "hanging", "do": "hang once"})
    gateway.lambdas.invoke("ProbeFunction", {"do": "nothing"})
    wait_until(lambda: gateway.seen_of("QueueFunction", "hanging"))
    pids, scratch = gateway.pids(), gateway.scratch
    assert len(pids) >= 3
    assert scratch.is_dir()

    gateway.stop()

    assert not [pid for pid in pids if is_alive(pid)]
    assert not scratch.exists()
    wait_until(lambda: not [thread for thread in set(threading.enumerate()) - threads if not thread.daemon], 5)


def test_a_start_that_fails_half_way_leaves_nothing_behind() -> None:
    provider = _Pretended()
    gateway = Gateway(template=SAMPLE, providers={"pretended": provider}, parameters={"NoSuch": "parameter"})

    with pytest.raises(CannotRead):
        gateway.start()

    assert provider.calls == ["start", "stop"]
    assert not is_alive(gateway.aws.pid)
    assert not gateway.scratch.exists()


def test_every_event_of_the_bus_can_be_waited_for(gateway: Sample) -> None:
    name = uuid4().hex
    entry = {"Source": "smsgate", "DetailType": name, "Detail": '{"a": 1}', "EventBusName": gateway.name("EventBus")}

    gateway.aws.events.put_events(Entries=[entry])  # type: ignore[list-item]

    event = gateway.events.wait_for(lambda event: event["detail-type"] == name)
    assert event["detail"] == {"a": 1}
    assert event in gateway.events.all()


def test_waiting_for_an_event_that_does_not_come_ends(gateway: Sample) -> None:
    with pytest.raises(TimeoutError):
        gateway.events.wait_for(lambda event: event["detail-type"] == "never", seconds=0.1)


def test_a_pretended_provider_is_enabled_has_its_secret_stored_and_knows_where_to_call() -> None:
    provider = _Pretended()

    with Gateway(template=SAMPLE, providers={"pretended": provider}) as gateway:
        environment = gateway.lambdas.invoke("ProbeFunction", {"do": "environment"}).value
        secret = gateway.aws.secrets.get_secret_value(SecretId=f"{gateway.secret_prefix}/providers/pretended")
        expected = f"{gateway.api_url}/receipts/pretended/{gateway.callback_token}"

    assert environment["ENABLED_PROVIDERS"] == "pretended"
    assert secret["SecretString"] == '{"base_url": "http://127.0.0.1:9/"}'
    assert provider.receipt_url == expected
    assert provider.calls == ["start", "stop"]


def test_the_callbacks_secret_says_where_the_api_is(gateway: Sample) -> None:
    stored = gateway.aws.secrets.get_secret_value(SecretId=f"{gateway.secret_prefix}/callbacks")["SecretString"]

    assert gateway.api_url in stored
    assert gateway.callback_token in stored


@contextlib.contextmanager
def _make_run(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "local", "--port", "0", *arguments]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def _printed_until(running: subprocess.Popen[str], pattern: str) -> list[str]:
    assert running.stdout
    lines: list[str] = []
    watchdog = threading.Timer(30, running.kill)
    watchdog.start()
    for line in running.stdout:
        lines.append(line.rstrip("\n"))
        if re.search(pattern, line):
            watchdog.cancel()
            return lines
    raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(lines))


def _descendants(pid: int) -> list[int]:
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in table.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_make_run_leaves_no_process_however_it_is_ended(how: signal.Signals) -> None:
    with _make_run() as running:
        _printed_until(running, "Ctrl-C")
        wait_until(lambda: len(_descendants(running.pid)) >= 3)
        family = _descendants(running.pid)

        os.kill(running.pid, how)
        code = running.wait(15)

        assert code == (0 if how != signal.SIGKILL else -signal.SIGKILL)
        wait_until(lambda: not [pid for pid in family if is_alive(pid)], seconds=10)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["curl ", "-c 'import boto3"])
def test_the_printed_lines_send_a_message_when_they_are_pasted(which: str) -> None:
    with _make_run() as running:
        printed = _printed_until(running, "Ctrl-C")
        [line] = [line.strip() for line in printed if which in line]

        pasted = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

        assert pasted.returncode == 0, pasted.stderr
        _printed_until(running, r"\+886912345678 .*→ delivered")
