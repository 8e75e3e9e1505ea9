"""Samples of a run at regular instants, for the curves: what is everywhere, what is open, what is missing.

Looking only: a sample draws nothing, changes nothing and leaves no trace, so that a run with other sampling
instants is the same run. When samples are taken is decided by `sim.simulation.simulation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sim.observation.node_view import NodeView
from sim.observation.visibility import Visibility

__all__ = ["SAMPLES", "Sample", "Sampler"]

SAMPLES: Final = 400
"""About so many are taken of a run: enough for a curve as wide as a page, and few enough for the longest run."""


class Sample(NamedTuple):
    """The federation at one instant. `open_conflicts` is the most that any running node sees,
    `open_conflicts_least` the fewest; `missing` counts (fact, node) pairs."""

    at_ns: int
    facts: int
    everywhere: int
    missing: int
    open_conflicts: int
    up: int
    deferred: int
    open_conflicts_least: int


class Sampler:
    """Takes the samples of a run, and keeps them."""

    def __init__(
        self, now_ns: Callable[[], int], visibility: Visibility, nodes: Callable[[], Mapping[str, NodeView]]
    ) -> None:
        """`nodes` gives the nodes that run at the moment, by name."""
        self._now_ns = now_ns
        self._visibility = visibility
        self._nodes = nodes
        self.samples: list[Sample] = []

    def take(self) -> None:
        """One sample, now; of two at the same instant the later stands."""
        now_ns, seen = self._now_ns(), self._visibility
        if self.samples and self.samples[-1].at_ns == now_ns:
            del self.samples[-1]
        views = list(self._nodes().values())
        contested = [len(view.ledger.contested) for view in views]
        self.samples.append(
            Sample(
                at_ns=now_ns,
                facts=len(seen.facts),
                everywhere=seen.everywhere,
                missing=seen.missing,
                open_conflicts=max(contested, default=0),
                up=len(views),
                deferred=sum(len(view.deferred) for view in views),
                open_conflicts_least=min(contested, default=0),
            )
        )
