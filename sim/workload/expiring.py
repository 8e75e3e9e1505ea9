"""Facts that expire: each is true for a while, by the clock of the node that writes it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sim.kinds import kind
from sim.ports import Clients
from sim.units import Positive, Rate, parse_duration, parse_rate
from sim.workload.base import Workload
from stigmem.core.timestamps import format_us

__all__ = ["Expiring"]


@kind("expiring")
class Expiring(Workload, kw_only=True):
    """Writes at `rate` over all nodes about `entities` subjects, valid for `life` on the node's own clock."""

    rate: Rate = parse_rate("1/m")
    """Writes per time over all nodes."""
    life: Positive = parse_duration("1m")
    """How long each fact is valid, on the clock of the node that writes it."""
    entities: Annotated[int, Meta(ge=1)] = 20
    """How many subjects there are."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)

        def write(number: int) -> None:
            name = names[rng.randrange(len(names))]
            entity = f"stigmem://sim.example/offer/{rng.randrange(self.entities)}"
            until_us = (clients.wall_ns(name) + self.life) // 1_000
            clients.write(
                name, entity, "sim:offers", f"offer {number}", scope=self.scope, valid_until=format_us(until_us)
            )

        clients.poisson(rng, self.rate, self.start, self.stop, write)
