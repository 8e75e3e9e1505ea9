"""The ranking of the contract (http-api 6.4): words, meaning, graph, recency and trust in one score.

    base  = (lexical * wl + semantic * ws + graph * wg + recency * wr) / (wl + ws + wg + wr)
    score = base * confidence * (0.1 if the fact takes part in an open conflict else 1)

`lexical` is the share of the best fact's score in `stigmem.core.recall.search`. `graph` is 1 for what words found and
1 / (1 + hops) for facts of entities that the five best refer to or are referred to by. `recency` falls from 1 to 0 in a
year. `semantic` is how like the question a fact is in meaning (`stigmem.core.recall.meaning`) times `Tuning.meaning`,
at most 1, and 0 where no meanings are given. `source_trust` is 0 on this node, which computes no trust. Their weights
count as the contract has it (the semantic one divides, the one of trust does not). So a single perfect hit of today
that only words found has 0.611111 times its confidence, as in every node.

Candidates are the best by words and the best by meaning: live facts that are sure enough. A fact that lost to another,
ended or expired is no candidate, whatever it says. Cards are never put in the place of facts: who recalls gets facts,
with their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from stigmem.core import sorted_facts
from stigmem.core.fact import Fact
from stigmem.core.known_facts import KnownFacts
from stigmem.core.recall.meaning import LEAST, WHOLE
from stigmem.core.recall.search import Parts, Search, best_of
from stigmem.core.recall.word_index import View
from stigmem.core.references import ReferenceIndex

if TYPE_CHECKING:  # as in the word index
    from stigmem.core.recall.meaning import Likenesses

__all__ = ["Question", "Ranked", "Ranker", "Weights"]

SEEDS: Final = 5
REACHED_MAX: Final = 50
"""Entities that the graph brings in, and those whose facts seed it: the reference's numbers."""
FACTS_PER_REACHED: Final = 5
CANDIDATES_MAX: Final = 500
CONTRADICTED_SHARE: Final = 0.1
_DAY_US: Final = 86_400_000_000
_YEAR_DAYS: Final = 365
_LOOKED_AT_PER_ENTITY: Final = 50
_SPARE: Final = 20
"""Hits looked at beyond those wanted, in place of those that do not count any more."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """How much each signal counts, each from 0 to 1; they need not sum to anything."""

    lexical: float = 0.35
    semantic: float = 0.35
    graph: float = 0.15
    source_trust: float = 0.10
    recency: float = 0.05


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `depth`: hops of the graph, from 1. `limit`: candidates that words find, and as many that
    meaning finds. `now_us`: the instant, in microseconds since the epoch."""

    query: str
    scope: str
    weights: Weights
    depth: int
    min_confidence: float
    neighbours: bool
    limit: int
    now_us: int


class Ranked(msgspec.Struct, frozen=True):
    """A candidate with what its score is made of. `base` is the weighted mean before confidence; `parts` are None for
    what the graph alone brought in, and all 0 for what meaning alone found."""

    fact: Fact
    score: float
    base: float
    semantic: float
    graph: float
    recency: float
    confidence: float
    contradiction_factor: float
    hops: int
    parts: Parts | None

    @property
    def lexical(self) -> float:
        return 0.0 if self.parts is None else self.parts.lexical


