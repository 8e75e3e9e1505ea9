"""A slow wire: more delay than usual, constant or with a long tail."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sim.diagnostics.errors import Misfit
from sim.fault.links import LinkFault
from sim.units import Positive, format_duration
from sim.world.network import Rule
from sim.world.random_streams import Table, lognormal_table
from sim.world.rules import SenderStreams
from sim.world.rules import Slow as SlowRule

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Slow"]


class _Always:
    """The same delay for every packet."""

    def __init__(self, ns: int) -> None:
        self._ns = ns

    def draw(self, _: Random) -> int:
        return self._ns


class Slow(LinkFault, tag="slow", kw_only=True):
    """Every packet takes `by` longer; with `p99` that is the median of a lognormal distribution."""

    by: Positive
    p99: Positive | None = None

    def label(self) -> str:
        return f"slow by {format_duration(self.by)}"

    def check(self, plan: Plan) -> None:
        super().check(plan)
        if self.p99 is not None and self.p99 <= self.by:
            raise Misfit("p99", f"the 99th percentile must be longer than the median of {format_duration(self.by)}")

    def rule(self, simulation: Simulation, per: SenderStreams) -> Rule:
        by: _Always | Table = _Always(self.by) if self.p99 is None else lognormal_table(self.by, self.p99)
        return SlowRule(f"slow at {self.at}", per, by, self.touches())
