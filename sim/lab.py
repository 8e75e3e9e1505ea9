"""The laboratory: machines, wire, faults, workloads and checkers of one run, put together and set going.

Phases: machines boot and shake hands; workloads and faults run until `duration`; then every fault ends, links
heal, and the federation has `settle` to converge. Checkers watch every commit all the while. What is measured
and judged is `sim.result`'s to tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import trio

from sim.adversary.peer import ScriptedPeer
from sim.chance import Streams
from sim.check import Checker, Commit, Violation, standard_checkers
from sim.clocks import NodeClock
from sim.disk import Disk
from sim.fault import Fault
from sim.latency import standing_rules
from sim.machine import OPERATOR, Machine
from sim.measure import FactSeen, Measure
from sim.network import Network, Rule
from sim.operator import Operator
from sim.plan import Plan
from sim.post import Host
from sim.sampling import Sampler
from sim.trace import Trace
from sim.units import Duration
from sim.world import World, simulate
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.keys import ED25519, STAND_IN
from stigmem.core.records import Record
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.settings import NodeSettings

__all__ = ["Lab"]

_SECOND: Final = 1_000_000_000
_HANDSHAKES_BEGIN: Final = _SECOND // 10


class Lab:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        seed: int | None = None,
        trace_path: Path | None = None,
        checkers: Sequence[Checker] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.plan = plan
        self.scenario = plan.scenario
        table = plan.scenario.scenario
        self.seed = table.seed if seed is None else seed
        self.duration: int = table.duration
        self.deadline: int = table.duration + table.settle
        self.streams = Streams(self.seed)
        self.world = World()
        self.trace = Trace(self.world, trace_path)
        self.network = Network(self.world, self.trace)
        self.directory: dict[str, Host] = {}
        self.measure = Measure(plan.nodes, plan.readers)
        self.machines: dict[str, Machine] = {}
        self.adversaries: dict[str, ScriptedPeer] = {}
        self.gone: dict[str, None] = {}
        """Machines that left for good."""
        self.name_of_node: dict[str, str] = {}
        """Node id -> the name the scenario gives it."""
        self.checkers = list(standard_checkers() if checkers is None else checkers)
        self.violation: Violation | None = None
        self.converged_at: int | None = None
        self.ribbons: list[tuple[str, tuple[str, ...], int, int]] = []
        """(label, nodes, begin, end) of every fault that happened, for figures."""
        self.refused_writes: dict[int, int] = {}
        self.writes = self.acknowledged = self.requests = 0
        self.rejections: dict[str, int] = {}
        self.sampler = Sampler(self)
        self.operator = Operator(self)
        self._home: trio.Nursery | None = None
        self._progress = progress
        self._rules: dict[int, list[Rule]] = {}
        self._active: dict[int, tuple[Fault, int]] = {}
        self._build()

    # --- building ---

    def _build(self) -> None:
        for rule in standing_rules(self.plan, self.streams.stream):
            self.network.add(rule)
        clocks = {table.node: table for table in self.scenario.clock}
        for name in self.plan.nodes:
            table = clocks.get(name)
            clock = NodeClock(
                offset_ns=0 if table is None else table.offset, drift_ppm=0 if table is None else table.drift_ppm
            )
            disk = Disk(
                self.random(f"disk/{name}"),
                sync_ns=self.scenario.disk.sync,
                capacity_bytes=self.scenario.disk.capacity,
            )
            machine = Machine(
                name,
                self.world,
                self.network,
                self.directory,
                self._settings(name),
                clock,
                disk,
                self.random(f"entropy/{name}"),
                self,
            )
            self.machines[name] = machine
            self.directory[machine.url] = machine
        for table_ in self.scenario.adversary:
            self.adversaries[table_.node] = ScriptedPeer(self, table_)

    def _settings(self, name: str) -> NodeSettings:
        federation = self.scenario.federation
        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        suite = STAND_IN if self.scenario.scenario.signatures == "stand-in" else ED25519
        return NodeSettings(
            seed=hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=32, person=b"sim node key").digest(),
            node_url=f"http://{slug}.sim",
            node_id="" if federation.node_ids == "certified" else f"stigmem://{slug}.sim",
            suite=suite,
            auth_required=False,
            federation=True,
            scopes=tuple(federation.scopes),
            allow_team=federation.allow_team,
            relay=federation.relay,
            origin_keys=federation.origin_keys,
            owned_sources_only=federation.owned_sources_only,
            pull_interval_s=federation.pull_interval / _SECOND,
            pull_timeout_s=federation.pull_timeout / _SECOND,
            pull_wait_s=federation.pull_wait / _SECOND,
            pull_limit=federation.pull_limit,
            skew_future_ms=federation.skew_future // 1_000_000,
            skew_past_ms=federation.skew_past // 1_000_000,
            drag_ms=federation.drag // 1_000_000,
            mailbox_messages_max=federation.mailbox,
        )

    # --- running ---

    def run(self) -> None:
        """Simulate from the first boot to the verdict. Raises what a bug of ours raises."""
        simulate(self.world, self._main)

    async def _main(self) -> None:
        async with trio.open_nursery() as home:
            self._home = home
            late = {name for fault in self.scenario.fault for name in fault.boots_later()}
            for name, machine in self.machines.items():
                if name not in late:
                    machine.boot(home)
            self._schedule()
            await self.world.run()
            home.cancel_scope.cancel()

    def _schedule(self) -> None:
        world = self.world
        world.at(_HANDSHAKES_BEGIN, lambda _: self.operator.link_everyone())
        for number, workload in enumerate(self.scenario.workload):
            world.at(0, self._start_workload, (number, workload))
        for fault in self.scenario.fault:
            world.at(fault.at, self._begin, fault)
        for peer in self.adversaries.values():
            world.at(max(peer.adversary.at, _HANDSHAKES_BEGIN), lambda _, peer=peer: peer.begin())
        world.at(self.duration, lambda _: self._heal())
        world.at(0, lambda _: self._tick())
        self.sampler.schedule()

    def _start_workload(self, what: tuple[int, Any]) -> None:
        number, workload = what
        workload.run(self, f"workload/{number}")

    def _begin(self, fault: Fault) -> None:
        self.trace.event("fault begins", fault.label(), list(fault.nodes()))
        fault.begin(self)
        self._active[id(fault)] = (fault, self.world.now)
        if fault.lasts is not None:
            self.world.at(fault.at + fault.lasts, self._end, fault)
        elif fault.momentary:
            self._close(fault)

    def _end(self, fault: Fault) -> None:
        if id(fault) in self._active:
            self.trace.event("fault ends", fault.label(), list(fault.nodes()))
            fault.end(self)
            self._close(fault)

    def _close(self, fault: Fault) -> None:
        _, began = self._active.pop(id(fault))
        self.ribbons.append((fault.label(), fault.nodes(), began, self.world.now))

    def _heal(self) -> None:
        """All faults end, links heal, machines that are off and should not be come back."""
        self.trace.event("faults end")
        for fault, _ in list(self._active.values()):
            self._end(fault)
        for peer in self.adversaries.values():
            peer.stop()
        for machine in self.machines.values():
            machine.resume()
            if not machine.up and machine.name not in self.gone:
                self.boot(machine.name)
        self._watch_convergence(None)

    def _watch_convergence(self, _: Any) -> None:
        if self._settled():
            self.converged_at = self.world.now
            self.trace.event("converged")
            self.world.finish()
        elif self.world.now >= self.deadline:
            self.world.finish()
        else:
            self.world.after(_SECOND // 4, self._watch_convergence)

    def _settled(self) -> bool:
        """Whether everybody holds what it should, no fact waits to become due, and conflicts agree."""
        if self.measure.missing or not self.operator.all_linked():
            return False
        nodes = [machine.node for machine in self.machines.values() if machine.name not in self.gone]
        if any(node is None or node.state.deferred for node in nodes):
            return False
        return all(checker.agrees(self) for checker in self.checkers)

    def _tick(self) -> None:
        if self._progress is not None:
            self._progress(self.world.now, self.deadline)
        if self.world.now < self.deadline:
            self.world.after(max(_SECOND, self.deadline // 400), lambda _: self._tick())

    # --- what machines tell (sim.machine.Watch) ---

    def committed(self, machine: Machine, records: Sequence[Record], payload: bytes) -> None:
        """A batch became durable on a machine."""
        now = self.world.now
        self.trace.commit(machine.name, len(records), payload)
        for record in records:
            if isinstance(record, Fact):
                self._stored(machine.name, record, now)
            elif isinstance(record, AuditRow):
                self._audited(record)
        commit = Commit(machine, records, now)
        for checker in self.checkers:
            violation = checker.committed(self, commit)
            if violation is not None:
                self.violated(violation)
                return

    def _stored(self, name: str, fact: Fact, now: int) -> None:
        origin = self.name_of_node.get(fact.origin)
        if origin is None or fact.quarantine is not None:
            return
        if fact.received_from is None:
            self.measure.written(FactSeen(fact.id, origin, fact.scope, fact.entity, fact.relation, now))
        else:
            self.measure.saw(name, origin, fact.id, now)

    def _audited(self, row: AuditRow) -> None:
        if row.event in ("fact_write", "page_accepted"):
            return
        reason = msgspec.json.decode(row.detail).get("reason")
        if reason is not None:
            self.rejections[reason] = self.rejections.get(reason, 0) + 1

    def booted(self, machine: Machine) -> None:
        """A machine's node is running."""
        node = machine.node
        if node is None:
            return
        self.name_of_node[node.node_id] = machine.name
        self.trace.event("booted", machine.name, machine.boots, len(node.state.ledger))
        node.on_fault = self._bug
        for fact in node.state.ledger.log:  # a batch may have survived a crash that nobody was told of
            known = self.measure.number(self.name_of_node.get(fact.origin, ""), fact.id) is not None
            if not known or fact.received_from is not None:
                self._stored(machine.name, fact, self.world.now)
        for checker in self.checkers:
            violation = checker.booted(self, machine)
            if violation is not None:
                self.violated(violation)
                return

    def stopped(self, machine: Machine, how: str, fate: str) -> None:
        """A machine lost power."""
        self.trace.event(how, machine.name, fate)

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None:
        """A node is about to put an answer on the wire."""
        self.requests += 1
        for checker in self.checkers:
            violation = checker.served(self, machine, asker, request, response)
            if violation is not None:
                self.violated(violation)
                return

    def _bug(self, fault: Exception) -> None:
        self.world.finish(fault)

    def violated(self, violation: Violation) -> None:
        """A property does not hold: the run is over."""
        if self.violation is None:
            self.violation = violation
            self.trace.event("violated", violation.checker, violation.sentence)
            self.world.finish()

    # --- verbs for faults and workloads ---

    def random(self, stream: str) -> Random:
        """The random stream of this name."""
        return self.streams.stream(stream)

    def rule_on(self, fault: Fault, rule: Rule) -> None:
        """Put a rule in force on behalf of a fault."""
        self._rules.setdefault(id(fault), []).append(rule)
        self.network.add(rule)

    def rules_off(self, fault: Fault) -> None:
        """Lift a fault's rules."""
        for rule in self._rules.pop(id(fault), []):
            self.network.lift(rule)

    def boot(self, name: str) -> None:
        """Switch a machine on, and see to its links."""
        if self._home is not None:
            self.machines[name].boot(self._home)
            self.world.after(_HANDSHAKES_BEGIN, lambda _: self.operator.link(name))

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
            "source": source or f"agent:{node.lower().replace(' ', '-')}",
            "scope": scope,
            "confidence": confidence,
        }
        if valid_until is not None:
            body["valid_until"] = valid_until
        machine = self.machines[node]
        self.writes += 1

        def answered(response: Response) -> None:
            if response.status == 201:
                self.acknowledged += 1
                for checker in self.checkers:
                    checker.acknowledged(self, machine, response)
            else:
                self.refused_writes[response.status] = self.refused_writes.get(response.status, 0) + 1
            if then is not None:
                then(response)

        request = Request("POST", "/v1/facts", JSON_TYPE, msgspec.json.encode(body))
        if not machine.local(request, answered):
            self.refused_writes[0] = self.refused_writes.get(0, 0) + 1

    def console(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """The operator of a node does something at its console; False when the node is off."""
        return self.machines[node].local(request, then, OPERATOR)

    def poisson(
        self, chance: Random, rate: float, start: int, stop: Duration | None, action: Callable[[int], None]
    ) -> None:
        """Call `action(0)`, `action(1)`... as a Poisson process of `rate` per second."""
        end = self.duration if stop is None else min(stop, self.duration)

        def gap() -> int:
            return round(chance.expovariate(rate) * 1e6) * 1_000

        def step(number: int) -> None:
            if self.world.now < end:
                action(number)
                self.world.after(gap(), step, number + 1)

        if rate > 0:
            self.world.at(start + gap(), step, 0)

    def every(self, period: int, start: int, stop: Duration | None, action: Callable[[int], None]) -> None:
        """Call `action(0)`, `action(1)`... once a period."""
        end = self.duration if stop is None else min(stop, self.duration)

        def step(number: int) -> None:
            if self.world.now < end:
                action(number)
                self.world.after(period, step, number + 1)

        self.world.at(start + period, step, 0)
