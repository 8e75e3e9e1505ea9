"""What every workload is: a source of writes that starts with the scenario and stops when the faults end.

A workload is a struct: its fields are the keys of its table in the scenario file, and one value is used by any number
of runs, so that it remembers nothing. `run` is called once, at the first instant of a run, and schedules what is to be
written; what it may touch is `sim.ports.Clients`. Whatever it draws comes from streams of its own, so that adding a
workload moves nobody else's dice. After `clients.end_of(self.stop)` it writes nothing.

To add a kind: a file in this package (or a module of your own, see `sim.kinds`) with a subclass under `@kind("name")`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from sim.diagnostics.errors import Misfit
from sim.naming import PartName
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import Duration, NonNegative, Positive, format_duration
from stigmem.core.scopes import Scope

__all__ = ["Workload"]


class Workload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Writes between `start` and `stop` (default: the scenario's duration) on `nodes` (default: all)."""

    sort = "workload"

    name: PartName | None = None
    """What sweeps call it, and what its chance is named by."""
    nodes: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    """The nodes that it writes on; left out, all of them."""
    scope: Scope = "public"
    """The scope of what it writes."""
    start: NonNegative = Duration(0)
    """When it begins, counted from the start of the run."""
    stop: Positive | None = None
    """When it ends; left out, with the faults."""

    def purpose(self) -> str:
        """What its chance is named by: its `name`, or its kind, scope and nodes. Not when or how much it writes."""
        return self.name or " ".join([str(self.__struct_config__.tag), self.scope, *(self.nodes or ())])

    def check(self, federation: Federation) -> None:
        """Raises Misfit when the workload does not fit the federation or its file is unusable."""
        duration = federation.duration_ns
        if self.start >= duration:
            raise Misfit("start", f"it would start after the end: the scenario lasts {format_duration(duration)}")
        if self.stop is not None and self.stop <= self.start:
            raise Misfit("stop", f"the workload would stop before it starts, at {format_duration(self.start)}")

    def window(self, federation: Federation) -> int:
        """How long it runs, in ns."""
        duration = federation.duration_ns
        return min(duration if self.stop is None else self.stop, duration) - self.start

    def on(self, clients: Clients) -> list[str]:
        """The nodes it writes on."""
        return self.nodes or list(clients.nodes)

    def run(self, clients: Clients) -> None:
        """Schedule the writes."""
        raise NotImplementedError
