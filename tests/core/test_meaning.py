"""Vectors of meaning as integers: what a text weighs, and how like each other two are."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from stigmem.core.recall.meaning import WHOLE, VectorTable, fact_passage, passage
from stigmem.core.recall.word_index import WordIndex
from tests.builders import fact


def done(work: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def vector(*numbers: int) -> bytes:
    return np.array(numbers, dtype=np.int8).tobytes()


def test_likeness_is_the_cosine_in_thousandths_and_never_below_nothing() -> None:
    table = VectorTable(2)
    table.extend([vector(100, 0), vector(0, 100), vector(70, 70), vector(-100, 0), vector(0, 0)])
    assert done(table.likenesses(vector(50, 0))).tolist() == [WHOLE, 0, 707, 0, 0]
    assert done(table.likenesses(vector(0, 0))).tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("dimensions", [1, 256, 1_024, 1_025, 4_096])
def test_likenesses_are_exact_for_the_longest_vectors(dimensions: int) -> None:
    table = VectorTable(dimensions)
    table.extend([vector(*[127] * dimensions), vector(*[-127] * dimensions), vector(*[127, *[126] * (dimensions - 1)])])
    asked = [127] * dimensions
    products = [127 * 127 * dimensions, -127 * 127 * dimensions, 127 * 127 + 127 * 126 * (dimensions - 1)]
    lengths = [127 * dimensions**0.5, 127 * dimensions**0.5, (127**2 + 126**2 * (dimensions - 1)) ** 0.5]
    exact = [
        max(0, round(WHOLE * product / length / (127 * dimensions**0.5)))
        for product, length in zip(products, lengths, strict=True)
    ]
    assert done(table.likenesses(vector(*asked))).tolist() == exact


def test_a_reader_keeps_the_facts_with_which_it_began() -> None:
    table = VectorTable(2)
    table.extend([vector(1, 1)] * 50)
    reading = table.likenesses(vector(1, 1))
    next(reading)
    table.extend([vector(1, 1)] * 500)
    assert len(done(reading)) == 50
    assert len(done(table.likenesses(vector(1, 1)))) == 550


def test_a_word_counts_by_how_rare_it_is_in_its_own_index_and_common_words_not_at_all() -> None:
    index, other = WordIndex(), WordIndex()
    for number in range(8):
        index.add(fact(number, f"the pump at station {number}" if number else "the pump hums"))
        other.add(fact(number, "nothing of the kind"))
    weights = dict(passage("Is the pump humming?", index).words)
    assert set(weights) == {"pump", "humming"}
    assert 0.0 < weights["pump"] < weights["humming"]
    assert dict(passage("humming", other).words)["humming"] == weights["humming"]


def test_a_fact_means_what_its_entity_relation_and_value_say() -> None:
    index = WordIndex()
    worn = fact(1, "worn", slot=("device:pump-7", "maint:state", "public"))
    index.add(worn)
    assert {"device", "pump", "maint", "state", "worn"} <= dict(fact_passage(worn, index).words).keys()
