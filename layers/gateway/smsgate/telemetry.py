"""Log lines and metrics, with nobody's number or text in them.

Written with the standard library alone, and not with aws-lambda-powertools, because

- every part of a line has to pass the masking, exception texts and other libraries' lines included, and its
  POWERTOOLS_LOGGER_LOG_EVENT logs whole events whatever the code says;
- its Metrics keep one dimension set per flush, and one invocation counts for several providers;
- importing it takes 12 to 19 ms of every cold start beyond what boto3 loads anyway, and 7 MB in every function.

The lines have the shape that Lambda's JSON log format asks for; the metrics are CloudWatch's embedded metric format.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, TypeVar

from smsgate.masking import conceal, forget_texts, masked, shown, withhold
from smsgate.settings import Settings

__all__ = ["InvocationFailed", "conceal", "count", "flush", "flushed", "gauge", "logger", "took", "withhold"]

Answer = TypeVar("Answer")

_OURS = frozenset({"smsgate", "smstransports"})
_LIBRARIES = ("httpx", "httpcore", "h11", "boto3", "botocore", "urllib3", "s3transfer", "zeep")
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Lambda's own names; a level it does not know is filtered as INFO ("Log-level filtering" in its developer guide)."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FRAMES = 30
_CAUSES = 8

_invocation: dict[str, object] = {}
"""What every line says while an invocation runs. Lambda runs one at a time; its worker threads belong to it."""


class InvocationFailed(Exception):
    """Stands for whatever broke a handler: the runtime prints an exception's text, and texts may hold anything."""


# ── Log lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def logger() -> logging.Logger:
    """The package's logger: a constant English sentence as the message, what varies in `extra`."""
    ours = logging.getLogger("smsgate")
    settings = Settings()
    level = logging.getLevelNamesMapping().get(settings.log_level, logging.INFO)
    ours.setLevel(level)
    logging.getLogger("smstransports").setLevel(level)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    _take_over(logging.getLogger(), _Line(settings.service))
    return ours


def _take_over(root: logging.Logger, line: logging.Formatter) -> None:
    """Whoever writes to a log of this process writes our lines: our package, boto3, warnings, threads that die."""
    in_lambda = [handler for handler in root.handlers if type(handler).__module__.startswith("awslambdaric")]
    ours_before = [handler for handler in root.handlers if isinstance(handler, _Stdout)]
    for handler in in_lambda + ours_before:
        root.removeHandler(handler)
    root.addHandler(_Stdout(line))
    if in_lambda:  # The process is ours: elsewhere a test runner has hooks of its own here.
        logging.captureWarnings(True)
        threading.excepthook = _thread_died


def _wanted(record: logging.LogRecord) -> bool:
    """Other libraries say what they do in detail: URLs, headers, bodies. We hear of their troubles alone."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in _OURS


def _thread_died(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None:
        logger().error("a thread died", exc_info=died.exc_value)


class _Stdout(logging.Handler):
    """Where Lambda reads lines; looked up for every line, as tests and runners put other streams in its place."""

    def __init__(self, line: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(line)
        self.addFilter(_wanted)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write(self.format(record))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the standard library's name
        """Says nothing: the standard library would print the arguments, unmasked."""


class _Line(logging.Formatter):
    """One JSON object on one line, in ASCII, so that no value can end the line or move a terminal's cursor."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": _message(record),
            "logger": record.name,
            "service": self._service,
            **_invocation,
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                line.setdefault(key, _safely(functools.partial(shown, value, key)))
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = [_exception(error) for error in _chain(record.exc_info[1])]
        return json.dumps(
            line, separators=(",", ":"), allow_nan=False, default=lambda value: f"<{type(value).__name__}>"
        )


def _message(record: logging.LogRecord) -> object:
    """The sentence is shown, its arguments as values are: only what looks like a word of a machine."""
    if not isinstance(record.msg, str):
        return _safely(lambda: shown(record.msg))
    if not record.msg.isascii():
        return f"<{len(record.msg)} characters>"
    return masked(_safely(lambda: _filled(record.msg, record.args)) or record.msg)


def _filled(sentence: str, args: object) -> str:
    if not args:
        return sentence
    if isinstance(args, dict):
        return sentence % {key: shown(value, str(key)) for key, value in args.items()}
    return sentence % tuple(shown(value) for value in args) if isinstance(args, tuple) else sentence


