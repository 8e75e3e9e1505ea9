"""Updaters: agents that change their minds, each about the same few subjects, so that they supersede themselves and
disagree with each other."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sim.kinds import kind
from sim.naming import topic
from sim.ports import Clients
from sim.units import Rate, parse_rate
from sim.workload.base import Workload

__all__ = ["BELIEVES", "Updaters"]

BELIEVES: Final = "sim:believes"
"""The relation that they write."""


@kind("updaters")
class Updaters(Workload, kw_only=True):
    """Changes of mind at `rate` (Poisson): one of `agents` agents of a node says something else about one of
    `subjects` subjects than it said before. An agent's later word takes the place of its earlier one; agents that
    believe different things are in conflict.

    Agents of one name on several nodes are several authors: with `source` all of them have that name.
    """

    rate: Rate = parse_rate("2/m")
    """Changes of mind per time, over all nodes."""
    agents: Annotated[int, Meta(ge=1)] = 1
    """Agents of each node."""
    subjects: Annotated[int, Meta(ge=1)] = 5
    """What they have opinions about."""
    values: Annotated[int, Meta(ge=2)] = 3
    """How many opinions there are to have about a subject."""
    source: str | None = None
    """The name of every agent; left out, each has its own."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)
        believed: dict[tuple[str, int, int], int] = {}

        def change(_number: int) -> None:
            node, agent, subject = rng.choice(names), rng.randrange(self.agents), rng.randrange(self.subjects)
            before = believed.get((node, agent, subject), rng.randrange(self.values))
            now = believed[node, agent, subject] = (before + 1 + rng.randrange(self.values - 1)) % self.values
            source = self.source or f"agent:{node}-{agent}"
            clients.write(node, topic(subject), BELIEVES, f"opinion {now}", scope=self.scope, source=source)

        clients.poisson(rng, self.rate, self.start, self.stop, change)
