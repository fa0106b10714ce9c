"""What reaches stdout: one JSON object per line, nobody's number, text or secret in it, and CloudWatch's metrics."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from smsgate import masking, telemetry
from smsgate.secrets import SecretUnreadable

TOO_FEW = "too few %s %s"
CREDENTIALS = ("canary-user-1", "canary&p@ss=2", "canary pass 3", "密碼canary4", "canary%41\n5")
NUMBERS = tuple(f"9{n:08d}" for n in range(12_345_678, 12_345_678 + 20 * 1_111_111, 1_111_111))
FORMATS = ("+886{0}", "0{0}", "+886 {1} {2} {3}", "0{1}-{2}-{3}", "%2B886{0}")
PHONES = tuple(form.format(n, n[:3], n[3:6], n[6:]) for n in NUMBERS for form in FORMATS)
BODIES = (
    *(f"您的驗證碼是 canary{n}，請勿告訴他人" for n in range(7)),
    *(f"Your code is canary-{n}. Do not share it!" for n in range(7)),
    *(f"canaryword{n}" for n in range(3)),
    *(f"line one canary{n}\r\n\x1b[31mline two\u2028three" for n in range(3)),
)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SERVICE_NAME", "sender")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    telemetry.logger.cache_clear()
    telemetry._counts.clear()
    telemetry._gauges.clear()
    telemetry._durations.clear()
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, telemetry._Stdout)]:
        root.removeHandler(handler)
    telemetry.logger.cache_clear()
    masking._secrets.clear()
    masking._texts.clear()


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capfd.readouterr()
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def leaks(capfd: pytest.CaptureFixture[str]) -> set[str]:
    """Canaries in what was printed, whichever way they are encoded there."""
    printed = "".join(capfd.readouterr())
    assert printed
    said = printed + json.dumps([json.loads(line) for line in printed.splitlines()], ensure_ascii=False)
    together = re.sub(r"[\s\-().%_]", "", said)
    found = {canary for canary in (*CREDENTIALS, *BODIES) for form in (canary, quote(canary)) if form in said}
    found |= {number for number in NUMBERS if number in together}
    return found | set(re.findall("canary.{0,10}", said))


class TestNothingPrivateIsPrinted:
    @pytest.mark.parametrize("canaries", [CREDENTIALS, PHONES, BODIES], ids=["credentials", "phones", "bodies"])
    def test_not_in_messages_and_arguments_when_named_beforehand(
        self, canaries: tuple[str, ...], capfd: pytest.CaptureFixture[str]
    ) -> None:
        name_beforehand(canaries)
        log = telemetry.logger()

        for canary in canaries:
            log.info(f"sent {canary} to them")  # noqa: G004  what nobody should write is what is tried
            log.warning("sent %s to them", canary)
            log.warning("sent %(it)s", {"it": canary})
            log.error(canary)
            log.error(quote(canary))

        assert leaks(capfd) == set()

    @pytest.mark.parametrize("canaries", [PHONES, BODIES[:14], BODIES[17:]], ids=["phones", "prose", "lines"])
    def test_not_in_arguments_and_fields_when_nobody_named_them(
        self, canaries: tuple[str, ...], capfd: pytest.CaptureFixture[str]
    ) -> None:
        log = telemetry.logger()

        for canary in canaries:
            log.info("sent %s, %r, %s", canary, canary, {"it": canary, canary: 1})
            log.info("sent", extra={"it": canary, "them": [canary, (canary, {canary})], "deep": {"it": {"er": canary}}})
            log.info("sent", extra={"text": canary, "problem_of": ValueError(canary), "bytes": canary.encode()})

        assert leaks(capfd) == set()

    def test_not_even_a_body_of_one_word_under_the_keys_of_texts(self, capfd: pytest.CaptureFixture[str]) -> None:
        for body in BODIES:
            telemetry.logger().info("sent", extra={"text": body, "sms_body": body, "event": {"body": body}})

        assert leaks(capfd) == set()

    @pytest.mark.parametrize("canaries", [CREDENTIALS, PHONES, BODIES], ids=["credentials", "phones", "bodies"])
    def test_not_in_exceptions_their_causes_contexts_notes_and_locals(
        self, canaries: tuple[str, ...], capfd: pytest.CaptureFixture[str]
    ) -> None:
        log = telemetry.logger()

        for canary in canaries:
            try:
                break_down(canary)
            except RuntimeError as error:
                log.exception("it broke")
                log.error("it broke", exc_info=error, stack_info=True)
                log.error("it broke: %s", error)
                log.error(error)
                log.error("it broke", extra={"error": error, "errors": [error]})

        assert leaks(capfd) == set()

    @pytest.mark.parametrize("canaries", [CREDENTIALS, PHONES, BODIES], ids=["credentials", "phones", "bodies"])
    def test_not_through_the_failure_of_a_handler(
        self, canaries: tuple[str, ...], capfd: pytest.CaptureFixture[str]
    ) -> None:
        handler = telemetry.flushed(lambda event, _: break_down(event))

        for canary in canaries:
            with pytest.raises(telemetry.InvocationFailed) as failed:
                handler(canary, None)
            print(json.dumps(str(failed.value)))  # noqa: T201  as the runtime does
            assert failed.value.__context__ is None

        assert leaks(capfd) == set()

    @pytest.mark.parametrize("library", ["httpx", "httpcore", "botocore.auth", "boto3", "urllib3.pool", "zeep", "new"])
    def test_not_by_other_libraries(self, library: str, capfd: pytest.CaptureFixture[str]) -> None:
        name_beforehand(CREDENTIALS)
        telemetry.logger()
        theirs = logging.getLogger(library)
        theirs.setLevel(logging.DEBUG)

        for canary in (*CREDENTIALS, *PHONES):
            theirs.info("HTTP Request: GET %s", f"https://sms.example.com/?password={quote(canary)}")
            theirs.warning("HTTP Request: GET %s", f"https://sms.example.com/?password={quote(canary)}")
            theirs.warning(f"retrying https://sms.example.com/?to={canary}")

        said = lines(capfd)
        assert {line["level"] for line in said} == {"WARN"}
        assert len(said) == 2 * len((*CREDENTIALS, *PHONES))
        assert "canary" not in json.dumps(said)
        assert not [number for number in NUMBERS if number in json.dumps(said)]


class TestLines:
    def test_a_line_says_when_how_bad_what_and_about_which_message(self, capfd: pytest.CaptureFixture[str]) -> None:
        message_id = "abcdefghijklmnopqrstuvw2-17"
        request_id = "059f36b4-87a3-44ab-83d2-661975830a7d"

        telemetry.logger().warning(
            "outcome not recorded",
            extra={
                "message_id": message_id,
                "request_id": request_id,
                "provider": "twsms",
                "provider_ref": "1234567890",
            },
        )

        (line,) = lines(capfd)
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("timestamp"))
        assert line == {
            "level": "WARN",
            "message": "outcome not recorded",
            "logger": "smsgate",
            "service": "sender",
            "message_id": message_id,
            "request_id": request_id,
            "provider": "twsms",
            "provider_ref": "1234567890",
        }

    @pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "\x1b[2J", "\u2028", "\u0085", '"}\n{"level":"ERROR"', "\x00"])
    def test_whatever_is_logged_stays_inside_one_line_of_ascii(
        self, evil: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        log = telemetry.logger()

        log.info(f"got {evil}")  # noqa: G004  what nobody should write is what is tried
        log.info("got %s", evil)
        log.info("got", extra={"it": evil, "problem": evil, "them": {evil: evil}})

        out, _ = capfd.readouterr()
        assert len(out.split("\n")) == 4
        assert all(0x20 <= ord(character) < 0x7F for character in out.replace("\n", ""))

    def test_an_exception_is_its_kinds_and_its_way_through_the_code(self, capfd: pytest.CaptureFixture[str]) -> None:
        try:
            break_down("anything at all")
        except RuntimeError:
            telemetry.logger().exception("it broke")

        (line,) = lines(capfd)
        kinds = [error["type"] for error in line["exception"]]
        assert kinds == ["RuntimeError", "ValueError", "KeyError"]
        assert re.fullmatch(r"test_telemetry\.py:\d+ break_down", line["exception"][0]["frames"][-1])

    def test_a_text_of_our_own_exception_and_aws_s_code_are_shown(self, capfd: pytest.CaptureFixture[str]) -> None:
        log = telemetry.logger()
        refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "for +886912345678"}}, "PutItem")

        log.error("not read", exc_info=SecretUnreadable("smsgate/providers/twsms: must hold one JSON object"))
        log.error("not written", exc_info=refused)

        ours, theirs = lines(capfd)
        assert ours["exception"][0]["text"] == "smsgate/providers/twsms: must hold one JSON object"
        assert theirs["exception"] == [{"type": "ClientError", "code": "AccessDenied", "frames": []}]

    def test_what_cannot_be_formatted_still_gives_a_line_and_breaks_nobody(
        self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken:
            def __str__(self) -> str:
                raise ZeroDivisionError

            __repr__ = __str__

        class BrokenDict(dict[str, str]):
            def items(self) -> Any:
                raise ZeroDivisionError

        with monkeypatch.context() as patched:
            patched.setattr(logging.getLogger(), "handlers", [])  # The test runner's own would raise.
            log = telemetry.logger()
            log.log(logging.INFO, TOO_FEW, "one")
            log.info("no number %d", "word")
            log.info("broken %s", Broken(), extra={"it": Broken(), "them": BrokenDict()})
            log.info({"a": "message", "that is": "no sentence"})
            log.info("100%")

        said = lines(capfd)
        assert [line["message"] for line in said] == [
            TOO_FEW,
            "no number %d",
            "broken <Broken>",
            {"a": "message", "<7 characters>": "<11 characters>"},
            "100%",
        ]
        assert said[2]["them"] is None

    def test_an_unwritable_stdout_breaks_nobody_and_prints_no_arguments(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        log = telemetry.logger()
        monkeypatch.setattr(sys, "stdout", None)

        log.error("said to nobody: %s", "canary")

        assert capfd.readouterr().err == ""

    def test_the_level_is_a_setting(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("LOG_LEVEL", "WARN")
        log = telemetry.logger()

        log.info("unheard")
        log.critical("heard")

        assert [line["level"] for line in lines(capfd)] == ["FATAL"]

    def test_asking_twice_does_not_print_twice(self, capfd: pytest.CaptureFixture[str]) -> None:
        telemetry.logger()
        telemetry.logger.cache_clear()

        telemetry.logger().info("once")

        assert len(lines(capfd)) == 1

    def test_lines_of_many_threads_do_not_mix(self, capfd: pytest.CaptureFixture[str]) -> None:
        log = telemetry.logger()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: log.info("line", extra={"n": n, "pad": "x" * 100}), range(500)))

        assert sorted(line["n"] for line in lines(capfd)) == list(range(500))

    def test_in_lambda_the_runtime_s_handler_gives_way_and_warnings_and_dying_threads_are_masked(self) -> None:
        program = """
