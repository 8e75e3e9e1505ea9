"""What nodes tell of their conflicts, worked out once for as long as their ledgers stand still.

The checkers and the judgement ask for the same listings at the end of a run; a listing of a long one takes seconds.
Nothing here judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from stigmem.core.conflicts import Conflict, ConflictBook
from stigmem.core.errors import Rejection
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution, read_resolution

if TYPE_CHECKING:
    from stigmem.node.node import Node

__all__ = ["Key", "conflicts_of", "resolutions_of", "view_of"]

Key = tuple[str, str, str]


class _Listing:
    """The conflicts of a ledger as it stood."""

    __slots__ = ("conflicts", "horizon_us", "last_seq", "told")

    def __init__(self, book: ConflictBook, ledger: Ledger) -> None:
        self.last_seq = ledger.last_seq
        self.horizon_us = ledger.horizon_us
        self.conflicts = book.all()
        self.told: dict[Key, object] | None = None


_listings: Final[WeakKeyDictionary[ConflictBook, _Listing]] = WeakKeyDictionary()


def conflicts_of(node: Node) -> list[Conflict]:
    """Every open or settled conflict of a node."""
    return _listing(node).conflicts


def view_of(node: Node) -> dict[Key, object]:
    """What a node tells of its public conflicts, by slot: ids, status, the two best facts, all members."""
    listing = _listing(node)
    if listing.told is None:
        listing.told = _told(listing.conflicts)
    return listing.told


def _listing(node: Node) -> _Listing:
    book, ledger = node.state.conflicts, node.state.ledger
    known = _listings.get(book)
    if known is None or (known.last_seq, known.horizon_us) != (ledger.last_seq, ledger.horizon_us):
        known = _listings[book] = _Listing(book, ledger)
    return known


def _told(conflicts: list[Conflict]) -> dict[Key, object]:
    found: dict[Key, list[object]] = {}
    for each in sorted(conflicts, key=lambda conflict: conflict.id):
        if each.slot[2] == "public":
            members = tuple(fact.id for fact in each.members)
            found.setdefault(each.slot, []).append((each.id, each.status, each.fact_a.id, each.fact_b.id, members))
    return {key: tuple(told) for key, told in found.items()}


def resolutions_of(ledger: Ledger) -> dict[Key, list[Resolution]]:
    """The resolutions among the facts of a ledger, by the slot that they settle."""
    found: dict[Key, list[Resolution]] = {}
    for fact in ledger.log:
        if fact.derived_from and fact.quarantine is None:
            try:
                resolution = read_resolution(fact)
            except Rejection:
                continue  # a client may write anything under the name of a resolution: it settles nothing
            if resolution is not None:
                found.setdefault(resolution.slot, []).append(resolution)
    return found
