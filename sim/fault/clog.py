"""A clog: parcels wait instead of being lost, and all come at once when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.world.network import Rule
from sim.world.rules import Clog as ClogRule
from sim.world.rules import Per

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab

__all__ = ["Clog"]


class Clog(LinkFault, tag="clog", kw_only=True):
    """What is sent meanwhile is held until the end."""

    def rule(self, lab: Lab, per: Per) -> Rule:
        return ClogRule(f"clog at {self.at}", self.touches())
