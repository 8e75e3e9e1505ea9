"""A wipe: the disk is lost and the machine comes back empty, with its old name and key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.units import NonNegative, parse_duration

__all__ = ["Wipe"]


@kind("wipe")
class Wipe(Fault, kw_only=True):
    """Crashes, loses everything and boots `down` later; the operators introduce it to its peers again."""

    node: str
    """The node that loses its disk."""
    down: NonNegative = parse_duration("0s")
    """How long the machine stays off."""

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a wiped machine is back after its time down; write down instead of for")

    def span(self) -> int | None:
        return self.down

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        machine = env.machine(self.node)
        with machine.powered_off():
            machine.wipe()
            yield