def _safely(made: Callable[[], Answer]) -> Answer | None:
    """A line that cannot be made must neither break the caller nor be printed raw."""
    try:
        return made()
    except Exception:
        return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    for _ in range(_CAUSES):
        if following is None:
            return
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _exception(error: BaseException) -> dict[str, object]:
    """Its kind and its way through the code; its text only where it was written here. Locals never."""
    kind = type(error)
    told: dict[str, object] = {"type": kind.__qualname__}
    if kind.__module__.partition(".")[0] in _OURS:
        told["text"] = _safely(lambda: shown(str(error), "problem"))
    code = _aws_code(error)
    if code:
        told["code"] = code
    told["frames"] = [
        f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)
    ][-_FRAMES:]
    return told


def _aws_code(error: BaseException) -> object:
    """`AccessDenied` and the like of a ClientError, botocore's or our own, which nobody could do without."""
    answer = getattr(error, "response", None)
    details = answer.get("Error") if isinstance(answer, dict) else None
    return shown(details.get("Code")) if isinstance(details, dict) else None


def _write(line: str) -> None:
    # One write: lines of several threads must not mix.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# ── Metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,60}")  # Not the name of a dimension, which begins small.
_PROVIDER = re.compile(r"[a-z][a-z0-9_]{0,30}")
_METRICS_PER_LINE = 100  # CloudWatch's limit for one directive.
_VALUES_PER_METRIC = 100  # And for the values of one metric in a line.

_Value = float | list[float]
_Told = tuple[str, str, str, _Value]  # provider, name, unit, value

_lock = threading.Lock()
_counts: dict[tuple[str, str], float] = {}
_gauges: dict[tuple[str, str], float] = {}
_durations: dict[tuple[str, str], list[float]] = {}


def count(name: str, value: float = 1, *, provider: str = "") -> None:
    """Adds to a count of this invocation. Never raises: no message may be sent twice for a metric's sake."""
    key = _key(name, provider)
    with _lock:
        _counts[key] = _counts.get(key, 0) + value


def gauge(name: str, value: float, *, provider: str = "") -> None:
    """The last value of this invocation is what counts."""
    with _lock:
        _gauges[_key(name, provider)] = value


def took(name: str, duration: timedelta, *, provider: str = "") -> None:
    """One duration of many: every one is told, so that percentiles can be asked for."""
    with _lock:
        _durations.setdefault(_key(name, provider), []).append(round(duration.total_seconds(), 3))


def flush() -> None:
    """Writes what was counted, in CloudWatch's embedded metric format: a line per provider, more for many durations."""
    with _lock:
        told: list[_Told] = [(*key, "Count", value) for key, value in _counts.items()]
        told += [(*key, "None", value) for key, value in _gauges.items()]
        durations = dict(_durations)
        _counts.clear()
        _gauges.clear()
        _durations.clear()
    lines = [told]
    for (provider, name), values in durations.items():
        for line, start in enumerate(range(0, len(values), _VALUES_PER_METRIC)):
            if line == len(lines):
                lines.append([])
            lines[line].append((provider, name, "Seconds", values[start : start + _VALUES_PER_METRIC]))
    settings = Settings()
    for each in lines:
        for provider in dict.fromkeys(of for of, *_ in each):
            metrics = [(name, unit, value) for of, name, unit, value in each if of == provider]
            for start in range(0, len(metrics), _METRICS_PER_LINE):
                _write(json.dumps(_embedded(settings, provider, metrics[start : start + _METRICS_PER_LINE])))


def _key(name: str, provider: str) -> tuple[str, str]:
    """A provider that is no provider's key would cost a metric of its own for every spelling."""
    return (
        provider if not provider or _PROVIDER.fullmatch(provider) else "other",
        name if _NAME.fullmatch(name) else "Other",
    )


def _embedded(settings: Settings, provider: str, metrics: Sequence[tuple[str, str, _Value]]) -> dict[str, object]:
    dimensions = {"service": settings.service, **({"provider": provider} if provider else {})}
    directive = {
        "Namespace": settings.metrics_namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit, _ in metrics],
    }
    values = {name: value for name, _, value in metrics}
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
        **dimensions,
        **values,
    }


def flushed(handler: Callable[[Any, Any], Answer]) -> Callable[[Any, Any], Answer]:
    """A handler whose lines name its invocation, whose metrics are written at its end, whose failure tells no text."""

    @functools.wraps(handler)
    def run(event: Any, context: Any) -> Answer:
        log = logger()
        request_id = str(getattr(context, "aws_request_id", ""))
        _invocation["aws_request_id"] = shown(request_id)
        failure = None
        try:
            return handler(event, context)
        except Exception as error:
            log.error("invocation failed", exc_info=error)
            failure = type(error).__name__
        finally:
            _safely(flush)
            forget_texts()
            _invocation.clear()
        # Out here, so that what broke it hangs on it neither as cause nor as context.
        raise InvocationFailed(f"{failure}: see the log line of this invocation")

    return run
