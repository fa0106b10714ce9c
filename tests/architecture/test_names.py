"""One name for one thing: functions, their folders, their use cases; and providers named nowhere but at home."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smsgate.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))

# Where a provider's key may stand among the deployed files: its own module, the registry, and a parameter's default.
AT_HOME = {
    "layers/gateway/smsgate/providers/__init__.py",
    *(f"layers/gateway/smsgate/providers/{key}.py" for key in PROVIDERS),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_a_use_case_a_test_and_a_resource_of_its_name(function: str) -> None:
    assert (ROOT / f"layers/gateway/smsgate/{function}.py").is_file()
    assert (ROOT / f"tests/gateway/test_{function}.py").is_file()
    assert re.search(
        rf"^  {function.capitalize()}Function:$", (ROOT / "template.yaml").read_text("utf-8"), re.MULTILINE
    )


@pytest.mark.parametrize("key", list(PROVIDERS))
def test_a_provider_is_named_only_at_home(key: str) -> None:
    deployed = [path for folder in ("functions", "layers") for path in (ROOT / folder).rglob("*.py")]

    # A comment or docstring may tell what a vendor does; code may not know its name.
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in deployed
        if re.search(rf"""["']{key}["']""", path.read_text("utf-8"), re.IGNORECASE)
    }

    assert naming <= AT_HOME


@pytest.mark.parametrize("key", list(PROVIDERS))
def test_a_provider_has_its_module_simulator_and_test(key: str) -> None:
    for path in (
        f"layers/gateway/smsgate/providers/{key}.py",
        f"local/simulators/{key}.py",
        f"tests/providers/test_{key}.py",
    ):
        assert (ROOT / path).is_file(), path
    assert PROVIDERS[key].key == key


def test_the_template_names_a_provider_only_as_a_parameters_default_and_in_one_condition() -> None:
    """The public contract has resources that are there with one provider alone; what they are says this condition."""
    lines = [
        line.strip()
        for line in (ROOT / "template.yaml").read_text("utf-8").splitlines()
        if any(key in line.lower() for key in PROVIDERS)
    ]

    assert all(line.startswith(("Default:", "AnswersComeByMail: ")) for line in lines)


def test_handlers_are_thin() -> None:
    """Unpack, call, return: a handler that needs more than this decides something."""
    for function in FUNCTIONS:
        lines = (ROOT / "functions" / function / "app.py").read_text("utf-8").splitlines()

        assert len(lines) <= 90, function
