"""Random crashes: machines lose power again and again, at instants that the seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta

from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv, Hold
from sim.units import NonNegative, Rate, parse_duration, parse_rate

__all__ = ["RandomCrashes"]


@kind("random-crashes")
class RandomCrashes(Fault, kw_only=True):
    """Crashes at `rate` over all of `among` (default: every node), each `down` long; who is off already is spared."""

    rate: Rate = parse_rate("1/m")
    """How often a machine is struck, over all of them together."""
    down: NonNegative = parse_duration("10s")
    """How long a machine stays off."""
    among: Annotated[list[str], Meta(min_length=1)] | None = None
    """The nodes that may be struck; left out, every node."""

    def label(self) -> str:
        return "random crashes"

    def nodes(self) -> tuple[str, ...]:
        return tuple(self.among or ())

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        rng = env.rng()
        names = self.among or env.federation.nodes
        holds: dict[str, Hold] = {}
        is_over = False

        def strike() -> None:
            machine = env.machine(names[rng.randrange(len(names))])
            if machine.is_up and not is_over:
                hold = holds[machine.name] = machine.hold_off()
                env.after(self.down, hold.release)

        env.every_poisson(rng, self.rate, strike)
        yield
        is_over = True
        for name in env.federation.nodes:
            if name in holds:
                holds[name].release()
