"""A sixth provider is one module, one registry line, one test, one simulator and one README row, and it works.

An invented one is put into a copy of the repository as the README says; then the rules that watch over providers are
run there, and a message is sent through it by `make run`'s own program.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from smsgate.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
SIXTH = Path(__file__).parent / "sixth"

NEW_FILES = {
    "plainline.py": "layers/gateway/smsgate/providers/plainline.py",
    "simulator.py": "local/simulators/plainline.py",
    "contract.py": "tests/providers/test_plainline.py",
}
REGISTRY = "layers/gateway/smsgate/providers/__init__.py"
SIMULATORS = "local/simulators/__init__.py"
ROW = "| `plainline` | Plainline, guide 2.3 | 1 | no | no | no | no | by account | no | no | 70 / 160 characters |\n"
SETTINGS_ROW = "| `plainline` | `username`, `password`, `base_url` (`https://api.plainline.example/`) |\n"


def _after(text: str, last: str, line: str) -> str:
    place = text.rindex(last) + len(last)
    place = text.index("\n", place) + 1
    return text[:place] + line + text[place:]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's own files, and the sixth provider among them."""
    folder = tmp_path_factory.mktemp("sixth")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for source, target in NEW_FILES.items():
        shutil.copyfile(SIXTH / source, folder / target)
    last = list(PROVIDERS)[-1]
    registry = folder / REGISTRY
    registry.write_text(_after(registry.read_text(), f'"{last}": ', '        "plainline": "Plainline",\n'))
    simulators = folder / SIMULATORS
    text = _after(simulators.read_text(), "SIMULATORS: dict", '    "plainline": Plainline,\n')
    base = "from local.simulators.base import Simulator\n"
    simulators.write_text(text.replace(base, f"{base}from local.simulators.plainline import Plainline\n"))
    readme = folder / "README.md"
    table = r"(## Providers\n.*?)(\n\nWhat a provider cannot)"
    text = re.sub(table, rf"\1\n{ROW.strip()}\2", readme.read_text(), flags=re.DOTALL)
    text = re.sub(r"(\| provider \| fields \(defaults\) \|\n\|---\|---\|\n)", rf"\1{SETTINGS_ROW}", text)
    readme.write_text(text)
    return folder


def _pytest(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_it_holds_the_contract_of_every_provider_and_all_rules_about_names_imports_and_the_readme(copy: Path) -> None:
    done = _pytest(
        copy,
        "tests/providers/test_plainline.py",
        "tests/architecture/test_names.py",
        "tests/architecture/test_imports.py",
        "tests/architecture/test_readme.py::test_every_provider_has_its_rows_and_they_say_what_it_can",
    )

    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("forgotten", [*NEW_FILES.values(), "README.md"])
def test_whichever_of_its_parts_is_forgotten_is_missed(copy: Path, forgotten: str) -> None:
    path = copy / forgotten
    kept = path.read_text()
    if forgotten == "README.md":
        path.write_text(kept.replace(ROW, ""))
    else:
        path.unlink()
    try:
        done = _pytest(copy, "tests/architecture/test_names.py", "tests/architecture/test_readme.py", "-k", "provider")
    finally:
        path.write_text(kept)

    assert done.returncode not in (0, 5)


@pytest.fixture
def running(copy: Path) -> Iterator[str]:
    """`make run` with the sixth provider alone; gives the address of its API."""
    command = [sys.executable, "-m", "local", "--providers", "plainline", "--port", "0"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"HTTP API\s+(http://\S+)", line):
                break
        else:
            pytest.fail(said)
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            process.wait(20)


def test_a_message_goes_all_the_way_through_it(running: str) -> None:
    body = json.dumps({"to": "+886912345678", "text": "hello from the sixth"}).encode()
    with urllib.request.urlopen(f"{running}/messages", data=body, timeout=30) as answer:
        (message,) = json.loads(answer.read())["messages"]

    give_up = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{running}/messages/{message['message_id']}", timeout=30) as answer:
            told = json.loads(answer.read())
        if told["status"] == "delivered" or time.monotonic() > give_up:
            break
        time.sleep(0.2)

    assert (told["status"], told["provider"], told["provider_ref"]) == ("delivered", "plainline", "p1")
