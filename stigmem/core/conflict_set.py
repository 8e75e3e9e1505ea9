"""One slot, kept up to date: which facts stand, and whether they contradict each other.

Equal to `stigmem.core.contradiction.evaluate` at every moment, at O(log n) a fact however hostile the
writer. What retractions and resolutions say (`stigmem.core.overrides`) is kept from the first of them on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from stigmem.core import sorted_facts
from stigmem.core.fact import Fact
from stigmem.core.overrides import Overrides, Settlement
from stigmem.core.resolution import Resolution, conflict_id
from stigmem.core.sorted_facts import SortedFacts

__all__ = ["ConflictSet"]

_LOOK_THROUGH_MAX: Final = 16


class ConflictSet:
    """The facts of one (entity, relation, scope) and their derived state."""

    __slots__ = ("_identity", "_overrides", "_values", "facts", "key", "live")

    def __init__(self, key: tuple[str, str, str]) -> None:
        self.key = key
        self.facts: SortedFacts = []
        self.live: SortedFacts = self.facts
        """The same object as `facts` until the first fact that does not stand: most slots never fork."""
        self._values: dict[tuple[str, str], int] | None = None
        """Standing facts per distinct value, kept once there are too many to look through."""
        self._overrides: Overrides | None = None
        self._identity = ("", "")
        """The latest resolution and the conflict id that follows from it, once asked for."""

    # --- reading ---

    @property
    def is_open(self) -> bool:
        """Whether two distinct values stand, or a standing fact is denied."""
        if self._values is not None:
            if len(self._values) > 1:
                return True
        elif self.live:
            first = self.live[0]
            if any(fact.text != first.text or fact.kind != first.kind for fact in self.live):
                return True
        overrides = self._overrides
        return bool(overrides and overrides.denials and self.live and self.live[0] < overrides.denials[-1])

    @property
    def conflict(self) -> str | None:
        """Id of the open conflict, or None."""
        if not self.is_open:
            return None
        last = self._overrides.last if self._overrides else ""
        if self._identity[0] != last or not self._identity[1]:
            self._identity = (last, conflict_id(self.key, last))
        return self._identity[1]

    def denials(self) -> list[Fact]:
        """Retractions that deny a standing fact of somebody else."""
        overrides = self._overrides
        if overrides is None or not overrides.denials or not self.live:
            return []
        return list(sorted_facts.since(overrides.denials, self.live[0]))

    def members(self) -> list[Fact]:
        """The conflict set, by origin stamp; meaningful while the conflict is open."""
        return sorted([*self.live, *self.denials()])

    def settlement(self, conflict: str) -> Settlement | None:
        """What resolutions made of a conflict, or None."""
        return self._overrides.settlements.get(conflict) if self._overrides else None

    def resolutions_in_force(self) -> list[str]:
        """Ids of the resolutions that nobody supersedes; the next resolution supersedes these."""
        overrides = self._overrides
        return [name for name in overrides.resolutions if name not in overrides.superseded] if overrides else []

    def superseded(self, fact: Fact) -> bool:
        """Whether a later retraction ended the fact, or a resolution in force settled against it."""
        overrides = self._overrides
        if overrides is None:
            return False
        return overrides.settled(fact.id) if fact.is_retraction else overrides.blocks(fact)

    def stands_since(self, fact: Fact) -> Fact | None:
        """The first standing assertion that came after a fact: retracting once more would be aimed at it."""
        return next(sorted_facts.since(self.live, fact), None)

    def contradicted(self, fact: Fact) -> bool:
        """Whether the fact takes part in the open conflict."""
        if not self.is_open:
            return False
        if not fact.is_retraction:
            return sorted_facts.contains(self.live, fact)
        overrides = self._overrides
        return bool(overrides and self.live and self.live[0] < fact and sorted_facts.contains(overrides.denials, fact))

    # --- growing ---

    def add(self, fact: Fact, *, expired: bool) -> None:
        """Take in a new fact of this slot."""
        if self.live is self.facts and not fact.is_retraction and not expired and self._overrides is None:
            self.facts = self.live = sorted_facts.add(self.facts, fact)
            self._tally(fact, 1)
            return
        self._fork()
        self.facts = sorted_facts.add(self.facts, fact)
        if fact.is_retraction:
            for ended in self._opened_overrides().retract(fact, expired=expired):
                self._deactivate(ended)
            return
        if self._overrides is not None:
            self._overrides.note_assertion(fact)
        if not expired:
            self._consider(fact)

    def expire(self, fact: Fact) -> None:
        """The fact's time has passed."""
        if not fact.is_retraction:
            if sorted_facts.contains(self.live, fact):
                self._deactivate(fact)
        elif self._overrides is not None:
            self._overrides.expire(fact)

    def revive(self, fact: Fact) -> None:
        """The clock was set back to before the fact's expiry."""
        if fact.is_retraction:
            self._opened_overrides().revive(fact)
        else:
            self._consider(fact)

    def resolve(
        self, resolution: Resolution, find: Callable[[str], Iterable[Fact]], expired: Callable[[Fact], bool]
    ) -> None:
        """Take in a resolution; `find` gives the facts held under an id, `expired` whether one's time is up."""
        self._apply(
            [resolution, *self._opened_overrides().named(conflict_id(self.key, resolution.fact.id))], find, expired
        )

    def mention(
        self, resolution: Resolution, find: Callable[[str], Iterable[Fact]], expired: Callable[[Fact], bool]
    ) -> None:
        """A resolution is held that has no effect here: others may build on the conflict that follows from it."""
        self._apply(self._opened_overrides().named(conflict_id(self.key, resolution.fact.id)), find, expired)

    def arrived(self, fact: Fact, find: Callable[[str], Iterable[Fact]], expired: Callable[[Fact], bool]) -> None:
        """Give effect to the resolutions that waited for a fact just added."""
        if self._overrides is not None:
            self._apply(self._overrides.arrived(fact.id), find, expired)

    # --- keeping ---

    def _apply(
        self, resolutions: list[Resolution], find: Callable[[str], Iterable[Fact]], expired: Callable[[Fact], bool]
    ) -> None:
        overrides = self._opened_overrides()
        for resolution in resolutions:
            winner_held = any(sorted_facts.contains(self.facts, fact) for fact in find(resolution.winner))
            if overrides.waits(resolution, winner_held=winner_held):
                continue
            touched = overrides.resolve(resolution)
            for fact in [fact for fact_id in touched for fact in find(fact_id) if fact.slot == self.key]:
                self._reconsider(overrides, fact, expired=expired(fact))

    def _fork(self) -> None:
        if self.live is self.facts:
            self.live = self.facts.copy()

    def _tally(self, fact: Fact, step: int) -> None:
        value = (fact.kind, fact.text)
        if self._values is not None:
            left = self._values.get(value, 0) + step
            if left:
                self._values[value] = left
            else:
                del self._values[value]
        elif len(self.live) > _LOOK_THROUGH_MAX:
            self._values = {}
            for each in self.live:
                self._tally(each, 1)

    def _activate(self, fact: Fact) -> None:
        self._fork()
        self.live = sorted_facts.add(self.live, fact)
        self._tally(fact, 1)
        if self._overrides is not None:
            self._overrides.activate(fact)

    def _deactivate(self, fact: Fact) -> None:
        self._fork()
        self.live = sorted_facts.remove(self.live, fact)
        self._tally(fact, -1)
        if self._overrides is not None:
            self._overrides.deactivate(fact)

    def _consider(self, fact: Fact) -> None:
        blocked = self._overrides is not None and self._overrides.blocks(fact)
        if not blocked and not sorted_facts.contains(self.live, fact):
            self._activate(fact)

    def _reconsider(self, overrides: Overrides, fact: Fact, *, expired: bool) -> None:
        if fact.is_retraction:
            overrides.review(fact)
        elif not expired and not overrides.settled(fact.id):
            self._consider(fact)
        elif sorted_facts.contains(self.live, fact):
            self._deactivate(fact)

    def _opened_overrides(self) -> Overrides:
        if self._overrides is None:
            assertions = (fact for fact in self.facts if not fact.is_retraction)
            self._overrides = Overrides(assertions, self.live, conflict_id(self.key))
        return self._overrides
