"""Gapper: its cursor moves over facts that it does not show, and shows them when the victim has long read on.

A page cannot prove that it is whole, so no node can refuse such a page. What a node must do (invariant G7): keep a fact
that comes after its neighbours, however old its stamp is by then, and pass it on to nodes whose cursor here has passed
that stamp as well. A node whose cursors were stamps would lose it twice. There is no S-number for the gap itself; S-37
and S-48 lose facts by the same mistake. While the gap lasts nobody is accused: it looks like a quiet peer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.fact import Fact

__all__ = ["Gapper"]

_ENTITY: Final = "stigmem://sim.example/gap"


@dataclass
class _Hidden:
    """Facts that a victim's cursor has passed and that it has not been shown, each with when it will be."""

    facts: deque[tuple[int, Fact]] = field(default_factory=deque)


@kind("gapper")
class Gapper(Adversary):
    """Of each batch of `facts` every second one is left out while the cursor passes it, and shown after a `wait`,
    the newest first."""

    facts: Annotated[int, Meta(ge=2, le=1_000)] = 10
    """Facts of one batch, shown and left out together."""
    wait: Duration = parse_duration("20s")
    """How much later those that were left out are shown."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        hidden = peer.memory(_Hidden, victim).facts
        ready: list[Fact] = []
        while hidden and hidden[0][0] <= peer.now_ms:
            ready.append(hidden.popleft()[1])
        written = [peer.fact(_ENTITY, "sim:claims", f"{n} of {peer.served}") for n in range(self.facts)]
        hidden.extend((peer.now_ms + self.wait // 1_000_000, fact) for fact in written[::2])
        shown = [*written[1::2], *reversed(ready)]
        for fact in shown:
            peer.expect(victim, fact.id)
        return [peer.entry(fact) for fact in shown]
