"""Little bandwidth for a while: packets queue up on each link and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import Speed
from sim.world.network import Rule
from sim.world.rules import Bandwidth as BandwidthRule
from sim.world.rules import SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Bandwidth"]


class Bandwidth(LinkFault, tag="bandwidth", kw_only=True):
    """A link carries so much per direction: `to = "64kbit/s"`."""

    to: Speed

    def label(self) -> str:
        return "little bandwidth"

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return BandwidthRule(self.to)
