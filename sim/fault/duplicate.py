"""Duplication for a while: packets that arrive twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import NonNegative, Share, parse_duration
from sim.world.network import Rule
from sim.world.rules import Duplication, SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Duplicate"]


class Duplicate(LinkFault, tag="duplicate", kw_only=True):
    """A `share` of packets arrives twice, the copy up to `within` later."""

    share: Share = 0.2
    within: NonNegative = parse_duration("500ms")

    def label(self) -> str:
        return f"duplicates {self.share:.0%}"

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return Duplication(per, self.share, self.within)
