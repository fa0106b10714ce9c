"""The registry of providers: one line each, and nothing is loaded that nobody uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from smsgate.providers import PROVIDERS, find


def loaded_by(statement: str) -> set[str]:
    """The provider modules that a fresh interpreter has loaded after this statement."""
    script = f"import sys\n{statement}\nprint(*(name for name in sys.modules if name.startswith('smsgate.providers.')))"
    path = [folder for folder in sys.path if folder]
    program = f"import sys\nsys.path[:0] = {path!r}\n{script}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - {"smsgate.providers.base"}


def test_the_registry_alone_loads_no_provider() -> None:
    assert loaded_by("from smsgate.providers import PROVIDERS; list(PROVIDERS); 'twsms' in PROVIDERS") == set()


@pytest.mark.parametrize("key", list(PROVIDERS))
def test_looking_a_provider_up_loads_its_module_and_no_other(key: str) -> None:
    assert loaded_by(f"from smsgate.providers import find; find({key!r})") == {f"smsgate.providers.{key}"}


def test_every_key_leads_to_the_provider_of_that_key() -> None:
    assert {key: offered.key for key, offered in PROVIDERS.items()} == {key: key for key in PROVIDERS}
    assert len(PROVIDERS) == len(list(PROVIDERS))


def test_a_key_nobody_knows_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'twsmss' is no provider; there are .*twsms"):
        find("twsmss")

    assert "twsmss" not in PROVIDERS
