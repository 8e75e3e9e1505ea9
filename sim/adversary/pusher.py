"""Pusher: forces facts on a victim that did not ask, over-scoped and under forged sources (S-02, S-03)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sim.adversary.author import members
from sim.adversary.base import Adversary
from sim.units import Duration, parse_duration
from stigmem.core.wire import Response

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Pusher"]

_PATH: Final = "/v1/federation/facts/push"
_ENTITY: Final = "stigmem://sim.example/pushed"


class Pusher(Adversary, tag="pusher"):
    """Every `period` a batch of facts by push. A node without push answers 404 or 405; one with it refuses each of
    these facts and says so."""

    period: Duration = parse_duration("10s")

    def act(self, peer: PeerScript) -> None:
        for victim in peer.victims:
            peer.every(self.period, lambda number, victim=victim: self._push(peer, victim, number))  # type: ignore[misc]

    def _push(self, peer: PeerScript, victim: str, number: int) -> None:
        facts = [
            peer.fact(_ENTITY, "sim:claims", f"pushed local {number}", scope="local"),
            peer.fact(_ENTITY, "sim:claims", f"pushed user {number}", source="user:alice"),
            peer.fact("stigmem:conflict:x", "stigmem:conflict:status", f"pushed status {number}"),
        ]
        if "company" not in peer.scopes:
            facts.append(peer.fact(_ENTITY, "sim:claims", f"pushed company {number}", scope="company"))
        body = msgspec.json.encode({"facts": [peer.entry(fact) for fact in facts]})
        for sent in (body, b'{"facts":[17,null]}', b"[]", b"\xff"):
            request = peer.authorised("POST", _PATH, peer.token(victim), sent)
            peer.ask(victim, request, lambda answer: self._judge(peer, victim, answer))

    def _judge(self, peer: PeerScript, victim: str, answer: Response | str) -> None:
        if not isinstance(answer, Response):
            return
        statuses: dict[int, int] = peer.notes.setdefault("statuses", {})
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        if answer.status == 202 and members(answer).get("accepted"):
            peer.witness(victim, "a pushed fact that its sender may not write was accepted")
