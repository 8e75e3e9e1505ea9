"""Equivocator: one author that says different things about one slot, to each victim and in each scope, at one instant.

Unlike a twin's, its facts are genuine: each has the id of its content, and every public one is passed on. So the words
meet on every node, all stay readable everywhere, and everywhere the same one is the author's last: of words with
one stamp the one with the greatest id. Who heard what first decides nothing, and an author that says two things opens
no conflict with itself. What was said in a scope that is not passed on stays with who was told. There is no S-number;
S-39 is the same lie under one id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv

__all__ = ["Equivocator"]

_ENTITY: Final = "stigmem://sim.example/oath"


@dataclass
class _Oaths:
    """The stamp of each round, the same for every victim; and how many rounds a victim was told."""

    stamps: list[int] = field(default_factory=list)
    told: int = 0


@kind("equivocator")
class Equivocator(Adversary):
    """In round n every victim is told `facts` words about the same slots, each victim another word, under one stamp;
    where the link grants company facts every second word is one of those."""

    facts: Annotated[int, Meta(ge=1, le=100)] = 4
    """Words about as many slots, in each round and to each victim."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        mine, all_of_them = peer.memory(_Oaths, victim), peer.memory(_Oaths)
        number = mine.told
        mine.told += 1
        if number == len(all_of_them.stamps):
            all_of_them.stamps.append(peer.fact(_ENTITY, "sim:claims", "a stamp").stamp)
        found: list[PageEntry] = []
        for n in range(self.facts):
            scope = "company" if n % 2 and "company" in peer.scopes else "public"
            text, stamp = f"{n} as {victim} is to hear it", all_of_them.stamps[number]
            fact = peer.fact(f"{_ENTITY}/{n}", "sim:claims", text, stamp=stamp, scope=scope)
            if scope in peer.scopes:
                peer.expect(victim, fact.id)
            found.append(peer.entry(fact))
        return found
