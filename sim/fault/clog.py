"""A clog: packets wait instead of being lost, and all come at once when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.world.network import Rule
from sim.world.rules import Clog as ClogRule
from sim.world.rules import SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Clog"]


class Clog(LinkFault, tag="clog", kw_only=True):
    """What is sent meanwhile is held until the end."""

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return ClogRule(f"clog at {self.at}", self.touches())
