"""Pins: operators store the keys of nodes that they do not peer with, where ids do not certify themselves.

Only in federations of named ids that believe no voucher: there a relayed fact is refused by everybody to whom no
person brought its origin's key (spec/identity.md, 3). Operators meet outside the simulated wire.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from sim.topology.federation import Federation
from sim.world.clocks import EPOCH_NS
from sim.world.machine import Machine
from sim.world.world import World
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["KeyPinning"]

_AGAIN_NS: Final = 5_000_000_000


class KeyPinning:
    """Sees to it that every node knows the key of every other."""

    def __init__(
        self,
        federation: Federation,
        machines: Mapping[str, Machine],
        gone: Container[str],
        *,
        world: World,
        is_needed: bool,
    ) -> None:
        """`is_needed`: whether keys are pinned in this federation at all; otherwise nothing here does anything."""
        self._federation = federation
        self._machines = machines
        self._gone = gone
        self._world = world
        self._is_needed = is_needed
        self._manifests: dict[str, bytes] = {}
        """Node -> what its operator hands out, from the first time it was seen running."""
        self._busy: dict[tuple[str, str], None] = {}

    def see_to(self, name: str) -> None:
        """Bring a node the keys that it lacks."""
        if not self._is_needed:
            return
        near = {name, *self._federation.neighbours(name)}
        for origin in self._federation.nodes:
            if origin not in near and (origin, name) not in self._busy:
                self._busy[origin, name] = None
                self._bring((origin, name))

    def _bring(self, pair: tuple[str, str]) -> None:
        """Store an origin's manifest on a node; again later, until it is there."""
        origin, name = pair
        manifest, machine = self._manifest(origin), self._machines[name]
        if name in self._gone or (machine.node is not None and self._is_known(manifest, name)):
            del self._busy[pair]
            return
        if manifest and machine.node is not None and not machine.paused:
            machine.console(Request("PUT", "/v1/federation/manifest", JSON_TYPE, manifest), _ignore)
        self._world.after(_AGAIN_NS, self._bring, pair)

    def _manifest(self, origin: str) -> bytes:
        node = self._machines[origin].node
        if origin not in self._manifests and node is not None:
            now_us = (EPOCH_NS + self._world.now) // 1_000
            self._manifests[origin] = msgspec.json.encode(node.identity.manifest(now_us))
        return self._manifests.get(origin, b"")

    def _is_known(self, manifest: bytes, name: str) -> bool:
        node = self._machines[name].node
        if node is None or not manifest:
            return False
        names = msgspec.json.decode(manifest)["entities"]
        rows = [node.state.origins.get(each) for each in names]
        return all(row is not None and row.how == "pinned" for row in rows)


def _ignore(_response: Response) -> None:
    """Whether it worked shows when it is looked at again."""
