"""Corruption for a while: parcels that arrive with some bits flipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.base import Share
from sim.fault.links import LinkFault
from sim.world.network import Rule
from sim.world.rules import Corruption, Per

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab

__all__ = ["Corrupt"]


class Corrupt(LinkFault, tag="corrupt", kw_only=True):
    """A `share` of parcels is damaged, as by a wire without checksums."""

    share: Share = 0.05

    def label(self) -> str:
        return f"corrupts {self.share:.0%}"

    def rule(self, lab: Lab, per: Per) -> Rule:
        return Corruption(per, self.share)
