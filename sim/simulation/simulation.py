"""The simulation: machines, wire, faults, workloads and checkers of one run, put together and set going.

Phases: machines boot and shake hands; workloads and faults run until `duration`; then every fault ends, links
heal, and the federation has `settle` to converge. Checkers watch every commit all the while. What is measured
and judged is `sim.analysis.result`'s to tell; how machines are made is `sim.simulation.build`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from pathlib import Path
from random import Random
from typing import Any, Final

import trio

from sim.adversary.script import PeerScript
from sim.check import CHECKERS, Checker, CheckerFactory, build_checkers
from sim.diagnostics.errors import Violation
from sim.observation.conditions import FaultInterval
from sim.observation.sampler import SAMPLES, Sampler
from sim.observation.visibility import Visibility
from sim.scenario.plan import Plan
from sim.simulation.arrivals import Arrivals
from sim.simulation.build import make_machines
from sim.simulation.clients import Clients
from sim.simulation.conditions import conditions_of
from sim.simulation.events import EventRelay
from sim.simulation.fault_schedule import FaultSchedule
from sim.simulation.handshakes import Handshakes
from sim.simulation.observed import RunView
from sim.simulation.power import Power
from sim.topology.latency import standing_rules
from sim.world.machine import OPERATOR, Machine
from sim.world.network import Network
from sim.world.random_streams import RandomStreams
from sim.world.rpc import Endpoint
from sim.world.trace import Trace
from sim.world.world import World, simulate
from stigmem.core.wire import Request, Response

__all__ = ["Simulation"]

_SECOND: Final = 1_000_000_000
_HANDSHAKES_BEGIN: Final = _SECOND // 10
_LOOK: Final = _SECOND // 4
"""How often it is asked whether the federation has converged."""


class Simulation:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        seed: int | None = None,
        trace_path: Path | None = None,
        checkers: Iterable[CheckerFactory] = CHECKERS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """`checkers`: the classes of what judges the run, or whatever else makes one from an `Observed`."""
        self.plan = plan
        self.scenario = plan.scenario
        table = plan.scenario.scenario
        self.seed = table.seed if seed is None else seed
        self.duration: int = table.duration
        self.deadline: int = table.duration + table.settle
        self.streams = RandomStreams(self.seed)
        self.world = World()
        self.trace = Trace(self.world, trace_path)
        self.network = Network(self.world, self.trace)
        self.directory: dict[str, Endpoint] = {}
        self.visibility = Visibility(plan.nodes, plan.readers, relayed=self.scenario.federation.relay)
        self.machines: dict[str, Machine] = {}
        self.power = Power(self)
        self.adversaries: dict[str, PeerScript] = {}
        self.gone: dict[str, None] = {}
        """Machines that left for good."""
        self.name_of_node: dict[str, str] = {}
        """Node id -> the name the scenario gives it."""
        self.refused_writes: dict[int, int] = {}
        self.writes = self.acknowledged = 0
        self.handshakes = Handshakes(self)
        self._home: trio.Nursery | None = None
        self._progress = progress
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: BaseException | None = None
        self.fault_schedule = FaultSchedule(self)
        self.is_active, self.stream_of = self.fault_schedule.is_active, self.fault_schedule.stream_of
        self.rule_on, self.rules_off = self.fault_schedule.rule_on, self.fault_schedule.rules_off
        self.observed = RunView(
            world=self.world,
            federation=plan.federation,
            visibility=self.visibility,
            conditions=conditions_of(self.scenario, self.fault_schedule, lambda: self.network.dropped),
            faults_end_ns=self.duration,
            must_converge=table.converges,
            machines=self.machines,
            hostile=self.adversaries,
            unlinked=self.handshakes.unlinked,
            gone=self.gone,
            names=self.name_of_node,
        )
        self.sampler = Sampler(lambda: self.world.now, self.visibility, lambda: self.observed.nodes)
        self.clients = Clients(self)
        self.relay = EventRelay(
            self.world,
            self.trace,
            self.observed,
            owned_sources_only=self.scenario.federation.owned_sources_only,
            cut_off=self.clients.cut_off,
        )
        self.write, self.resolve, self.ask = self.clients.write, self.clients.resolve, self.clients.ask
        arrivals = Arrivals(self.world, self.duration)
        self.poisson, self.every, self.end_of = arrivals.poisson, arrivals.every, arrivals.end_of
        self._build()
        self.relay.checkers = build_checkers(checkers, self.observed)

    # --- building ---

    def _build(self) -> None:
        for rule in standing_rules(self.plan, self.streams.stream):
            self.network.add_rule(rule)
        self.machines.update(make_machines(self))
        for machine in self.machines.values():
            self.directory[machine.url] = machine
        for table in self.scenario.adversary:
            self.adversaries[table.node] = PeerScript(self, table)

    # --- running ---

    def run(self) -> None:
        """Simulate from the first boot to the verdict. Raises what a bug of ours raises."""
        try:
            simulate(self.world, self._main)
        except BaseExceptionGroup as group:
            raise _only(group) from None

    def interrupt(self, error: BaseException) -> None:
        """End a run that is under way with this error, soon and however slowly its time passes; a signal handler may do
        it. Nothing happens when none is under way."""
        self._stop = error
        if self._token is not None:
            self._token.run_sync_soon(self.interrupted)

    def interrupted(self) -> bool:
        """Whether the run was asked to end; then no event after this one happens. One event may take seconds, and trio
        looks after hundreds: what makes it long asks here in between."""
        if self._stop is not None:
            self.world.finish(self._stop)
        return self._stop is not None

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as home:
            self._home = home
            for fault in self.scenario.fault:
                for name in fault.boots_later():
                    self.power.absent(name, fault)
            for name, machine in self.machines.items():
                if not self.power.is_held(name):
                    machine.boot(home)
            self._schedule()
            try:
                await self.world.run()
            finally:
                self._token = None
            home.cancel_scope.cancel()

    def _schedule(self) -> None:
        world = self.world
        world.at(_HANDSHAKES_BEGIN, lambda _: self.handshakes.link_everyone())
        for number, workload in enumerate(self.scenario.workload):
            world.at(0, self._start_workload, (number, workload))
        self.fault_schedule.schedule()
        for peer in self.adversaries.values():
            world.at(max(peer.adversary.at, _HANDSHAKES_BEGIN), methodcaller("begin"), peer)
        world.at(self.duration, lambda _: self._heal())
        world.at(0, lambda _: self._tick())
        self._sample(max(self.deadline // SAMPLES, 1_000_000))

    def _sample(self, period: int) -> None:
        self.sampler.take()
        self.world.after(period, self._sample, period)

    def _start_workload(self, what: tuple[int, Any]) -> None:
        number, workload = what
        workload.run(self, f"workload/{number}")

    def _heal(self) -> None:
        """All faults end, links heal, machines that are off and should not be come back."""
        self.trace.event("faults end")
        self.fault_schedule.end_all()
        for peer in self.adversaries.values():
            peer.stop()
        self.power.release()
        self.world.after(_LOOK, self._watch_convergence)

    def _watch_convergence(self, _: Any) -> None:
        if self._settled():
            self.observed.converged_at = self.world.now
            self.trace.event("converged")
            self.world.finish()
        elif self.world.now >= self.deadline:
            self.world.finish()
        else:
            self.world.after(_LOOK, self._watch_convergence)

    def _settled(self) -> bool:
        """Whether everybody holds what it should, no write still waits, and every checker says it may be judged."""
        if self.visibility.missing or self.clients.waiting or not self.handshakes.all_linked():
            return False
        nodes = [machine.node for machine in self.machines.values() if machine.name not in self.gone]
        if any(node is None for node in nodes):
            return False
        return self.relay.is_quiet()

    def _tick(self) -> None:
        if self._progress is not None:
            self._progress(self.world.now, self.deadline)
        if self.world.now < self.deadline:
            self.world.after(max(_SECOND, self.deadline // 400), lambda _: self._tick())

    def violated(self, violation: Violation) -> None:
        """A property does not hold: the run is over."""
        self.relay.violated(violation)

    # --- what became of it ---

    @property
    def checkers(self) -> Sequence[Checker]:
        """Everything that judges the run."""
        return self.relay.checkers

    @property
    def violation(self) -> Violation | None:
        """The first property that did not hold while the run went on."""
        return self.relay.violation

    @property
    def converged_at(self) -> int | None:
        """When the federation was found to have converged."""
        return self.observed.converged_at

    @property
    def requests(self) -> int:
        """Requests over the wire that were answered."""
        return self.relay.requests

    @property
    def rejections(self) -> dict[str, int]:
        """Reason -> how often it was audited, over all nodes."""
        return self.relay.rejections

    @property
    def fault_intervals(self) -> list[FaultInterval]:
        """(label, nodes, begin, end) of every fault that happened, for figures."""
        return self.fault_schedule.fault_intervals

    # --- verbs for faults ---

    def random(self, stream: str) -> Random:
        """The random stream of this name."""
        return self.streams.stream(stream)

    def boot(self, name: str) -> None:
        """Switch a machine on, and see to its links; faults do this through `power`."""
        if self._home is not None:
            self.machines[name].boot(self._home)
            self.world.after(_HANDSHAKES_BEGIN, lambda _: self.handshakes.link(name))

    def console(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """The operator of a node does something at its console; False when the node is off."""
        return self.machines[node].local(request, then, OPERATOR)


def _only(error: BaseException) -> BaseException:
    """The one error in groups of one: nurseries wrap whatever passes them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
