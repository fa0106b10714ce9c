"""The README tells the truth: its blocks run, its tables agree with the code, its links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from botocore.session import get_session

from local.template import Place, Template
from smsgate import routing_document as routing
from smsgate.messages import Lane
from smsgate.policy import Mode
from smsgate.providers import PROVIDERS
from smsgate.providers.base import Cancels, PollsReplies, Queries, ReadsReplies, TellsCredit
from smsgate.routing_document import Choose, read
from smsgate.status import Status

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


class Block(NamedTuple):
    section: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for section in re.split(r"^## ", README, flags=re.MULTILINE):
        title = section.partition("\n")[0].strip()
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            yield Block(title, language, text)


def of(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def table(section: str, place: int = 0) -> list[list[str]]:
    """The rows of a section's table, without its head."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|\n").split("|")] for row in tables[place].splitlines()[2:]]


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text("utf-8"))
    return found


def test_there_is_no_block_of_a_kind_nobody_checks() -> None:
    assert {block.language for block in blocks()} == {"sh", "json", "python", "text"}


@pytest.mark.parametrize("block", of("json"), ids=lambda block: block.section)
def test_a_json_block_is_valid_by_the_published_schema(block: Block) -> None:
    name = {"Events": "events", "Routing": "routing"}.get(block.section, "send-request")
    instance = json.loads(block.text)
    if name == "events":
        instance = {"detail-type": "Message Status Changed", "source": "smsgate", "detail": instance}

    jsonschema.Draft202012Validator(schema(name)).validate(instance)


@pytest.mark.parametrize("block", [block for block in of("json") if block.section == "Routing"])
def test_a_routing_document_can_be_followed(block: Block) -> None:
    read(block.text, PROVIDERS)


# Where each object of a routing document lies in it, and its fields.
ROUTING_OBJECTS = {
    "": routing.FIELDS,
    "classes[]": routing.CLASS_FIELDS,
    "rules[]": routing.RULE_FIELDS,
    "rules[].when": routing.WHEN_FIELDS,
    "rules[].when.between": routing.BETWEEN_FIELDS,
    "rules[].use[]": routing.USE_FIELDS,
    "limits": routing.LIMIT_FIELDS,
    "limits.per_number[]": routing.PER_NUMBER_FIELDS,
    "limits.rates": routing.RATE_FIELDS,
    "limits.slow_receipts": routing.SLOW_RECEIPTS_FIELDS,
}


def test_the_routing_fields_are_those_that_are_read() -> None:
    documented: list[str] = []
    for names, meaning in table("Routing"):
        for name in re.findall(r"`([^`]+)`", names):
            words = re.findall(r"`([^`]+)`", meaning)
            inside = [f"{name}.{word}" for word in words if word in ROUTING_OBJECTS.get(name, ())]
            documented += inside if name in ROUTING_OBJECTS else [name]

    read_by_us = {f"{place}.{field}".lstrip(".") for place, fields in ROUTING_OBJECTS.items() for field in fields}
    holders = {place.removesuffix("[]") for place in ROUTING_OBJECTS}
    not_its_own_row = {name for name in documented if name in holders}
    assert set(documented) - not_its_own_row == read_by_us - holders


def test_the_routing_fields_may_be_what_their_rows_say() -> None:
    said = {row[0]: row[1] for row in table("Routing")}

    assert said["`version`"].startswith(f"`{routing.VERSION}`")
    uses = said["`rules[].use[]`"]
    assert f"`priority` {routing.PRIORITIES[0]} to {routing.PRIORITIES[1]}" in uses
    assert f"`weight` {routing.WEIGHTS[0]} to {routing.WEIGHTS[1]}" in uses
    assert re.findall(r"`(\w+)`", said["`rules[].choose`"]) == list(Choose)
    (modes,) = [meaning for names, meaning in said.items() if "`limits.countries`" in names]
    assert {word for word in re.findall(r"`(\w+)`", modes) if word.islower()} == set(Mode)
    assert ", ".join(f"`{lane}`" for lane in Lane) in said["`rules[].when`"]
    numbers = said["`limits.per_number[]`"]
    assert (routing.VELOCITIES, routing.VELOCITY_SECONDS[1]) == (5, 7 * 86_400)
    assert "up to five" in numbers
    assert "up to a week" in numbers
    defaults = schema("routing")["$defs"]
    assert defaults["rule"]["properties"]["failover"]["default"] is True
    assert said["`rules[].failover`"].endswith("(`true`)")
    assert defaults["class"]["properties"]["transactional"]["default"] is False
    assert "`transactional` (`false`" in said["`classes[]`"]


