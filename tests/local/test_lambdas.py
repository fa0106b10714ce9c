"""Functions as processes under the real Lambda runtime client."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from local.event_loop import EventLoop
from local.lambdas import MOST_WORKERS, BuiltForAnotherPython, Lambdas, PoolStopped, TooLarge
from local.runtime_api import Answer, Invocation, RuntimeApi
from local.stack import Function
from local.template import Place
from tests.local.sample_stack import SAMPLE, Sample, is_alive, wait_until

FUNCTION = "ProbeFunction"


def _do(gateway: Sample, what: str, **more: Any) -> Any:
    result = gateway.lambdas.invoke(FUNCTION, {"do": what, **more})
    assert not result.failed, result.payload
    return result.value


def test_a_worker_is_kept_warm_for_the_next_invocation(gateway: Sample) -> None:
    first, second = _do(gateway, "nothing"), _do(gateway, "nothing")

    assert first["pid"] == second["pid"]
    assert first["request"] != second["request"]


def test_the_context_tells_the_function_and_the_time_that_is_left(gateway: Sample) -> None:
    told = _do(gateway, "nothing")

    assert told["arn"] == gateway.arn(FUNCTION)
    assert 1000 < told["left"] <= 2000
    assert told["folder"] == str(SAMPLE.parent / "functions" / "probe")


def test_an_exception_is_a_failed_result_and_the_process_stays(gateway: Sample) -> None:
    before = _do(gateway, "nothing")["pid"]

    result = gateway.lambdas.invoke(FUNCTION, {"do": "raise"})

    assert result.failed
    assert (result.value["errorType"], result.value["errorMessage"]) == ("ValueError", "as ordered")
    assert _do(gateway, "nothing")["pid"] == before


def test_a_process_that_exits_is_an_error_and_replaced(gateway: Sample) -> None:
    before = _do(gateway, "nothing")["pid"]

    result = gateway.lambdas.invoke(FUNCTION, {"do": "exit"})

    assert (result.failed, result.value["errorType"]) == (True, "Runtime.ExitError")
    assert result.value["errorMessage"].endswith("exit status 3")
    assert _do(gateway, "nothing")["pid"] != before


def test_a_process_that_takes_too_long_is_killed_and_replaced(gateway: Sample) -> None:
    before = _do(gateway, "nothing")["pid"]

    result = gateway.lambdas.invoke(FUNCTION, {"do": "hang"})

    assert (result.failed, result.value["errorType"]) == (True, "Sandbox.Timedout")
    assert not is_alive(before)
    assert _do(gateway, "nothing")["pid"] != before


def test_a_process_killed_in_mid_flight_is_an_error(gateway: Sample) -> None:
    _do(gateway, "nothing")
    with ThreadPoolExecutor() as pool:
        flight = pool.submit(gateway.lambdas.invoke, FUNCTION, {"do": "hang"})

        wait_until(lambda: gateway.lambdas.kill(FUNCTION))

    assert (flight.result().failed, flight.result().value["errorType"]) == (True, "Runtime.ExitError")
    assert flight.result().value["errorMessage"].endswith("signal: killed")


def test_nobody_is_killed_who_does_not_work(gateway: Sample) -> None:
    pid = _do(gateway, "nothing")["pid"]

    assert gateway.lambdas.kill(FUNCTION) == 0
    assert _do(gateway, "nothing")["pid"] == pid


def test_two_invocations_at_a_time_are_two_processes(gateway: Sample) -> None:
    with ThreadPoolExecutor() as pool:
        flights = [pool.submit(_do, gateway, "sleep", seconds=0.5) for _ in range(2)]

    first, second = (flight.result()["pid"] for flight in flights)
    assert first != second


def test_the_environment_is_lambdas_and_the_templates_and_nothing_of_this_machine(
    gateway: Sample, tmp_path: Path, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "chirp")
    monkeypatch.setenv("AWS_PROFILE", "production")
    fresh = Lambdas(gateway.stack.functions, gateway.place, tmp_path / "lambda", loop)

    environment = fresh.invoke(FUNCTION, {"do": "environment"}).value

    fresh.stop()
    assert {"CANARY", "AWS_PROFILE"}.isdisjoint(environment)
    assert environment["GREETING"] == "hi"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == gateway.name(FUNCTION)
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environment["AWS_ENDPOINT_URL"] == gateway.aws.url
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["TZ"] == ":UTC"
    assert environment["LAMBDA_TASK_ROOT"] == str(SAMPLE.parent / "functions" / "probe")


def test_what_is_printed_is_kept_with_the_functions_log(gateway: Sample, key: str) -> None:
    _do(gateway, "print", text=key)

    assert gateway.lambdas.log(FUNCTION).count(key) == 2, "once on standard output, once on standard error"
    assert key not in gateway.lambdas.log("EchoFunction")


def test_an_event_beyond_six_megabytes_is_not_taken(gateway: Sample) -> None:
    with pytest.raises(TooLarge):
        gateway.lambdas.invoke(FUNCTION, {"do": "nothing", "more": "x" * 6_300_000})


def test_an_answer_beyond_six_megabytes_is_an_error(gateway: Sample) -> None:
    result = gateway.lambdas.invoke(FUNCTION, {"do": "bytes", "size": 6_300_000})

    assert (result.failed, result.value["errorType"]) == (True, "Function.ResponseSizeTooLarge")


def test_a_module_that_cannot_be_imported_is_an_error_with_its_reason(tmp_path: Path, loop: EventLoop) -> None:
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, "import no_such_module"))

    result = lambdas.invoke("F", {})

    lambdas.stop()
    assert (result.failed, result.value["errorType"]) == (True, "Runtime.ImportModuleError")
    assert "no_such_module" in result.value["errorMessage"]


def test_the_source_runs_with_the_projects_packages_and_an_artefact_only_with_its_own_and_lambdas(
    tmp_path: Path, loop: EventLoop
) -> None:
    layer = tmp_path / "layer" / "python"
    layer.mkdir(parents=True)
    (layer / "of_the_layer.py").touch()
    code = (
        "from importlib.util import find_spec\n"
        "def handler(event, context):\n"
        "    return [name for name in event if find_spec(name)]\n"
    )
    function = _function(tmp_path, code, layers=(layer,))
    names = ["app", "of_the_layer", "awslambdaric", "boto3", "botocore", "urllib3", "pytest", "yaml", "moto"]

    found = {}
    for kind in ("source", "built"):
        lambdas = Lambdas({"F": function}, Place("http://127.0.0.1:9", ""), tmp_path / kind, loop, kind)
        found[kind] = lambdas.invoke("F", names).value
        lambdas.stop()

    assert found["source"] == names
    assert found["built"] == ["app", "of_the_layer", "awslambdaric", "boto3", "botocore", "urllib3"]


def test_an_artefact_for_another_python_is_refused(tmp_path: Path, loop: EventLoop) -> None:
    function = _function(tmp_path, "")
    (function.folder / "__pycache__").mkdir()
    (function.folder / "__pycache__" / "app.cpython-399.pyc").touch()

    with pytest.raises(BuiltForAnotherPython):
        Lambdas({"F": function}, Place("", ""), tmp_path / "lambda", loop, "built")


def test_stopping_ends_workers_in_mid_flight(tmp_path: Path, loop: EventLoop) -> None:
    function = _function(tmp_path, _HANGS)
    lambdas = _lambdas(tmp_path, loop, function)
    flight = threading.Thread(target=lambdas.invoke, args=["F", {}])
    flight.start()
    [pid] = wait_until(lambdas.pids)

    lambdas.stop()

    flight.join(5)
    assert not flight.is_alive()
    assert not is_alive(pid)


def test_invocations_that_find_no_process_free_wait_their_turn_in_order(
    tmp_path: Path, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.lambdas.MOST_WORKERS", 1)
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, _REMEMBERS))
    numbers = list(range(20))

    with ThreadPoolExecutor(20) as pool:
        for number in numbers:
            pool.submit(lambdas.invoke, "F", number)
            time.sleep(0.01)  # so that each comes after the one before

    assert lambdas.invoke("F", None).value == [*numbers, None]
    lambdas.stop()


def test_no_more_processes_are_started_than_a_function_may_have(tmp_path: Path, loop: EventLoop) -> None:
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, _TELLS_ITS_PROCESS))

    with ThreadPoolExecutor(3 * MOST_WORKERS) as pool:
        pids = set(pool.map(lambda _: lambdas.invoke("F", {}).value, range(3 * MOST_WORKERS)))

    assert len(pids) == len(lambdas.pids("F")) == MOST_WORKERS
    lambdas.stop()


def test_a_process_that_died_while_nobody_needed_it_is_missed_by_nobody(tmp_path: Path, loop: EventLoop) -> None:
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, _TELLS_ITS_PROCESS))
    first = lambdas.invoke("F", {}).value
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not lambdas.pids())

    second = lambdas.invoke("F", {})

    assert not second.failed
    assert second.value != first
    lambdas.stop()


def test_stopping_turns_away_what_waits_for_its_turn_and_all_that_comes_later(
    tmp_path: Path, loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.lambdas.MOST_WORKERS", 1)
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, _HANGS))
    with ThreadPoolExecutor() as pool:
        working, waiting = pool.submit(lambdas.invoke, "F", {}), pool.submit(lambdas.invoke, "F", {})
        wait_until(lambdas.pids)
        time.sleep(0.1)

        lambdas.stop()

    assert working.result().value["errorType"] == "Runtime.ExitError"
    assert isinstance(waiting.exception(), PoolStopped)
    with pytest.raises(PoolStopped):
        lambdas.invoke("F", {})
    assert lambdas.pids() == []


def test_who_listens_is_told_how_long_each_answer_took_its_start_not_included(tmp_path: Path, loop: EventLoop) -> None:
    lambdas = _lambdas(tmp_path, loop, _function(tmp_path, f"import time\ntime.sleep(1)\n{_SLEEPS}"))
    told: list[tuple[str, float]] = []
    lambdas.listen(lambda function, seconds: told.append((function, seconds)))

    lambdas.invoke("F", 0.3)
    lambdas.invoke("F", 0)

    lambdas.stop()
    (first, long), (second, short) = told
    assert first == second == "F"
    assert 0.3 <= long < 0.9
    assert 0 < short < 0.3


def test_only_the_invocation_that_was_handed_over_can_be_answered_and_only_once(loop: EventLoop) -> None:
    api, invocation = loop.run(_runtime_with_an_invocation())
    connection = HTTPConnection(api.address, timeout=5)

    def ask(method: str, what: str, body: bytes = b"") -> tuple[int, bytes]:
        connection.request(method, f"/2018-06-01/runtime/{what}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert ask("POST", f"invocation/{invocation.request_id}/response", b"too early")[0] == 400
    assert ask("GET", "invocation/next") == (200, b"event")
    assert ask("POST", "invocation/another/response", b"another's")[0] == 400
    assert ask("POST", f"invocation/{invocation.request_id}/response", b"mine")[0] == 202
    assert ask("POST", f"invocation/{invocation.request_id}/error", b"changed my mind")[0] == 400
    assert ask("GET", "invocation/previous")[0] == ask("DELETE", "invocation/next")[0] == 404
    assert (invocation.answer.result().payload, invocation.answer.result().failed) == (b"mine", False)
    connection.close()
    loop.run(_close(api))


def test_what_has_been_settled_cannot_be_answered_any_more(loop: EventLoop) -> None:
    api, invocation = loop.run(_runtime_with_an_invocation())
    connection = HTTPConnection(api.address, timeout=5)
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    connection.getresponse().read()
    loop.run(_settle(invocation, Answer(b"obituary", failed=True)))

    connection.request("POST", f"/2018-06-01/runtime/invocation/{invocation.request_id}/response", b"last word")

    assert connection.getresponse().status == 400
    assert invocation.answer.result().payload == b"obituary"
    connection.close()
    loop.run(_close(api))


async def _settle(invocation: Invocation, answer: Answer) -> None:
    invocation.settle(answer)


async def _close(api: RuntimeApi) -> None:
    api.close()


async def _runtime_with_an_invocation() -> tuple[RuntimeApi, Invocation]:
    api, invocation = RuntimeApi(), Invocation("arn:f", b"event", timeout=5)
    await api.start()
    api.hand_over(invocation)
    return api, invocation


_REMEMBERS = """
seen = []
def handler(event, context):
    seen.append(event)
    return seen
"""
_TELLS_ITS_PROCESS = """
import os, time
def handler(event, context):
    time.sleep(0.2)
    return os.getpid()
"""
_HANGS = """
import time
def handler(event, context):
    time.sleep(60)
"""
_SLEEPS = """
import time
def handler(event, context):
    time.sleep(event)
"""


def _function(folder: Path, code: str, layers: tuple[Path, ...] = ()) -> Function:
    task = folder / "task"
    task.mkdir()
    (task / "app.py").write_text(code)
    return Function("F", "f", "arn:f", "app.handler", task, layers, {}, timeout=5, memory=128)


def _lambdas(folder: Path, loop: EventLoop, function: Function) -> Lambdas:
    return Lambdas({"F": function}, Place("http://127.0.0.1:9", ""), folder / "lambda", loop)
