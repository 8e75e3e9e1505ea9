"""Random crashes: machines lose power again and again, at instants that the seed decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from sim.fault.base import Fault
from sim.units import NonNegative, Rate, parse_duration, parse_rate

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["RandomCrashes"]


class RandomCrashes(Fault, tag="random-crashes", kw_only=True):
    """Crashes at `rate` over all of `among` (default: every node), each `down` long; who is off already is spared."""

    rate: Rate = parse_rate("1/m")
    down: NonNegative = parse_duration("10s")
    among: Annotated[list[str], Meta(min_length=1)] | None = None

    def label(self) -> str:
        return "random crashes"

    def nodes(self) -> tuple[str, ...]:
        return tuple(self.among or ())

    def begin(self, simulation: Simulation) -> None:
        rng = simulation.random(simulation.stream_of(self))
        names = self.among or list(simulation.plan.nodes)

        def strike(_: int) -> None:
            name = names[rng.randrange(len(names))]
            if simulation.is_active(self) and simulation.machines[name].up:
                simulation.power.off(name, self)
                simulation.world.after(self.down, lambda _: simulation.power.on(name, self))

        simulation.poisson(rng, self.rate, simulation.world.now, None, strike)

    def end(self, simulation: Simulation) -> None:
        for name in simulation.plan.nodes:
            simulation.power.on(name, self)
