"""Which tombstones a peer is told: those of a scope that may cross its link, or of all, and what takes them back.

A list in the order of arrival, of which a peer reads what it has not read. How many there are is in the answer to every
pull (`stigmem.node.replication.tombstone_reader`).
"""

from __future__ import annotations

from collections.abc import Sequence

from stigmem.core.erasure import Erasures
from stigmem.core.records import RevocationRow, TombstoneRow
from stigmem.core.tombstone import EVERY_SCOPE

__all__ = ["tombstones_for"]


def tombstones_for(erasures: Erasures, scopes: Sequence[str]) -> list[TombstoneRow | RevocationRow]:
    """Tombstones and revocations that may cross a link with these scopes, oldest first."""
    return [row for row in erasures.rows if _scope_of(erasures, row) in (EVERY_SCOPE, *scopes)]


def _scope_of(erasures: Erasures, row: TombstoneRow | RevocationRow) -> str:
    if isinstance(row, TombstoneRow):
        return row.tombstone.scope
    revoked = erasures.tombstones.get(row.revocation.tombstone_id)
    return "" if revoked is None else revoked.tombstone.scope
