"""The pull protocol as spec/replication.md tells it, on a plain heap: a second opinion on the laboratory.

Nothing of `stigmem` or `sim` is imported and no signature, text or byte exists here: a fact is a number. What is
modelled, in the words of the specification:

    puller   asks at once, stores the page, goes on while there is more, and rests: a random part of the interval the
             first time, then the interval, spread by the jitter (1, 2). After a page that says "more" the next is asked
             for when it arrives, without a wait, and looked at when it is stored; if empty, it is asked for again (1).
             No answer within the timeout: back-off, which ends when the peer is heard from, or after a retry (2).
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

BACKOFF_BASE_S_MIN, BACKOFF_S_MAX, BACKOFF_SPREAD = 1.0, 60.0, 0.2
FULL_PAGES_TO_DOUBLE, LIMIT_MIN, LIMIT_MAX, NAMED_MAX = 5, 10, 500, 128

Action = Callable[[], None]
Stage = Callable[[], Action | None]  # runs when a writer takes it; what it returns, if it stores anything, when synced
Page = tuple[list[int], int, bool]  # facts, the cursor after them, and whether there is more


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
    """A pull on its way: who asks, from where, how much, and what need not be sent; when it was asked, and how long the
    asker's log was then; origins whose facts come from others; how long the peer may hold it."""

    puller: Puller
    number: int
    cursor: int
    page: int
    named: frozenset[int]
    asked: float
    length: int
    elsewhere: frozenset[int]
    wait_s: float


@dataclass
class Puller:
    """What node `here` knows of its reading of `peer`. `marks`: our log's length at its last two answered questions."""

    here: int
    peer: int
    page: int
    cursor: int = 0
    failures: int = 0
    full_pages: int = 0
    in_step: bool = True  # has not rested yet
    number: int = 0  # of the question or rest under way; events that carry another number come too late
    resting: bool = False
    heard: bool = False  # of the peer, while a retry was under way
    storing: bool = False  # a page whose successor was asked for already
    came: Action | None = None  # what is to be done with that one, which arrived first
    marks: deque[int] = field(default_factory=lambda: deque([0, 0], 2))


@dataclass
class Node:
    """A log of (fact, from whom), when each fact became durable here, and a mailbox that the writer takes."""

    log: list[tuple[int, int]] = field(default_factory=list)
    seen: dict[int, float] = field(default_factory=dict)
    mailbox: list[Stage] = field(default_factory=list)
    waiting: list[Question] = field(default_factory=list)
    known: set[int] = field(default_factory=set)  # peers, and other origins whose manifests came
    eager: dict[int, int] = field(default_factory=dict)  # origin -> the peer that brings its facts first
    busy: bool = False


