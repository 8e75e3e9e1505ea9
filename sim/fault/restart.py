"""A restart: power off and on again, with what was on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.diagnostics.errors import Misfit
from sim.fault.base import NodeFault
from sim.units import NonNegative, parse_duration
from sim.world.disk import Fate

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Restart"]


class Restart(NodeFault, tag="restart", kw_only=True):
    """Crashes and boots `down` later, by default at the same instant. `fate` as for a crash."""

    down: NonNegative = parse_duration("0s")
    fate: Fate | None = None

    def check(self, plan: Plan) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a restart lasts as long as the machine is down; write down instead of for")

    def span(self) -> int | None:
        return self.down

    def begin(self, simulation: Simulation) -> None:
        for name in self.hit(simulation):
            simulation.power.off(name, self, self.fate)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.power.on(name, self)
