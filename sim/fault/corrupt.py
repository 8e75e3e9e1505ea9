"""Corruption for a while: packets that arrive with some bits flipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import Share
from sim.world.network import Rule
from sim.world.rules import Corruption, SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Corrupt"]


class Corrupt(LinkFault, tag="corrupt", kw_only=True):
    """A `share` of packets is damaged, as by a wire without checksums."""

    share: Share = 0.05

    def label(self) -> str:
        return f"corrupts {self.share:.0%}"

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return Corruption(per, self.share)