class Model:
    """One run. `links` are ordered pairs (who asks, whom); `starts` the moment at which each such puller exists."""

    def __init__(self, nodes: int, links: Sequence[tuple[int, int]], rules: Rules, random: Random) -> None:
        self.rules, self.random, self.now = rules, random, 0.0
        self.nodes = [Node() for _ in range(nodes)]
        self.pullers = {link: Puller(*link, rules.page) for link in links}
        for here, peer in links:
            self.nodes[here].known |= {here, peer}
        self.origins: list[int] = []  # fact -> the node that wrote it
        self.pulls: list[float] = []  # when each question was sent
        self._events: list[tuple[float, int, Action]] = []
        self._order = count()

    def at(self, time: float, action: Action) -> None:
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

    def _mail(self, node: Node, stage: Stage) -> None:
        node.mailbox.append(stage)
        if not node.busy:
            node.busy = True
            self.at(self.now, lambda: self._turn(node))

    def _turn(self, node: Node) -> None:
        batch, node.mailbox = node.mailbox, []
        finish = [done for stage in batch if (done := stage()) is not None]
        self.at(self.now + (self.rules.sync_s if finish else 0.0), lambda: self._durable(node, finish))

    def _durable(self, node: Node, finish: list[Action]) -> None:
        before = len(node.log)
        for done in finish:
            done()
        if len(node.log) > before:
            for question in [held for held in node.waiting if self._choose(node, held, held.elsewhere)[0]]:
                self._release(node, question)
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

    def _choose(self, node: Node, question: Question, elsewhere: frozenset[int] = frozenset()) -> Page:
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

    def _serve(self, node: Node, question: Question) -> Action:
        self._hear(self.pullers.get((question.puller.peer, question.puller.here)))
        page, due = self._choose(node, question), self.now + question.wait_s
        if question.wait_s and not page[0]:
            return lambda: self._hold(node, question, due)
        return lambda: self._send_back(question, page)

    def _hold(self, node: Node, question: Question, due: float) -> None:
        node.waiting.append(question)
        self.at(due, lambda: self._release(node, question) if question in node.waiting else None)

    def _release(self, node: Node, question: Question) -> None:
        node.waiting.remove(question)
        self._mail(node, lambda: self._send_back(question, self._choose(node, question, question.elsewhere)))

    def _send_back(self, question: Question, page: Page) -> None:
        self._send(question.puller.peer, question.puller.here, lambda: self._arrived(question, page))

    def _send(self, source: int, target: int, arrives: Action) -> None:
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
        if puller is not None and puller.failures:
            puller.heard = not puller.resting
            if puller.resting:
                self._ask(puller)

    def _ask(self, puller: Puller, *, ahead: bool = False) -> None:
        puller.resting, puller.storing = False, ahead
        puller.number += 1
        here, peer = self.nodes[puller.here], self.nodes[puller.peer]
        wait_s, eager = (0.0, {}) if ahead else (self.rules.wait_s, here.eager)
        others = frozenset(origin for origin, first in eager.items() if puller.peer not in (first, origin))
        unnamed = (puller.here,) if others else (puller.here, puller.peer)
        names = [fact for fact, source in here.log[puller.marks[0] :] if source not in unnamed][-NAMED_MAX:]
        place = (puller.number, puller.cursor, puller.page)
        question = Question(puller, *place, frozenset(names), self.now, len(here.log), others, wait_s)
        self.pulls.append(self.now)
        self._send(puller.here, puller.peer, lambda: self._mail(peer, lambda: self._serve(peer, question)))
        self.at(self.now + self.rules.timeout_s + wait_s, lambda: self._silence(question))

    def _silence(self, question: Question) -> None:
        puller, interval_s = question.puller, self.rules.interval_s
        if puller.number != question.number:
            return
        puller.failures, puller.full_pages, puller.page = puller.failures + 1, 0, max(puller.page // 2, LIMIT_MIN)
        base_s = max(interval_s, BACKOFF_BASE_S_MIN) * 2.0 ** (puller.failures - 1)
        spread = 1.0 + BACKOFF_SPREAD * (2.0 * self.random.random() - 1.0)
        self._rest(puller, min(base_s, max(BACKOFF_S_MAX, interval_s)) * spread)

    def _arrived(self, question: Question, page: Page) -> None:
        puller, took_s = question.puller, self.now - question.asked
        if puller.number != question.number:
            return  # too late: the puller gave up
        if puller.storing:
            puller.came = lambda: self._taken(question, page, took_s, ahead=True)
        else:
            self._taken(question, page, took_s)

    def _taken(self, question: Question, page: Page, took_s: float, *, ahead: bool = False) -> None:
        puller, (facts, cursor, more) = question.puller, page
        if ahead and not facts:
            self._ask(puller)
            return
        puller.number, puller.failures = puller.number + 1, 0
        puller.marks.append(question.length)
        if not facts:
            puller.cursor, puller.full_pages = cursor, 0
            self._go_on(puller, at_once=question.wait_s > 0 and took_s >= question.wait_s / 2)
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
            return
        spread = 1.0 + self.rules.jitter * (2.0 * self.random.random() - 1.0)
        share = self.random.random() if puller.in_step else spread
        puller.in_step = False
        self._rest(puller, self.rules.interval_s * share)
