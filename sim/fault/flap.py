"""Flapping links: down and up in turn, down first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.fault.links import LinkFault
from sim.units import Positive, parse_duration
from sim.world.network import Rule
from sim.world.rules import Flapping, SenderStreams

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Flap"]


class Flap(LinkFault, tag="flap", kw_only=True):
    """Everything is lost for `down`, passes for `up`, and so on."""

    down: Positive = parse_duration("5s")
    up: Positive = parse_duration("15s")

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        return Flapping(
            f"flap at {self.at}", self.touches(), begin=simulation.world.now, down_ns=self.down, up_ns=self.up
        )
