"""People and programs on the machines: they write, resolve and ask through their own node's API.

What workloads do ends here as requests; what came of them is counted on the simulation. A client does not try
again: who meets a machine that is off, or is cut off with it, has not written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from sim.naming import agent
from stigmem.core.wire import JSON_TYPE, Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.world.machine import Machine

__all__ = ["Clients"]


class _Stored(msgspec.Struct):
    """What a client looks at in the answer to a write."""

    id: str


class Clients:
    """Every client of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._unanswered: dict[str, int] = {}

    @property
    def waiting(self) -> bool:
        """Whether a running machine has taken a request and not answered it."""
        return any(self._unanswered.values())

    def cut_off(self, node: str) -> None:
        """The machine lost power: nobody on it waits any more."""
        self._unanswered.pop(node, None)

    def write(
        self,
        node: str,
        entity: str,
        relation: str,
        value: Any,
        *,
        scope: str = "public",
        source: str | None = None,
        kind: str = "string",
        confidence: float = 1.0,
        valid_until: str | None = None,
        then: Callable[[Response], None] | None = None,
    ) -> None:
        """A client on a node's machine asserts a fact; `then` gets the answer."""
        body: dict[str, Any] = {
            "entity": entity,
            "relation": relation,
            "value": {"type": kind} if kind == "null" else {"type": kind, "v": value},
            "source": source or agent(node),
            "scope": scope,
            "confidence": confidence,
        }
        if valid_until is not None:
            body["valid_until"] = valid_until
        machine = self._simulation.machines[node]

        def answered(response: Response) -> None:
            if response.status == 201:
                self._acknowledge(machine, msgspec.json.decode(response.body, type=_Stored).id)
            else:
                self._refused(response.status)
            if then is not None:
                then(response)

        self._submit(machine, Request("POST", "/v1/facts", JSON_TYPE, msgspec.json.encode(body)), answered)

    def resolve(self, node: str, conflict: str, body: dict[str, Any]) -> None:
        """A client on a node's machine settles a conflict."""
        machine = self._simulation.machines[node]

        def answered(response: Response) -> None:
            if response.status == 200:
                self._acknowledge(machine, msgspec.json.decode(response.body)["resolution_fact_id"])
            elif response.status not in (404, 409):  # moot or settled meanwhile: nothing was refused
                self._refused(response.status)

        target = f"/v1/conflicts/{conflict}/resolve"
        self._submit(machine, Request("POST", target, JSON_TYPE, msgspec.json.encode(body)), answered)

    def ask(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """A client on a node's machine sends a request; False when the machine is off."""

        def answered(response: Response) -> None:
            self._unanswered[node] -= 1
            then(response)

        self._unanswered[node] = self._unanswered.get(node, 0) + 1
        taken = self._simulation.machines[node].local(request, answered)
        if not taken:
            self._unanswered[node] -= 1
        return taken

    def _submit(self, machine: Machine, request: Request, answered: Callable[[Response], None]) -> None:
        if self._simulation.interrupted():
            return
        self._simulation.writes += 1
        if not self.ask(machine.name, request, answered):
            self._refused(0)

    def _refused(self, status: int) -> None:
        counts = self._simulation.refused_writes
        counts[status] = counts.get(status, 0) + 1

    def _acknowledge(self, machine: Machine, fact_id: str) -> None:
        self._simulation.acknowledged += 1
        self._simulation.relay.acknowledged(machine.name, fact_id)
