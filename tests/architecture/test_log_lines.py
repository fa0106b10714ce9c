"""Whoever knows a request's id or a message's finds in the logs what became of it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.simulators.base import Hangs
from tests.world.faults import Unavailable
from tests.world.world import World

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
KNOWS_NO_REQUEST = {
    "due message not taken",  # the index holds keys alone, and the message could not be read
    "points differ",  # an account of a whole day names the messages it was reckoned from
}


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """Every log line of the layers: where, its sentence, the names of what it says besides."""
    for path in sorted((ROOT / "layers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                extra = next((each.value for each in node.keywords if each.arg == "extra"), None)
                if isinstance(extra, ast.Dict) and isinstance(node.args[0], ast.Constant):
                    names = {key.value for key in extra.keys if isinstance(key, ast.Constant)}
                    yield f"{path.name}:{node.lineno}", str(node.args[0].value), {str(name) for name in names}


LINES = list(logged())


def test_there_are_lines_to_look_at() -> None:
    assert len(LINES) >= 30
    assert {sentence for _, sentence, _ in LINES} >= KNOWS_NO_REQUEST


@pytest.mark.parametrize(
    ("sentence", "names"),
    [pytest.param(*line[1:], id=line[1]) for line in LINES if "message_id" in line[2]],
)
def test_a_line_that_names_a_message_names_its_request(sentence: str, names: set[str]) -> None:
    assert "request_id" in names or sentence in KNOWS_NO_REQUEST


class TestInAWorld:
    @staticmethod
    def lines(world: World) -> list[dict[str, Any]]:
        return [told for line in world.logs if "_aws" not in (told := json.loads(line))]

    def test_the_lines_of_a_request_tell_its_story_in_order_with_the_provider_and_the_reason(self) -> None:
        with World(3, providers=["twsms", "smsget"]) as world:
            world.offline.add("twsms")
            world.faults.inject(Hangs(), service="wire", operation="smsget.send")
            world.providers["smsget"].receipts = ()
            order = world.publish(to="+886912345678", text="hello")
            world.run(60)

            told = [line for line in self.lines(world) if line.get("request_id") == order]
            story = [(line["status"], line["provider"], line["code"]) for line in told]
            assert [status for status, _, _ in story] == ["accepted", "sending", "doubtful"]
            assert story[-1] == ("doubtful", "smsget", "no_reply")
            assert {line["message_id"] for line in told} == {world.messages(order)[0].message_id}

    def test_the_line_of_an_emergency_says_enough_to_settle_the_message_by_hand(self) -> None:
        with World(3, providers=["smsget"]) as world:
            order = world.publish(to="+886912345678", text="hello")
            world.run_until(lambda: world.accepts_of(order), step=0.05)
            world.faults.inject(Unavailable(), service="dynamodb", function="sender", times=None, seconds=30)
            world.run(60)

            (line,) = [line for line in self.lines(world) if line["message"] == "outcome not recorded"]
            (message,) = world.messages(order)
            taken = world.providers["smsget"].accepted[0]
            assert (line["level"], line["request_id"], line["message_id"]) == ("FATAL", order, message.message_id)
            assert line["outcome"] == "Accepted"
            assert taken.ref in line["provider_ref"]

    def test_every_line_of_a_function_names_its_invocation(self) -> None:
        with World(3) as world:
            for number in range(20):
                world.publish(to=f"+8869123456{number:02}", text="hello")
            world.run(120)

            invocations = [line["aws_request_id"] for line in self.lines(world)]
            assert {invocation.partition("#")[0] for invocation in invocations} >= {"publisher"}
            assert all("#" in invocation for invocation in invocations)
