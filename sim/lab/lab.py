"""The laboratory: machines, wire, faults, workloads and checkers of one run, put together and set going.

Phases: machines boot and shake hands; workloads and faults run until `duration`; then every fault ends, links
heal, and the federation has `settle` to converge. Checkers watch every commit all the while. What is measured
and judged is `sim.result`'s to tell; how machines are made is `sim.lab.assembly`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import methodcaller
from pathlib import Path
from random import Random
from typing import Any, Final

import trio

from sim.adversary.peer import ScriptedPeer
from sim.atlas.latency import standing_rules
from sim.check import Checker, Violation, standard_checkers
from sim.fault import Fault
from sim.lab.assembly import make_machines
from sim.lab.clients import Clients
from sim.lab.measure import Measure
from sim.lab.operator import Operator
from sim.lab.power import Power
from sim.lab.rhythm import Rhythm
from sim.lab.sampling import Sampler
from sim.scenario.plan import Plan
from sim.world.chance import Streams
from sim.world.machine import OPERATOR, Machine
from sim.world.network import Network, Rule
from sim.world.post import Host
from sim.world.trace import Trace
from sim.world.world import World, simulate
from stigmem.core.wire import Request, Response

__all__ = ["Lab"]

_SECOND: Final = 1_000_000_000
_HANDSHAKES_BEGIN: Final = _SECOND // 10
_LOOK: Final = _SECOND // 4
"""How often it is asked whether the federation has converged."""


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
        self.measure = Measure(plan.nodes, plan.readers, relayed=self.scenario.federation.relay)
        self.machines: dict[str, Machine] = {}
        self.power = Power(self)
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
        self._fault_numbers = {id(fault): number for number, fault in enumerate(self.scenario.fault)}
        self.clients = Clients(self)
        self.write, self.resolve, self.ask = self.clients.write, self.clients.resolve, self.clients.ask
        rhythm = Rhythm(self.world, self.duration)
        self.poisson, self.every, self.end_of = rhythm.poisson, rhythm.every, rhythm.end_of
        self._build()

    # --- building ---

    def _build(self) -> None:
        for rule in standing_rules(self.plan, self.streams.stream):
            self.network.add(rule)
        self.machines = make_machines(self)
        for machine in self.machines.values():
            self.directory[machine.url] = machine
        for table in self.scenario.adversary:
            self.adversaries[table.node] = ScriptedPeer(self, table)

    # --- running ---

    def run(self) -> None:
        """Simulate from the first boot to the verdict. Raises what a bug of ours raises."""
        try:
            simulate(self.world, self._main)
        except BaseExceptionGroup as group:
            raise _only(group) from None

    async def _main(self) -> None:
        async with trio.open_nursery() as home:
            self._home = home
            for fault in self.scenario.fault:
                for name in fault.boots_later():
                    self.power.absent(name, fault)
            for name, machine in self.machines.items():
                if not self.power.is_held(name):
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
            world.at(max(peer.adversary.at, _HANDSHAKES_BEGIN), methodcaller("begin"), peer)
        world.at(self.duration, lambda _: self._heal())
        world.at(0, lambda _: self._tick())
        self.sampler.schedule()

    def _start_workload(self, what: tuple[int, Any]) -> None:
        number, workload = what
        workload.run(self, f"workload/{number}")

    def _begin(self, fault: Fault) -> None:
        self.trace.event("fault begins", fault.label(), list(fault.nodes()))
        self._active[id(fault)] = (fault, self.world.now)
        fault.begin(self)
        span = fault.span()
        if span is not None:
            self.world.after(span, self._end, fault)
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
        self.power.release()
        self.world.after(_LOOK, self._watch_convergence)

    def _watch_convergence(self, _: Any) -> None:
        if self._settled():
            self.converged_at = self.world.now
            self.trace.event("converged")
            self.world.finish()
        elif self.world.now >= self.deadline:
            self.world.finish()
        else:
            self.world.after(_LOOK, self._watch_convergence)

    def _settled(self) -> bool:
        """Whether everybody holds what it should, no write still waits, and every checker says it may be judged."""
        if self.measure.missing or self.clients.waiting or not self.operator.all_linked():
            return False
        nodes = [machine.node for machine in self.machines.values() if machine.name not in self.gone]
        if any(node is None for node in nodes):
            return False
        return all(checker.agrees(self) for checker in self.checkers)

    def _tick(self) -> None:
        if self._progress is not None:
            self._progress(self.world.now, self.deadline)
        if self.world.now < self.deadline:
            self.world.after(max(_SECOND, self.deadline // 400), lambda _: self._tick())

    def violated(self, violation: Violation) -> None:
        """A property does not hold: the run is over."""
        if self.violation is None:
            self.violation = violation
            self.trace.event("violated", violation.checker, violation.sentence)
            self.world.finish()

    # --- verbs for faults ---

    def random(self, stream: str) -> Random:
        """The random stream of this name."""
        return self.streams.stream(stream)

    def stream_of(self, fault: Fault) -> str:
        """The name of a fault's own random stream."""
        return f"fault/{self._fault_numbers[id(fault)]}"

    def is_active(self, fault: Fault) -> bool:
        """Whether a fault has begun and not ended."""
        return id(fault) in self._active

    def rule_on(self, fault: Fault, rule: Rule) -> None:
        """Put a rule in force on behalf of a fault."""
        self._rules.setdefault(id(fault), []).append(rule)
        self.network.add(rule)

    def rules_off(self, fault: Fault) -> None:
        """Lift a fault's rules."""
        for rule in self._rules.pop(id(fault), []):
            self.network.lift(rule)

    def boot(self, name: str) -> None:
        """Switch a machine on, and see to its links; faults do this through `power`."""
        if self._home is not None:
            self.machines[name].boot(self._home)
            self.world.after(_HANDSHAKES_BEGIN, lambda _: self.operator.link(name))

    def console(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """The operator of a node does something at its console; False when the node is off."""
        return self.machines[node].local(request, then, OPERATOR)


def _only(error: BaseException) -> BaseException:
    """The one error in groups of one: nurseries wrap whatever passes them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
