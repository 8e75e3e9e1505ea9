"""Conflict records: the open and settled contradictions of a ledger, as the API lists them.

Records are derived at reading and never stored, so they cannot disagree with the facts. Writing a resolution
is `stigmem.node.api.conflicts`; what counts as a contradiction is `stigmem.core.contradiction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from stigmem.core.conflict_set import ConflictSet
from stigmem.core.contradiction import best_two, detected_ms
from stigmem.core.erasure import shown_husk
from stigmem.core.errors import Refusal
from stigmem.core.fact import Fact
from stigmem.core.keys import decode_base64, encode_base64
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution
from stigmem.core.timestamps import format_us

__all__ = ["Conflict", "ConflictBook"]

PLACES_SCANNED_MAX: Final = 20_000
"""Conflicts one page looks through, moot ones included: some tens of milliseconds of the writer's time."""


class Conflict(msgspec.Struct, frozen=True):
    """One conflict set as it is listed. `fact_a` and `fact_b` are the best fact and the best one that contradicts it.

    `members`: all facts of the set, oldest first. `detected_at`: ISO-8601 text. `resolved_by`: id of the latest
    resolution fact, None while the conflict is open; `note` is that resolution's, or empty.
    """

    id: str
    slot: tuple[str, str, str]
    status: Literal["unresolved", "resolved"]
    fact_a: Fact
    fact_b: Fact
    members: tuple[Fact, ...]
    detected_at: str
    resolved_by: str | None = None
    note: str = ""


class ConflictBook:
    """Looks conflicts up in a ledger and lists them, the one this node met last first. Reads only; called in the
    writer's batch, where the ledger stands still."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, conflict_id: str) -> Conflict | None:
        """The conflict with this id, or None when it never was or became moot."""
        conflict_set = self._ledger.conflict_log.set_of(conflict_id)
        return None if conflict_set is None else self._record(conflict_id, conflict_set)

    def all(self) -> list[Conflict]:
        """Every open or settled conflict."""
        return [conflict for _, conflict in self._below(len(self._ledger.conflict_log), None) if conflict is not None]

    def page(
        self, *, status: str | None, scopes: frozenset[str] | None, cursor: str | None, limit: int
    ) -> tuple[list[Conflict], str | None]:
        """One page of at most `limit` conflicts, and the cursor of the next page (None on the last).

        `status`: `unresolved` or `resolved`, None for both; any other text matches nothing. `scopes`: what the caller
        may read, None for all. `cursor`: one that this method gave out, or None for the first page.

        A conflict keeps its place for as long as the node runs, so a walk to the end shows each that existed at
        its start once. Raises Refusal 400 `invalid_cursor`.
        """
        below = _read_cursor(cursor) if cursor else len(self._ledger.conflict_log)
        rows: list[Conflict] = []
        place = below
        for scanned, (at, conflict) in enumerate(self._below(below, scopes)):
            wanted = conflict is not None and (status is None or conflict.status == status)
            if scanned == PLACES_SCANNED_MAX or (wanted and len(rows) == limit):
                return rows, _cursor(place)
            if wanted and conflict is not None:
                rows.append(conflict)
            place = at
        return rows, None

    def _below(self, below: int, scopes: frozenset[str] | None) -> Iterator[tuple[int, Conflict | None]]:
        """Places from `below` down that are of a scope asked for, and the conflict there unless it is moot."""
        for place, name, conflict_set in self._ledger.conflict_log.newest_first(below):
            if scopes is None or conflict_set.key[2] in scopes:  # others must show neither in a bound nor in a cursor
                yield place, self._record(name, conflict_set)

    def _record(self, name: str, conflict_set: ConflictSet) -> Conflict | None:
        if conflict_set.conflict == name:
            return _record(name, conflict_set.key, conflict_set.members(), None)
        settlement = conflict_set.settlement(name)
        if settlement is None:
            return None
        found = (fact for fact_id in settlement.covers for fact in self._ledger.find(fact_id))
        members = sorted(fact for fact in found if self._is_word(fact, conflict_set))
        if len(members) < 2:
            return None  # what the winner was preferred to has not reached this node yet
        return _record(name, conflict_set.key, members, settlement.latest)

    def _is_word(self, fact: Fact, conflict_set: ConflictSet) -> bool:
        return fact.slot == conflict_set.key and fact.quarantine is None and self._ledger.counts(fact)


def _record(name: str, slot: tuple[str, str, str], members: list[Fact], resolution: Resolution | None) -> Conflict:
    first, second = map(shown_husk, best_two(members))
    return Conflict(
        id=name,
        slot=slot,
        status="unresolved" if resolution is None else "resolved",
        fact_a=first,
        fact_b=second,
        members=tuple(map(shown_husk, members)),
        detected_at=format_us(detected_ms(members) * 1000),
        resolved_by=resolution.fact.id if resolution else None,
        note=resolution.note if resolution else "",
    )


def _cursor(place: int) -> str:
    return encode_base64(f"c:{place}".encode())


def _read_cursor(text: str) -> int:
    try:
        head, _, place = decode_base64(text).decode("ascii").partition(":")
    except ValueError:
        head, place = "", ""
    if head != "c" or not place.isdigit() or len(place) > 18:
        raise Refusal(400, "invalid_cursor", "the cursor is not one that this node gave out", field="cursor")
    return int(place)
