"""Holder: names facts as held already that it does not hold, and serves pages that are empty and go on for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim.adversary.base import Adversary
from sim.units import Duration, parse_duration
from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.wire import Request, Response
from stigmem.node.replication.pull_request import HOLDING_HEADER, held_by_asker

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript

__all__ = ["Holder"]

_WAYS: Final = ("hidden", "newest", "invented", "too many", "nonsense", "nothing")
_ODD: Final = ",,\x00,\u00e9\U0001f980, ,stigmem:node,'\"%2C;\t"
_NAMED: Final = limits.HOLDING_NAMED_MAX


class _Page(msgspec.Struct):
    facts: list[dict[str, Any]]
    cursor: str | None


class Holder(Adversary, tag="holder"):
    """Every `period` it reads a victim from where it is and names, in turn: facts that are not for it, the newest ones,
    invented ones, far too many, no ids at all; and then reads all again without a name, and gets what it had named.

    A victim that reads it is given every other time an empty page with a new cursor, and what the victim names must be
    facts that the victim would serve it."""

    period: Duration = parse_duration("4s")

    def act(self, peer: PeerScript) -> None:
        for victim in peer.victims:
            peer.every(self.period, lambda number, victim=victim: self._read(peer, victim, number))  # type: ignore[misc]

    # --- asking ---

    def _read(self, peer: PeerScript, victim: str, number: int) -> None:
        way = _WAYS[number % len(_WAYS)]
        names = self._names(peer, victim, way)
        cursors: dict[str, str | None] = peer.notes.setdefault("cursors", {})
        cursor = None if way == "nothing" else cursors.get(victim)

        def answered(answer: Response | str) -> None:
            page = self._page_of(peer, victim, answer, way)
            if page is None:
                return
            shown = [str(_fact_of(entry).get("id")) for entry in page.facts]
            if way == "nothing":
                peer.notes.setdefault(f"shown by {victim}", {}).update(dict.fromkeys(shown))
                cursor = page.cursor if number % 2 else None  # now and then from the beginning once more
            else:
                peer.notes.setdefault(f"named to {victim}", {}).update(dict.fromkeys(names.split(",")))
                cursor = page.cursor
            cursors[victim] = cursor

        at = f"&cursor={cursor}" if cursor else ""
        request = peer.authorised("GET", f"/v1/federation/facts?limit=500{at}", peer.token(victim))
        if names:
            request.headers[HOLDING_HEADER] = names
        peer.ask(victim, request, answered)

    def _names(self, peer: PeerScript, victim: str, way: str) -> str:
        ledger = peer.ledger(victim)
        log = ledger.log if ledger is not None else []
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

    def _page_of(self, peer: PeerScript, victim: str, answer: Response | str, way: str) -> _Page | None:
        if not isinstance(answer, Response):
            return None
        statuses: dict[tuple[str, int], int] = peer.notes.setdefault("statuses", {})
        statuses[way, answer.status] = statuses.get((way, answer.status), 0) + 1
        if answer.status not in (200, 401, 404, 429, 503):
            peer.witness(victim, f"a question that names {way} was answered {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Page) if answer.status == 200 else None
        except (msgspec.MsgspecError, ValueError):
            return None  # garbled on its way

    # --- answering ---

    def answer(self, peer: PeerScript, victim: str, request: Request) -> Response | None:
        self._judge(peer, victim, request)
        if peer.waiting(victim) or peer.served % 2:
            return super().answer(peer, victim, request)
        # Where an empty page ends is kept in memory at most; who crashed then asks from before it.
        return peer.page(victim, [], cursor=f"{peer.name}:{peer.served}", has_more=peer.served % 3 == 0)

    def _judge(self, peer: PeerScript, victim: str, request: Request) -> None:
        ledger = peer.ledger(victim)
        for name in held_by_asker(request.headers.get(HOLDING_HEADER, "")):
            facts = ledger.find(name) if ledger is not None else []
            peer.notes["told of"] = peer.notes.get("told of", 0) + 1
            if facts and not any(_may_be_told(peer, fact) for fact in facts):
                peer.witness(victim, f"fact {name} was named, which the peer would not be served")


def _may_be_told(peer: PeerScript, fact: Fact) -> bool:
    return fact.scope == "public" and "public" in peer.scopes and fact.certified and fact.received_from != peer.node_id


def _fact_of(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entry.get("fact", entry)
    return found
