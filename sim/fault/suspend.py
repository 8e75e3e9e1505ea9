"""A suspension: the machine sleeps, and some of its clocks with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.world.clocks import Suspension

__all__ = ["Suspend"]


@kind("suspend")
class Suspend(NodeFault, kw_only=True):
    """Asleep until the end, as a pause; the monotonic clock stands still meanwhile and the wall clock does not. Timers
    that fell due ring when the machine wakes."""

    machine: Literal["physical", "virtual"] = "physical"
    """A physical machine counts in `elapsed_ns` how long it slept; a virtual one that was stopped does not know it, so
    that its right wall clock looks as if it had jumped ahead."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        machines = list(env.machines(self.node))
        asleep = Suspension(virtual=self.machine == "virtual")
        # Left from the inside out: the clocks are right again before what came meanwhile happens.
        with all_of(machine.paused() for machine in machines), all_of(machine.clock(asleep) for machine in machines):
            yield
