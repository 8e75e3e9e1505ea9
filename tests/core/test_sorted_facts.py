"""Runs and postings against a sorted list, in both of their forms and on the way from one to the other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sortedcontainers import SortedList

from stigmem.core import sorted_facts
from stigmem.core.fact import Fact
from stigmem.core.fact_index import FactIndex
from stigmem.core.sorted_facts import SortedFacts
from tests.builders import T0_MS, fact

POOL = [fact(number) for number in range(60)]
# Operations on the pool: mostly add one of its facts, sometimes take one out again.
operation = st.tuples(st.sampled_from((True, True, True, False)), st.integers(1, 40))
operations = st.lists(operation, max_size=40) | st.lists(operation, min_size=40, max_size=80)


def check(run: SortedFacts, model: list[Fact], probe: Fact) -> None:
    assert list(run) == model
    assert list(sorted_facts.descending(run)) == model[::-1]
    assert list(sorted_facts.descending(run, probe)) == [each for each in reversed(model) if each < probe]
    assert list(sorted_facts.since(run, probe)) == [each for each in model if not each < probe]
    assert sorted_facts.contains(run, probe) == (probe in model)


@given(operations, st.sampled_from((0, 3, sorted_facts.MOVED_MAX)), st.integers(0, 41))
def test_a_run_is_a_sorted_list(history: list[tuple[bool, int]], moved_max: int, probe: int) -> None:
    run: SortedFacts = []
    model: list[Fact] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_facts, "MOVED_MAX", moved_max)
        for adds, number in history:
            each = POOL[number]
            if adds and each not in model:
                run, model = sorted_facts.add(run, each), sorted([*model, each])
            elif not adds and each in model:
                run = sorted_facts.remove(run, each)
                model.remove(each)
    for number in (probe, *(int(each.wall_ms - T0_MS) for each in model[::5])):
        check(run, model, POOL[number])


@pytest.mark.parametrize("moved_max", [0, sorted_facts.MOVED_MAX])
def test_taking_out_what_is_not_there_is_an_error(moved_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_facts, "MOVED_MAX", moved_max)
    run: SortedFacts = []
    for number in (5, 1, 3):
        run = sorted_facts.add(run, POOL[number])
    for absent in (0, 2, 9):
        with pytest.raises(ValueError, match=r"hold|not in list"):
            sorted_facts.remove(run, POOL[absent])
    assert list(run) == [POOL[1], POOL[3], POOL[5]]


def test_a_long_run_stays_a_list_while_facts_come_nearly_in_order() -> None:
    numbers = list(range(10_000))
    for at in range(0, 9_990, 10):
        numbers[at], numbers[at + 9] = numbers[at + 9], numbers[at]
    run: SortedFacts = []
    for number in numbers:
        run = sorted_facts.add(run, fact(number))
    assert isinstance(run, list)
    assert list(run) == sorted(run)


def test_history_that_arrives_late_turns_a_long_run_into_a_tree_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_facts, "MOVED_MAX", 4_096)
    order = random.Random(3)
    run: SortedFacts = []
    for number in range(5_000, 12_000):
        run = sorted_facts.add(run, fact(number))
    late = list(range(1_000))
    order.shuffle(late)
    for number in late:
        run = sorted_facts.add(run, fact(number))
    assert isinstance(run, SortedList)
    assert [each.wall_ms - T0_MS for each in run] == [*range(1_000), *range(5_000, 12_000)]
    assert [each.wall_ms - T0_MS for each in sorted_facts.descending(run, fact(4_000))] == list(range(999, -1, -1))


@given(st.lists(st.integers(1, 60), unique=True, max_size=60))
def test_postings_are_a_sorted_list_per_key(numbers: list[int]) -> None:
    postings: FactIndex[str] = FactIndex()
    model: dict[str, list[Fact]] = {}
    for number in numbers:
        key = f"k{number % 7}"
        postings.add(key, fact(number))
        model[key] = sorted([*model.get(key, []), fact(number)])
    assert {key: list(postings.get(key)) for key in postings} == model
    assert len(postings) == len(model)
    assert [postings.count(key) for key in model] == [len(held) for held in model.values()]
    assert (list(postings.get("absent")), postings.count("absent")) == ([], 0)