class Ranker:
    """Answers one question from the ledger and the indexes of one scope."""

    def __init__(
        self,
        *,
        ledger: KnownFacts,
        view: View,
        references: ReferenceIndex,
        confidence: Callable[[Fact], float],
        question: Question,
        likenesses: Likenesses | None = None,
    ) -> None:
        """`confidence`: that of a fact at the instant of `ledger`, which is that of now or of then. `likenesses`: how
        like the question each fact of the view is in meaning, by number; facts beyond its end are not known to be like
        it at all."""
        self._ledger = ledger
        self._view = view
        self._references = references
        self._confidence = confidence
        self._question = question
        self._likenesses = likenesses if likenesses is None else likenesses[: view.count]

    def rank(self) -> Generator[None, None, list[Ranked]]:
        """Candidates, best first, ties newest first. Yields where other work may go on."""
        question = self._question
        search = Search(self._view, question.query, neighbours=question.neighbours)
        yield from search.steps()
        hits = list(dict.fromkeys((*self._counting(search.hits), *self._counting(self._like))))
        ranked = [self._ranked(self._view.facts[n], search.parts(n), 0, self._semantic(n)) for n in hits]
        if question.neighbours and question.weights.graph > 0.0:
            yield from self._by_graph(ranked)
        ranked.sort(key=lambda each: (each.score, each.fact), reverse=True)
        return ranked[:CANDIDATES_MAX]

    def _counting(self, hits: Callable[[int], list[int]]) -> list[int]:
        """The best facts of a kind that count, `limit` of them if there are so many. `hits`: the best so many."""
        wanted, most = self._question.limit, self._question.limit + _SPARE
        while True:
            best = hits(most)
            found = [number for number in best if self._counts(self._view.facts[number])]
            if len(found) >= wanted or len(best) < most:
                return found[:wanted]
            most *= 4

    def _like(self, most: int) -> list[int]:
        """Numbers of the facts whose meaning is most like the question's, at most `most`."""
        likenesses = self._likenesses
        if likenesses is None or not self._question.weights.semantic:
            return []
        return best_of(likenesses, LEAST, most, self._view.facts)

    def _semantic(self, number: int) -> float:
        likenesses = self._likenesses
        if likenesses is None or number >= len(likenesses):
            return 0.0
        return min(1.0, self._view.tuning.meaning * int(likenesses[number]) / WHOLE)

    def _by_graph(self, ranked: list[Ranked]) -> Iterator[None]:
        known = {each.fact.id: None for each in ranked}
        best = sorted(ranked, key=lambda each: (each.score, each.fact), reverse=True)[:SEEDS]
        seeds = list(dict.fromkeys(each.fact.entity for each in best))
        reached = 0
        for found in self._references.walk(seeds, self._question.depth, self._counts):
            if found is None:
                yield
                continue
            for fact in self._facts_of(found.entity):
                if fact.id not in known:
                    known[fact.id] = None
                    ranked.append(self._ranked(fact, None, found.hops, 0.0))
            reached += 1
            if reached == REACHED_MAX:
                return

    def _facts_of(self, entity: str) -> list[Fact]:
        found: list[Fact] = []
        for looked_at, fact in enumerate(sorted_facts.descending(self._ledger.by_entity.get(entity))):
            if len(found) == FACTS_PER_REACHED or looked_at == _LOOKED_AT_PER_ENTITY:
                break
            if self._counts(fact):
                found.append(fact)
        return found

    def _counts(self, fact: Fact) -> bool:
        return (
            fact.scope == self._question.scope
            and not fact.is_system
            and self._confidence(fact) >= self._question.min_confidence
            and self._ledger.live(fact)
        )

    def _ranked(self, fact: Fact, parts: Parts | None, hops: int, semantic: float) -> Ranked:
        weights = self._question.weights
        days = max(0, self._question.now_us - fact.timestamp_us) // _DAY_US
        recency = max(0.0, 1.0 - days / _YEAR_DAYS)
        graph = 1.0 / (1 + hops)
        lexical = 0.0 if parts is None else parts.lexical
        divisor = weights.lexical + weights.semantic + weights.graph + weights.recency
        plain = weights.lexical * lexical + weights.semantic * semantic + weights.graph * graph
        plain += weights.recency * recency
        base = plain / divisor if divisor else 0.0
        confidence = self._confidence(fact)
        factor = CONTRADICTED_SHARE if self._ledger.contradicted(fact) else 1.0
        return Ranked(
            fact=fact,
            score=round(base * confidence * factor, 6),
            base=base,
            semantic=semantic,
            graph=graph,
            recency=recency,
            confidence=confidence,
            contradiction_factor=factor,
            hops=hops,
            parts=parts,
        )
