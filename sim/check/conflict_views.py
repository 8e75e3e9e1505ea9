"""What nodes tell of their conflicts, in the form in which checkers compare it. Nothing here judges."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from sim.observation.node_view import LedgerReader, NodeView, SlotKey
from stigmem.core.conflicts import Conflict
from stigmem.core.errors import Rejection
from stigmem.core.resolution import Resolution, read_resolution
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import read_voiding

__all__ = ["resolutions_of", "view_of", "voided_of"]

_View = dict[SlotKey, object]
_views: Final[WeakKeyDictionary[NodeView, tuple[list[Conflict], _View]]] = WeakKeyDictionary()
"""The latest view of each node, with the listing that it was made from."""


def view_of(node: NodeView, now_us: int | None = None) -> _View:
    """What a node tells of its public conflicts, by slot: ids, status, the two best facts, all members; as it stands,
    or with expiry as of an instant. Views of two nodes that tell the same are equal."""
    listing = node.conflicts(now_us)
    known = _views.get(node)
    if known is None or known[0] is not listing:
        known = _views[node] = listing, _told(listing)
    return known[1]


def _told(conflicts: list[Conflict]) -> _View:
    found: dict[SlotKey, list[object]] = {}
    for each in sorted(conflicts, key=lambda conflict: conflict.id):
        if each.slot[2] == "public":
            members = tuple(fact.id for fact in each.members)
            found.setdefault(each.slot, []).append((each.id, each.status, each.fact_a.id, each.fact_b.id, members))
    return {key: tuple(told) for key, told in found.items()}


def resolutions_of(ledger: LedgerReader) -> dict[SlotKey, list[Resolution]]:
    """The resolutions among the facts of a ledger, by the slot that they settle."""
    found: dict[SlotKey, list[Resolution]] = {}
    for fact in ledger.log:
        if fact.derived_from and fact.quarantine is None:
            try:
                resolution = read_resolution(fact)
            except Rejection:
                continue  # a client may write anything under the name of a resolution: it settles nothing
            if resolution is not None:
                found.setdefault(resolution.slot, []).append(resolution)
    return found


def voided_of(ledger: LedgerReader, seq: int | None = None) -> frozenset[tuple[str, str]]:
    """(origin, id) of the facts of a ledger that their own origins voided, by the records among them, or among the
    first `seq` facts that it stored."""
    found: dict[tuple[str, str], None] = {}
    for record in ledger.log if seq is None else ledger.log[:seq]:
        if not record.entity.startswith(VOID_PREFIX) or record.quarantine is not None:
            continue
        try:
            voiding = read_voiding(record)
        except Rejection:
            continue  # as for resolutions
        for name in voiding.names if voiding is not None else ():
            fact = ledger.held(record.origin, name)
            if voiding is not None and fact is not None and voiding.reaches(fact):
                found[record.origin, name] = None
    return frozenset(found)
