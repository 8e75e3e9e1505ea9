"""The pull protocol as spec/replication.md tells it, on a plain heap: a second opinion on the laboratory.

Nothing of `stigmem` or `sim` is imported and no signature, text or byte exists here: a fact is a number. What is
modelled, in the words of the specification:

    puller   asks at once, stores the page, goes on while there is more, and rests: a random part of the interval the
             first time, then the interval, spread by the jitter (1, 2). What follows a page that says "more" is asked
             for when it arrives, without a wait, and looked at when the page is stored; if it is empty, it is asked
             for again (1). No answer within the timeout: back-off (2). A peer that is heard from ends it; while a
             retry is under way, it ends the rest after that (2).
    server   a writer that takes everything in its mailbox, makes it durable in one sync and then answers. A page is
             chosen when the writer begins (1). Not served: what the asker wrote, what came from it, what it names (1).
    waits    a question says which origins' facts come from elsewhere; those end no wait and are left out, and the
             cursor stays before the first of them (1).
    wire     every message is delayed by itself, or lost: a lost one is a timeout.

Left out, because no row needs it: scopes, charges, bad facts, refusals, restarts, corrupt or doubled messages, the
bounds of pages a drain and of repetitions. Times are seconds as floats; the caller brings all chance.

Invariants: a node's log only grows; a cursor is a place in the log of its peer; one puller has one question under way;
an event that was meant for an earlier question or rest is recognised by its number and ignored.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

BACKOFF_BASE_S_MIN = 1.0
BACKOFF_S_MAX = 60.0
BACKOFF_SPREAD = 0.2
FULL_PAGES_TO_DOUBLE = 5
LIMIT_MIN, LIMIT_MAX = 10, 500
NAMED_MAX = 128


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the federation is set to. `delay(random)`: one way, in seconds. `lost(source, target, now, random)`: whether
    a message that is sent now never arrives. `elsewhere`: whether questions that wait speak of origins."""

    interval_s: float
    timeout_s: float = 10.0
    wait_s: float = 0.0
    page: int = 100
    jitter: float = 0.0
    elsewhere: bool = True
    sync_s: float = 0.0005
    delay: Callable[[Random], float] = lambda random: 0.02
    lost: Callable[[int, int, float, Random], bool] = lambda source, target, now, random: False


@dataclass(eq=False)
class Question:
    """A pull on its way: who asks whom, from where, how much, and what need not be sent; when it was asked, and how
    long the asker's log was then."""

    puller: Puller
    number: int
    cursor: int
    page: int
    named: frozenset[int]
    asked: float
    length: int
    elsewhere: frozenset[int]
    """Origins whose facts come from others."""
    wait_s: float
    """How long the peer may hold it."""
    deadline: float = 0.0
    """Until when the peer may hold it."""


@dataclass
class Puller:
    """What node `here` knows of its reading of `peer`."""

    here: int
    peer: int
    page: int
    cursor: int = 0
    failures: int = 0
    full_pages: int = 0
    in_step: bool = True
    """Whether it has not rested yet."""
    number: int = 0
    """Of the question or rest under way; events that carry another number come too late."""
    resting: bool = False
    gave_up: bool = False
    """Whether the last question had no answer."""
    heard: bool = False
    """Whether the peer was heard from while a retry was under way."""
    storing: bool = False
    """Whether a page is being stored whose successor was asked for already."""
    came: Callable[[], None] | None = None
    """What is to be done with that one, which arrived first."""
    marks: deque[int] = field(default_factory=lambda: deque([0, 0], 2))
    """How long our log was when the last two answered questions were asked."""


@dataclass
class Node:
    """A log of (fact, from whom), what is in it, and a mailbox of (stage) functions that the writer takes."""

    log: list[tuple[int, int]] = field(default_factory=list)
    seen: dict[int, float] = field(default_factory=dict)
    """Fact -> when it became durable here."""
    mailbox: list[Callable[[], Callable[[], None] | None]] = field(default_factory=list)
    waiting: list[Question] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    """Peers, and other origins whose manifests came."""
    eager: dict[int, int] = field(default_factory=dict)
    """Origin -> the peer that brings its facts first."""
    busy: bool = False


