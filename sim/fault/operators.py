"""Operators who take an approval back, or give none because they compare a wrong fingerprint.

Whom a node takes for a peer is decided by people, and each direction of a link has its own: `node` is the node whose
operator acts, `peer` the one whose approval it is. What the peer's own operator has approved stays as it is: the peer
goes on to be read there, and is turned away here. The people themselves are `sim.simulation.handshakes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation

__all__ = ["OperatorFault", "Revoke", "WrongFingerprint"]


class OperatorFault(Fault):
    """The operator of `node` decides otherwise about its peer `peer`, until the end."""

    node: str
    """The node whose operator acts."""
    peer: str
    """The peer whose approval it is."""

    def nodes(self) -> tuple[str, ...]:
        return (self.node, self.peer)

    def check(self, federation: Federation) -> None:
        if self.node == self.peer:
            raise Misfit("peer", "a node is no peer of its own; name one of its neighbours")
        links = {frozenset(link) for link in federation.links}
        if {self.node, self.peer} <= set(federation.nodes) and frozenset((self.node, self.peer)) not in links:
            raise Misfit(
                "peer", f"{self.node!r} and {self.peer!r} are not linked here, so there is nothing to take back"
            )


@kind("revoke")
class Revoke(OperatorFault, kw_only=True):
    """The operator of `node` revokes its peer `peer`; at the end the peer registers anew and is approved.

    Meanwhile `node` neither serves the peer nor reads it. What others relay comes all the same.
    """

    def label(self) -> str:
        return "revoked peer"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.operators.revoked(self.peer, self.node):
            yield


@kind("wrong-fingerprint")
class WrongFingerprint(OperatorFault, kw_only=True):
    """The operator of `node` has a wrong fingerprint of `peer`, and is asked to approve it all the same.

    A peer that is approved already is revoked first, and registers anew. It stays pending, and every attempt is
    refused, until the end; then the operator has the right fingerprint.
    """

    def label(self) -> str:
        return "wrong fingerprint"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.operators.mistaken(self.peer, self.node):
            yield
