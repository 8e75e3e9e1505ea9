"""What a hostile peer sees of a node of the model: who it is, and whether it knows the peer.

Of its facts it shows none: a view of our own nodes has our ledger, and here is none. An adversary that must know what
its victim holds cannot be used against the model (`sim.model_reference.run`).
"""

from __future__ import annotations

from sim.model_reference.machine import ReferenceMachine
from sim.observation.node_view import NodeView
from stigmem.core.declaration import ACTIVE, PENDING
from stigmem.core.ledger import Ledger

__all__ = ["VictimView"]


class VictimView(NodeView):
    """One node of the model, to hostile peers."""

    __slots__ = ("_machine",)

    def __init__(self, machine: ReferenceMachine) -> None:
        self.name = machine.name
        self.node_id = machine.node_id
        self.settings = machine.settings
        self.ledger = Ledger()
        self._machine = machine

    def peer_status(self, node_id: str) -> str:
        model = self._machine.model
        row = None if model is None else model.store.peers.get(node_id)
        return "" if row is None else {"active": ACTIVE, "pending_approval": PENDING}.get(row.status, row.status)

    def peer_id(self, node_id: str) -> str:
        model = self._machine.model
        row = None if model is None else model.store.peers.get(node_id)
        return "" if row is None else row.peer_id

    def has_read_to_the_end(self, node_id: str) -> bool:
        return False  # the model does not know the end of what a peer serves

    def rejected(self, fact_id: str) -> bool:
        return False  # it keeps no list of what it refused
