"""The codec of arguments and results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.sandbox.values import MAX_DEPTH, decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(categories=["L", "P", "Cc", "S"]))
    | st.binary()
)
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(st.sampled_from(["$set", "$dict", "a"]), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_every_value_comes_back_with_its_types(value: Any) -> None:
    found = decode(encode(value))
    assert found == value
    assert repr(type(found)) == repr(type(value))


@given(st.binary() | st.text() | st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(["$set", "$int"]),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["$set", "$tuple", "$dict", "$int", "$complex", "$bytes", "$no"]), inner),
).map(json.dumps))  # fmt: skip
def test_any_text_is_a_value_or_a_value_error(text: str | bytes) -> None:
    try:
        decode(text)
    except ValueError:
        return


def test_plain_json_stays_plain() -> None:
    value = {"a": [1, 2.5, None, True, "x"]}
    assert json.loads(encode(value)) == value


def test_depth_and_type_are_bounded() -> None:
    nested: list[Any] = []
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert decode(encode(nested)) == nested
    with pytest.raises(ValueError, match="deeper"):
        encode([nested])
    with pytest.raises(TypeError, match="type object"):
        encode([object()])
