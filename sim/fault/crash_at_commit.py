"""A crash at one commit: the power goes exactly before or after a batch became durable.

What a test needs that crashes a node at every commit boundary of a scenario in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from sim.fault.base import Fault
from sim.units import NonNegative, parse_duration
from sim.world.disk import Fate

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import CommitHook

__all__ = ["CrashAtCommit"]


class CrashAtCommit(Fault, tag="crash-at-commit", kw_only=True):
    """Waits for the `commit`-th commit of `node` after `at`, crashes it there and boots it `down` later.

    `when`: before the batch is durable (then `fate` says whether it is lost, torn or kept, or it is drawn), or after,
    when it is durable and nobody was told.
    """

    node: str
    commit: Annotated[int, Meta(ge=1)]
    when: Literal["before", "after"] = "after"
    fate: Fate | None = None
    down: NonNegative = parse_duration("1s")

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def label(self) -> str:
        return f"crash {self.when} commit {self.commit}"

    def begin(self, simulation: Simulation) -> None:
        hook = self._hook(simulation, simulation.machines[self.node].commits + self.commit)
        simulation.machines[self.node].at_commit[id(self)] = hook

    def _hook(self, simulation: Simulation, wanted: int) -> CommitHook:
        def strike(_: object) -> None:
            simulation.power.off(self.node, self, self.fate)
            simulation.world.after(self.down, lambda _: simulation.power.on(self.node, self))

        def reached(number: int, durable: bool) -> None:  # noqa: FBT001  # the shape of a hook
            if number == wanted and durable == (self.when == "after"):
                del simulation.machines[self.node].at_commit[id(self)]
                if durable:
                    strike(None)
                else:  # the writer's own task is running: the power goes as the next event of this instant
                    simulation.world.at(simulation.world.now, strike)

        return reached

    def end(self, simulation: Simulation) -> None:
        simulation.machines[self.node].at_commit.pop(id(self), None)
        simulation.power.on(self.node, self)
