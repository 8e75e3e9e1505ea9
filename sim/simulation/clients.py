"""People and programs on the machines: they write, resolve and ask through their own node's API.

`WorkloadClients` is what a workload touches of a run (`sim.ports.Clients`), one for each; what all of them send goes
through one `Submissions`, which counts it. A client does not try again: who meets a machine that is off, or is cut off
with it, has not written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from sim.naming import agent
from sim.observation.reads import Moment, Question, Read, ShownFact
from sim.observation.recollections import Recollections
from sim.simulation.arrivals import Arrivals
from sim.topology.federation import Federation
from sim.world.machine import OPERATOR, Machine
from sim.world.random_streams import RandomStreams
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.callers import Principal

__all__ = ["Reads", "Submissions", "WorkloadClients"]

_SHOWN_MAX: Final = 1_000
"""Facts after which nobody reads on."""


class _Stored(msgspec.Struct):
    """What a client looks at in the answer to a write."""

    id: str


class _Resolved(msgspec.Struct):
    resolution_fact_id: str


class Reads(NamedTuple):
    """Who judges what clients are shown. `moment`: of a node, None while its machine is off."""

    moment: Callable[[str], Moment | None]
    told: Callable[[Read], None]


class _Page(msgspec.Struct):
    facts: list[ShownFact]
    cursor: str | None


class Submissions:
    """What clients sent to the nodes on their machines, and what became of it."""

    def __init__(
        self,
        machines: Mapping[str, Machine],
        acknowledged: Callable[[str, str], None],
        is_interrupted: Callable[[], bool],
        recollections: Recollections,
        reads: Reads | None = None,
    ) -> None:
        """`acknowledged` is called with the names of the machine and of the fact whenever a write was answered 201.
        `is_interrupted` is asked before each write: one event may hold thousands of them. `reads`: who is told what
        readers were shown; None where nobody judges it."""
        self.writes = 0
        """Facts and resolutions that clients wanted to write."""
        self.acknowledged = 0
        self.refused: dict[int, int] = {}
        """Status of the answer -> how often a write had it; 0 is a machine that was off."""
        self.recollections = recollections
        self.reads = reads
        self._machines = machines
        self._on_acknowledged = acknowledged
        self._is_interrupted = is_interrupted
        self._unanswered: dict[str, int] = {}

    @property
    def waiting(self) -> bool:
        """Whether a running machine has taken a request and not answered it."""
        return any(self._unanswered.values())

    def cut_off(self, node: str) -> None:
        """The machine lost power: nobody on it waits any more."""
        self._unanswered.pop(node, None)

    def ask(
        self, node: str, request: Request, then: Callable[[Response], None], *, by: Principal | None = None
    ) -> bool:
        """A client on a node's machine sends a request; False when the machine is off. `by`: who is known to ask."""

        def answered(response: Response) -> None:
            self._unanswered[node] -= 1
            then(response)

        self._unanswered[node] = self._unanswered.get(node, 0) + 1
        taken = self._machines[node].local(request, answered, by)
        if not taken:
            self._unanswered[node] -= 1
        return taken

    def submit(self, node: str, request: Request, answered: Callable[[Response], None]) -> None:
        """As `ask`, for a write."""
        if self._is_interrupted():
            return
        self.writes += 1
        if not self.ask(node, request, answered):
            self.refuse(0)

    def refuse(self, status: int) -> None:
        """A write was answered otherwise than its client wanted."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def acknowledge(self, node: str, fact_id: str) -> None:
        """A write was answered: it is on the disk."""
        self.acknowledged += 1
        self._on_acknowledged(node, fact_id)


class WorkloadClients:
    """The clients of one workload, with chance of their own."""

    def __init__(
        self,
        stream: str,
        submissions: Submissions,
        machines: Mapping[str, Machine],
        *,
        federation: Federation,
        arrivals: Arrivals,
        streams: RandomStreams,
    ) -> None:
        """`stream` is the name of the workload's own chance."""
        self.federation = federation
        self._stream = stream
        self._name = stream.partition("/")[2]
        self._submissions = submissions
        self._machines = machines
        self._arrivals = arrivals
        self._streams = streams

    # --- looking ---

    @property
    def now_ns(self) -> int:
        return self._arrivals.now_ns

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.federation.nodes

    def rng(self, name: str = "") -> Random:
        return self._streams.stream(f"{self._stream}/{name}" if name else self._stream)

    def wall_ns(self, node: str) -> int:
        return self._machines[node].clock.wall(self._arrivals.now_ns)

    # --- asking ---

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
        derived_from: Sequence[str] = (),
        then: Callable[[Response], None] | None = None,
    ) -> None:
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
        if derived_from:
            body["derived_from"] = [{"fact_id": fact_id} for fact_id in derived_from]
        submissions = self._submissions

        def answered(response: Response) -> None:
            if response.status == 201:
                submissions.acknowledge(node, msgspec.json.decode(response.body, type=_Stored).id)
            else:
                submissions.refuse(response.status)
            if then is not None:
                then(response)

        submissions.submit(node, Request("POST", "/v1/facts", JSON_TYPE, msgspec.json.encode(body)), answered)

    def resolve(self, node: str, conflict: str, body: dict[str, Any]) -> None:
        submissions = self._submissions

        def answered(response: Response) -> None:
            if response.status == 200:
                fact_id = msgspec.json.decode(response.body, type=_Resolved).resolution_fact_id
                submissions.acknowledge(node, fact_id)
            elif response.status not in (404, 409):  # moot or settled meanwhile: nothing was refused
                submissions.refuse(response.status)

        target = f"/v1/conflicts/{conflict}/resolve"
        submissions.submit(node, Request("POST", target, JSON_TYPE, msgspec.json.encode(body)), answered)

    def request(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        return self._submissions.ask(node, request, then)

    def console(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        return self._submissions.ask(node, request, then, by=OPERATOR)

    def look(self, node: str, question: Question) -> None:
        reads = self._submissions.reads
        begun = None if reads is None else reads.moment(node)
        if reads is None or begun is None:
            return
        shown: list[ShownFact] = []
        query = f"entity={quote(question.entity, safe='')}&limit={question.limit}"
        query += "" if question.scope is None else f"&scope={question.scope}"

        def answered(answer: Response) -> None:
            if answer.status != 200:
                return
            page = msgspec.json.decode(answer.body, type=_Page)
            shown.extend(page.facts)
            if page.cursor is not None and len(shown) <= _SHOWN_MAX:
                self.request(node, Request("GET", f"/v1/facts?{query}&cursor={quote(page.cursor, safe='')}"), answered)
            elif page.cursor is None and (ended := reads.moment(node)) is not None:
                reads.told(Read(node, question, begun, ended, shown))

        self.request(node, Request("GET", f"/v1/facts?{query}"), answered)

    def said(self, subject: str, fact_id: str) -> None:
        self._submissions.recollections.said(self._name, subject, fact_id)

    def recalled(self, node: str, subject: str, fact_ids: Sequence[str]) -> None:
        self._submissions.recollections.recalled(self._name, node, subject, fact_ids)

    # --- when ---

    def end_of(self, stop: int | None) -> int:
        return self._arrivals.end_of(stop)

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        self._arrivals.at(when_ns, action)

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self._arrivals.after(delay_ns, action)

    def poisson(
        self, rng: Random, rate: float, start_ns: int, stop_ns: int | None, action: Callable[[int], None]
    ) -> None:
        self._arrivals.poisson(rng, rate, start_ns, stop_ns, action)

    def every(self, period_ns: int, start_ns: int, stop_ns: int | None, action: Callable[[int], None]) -> None:
        self._arrivals.every(period_ns, start_ns, stop_ns, action)
