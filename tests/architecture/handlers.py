"""A function's app.py, loaded from its path as Lambda loads it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load_handler(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"handler_{path.parent.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
