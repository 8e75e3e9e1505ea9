"""Conflict records: the open and settled contradictions of a ledger, as the API lists them.

Records are derived at reading and never stored, so they cannot disagree with the facts. Writing a resolution
is `stigmem.node.conflicts`; what counts as a contradiction is `stigmem.core.contradiction`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stigmem.core.contradiction import best_two, detected_ms
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.instants import format_us
from stigmem.core.keys import decode_base64, encode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution
from stigmem.core.triple import Triple

__all__ = ["Conflict", "ConflictBook"]


class Conflict(msgspec.Struct, frozen=True):
    """One conflict set. `fact_a` and `fact_b` are the best fact and the best one that contradicts it."""

    id: str
    triple: tuple[str, str, str]
    status: Literal["unresolved", "resolved"]
    fact_a: Fact
    fact_b: Fact
    members: tuple[Fact, ...]
    detected_at: str
    resolved_by: str | None = None
    note: str = ""

    @property
    def order(self) -> tuple[str, str]:
        """Listing order, newest last."""
        return (self.detected_at, self.id)


class ConflictBook:
    """Looks conflicts up in a ledger; remembers what it built until the ledger changes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._as_of = -1
        self._by_id: dict[str, Conflict] = {}
        self._ordered: list[Conflict] = []

    def get(self, conflict_id: str) -> Conflict | None:
        """The conflict with this id, or None when it never was or became moot."""
        self._refresh()
        return self._by_id.get(conflict_id)

    def all(self) -> list[Conflict]:
        """Every open or settled conflict, newest first."""
        self._refresh()
        return self._ordered

    def page(
        self, *, status: str | None, scopes: frozenset[str] | None, cursor: str | None, limit: int
    ) -> tuple[list[Conflict], str | None]:
        """One page, newest first, and the cursor of the next (None on the last).

        Raises Refusal 400 `invalid_cursor`.
        """
        below = _read_cursor(cursor) if cursor else None
        rows = [
            conflict
            for conflict in self.all()
            if (status is None or conflict.status == status)
            and (scopes is None or conflict.triple[2] in scopes)
            and (below is None or conflict.order < below)
        ]
        more = len(rows) > limit
        rows = rows[:limit]
        return rows, _cursor(rows[-1]) if more else None

    def _refresh(self) -> None:
        if self._ledger.version == self._as_of:
            return
        self._as_of = self._ledger.version
        found: dict[str, Conflict] = {}
        for triple in self._ledger.settled.values():
            for resolution in triple.resolutions():
                record = self._settled(triple, resolution)
                if record is not None:
                    found[record.id] = record
        for triple in self._ledger.contested.values():
            record = _open(triple)
            found[record.id] = record
        self._by_id = found
        self._ordered = sorted(found.values(), key=lambda conflict: conflict.order, reverse=True)

    def _settled(self, triple: Triple, resolution: Resolution) -> Conflict | None:
        members = sorted(
            fact
            for fact_id in resolution.covers
            for fact in self._ledger.find(fact_id)
            if fact.triple == triple.key
        )
        claims = {("", "") if fact.is_retraction else (fact.kind, fact.text) for fact in members}
        if len(claims) < 2:
            return None  # the contradicting facts have not reached this node yet
        first, second = best_two(members)
        return Conflict(
            id=resolution.resolves,
            triple=triple.key,
            status="resolved",
            fact_a=first,
            fact_b=second,
            members=tuple(members),
            detected_at=format_us(detected_ms(members) * 1000),
            resolved_by=resolution.fact.id,
            note=resolution.note,
        )


def _open(triple: Triple) -> Conflict:
    members = triple.members()
    first, second = best_two(members)
    identity = triple.conflict
    if identity is None:
        raise ValueError(f"triple {triple.key} is listed as contested and is not")
    return Conflict(
        id=identity,
        triple=triple.key,
        status="unresolved",
        fact_a=first,
        fact_b=second,
        members=tuple(members),
        detected_at=format_us(detected_ms(members) * 1000),
    )


def _cursor(conflict: Conflict) -> str:
    return encode_base64("\n".join(conflict.order).encode())


def _read_cursor(text: str) -> tuple[str, str]:
    try:
        detected_at, identity = decode_base64(text).decode().split("\n")
    except ValueError as error:
        raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor") from error
    return detected_at, identity
