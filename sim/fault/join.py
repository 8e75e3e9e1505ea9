"""A newcomer: a node of the plan that is switched on late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation

__all__ = ["Join"]


@kind("join")
class Join(Fault, kw_only=True):
    """The node boots for the first time at `at`."""

    node: str
    """The node that is not there before."""
    momentary = True

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def absent_at_start(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a node that joins stays; to make it go again add a fault of kind 'leave'")

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        env.machine(self.node).join()
        yield
