"""A power cut: the machine is off until the fault ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.world.disk import Fate

__all__ = ["Crash"]


@kind("crash")
class Crash(NodeFault, kw_only=True):
    """Off for `for`, or until the faults end; without a node the whole federation goes dark.

    `fate`: what becomes of a batch that was being written: lost, torn or kept; drawn when not given.
    """

    fate: Fate | None = None
    """What becomes of a batch that was being written: lost, torn or kept; drawn from the seed when left out."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.powered_off(self.fate) for machine in env.machines(self.node)):
            yield
