"""Churn: nodes go and come back all the time, as machines do that nobody keeps running.

Unlike random crashes they are away for lengths that are drawn, some come back without their disk, and so many stay
that the federation is never empty.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated

from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.fault.base import Fault, strikes_at_random
from sim.kinds import kind
from sim.ports import FaultEnv, Hold, MachineControl
from sim.topology.federation import Federation
from sim.units import Positive, Rate, Share, parse_duration, parse_rate

__all__ = ["Churn"]


@kind("churn")
class Churn(Fault, kw_only=True):
    """Nodes go at `rate` over all of `among` (default: every node), and come back after `away` on average.

    A node that would leave fewer than `stay` behind does not go.
    """

    rate: Rate = parse_rate("2/m")
    """How often a node goes, over all of them together."""
    away: Positive = parse_duration("20s")
    """How long a node is away on average; lengths are drawn from an exponential distribution."""
    empty: Share = 0.0
    """Which part of them comes back with an empty disk."""
    stay: Annotated[int, Meta(ge=0)] = 1
    """How many nodes are always there, at least."""
    among: Annotated[list[str], Meta(min_length=1)] | None = None
    """The nodes that may go; left out, every node."""

    def nodes(self) -> tuple[str, ...]:
        return tuple(self.among or ())

    def check(self, federation: Federation) -> None:
        if self.stay >= len(federation.nodes):
            raise Misfit("stay", f"with {len(federation.nodes)} nodes of which {self.stay} stay, none would ever go")

    def inject(self, env: FaultEnv) -> AbstractContextManager[None]:
        rng = env.rng()

        def go(machine: MachineControl) -> Hold | None:
            away_ns, is_emptied = round(rng.expovariate(1.0 / self.away)), rng.random() < self.empty
            if not machine.is_up or _up(env) <= self.stay:
                return None
            hold = machine.hold_off()
            if is_emptied:
                machine.wipe()
            env.after(away_ns, hold.release)
            return hold

        return strikes_at_random(env, rng, self.rate, self.among, go)


def _up(env: FaultEnv) -> int:
    machines: list[MachineControl] = list(env.machines())
    return sum(machine.is_up for machine in machines)
