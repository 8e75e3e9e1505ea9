"""Pusher: forces facts on a victim that did not ask, over-scoped and under forged sources (S-02, S-03).

A node that takes no pushes answers 404 or 405. One that does refuses each of these facts in its 202, audits it, and
stores none of them; a body that is no list of facts is refused as a whole.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from sim.adversary.base import Adversary, members
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.wire import Response

__all__ = ["Pusher", "Pushes"]

_PATH: Final = "/v1/federation/facts/push"
_ENTITY: Final = "stigmem://sim.example/pushed"


class Pushes(dict[int, int]):
    """Status -> answers, over all victims."""


@kind("pusher")
class Pusher(Adversary):
    """Every `period` a batch of facts by push. A node without push answers 404 or 405; one with it refuses each of
    these facts and says so."""

    period: Duration = parse_duration("10s")
    """How often it pushes a batch to each victim."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._push, peer, victim))

    def _push(self, peer: PeerEnv, victim: str, number: int) -> None:
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
            peer.send(victim, request, partial(self._judge, peer, victim))

    def _judge(self, peer: PeerEnv, victim: str, answer: Response | str) -> None:
        if not isinstance(answer, Response):
            return
        pushes = peer.memory(Pushes)
        pushes[answer.status] = pushes.get(answer.status, 0) + 1
        if answer.status == 202 and members(answer).get("accepted"):
            peer.report(victim, "a pushed fact that its sender may not write was accepted")
