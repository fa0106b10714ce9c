"""Who may import whom, and what a cold start must not load."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from smsgate.providers import PROVIDERS
from smsgate.providers.base import ReadsReceipts, ReadsReplies
from tests.transports.raw_server import Conversation, RawServer, answer
from tests.world.messages_table import TABLE

ROOT = Path(__file__).parents[2]
SMSGATE = ROOT / "layers/gateway/smsgate"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))

OURS = {"smsgate", "smstransports", "local", "tests", "tools", "bench", "cli", "functions"}

# Folder, what of ours its files may import, and what they must not whoever wrote it.
RULES = [
    ("functions", {"smsgate", "smstransports"}, {"httpx", "zeep", "lxml", "smtplib", "boto3"}),
    ("layers/gateway/smsgate", {"smsgate"}, {"httpx", "h11", "zeep", "lxml", "smtplib", "requests"}),
    ("layers/transports/smstransports", {"smsgate", "smstransports"}, {"boto3", "botocore"}),
    ("local/simulators", {"local"}, set()),
    ("local", {"local", "tools"}, set()),
]

# A provider is a translator: it knows the values everything speaks in, and nothing that could reach anybody.
PROVIDERS_MAY_IMPORT = {
    "smsgate.clock",
    "smsgate.messages",
    "smsgate.numbers",
    "smsgate.outcomes",
    "smsgate.providers.base",
    "smsgate.reasons",
    "smsgate.status",
    "smsgate.strict_xml",
    "smsgate.text",
    "smsgate.urls",
    "smsgate.wire",
}
PROVIDERS_MUST_NOT_IMPORT = {
    "boto3",
    "botocore",
    "os",
    "time",
    "random",
    "socket",
    "threading",
    "logging",
    "subprocess",
}

# Seen by the transports: the values of a call, how to say what it came to, and how to read what strangers wrote.
TRANSPORTS_MAY_IMPORT = {"smsgate.outcomes", "smsgate.reasons", "smsgate.strict_xml", "smsgate.wire"}

HEAVY = {
    "aws_xray_sdk",
    "h11",
    "httpcore",
    "httpx",
    "lxml",
    "pydantic",
    "requests",
    "s3transfer.manager",
    "smtplib",
    "zeep",
}


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, `from a import b` as `a` and as `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports say the whole name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(("folder", "ours", "foreign"), RULES)
def test_a_folder_imports_only_what_it_may(folder: str, ours: set[str], foreign: set[str]) -> None:
    found = files(folder)
    assert found

    offences = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in found
        for module in imported(path)
        if module.partition(".")[0] in (OURS - ours) | foreign
    }

    assert not offences


def test_only_the_connections_to_aws_open_sockets() -> None:
    """Providers are reached through the transports."""
    opening = {path.name for path in files("layers/gateway/smsgate") if {"socket", "ssl"} & set(imported(path))}

    assert opening == {"aws_connections.py"}


@pytest.mark.parametrize("path", sorted((SMSGATE / "providers").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_provider_knows_values_only(path: Path) -> None:
    modules = set(imported(path))
    foreign = {module for module in modules if module.partition(".")[0] in PROVIDERS_MUST_NOT_IMPORT}
    of_ours = {module for module in modules if module.startswith("smsgate.") and module.count(".") < 3}
    strangers = {
        module
        for module in of_ours
        if not any(module == known or module.startswith(f"{known}.") for known in PROVIDERS_MAY_IMPORT)
        and module != "smsgate.providers"
        and not any(known.startswith(f"{module}.") for known in PROVIDERS_MAY_IMPORT)
    }

    assert not foreign
    assert not strangers


def test_transports_know_what_goes_over_the_wire_and_nothing_else_of_the_gateway() -> None:
    strangers = {
        f"{path.name} imports {module}"
        for path in files("layers/transports/smstransports")
        for module in imported(path)
        if module.startswith("smsgate") and not any(module.startswith(known) for known in TRANSPORTS_MAY_IMPORT)
    }

    assert not strangers


def test_simulators_are_a_second_reading_of_the_vendors_documents() -> None:
    for path in files("local/simulators"):
        assert not {module for module in imported(path) if module.partition(".")[0] in {"smsgate", "smstransports"}}


def test_only_settings_reads_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("functions", "layers")
        for path in files(folder)
        if re.search(r"os\.environ|getenv", path.read_text("utf-8"))
    }

    assert readers <= {"layers/gateway/smsgate/settings.py", "layers/gateway/smsgate/telemetry.py"}


def test_only_the_ledger_knows_keys_and_expressions() -> None:
    words = ("ConditionExpression", "UpdateExpression", "KeyConditionExpression", "TableName")
    knowing = {
        path.name
        for folder in ("functions", "layers")
        for path in files(folder)
        if any(word in path.read_text("utf-8") for word in words)
    }

    assert knowing == {"ledger.py"}


def test_expressions_are_constant() -> None:
    """Values reach DynamoDB through placeholders only, so no text of a publisher can become part of an expression."""
    tree = ast.parse((SMSGATE / "ledger.py").read_text("utf-8"))
    put_together = [
        keyword.value.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg and keyword.arg.endswith("Expression") and isinstance(keyword.value, (ast.JoinedStr, ast.BinOp))
    ]

    assert not put_together


def loaded_by(function: str) -> set[str]:
    """The modules a cold start of a handler loads, in an interpreter of its own."""
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('app', {str(ROOT / 'functions' / function / 'app.py')!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print('\\n'.join(sys.modules))\n"
    )
    path = ":".join(str(ROOT / "layers" / layer) for layer in ("gateway", "transports"))
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_handler_loads_nothing_heavy(function: str) -> None:
    loaded = loaded_by(function)

    assert not loaded & HEAVY


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_handler_needs_no_environment_and_loads_no_provider(function: str) -> None:
    loaded = loaded_by(function)

    providers = {path.stem for path in (SMSGATE / "providers").glob("[a-z]*.py")} - {"base"}
    assert not {f"smsgate.providers.{name}" for name in providers} & loaded


USED = """
import importlib.util, json, sys
from types import SimpleNamespace
from smsgate import aws, wiring
from tests.world.messages_table import messages_table

