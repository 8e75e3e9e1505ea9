"""Random partitions: the federation falls into two parts again and again, at instants and along lines that are drawn.

One cut at a time: after each there is calm for a while, in which what was missed can be caught up with. Whoever wants
several at once writes the fault several times, with names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.units import NonNegative, Positive, Share, parse_duration
from sim.world.rules import Cut

__all__ = ["RandomPartitions"]


@kind("random-partitions")
class RandomPartitions(Fault, kw_only=True):
    """Cuts between two parts that are drawn, each `cut` long on average, and as long as `calm` in between.

    Lengths are drawn from an exponential distribution, and none is shorter than its `least`.
    """

    cut: Positive = parse_duration("10s")
    """How long a cut lasts on average."""
    calm: Positive = parse_duration("20s")
    """How long nothing is cut on average, between two cuts and before the first."""
    least: NonNegative = parse_duration("1s")
    """How long each cut, and the calm after each, lasts at least."""
    one_way: Share = 0.0
    """Which part of the cuts lose only what goes from the one part to the other."""

    def label(self) -> str:
        return "random partitions"

    def check(self, federation: Federation) -> None:
        if not federation.links:
            raise Misfit("kind", "no two nodes are linked here, so there is nothing to cut")

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        rng = env.rng()
        cuts: list[AbstractContextManager[None]] = []
        is_over = False

        def begin() -> None:
            if not is_over:
                pairs = _apart(rng, env.federation, is_one_way=rng.random() < self.one_way)
                guard = env.network.rule(Cut(f"random partition at {env.now_ns}", pairs))
                guard.__enter__()
                cuts.append(guard)
                env.after(self._drawn(rng, self.cut), end)

        def end() -> None:
            if not is_over:
                cuts.pop().__exit__(None, None, None)
                env.after(self._drawn(rng, self.calm), begin)

        env.after(self._drawn(rng, self.calm), begin)
        yield
        is_over = True
        for guard in cuts:
            guard.__exit__(None, None, None)

    def _drawn(self, rng: Random, mean_ns: int) -> int:
        return max(int(self.least), round(rng.expovariate(1.0 / mean_ns)))


def _apart(rng: Random, federation: Federation, *, is_one_way: bool) -> frozenset[tuple[str, str]]:
    """Ordered pairs on both sides of a line that separates the ends of a link that is drawn."""
    first, second = federation.links[rng.randrange(len(federation.links))]
    if rng.random() < 0.5:
        first, second = second, first
    here = {name: name == first or (name != second and rng.random() < 0.5) for name in federation.nodes}
    pairs = ((a, b) for a in federation.nodes for b in federation.nodes if here[a] != here[b])
    return frozenset((a, b) for a, b in pairs if here[a] or not is_one_way)
