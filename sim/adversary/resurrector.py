"""Resurrector: shows again what its author has taken back, and what was erased.

It reads its victims as a peer may, keeps what honest nodes said, and when one of those facts was retracted it serves
the fact once more, untouched: genuine, signed by its author, and over. To a node that has both the second showing is a
repetition and changes nothing. To one that has lost its disk, or had it never, the fact may come long after its
retraction: it is kept, and is over there as well. An author's last word counts in whatever order its words come (rule 1
of the design; S-57 is the retraction without malice).

A fact that was erased on some node it shows again as well, to those that followed the tombstone and to those that do
not know of it yet: the first refuse it by its id, and the others erase it when they are told.

What it reports are states that no history excuses: a victim that holds the retraction and shows the fact as standing,
and one that erased a fact and has it again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.observation.node_view import LedgerReader
from sim.ports import PageEntry, PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.fact import Fact
from stigmem.core.wire import Response

__all__ = ["Remembered", "Resurrector", "Shown"]

_KEPT: Final = 1_000
"""Entries that are remembered; the oldest go first."""


class _Origin(msgspec.Struct):
    node_id: str


class _Fact(msgspec.Struct):
    id: str
    scope: str
    confidence: float


class _Entry(msgspec.Struct):
    """What it looks at in an entry."""

    fact: _Fact
    origin: _Origin


class _Page(msgspec.Struct):
    facts: list[msgspec.Raw]
    cursor: str | None


class Remembered(dict[str, bytes]):
    """Fact id -> the entry of an honest node's public fact, as it was read."""


class Shown(dict[str, None]):
    """Facts that a victim was shown again."""


@dataclass
class _Reading:
    cursor: str | None = None


@kind("resurrector")
class Resurrector(Adversary):
    """Reads its victims every `period`. A batch holds up to `facts` retracted or erased ones that this victim was not
    shown again yet."""

    period: Duration = parse_duration("3s")
    """How often it reads each victim."""
    facts: Annotated[int, Meta(ge=1, le=1_000)] = 20
    """Facts that are over in one batch at most."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._read, peer, victim))

    def introduced(self, peer: PeerEnv, victim: str) -> None:
        """A victim without its disk is shown everything once more, and read from the beginning."""
        peer.memory(Shown, victim).clear()
        peer.memory(_Reading, victim).cursor = None

    def _read(self, peer: PeerEnv, victim: str, _number: int) -> None:
        self._look(peer, victim)
        reading = peer.memory(_Reading, victim)
        at = "" if reading.cursor is None else f"&cursor={reading.cursor}"
        request = peer.authorised("GET", f"/v1/federation/facts?limit=200{at}", peer.token(victim))

        def answered(answer: Response | str) -> None:
            if isinstance(answer, Response) and answer.status == 200:
                with suppress(msgspec.MsgspecError, ValueError):  # garbled on its way
                    page = msgspec.json.decode(answer.body, type=_Page)
                    reading.cursor = page.cursor or reading.cursor
                    self._remember(peer, page.facts)

        peer.send(victim, request, answered)

    def _remember(self, peer: PeerEnv, entries: list[msgspec.Raw]) -> None:
        remembered = peer.memory(Remembered)
        for raw in entries:
            entry = msgspec.json.decode(raw, type=_Entry)
            if entry.origin.node_id in peer.names and entry.fact.scope == "public" and entry.fact.confidence:
                remembered[entry.fact.id] = bytes(raw)
        while len(remembered) > _KEPT:
            del remembered[next(iter(remembered))]

    def _look(self, peer: PeerEnv, victim: str) -> None:
        """Whether a victim believes again in what it knows to be over."""
        node = peer.truth(victim)
        if node is None:
            return
        for fact_id in peer.memory(Shown, victim):
            if node.ledger.is_id_of_husk(fact_id) and node.ledger.find(fact_id):
                peer.report(victim, f"fact {fact_id} is known again, which was erased")
            for fact in node.ledger.find(fact_id):
                if _is_retracted(node.ledger, fact) and node.ledger.live(fact):
                    peer.report(victim, f"fact {fact_id} stands again, which its author has taken back")

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        shown, remembered = peer.memory(Shown, victim), peer.memory(Remembered)
        over = [fact_id for fact_id in remembered if fact_id not in shown and self._is_over(peer, fact_id)]
        chosen = over[: self.facts]
        shown.update(dict.fromkeys(chosen))
        return [remembered[fact_id] for fact_id in chosen]

    def _is_over(self, peer: PeerEnv, fact_id: str) -> bool:
        """Whether some node knows that a fact was retracted, or has erased it."""
        nodes = [node for name in peer.federation.nodes if (node := peer.truth(name)) is not None]
        if any(node.ledger.is_id_of_husk(fact_id) for node in nodes):
            return True
        return any(_is_retracted(node.ledger, fact) for node in nodes for fact in node.ledger.find(fact_id))


def _is_retracted(ledger: LedgerReader, fact: Fact) -> bool:
    """Whether a ledger holds a retraction of a fact by its own author."""
    return any(
        other.is_retraction and other.source == fact.source and other.origin == fact.origin and other.stamp > fact.stamp
        for other in ledger.facts_of(fact.slot)
    )
