"""What a template deploys, as values: functions, what starts each of them, and the resources they use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.template import CannotRead, Template


@dataclass(frozen=True, slots=True)
class Function:
    logical_id: str
    name: str
    arn: str
    handler: str
    folder: Path
    layers: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout: float
    memory: int


@dataclass(frozen=True, slots=True)
class QueueSource:
    function: str
    queue_arn: str
    queue_url: str
    batch_size: int
    window: float
    partial_failures: bool
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class StreamSource:
    function: str
    table: str
    batch_size: int
    window: float
    partial_failures: bool
    bisect: bool
    starting_position: str
    retries: int | None
    max_age: float | None
    on_failure: str | None


@dataclass(frozen=True, slots=True)
class ScheduleSource:
    function: str
    name: str
    every: float
    input: str | None


@dataclass(frozen=True, slots=True)
class MailSource:
    function: str
    bucket: str
    prefix: str
    recipients: tuple[str, ...]  # none: whoever it is for


@dataclass(frozen=True, slots=True)
class Route:
    function: str
    method: str
    path: str
    needs_iam: bool

    @property
    def key(self) -> str:
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Stack:
    functions: dict[str, Function] = field(default_factory=dict)
    queues: list[QueueSource] = field(default_factory=list)
    streams: list[StreamSource] = field(default_factory=list)
    schedules: list[ScheduleSource] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    mails: list[MailSource] = field(default_factory=list)
    not_wired: list[str] = field(default_factory=list)
    """What would start a function in AWS and does not here; said aloud rather than left out quietly."""


def read_stack(template: Template) -> Stack:
    stack = Stack()
    layers = {
        template.arn_of(logical_id): _layer_folder(template.folder / properties["ContentUri"])
        for logical_id, properties in template.resources("AWS::Serverless::LayerVersion").items()
    }
    shared = template.global_properties("Function")
    for logical_id, own in template.resources("AWS::Serverless::Function").items():
        properties = _with_globals(shared, own)
        stack.functions[logical_id] = _function(template, logical_id, properties, layers)
        for name, event in (properties.get("Events") or {}).items():
            _add_event(stack, template, logical_id, name, event)
    for logical_id, properties in template.resources("AWS::SES::ReceiptRule").items():
        _add_receipt_rule(stack, logical_id, properties["Rule"])
    kinds = template.kinds()
    stack.not_wired.extend(
        f"{logical_id} ({kinds[logical_id]})" for logical_id in kinds if kinds[logical_id] in _STARTS
    )
    return stack


_STARTS = {
    "AWS::ApiGatewayV2::Route",
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Scheduler::Schedule",
}


def _with_globals(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """As SAM merges them: maps are merged, lists appended, anything else is replaced."""
    merged = dict(shared)
    for key, value in own.items():
        inherited = merged.get(key)
        if isinstance(inherited, dict) and isinstance(value, dict):
            merged[key] = _with_globals(inherited, value)
        elif isinstance(inherited, list) and isinstance(value, list):
            merged[key] = inherited + value
        else:
            merged[key] = value
    return merged


def _layer_folder(content: Path) -> Path:
    """A built layer holds `python/`, which Lambda puts on the path; a layer's source is that folder itself."""
    return content / "python" if (content / "python").is_dir() else content


