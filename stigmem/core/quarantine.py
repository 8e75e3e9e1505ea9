"""Quarantine: facts of peers that wait until somebody admits or rejects them (federation 9.2).

Theory
------
A fact that must wait is stored like every other, with the reason why it is held back, and has no effect: it is in no
query, conflict, recall, count or page, since each of them passes over what has a reason. That never changes, because
what is stored never changes. **Admitting** a fact stores it a second time, without the reason, under the next local
sequence number: whoever follows this node in the order of those numbers (streams, webhooks, indexes, peers) meets it
then, as news. **Rejecting** stores nothing; the decision is remembered, so that the fact does not come back by being
served again.

* Q1. A decision is made once. Who comes second is told that the fact is not pending.
* Q2. What waits for longer than QUARANTINE_LIFE_S has expired: nobody can admit it any more. Facts that came before
  arrivals were recorded do not expire.
* Q3. At most QUARANTINE_PER_PEER_MAX facts of one sender wait, and at most QUARANTINE_PER_ORIGIN_MAX of one origin;
  more instructions are refused (`quarantine_full`), more facts of unknown origins stay at their sender. Decided and
  expired ones do not count.

Why facts wait is decided where they come in: because they are instructions (`stigmem.core.ingest`), or because nobody
here has decided on their origin (`stigmem.node.unknown_origins`). Who may decide is `stigmem.node.api.quarantine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.records import QuarantineRow

__all__ = ["Quarantine", "QuarantineStatus", "Quarantined"]

QuarantineStatus = Literal["pending", "promoted", "rejected", "expired"]
_LIFE_US: Final = limits.QUARANTINE_LIFE_S * 1_000_000


class Quarantined(NamedTuple):
    """A fact that was held back, and what became of it; `row` is None where its arrival was not recorded."""

    fact: Fact
    row: QuarantineRow | None
    status: QuarantineStatus


class Quarantine:
    """Every fact that was held back on this node, by origin and id, in the order of arrival."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, str], Fact] = {}
        self._origins: dict[str, list[str]] = {}
        """Id -> the origins that gave it to a fact."""
        self._rows: dict[tuple[str, str], QuarantineRow] = {}
        self._pending: dict[tuple[str, str], None] = {}
        """What nobody has decided on, expired or not."""

    def find(self, fact_id: str, now_us: int) -> list[Quarantined]:
        """Facts with this id; more than one only if an origin claimed another's id."""
        return [self._shown((origin, fact_id), now_us) for origin in self._origins.get(fact_id, ())]

    def newest_first(self, now_us: int) -> Iterator[Quarantined]:
        """All of them."""
        return (self._shown(key, now_us) for key in reversed(self._facts))

    def pending(self, now_us: int) -> list[Fact]:
        """Those that wait for a decision."""
        return [self._facts[key] for key in self._pending if not self._has_expired(key, now_us)]

    def rows(self) -> list[QuarantineRow]:
        """Arrivals and decisions, as they were recorded."""
        return list(self._rows.values())

    # --- keeping, from records ---

    def add(self, fact: Fact) -> None:
        """A fact was held back."""
        key = (fact.origin, fact.id)
        self._facts[key] = fact
        self._origins.setdefault(fact.id, []).append(fact.origin)
        self._note(key)

    def forget(self, fact: Fact) -> None:
        """A fact that was held back has been erased."""
        key = (fact.origin, fact.id)
        if self._facts.pop(key, None) is not None:
            self._pending.pop(key, None)
            self._origins[fact.id].remove(fact.origin)
            if not self._origins[fact.id]:
                del self._origins[fact.id]

    def apply(self, row: QuarantineRow) -> None:
        """An arrival or a decision."""
        key = (row.origin, row.fact_id)
        self._rows[key] = row
        self._note(key)

    def _note(self, key: tuple[str, str]) -> None:
        row = self._rows.get(key)
        if row is not None and row.status != "pending":
            self._pending.pop(key, None)
        elif key in self._facts:
            self._pending[key] = None

    def _has_expired(self, key: tuple[str, str], now_us: int) -> bool:
        row = self._rows.get(key)
        return row is not None and row.arrived_us + _LIFE_US <= now_us

    def _shown(self, key: tuple[str, str], now_us: int) -> Quarantined:
        row = self._rows.get(key)
        status: QuarantineStatus = "pending" if row is None else row.status
        if status == "pending" and self._has_expired(key, now_us):
            status = "expired"
        return Quarantined(self._facts[key], row, status)