class Model:
    """One run. `links` are ordered pairs (who asks, whom); `starts` the moment at which each such puller exists."""

    def __init__(self, nodes: int, links: Sequence[tuple[int, int]], rules: Rules, random: Random) -> None:
        self.rules, self.random = rules, random
        self.now = 0.0
        self.nodes = [Node() for _ in range(nodes)]
        self.pullers = {link: Puller(*link, rules.page) for link in links}
        for here, peer in links:
            self.nodes[here].known |= {here, peer}
        self.origins: list[int] = []
        """Fact -> the node that wrote it."""
        self.pulls: list[float] = []
        """When each question was sent."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), action))

    def run(self, writes: Iterable[tuple[float, int]], until: float, starts: dict[tuple[int, int], float]) -> None:
        """Simulate `writes` (when, where) until that moment."""
        for time, node in writes:
            self.at(time, lambda node=node: self._write(node))
        for link, puller in self.pullers.items():
            self.at(starts.get(link, 0.0), lambda puller=puller: self._ask(puller))
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()

    # --- the writer of a node ---

    def _mail(self, node: Node, stage: Callable[[], Callable[[], None] | None]) -> None:
        """`stage` runs when the writer takes it; what it returns runs after the sync, None when nothing is stored."""
        node.mailbox.append(stage)
        if not node.busy:
            node.busy = True
            self.at(self.now, lambda: self._turn(node))

    def _turn(self, node: Node) -> None:
        batch, node.mailbox = node.mailbox, []
        finish = [done for stage in batch if (done := stage()) is not None]
        if finish:
            self.at(self.now + self.rules.sync_s, lambda: self._durable(node, finish))
        else:
            self._next_turn(node)

    def _durable(self, node: Node, finish: list[Callable[[], None]]) -> None:
        before = len(node.log)
        for done in finish:
            done()
        if len(node.log) > before:
            for question in [held for held in node.waiting if self._choose(node, held, held.elsewhere)[0]]:
                self._release(node, question)
        self._next_turn(node)

    def _next_turn(self, node: Node) -> None:
        node.busy = bool(node.mailbox)
        if node.busy:
            self.at(self.now, lambda: self._turn(node))

    def _write(self, name: int) -> None:
        node, fact = self.nodes[name], len(self.origins)
        self.origins.append(name)
        self._mail(node, lambda: lambda: self._keep(node, [fact], name))

    def _keep(self, node: Node, facts: list[int], source: int) -> None:
        for fact in facts:
            if fact not in node.seen:
                node.seen[fact] = self.now
                node.log.append((fact, source))

    # --- serving ---

    def _choose(
        self, node: Node, question: Question, elsewhere: frozenset[int] = frozenset()
    ) -> tuple[list[int], int, bool]:
        """The facts of a page, the cursor after it, and whether there is more."""
        asker, cursor, stays = question.puller.here, question.cursor, False
        chosen: list[int] = []
        for fact, source in node.log[question.cursor :]:
            if asker not in (source, self.origins[fact]) and fact not in question.named:
                stays = stays or self.origins[fact] in elsewhere
                if self.origins[fact] not in elsewhere:
                    if len(chosen) == question.page:
                        return chosen, cursor, not stays
                    chosen.append(fact)
            cursor += not stays
        return chosen, cursor, False

    def _serve(self, node: Node, question: Question) -> Callable[[], None]:
        self._hear(self.pullers.get((question.puller.peer, question.puller.here)))
        if question.wait_s and not self._choose(node, question)[0]:
            question.deadline = self.now + question.wait_s
            return lambda: self._hold(node, question)
        page = self._choose(node, question)
        return lambda: self._send_back(question, page)

    def _hold(self, node: Node, question: Question) -> None:
        node.waiting.append(question)
        self.at(question.deadline, lambda: self._due(node, question))

    def _due(self, node: Node, question: Question) -> None:
        if question in node.waiting:
            self._release(node, question)

    def _release(self, node: Node, question: Question) -> None:
        node.waiting.remove(question)
        self._mail(node, lambda: self._send_back(question, self._choose(node, question, question.elsewhere)))

    def _send_back(self, question: Question, page: tuple[list[int], int, bool]) -> None:
        puller = question.puller
        self._send(puller.peer, puller.here, lambda: self._arrived(question, *page))

    def _send(self, source: int, target: int, arrives: Callable[[], None]) -> None:
        if not self.rules.lost(source, target, self.now, self.random):
            self.at(self.now + self.rules.delay(self.random), arrives)

    # --- pulling ---

    def _rest(self, puller: Puller, rest_s: float) -> None:
        eager = self.nodes[puller.here].eager
        self.nodes[puller.here].eager = {origin: peer for origin, peer in eager.items() if peer != puller.peer}
        puller.number += 1
        if puller.heard:
            puller.heard = False
            self._ask(puller)
            return
        puller.resting, number = True, puller.number
        self.at(self.now + rest_s, lambda: self._ask(puller) if puller.number == number else None)

    def _hear(self, puller: Puller | None) -> None:
        if puller is not None and puller.gave_up:
            if puller.resting:
                self._ask(puller)
            else:
                puller.heard = True

    def _ask(self, puller: Puller, *, ahead: bool = False) -> None:
        puller.resting, puller.storing = False, ahead
        puller.number += 1
        log, peer = self.nodes[puller.here].log, self.nodes[puller.peer]
        eager = self.nodes[puller.here].eager
        others = frozenset(origin for origin, first in eager.items() if puller.peer not in (first, origin))
        others, wait_s = (frozenset(), 0.0) if ahead else (others, self.rules.wait_s)
        unnamed = (puller.here,) if others else (puller.here, puller.peer)
        names = frozenset([fact for fact, source in log[puller.marks[0] :] if source not in unnamed][-NAMED_MAX:])
        question = Question(
            puller, puller.number, puller.cursor, puller.page, names, self.now, len(log), others, wait_s
        )
        self.pulls.append(self.now)
        self._send(puller.here, puller.peer, lambda: self._mail(peer, lambda: self._serve(peer, question)))
        patience_s = self.rules.timeout_s + wait_s
        self.at(self.now + patience_s, lambda: self._silence(question))

    def _silence(self, question: Question) -> None:
        puller = question.puller
        if puller.number != question.number:
            return
        puller.failures += 1
        puller.gave_up = True
        puller.full_pages, puller.page = 0, max(puller.page // 2, LIMIT_MIN)
        interval_s = self.rules.interval_s
        base_s = max(interval_s, BACKOFF_BASE_S_MIN) * 2.0 ** (puller.failures - 1)
        spread = 1.0 + BACKOFF_SPREAD * (2.0 * self.random.random() - 1.0)
        self._rest(puller, min(base_s, max(BACKOFF_S_MAX, interval_s)) * spread)

    def _arrived(self, question: Question, facts: list[int], cursor: int, more: bool) -> None:
        puller = question.puller
        if puller.number != question.number:
            return  # too late: the puller gave up
        if puller.storing:
            took_s = self.now - question.asked
            puller.came = lambda: self._taken(question, facts, cursor, more, took_s, ahead=True)
        else:
            self._taken(question, facts, cursor, more, self.now - question.asked)

    def _taken(
        self, question: Question, facts: list[int], cursor: int, more: bool, took_s: float, *, ahead: bool = False
    ) -> None:
        puller = question.puller
        if ahead and not facts:
            self._ask(puller)
            return
        puller.number += 1
        puller.failures, puller.gave_up = 0, False
        puller.marks.append(question.length)
        waited = question.wait_s > 0 and took_s >= question.wait_s / 2
        if not facts:
            puller.cursor, puller.full_pages = cursor, 0
            self._go_on(puller, at_once=waited)
            return
        if more:
            puller.cursor = cursor
            self._ask(puller, ahead=True)
        here = self.nodes[puller.here]
        strangers = {self.origins[fact] for fact in facts} - here.known
        here.known |= strangers

        def store() -> None:
            new = [fact for fact in facts if fact not in here.seen]
            self._keep(here, new, puller.peer)
            for origin in [self.origins[fact] for fact in new] if self.rules.wait_s and self.rules.elsewhere else []:
                late = origin in question.elsewhere or origin == puller.peer
                here.eager[origin] = puller.peer if late else here.eager.get(origin, puller.peer)
            puller.cursor = cursor
            puller.full_pages = puller.full_pages + 1 if len(facts) >= puller.page else 0
            if puller.full_pages >= FULL_PAGES_TO_DOUBLE:
                puller.full_pages, puller.page = 0, min(puller.page * 2, LIMIT_MAX)
            if not more:
                self._go_on(puller, at_once=self.rules.wait_s > 0)
                return
            puller.storing, came, puller.came = False, puller.came, None
            if came is not None:
                came()

        # The manifests of unknown origins come with their first facts and are made durable before these are looked at.
        self._mail(here, lambda: (lambda: self._mail(here, lambda: store)) if strangers else store)

    def _go_on(self, puller: Puller, *, at_once: bool) -> None:
        if at_once:
            self._ask(puller)
        else:
            spread = 1.0 + self.rules.jitter * (2.0 * self.random.random() - 1.0)
            share = self.random.random() if puller.in_step else spread
            puller.in_step = False
            self._rest(puller, self.rules.interval_s * share)
