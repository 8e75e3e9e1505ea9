"""A clog: packets wait instead of being lost, and all come at once when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.world.rules import Clog as ClogRule

__all__ = ["Clog"]


@kind("clog")
class Clog(LinkFault, kw_only=True):
    """What is sent meanwhile is held until the end."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(ClogRule(f"clog at {self.at}", self.touches()))):
            yield
