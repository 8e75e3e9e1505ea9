"""A slow wire: more delay than usual, constant or with a long tail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from sim.diagnostics.errors import Misfit
from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.units import Positive, format_duration
from sim.world.random_streams import Table, lognormal_table
from sim.world.rules import Slow as SlowRule

__all__ = ["Slow"]


class _Always:
    """The same delay for every packet."""

    def __init__(self, ns: int) -> None:
        self._ns = ns

    def draw(self, _: Random) -> int:
        return self._ns


@kind("slow")
class Slow(LinkFault, kw_only=True):
    """Every packet takes `by` longer; with `p99` that is the median of a lognormal distribution."""

    by: Positive
    """How much longer each packet takes; with `p99` the median of that."""
    p99: Positive | None = None
    """The 99th percentile of the delay; left out, the delay is always the same."""

    def label(self) -> str:
        return f"slow by {format_duration(self.by)}"

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.p99 is not None and self.p99 <= self.by:
            raise Misfit("p99", f"the 99th percentile must be longer than the median of {format_duration(self.by)}")

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        by: _Always | Table = _Always(self.by) if self.p99 is None else lognormal_table(self.by, self.p99)
        with env.network.rule(self.only_here(SlowRule(f"slow at {self.at}", env.pair_streams(), by, self.touches()))):
            yield
