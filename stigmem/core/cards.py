"""Memory cards: what is known of one entity in a scope, in a few lines that go into a prompt (http-api 3.11).

A card is made when it is asked for, from live facts, and names each fact that it stands on. It is never put in their
place (`stigmem.core.recall.ranking`). A value is shown in one line, whatever line breaks it has: who writes a value
must not be able to write a line of the card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from heapq import nlargest
from typing import Final

import msgspec

from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact
from stigmem.core.known_facts import KnownFacts

__all__ = ["Card", "card_of"]

FACTS_MAX: Final = 20
"""Facts on a card: the contract's 20."""
_SLICE: Final = 500


class Card(msgspec.Struct, frozen=True):
    """`facts`: the surest, newest first among equals. `confidence`: their mean, to six decimals."""

    summary: str
    facts: tuple[Fact, ...]
    confidence: float
    is_contradicted: bool

    def hashes(self) -> list[str]:
        """SHA-256 of each fact's id, as hex."""
        return [hashlib.sha256(fact.id.encode()).hexdigest() for fact in self.facts]


def card_of(
    known: KnownFacts, entity: str, scope: str, confidence: Callable[[Fact], float]
) -> Generator[None, None, Card | None]:
    """The card of an entity in a scope, or None when nothing live is known of it. `confidence`: that of a fact at
    the instant of `known`. Yields between slices of its facts."""
    best: list[tuple[float, Fact]] = []
    held = list(known.by_entity.get(entity))
    for start in range(0, len(held), _SLICE):
        some = (fact for fact in held[start : start + _SLICE] if fact.scope == scope and not fact.is_system)
        live = (fact for fact in some if known.live(fact) and not is_foreign_instruction(fact))
        best = nlargest(FACTS_MAX, [*best, *((confidence(fact), fact) for fact in live)])
        yield
    if not best:
        return None
    lines = [entity, *(f"{fact.relation} = {' '.join(fact.text.split())} ({sure:.2f})" for sure, fact in best)]
    return Card(
        summary="\n".join(lines),
        facts=tuple(fact for _, fact in best),
        confidence=round(sum(sure for sure, _ in best) / len(best), 6),
        is_contradicted=any(known.contradicted(fact) for _, fact in best),
    )