def _function(
    template: Template, logical_id: str, properties: Mapping[str, Any], layers: Mapping[str, Path]
) -> Function:
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    logging = properties.get("LoggingConfig") or {}
    platform = {
        "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat"),
        "AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel"),
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup") or f"/aws/lambda/{template.name_of(logical_id)}",
    }
    return Function(
        logical_id=logical_id,
        name=template.name_of(logical_id),
        arn=template.arn_of(logical_id),
        handler=properties["Handler"],
        folder=(template.folder / properties["CodeUri"]).resolve(),
        layers=tuple(layers[arn].resolve() for arn in properties.get("Layers") or []),
        environment={key: _text(value) for key, value in {**platform, **variables}.items() if value is not None},
        timeout=float(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
    )


def _add_event(stack: Stack, template: Template, function: str, name: str, event: Mapping[str, Any]) -> None:
    kind, properties = event["Type"], event.get("Properties") or {}
    if properties.get("Enabled") is False or properties.get("State") == "DISABLED":
        return
    if "FilterCriteria" in properties:
        raise CannotRead(f"{function}.{name}: FilterCriteria is not understood here")
    if kind == "SQS":
        stack.queues.append(_queue_source(template, function, properties))
    elif kind == "DynamoDB":
        stack.streams.append(_stream_source(function, properties))
    elif kind in {"Schedule", "ScheduleV2"}:
        every = _seconds(properties.get("Schedule") or properties.get("ScheduleExpression") or "")
        stack.schedules.append(ScheduleSource(function, f"{function}{name}", every, properties.get("Input")))
    elif kind == "HttpApi":
        stack.routes.append(_route(template, function, properties))
    else:
        stack.not_wired.append(f"{function}.{name} ({kind})")


def _add_receipt_rule(stack: Stack, logical_id: str, rule: Mapping[str, Any]) -> None:
    """A rule that first stores the mail and then tells a function; any other is not understood."""
    actions = rule.get("Actions") or []
    functions = {function.arn: name for name, function in stack.functions.items()}
    if [list(action) for action in actions] != [["S3Action"], ["LambdaAction"]]:
        stack.not_wired.append(f"{logical_id} (AWS::SES::ReceiptRule)")
        return
    stored, told = actions[0]["S3Action"], actions[1]["LambdaAction"]
    if rule.get("Enabled", False) and told["FunctionArn"] in functions:
        recipients = tuple(rule.get("Recipients") or ())
        function = functions[told["FunctionArn"]]
        stack.mails.append(MailSource(function, stored["BucketName"], stored.get("ObjectKeyPrefix", ""), recipients))


def _queue_source(template: Template, function: str, properties: Mapping[str, Any]) -> QueueSource:
    arn = properties["Queue"]
    return QueueSource(
        function=function,
        queue_arn=arn,
        queue_url=f"{template.place.aws_url}/{template.place.account}/{arn.rpartition(':')[2]}",
        batch_size=int(properties.get("BatchSize", 10)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        partial_failures="ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or []),
        concurrency=_whole((properties.get("ScalingConfig") or {}).get("MaximumConcurrency")),
    )


def _stream_source(function: str, properties: Mapping[str, Any]) -> StreamSource:
    on_failure = (properties.get("DestinationConfig") or {}).get("OnFailure") or {}
    retries = _whole(properties.get("MaximumRetryAttempts"))
    age = _whole(properties.get("MaximumRecordAgeInSeconds"))
    return StreamSource(
        function=function,
        table=properties["Stream"].partition("table/")[2].partition("/")[0],
        batch_size=int(properties.get("BatchSize", 100)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        partial_failures="ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or []),
        bisect=str(properties.get("BisectBatchOnFunctionError", False)).lower() == "true",
        starting_position=properties["StartingPosition"],
        retries=None if retries in {None, -1} else retries,
        max_age=None if age in {None, -1} else float(age or 0),
        on_failure=on_failure.get("Destination"),
    )


def _route(template: Template, function: str, properties: Mapping[str, Any]) -> Route:
    # Without Path and Method SAM makes the route that takes whatever no other route takes.
    path, method = properties.get("Path"), properties.get("Method", "ANY").upper()
    authorizer = (properties.get("Auth") or {}).get("Authorizer")
    if authorizer is None:
        apis = template.resources("AWS::Serverless::HttpApi").values()
        authorizer = next((api.get("Auth", {}).get("DefaultAuthorizer") for api in apis), None)
    return Route(function, method, path or "$default", authorizer == "AWS_IAM")


_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(r"rate\((\d+) (second|minute|hour|day)s?\)")


def _seconds(expression: str) -> float:
    match = _RATE.fullmatch(expression)
    if not match:
        raise CannotRead(f"the schedule {expression!r} is not understood here: only rate(...) is")
    return float(int(match[1]) * _UNITS[match[2]])


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
