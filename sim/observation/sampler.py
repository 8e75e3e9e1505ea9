"""Samples of a run at regular instants, for the curves: what is everywhere, what is open, what is missing.

Looking only: a sample draws nothing, changes nothing and leaves no trace, so that a run with other sampling
instants is the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Sample", "Sampler"]

_SAMPLES: Final = 400


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
    """Takes about 400 samples of a run."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.samples: list[Sample] = []

    def schedule(self) -> None:
        """Begin sampling."""
        self._take(max(self._simulation.deadline // _SAMPLES, 1_000_000))

    def _take(self, period: int) -> None:
        self.take()
        self._simulation.world.after(period, self._take, period)

    def take(self) -> None:
        """One sample, now; of two at the same instant the later stands."""
        simulation = self._simulation
        if self.samples and self.samples[-1].at_ns == simulation.world.now:
            del self.samples[-1]
        nodes = [machine.node for machine in simulation.machines.values() if machine.node is not None]
        contested = [len(node.state.ledger.contested) for node in nodes]
        self.samples.append(
            Sample(
                simulation.world.now,
                len(simulation.visibility.facts),
                simulation.visibility.everywhere,
                simulation.visibility.missing,
                max(contested, default=0),
                len(nodes),
                sum(len(node.state.deferred) for node in nodes),
                min(contested, default=0),
            )
        )
