"""A restart: power off and on again, with what was on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.diagnostics.errors import Misfit
from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.units import NonNegative, parse_duration
from sim.world.disk import Fate

__all__ = ["Restart"]


@kind("restart")
class Restart(NodeFault, kw_only=True):
    """Crashes and boots `down` later, by default at the same instant. `fate` as for a crash."""

    down: NonNegative = parse_duration("0s")
    """How long the machine stays off."""
    fate: Fate | None = None
    """What becomes of a batch that was being written: lost, torn or kept; drawn from the seed when left out."""

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a restart lasts as long as the machine is down; write down instead of for")

    def span(self) -> int | None:
        return self.down

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.powered_off(self.fate) for machine in env.machines(self.node)):
            yield
