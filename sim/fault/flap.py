"""Flapping links: down and up in turn, down first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.units import Positive, parse_duration
from sim.world.rules import Flapping

__all__ = ["Flap"]


@kind("flap")
class Flap(LinkFault, kw_only=True):
    """Everything is lost for `down`, passes for `up`, and so on."""

    down: Positive = parse_duration("5s")
    """How long everything is lost."""
    up: Positive = parse_duration("15s")
    """How long everything passes in between."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        rule = Flapping(f"flap at {self.at}", self.touches(), begin=env.now_ns, down_ns=self.down, up_ns=self.up)
        with env.network.rule(self.only_here(rule)):
            yield
