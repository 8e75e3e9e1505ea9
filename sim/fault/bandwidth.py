"""Little bandwidth for a while: parcels queue up on each link and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import Speed
from sim.world.network import Rule
from sim.world.rules import Bandwidth as BandwidthRule
from sim.world.rules import Per

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab

__all__ = ["Bandwidth"]


class Bandwidth(LinkFault, tag="bandwidth", kw_only=True):
    """A link carries so much per direction: `to = "64kbit/s"`."""

    to: Speed

    def label(self) -> str:
        return "little bandwidth"

    def rule(self, lab: Lab, per: Per) -> Rule:
        return BandwidthRule(self.to)
