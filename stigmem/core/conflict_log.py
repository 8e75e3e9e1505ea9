"""Conflict identities in the order in which this node first met them: what a listing of conflicts pages through.

Local and append-only, so that a conflict keeps its place when it is settled or when an older fact moves the
moment of its detection: a page that is asked for later can neither repeat nor lose it (spec/queries.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from stigmem.core.conflict_set import ConflictSet

__all__ = ["ConflictLog"]


class ConflictLog:
    """Identities and their slots, each once."""

    __slots__ = ("_identities", "_slots")

    def __init__(self) -> None:
        self._identities: list[str] = []
        self._slots: dict[str, ConflictSet] = {}

    def __len__(self) -> int:
        return len(self._identities)

    def add(self, identity: str, slot: ConflictSet) -> None:
        """Note an identity that a slot's conflict has or had; nothing happens if it is known."""
        if identity not in self._slots:
            self._slots[identity] = slot
            self._identities.append(identity)

    def slot(self, identity: str) -> ConflictSet | None:
        """The slot of an identity, or None when it was never seen."""
        return self._slots.get(identity)

    def newest_first(self, below: int) -> Iterator[tuple[int, str, ConflictSet]]:
        """Place, identity and slot, from the place before `below` down to the first."""
        for place in range(min(below, len(self._identities)) - 1, -1, -1):
            identity = self._identities[place]
            yield place, identity, self._slots[identity]
