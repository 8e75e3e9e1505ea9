"""What every workload is: a source of writes that starts with the scenario and stops when the faults end.

A workload is a struct of its table in the scenario file; it schedules its writes as events of the world and
draws from streams of its own. To add one: a file here with a subclass, and a line in the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sim.diagnostics.errors import Misfit
from sim.units import Duration, NonNegative, Positive, format_duration
from stigmem.core.scopes import Scope

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Workload"]


class Workload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Writes between `start` and `stop` (default: the scenario's duration) on `nodes` (default: all)."""

    nodes: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    scope: Scope = "public"
    start: NonNegative = Duration(0)
    stop: Positive | None = None

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the workload does not fit the federation or its file is unusable."""
        duration = plan.scenario.scenario.duration
        if self.start >= duration:
            raise Misfit("start", f"it would start after the end: the scenario lasts {format_duration(duration)}")
        if self.stop is not None and self.stop <= self.start:
            raise Misfit("stop", f"the workload would stop before it starts, at {format_duration(self.start)}")

    def window(self, plan: Plan) -> int:
        """How long it runs, in ns."""
        duration = plan.scenario.scenario.duration
        return min(duration if self.stop is None else self.stop, duration) - self.start

    def on(self, simulation: Simulation) -> list[str]:
        """The nodes it writes on."""
        return self.nodes or list(simulation.plan.nodes)

    def run(self, simulation: Simulation, stream: str) -> None:
        """Schedule the writes; `stream` names this workload's own chance."""
        raise NotImplementedError
