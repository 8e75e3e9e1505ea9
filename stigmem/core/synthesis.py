"""Synthesis: what a scope holds to be so, one value for each entity and relation (http-api 3.9, 6.3).

The one value of a slot is its best live fact by presentation order (confidence, stamp, origin node, content id); while
a conflict is open there, the best fact against it is told beside it. What is reserved, ended, settled against or
expired is left out, expired facts can be asked for. The work is done in slices over a copy of the scope's list, so that
facts which arrive meanwhile neither repeat a slot nor lose one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

import msgspec

from stigmem.core.contradiction import best_two, value_of
from stigmem.core.export_index import is_foreign_instruction
from stigmem.core.fact import Fact, rank
from stigmem.core.known_facts import KnownFacts

__all__ = ["SLOTS_MAX", "SlotSummary", "Synthesis", "standing", "stands", "synthesis_of"]

SLOTS_MAX: Final = 10_000
"""Entries of one synthesis: some megabytes. Who has more asks entity by entity."""
_SLICE: Final = 500


class SlotSummary(msgspec.Struct, frozen=True):
    """One slot: the fact that stands first, how sure it is, and the best fact against it, if any."""

    fact: Fact
    confidence: float
    against: Fact | None


class Synthesis(msgspec.Struct, frozen=True):
    """`summaries` by entity and relation. `seen`: facts looked at that stand. `filtered`: summaries that were not sure
    enough. `truncated`: there were more than SLOTS_MAX."""

    summaries: list[SlotSummary]
    seen: int
    filtered: int
    truncated: bool


def standing(
    known: KnownFacts, scope: str, entity: str | None, *, include_expired: bool
) -> Generator[None, None, list[Fact]]:
    """Facts of a scope that stand, oldest first; also those whose time has passed, on request."""
    found: list[Fact] = []
    held = list(known.by_scope.get(scope) if entity is None else known.by_entity.get(entity))
    for start in range(0, len(held), _SLICE):
        found += (
            fact
            for fact in held[start : start + _SLICE]
            if fact.scope == scope
            and known.holds(fact)
            and not fact.is_system
            and stands(known, fact, include_expired=include_expired)
        )
        yield
    return found


def synthesis_of(
    known: KnownFacts,
    facts: list[Fact],
    confidence: Callable[[Fact], float],
    *,
    min_confidence: float,
) -> Generator[None, None, Synthesis]:
    """The synthesis of facts that stand. `confidence`: that of a fact now."""
    by_slot: dict[tuple[str, ...], list[Fact]] = {}
    """Facts of a slot; where the relation holds many values, of a slot and a value."""
    for number, fact in enumerate(facts):
        holds_many = known.cardinality(fact.relation) == "many"
        by_slot.setdefault((*fact.slot, *value_of(fact)) if holds_many else fact.slot, []).append(fact)
        if number % _SLICE == 0:
            yield
    summaries: list[SlotSummary] = []
    filtered, truncated = 0, False
    for number, slot in enumerate(sorted(by_slot)):
        if number % _SLICE == 0:
            yield
        members = by_slot[slot]
        first = max(members, key=lambda fact: (confidence(fact), rank(fact)))
        if confidence(first) < min_confidence:
            filtered += 1
        elif len(summaries) == SLOTS_MAX:
            truncated = True
        else:
            summaries.append(SlotSummary(first, confidence(first), _against(known, first, members)))
    return Synthesis(summaries, len(facts), filtered, truncated)


def _against(known: KnownFacts, first: Fact, members: list[Fact]) -> Fact | None:
    """The best fact against one that is contradicted; itself where what is against it is a denial alone."""
    if not known.contradicted(first):
        return None
    others = [fact for fact in members if fact is not first]
    if not others or known.cardinality(first.relation) == "many":
        return first
    best, second = best_two([first, *others])
    return second if best is first else best


def stands(known: KnownFacts, fact: Fact, *, include_expired: bool) -> bool:
    """Whether a fact is told to readers as what is so; with `include_expired`, also when only its time has passed."""
    if is_foreign_instruction(fact):
        return False
    if known.live(fact):
        return True
    ended = fact.is_retraction or fact.quarantine is not None or known.overridden(fact)
    return include_expired and known.expired(fact) and not ended
