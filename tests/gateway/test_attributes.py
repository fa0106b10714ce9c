"""Plain values become what DynamoDB types, exactly as boto3 would have them, and come back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from smsgate.attributes import from_wire, to_wire, typed, untyped

WORDS = st.text(max_size=10)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(-(10**9), 10**9, places=4)
    | WORDS
    | st.binary(max_size=10)
    | st.sets(WORDS, min_size=1, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_values_are_typed_as_boto3_types_them_and_come_back(value: Any) -> None:
    expected = TypeSerializer().serialize(value)

    assert _unordered(typed(value)) == _unordered(expected)
    assert untyped(typed(value)) == value


@given(st.dictionaries(WORDS, PLAIN, max_size=4))
def test_what_is_none_is_not_in_an_item(plain: dict[str, Any]) -> None:
    assert from_wire(to_wire(plain)) == {name: value for name, value in plain.items() if value is not None}


@pytest.mark.parametrize("stranger", [1.5, object(), 1j])
def test_what_would_come_back_changed_is_refused(stranger: object) -> None:
    with pytest.raises(TypeError):
        typed(stranger)


def test_numbers_keep_their_value_to_the_last_digit() -> None:
    assert untyped(typed(Decimal("0.1"))) == Decimal("0.1")


def _unordered(wire: Any) -> Any:
    """A set has no order."""
    if isinstance(wire, dict):
        return {name: sorted(inner) if name == "SS" else _unordered(inner) for name, inner in wire.items()}
    return [_unordered(inner) for inner in wire] if isinstance(wire, list) else wire
