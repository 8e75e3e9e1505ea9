"""Impersonator: speaks under the names of other organisations' agents, and floods what they speak about.

Everything is a well-formed fact of its own node, and is kept: a source is a claim, and an author is a source at its
node (spec/contradiction.md). So a later value or a retraction under somebody's name supersedes and ends nothing of
theirs; it stands beside it, as a conflict that says who said what. There is no S-number: rule 2 of the design (an
author does not contradict itself, and nobody else speaks for it) says what is judged, by `no-silent-erasure`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.fact import Fact

__all__ = ["IMPERSONATIONS", "Impersonation", "Impersonator"]

Impersonation = Literal["supersede", "take-back", "deny", "flood"]
IMPERSONATIONS: Final[tuple[Impersonation, ...]] = ("supersede", "take-back", "deny", "flood")
_LOOK_BACK: Final = 200
_TARGETS: Final = 3
"""Facts of others that a batch is about."""


class _Used(dict[str, None]):
    """Facts of others that a victim was told something about already."""


@kind("impersonator")
class Impersonator(Adversary):
    """About each fact one of `ways` (default: all in turn): a later value under the source of the fact, a retraction
    under it, a denial of its own, or `words` words of that slot at once, under that source and under made-up ones. All
    are well-formed and kept; none may supersede or end what anybody else said."""

    ways: list[Impersonation] | None = None
    """The ways it uses in turn; left out, all of them."""
    words: Annotated[int, Meta(ge=1, le=100)] = 20
    """How many words a flood has."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        used, node = peer.memory(_Used, victim), peer.truth(victim)
        if node is None:
            return []
        ledger = node.ledger
        targets = [
            fact
            for fact in ledger.log[-_LOOK_BACK:]
            if fact.scope == "public" and fact.origin in peer.names and ledger.live(fact) and fact.id not in used
        ]
        found: list[Fact] = []
        for target in targets[-_TARGETS:]:
            used[target.id] = None
            ways = self.ways or IMPERSONATIONS
            found += self._about(peer, target, ways[(len(used) - 1) % len(ways)])
        strict = node.settings.owned_sources_only
        for fact in found:
            peer.expect(victim, fact.id, *(("source_not_owned",) if strict and fact.source != peer.node_id else ()))
        return [peer.entry(fact) for fact in found]

    def _about(self, peer: PeerEnv, target: Fact, way: Impersonation) -> list[Fact]:
        entity, relation, _ = target.slot
        match way:
            case "supersede":
                return [peer.fact(entity, relation, f"what {peer.name} says", source=target.source)]
            case "take-back":
                return [peer.fact(entity, relation, "retracted", confidence=0.0, source=target.source)]
            case "deny":
                return [peer.fact(entity, relation, target.text, confidence=0.0)]
            case "flood":
                return [
                    peer.fact(
                        entity, relation, f"word {number} of {peer.name}",
                        source=target.source if number % 2 else f"agent:nobody-{number}",
                    )
                    for number in range(self.words)
                ]  # fmt: skip