class Secrets:
    def get_secret_value(self, SecretId):
        return {"VersionId": "v1", "SecretString": json.dumps({"tokens": sorted(tokens), "public_url": ""})}

table, tokens = messages_table(), set()
calls = [json.load(open(path, encoding="utf-8")) for path in sys.argv[2:]]
tokens.update(call["pathParameters"]["token"] for call in calls)
aws.dynamodb, aws.secretsmanager = lambda: table, Secrets
spec = importlib.util.spec_from_file_location("app", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stdout, sys.stdout = sys.stdout, sys.stderr
for call in calls:
    answer = module.handler(call, SimpleNamespace(aws_request_id="r1"))
    assert answer["statusCode"] == 200, answer
assert sum(item["sk"]["S"] == "callback" for item in table.items()) == len(calls), "all were stored"
print("\\n".join(sys.modules), file=stdout)
"""


@pytest.mark.parametrize(("function", "ability"), [("receipts", ReadsReceipts), ("replies", ReadsReplies)])
def test_taking_a_call_of_every_provider_loads_no_library_that_talks_to_one(function: str, ability: type) -> None:
    """One small function each: their package holds no transport, and nothing of theirs asks for one when it works."""
    calls = sorted(str(path) for path in (ROOT / "events").glob(f"{function}-*.json"))
    path = ":".join(str(ROOT / folder) for folder in ("layers/gateway", "."))
    names = {"MESSAGES_TABLE": TABLE, "SECRET_PREFIX": "smsgate", "AWS_DEFAULT_REGION": "ap-northeast-1"}

    done = subprocess.run(
        [sys.executable, "-c", USED, str(ROOT / "functions" / function / "app.py"), *calls],
        env={"PYTHONPATH": path, **names},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    called_here = {
        key
        for key, provider in PROVIDERS.items()
        if issubclass(provider, ability)
        and any(f"{function}-{key}" in call for call in calls)  # tests/providers asks each for its sample
        and not (function == "replies" and issubclass(provider, ReadsReplies) and provider.replies_to_receipts)
    }
    assert {f"smsgate.providers.{key}" for key in called_here} <= loaded
    assert not loaded & (HEAVY | {"smstransports"})


CALLED = """
import importlib.util, json, sys
from types import SimpleNamespace
spec = importlib.util.spec_from_file_location("app", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stdout, sys.stdout = sys.stdout, sys.stderr
module.handler(json.load(open(sys.argv[2], encoding="utf-8")), SimpleNamespace(aws_request_id="r1"))
print(json.dumps(sorted(sys.modules)), file=stdout)
"""
ENVIRONMENT = {
    "AWS_REGION": "ap-northeast-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "MESSAGES_TABLE": TABLE,
    "SEND_QUEUE_URL": "https://sqs.example/1/urgent",
    "BULK_QUEUE_URL": "https://sqs.example/1/bulk",
    "EVENT_BUS": "bus",
    "ALERT_TOPIC": "topic",
    "SECRET_PREFIX": "smsgate",
    "ENABLED_PROVIDERS": "twsms",
}
OPERATION = re.compile(rb"\r\nx-amz-target: \w+\.(\w+)\r\n")


def _answers_for(event: Mapping[str, Any]) -> dict[bytes, object]:
    """What a table without any items, a bus and the store of secrets would say."""
    secret = {"tokens": [event.get("pathParameters", {}).get("token", "")], "public_url": "https://api.example"}
    return {
        b"GetSecretValue": {"VersionId": "v1", "SecretString": json.dumps(secret)},
        b"PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]},
        b"UpdateItem": {"Attributes": {}},
    }


@pytest.mark.parametrize(
    ("function", "sample", "calls"),
    [
        ("receipts", "receipts-smsget", {b"GetSecretValue", b"PutItem", b"GetItem"}),
        ("replies", "replies-smsget", {b"GetSecretValue", b"PutItem"}),
        ("publisher", "publisher-delivered", {b"PutEvents"}),
        ("api", "api-get-suppression", {b"GetItem"}),
    ],
)
def test_a_function_at_work_loads_nothing_of_botocore(function: str, sample: str, calls: set[bytes]) -> None:
    """It would be most of a cold start, and most of the CPU of a callback."""
    event = ROOT / f"events/{sample}.json"
    told = _answers_for(json.loads(event.read_text("utf-8")))

    def aws(talk: Conversation) -> None:
        for request in talk.requests():
            talk.say(answer(json.dumps(told.get(OPERATION.findall(request)[0], {})).encode()))

    server = RawServer(aws)
    path = ":".join(str(ROOT / "layers" / layer) for layer in ("gateway", "transports"))

    done = subprocess.run(
        [sys.executable, "-c", CALLED, str(ROOT / "functions" / function / "app.py"), str(event)],
        env={"PYTHONPATH": path, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=True,
    )

    server.close()
    loaded = set(json.loads(done.stdout))
    assert {operation for request in server.requests for operation in OPERATION.findall(request)} >= calls, done.stderr
    assert not loaded & {"boto3", "botocore", "http.client", "urllib3"}
