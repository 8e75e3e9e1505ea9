"""A ledger that takes in its past by the batch knows what one knows that saw every fact come, and finds facts by their
content id from the first question on."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import content_index
from stigmem.core.content_index import ContentIndex
from stigmem.core.fact import Fact
from stigmem.core.ledger import UNHASHED_MAX, Ledger
from tests.builders import T0_MS, fact
from tests.core.test_conflicts import fill, histories
from tests.core.test_ledger import NOW_MS, knowledge


def in_batches(facts: list[Fact], cuts: list[int]) -> Ledger:
    numbered = [msgspec.structs.replace(each, seq=number) for number, each in enumerate(facts, 1)]
    ledger = Ledger()
    for begin, end in itertools.pairwise([0, *sorted(min(cut, len(facts)) for cut in cuts), len(facts)]):
        ledger.extend(numbered[begin:end])
    ledger.advance(NOW_MS * 1000)
    return ledger


@given(histories(), st.lists(st.integers(0, 25), max_size=4))
def test_a_past_taken_in_by_batches_gives_the_same_knowledge_as_fact_by_fact(
    arrivals: list[Fact], cuts: list[int]
) -> None:
    loaded, grown = in_batches(arrivals, cuts), fill(arrivals, NOW_MS)
    assert knowledge(loaded) == knowledge(grown)
    assert [each.id for each in loaded.by_stamp] == [each.id for each in grown.by_stamp]
    assert loaded.timestamp_lead_us == grown.timestamp_lead_us
    for each in arrivals:
        assert loaded.find(each.id) == grown.find(each.id)
        assert loaded.with_cid(each.cid) == grown.with_cid(each.cid)


def test_a_batch_with_a_gap_is_refused_before_any_of_it_is_taken_in() -> None:
    ledger = Ledger()
    ledger.extend([fact(1, "one", seq=1)])
    with pytest.raises(ValueError, match="sequence number 4 does not follow 2"):
        ledger.extend([fact(2, "two", seq=2), fact(4, "four", seq=4)])
    assert len(ledger) == 1
    assert ledger.find(fact(2, "two").id) == []


def test_what_a_start_left_is_hashed_some_at_a_time_and_found_meanwhile_all_the_same() -> None:
    facts = [fact(number, f"value {number % 7}", seq=number) for number in range(1, 41)]
    for hashed_first in (0, 3, 40):
        ledger = Ledger()
        ledger.extend(facts)
        assert ledger.unhashed == 40
        assert ledger.hash_some(hashed_first) == 40 - hashed_first
        assert [each.text for each in ledger.with_cid(facts[2].cid)] == ["value 3"] * 6
        assert ledger.unhashed == 0


def test_writes_leave_only_so_many_facts_for_whoever_asks_by_content_id() -> None:
    ledger = Ledger()
    for number in range(1, UNHASHED_MAX + 11):
        ledger.add(fact(number, "same", seq=number))
    assert ledger.unhashed == UNHASHED_MAX


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(0, 60))
def test_facts_of_one_content_are_found_in_the_order_of_the_log_wherever_they_are_kept(
    contents: list[int], hashed_first: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_index, "_SEGMENT", 7)
        log = [fact(number, f"value {content}") for number, content in enumerate(contents)]
        index = ContentIndex(log)
        index.hash_some(hashed_first)
        for content in range(13):
            wanted = [each for each in log if each.text == f"value {content}"]
            assert index.candidates(fact(99, f"value {content}").cid) == wanted


def test_two_contents_that_share_the_bits_that_are_kept_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_index, "_bits", lambda cid: 5)
    ledger = Ledger()
    for number in range(1, 5):
        ledger.add(fact(number, f"value {number % 2}", seq=number))
    assert [each.seq for each in ledger.with_cid(fact(9, "value 1").cid)] == [1, 3]
    assert ledger.with_cid(fact(9, "other").cid) == []


def test_facts_of_one_content_are_shown_by_their_stamps_and_not_as_they_came() -> None:
    ledger = Ledger()
    for number, at in enumerate((7, 3, 5), 1):
        ledger.add(fact(at, "same", seq=number))
    assert [each.wall_ms - T0_MS for each in ledger.with_cid(fact(1, "same").cid)] == [3, 5, 7]
