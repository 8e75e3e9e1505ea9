"""Holder: names facts as held already that it does not hold, and serves pages that are empty and go on for ever.

Who pulls may name facts that it has, so that they are not sent again (spec/replication.md). The names are only a hint
about one page: a node must give a peer that lied everything it may see when it asks without names, must show it nothing
new because of names, and must answer nonsense with a page or a refusal and never with an error. What a node names to
others must in turn be facts that it would serve them. There is no S-number: the hint is this project's own extension.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from sim.adversary.base import Adversary, Batch
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.wire import Request, Response
from stigmem.node.replication.pull_request import HOLDING_HEADER, held_by_asker

__all__ = ["Holder", "Questions", "Reading"]

_WAYS: Final = ("hidden", "newest", "invented", "too many", "nonsense", "nothing")
_ODD: Final = ",,\x00,\u00e9\U0001f980, ,stigmem:node,'\"%2C;\t"
_NAMED: Final = limits.HOLDING_NAMED_MAX


class _Page(msgspec.Struct):
    facts: list[dict[str, Any]]
    cursor: str | None


@dataclass
class Reading:
    """How far one victim has been read, and what for."""

    cursor: str | None = None
    named: dict[str, None] = field(default_factory=dict)
    """Ids that were named to the victim in a question which it answered with a page."""
    shown: dict[str, None] = field(default_factory=dict)
    """Ids that it showed when none were named."""


@dataclass
class Questions:
    """What was asked and told, over all victims."""

    statuses: dict[tuple[str, int], int] = field(default_factory=dict)
    """(way, status) -> answers."""
    told: int = 0
    """Facts that victims named to this peer."""


@kind("holder")
class Holder(Adversary):
    """Every `period` it reads a victim from where it is and names, in turn: facts that are not for it, the newest ones,
    invented ones, far too many, no ids at all; and then reads all again without a name, and gets what it had named.

    A victim that reads it is given every other time an empty page with a new cursor, and what the victim names must be
    facts that the victim would serve it."""

    period: Duration = parse_duration("4s")
    """How often it reads each victim."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._read, peer, victim))

    # --- asking ---

    def _read(self, peer: PeerEnv, victim: str, number: int) -> None:
        way = _WAYS[number % len(_WAYS)]
        names = self._names(peer, victim, way)
        reading = peer.memory(Reading, victim)

        def answered(answer: Response | str) -> None:
            page = self._page_of(peer, victim, answer, way)
            if page is None:
                return
            if way == "nothing":
                reading.shown.update((str(_fact_of(entry).get("id")), None) for entry in page.facts)
                reading.cursor = page.cursor if number % 2 else None  # now and then from the beginning once more
            else:
                reading.named.update(dict.fromkeys(names.split(",")))
                reading.cursor = page.cursor

        at = f"&cursor={reading.cursor}" if reading.cursor and way != "nothing" else ""
        request = peer.authorised("GET", f"/v1/federation/facts?limit=500{at}", peer.token(victim))
        if names:
            request.headers[HOLDING_HEADER] = names
        peer.send(victim, request, answered)

    def _names(self, peer: PeerEnv, victim: str, way: str) -> str:
        node = peer.truth(victim)
        log = node.ledger.log if node is not None else []
        match way:
            case "hidden":
                return ",".join([fact.id for fact in log if fact.scope not in peer.scopes][-_NAMED:])
            case "newest":
                return ",".join([fact.id for fact in log[-_NAMED:]])
            case "invented":
                return ",".join(peer.uuid() for _ in range(_NAMED))
            case "too many":
                return ",".join([fact.id for fact in log] * 40)[: 3 * limits.HOLDING_CHARS_MAX]
            case "nonsense":
                return _ODD
        return ""

    def _page_of(self, peer: PeerEnv, victim: str, answer: Response | str, way: str) -> _Page | None:
        if not isinstance(answer, Response):
            return None
        statuses = peer.memory(Questions).statuses
        statuses[way, answer.status] = statuses.get((way, answer.status), 0) + 1
        if answer.status not in (200, 401, 404, 429, 503) and peer.has_true_wire:
            peer.report(victim, f"a question that names {way} was answered {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Page) if answer.status == 200 else None
        except (msgspec.MsgspecError, ValueError):
            return None  # garbled on its way

    # --- answering ---

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        self._judge(peer, victim, request)
        if peer.memory(Batch, victim).waiting or peer.served % 2:
            return super().answer(peer, victim, request)
        # Where an empty page ends is kept in memory at most; who crashed then asks from before it.
        return peer.page_ending_at(victim, [], f"{peer.name}:{peer.served}", has_more=peer.served % 3 == 0)

    def _judge(self, peer: PeerEnv, victim: str, request: Request) -> None:
        node = peer.truth(victim)
        for name in held_by_asker(request.headers.get(HOLDING_HEADER, "")):
            facts = node.ledger.find(name) if node is not None else []
            peer.memory(Questions).told += 1
            if facts and not any(_may_be_told(peer, fact) for fact in facts):
                peer.report(victim, f"fact {name} was named, which the peer would not be served")


def _may_be_told(peer: PeerEnv, fact: Fact) -> bool:
    # What this peer brought itself may be named too: it is told nothing by that.
    return fact.scope == "public" and "public" in peer.scopes and fact.certified


def _fact_of(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entry.get("fact", entry)
    return found
