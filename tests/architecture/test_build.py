"""What is deployed, as it was built: nothing left to compile, nothing of another processor, nothing too large."""

from __future__ import annotations

import ast
import importlib.util
import json
import marshal
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.audit import folder_of
from tests.architecture.cloudformation import Stack
from tools import artefact
from tools.translation import ROOT, read, translated

pytestmark = pytest.mark.artefact

BUILT = ROOT / ".aws-sam" / "test"
FUNCTIONS = sorted(name for name in read()["Resources"] if name.endswith("Function"))
LAYERS = ("GatewayLayer", "TransportsLayer")
CALLBACKS = ("ReceiptsFunction",)
THIS_PYTHON = "{}.{}".format(*sys.version_info)
MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}  # ELF, e_machine
HASHED_AND_UNCHECKED = 0b01

LISTS_WHAT_IT_COMPILES = """
import importlib.machinery, json, os, sys
built = sys.argv[1]
compiled = []
compile_source = importlib.machinery.SourceFileLoader.source_to_code
def watched(self, data, path, **options):
    if os.fspath(path).startswith(built):
        compiled.append(os.path.relpath(path, built))
    return compile_source(self, data, path, **options)
importlib.machinery.SourceFileLoader.source_to_code = watched
sys.path[:0] = sys.argv[2:]
import app
for module in ("smstransports.http",) if any("Transports" in path for path in sys.argv) else ():
    __import__(module)
loaded = [m.__file__ for m in list(sys.modules.values()) if (getattr(m, "__file__", None) or "").startswith(built)]
print(json.dumps({"compiled": compiled, "loaded": len(loaded), "handler": callable(app.handler)}))
"""


@pytest.fixture(scope="session")
def built() -> Path:
    """What `make test` built a moment ago; built here when it is not there, or of other sources."""
    artefact.build_for_tests(ROOT / ".venv-sam" / "bin" / "sam", BUILT)
    return BUILT


def paths_of(function: str, built: Path) -> list[str]:
    """sys.path as Lambda lays it out: the function, then /opt/python of all its layers."""
    layers = read()["Resources"][function]["Properties"].get("Layers", [])
    names = ["GatewayLayer", *(layer["Ref"] for layer in layers)]
    return [str(built / function), *(str(built / name / "python") for name in names)]


def test_every_function_and_layer_was_built(built: Path) -> None:
    names = {path.name for path in built.iterdir() if path.is_dir()}

    assert names == {*FUNCTIONS, *LAYERS}


def test_every_module_has_bytecode_of_this_python_that_is_taken_unchecked(built: Path) -> None:
    without = [problem for source in built.rglob("*.py") for problem in bytecode_problems(source)]

    assert without == []


DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "none": None,
    "of another Python": lambda data: b"\0\0\r\n" + data[4:],
    "checked": lambda data: data[:4] + bytes(4) + data[8:],
    "stale": lambda data: data[:8] + bytes(8) + data[16:],
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_missing_foreign_checked_and_stale_bytecode_is_noticed(problem: str, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "SenderFunction", tmp_path / "copy")
    source = tmp_path / "copy" / "app.py"
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if damage := DAMAGES[problem]:
        compiled.write_bytes(damage(compiled.read_bytes()))
    else:
        compiled.unlink()

    found = list(bytecode_problems(source))

    assert found == [f"{source}: {problem}"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_compiled_when_a_function_starts(function: str, built: Path) -> None:
    said = start(function, built)

    assert said["handler"]
    assert said["loaded"] > 5
    assert said["compiled"] == []


def test_a_module_without_bytecode_would_be_seen_compiling(built: Path, tmp_path: Path) -> None:
    for name in ("ReceiptsFunction", "GatewayLayer"):
        shutil.copytree(built / name, tmp_path / name)
    Path(importlib.util.cache_from_source(str(tmp_path / "GatewayLayer/python/smsgate/receipts.py"))).unlink()

    said = start("ReceiptsFunction", tmp_path)

    assert said["compiled"] == ["GatewayLayer/python/smsgate/receipts.py"]


def test_tracebacks_name_the_files_where_lambda_has_them(built: Path) -> None:
    compiled = {
        "/var/task/app.py": built / "SenderFunction" / "app.py",
        "/opt/python/smsgate/sender.py": built / "GatewayLayer" / "python" / "smsgate" / "sender.py",
    }

    named = {name: marshal.loads(bytecode(source)[16:]).co_filename for name, source in compiled.items()}

    assert named == {name: name for name in compiled}


def test_native_libraries_in_the_artefact_are_of_the_architecture_it_was_built_for(built: Path) -> None:
    wrong = {str(path) for path, machine in libraries(built) if machine != MACHINES[artefact.host_architecture()]}

    assert wrong == set()


@pytest.mark.parametrize("architecture", MACHINES)
def test_a_layer_gets_native_libraries_of_the_architecture_asked_for_only(architecture: str, tmp_path: Path) -> None:
    source = tmp_path / "layer"
    source.mkdir()
    (source / "requirements.txt").write_text(pinned("markupsafe"))  # any package with a C library

    artefact.build_layer(source, tmp_path / "out", architecture, THIS_PYTHON)

    machines = {machine for _, machine in libraries(tmp_path / "out")}
    assert machines == {MACHINES[architecture]}


def test_the_build_is_the_same_every_time(built: Path, tmp_path: Path) -> None:
    artefact.build_layer(ROOT / "layers" / "gateway", tmp_path / "again", artefact.host_architecture(), THIS_PYTHON)

    assert contents(tmp_path / "again") == contents(built / "GatewayLayer")


@pytest.mark.skipif(not artefact.interpreter(artefact.DEPLOYED_PYTHON), reason="no Python of the deployed version here")
def test_for_deployment_everything_is_compiled_by_the_deployed_version(tmp_path: Path) -> None:
    artefact.build_layer(ROOT / "layers" / "transports", tmp_path / "out", "arm64", artefact.DEPLOYED_PYTHON)

    tag = f"cpython-{artefact.DEPLOYED_PYTHON.replace('.', '')}"
    expected = {p.parent / "__pycache__" / f"{p.stem}.{tag}.pyc" for p in (tmp_path / "out").rglob("*.py")}
    assert expected
    assert expected == set((tmp_path / "out").rglob("*.pyc"))


def test_the_deployed_version_is_the_templates_runtime() -> None:
    runtime = read()["Globals"]["Function"]["Runtime"]

    assert runtime == f"python{artefact.DEPLOYED_PYTHON}"


def test_without_a_python_of_the_target_version_the_build_says_what_to_install(tmp_path: Path) -> None:
    done = build_function_for("3.99", tmp_path / "out")

    assert done.returncode == 1
    assert "No Python 3.99 was found" in done.stderr
    assert "SMSGATE_ALLOW_UNCOMPILED=1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_without_bytecode_must_be_asked_for_and_says_what_it_is(tmp_path: Path) -> None:
    done = build_function_for("3.99", tmp_path / "out", SMSGATE_ALLOW_UNCOMPILED="1")

    assert done.returncode == 0
    assert "WARNING" in done.stdout
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["app.py"]


def test_an_interpreter_that_is_there_but_refuses_to_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'python3.99: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert artefact.interpreter("3.99") is None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_with_its_layers_is_small(function: str, built: Path) -> None:
    megabytes = sum(artefact.size(Path(path)) for path in paths_of(function, built)) / 1e6

    assert megabytes < (6 if function in CALLBACKS else 25)


MANAGES_WITHOUT = (
    "/zeep/__init__.py",  # takes its absence for an unknown version
    "/attr/__init__.py",  # asks when somebody reads attr.__version__, which nobody does
    "/urllib3/http2/__init__.py",  # is imported only where h2 is installed
)


def test_no_module_asks_for_the_metadata_that_the_layers_leave_out(built: Path) -> None:
    askers = [
        str(source.relative_to(built)) for source in built.rglob("*.py") if "importlib.metadata" in imports_of(source)
    ]

    assert list(built.rglob("*.dist-info")) == []
    assert [asker for asker in askers if not asker.endswith(MANAGES_WITHOUT)] == []


def test_the_layers_hold_no_aws_client_and_nothing_that_is_for_tests_only(built: Path) -> None:
    packages = {path.stem for layer in LAYERS for path in (built / layer / "python").iterdir()}

    assert packages & {"boto3", "botocore", "pytest", "moto", "hypothesis", "ministack"} == set()
    assert {"smsgate", "smstransports", "phonenumbers", "httpx"} <= packages


def test_only_functions_that_call_providers_carry_the_transports() -> None:
    stack = Stack(translated())

    carrying = {
        name
        for name, function in stack.of_type("AWS::Lambda::Function")
        if any(layer.startswith("TransportsLayer") for layer in function["Layers"])
    }
    importing = {
        name for name in FUNCTIONS if "smstransports" in (ROOT / "functions" / folder_of(name) / "app.py").read_text()
    }

    assert carrying == importing


def bytecode_problems(source: Path) -> Iterator[str]:
    """Everything that would make Python compile this file again, or trust what it should not."""
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if not compiled.is_file():
        yield f"{source}: none"
        return
    data = compiled.read_bytes()
    if data[:4] != importlib.util.MAGIC_NUMBER:
        yield f"{source}: of another Python"
    elif struct.unpack("<I", data[4:8])[0] != HASHED_AND_UNCHECKED:
        yield f"{source}: checked"
    elif data[8:16] != importlib.util.source_hash(source.read_bytes()):
        yield f"{source}: stale"


def bytecode(source: Path) -> bytes:
    return Path(importlib.util.cache_from_source(str(source))).read_bytes()


def start(function: str, built: Path) -> dict[str, Any]:
    done = run_isolated(LISTS_WHAT_IT_COMPILES, str(built), *paths_of(function, built))
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run_isolated(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a Python of its own that writes no bytecode, as on Lambda's read-only disk."""
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "AWS_DEFAULT_REGION": "ap-northeast-1"}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def build_function_for(version: str, destination: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "artefact.py"), "function"]
    command += [str(ROOT / "functions" / "sender"), str(destination)]
    variables = {**os.environ, "PYTHON_VERSION": version, **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def libraries(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*.so*"):
        yield path, struct.unpack_from("<H", path.read_bytes(), 18)[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def imports_of(source: Path) -> set[str]:
    named: set[str] = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module)
            named.update(f"{node.module}.{alias.name}" for alias in node.names)
    return named


def pinned(package: str) -> str:
    """A package's lines, hashes and all, from the requirements that this project is installed by."""
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"
