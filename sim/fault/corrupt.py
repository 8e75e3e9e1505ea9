"""Corruption for a while: packets that arrive with some bits flipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import Share
from sim.world.rules import Corruption

__all__ = ["Corrupt"]


@kind("corrupt")
class Corrupt(LinkFault, kw_only=True):
    """A `share` of packets is damaged, as by a wire without checksums."""

    share: Share = 0.05
    """Which part of the packets arrives with some bits flipped."""

    def label(self) -> str:
        return f"corrupts {self.share:.0%}"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(Corruption(env.pair_streams(), self.share))):
            yield
