"""A pause: the process stands still while its machine, its disk and the world go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv

__all__ = ["Pause"]


@kind("pause")
class Pause(NodeFault, kw_only=True):
    """Not scheduled until the end, then everything that came meanwhile happens at once. A crash ends it."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.paused() for machine in env.machines(self.node)):
            yield
