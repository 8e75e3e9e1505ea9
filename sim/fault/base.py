"""What every fault is: when it begins, how long it lasts, what it does to the simulation and how it undoes it.

A fault is a struct of its table in the scenario file with two verbs; what it must remember while it lasts is kept
by the simulation, so that one scenario can run many times. To add one: a file here with a subclass, and a line in
`sim/fault/__init__.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sim.units import Duration

if TYPE_CHECKING:
    from sim.scenario.plan import Plan
    from sim.simulation.simulation import Simulation

__all__ = ["Fault", "NodeFault"]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A fault between `at` and `at + for`; without `for` it lasts until the faults end, or is over at once."""

    at: Duration
    lasts: Duration | None = msgspec.field(default=None, name="for")

    momentary = False
    """Whether the fault is an instant (a step, a crash): then `for` makes it undo itself."""

    def label(self) -> str:
        """A few words for reports and figures."""
        return str(self.__struct_config__.tag)

    def nodes(self) -> tuple[str, ...]:
        """The nodes it names; each must exist."""
        return ()

    def boots_later(self) -> tuple[str, ...]:
        """Nodes that are not there from the start."""
        return ()

    def leaves(self) -> tuple[str, ...]:
        """Nodes that are gone for good afterwards."""
        return ()

    def span(self) -> int | None:
        """How long it lasts, in ns; None is until the faults end, or no time at all when it is momentary."""
        return self.lasts

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the fault does not fit the federation."""

    def begin(self, simulation: Simulation) -> None:
        """Make the trouble."""
        raise NotImplementedError

    def end(self, simulation: Simulation) -> None:
        """Undo it; called once, at its end or when all faults end."""
        raise NotImplementedError


class NodeFault(Fault):
    """A fault of one node, or of every node when none is named."""

    node: str | None = None

    def nodes(self) -> tuple[str, ...]:
        return () if self.node is None else (self.node,)

    def hit(self, simulation: Simulation) -> tuple[str, ...]:
        """The nodes it strikes: the one it names, or all that have not left."""
        if self.node is not None:
            return (self.node,)
        return tuple(name for name in simulation.plan.nodes if name not in simulation.gone)
