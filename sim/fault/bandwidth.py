"""Little bandwidth for a while: parcels queue up on each link and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.network import Rule
from sim.rules import Bandwidth as BandwidthRule
from sim.rules import Per
from sim.units import Speed

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["Bandwidth"]


class Bandwidth(LinkFault, tag="bandwidth", kw_only=True):
    """A link carries so much per direction: `to = "64kbit/s"`."""

    to: Speed

    def label(self) -> str:
        return "little bandwidth"

    def rule(self, lab: Lab, per: Per) -> Rule:
        return BandwidthRule(self.to)
