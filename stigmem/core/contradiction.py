"""What a contradiction is: the definition, as one pure function over the facts of a slot.

This is the executable form of spec/contradiction.md and deliberately slow and plain. The ledger keeps the
same answer up to date in `stigmem.core.conflict_set`; property tests hold the two equal for any order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from stigmem.core.fact import Fact, rank
from stigmem.core.lookalikes import comparable_text
from stigmem.core.resolution import Resolution, conflict_id

__all__ = ["SlotState", "best_two", "claim", "detected_ms", "evaluate"]


class SlotState(msgspec.Struct, frozen=True):
    """The derived state of one slot at one instant.

    `live`: assertions that stand, by origin stamp. `denials`: retractions that deny somebody else's standing
    fact. `conflict`: the id of the open conflict, or None. `last`: id of the latest resolution in force (when they
    supersede each other in a circle, of the latest at all), or "".
    """

    live: tuple[Fact, ...]
    denials: tuple[Fact, ...]
    conflict: str | None
    last: str

    @property
    def members(self) -> tuple[Fact, ...]:
        """Every fact of the conflict set, by origin stamp."""
        return tuple(sorted((*self.live, *self.denials)))


def evaluate(
    slot: tuple[str, str, str],
    facts: Iterable[Fact],
    resolutions: Iterable[Resolution],
    now_us: int,
    *,
    unapplied: Iterable[Resolution] = (),
) -> SlotState:
    """The derived state of a slot, whatever the order and however often its facts came.

    `unapplied`: resolutions held that this node's operator gives no effect; they only make conflict ids known.

    1. A retraction ends every earlier assertion with its source or its origin node.
    2. A resolution is inert until its winner is held and it names a conflict that the slot has or had. One in
       force (nobody supersedes it) settles what it names: a covered fact stands only if some resolution in force
       names it winner. Disagreeing resolutions therefore leave both winners standing.
    3. An assertion is live when it is not expired, not ended and not settled against.
    4. A retraction withdraws something when the last word of its source or of its origin node before it was an
       assertion. Every other one is aimed at others: it denies their earlier live facts.
    5. The conflict is open when two distinct values are live, or a live fact is denied.
    """
    unique = {(fact.origin, fact.id): fact for fact in facts}
    assertions = sorted(fact for fact in unique.values() if not fact.is_retraction)
    retractions = sorted(fact for fact in unique.values() if fact.is_retraction)
    by_id = _effective(slot, {fact.id for fact in unique.values()}, list(resolutions), unapplied)
    superseded = {name for resolution in by_id.values() for name in resolution.supersedes}
    in_force = [resolution for name, resolution in by_id.items() if name not in superseded]

    def settled(fact: Fact) -> bool:
        covering = [resolution for resolution in in_force if fact.id in resolution.covers]
        return bool(covering) and all(resolution.winner != fact.id for resolution in covering)

    def expired(fact: Fact) -> bool:
        return fact.expires_us is not None and fact.expires_us <= now_us

    def ended(fact: Fact) -> bool:
        return any(fact < retraction and _shares_author(fact, retraction) for retraction in retractions)

    live = tuple(f for f in assertions if not (expired(f) or ended(f) or settled(f)))
    denials = tuple(
        r
        for r in retractions
        if not (expired(r) or settled(r) or _withdraws(r, unique.values())) and any(f < r for f in live)
    )
    values = {claim(fact) for fact in live}
    last = max((resolution.fact for resolution in in_force or by_id.values()), default=None)
    last_id = last.id if last is not None else ""
    is_open = len(values) > 1 or bool(denials)
    return SlotState(live, denials, conflict_id(slot, last_id) if is_open else None, last_id)


def _effective(
    slot: tuple[str, str, str], held: set[str], resolutions: list[Resolution], unapplied: Iterable[Resolution]
) -> dict[str, Resolution]:
    if not resolutions:
        return {}
    last = (resolution.fact.id for resolution in (*resolutions, *unapplied))
    names = {conflict_id(slot), *(conflict_id(slot, each) for each in last)}
    return {each.fact.id: each for each in resolutions if each.winner in held and each.resolves in names}


def _withdraws(retraction: Fact, facts: Iterable[Fact]) -> bool:
    before = [fact for fact in facts if fact < retraction]
    of_source = max((fact for fact in before if fact.source == retraction.source), default=retraction)
    of_origin = max((fact for fact in before if fact.origin == retraction.origin), default=retraction)
    return not (of_source.is_retraction and of_origin.is_retraction)


def _shares_author(fact: Fact, other: Fact) -> bool:
    return fact.source == other.source or fact.origin == other.origin


def best_two(members: Sequence[Fact]) -> tuple[Fact, Fact]:
    """The two facts a conflict shows on the wire: the best, and the best that contradicts it (when none does, as
    in the settlement of equal values, the second best)."""
    first = _best(members)
    said = claim(first)
    against = [fact for fact in members if claim(fact) != said]
    return first, _best(against or [fact for fact in members if fact is not first])


def _best(facts: Sequence[Fact]) -> Fact:
    # As max by rank, which hashes every fact; only those that tie with the best need hashing.
    top = max((fact.confidence, fact.stamp, fact.origin) for fact in facts)
    tied = [fact for fact in facts if (fact.confidence, fact.stamp, fact.origin) == top]
    return tied[0] if len(tied) == 1 else max(tied, key=rank)


def detected_ms(members: Sequence[Fact]) -> int:
    """Wall ms of the origin stamp with which the contradiction came into being: the first member, by stamp,
    that contradicts the one before it."""
    said = claim(members[0])
    return next((fact for fact in members if claim(fact) != said), members[0]).wall_ms


def claim(fact: Fact) -> tuple[str, str]:
    """What a member of a conflict set claims: facts contradict each other when their claims differ.

    A denial claims "not so", which differs from every value, also from one that happens to be its text. What readers
    cannot tell apart is one claim (`stigmem.core.lookalikes`).
    """
    if fact.confidence == 0.0:
        return "", ""
    kind, text = fact.kind, fact.text
    # Text of ASCII alone is compared as it stands, and nearly all is: conflicts with many members ask this of each.
    return (kind, text) if text.isascii() and kind != "number" else (kind, comparable_text(kind, text))
