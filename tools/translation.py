"""The template as CloudFormation will see it: SAM's shorthand translated, with no AWS account and no network.

Linters and audits read this form. On SAM's own form cfn-lint overlooks most mistakes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
REGION = "ap-northeast-1"

Template = dict[str, Any]


def read(path: Path = TEMPLATE) -> Template:
    """The template as written, intrinsic functions in their long form."""
    from samtranslator.yaml_helper import yaml_parse

    parsed: Template = yaml_parse(path.read_text(encoding="utf-8"))
    return parsed


def translated(path: Path = TEMPLATE, parameters: Mapping[str, str] | None = None) -> Template:
    return translate(read(path), parameters)


def translate(template: Template, parameters: Mapping[str, str] | None = None) -> Template:
    from samtranslator.public.translator import ManagedPolicyLoader
    from samtranslator.translator.transform import transform

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    uploaded: Template = json.loads(json.dumps(template))
    for resource in uploaded["Resources"].values():
        _pretend_uploaded(resource)
    defaults = {name: str(p["Default"]) for name, p in uploaded.get("Parameters", {}).items() if "Default" in p}
    done: Template = transform(uploaded, defaults | dict(parameters or {}), ManagedPolicyLoader(None))
    return done


def _pretend_uploaded(resource: Template) -> None:
    """`sam deploy` puts code into a bucket first; the translator refuses a local folder."""
    for key in ("CodeUri", "ContentUri"):
        if isinstance(resource.get("Properties", {}).get(key), str):
            resource["Properties"][key] = "s3://uploaded/code.zip"


if __name__ == "__main__":
    print(json.dumps(translated(Path(sys.argv[1]) if sys.argv[1:] else TEMPLATE), indent=2))
