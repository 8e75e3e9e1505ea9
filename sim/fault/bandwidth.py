"""Little bandwidth for a while: packets queue up on each link and direction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import Speed
from sim.world.rules import Bandwidth as BandwidthRule

__all__ = ["Bandwidth"]


@kind("bandwidth")
class Bandwidth(LinkFault, kw_only=True):
    """A link carries so much per direction: `to = "64kbit/s"`."""

    to: Speed
    """What a link carries in each direction; the rest queues up."""

    def label(self) -> str:
        return "little bandwidth"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(BandwidthRule(self.to))):
            yield
