"""Cursors and `has_more` tell nothing of what a peer may not see (leaks L1 and L8).

Over several answers to one peer: an empty page does not move the cursor past hidden facts, "more" is followed
by more, and the numbers in cursors cannot be counted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.check.base import Checker, CheckResult, Violation
from sim.check.leaks import Page, crosses, node_id_of, page_of
from stigmem.core.wire import Request, Response, split_target
from stigmem.node.question import HOLDING_HEADER, held_by_asker

if TYPE_CHECKING:
    from sim.lab.lab import Lab
    from sim.world.machine import Machine
    from stigmem.node.node import Node

__all__ = ["Cursors"]

_NUMBER: Final = re.compile(r"[0-9]+")
_NEAR: Final = 1 << 40
"""Cursors that a count moves lie this close to each other; blinded numbers of 64 bits do so once in 2**23 moves."""
_NEAR_MOVES: Final = 3
"""So many close moves in a row are no accident."""


class _Question(NamedTuple):
    """Where a pull begins, and the one scope that it asks for."""

    cursor: str | None
    scope: str | None


class _Told(NamedTuple):
    """What a peer was told last, and what it had asked."""

    cursor: str | None
    more: bool
    question: _Question


class Cursors(Checker):
    """What a peer could learn from one answer to the next about facts that are not for it: nothing."""

    name = "cursors-silent"

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], _Told] = {}
        self._near: dict[tuple[str, str], int] = {}
        """(server, asker) -> close moves in a row."""
        self.moves = 0

    def forget(self, name: str) -> None:
        self._told = {pair: told for pair, told in self._told.items() if pair[0] != name}

    def served(self, lab: Lab, machine: Machine, asker: str, request: Request, response: Response) -> Violation | None:
        if response.status != 200 or machine.node is None:
            return None
        question = _question(request.target)
        if question is None:
            return None
        page = page_of(response.body)
        pair = (machine.name, asker)
        before = self._told.get(pair)
        self._told[pair] = _Told(page.cursor, page.has_more, question)
        named = held_by_asker(request.headers.get(HOLDING_HEADER, ""))
        sentence = None if page.facts else _empty(lab, machine.node, asker, question.cursor, page, named)
        if sentence is None and before is not None:
            promised = before.more and before.cursor == question.cursor and before.question.scope == question.scope
            if promised and not page.facts and page.cursor == question.cursor:
                sentence = "has_more promised facts that the peer may not see (L8)"
            else:
                sentence = self._move(pair, before.cursor, page.cursor)
        return None if sentence is None else self.violation(machine.name, lab.world.now, f"{sentence} (to {asker})")

    def _move(self, pair: tuple[str, str], before: str | None, after: str | None) -> str | None:
        if after is None or before is None or after == before:
            return None
        self.moves += 1
        first, second = _number(before), _number(after)
        near = first is not None and second is not None and abs(first - second) < _NEAR
        self._near[pair] = self._near.get(pair, 0) + 1 if near else 0
        if self._near[pair] == _NEAR_MOVES:
            return f"cursors {before} and {after} show how many facts lie between them (L1)"
        return None

    def settled(self, lab: Lab) -> CheckResult:
        return CheckResult(self.name, True, f"{self.moves} moves of cursors, none of which tells a count")


@lru_cache(maxsize=1_024)
def _number(cursor: str) -> int | None:
    """The first number in a cursor, if there is one."""
    found = _NUMBER.search(cursor)
    return None if found is None else int(found[0])


@lru_cache(maxsize=1_024)
def _question(target: str) -> _Question | None:
    """What a pull asks for; None for any other request."""
    path, pairs = split_target(target)
    if path != "/v1/federation/facts":
        return None
    given = {name: value for name, value in reversed(pairs) if value}
    return _Question(given.get("cursor"), given.get("scope"))


def _empty(lab: Lab, node: Node, asker: str, asked: str | None, page: Page, named: frozenset[str]) -> str | None:
    if page.has_more:
        return "an empty page says that there is more (L8)"
    if page.cursor == asked or page.cursor is None:
        return None
    # The peer's own facts, those that it brought and those that it named are no secret to it: the cursor may pass
    # them. Nor are public ones that a peer of dialect 0.5 would take for ours, and therefore does not get.
    name = lab.name_of_node[node.node_id]
    begin, end = node.exchange.start(asked, ()), node.exchange.start(page.cursor, ())
    theirs = node_id_of(lab, asker)
    bare = asker in lab.adversaries and lab.adversaries[asker].dialect == "0.5"
    passed = [fact for fact in node.state.ledger.log[begin:end] if crosses(lab, name, asker, fact.scope)]
    if not any(
        theirs in (fact.origin, fact.received_from) or fact.id in named or (bare and fact.received_from)
        for fact in passed
    ):
        return "the cursor moved though nothing for this peer was written (L1)"
    return None
