"""Recall where the port for meanings is filled: what it finds, what a failure costs, and what it must not tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest

from stigmem.core.recall.meaning import Passage
from stigmem.core.recall.word_index import TUNED
from stigmem.node.api import meanings
from stigmem.node.ports import MeaningFailed
from tests.node.api import NOW_MS
from tests.node.fresh import Fresh, fresh
from tests.node.still import Bench
from tests.node.test_recall import recall, text, texts

GROUPS: Final = (("car", "automobile", "vehicle"), ("house", "home", "dwelling"), ("sold", "purchase", "bargain"))


class Thesaurus:
    """Knows nine words, of which three each mean the same."""

    def __init__(self, *, is_weighted: bool = True) -> None:
        self.is_weighted = is_weighted
        self.failing = False
        self.sizes: list[int] = []
        """How many texts each question had."""
        self.asked: list[Passage] = []

    async def vectors(self, passages: Sequence[Passage]) -> Sequence[bytes]:
        if self.failing:
            raise MeaningFailed("endpoint", "it is not there")
        self.sizes.append(len(passages))
        self.asked += passages
        return [self._vector(dict(each.words)) for each in passages]

    def _vector(self, words: dict[str, float]) -> bytes:
        found = [sum(words.get(word, 0.0) for word in group) for group in GROUPS]
        largest = max(found) or 1.0
        return np.rint(np.array(found) * 127.0 / largest).astype(np.int8).tobytes()


@asynccontextmanager
async def knowing(thesaurus: Thesaurus | None = None) -> AsyncIterator[Fresh]:
    bench = Bench(NOW_MS)
    bench.meaning = thesaurus or Thesaurus()
    async with fresh(bench) as node:
        yield node


async def test_a_car_is_found_as_an_automobile() -> None:
    async with knowing() as node:
        await node.say(entity="a:1", value=text("Ada drives a car"))
        await node.say(entity="a:2", value=text("Bob painted his house"))
        found = await recall(node, "automobile", include_neighbors=False)
        assert [each["fact"]["value"]["v"] for each in found["facts"]] == ["Ada drives a car"]
        told = found["facts"][0]["score_breakdown"]
        assert (told["lexical"], told["semantic"], told["graph"]) == (0.0, TUNED.meaning, 1.0)


async def test_words_and_meaning_together_go_before_either() -> None:
    async with knowing() as node:
        await node.say(entity="a:1", value=text("the vehicle of Ada"))
        await node.say(entity="a:2", value=text("a car park"))
        await node.say(entity="a:3", value=text("a park"))
        found = await texts(node, "car park", include_neighbors=False)
        assert found[0] == "a car park"
        assert sorted(found[1:]) == ["a park", "the vehicle of Ada"]


async def test_without_its_weight_meaning_finds_nothing_and_is_not_asked() -> None:
    thesaurus = Thesaurus()
    async with knowing(thesaurus) as node:
        await node.say(value=text("Ada drives a car"))
        assert await texts(node, "automobile", weights={"semantic": 0.0}) == []
        assert thesaurus.asked == []


async def test_an_explanation_adds_up_with_meaning_in_it() -> None:
    async with knowing() as node:
        await node.say(entity="a:1", value=text("Ada drives a car"))
        await node.say(entity="a:2", value=text("Ada sold her vehicle"))
        for scored in (await recall(node, "Did Ada sell the automobile?", explain=True))["facts"]:
            told = scored["explain"]
            assert told["by_semantic"] > 0.0
            parts = told["by_lexical"] + told["by_semantic"] + told["by_graph"] + told["by_recency"]
            assert parts == pytest.approx(told["base"])
            assert told["base"] * told["confidence"] * told["contradiction_factor"] == pytest.approx(
                scored["score"], abs=1e-6
            )


async def test_a_failing_endpoint_costs_likeness_and_no_answer() -> None:
    thesaurus = Thesaurus()
    async with knowing(thesaurus) as node:
        await node.say(value=text("Ada drives a car"))
        thesaurus.failing = True
        assert await texts(node, "automobile") == []
        assert await texts(node, "car") == ["Ada drives a car"]
        thesaurus.failing = False
        assert await texts(node, "automobile") == ["Ada drives a car"]


async def test_what_is_written_later_means_something_too_and_nothing_is_asked_twice_of_a_plain_endpoint() -> None:
    thesaurus = Thesaurus(is_weighted=False)
    async with knowing(thesaurus) as node:
        for number in range(5):
            await node.say(entity=f"a:{number}", value=text(f"the car of number {number}"))
            assert len(await texts(node, "automobile")) == number + 1
        of_facts = [each.text for each in thesaurus.asked if each.text != "automobile"]
        assert len(of_facts) == len(set(of_facts)) == 5


async def test_weights_follow_a_scope_that_grows() -> None:
    """A word that was in the only fact of a scope is a common one when all of a hundred have it."""
    thesaurus = Thesaurus()
    async with knowing(thesaurus) as node:
        await node.say(entity="a:0", value=text("a car at home"))
        await recall(node, "automobile")
        for number in range(1, 20):
            await node.say(entity=f"a:{number}", value=text(f"a car, number {number}"))
        await recall(node, "automobile")
        first, last = (dict(each.words) for each in thesaurus.asked if each.text.endswith("a car at home"))
        assert first["car"] == first["home"]
        assert last["car"] < last["home"]


async def test_a_scope_tells_nothing_of_the_words_of_another() -> None:
    async def weights(*elsewhere: str) -> list[Any]:
        thesaurus = Thesaurus()
        async with knowing(thesaurus) as node:
            for number, words in enumerate(elsewhere):
                await node.say(entity=f"b:{number}", scope="team", value=text(words))
            await node.say(entity="a:1", value=text("a car at home"))
            found = await recall(node, "automobile", explain=True)
            return [[each.words for each in thesaurus.asked], [each["explain"] for each in found["facts"]]]

    assert await weights() == await weights("car", "automobile home", "car dwelling")


async def test_a_long_scope_is_answered_by_words_at_once_and_by_meaning_when_its_vectors_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meanings, "WAITED_FOR", 10)
    thesaurus = Thesaurus()
    async with knowing(thesaurus) as node:
        for number in range(200):
            await node.say(entity=f"a:{number}", relation=f"n:{number}", value=text("a car" if number == 7 else "none"))
        await recall(node, "automobile")
        await node.bench.settle()
        assert await texts(node, "automobile", include_neighbors=False) == ["a car"]
        assert max(thesaurus.sizes) <= 64
