"""Random crashes: machines lose power again and again, at instants that the seed decides."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated

from msgspec import Meta

from sim.fault.base import Fault, strikes_at_random
from sim.kinds import kind
from sim.ports import FaultEnv, Hold, MachineControl
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

    def inject(self, env: FaultEnv) -> AbstractContextManager[None]:
        def crash(machine: MachineControl) -> Hold | None:
            if not machine.is_up:
                return None
            hold = machine.hold_off()
            env.after(self.down, hold.release)
            return hold

        return strikes_at_random(env, env.rng(), self.rate, self.among, crash)
