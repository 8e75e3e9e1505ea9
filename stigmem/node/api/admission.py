"""Whether a declaration is looked at: its address, how often its sender comes, and room in the table of peers.

Judging the declaration itself is `stigmem.core.declaration`; here it is only bounded what strangers may have us do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import PENDING, REJECTED, UNVERIFIED
from stigmem.core.errors import Refusal
from stigmem.core.records import PeerRow
from stigmem.node.responses import quota_exceeded
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call

__all__ = ["charge_registration", "is_address", "make_room"]


def is_address(url: str) -> bool:
    """Whether well-known paths can be appended to a text and still be asked of the host that it shows."""
    try:
        parts = urlsplit(url)
        plain = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = plain and url.isprintable() and not any(char in url for char in " ?#@\\")
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def charge_registration(call: Call, txn: Transaction) -> None:
    """Each registration has us ask an address of somebody else's choice, and costs an audit row. Raises Refusal 429."""
    who = call.principal.entity_uri
    wait_s = call.node.quotas.wait_s(
        "registration", who, float(limits.PENDING_PEERS_MAX), limits.REGISTRATIONS_PER_S, txn.monotonic_ns
    )
    if wait_s:
        raise quota_exceeded("registration", who, wait_s)


def make_room(call: Call, txn: Transaction, held: PeerRow | None) -> None:
    """Room for one more that waits, and for its row unless it has one: a full table gives up its oldest rejected row.

    Raises Refusal 503 when there is none.
    """
    rows = txn.state.peers.values()
    waiting = sum(row.status in (UNVERIFIED, PENDING) for row in rows if row is not held)
    crowded = held is None and len(rows) >= limits.PEERS_MAX
    spare = None
    if crowded:
        spare = next((row for row in rows if row.status == REJECTED and txn.try_reserve("peer", row.node_id)), None)
    full = crowded and spare is None
    if waiting >= limits.PENDING_PEERS_MAX or full or not call.node.handshakes.has_room:
        raise Refusal(503, "too_many_peers", "too many registrations are waiting", headers=(("retry-after", "60"),))
    if spare is not None:
        txn.add(msgspec.structs.replace(spare, status=""))
        txn.audit("peer_deleted", spare.peer_id, node_id=spare.node_id, by=call.principal.entity_uri, to_make_room=True)
