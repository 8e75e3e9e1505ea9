"""Pins: operators store the keys of nodes that they do not peer with, where ids do not certify themselves.

Only in federations of named ids that believe no voucher: there a relayed fact is refused by everybody to whom no
person brought its origin's key (spec/identity.md, 3). Operators meet outside the simulated wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sim.world.clocks import EPOCH_NS
from stigmem.core.wire import JSON_TYPE, Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["KeyPinning"]

_AGAIN_NS: Final = 5_000_000_000


class KeyPinning:
    """Sees to it that every node knows the key of every other."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        federation = simulation.scenario.federation
        self._needed = federation.node_ids == "named" and federation.origin_keys == "pinned" and federation.relay
        self._manifests: dict[str, bytes] = {}
        """Node -> what its operator hands out, from the first time it was seen running."""
        self._busy: dict[tuple[str, str], None] = {}

    def see_to(self, name: str) -> None:
        """Bring a node the keys that it lacks."""
        if not self._needed:
            return
        near = {name, *self._simulation.plan.graph.neighbors(name)}
        for origin in self._simulation.plan.nodes:
            if origin not in near and (origin, name) not in self._busy:
                self._busy[origin, name] = None
                self._bring((origin, name))

    def _bring(self, pair: tuple[str, str]) -> None:
        """Store an origin's manifest on a node; again later, until it is there."""
        simulation, (origin, name) = self._simulation, pair
        manifest, machine = self._manifest(origin), simulation.machines[name]
        if name in simulation.gone or (machine.node is not None and self._is_known(manifest, name)):
            del self._busy[pair]
            return
        if manifest and machine.node is not None and not machine.paused:
            simulation.console(name, Request("PUT", "/v1/federation/manifest", JSON_TYPE, manifest), _ignore)
        simulation.world.after(_AGAIN_NS, self._bring, pair)

    def _manifest(self, origin: str) -> bytes:
        node = self._simulation.machines[origin].node
        if origin not in self._manifests and node is not None:
            now_us = (EPOCH_NS + self._simulation.world.now) // 1_000
            self._manifests[origin] = msgspec.json.encode(node.manifest(now_us))
        return self._manifests.get(origin, b"")

    def _is_known(self, manifest: bytes, name: str) -> bool:
        node = self._simulation.machines[name].node
        if node is None or not manifest:
            return False
        names = msgspec.json.decode(manifest)["entities"]
        rows = [node.state.origins.get(each) for each in names]
        return all(row is not None and row.how == "pinned" for row in rows)


def _ignore(_response: Response) -> None:
    """Whether it worked shows when it is looked at again."""