# What each command of the README is here. `make` targets are run by the set-up, CI and the journeys themselves.
COMMANDS: dict[str, Callable[[list[str]], bool]] = {
    "make": lambda words: (ROOT / "Makefile").read_text("utf-8").find(f"\n{words[1]}:") >= 0,
    "sam": lambda words: all(word in _sam_help(words[1]) for word in words if word.startswith("--")),
    ".venv/bin/python": lambda words: words[1] == "-m" and find_spec(f"{words[2]}.__main__") is not None,
    "aws": lambda words: _aws_has(words) and ("create-secret" not in words or _secret_is_known(words)),
}


@pytest.mark.parametrize("line", [line for block in of("sh") for line in block.text.splitlines() if line.strip()])
def test_a_command_is_one_there_is(line: str) -> None:
    words = shlex.split(line, comments=True)

    assert COMMANDS[words[0]](words), line


def _sam_help(command: str) -> str:
    sam = ROOT / ".venv-sam" / "bin" / "sam"
    environment = {"SAM_CLI_TELEMETRY": "0", "PATH": "/usr/bin:/bin", "COLUMNS": "200", "HOME": str(ROOT / ".aws-sam")}
    return subprocess.run([sam, command, "--help"], capture_output=True, text=True, env=environment, check=True).stdout


def _aws_has(words: list[str]) -> bool:
    """The service has the operation, and the operation every option: `--rule-set-name` is RuleSetName."""
    operation, *options = (
        "".join(part.capitalize() for part in word.strip("-").split("-"))
        for word in words[2:]
        if word == words[2] or word.startswith("--")
    )
    model = get_session().get_service_model(words[1])
    if operation not in model.operation_names:
        return False
    shape = model.operation_model(operation).input_shape
    return shape is not None and set(options) <= shape.members.keys()


def _secret_is_known(words: list[str]) -> bool:
    """The secret has the name and the fields that the settings have a row for."""
    name, fields = words[words.index("--name") + 1], json.loads(words[words.index("--secret-string") + 1])
    if name == "smsgate/callbacks":
        return set(fields) == {"tokens", "public_url"}
    (row,) = [row for row in table("Settings") if row[0] == f"`{name.rpartition('/')[2]}`"]
    return all(f"`{field}`" in row[1] for field in fields)


@pytest.mark.parametrize("block", of("python"), ids=lambda block: block.section)
def test_a_python_block_runs_against_a_queue(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto import mock_aws

    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="send")["QueueUrl"]

        exec(compile(ast.parse(block.text), "README.md", "exec"), {"SEND_QUEUE_URL": url})

        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        jsonschema.Draft202012Validator(schema("send-request")).validate(json.loads(message["Body"]))


def test_every_field_of_a_request_has_its_row() -> None:
    assert {row[0].strip("`") for row in table("Publish")} == set(schema("send-request")["properties"])


def test_every_status_has_its_row_and_says_whether_it_is_final() -> None:
    rows = {row[0].strip("`"): row[2].startswith("yes") for row in table("Statuses")}

    assert rows == {status.value: status.is_final for status in Status}


def test_every_provider_has_its_rows_and_they_say_what_it_can() -> None:
    rows = {row[0].strip("`"): row for row in table("Providers")}
    settings = {row[0].strip("`") for row in table("Settings")}

    assert set(rows) == settings == set(PROVIDERS)
    for key, provider in PROVIDERS.items():
        _, _, recipients, schedule, cancel, validity, asked, receipts, replies, credit, _ = rows[key]
        capabilities = provider.capabilities
        assert recipients == str(capabilities.recipients_per_call)
        assert (schedule == "yes") == capabilities.schedule
        assert (cancel == "yes") == issubclass(provider, Cancels)
        assert (validity != "no") == capabilities.validity
        assert (asked == "yes") == issubclass(provider, Queries)
        assert receipts == {"message": "by message", "account": "by account", None: "no"}[capabilities.receipts]
        polled, called = issubclass(provider, PollsReplies), issubclass(provider, ReadsReplies)
        assert replies == ("polled" if polled else "by callback" if called else "no")
        assert (credit == "yes") == issubclass(provider, TellsCredit)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", README))
def test_an_anchor_leads_to_a_heading(anchor: str) -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }

    assert anchor in headings


def test_every_path_it_names_exists() -> None:
    named = set(re.findall(r"`((?:layers|functions|local|tests|schemas|tools|bench)/[\w./-]+\.\w+)`", README))

    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_alarm_and_output_it_names_is_in_the_template() -> None:
    template = (ROOT / "template.yaml").read_text("utf-8")

    assert "  EgressIp:" in template
    assert "  ApiUrl:" in template


def test_every_alarm_has_its_row_in_the_runbook_and_there_is_no_other() -> None:
    place = Place(aws_url="https://aws.example", api_url="https://sms.example.org")
    template = Template(ROOT / "template.yaml", place, {"EnabledProviders": ",".join(PROVIDERS)})
    alarms = template.resources("AWS::CloudWatch::Alarm")

    rows = [row for row in table("Runbook", 1) if all(row)]

    assert sorted(row[0].strip("`") for row in rows) == sorted(alarms)