import logging, threading, warnings
class Handler(logging.Handler):
    def emit(self, record): print("the runtime's own, unmasked:", record.getMessage())
Handler.__module__ = "awslambdaric.bootstrap"
logging.getLogger().addHandler(Handler())
from smsgate import telemetry
telemetry.logger().info("ours")
warnings.warn("canary +886912345678")
def die(): raise ValueError("canary text +886912345678")
thread = threading.Thread(target=die)
thread.start()
thread.join()
"""
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )

        said = [json.loads(line) for line in ran.stdout.splitlines()]
        assert ran.stderr == ""
        assert [line["logger"] for line in said] == ["smsgate", "py.warnings", "smsgate"]
        assert said[2]["exception"][0]["type"] == "ValueError"
        assert "912345678" not in ran.stdout
        assert "canary text" not in ran.stdout


class TestMetrics:
    def test_they_are_embedded_metrics_one_line_for_each_provider(self, capfd: pytest.CaptureFixture[str]) -> None:
        before = time.time() * 1000
        telemetry.count("RequestPosted")
        telemetry.count("DispatchAccepted", provider="twsms")
        telemetry.count("DispatchAccepted", value=2, provider="twsms")
        telemetry.count("DispatchAccepted", provider="smsgo")
        telemetry.gauge("Credit", 17.5, provider="smsgo")
        telemetry.gauge("Credit", 16.5, provider="smsgo")

        telemetry.flush()

        said = lines(capfd)
        for line in said:
            check_embedded(line)
            assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "smsgate"
            assert before - 1 <= line["_aws"]["Timestamp"] <= time.time() * 1000
            del line["_aws"]
        assert said == [
            {"service": "sender", "RequestPosted": 1},
            {"service": "sender", "provider": "twsms", "DispatchAccepted": 3},
            {"service": "sender", "provider": "smsgo", "DispatchAccepted": 1, "Credit": 16.5},
        ]

    def test_every_duration_is_told_a_hundred_to_a_line(self, capfd: pytest.CaptureFixture[str]) -> None:
        for number in range(250):
            telemetry.took("SubmitTime", timedelta(milliseconds=number), provider="twsms")
        telemetry.count("DispatchAccepted", provider="twsms")

        telemetry.flush()

        said = lines(capfd)
        for line in said:
            check_embedded(line)
            units = {each["Name"]: each["Unit"] for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
            assert units["SubmitTime"] == "Seconds"
        assert [len(line["SubmitTime"]) for line in said] == [100, 100, 50]
        assert sorted(each for line in said for each in line["SubmitTime"]) == [number / 1000 for number in range(250)]
        assert [line.get("DispatchAccepted") for line in said] == [1, None, None]

    def test_dimensions_and_units_are_named(self, capfd: pytest.CaptureFixture[str]) -> None:
        telemetry.count("CreditsRan", provider="twsms")
        telemetry.gauge("Credit", 1, provider="twsms")

        telemetry.flush()

        (line,) = lines(capfd)
        assert line["_aws"]["CloudWatchMetrics"] == [
            {
                "Namespace": "smsgate",
                "Dimensions": [["service", "provider"]],
                "Metrics": [{"Name": "CreditsRan", "Unit": "Count"}, {"Name": "Credit", "Unit": "None"}],
            }
        ]

    def test_a_hundred_metrics_at_most_stand_in_one_line(self, capfd: pytest.CaptureFixture[str]) -> None:
        for number in range(250):
            telemetry.count(f"Metric{number}")

        telemetry.flush()

        said = lines(capfd)
        assert [len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for line in said] == [100, 100, 50]
        for line in said:
            check_embedded(line)

    def test_nothing_counted_prints_nothing_and_nothing_is_printed_twice(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        telemetry.flush()
        telemetry.count("RequestPosted")
        telemetry.flush()
        telemetry.flush()

        assert len(lines(capfd)) == 1

    @pytest.mark.parametrize("odd", ["service", "_aws", "+886912345678", "a b", "驗", ""])
    def test_an_odd_name_neither_raises_nor_makes_a_metric_of_its_own(
        self, odd: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        telemetry.count(odd, provider="+886912345678")

        telemetry.flush()

        (line,) = lines(capfd)
        check_embedded(line)
        assert line["provider"] == "other"
        assert line["service"] == "sender"
        assert "912345678" not in json.dumps(line)

    def test_threads_count_together(self, capfd: pytest.CaptureFixture[str]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: telemetry.count("DispatchAccepted", provider="twsms"), range(2000)))

        telemetry.flush()

        (line,) = lines(capfd)
        assert line["DispatchAccepted"] == 2000


class TestInvocations:
    def test_every_line_of_an_invocation_names_it_also_those_of_its_threads(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        @telemetry.flushed
        def handler(event: str, context: object) -> str:
            telemetry.logger().info("in the handler")
            thread = threading.Thread(target=telemetry.logger().info, args=("in a thread",))
            thread.start()
            thread.join()
            return event * 2

        answer = handler("x", SimpleNamespace(aws_request_id="059f36b4-87a3-44ab-83d2-661975830a7d"))
        telemetry.logger().info("afterwards")

        said = lines(capfd)
        assert answer == "xx"
        assert [line.get("aws_request_id") for line in said] == ["059f36b4-87a3-44ab-83d2-661975830a7d"] * 2 + [None]

    @pytest.mark.parametrize("fails", [False, True])
    def test_its_metrics_are_written_whether_it_fails_or_not(
        self, fails: bool, capfd: pytest.CaptureFixture[str]
    ) -> None:
        @telemetry.flushed
        def handler(_event: object, _context: object) -> None:
            telemetry.count("RequestPosted")
            if fails:
                raise ValueError("secret text")

        if fails:
            with pytest.raises(telemetry.InvocationFailed, match=r"^ValueError: see the log line"):
                handler({}, None)
        else:
            handler({}, None)

        said = lines(capfd)
        assert next(line for line in said if "_aws" in line)["RequestPosted"] == 1
        assert [line["message"] for line in said if "message" in line] == ["invocation failed"] * fails

    def test_texts_of_one_invocation_are_forgotten_at_its_end(self, capfd: pytest.CaptureFixture[str]) -> None:
        @telemetry.flushed
        def handler(_event: object, _context: object) -> None:
            telemetry.withhold("Hello")
            telemetry.logger().info("sent Hello")

        handler({}, None)
        telemetry.logger().info("sent Hello")

        assert [line["message"] for line in lines(capfd)] == ["sent ***", "sent Hello"]

    def test_a_process_that_is_told_to_stop_still_writes_its_metrics(self, capfd: pytest.CaptureFixture[str]) -> None:
        @telemetry.flushed
        def handler(_event: object, _context: object) -> None:
            telemetry.count("RequestPosted")
            raise SystemExit(1)

        with pytest.raises(SystemExit):
            handler({}, None)

        assert lines(capfd)[0]["RequestPosted"] == 1


def test_it_loads_neither_powertools_nor_boto3() -> None:
    program = "import sys; from smsgate import telemetry; telemetry.logger(); print(*sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert not {"aws_lambda_powertools", "boto3", "botocore", "jmespath"} & set(ran.stdout.split())


def name_beforehand(canaries: tuple[str, ...]) -> None:
    for canary in canaries:
        if canaries is CREDENTIALS:
            telemetry.conceal(canary)
        elif canaries is BODIES:
            telemetry.withhold(canary)


def break_down(canary: str) -> None:
    try:
        try:
            raise KeyError(canary)
        except KeyError:
            int(f"no number: {canary}")
    except ValueError as error:
        error.add_note(canary)
        error.filename = canary  # type: ignore[attr-defined]  # what some libraries hang on theirs
        raise RuntimeError(f"could not send {canary}", canary) from error


def check_embedded(line: dict[str, Any]) -> None:
    """The specification of the embedded metric format, as far as it says MUST."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 1 <= len(directive["Namespace"]) <= 1024
        for dimension_set in directive["Dimensions"]:
            assert 0 <= len(dimension_set) <= 30
            assert all(isinstance(line[name], str) and 1 <= len(line[name]) <= 1024 for name in dimension_set)
        assert 1 <= len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert set(metric) == {"Name", "Unit"}
            assert metric["Unit"] in {"Count", "None", "Seconds"}
            values = line[metric["Name"]]
            values = values if isinstance(values, list) else [values]
            assert 1 <= len(values) <= 100
            assert all(isinstance(value, int | float) for value in values)
