"""Origins that nobody here has decided on, where the operator wants to (`unknown_origins = "quarantine"`).

An origin is **known** when it is this node, an approved peer, or one whose key an operator has pinned or confirmed. The
facts of all others come through peers, under their origins' signatures, and are taken like any other by default. Under
the strict policy they wait in quarantine for the reason `unknown_origin`, until

* somebody admits or rejects the single fact (`stigmem.node.api.quarantine`), or
* the origin becomes known: then everything of it that waits is admitted, and what did not fit is read again, or
* they expire there (QUARANTINE_LIFE_S).

Instructions wait for their own reason and are never admitted together with their origin. Of one origin
QUARANTINE_PER_ORIGIN_MAX facts wait and QUARANTINE_PER_PEER_MAX of one peer; what exceeds stays at the peer, is asked
for again in the next window of the intake quota (`stigmem.node.intake_quota`), and costs neither a row nor a letter a
fact.

Known wart: an origin that became known stays so: pins are not taken back.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from stigmem.core.declaration import ACTIVE
from stigmem.core.records import DeadLetter, QuarantineRow
from stigmem.node.resync import go_back_to
from stigmem.node.transaction import Transaction

__all__ = ["UNKNOWN_ORIGIN", "UnknownOrigins", "admit_origin", "is_known"]

UnknownOrigins = Literal["take", "quarantine"]
UNKNOWN_ORIGIN: Final = "unknown_origin"
"""Why such a fact is held back."""


def is_known(txn: Transaction, origin: str, own: str) -> bool:
    """Whether facts of this origin need nobody's decision. `own`: the id of this node."""
    if origin == own:
        return True
    peer, row = txn.state.peer_of(origin), txn.state.origins.get(origin)
    return (peer is not None and peer.status == ACTIVE) or (row is not None and row.how == "pinned")


def admit_origin(txn: Transaction, origin: str, by: str) -> None:
    """Somebody (`by`) has decided that an origin is known: what waits of it takes effect. The cursors of all peers must
    be reserved."""
    admitted = 0
    for fact in txn.state.quarantine.pending(txn.now_us):
        waits = fact.origin == origin and fact.quarantine == UNKNOWN_ORIGIN
        if not waits or not txn.try_reserve("quarantine", (fact.origin, fact.id)):
            continue
        found = txn.state.quarantine.find(fact.id, txn.now_us)
        row = next((each.row for each in found if each.fact is fact), None)
        txn.store(msgspec.structs.replace(fact, quarantine=None))
        txn.add(
            QuarantineRow(
                origin=fact.origin,
                fact_id=fact.id,
                status="promoted",
                arrived_us=0 if row is None else row.arrived_us,
                acted_by=by,
                acted_us=txn.now_us,
                note="its origin was admitted",
                garden_id="",
            )
        )
        admitted += 1
    if admitted:
        txn.audit("quarantine_promote", by, origin=origin, count=admitted)
    for (peer_id, name), letter in list(txn.state.rereadings.items()):
        if name == DeadLetter.name_of_quota(origin):
            go_back_to(txn, peer_id, (letter.raw or b"").decode() or None)
            txn.add(DeadLetter.cleared(peer_id, name))
