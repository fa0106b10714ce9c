"""Builds what is deployed: a layer or a function, for either architecture, from any machine, with its bytecode.

Without bytecode every cold start compiles every module again, because Lambda's disk is read-only. So everything is
compiled here, by a Python of the version that will run it, as `unchecked-hash`: valid whatever the files' times are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOYED_PYTHON = "3.13"
WHEEL_PLATFORMS = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}
UNCOMPILED_ALLOWED = "SMSGATE_ALLOW_UNCOMPILED"

NOT_SOURCE = ("__pycache__", "*.pyc", "requirements.*")
NOT_NEEDED_TO_RUN = ("*.dist-info", "bin", "tests", "*.pyi", "py.typed", "*.md", "*.js", "*.css", ".lock")


class CannotBuild(Exception):
    """What is missing on this machine, and what to do about it."""


def build_layer(source: Path, destination: Path, architecture: str, version: str) -> None:
    site = destination / "python"
    shutil.copytree(source, site, ignore=shutil.ignore_patterns(*NOT_SOURCE), dirs_exist_ok=True)
    _install(source / "requirements.txt", site, architecture, version)
    for path in sorted(site.rglob("*")):
        if any(fnmatch(path.name, pattern) for pattern in NOT_NEEDED_TO_RUN):
            _remove(path)
    _compile(site, Path("/opt/python"), version)


def build_function(source: Path, destination: Path, version: str) -> None:
    shutil.copytree(source, destination, ignore=shutil.ignore_patterns(*NOT_SOURCE), dirs_exist_ok=True)
    _compile(destination, Path("/var/task"), version)


def build_for_tests(sam: Path, destination: Path) -> None:
    """The whole artefact for this machine's own Python, so that it can be run here; only when something changed."""
    version = "{}.{}".format(*sys.version_info)
    architecture = host_architecture()
    inputs = _fingerprint(version, architecture)
    stamp = destination / ".inputs"
    if stamp.is_file() and stamp.read_text() == inputs:
        return
    shutil.rmtree(destination, ignore_errors=True)
    command = [str(sam), "build", "--parallel", "--template", str(ROOT / "template.yaml")]
    command += ["--build-dir", str(destination), "--parameter-overrides", f"Architecture={architecture}"]
    environment = {**os.environ, "ARCH": architecture, "PYTHON_VERSION": version, "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"{done.stdout}{done.stderr}")
    stamp.write_text(inputs)


def interpreter(version: str) -> Path | None:
    """A Python of this version that really runs: on PATH, known to uv, or among pyenv's."""
    for candidate in _candidates(version):
        probe = [str(candidate), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.stdout.strip() == version:  # a version manager's shim may exist and still refuse to run
            return candidate
    return None


def host_architecture() -> str:
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_sizes(build: Path) -> None:
    for folder in sorted(path for path in build.iterdir() if path.is_dir()):
        files = [path for path in folder.rglob("*") if path.is_file()]
        compiled = sum(path.suffix == ".pyc" for path in files)
        print(f"{folder.name:20} {size(folder) / 1e6:7.2f} MB {len(files):5} files, {compiled} of them bytecode")


def _candidates(version: str) -> Iterator[Path]:
    if "{}.{}".format(*sys.version_info) == version:
        yield Path(sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder) / f"python{version}"
        if folder and path.is_file():
            yield path
    if uv := _find_uv():
        command = [str(uv), "python", "find", "--no-project", "--no-python-downloads", "--system", version]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            yield Path(found.stdout.strip())
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _find_uv() -> Path | None:
    ours = ROOT / ".venv" / "bin" / "uv"
    found = str(ours) if ours.is_file() else shutil.which("uv")
    return Path(found) if found else None


def _install(requirements: Path, site: Path, architecture: str, version: str) -> None:
    uv = _find_uv()
    if not uv:
        raise CannotBuild("uv is not installed: run `make setup` first")
    command = [str(uv), "pip", "install", "--quiet", "--no-config", "--no-compile", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--target", str(site)]
    command += ["--python-version", version, "--python-platform", WHEEL_PLATFORMS[architecture]]
    command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(requirements)]
    environment = {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", **os.environ}
    subprocess.run(command, env=environment, check=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compile(folder: Path, deployed_as: Path, version: str) -> None:
    python = interpreter(version)
    if not python:
        if os.environ.get(UNCOMPILED_ALLOWED) == "1":
            print(f"WARNING: no Python {version} here: built without bytecode, every cold start will compile")
            return
        raise CannotBuild(
            f"No Python {version} was found, and only that version can compile what it will run.\n"
            f"Install it (python{version} on PATH, `pyenv install {version}` or `uv python install {version}`),\n"
            f"or build without bytecode, for cold starts twice as long, with {UNCOMPILED_ALLOWED}=1."
        )
    command = [str(python), "-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", str(deployed_as), str(folder)]
    subprocess.run(command, check=True)


def _fingerprint(version: str, architecture: str) -> str:
    digest = hashlib.sha256(f"{version} {architecture} {ROOT}".encode())
    sources = [ROOT / "template.yaml", *(ROOT / "tools").rglob("*")]
    sources += [*(ROOT / "functions").rglob("*"), *(ROOT / "layers").rglob("*")]
    for path in sorted(sources):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("layer", "function", "test"):
        sub = commands.add_parser(command)
        sub.add_argument("source", type=Path)
        sub.add_argument("destination", type=Path)
    commands.add_parser("sizes").add_argument("build", type=Path)
    given = parser.parse_args(arguments)
    architecture = os.environ.get("ARCH") or "arm64"
    version = os.environ.get("PYTHON_VERSION") or DEPLOYED_PYTHON
    if architecture not in WHEEL_PLATFORMS:
        parser.error(f"ARCH must be one of {', '.join(WHEEL_PLATFORMS)}")
    try:
        if given.command == "layer":
            build_layer(given.source.resolve(), given.destination.resolve(), architecture, version)
        elif given.command == "function":
            build_function(given.source.resolve(), given.destination.resolve(), version)
        elif given.command == "test":
            build_for_tests(given.source, given.destination.resolve())
        else:
            print_sizes(given.build)
    except CannotBuild as problem:
        print(problem, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(f"{Path(failed.cmd[0]).name} failed, see above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
