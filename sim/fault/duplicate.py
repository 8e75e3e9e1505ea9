"""Duplication for a while: packets that arrive twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import NonNegative, Share, parse_duration
from sim.world.rules import Duplication

__all__ = ["Duplicate"]


@kind("duplicate")
class Duplicate(LinkFault, kw_only=True):
    """A `share` of packets arrives twice, the copy up to `within` later."""

    share: Share = 0.2
    """Which part of the packets arrives twice."""
    within: NonNegative = parse_duration("500ms")
    """How much later the copy comes at most."""

    def label(self) -> str:
        return f"duplicates {self.share:.0%}"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(Duplication(env.pair_streams(), self.share, self.within))):
            yield
