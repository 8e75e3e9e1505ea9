"""Loss for a while, on top of what the network loses all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import Share
from sim.world.network import Rule
from sim.world.rules import Loss as LossRule
from sim.world.rules import SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Loss"]


class Loss(LinkFault, tag="loss", kw_only=True):
    """A `share` of packets is lost."""

    share: Share = 0.2

    def label(self) -> str:
        return f"loss {self.share:.0%}"

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return LossRule(per, self.share)
