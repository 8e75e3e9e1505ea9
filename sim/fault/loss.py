"""Loss for a while, on top of what the network loses all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import Share
from sim.world.rules import Loss as LossRule

__all__ = ["Loss"]


@kind("loss")
class Loss(LinkFault, kw_only=True):
    """A `share` of packets is lost."""

    share: Share = 0.2
    """Which part of the packets is lost, on top of what the network loses all the time."""

    def label(self) -> str:
        return f"loss {self.share:.0%}"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(LossRule(env.pair_streams(), self.share))):
            yield
