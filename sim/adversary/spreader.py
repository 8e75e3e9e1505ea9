"""Spreader: an approved peer that pours out facts about ever other things, each well-formed and about something new.

None of them is bad, none contradicts another, and all of them would be kept for good: what a reader can do is to take
them slowly. With a quota (`[federation] quota`) a victim takes no more than it in each window, asks for the rest when
the next one begins, and nobody else's facts come later for it. Unlike most adversaries this one serves by cursor, as an
honest peer does, so that what waits is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import parse_qs

from msgspec import Meta

from sim.adversary.base import Adversary, limit_of
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.wire import Request, Response

__all__ = ["Spread", "Spreader"]

_ENTITY: Final = "stigmem://sim.example/spread"


@dataclass
class Spread:
    """What a victim is served, in order."""

    entries: list[PageEntry] = field(default_factory=list)


@kind("spreader")
class Spreader(Adversary):
    """`facts` about `entities` different things, each with a value of `chars` characters, served in order from its
    first answer on; nothing afterwards."""

    facts: Annotated[int, Meta(ge=1, le=100_000)] = 500
    """Facts in all, for each victim."""
    entities: Annotated[int, Meta(ge=1, le=100_000)] = 500
    """Different things that they are about."""
    chars: Annotated[int, Meta(ge=1, le=65_536)] = 100
    """Characters of each value."""

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        served = peer.memory(Spread, victim).entries
        if not served:
            served.extend(self._written(peer, victim))
        cursor = parse_qs(request.target.partition("?")[2]).get("cursor", [""])[0]
        number = cursor.rpartition("-")[2]
        begin = int(number) if number.isdigit() else 0
        end = min(begin + limit_of(request), len(served))
        return peer.page_ending_at(victim, served[begin:end], f"{peer.name}-{end}", has_more=end < len(served))

    def _written(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        entries: list[PageEntry] = []
        for number in range(self.facts):
            text = f"{number} ".ljust(self.chars, "x")
            fact = peer.fact(f"{_ENTITY}/{number % self.entities}", f"sim:spread:{number}", text)
            peer.expect(victim, fact.id)
            entries.append(peer.entry(fact))
        return entries
