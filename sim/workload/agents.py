"""Agents that work together through what they remember: they find, recall, conclude and hand over.

One workload is one team. Its agents talk to the node on their own machine and to nothing else, so that all that reaches
an agent elsewhere, of its own team or another, came through the federation. What each recalls, and how much of what had
been said by then that is, is told to `Clients.recalled`, and drawn in the figure `recall` of a run.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.kinds import kind
from sim.naming import agent, slug, topic
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import Rate, Share, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Agents"]

_SEEN: Final = ("leaking", "quiet", "warm", "late", "dented", "loud", "dry", "short", "loose", "clean")
_STANDS_ON: Final = 3
"""Facts that a conclusion names as what it stands on."""
_INBOX: Final = 20


class _Value(msgspec.Struct):
    v: Any = None


class _Fact(msgspec.Struct):
    id: str
    value: _Value


class _Scored(msgspec.Struct):
    fact: _Fact


class _Recalled(msgspec.Struct):
    facts: list[_Scored]


class _Listed(msgspec.Struct):
    facts: list[_Fact]


class _Stored(msgspec.Struct):
    id: str


@kind("agents")
class Agents(Workload, kw_only=True):
    """A team with `members` agents on each node, each of which takes up a piece of work at `rate`.

    A piece of work: the agent looks for what was handed to it, or takes one of `subjects` that every team works on; it
    states a finding; recalls what is known of the subject, within `budget` tokens; states a conclusion that names
    what it stands on; and in a share `handed_over` of the cases hands the subject to an agent of its team on another
    node.
    """

    rate: Rate = parse_rate("1/m")
    """Pieces of work per time for each agent."""
    members: Annotated[int, Meta(ge=1, le=100)] = 1
    """How many agents of the team are on each node."""
    subjects: Annotated[int, Meta(ge=1, le=10_000)] = 6
    """How many subjects there are; those of all teams are the same."""
    budget: Annotated[int, Meta(ge=1, le=200_000)] = 4_000
    """How many tokens an agent can spare for what it recalls."""
    handed_over: Share = 0.3
    """In which part of the cases an agent hands over what it worked on."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.name is None:
            raise Misfit("name", 'a team needs a name, such as name = "surveyors"')

    def run(self, clients: Clients) -> None:
        for node in self.on(clients):
            for number in range(self.members):
                worker = _Worker(self, clients, node, number)
                clients.poisson(worker.rng, self.rate, self.start, self.stop, worker.begin)


class _Worker:
    """One agent, and what it knows of itself."""

    def __init__(self, team: Agents, clients: Clients, node: str, number: int) -> None:
        self._team = team
        self._clients = clients
        self._node = node
        self._number = number
        self.rng: Random = clients.rng(f"{node}/{number}")
        self._name = f"{agent(node)}-{team.name}-{number}"
        self._done: dict[str, None] = {}
        """Facts that handed something to it, which it has taken up."""

    def begin(self, number: int) -> None:
        """Look for what was handed over, then work."""
        subject, seen, hands_over = self._draw()
        work = partial(self._work, number, seen, hands_over=hands_over)
        query = f"entity={quote(self._name, safe='')}&limit={_INBOX}&scope={self._team.scope}"

        def looked(answer: Response) -> None:
            if answer.status == 200 and self._goes_on:
                work(self._taken_up(answer) or subject)

        self._clients.request(self._node, Request("GET", f"/v1/facts?{query}"), looked)

    def _draw(self) -> tuple[str, str, bool]:
        """The chance of one piece of work, drawn at once, so that no answer moves what comes later."""
        rng = self.rng
        subject = topic(f"machine-{rng.randrange(self._team.subjects)}")
        return subject, _SEEN[rng.randrange(len(_SEEN))], rng.random() < self._team.handed_over

    @property
    def _goes_on(self) -> bool:
        return self._clients.now_ns < self._clients.end_of(self._team.stop)

    def _taken_up(self, answer: Response) -> str | None:
        for fact in msgspec.json.decode(answer.body, type=_Listed).facts:
            if fact.id not in self._done and isinstance(fact.value.v, str):
                self._done[fact.id] = None
                return fact.value.v
        return None

    def _work(self, number: int, seen: str, subject: str, *, hands_over: bool) -> None:
        clients, team = self._clients, self._team
        what = subject.rpartition("/")[2]

        def found(answer: Response) -> None:
            if answer.status == 201:
                clients.said(subject, msgspec.json.decode(answer.body, type=_Stored).id)
                if self._goes_on:
                    self._recall(subject, what, number, hands_over=hands_over)

        relation = f"team:finding-{number}-of-{slug(self._name)}"
        text = f"{what} is {seen}, says {self._name} in its note {number}"
        clients.write(self._node, subject, relation, text, scope=team.scope, source=self._name, kind="text", then=found)

    def _recall(self, subject: str, what: str, number: int, *, hands_over: bool) -> None:
        body = {"query": f"{what} is", "scope": self._team.scope, "token_budget": self._team.budget, "limit": 500}

        def recalled(answer: Response) -> None:
            if answer.status != 200:
                return
            facts = [each.fact for each in msgspec.json.decode(answer.body, type=_Recalled).facts]
            self._clients.recalled(self._node, subject, [fact.id for fact in facts])
            if self._goes_on:
                self._conclude(subject, what, number, [fact.id for fact in facts])
                if hands_over:
                    self._hand_over(subject, number)

        request = Request("POST", "/v1/recall", JSON_TYPE, msgspec.json.encode(body))
        self._clients.request(self._node, request, recalled)

    def _conclude(self, subject: str, what: str, number: int, known: list[str]) -> None:
        text = f"{what}: {len(known)} things are known, says {self._name}"
        self._clients.write(
            self._node, subject, f"team:conclusion-of-{slug(self._name)}", text, scope=self._team.scope,
            source=self._name, derived_from=known[:_STANDS_ON],
        )  # fmt: skip

    def _hand_over(self, subject: str, number: int) -> None:
        others = [node for node in self._team.on(self._clients) if node != self._node]
        if not others:
            return
        receiver = f"{agent(others[number % len(others)])}-{self._team.name}-{self._number}"
        self._clients.write(
            self._node, receiver, f"team:takes-up-from-{slug(self._name)}", subject, scope=self._team.scope,
            source=self._name, kind="ref",
        )  # fmt: skip
