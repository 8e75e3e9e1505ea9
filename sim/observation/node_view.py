"""What may be read of a node from outside: its facts, its conflicts, its settings, and how full its queues are.

Everything that checkers, adversaries and samples know of a node's inside comes through here, so that the parts of
`stigmem.node` can be arranged anew without any of those noticing. Nothing here changes a node: the ledger is handed
out as `LedgerReader`, which has no method that adds a fact or moves the ledger's time.

A view belongs to one life of a node, from a boot to the power cut after it. Whoever looks asks for the view of the
moment and keeps none: after a crash the machine has another node, and another view.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from stigmem.core import limits
from stigmem.core.audit import ChainHead
from stigmem.core.conflict_set import ConflictSet
from stigmem.core.conflicts import Conflict, ConflictBook
from stigmem.core.contradiction import Cardinality
from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.ledger import Ledger
from stigmem.core.past import PastFacts, PointOfTime
from stigmem.core.schemas import known_at
from stigmem.core.tombstone import Tombstone
from stigmem.node.node import Node
from stigmem.node.settings import NodeSettings

__all__ = ["LedgerReader", "NodeView", "QueueLengths", "SlotKey"]

SlotKey = tuple[str, str, str]
"""Entity, relation and scope."""


class LedgerReader(Protocol):
    """The questions of `stigmem.core.ledger.Ledger`; what they mean is said there."""

    @property
    def log(self) -> Sequence[Fact]: ...

    @property
    def contested(self) -> Mapping[SlotKey, ConflictSet]: ...

    @property
    def last_seq(self) -> int: ...

    @property
    def horizon_us(self) -> int: ...

    def find(self, fact_id: str) -> Sequence[Fact]: ...

    def covered(self, entity_uri: str) -> Sequence[Fact]: ...

    def is_id_of_husk(self, fact_id: str) -> bool: ...

    def held(self, origin: str, fact_id: str) -> Fact | None: ...

    def facts_of(self, key: SlotKey) -> Sequence[Fact]: ...

    def contradicted(self, fact: Fact) -> bool: ...

    def ended_by(self, fact: Fact) -> Fact | None: ...

    def overridden(self, fact: Fact) -> bool: ...

    def expired(self, fact: Fact) -> bool: ...

    def live(self, fact: Fact) -> bool: ...

    def cardinality(self, relation: str) -> Cardinality: ...

    def fits(self, fact: Fact) -> bool: ...

    def next_expiry_us(self) -> int | None: ...


class QueueLengths(NamedTuple):
    """How much a node keeps of everything that strangers can make it keep, in entries. `mailbox` is the longest that
    the mailbox has been since the node booted, `dead_letters` the most of any one peer."""

    mailbox: int
    nonces: int
    dead_letters: int
    deferred: int
    long_polls: int
    origins: int
    peers: int


class NodeView:
    """One life of one node, to be read."""

    __slots__ = (
        "__weakref__", "_copy", "_copy_seq", "_listings", "_listings_seq", "_node", "ledger", "name", "node_id",
        "settings",
    )  # fmt: skip

    def __init__(self, name: str, node: Node) -> None:
        """`name` is what the scenario calls the node."""
        self.name = name
        self.node_id: str = node.node_id
        self.settings: NodeSettings = node.settings
        self.ledger: LedgerReader = node.state.ledger
        """Every fact that the node holds, and what follows from them, expiry as the node has applied it so far."""
        self._node = node
        self._copy: Ledger | None = None
        self._copy_seq = 0
        self._listings: dict[int, list[Conflict]] = {}
        """Horizon -> the conflicts as of then."""
        self._listings_seq = 0
        """How many facts the node held when they were listed."""

    def ledger_as_of(self, now_us: int) -> LedgerReader:
        """The same with expiry as of an instant, in microseconds since the epoch: nodes' clocks differ, and whoever
        compares nodes has to look at all of them at one instant. The node's own ledger stays as it is."""
        return self._as_of(now_us)

    def _as_of(self, now_us: int) -> Ledger:
        own = self._node.state.ledger
        known = self._copy
        if known is None or (self._copy_seq, known.horizon_us) != (own.last_seq, now_us):
            known = self._copy = own.as_of(now_us)
            self._copy_seq = own.last_seq
        return known

    def known_at(self, seq: int) -> PastFacts | None:
        """What the node knew when it had stored so many facts; None when it did not record by which instant it judged
        then."""
        state = self._node.state
        mark = state.horizons.at(seq)
        if mark is None:
            return None
        return known_at(state.ledger, PointOfTime(seq, mark.horizon_us, sweeps=mark.sweeps), state.schemas)

    def as_of(self, now_us: int, newest: Stamp) -> PastFacts:
        """Facts stamped up to a stamp, with expiry as of an instant, in microseconds since the epoch."""
        ledger = self._node.state.ledger
        return PastFacts(ledger, PointOfTime(ledger.last_seq, now_us, newest))

    def resolves(self, origin: str) -> bool:
        """Whether resolutions of an origin take effect on this node."""
        return "*" in self.settings.resolvers or origin in self.settings.resolvers

    def policy_digest(self) -> str:
        """What the operator has decided that bears on what the node shows of the facts that it holds: whose resolutions
        take effect, which schemas are in force, and what was admitted of what had to wait. Nodes of equal digests show
        the same of the same facts (spec/contradiction.md, 8)."""
        state = self._node.state
        decided = [
            sorted(self.settings.resolvers),
            [[each.relation, each.fact.text] for each in state.schemas.all_in_force()],
            sorted([row.origin, row.fact_id] for row in state.quarantine.rows() if row.status == "promoted"),
        ]
        return hashlib.blake2b(msgspec.json.encode(decided), digest_size=16).hexdigest()

    @property
    def tombstones(self) -> list[Tombstone]:
        """Those that the node knows and that are not revoked, oldest first."""
        held = self._node.state.erasures
        return [row.tombstone for row in held.tombstones.values() if row.tombstone.id not in held.revocations]

    @property
    def revoked_tombstones(self) -> Collection[str]:
        """Ids of the tombstones that were taken back."""
        return self._node.state.erasures.revocations.keys()

    @property
    def unfinished_tombstones(self) -> list[Tombstone]:
        """Those whose facts are not all out of the journal."""
        return [row.tombstone for row in self._node.state.erasures.unfinished()]

    @property
    def audit_head(self) -> ChainHead:
        """Number and hash of the last row of the audit log."""
        return self._node.state.head

    @property
    def deferred(self) -> Collection[tuple[str, str]]:
        """(peer id, fact id) of facts that are stamped too far ahead and wait until they are due."""
        return self._node.state.deferred.keys()

    def conflicts(self, now_us: int | None = None) -> list[Conflict]:
        """Every open or settled conflict as the node lists them, or as it would list them with expiry as of an instant.

        Worked out once for as long as the ledger stands still: a listing of a long run takes seconds, and several
        checkers ask for it at the end. The same list is the same object.
        """
        own = self._node.state.ledger
        ledger = own if now_us is None else self._as_of(now_us)
        if self._listings_seq != own.last_seq:
            self._listings.clear()
            self._listings_seq = own.last_seq
        listing = self._listings.get(ledger.horizon_us)
        if listing is None:
            book = self._node.state.conflicts if ledger is own else ConflictBook(ledger)
            listing = self._listings[ledger.horizon_us] = book.all()
        return listing

    def rejected(self, fact_id: str) -> bool:
        """Whether a fact of this id is among the dead letters of any peer."""
        return any(fact_id in letters for letters in self._node.state.letters.values())

    def rejections(self, fact_id: str) -> tuple[str, ...]:
        """The codes with which a fact of this id was refused, each once, whoever served it."""
        letters = self._node.state.letters.values()
        return tuple(dict.fromkeys(code for each in letters for code in each.get(fact_id, ())))

    def cursor_at(self, node_id: str) -> str | None:
        """How far this node has read a peer: the cursor of the last page that it stored, in the peer's words; None when
        it has stored none, or knows no such peer."""
        row = self._node.state.peer_of(node_id)
        read = None if row is None else self._node.state.cursors.get(row.peer_id)
        return None if read is None else read.cursor

    def position(self, cursor: str | None) -> int:
        """How many facts of the node's log lie before a cursor that it gave out; 0 for None, and for a cursor of a
        past that the node does not have."""
        return self._node.page_server.start(cursor, ())  # scopes matter for the cursors of other implementations only

    def peer_status(self, node_id: str) -> str:
        """The status of a peer's row, "" when the node does not know the peer."""
        row = self._node.state.peer_of(node_id)
        return "" if row is None else row.status

    def peer_dialect(self, node_id: str) -> str:
        """How a peer was found to speak, "" when the node does not know the peer."""
        row = self._node.state.peer_of(node_id)
        return "" if row is None else row.dialect

    def peer_id(self, node_id: str) -> str:
        """The id of a peer's row, "" when the node does not know the peer."""
        row = self._node.state.peer_of(node_id)
        return "" if row is None else row.peer_id

    def has_read_to_the_end(self, node_id: str) -> bool:
        """Whether the node has come to the end of what a peer serves since it knows that peer."""
        row = self._node.state.peer_of(node_id)
        cursor = None if row is None else self._node.state.cursors.get(row.peer_id)
        return cursor is not None and cursor.drained

    @property
    def suppressed_rows(self) -> int:
        """How many audit rows exceeded somebody's ration since the node's log told of such last."""
        return self._node.quotas.suppressed

    @property
    def key_holders(self) -> list[str]:
        """In whose name clients of the node may write: the entity of each of its API keys."""
        return [row.entity_uri for row in self._node.state.keys.values()]

    @property
    def longest_mailbox(self) -> int:
        """The most messages that have waited for the node's turn at once, since it booted."""
        return self._node.mailbox.longest

    def may_be_beyond_a_bound(self) -> bool:
        """Whether one of the bounds on queues and tables may be exceeded. Asked at every commit: what is bounded by
        peer, code or name is not looked through for it."""
        node, state = self._node, self._node.state
        return (
            len(state.nonces) > limits.NONCES_PER_PEER_MAX
            or node.mailbox.longest > node.settings.mailbox_messages_max
            or len(node.long_polls) > limits.LONG_POLLS_PER_PEER_MAX
            or bool(state.letters)
            or bool(state.deferred)
            or len(state.origins) > limits.ORIGINS_MAX
            or len(state.peers) > limits.PEERS_MAX
        )

    def queue_lengths(self) -> QueueLengths:
        """How full the node is now."""
        node, state = self._node, self._node.state
        letters = max(map(len, state.letters.values()), default=0) if state.letters else 0
        return QueueLengths(
            node.mailbox.longest,
            len(state.nonces),
            letters,
            len(state.deferred),
            len(node.long_polls),
            len(state.origins),
            len(state.peers),
        )
