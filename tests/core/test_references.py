"""Walking references: how far, in which order, and where a walk rests and ends."""

from __future__ import annotations

import pytest

from stigmem.core import references
from stigmem.core.fact import Fact
from stigmem.core.references import ReferenceIndex
from tests.builders import fact


def edge(n: int, entity: str, target: str) -> Fact:
    return fact(n, target, kind="ref", slot=(entity, "site:near", "public"))


def index_of(*facts: Fact) -> ReferenceIndex:
    index = ReferenceIndex()
    for each in facts:
        index.add(each)
    return index


@pytest.mark.parametrize(("bound", "found"), [(1, 1), (4, 4), (5, 5), (6, 6), (100, 6)])
def test_a_walk_looks_at_so_many_edges_of_a_hub_and_at_no_more(
    monkeypatch: pytest.MonkeyPatch, bound: int, found: int
) -> None:
    monkeypatch.setattr(references, "EDGES_SCANNED_MAX", bound)
    hub = [edge(0, "a:start", "a:hub"), *(edge(n + 1, "a:hub", f"a:leaf{n}") for n in range(5))]
    walked = list(index_of(*hub).walk(["a:start"], 2, lambda _: True))
    assert len(walked) == found


def test_a_walk_over_many_edges_rests_after_every_five_hundred() -> None:
    hub = [edge(n, "a:hub", f"a:leaf{n}") for n in range(1_300)]
    walked = list(index_of(*hub).walk(["a:hub"], 1, lambda _: True))
    rests = [place for place, each in enumerate(walked) if each is None]
    assert (len(walked) - len(rests), len(rests)) == (1_300, 2)
    assert rests == [499, 1_000]
