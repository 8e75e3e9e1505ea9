"""Cursors and `has_more` tell nothing of what a peer may not see (leaks L1 and L8).

An empty page does not move the cursor past hidden facts, and no page leaves it at one; "more" is followed by more;
and over several answers to one peer the numbers in cursors cannot be counted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sim.check.base import Checker, CheckResult, Served
from sim.check.leaks import Page, crosses, node_id_of, page_of
from sim.observation.expected import never_served
from sim.observation.node_view import NodeView
from sim.ports import Observed
from stigmem.core.fact import Fact
from stigmem.core.wire import split_target
from stigmem.node.replication.pull_request import HOLDING_HEADER, held_by_asker

__all__ = ["Cursors"]

_NUMBER: Final = re.compile(r"[0-9]+")
_NEAR: Final = 1 << 40
"""Cursors that a count moves lie this close to each other; blinded numbers of 64 bits do so once in 2**23 moves."""
_NONE: Final[frozenset[str]] = frozenset()
_NEAR_MOVES: Final = 3
"""So many close moves in a row are no accident."""


class _Question(NamedTuple):
    """Where a pull begins, the one scope that it asks for, and whether it wants its own facts back."""

    cursor: str | None
    scope: str | None
    echo: bool


class Cursors(Checker):
    """What a peer could learn from one answer to the next about facts that are not for it: nothing. What it could miss
    of those that are: nothing, unless it said that it holds them."""

    name = "cursors-silent"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._told: dict[tuple[str, str], str | None] = {}
        """(server, asker) -> the cursor that it was given last."""
        self._near: dict[tuple[str, str], int] = {}
        """(server, asker) -> close moves in a row."""
        self._harmless: dict[str, frozenset[str]] = {}
        """Asker -> the names that were found to be for everybody in its latest questions, which repeat them."""
        self._honest = frozenset(observed.federation.nodes)
        self.moves = 0

    def on_disk_wiped(self, machine: str) -> None:
        self._told = {pair: told for pair, told in self._told.items() if pair[0] != machine}

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        node = self.observed.node(machine)
        if response.status != 200 or node is None:
            return
        question = _question(request.target)
        if question is None:
            return
        page = page_of(response.body)
        pair = (machine, asker)
        sentence = None
        if page.cursor != question.cursor:  # what is given back, a garbled one too, says nothing
            sentence = self._move(pair, self._told.get(pair), page.cursor)
            self._told[pair] = page.cursor
        named = held_by_asker(request.headers.get(HOLDING_HEADER, ""))
        if named and asker in self._honest:
            known = self._harmless.get(asker, _NONE)
            told = None if named <= known else self._tells(asker, named - known)
            if told is not None:
                self.fail(asker, f"{told} (to {machine})")
            self._harmless[asker] = named
        if page.has_more or page.cursor != question.cursor:
            asking = _asking(self.observed, node, asker, question, named, page)
            skipped = _skips(asking, page) if asker in self._honest else None
            sentence = skipped or _passes(asking, page) or _promises(asking, page) or sentence
        if sentence is not None:
            self.fail(machine, f"{sentence} (to {asker})")

    def _tells(self, asker: str, named: frozenset[str]) -> str | None:
        """What is wrong with the names in an honest node's question, if anything: it names only what everybody may
        know. A name that it does not hold is no secret of its own: its disk may have been lost since it asked."""
        node = self.observed.node(asker)
        if node is None:
            return None
        for name in sorted(named):
            facts = node.ledger.find(name)
            if facts and not any(fact.scope == "public" and not never_served(fact) for fact in facts):
                return f"a question named fact {name}, which is not for everybody (L1)"
        return None

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

    def result(self) -> CheckResult:
        return self.holds_of(self.moves, f"{self.moves} moves of cursors, none of which tells a count")


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
    return _Question(given.get("cursor"), given.get("scope"), given.get("echo") == "true")


class _Asking(NamedTuple):
    """Who asks whom for what, and what it says to hold already."""

    observed: Observed
    node: NodeView
    asker: str
    question: _Question
    named: frozenset[str]
    theirs: str
    """The asker's node id, unless it wants its own facts back."""
    bare: bool
    """Whether the peer would take every fact for ours (dialect 0.5): then it gets our own only."""
    begin: int
    end: int
    """The places in the server's log between which the page lies: after the cursor asked with, up to the one given."""

    def crosses(self, fact: Fact) -> bool:
        return crosses(self.observed, self.node.name, self.asker, fact.scope)

    def is_known(self, fact: Fact) -> bool:
        """Whether the peer does not get a public fact that is no secret to it: its own, one that it brought or named,
        or one that it would misattribute."""
        if self.theirs in (fact.origin, fact.received_from) or fact.id in self.named:
            return True
        return self.bare and fact.received_from is not None

    def is_shown(self, fact: Fact) -> bool:
        """Whether the peer has to get a fact, by the rules of spec/replication.md (3 to 5) and not by the node's
        own bookkeeping."""
        if self.is_known(fact) or fact.quarantine is not None or not self.crosses(fact):
            return False
        if fact.received_from is None:
            return not never_served(fact)
        relayed = self.node.settings.relay and fact.scope == "public" and fact.certified
        return relayed and not never_served(fact)


def _asking(
    observed: Observed, node: NodeView, asker: str, question: _Question, named: frozenset[str], page: Page
) -> _Asking:
    hostile = observed.hostile.get(asker)
    return _Asking(
        observed=observed,
        node=node,
        asker=asker,
        question=question,
        named=named,
        theirs="" if question.echo else node_id_of(observed, asker),
        bare=hostile is not None and hostile.dialect == "0.5",
        begin=node.position(question.cursor),
        end=node.position(page.cursor),
    )


def _skips(asking: _Asking, page: Page) -> str | None:
    """What an honest peer misses for good, if anything: a fact for it that lies before the cursor, not in the page."""
    question = asking.question
    if question.scope is not None or page.cursor == question.cursor:
        return None
    passed = asking.node.ledger.log[asking.begin : asking.end]
    due = [fact.id for fact in passed if asking.is_shown(fact)]
    if len(due) <= len(page.facts):
        return None
    served = [bytes(entry) for entry in page.facts]
    lost = next((name for name in due if not any(name.encode() in entry for entry in served)), due[-1])
    return f"a page ends behind fact {lost}, which is for the peer and is not in it"


def _passes(asking: _Asking, page: Page) -> str | None:
    """What is wrong with how far the cursor went, if anything: it may stand at a fact that was shown, or that the peer
    knows of; anywhere else it tells that something is there which is not for the peer."""
    asked = asking.question.cursor
    if not page.facts and page.has_more:
        return "an empty page says that there is more (L8)"
    if page.cursor == asked or page.cursor is None:
        return None
    log = asking.node.ledger.log
    last = log[asking.end - 1] if asking.begin < asking.end <= len(log) else None
    known = last is not None and asking.is_known(last) and asking.crosses(last)
    if not page.facts and not known:
        return "the cursor moved though nothing for this peer was written (L1)"
    if page.facts and last is not None and not known and not asking.is_shown(last):
        return "the cursor stands at a fact that is not for this peer (L1)"
    return None


def _promises(asking: _Asking, page: Page) -> str | None:
    """What is wrong with the promise of more, if anything: nothing that the peer gets lies beyond the cursor."""
    if not page.has_more:
        return None
    log = asking.node.ledger.log
    beyond = (log[seq] for seq in range(asking.end, len(log)))
    return None if any(map(asking.is_shown, beyond)) else "has_more promised facts that the peer may not see (L8)"
