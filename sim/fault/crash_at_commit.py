"""A crash at one commit: the power goes exactly before or after a batch became durable.

What a test needs that crashes a node at every commit boundary of a scenario in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from msgspec import Meta

from sim.fault.base import Fault
from sim.kinds import kind
from sim.ports import FaultEnv, Hold
from sim.units import NonNegative, parse_duration
from sim.world.disk import Fate

__all__ = ["CrashAtCommit"]


@kind("crash-at-commit")
class CrashAtCommit(Fault, kw_only=True):
    """Waits for the `commit`-th commit of `node` after `at`, crashes it there and boots it `down` later.

    `when`: before the batch is durable (then `fate` says whether it is lost, torn or kept, or it is drawn), or after,
    when it is durable and nobody was told.
    """

    node: str
    """The node that is struck."""
    commit: Annotated[int, Meta(ge=1)]
    """At which of its commits from `at` on it is struck, counted from 1."""
    when: Literal["before", "after"] = "after"
    """Whether the power goes before the batch is durable, or after, when nobody was told of it yet."""
    fate: Fate | None = None
    """What becomes of a batch that is not durable yet: lost, torn or kept; drawn from the seed when left out."""
    down: NonNegative = parse_duration("1s")
    """How long the machine stays off."""

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def label(self) -> str:
        return f"crash {self.when} commit {self.commit}"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        machine = env.machine(self.node)
        holds: list[Hold] = []

        def strike() -> None:
            hold = machine.hold_off(self.fate)
            holds.append(hold)
            env.after(self.down, hold.release)

        with machine.at_commit(self.commit, self.when, strike):
            yield
        for hold in holds:
            hold.release()
