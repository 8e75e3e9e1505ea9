"""Reordering for a while: packets that later ones overtake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import NonNegative, Share, parse_duration
from sim.world.rules import Reordering

__all__ = ["Reorder"]


@kind("reorder")
class Reorder(LinkFault, kw_only=True):
    """A `share` of packets takes up to `by` longer."""

    share: Share = 0.2
    """Which part of the packets takes longer."""
    by: NonNegative = parse_duration("500ms")
    """How much longer at most."""

    def label(self) -> str:
        return f"reorders {self.share:.0%}"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(Reordering(env.pair_streams(), self.share, self.by))):
            yield
