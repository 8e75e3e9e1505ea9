"""Replayer: presents its own tokens more often than once, and when they are long over (S-04, S-06).

A node accepts a token once. A second time it answers 401 `nonce_already_seen` and audits it, also when the nonce stands
in another token, when both requests come at one instant, and after a restart; a token that ended two hours ago is
answered 401 `token_expired`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.wire import Response

__all__ = ["Presented", "Replayer"]

_TARGET: Final = "/v1/federation/facts?limit=10"
_TWO_HOURS_MS: Final = 7_200_000
_KEPT: Final = 8
"""Spent tokens that are presented again and again, also after the victim restarted."""


class Presented(dict[tuple[str, int], int]):
    """(sort of token, status) -> answers, over all victims."""


class _Spent(list[str]):
    """Tokens that a victim has accepted once since it knows the peer."""


@kind("replayer")
class Replayer(Adversary):
    """Every `period`: a token that is accepted, then that token again, its nonce in a new token, an expired
    token, one token twice at once, and tokens spent long ago. Serves ordinary facts."""

    period: Duration = parse_duration("20s")
    """How often it presents its tokens to each victim."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._round, peer, victim))

    def introduced(self, peer: PeerEnv, victim: str) -> None:
        """A victim without its disk cannot know which tokens it has seen."""
        peer.memory(_Spent, victim).clear()

    def _round(self, peer: PeerEnv, victim: str, _number: int) -> None:
        nonce = peer.uuid()
        token = peer.token(victim, nonce=nonce)
        self._present(peer, victim, token, "first", lambda: self._replay(peer, victim, token, nonce))
        expired = peer.token(victim, at_ms=peer.now_ms - _TWO_HOURS_MS)
        self._present_again(peer, victim, expired, "expired", "a token of two hours ago was accepted")
        self._twice(peer, victim)
        for old in peer.memory(_Spent, victim)[-_KEPT:]:
            self._present_again(peer, victim, old, "spent", "a spent token was accepted later")

    def _present_again(self, peer: PeerEnv, victim: str, token: str, what: str, sentence: str) -> None:
        """Present a token that must not be accepted; the sentence is told when it is."""
        self._present(peer, victim, token, what, lambda: peer.report(victim, sentence))

    def _present(self, peer: PeerEnv, victim: str, token: str, what: str, accepted: Callable[[], None]) -> None:
        done: list[int] = []

        def answered(answer: Response | str) -> None:
            if isinstance(answer, Response) and not done:  # on a wire that doubles packets the second answer is a 401
                done.append(answer.status)
                presented = peer.memory(Presented)
                presented[what, answer.status] = presented.get((what, answer.status), 0) + 1
                if answer.status == 200:
                    accepted()

        peer.send(victim, peer.authorised("GET", _TARGET, token), answered)

    def _replay(self, peer: PeerEnv, victim: str, token: str, nonce: str) -> None:
        peer.memory(_Spent, victim).append(token)
        self._present_again(peer, victim, token, "again", "a spent token was accepted again")
        fresh = peer.token(victim, nonce=nonce)
        self._present_again(peer, victim, fresh, "nonce", "a spent nonce was accepted in another token")

    def _twice(self, peer: PeerEnv, victim: str) -> None:
        token = peer.token(victim)
        accepted: list[int] = []

        def once() -> None:
            accepted.append(1)
            if len(accepted) == 2:
                peer.report(victim, "one token, presented twice at once, was accepted twice")

        for _ in range(2):
            self._present(peer, victim, token, "twice", once)
