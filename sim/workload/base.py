"""What every workload is: a source of writes that starts with the scenario and stops when the faults end.

A workload is a struct of its table in the scenario file; it schedules its writes as events of the world and
draws from a stream of its own. To add one: a file here with a subclass, and a line in the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sim.units import Duration

if TYPE_CHECKING:
    from sim.lab import Lab
    from sim.plan import Plan

__all__ = ["Workload"]


class Workload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Writes between `start` and `stop` (default: the scenario's duration) on `nodes` (default: all)."""

    nodes: list[str] | None = None
    scope: str = "public"
    start: Duration = Duration(0)
    stop: Duration | None = None

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the workload does not fit the federation or its file is unusable."""

    def run(self, lab: Lab, stream: str) -> None:
        """Schedule the writes; `stream` names this workload's own chance."""
        raise NotImplementedError
