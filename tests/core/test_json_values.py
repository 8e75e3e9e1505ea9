"""JSON values: one text for each, the same from every node, by RFC 8785."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.json_values import canonical_json
from stigmem.core.values import parse_value, wire_value

CASES = json.loads((Path(__file__).parents[2] / "spec/vectors/json_values.json").read_text())["cases"]

SCALARS = (
    st.none() | st.booleans() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53) | st.integers(-(2**900), 2**900).map(float)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_json_value_has_the_text_of_the_vectors(case: dict[str, Any]) -> None:
    sent = json.loads(case["text"])
    if case["canonical"] is None:
        with pytest.raises(Rejection, match=r"json|finite|double"):
            parse_value("json", sent)
    else:
        assert parse_value("json", sent).text == case["canonical"]


@given(VALUES)
def test_a_canonical_text_reads_back_as_the_same_value_and_is_its_own_canonical_text(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text, parse_int=float) == value
    for reader in (json.loads, msgspec.json.decode):  # peers decode with one, tools with the other
        assert canonical_json(reader(text)) == text


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_members_and_the_spelling_of_numbers_do_not_matter(value: Any, chance: Any) -> None:
    def shuffled(each: Any) -> Any:
        if isinstance(each, dict):
            names = list(each)
            chance.shuffle(names)
            return {name: shuffled(each[name]) for name in names}
        if isinstance(each, list):
            return [shuffled(inner) for inner in each]
        if isinstance(each, int) and not isinstance(each, bool):
            return float(each)
        return each

    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(VALUES, VALUES)
def test_values_that_differ_have_texts_that_differ(value: Any, other: Any) -> None:
    def plain(each: Any) -> Any:  # for Python True is 1, and for JSON it is not
        if isinstance(each, dict):
            return {name: plain(inner) for name, inner in each.items()}
        if isinstance(each, list):
            return [plain(inner) for inner in each]
        return ("boolean", each) if isinstance(each, bool) else each

    assert (canonical_json(value) == canonical_json(other)) == (plain(value) == plain(other))


@pytest.mark.parametrize("depth", [limits.JSON_DEPTH_MAX, limits.JSON_DEPTH_MAX + 1, 900])
def test_a_json_value_is_nested_only_so_deep(depth: int) -> None:
    nested: Any = "x"
    for number in range(depth):
        nested = [nested] if number % 2 else {"a": nested}
    if depth <= limits.JSON_DEPTH_MAX:
        assert json.loads(parse_value("json", nested).text) == nested
    else:
        with pytest.raises(Rejection, match=f"at most {limits.JSON_DEPTH_MAX} deep"):
            parse_value("json", nested)


def test_a_json_value_is_at_most_as_long_as_a_text() -> None:
    most = "x" * (limits.STRING_BYTES_MAX - 2)
    assert len(parse_value("json", most).text) == limits.STRING_BYTES_MAX
    for too_long in (most + "x", "é" * (limits.STRING_BYTES_MAX // 2)):
        with pytest.raises(Rejection) as raised:
            parse_value("json", too_long)
        assert raised.value.code == "value_too_large"


@given(VALUES.filter(lambda value: value is not None))
def test_what_a_page_carries_is_the_value_again_for_who_reads_it(value: Any) -> None:
    made = parse_value("json", value)
    carried = msgspec.json.decode(msgspec.json.encode(wire_value("json", made.text, "content")))
    assert parse_value(carried["type"], carried["v"]) == made
