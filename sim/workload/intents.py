"""Intents: agents that want something from each other, across nodes, and work on what they find in their boxes."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any, Final
from urllib.parse import quote

import msgspec

from sim.kinds import kind
from sim.naming import agent, topic
from sim.ports import Clients
from sim.units import Duration, Positive, Rate, parse_rate
from sim.workload.base import Workload
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Intents"]

_TIMEOUT_S: Final = 20
_BOX: Final = 50


class _Act(msgspec.Struct):
    kind: str
    by: str


class _Intent(msgspec.Struct):
    """What an agent looks at in an intent."""

    id: str
    state: str
    acts: list[_Act]
    box_as: list[str] = msgspec.field(name="as")


class _Box(msgspec.Struct):
    intents: list[_Intent]


class _Stored(msgspec.Struct):
    id: str


@kind("intents")
class Intents(Workload, kw_only=True):
    """The agent of each node sends intents at `rate` (Poisson, over all nodes) to agents of other nodes: with a limit,
    a rule of deference, somebody to escalate to, and a handoff that refers to a fact said just before. Every
    `look_every` it looks into its box, and accepts, consults, answers, gives up waiting, escalates, refuses or
    finishes, as drawn."""

    rate: Rate = parse_rate("6/m")
    """Intents per time, over all nodes."""
    look_every: Positive = Duration(10_000_000_000)
    """How often an agent looks into its box."""

    def run(self, clients: Clients) -> None:
        rng = clients.rng()
        names = self.on(clients)
        workers = {name: _Worker(self, clients, name) for name in names}

        def send(number: int) -> None:
            workers[rng.choice(names)].say(number)

        clients.poisson(rng, self.rate, self.start, self.stop, send)
        for worker in workers.values():
            clients.every(self.look_every, self.start, self.stop, worker.look)


class _Worker:
    """The agent of one node."""

    def __init__(self, workload: Intents, clients: Clients, node: str) -> None:
        self._workload = workload
        self._clients = clients
        self._node = node
        self._name = agent(node)
        self._others = [name for name in clients.nodes if name != node] or [node]

    @property
    def _goes_on(self) -> bool:
        return self._clients.now_ns < self._clients.end_of(self._workload.stop)

    def say(self, number: int) -> None:
        """Say a fact, and then send an intent that refers to it."""
        rng = self._clients.rng(f"{self._node}/send-{number}")

        def said(answer: Response) -> None:
            if answer.status == 201 and self._goes_on:
                self._send(number, rng, msgspec.json.decode(answer.body, type=_Stored).id)

        text = f"seen before intent {number}"
        self._clients.write(
            self._node, topic(number), "team:seen", text, scope=self._workload.scope, source=self._name, then=said
        )

    def _send(self, number: int, rng: Random, known: str) -> None:
        receiver, asked, decider = (agent(rng.choice(self._others)) for _ in range(3))
        body = {
            "from": self._name, "to": [receiver], "goal": f"goal {number}", "scope": self._workload.scope,
            "constraint": [{"kind": "budget", "limit": {"type": "number", "v": float(number)}, "unit": "EUR"}],
            "deference": [{"condition": "cost > 100", "defer_to": asked, "timeout_s": _TIMEOUT_S}],
            "escalation": {"escalate_to": decider, "priority": "high"},
            "handoff": {"summary": f"found at {number}", "fact_refs": [known]},
        }  # fmt: skip
        self._post("/v1/intents", body)

    def look(self, number: int) -> None:
        """Look into the box, and do something about each intent in it, or nothing."""
        rng = self._clients.rng(f"{self._node}/look-{number}")
        query = f"of={quote(self._name, safe='')}&scope={self._workload.scope}&limit={_BOX}"
        self._clients.request(self._node, Request("GET", f"/v1/intents?{query}"), partial(self._work, rng))

    def _work(self, rng: Random, answer: Response) -> None:
        if answer.status != 200 or not self._goes_on:
            return
        for intent in msgspec.json.decode(answer.body, type=_Box).intents:
            chosen = self._choose(intent, rng.random())
            if chosen is not None:
                self._post(f"/v1/intents/{intent.id}/acts", chosen | {"by": self._name})

    def _choose(self, intent: _Intent, chance: float) -> dict[str, Any] | None:
        """What to do about an intent."""
        if "deferred_to" in intent.box_as:
            return {"kind": "answered", "rule": 0, "text": "go on"} if chance < 0.5 else None
        if intent.state == "escalated":
            return {"kind": "accepted" if chance < 0.5 else "refused"} if "escalated_to" in intent.box_as else None
        if intent.state == "deferred":
            # Too early is refused, and tried again at the next look.
            return {"kind": "timed_out", "rule": 0} if "recipient" in intent.box_as else None
        was_consulted = any(act.kind == "consulted" for act in intent.acts)
        was_escalated = any(act.kind == "escalated" for act in intent.acts)
        if chance < 0.3 and not was_consulted and "recipient" in intent.box_as:
            return {"kind": "consulted", "rule": 0}
        if chance < 0.45 and not was_escalated:
            return {"kind": "escalated", "text": "over the limit"}
        if chance < 0.55:
            return {"kind": "refused"}
        return {"kind": "accepted" if intent.state == "open" else "done"}

    def _post(self, target: str, body: dict[str, Any]) -> None:
        request = Request("POST", target, JSON_TYPE, msgspec.json.encode(body))
        self._clients.request(self._node, request, _done)


def _done(_answer: Response) -> None:
    """An act that came too early, or after somebody else's, is refused; the next look tells what is left to do."""
