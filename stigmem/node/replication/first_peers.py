"""Which peer brings an origin's facts first, so that the others need not end a waiting pull for them.

Theory
------
A pull may wait at a peer for news. In a mesh of three, a fact of A ends the waiting pulls of B and of C at A; B stores
it and has news for C, whose pull at B was asked before C had the fact. So B serves it again, C learns nothing, and
must ask again: with n nodes each fact costs n - 2 such answers at every node. Naming what is held (`pull_request`)
does not help, since the names are older than the fact.

This is the plumtree of Leitao, Pereira and Rodrigues (*Epidemic Broadcast Trees*, SRDS 2007) in terms of pulls. For
each origin, the peer whose page brought a fact of it first is the *eager* one; every other peer is told in its next
question that facts of that origin come from elsewhere. A peer that is told so lets the pull wait on when nothing else
has come (`stigmem.node.api.federation`). It answers without them, when something else has come or the wait is over, and
moves no cursor past the first of them; the next question names what came meanwhile, also what this peer itself brought
beyond its cursor, and what it does not name is served at once.

    A writes, C asks A and B       C's question at B               what B does when it has A's fact
    nothing known                  -                               answers: the fact comes twice, once
    A was first                    elsewhere: A                    waits on
    A is cut off                   (asked before the cut)          answers "nothing" at the end of the wait
                                   names nothing of A              answers at once: the fact is new, B is eager for A

Invariants:

* F1. At most one peer is eager for an origin, and a peer is always eager for what it writes itself: facts that are not
  public come from nobody else.
* F2. Another peer becomes the eager one only when it brought a fact *although* it was told that the origin's come from
  elsewhere, which is when the eager one was late; a race between two that are both told nothing changes nothing.
* F3. A peer that is not waiting with us (its drain has ended, in whatever way) is eager for nothing.
* F4. So a fact is late by the rest of one wait at most, and by a round trip, whatever is cut or wrong here.

Only public facts count, which this node would serve the peer itself: what it is told of them is nothing new. Origins go
by eight hexadecimal digits of a hash; two that share them are late as in F4, and nothing is lost.

Warts: the tree of an origin that grew in a bad moment stays until one of its peers is late or silent, though a shorter
way may be open by then. After a node's start every peer is told nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from stigmem.core import limits

__all__ = ["ELSEWHERE_HEADER", "FirstPeers", "origin_tag", "tags_of"]

ELSEWHERE_HEADER: Final = "stigmem-elsewhere"
_NONE: Final[frozenset[str]] = frozenset()


@lru_cache(maxsize=4_096)
def origin_tag(origin: str) -> str:
    """Eight hexadecimal digits that stand for an origin."""
    return hashlib.blake2b(origin.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


@lru_cache(maxsize=64)
def tags_of(header: str) -> frozenset[str]:
    """The origins that a question calls served elsewhere; none for a header that is longer than ours."""
    return frozenset(header.split(",")) if 0 < len(header) <= 9 * limits.ELSEWHERE_NAMED_MAX else _NONE


class FirstPeers:
    """What the pullers of one node know of it together."""

    def __init__(self) -> None:
        self._eager: dict[str, str] = {}
        """Origin -> node id of the peer that brings its facts first; who brought something last is last."""

    def elsewhere(self, peer: str) -> str:
        """What a question to the peer says: the origins whose facts come from others, the newest of them."""
        found = [origin_tag(origin) for origin, eager in self._eager.items() if peer not in (eager, origin)]
        return ",".join(found[-limits.ELSEWHERE_NAMED_MAX :])

    def brought(self, peer: str, origins: Iterable[str], told: str) -> None:
        """A page of the peer, whose question had said `told`, held new facts of these origins."""
        late = tags_of(told)
        for origin in origins:
            eager = self._eager.pop(origin, peer)
            self._eager[origin] = peer if origin_tag(origin) in late or origin == peer else eager
        while len(self._eager) > limits.ELSEWHERE_ORIGINS_MAX:
            del self._eager[next(iter(self._eager))]

    def rests(self, peer: str) -> None:
        """The peer holds no question of ours any more."""
        self._eager = {origin: eager for origin, eager in self._eager.items() if eager != peer}
