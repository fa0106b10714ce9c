"""The contract's assertions explain themselves like those of any test."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.providers.contract")
