"""Reordering for a while: packets that later ones overtake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import NonNegative, Share, parse_duration
from sim.world.network import Rule
from sim.world.rules import Reordering, SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Reorder"]


class Reorder(LinkFault, tag="reorder", kw_only=True):
    """A `share` of packets takes up to `by` longer."""

    share: Share = 0.2
    by: NonNegative = parse_duration("500ms")

    def label(self) -> str:
        return f"reorders {self.share:.0%}"

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return Reordering(per, self.share, self.by)
