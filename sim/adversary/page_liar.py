"""Page-liar: good facts in pages that lie about their shape, their length and where to go on (S-34, S-35).

Of a page that is too long a node takes as many facts as it asked for. Pages that cannot be read as a whole (no JSON, no
list, another version, a cursor that is no text or has a million characters, more bytes than a body may have) are
refused with `page_malformed`, nothing of them is kept, and the peer is asked less and less. Pages that never end, lead
back, or end at the same cursor for ever are left after a while and taken up again; nobody is asked in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from sim.adversary.base import Adversary, limit_of
from sim.kinds import kind
from sim.ports import PeerEnv
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["LIES", "Lie", "PageLiar"]

Lie = Literal[
    "excess", "cursor-null", "cursor-number", "cursor-back", "cursor-huge", "cursor-same", "endless", "empty-more",
    "more-text", "version", "html", "object", "nothing", "nan", "surrogate", "deep", "large",
]  # fmt: skip
LIES: Final[tuple[Lie, ...]] = (
    "excess", "cursor-null", "cursor-number", "cursor-back", "cursor-huge", "cursor-same", "endless", "empty-more",
    "more-text", "version", "html", "object", "nothing", "nan", "surrogate", "deep", "large",
)  # fmt: skip
_ENTITY: Final = "stigmem://sim.example/pages"
_BODIES: Final[dict[str, bytes]] = {
    "html": b"<!doctype html><title>It works!</title>",
    "object": b'{"v":2,"facts":{"a":1},"cursor":null,"has_more":false}',
    "nothing": b"",
    "nan": b'{"v":2,"facts":[{"fact":{"confidence":NaN}}],"cursor":null,"has_more":false}',
    "surrogate": b'{"v":2,"facts":["\\ud800"],"cursor":null,"has_more":false}',
    "deep": b'{"v":2,"facts":[' + b"[" * 60_000 + b"]" * 60_000 + b'],"cursor":null,"has_more":false}',
}
_LARGE_BYTES: Final = 33 * 1_048_576


@dataclass
class _Answers:
    """How many a victim has had."""

    count: int = 0


class _Beyond(list[str]):
    """Ids of facts on the last page of a victim, beyond as many as it had asked for."""


@kind("page-liar")
class PageLiar(Adversary):
    """Every second answer is a lie, the next of `lies` (default: all in turn); the others are ordinary pages. With
    `always` every one is a lie."""

    lies: list[Lie] | None = None
    """The lies it tells in turn; left out, all of them."""
    always: bool = False
    """Whether there are no ordinary pages between them."""

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        self._look(peer, victim)
        answers = peer.memory(_Answers, victim)
        number = answers.count
        answers.count += 1
        if number % 2 == 0 and not self.always:
            return super().answer(peer, victim, request)
        lies = self.lies or LIES
        lie = lies[(number if self.always else number // 2) % len(lies)]
        if lie == "large":
            return Response(200, JSON_TYPE, b'{"v":2,"facts":["' + b"x" * _LARGE_BYTES + b'"]}')
        if lie in _BODIES:
            return Response(200, JSON_TYPE, _BODIES[lie])
        return self._paged(peer, victim, lie, limit_of(request))

    def _paged(self, peer: PeerEnv, victim: str, lie: Lie, limit: int) -> Response:
        """A page whose facts are good: they are kept, unless the page as a whole cannot be."""
        kept = lie not in ("cursor-number", "cursor-huge", "more-text", "version")
        facts = [
            peer.fact(_ENTITY, "sim:claims", f"{n} of {peer.served}")
            for n in range(3 * limit if lie == "excess" else 2)
        ]
        for fact in facts[: limit if kept else 0]:
            peer.expect(victim, fact.id)
        peer.memory(_Beyond, victim).extend(fact.id for fact in facts[limit:])
        entries = [peer.entry(fact) for fact in facts]
        pages: dict[str, Callable[[], Response]] = {
            "excess": lambda: peer.page(victim, entries, has_more=True),
            "cursor-null": lambda: peer.page_ending_at(victim, entries, None, has_more=True),
            "cursor-number": lambda: peer.page_ending_at(victim, entries, 17),
            "cursor-back": lambda: peer.page_ending_at(victim, entries, f"{peer.name}:0", has_more=True),
            "cursor-huge": lambda: peer.page_ending_at(victim, entries, "c" * 1_000_000),
            "cursor-same": lambda: peer.page_ending_at(victim, entries, "same", has_more=True),
            "endless": lambda: peer.page(victim, entries, has_more=True),
            "empty-more": lambda: peer.page_ending_at(victim, [], f"empty {peer.served}", has_more=True),
            "more-text": lambda: peer.page(victim, entries, has_more="yes"),
            "version": lambda: _versioned(peer.page(victim, entries)),
        }
        return pages[lie]()

    def _look(self, peer: PeerEnv, victim: str) -> None:
        """Whether the victim took more of the last page than it had asked for: it has stored that page when it asks
        again."""
        beyond, node = peer.memory(_Beyond, victim), peer.truth(victim)
        taken = [name for name in beyond if node is not None and node.ledger.held(peer.node_id, name) is not None]
        if taken:
            peer.report(victim, f"took {len(taken)} facts of a page beyond as many as it had asked for")
        beyond.clear()


def _versioned(page: Response) -> Response:
    body: dict[str, Any] = msgspec.json.decode(page.body)
    return Response(page.status, page.headers, msgspec.json.encode(body | {"v": 3}))
