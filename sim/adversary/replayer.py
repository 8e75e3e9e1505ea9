"""Replayer: presents its own tokens more often than once, and when they are long over (S-04, S-06)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sim.adversary.base import Adversary
from sim.units import Duration, parse_duration
from stigmem.core.wire import Response

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Replayer"]

_TARGET: Final = "/v1/federation/facts?limit=10"
_TWO_HOURS_MS: Final = 7_200_000
_KEPT: Final = 8
"""Spent tokens that are presented again and again, also after the victim restarted."""


class Replayer(Adversary, tag="replayer"):
    """Every `period`: a token that is accepted, then that token again, its nonce in a new token, an expired
    token, one token twice at once, and tokens spent long ago. Serves ordinary facts."""

    period: Duration = parse_duration("20s")

    def act(self, peer: PeerScript) -> None:
        for victim in peer.victims:
            peer.every(self.period, lambda number, victim=victim: self._round(peer, victim, number))  # type: ignore[misc]

    def introduced(self, peer: PeerScript, victim: str) -> None:
        """A victim without its disk cannot know which tokens it has seen."""
        peer.notes.pop(f"spent at {victim}", None)

    def _round(self, peer: PeerScript, victim: str, number: int) -> None:
        nonce = peer.uuid()
        token = peer.token(victim, nonce=nonce)
        self._present(peer, victim, token, "first", lambda: self._replay(peer, victim, token, nonce))
        expired = peer.token(victim, at_ms=peer.now_ms - _TWO_HOURS_MS)
        self._present(
            peer, victim, expired, "expired", lambda: peer.witness(victim, "a token of two hours ago was accepted")
        )
        self._twice(peer, victim)
        spent: list[str] = peer.notes.setdefault(f"spent at {victim}", [])
        for old in spent[-_KEPT:]:
            self._present(peer, victim, old, "spent", lambda: peer.witness(victim, "a spent token was accepted later"))

    def _present(self, peer: PeerScript, victim: str, token: str, what: str, accepted: Callable[[], None]) -> None:
        done: list[int] = []

        def answered(answer: Response | str) -> None:
            if isinstance(answer, Response) and not done:
                done.append(answer.status)
                self._count(peer, what, answer)
                if answer.status == 200:
                    accepted()

        peer.ask(victim, peer.authorised("GET", _TARGET, token), answered)

    def _replay(self, peer: PeerScript, victim: str, token: str, nonce: str) -> None:
        peer.notes.setdefault(f"spent at {victim}", []).append(token)
        self._present(peer, victim, token, "again", lambda: peer.witness(victim, "a spent token was accepted again"))
        fresh = peer.token(victim, nonce=nonce)
        self._present(
            peer, victim, fresh, "nonce", lambda: peer.witness(victim, "a spent nonce was accepted in another token")
        )

    def _twice(self, peer: PeerScript, victim: str) -> None:
        token = peer.token(victim)
        accepted: list[int] = []

        def once() -> None:
            accepted.append(1)
            if len(accepted) == 2:
                peer.witness(victim, "one token, presented twice at once, was accepted twice")

        for _ in range(2):
            self._present(peer, victim, token, "twice", once)

    def _count(self, peer: PeerScript, what: str, answer: Response) -> None:
        statuses: dict[tuple[str, int], int] = peer.notes.setdefault("statuses", {})
        statuses[what, answer.status] = statuses.get((what, answer.status), 0) + 1
