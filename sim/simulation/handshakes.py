"""The operators: the people who introduce nodes to each other, over the simulated wire.

For every link each side registers at the other, and the other's operator compares the fingerprint and
approves; tried again while a side is off or cut off. Keys of nodes that are no neighbours are
`sim.simulation.key_pinning`'s.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from sim.simulation.key_pinning import KeyPinning
from stigmem.core.declaration import ACTIVE, PENDING
from stigmem.core.keys import fingerprint
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.ports import Unreachable

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Handshakes"]

_AGAIN_NS: Final = 5_000_000_000
_STAGGER_NS: Final = 10_000_000


class Handshakes:
    """Sees to it that every link of the plan is a pair of approved peers."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._busy: dict[tuple[str, str], None] = {}
        self._key_pinning = KeyPinning(simulation)

    def link_everyone(self) -> None:
        """Begin every handshake."""
        for number, (first, second) in enumerate(self._simulation.plan.links):
            for pair in ((first, second), (second, first)):
                self._simulation.world.after(number * _STAGGER_NS, self._introduce_pair, pair)
        for name in self._simulation.plan.nodes:
            self._key_pinning.see_to(name)

    def link(self, name: str) -> None:
        """See to the links of one node, after it booted."""
        for neighbour in self._simulation.plan.graph.neighbors(name):
            self._introduce(name, neighbour)
            self._introduce(neighbour, name)
        self._key_pinning.see_to(name)

    def all_linked(self) -> bool:
        """Whether every link between nodes that stay is a pair of active peers."""
        return not self.unlinked()

    def unlinked(self) -> list[tuple[str, str]]:
        """(newcomer, host) of every link between nodes that stay where the one is no active peer at the other."""
        simulation = self._simulation
        pairs = [(a, b) for link in simulation.plan.links for a, b in (link, link[::-1])]
        return [
            (a, b)
            for a, b in pairs
            if a not in simulation.gone and b not in simulation.gone and not self._is_peer(a, b)
        ]

    def _is_peer(self, name: str, at: str) -> bool:
        """Whether `at` holds `name` as an active peer."""
        newcomer, host = self._simulation.machines[name].node, self._simulation.machines[at].node
        if newcomer is None or host is None:
            return False
        row = host.state.peer_of(newcomer.node_id)
        return row is not None and row.status == ACTIVE

    def _introduce_pair(self, pair: tuple[str, str]) -> None:
        self._introduce(*pair)

    def _introduce(self, name: str, at: str) -> None:
        """Have `name` register at `at` and be approved there; again later if that does not work out."""
        simulation = self._simulation
        if (name, at) in self._busy or name in simulation.gone or at in simulation.gone or self._is_peer(name, at):
            return
        newcomer, host = simulation.machines[name], simulation.machines[at]
        if newcomer.node is None or newcomer.paused:
            simulation.world.after(_AGAIN_NS, lambda _: self._introduce(name, at))
            return
        self._busy[name, at] = None
        newcomer.spawn("register", partial(self._register, newcomer, host))

    async def _register(self, newcomer: Machine, host: Machine) -> None:
        node = newcomer.node
        if node is None:
            return
        try:
            response = await node.handshakes.register_at(
                host.url, scopes=self._simulation.plan.scopes_on(newcomer.name, host.name)
            )
            done = response.status in (201, 409)
        except Unreachable:
            done = False
        finally:
            self._busy.pop((newcomer.name, host.name), None)
        if done:
            self._approve(newcomer, host)
        self._simulation.world.after(_AGAIN_NS, lambda _: self._introduce(newcomer.name, host.name))

    def _approve(self, newcomer: Machine, host: Machine) -> None:
        """The host's operator knows the newcomer's fingerprint from elsewhere."""
        node, there = newcomer.node, host.node
        if node is None or there is None:
            return
        row = there.state.peer_of(node.node_id)
        if row is None or row.status != PENDING:
            return
        body = msgspec.json.encode({"pubkey_fingerprint": fingerprint(node.signer.public_key)})
        request = Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", JSON_TYPE, body)
        self._simulation.console(host.name, request, _ignore)


def _ignore(_response: Response) -> None:
    """Whether it worked shows when the link is looked at again."""
