"""Samples of a run at regular instants, for the curves: what is everywhere, what is open, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sim.lab import Lab

__all__ = ["Sample", "Sampler"]

_SAMPLES: Final = 400


class Sample(NamedTuple):
    """The federation at one instant. `open_conflicts`: the most that any node sees."""

    at_ns: int
    facts: int
    everywhere: int
    missing: int
    open_conflicts: int
    up: int
    deferred: int


class Sampler:
    """Takes about 400 samples of a run."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.samples: list[Sample] = []

    def schedule(self) -> None:
        """Begin sampling."""
        self._take(max(self._lab.deadline // _SAMPLES, 1_000_000))

    def _take(self, period: int) -> None:
        self.take()
        self._lab.world.after(period, self._take, period)

    def take(self) -> None:
        """One sample, now."""
        lab = self._lab
        nodes = [machine.node for machine in lab.machines.values() if machine.node is not None]
        self.samples.append(
            Sample(
                lab.world.now,
                len(lab.measure.facts),
                lab.measure.everywhere,
                lab.measure.missing,
                max((len(node.state.ledger.contested) for node in nodes), default=0),
                len(nodes),
                sum(len(node.state.deferred) for node in nodes),
            )
        )
