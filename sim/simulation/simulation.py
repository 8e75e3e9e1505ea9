"""One run of one plan: every part of it made and given what it uses, and its phases in order.

Time goes like this, in nanoseconds of true time since the first instant:

    0                  machines boot, except those that a fault makes join later; workloads begin to schedule writes
    100 ms             operators introduce nodes to their neighbours; adversaries begin, unless they begin later
    a fault's `at`     it is injected, and left after its span
    `duration`         all faults end, links heal, adversaries fall silent, machines that are off come back
    every 250 ms then  has the federation converged? If so, that was the last event
    `duration + settle`  the last event in any case

Checkers watch every commit and every answer all the while, and the first property that does not hold ends the run.

Who knows whom. The world and the machines know nobody above them; they tell the `EventRelay` what happens. Kinds see
the run through the ports of `sim.ports` only: faults a `FaultEnvironment`, workloads `WorkloadClients`, checkers the
`RunView`. `FaultSchedule`, `Power`, `Submissions`, `Handshakes` and `KeyPinning` each do one thing and are given the
two to six parts that they need. Only this file knows all of them. Nothing else takes a Simulation, but for what judges
a run that is over (`sim.analysis`).

The order in which parts are made is that of their needs; the order in which the first events are scheduled is part of
what a run is, for events of one instant happen in the order of their scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from sim.check import CHECKERS, Checker, CheckerFactory, build_checkers
from sim.diagnostics.errors import Violation
from sim.diagnostics.kind_errors import whose
from sim.observation.reads import Moment
from sim.observation.recollections import Recollections
from sim.observation.sampler import SAMPLES, Sampler
from sim.observation.visibility import Visibility
from sim.scenario.plan import Plan
from sim.simulation.arrivals import Arrivals
from sim.simulation.build import make_machines
from sim.simulation.clients import Reads, Submissions, WorkloadClients
from sim.simulation.conditions import conditions_of
from sim.simulation.course import boot_all, end_faults, run_world, schedule_peers
from sim.simulation.events import EventRelay
from sim.simulation.fault_env import FaultEnvironment, Machines
from sim.simulation.fault_schedule import FaultSchedule
from sim.simulation.handshakes import Handshakes
from sim.simulation.interruption import Interruption
from sim.simulation.key_pinning import KeyPinning
from sim.simulation.observed import RunView
from sim.simulation.peer_script import PeerScript, make_peers
from sim.simulation.power import Power
from sim.topology.latency import standing_rules
from sim.workload.base import Workload
from sim.world.machine import Machine
from sim.world.network import Network
from sim.world.random_streams import RandomStreams, distinct
from sim.world.rpc import Endpoint, Wire
from sim.world.trace import Trace
from sim.world.world import World, simulate

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
        keep_going: bool = False,
    ) -> None:
        """`checkers`: the classes of what judges the run, or whatever else makes one from an `Observed`. `keep_going`:
        whether the run goes on when a property is violated, so that others may be seen to be violated too."""
        self.plan = plan
        self.scenario = plan.scenario
        table = plan.scenario.scenario
        self.seed = table.seed if seed is None else seed
        self.duration: int = table.duration
        self.deadline: int = table.duration + table.settle
        self.streams = RandomStreams(self.seed)
        self._fault_streams = distinct(fault.purpose() for fault in self.scenario.fault)
        self._workload_streams = distinct(workload.purpose() for workload in self.scenario.workload)
        self.world = World()
        self.trace = Trace(self.world, trace_path)
        self.network = Network(self.world, self.trace)
        self.directory: dict[str, Endpoint] = {}
        """Address -> who answers there."""
        self.machines: dict[str, Machine] = {}
        self.adversaries: dict[str, PeerScript] = {}
        self.gone: dict[str, None] = {}
        """Machines that left for good."""
        self.name_of_node: dict[str, str] = {}
        """Node id -> the name the scenario gives it."""
        self._home: trio.Nursery | None = None
        """Where machines live; None before the first event and after the last."""
        self._progress = progress
        self.keep_going = keep_going
        self._make_observers()
        self._make_parts()
        self._populate()
        self.relay.checkers = build_checkers(checkers, self.observed)

    # --- making the parts ---

    def _make_observers(self) -> None:
        """Whoever looks and is told."""
        plan, table = self.plan, self.scenario.federation
        self.visibility = Visibility(plan.nodes, plan.readers, relayed=table.relay)
        self.fault_schedule = FaultSchedule(self.scenario.fault, self._fault_env, world=self.world, trace=self.trace)
        self.handshakes = Handshakes(
            plan.federation,
            self.machines,
            self.gone,
            world=self.world,
            key_pinning=KeyPinning(
                plan.federation,
                self.machines,
                self.gone,
                world=self.world,
                is_needed=table.node_ids == "named" and table.origin_keys == "pinned" and table.relay,
            ),
            violated=self._violated,
        )
        self.observed = RunView(
            world=self.world,
            federation=plan.federation,
            visibility=self.visibility,
            conditions=conditions_of(
                self.scenario, self.fault_schedule, lambda first, second: self.network.dropped.get((first, second), 0)
            ),
            faults_end_ns=self.duration,
            must_converge=self.scenario.scenario.converges,
            machines=self.machines,
            hostile=self.adversaries,
            unlinked=self.handshakes.unlinked,
            tried=self.handshakes.tried,
            gone=self.gone,
            names=self.name_of_node,
        )
        self.sampler = Sampler(lambda: self.world.now, self.visibility, lambda: self.observed.nodes)
        self.relay = EventRelay(
            self.world,
            self.trace,
            self.observed,
            owned_sources_only=table.owned_sources_only,
            cut_off=self._cut_off,
            keep_going=self.keep_going,
        )

    def _make_parts(self) -> None:
        """Whoever acts."""
        self.interruption = Interruption(self.world)
        self.arrivals = Arrivals(self.world, self.duration)
        self.recollections = Recollections(lambda: self.world.now)
        self.submissions = Submissions(
            self.machines,
            self.relay.acknowledged,
            self.interruption.is_asked,
            self.recollections,
            Reads(self._moment, self.relay.read),
        )
        self.clients = self._clients("clients")
        """Clients that belong to no workload, for whoever runs a simulation by hand."""
        self.power = Power(
            self.machines,
            self.boot,
            self.relay.disk_wiped,
            visibility=self.visibility,
            trace=self.trace,
            gone=self.gone,
        )

    def _populate(self) -> None:
        """The wire, the machines and the hostile peers."""
        network, links = self.scenario.network, self.scenario.link
        for rule in standing_rules(self.plan.federation, network, links, self.streams.stream):
            self.network.add_rule(rule)
        wire = Wire(self.network, self.directory)
        self.machines.update(make_machines(self.scenario, self.plan.nodes, self.streams, wire, self.relay))
        for machine in self.machines.values():
            self.directory[machine.url] = machine
        self.adversaries.update(
            make_peers(
                self.scenario,
                self.streams,
                wire,
                self.observed,
                self.machines,
                violated=self.relay.violated,
                asked=self.relay.asked,
            )
        )
        self._controls = Machines(self.machines, self.power, self.plan.federation, self.gone)

    def _violated(self, violation: Violation) -> None:
        self.relay.violated(violation)

    def _cut_off(self, name: str) -> None:
        self.submissions.cut_off(name)

    def _moment(self, name: str) -> Moment | None:
        node = self.observed.node(name)
        if node is None:
            return None
        horizon_us, wall_us = node.ledger.horizon_us, self.observed.wall_us(name)
        return Moment(node.ledger.last_seq, min(horizon_us, wall_us), max(horizon_us, wall_us))

    def _fault_env(self, number: int) -> FaultEnvironment:
        return FaultEnvironment(
            f"fault/{self._fault_streams[number]}",
            machines=self._controls,
            network=self.network,
            operators=self.handshakes,
            arrivals=self.arrivals,
            streams=self.streams,
        )

    def _clients(self, stream: str) -> WorkloadClients:
        return WorkloadClients(
            stream,
            self.submissions,
            self.machines,
            federation=self.plan.federation,
            arrivals=self.arrivals,
            streams=self.streams,
        )

    # --- running ---

    def run(self) -> None:
        """Simulate from the first boot to the verdict. Raises KindFailed for an error of somebody else's kind, and what
        a bug of ours raises."""
        try:
            simulate(self.world, self._main)
        except BaseExceptionGroup as group:
            only = _only(group)
            table = self.scenario
            parts = (*table.fault, *table.workload, *table.adversary, *self.checkers)
            known = whose(only, parts) if isinstance(only, Exception) else None
            if known is None or known is only:
                raise only from only.__cause__
            raise known from only

    async def _main(self) -> None:
        await run_world(self.world, self.interruption, self._begin, self._end)

    def _begin(self, home: trio.Nursery) -> None:
        self._home = home
        boot_all(self.scenario.fault, self.power, self.machines, home)
        self._schedule()

    def _end(self) -> None:
        self._home = None

    def _schedule(self) -> None:
        world = self.world
        world.at(_HANDSHAKES_BEGIN, lambda _: self.handshakes.link_everyone())
        for number, workload in enumerate(self.scenario.workload):
            world.at(0, self._start_workload, (number, workload))
        self.fault_schedule.schedule()
        schedule_peers(world, self.adversaries, _HANDSHAKES_BEGIN)
        world.at(self.duration, lambda _: self._heal())
        world.at(0, lambda _: self._tick())
        self._sample(max(self.deadline // SAMPLES, 1_000_000))

    def _sample(self, period: int) -> None:
        self.sampler.take()
        self.world.after(period, self._sample, period)

    def _start_workload(self, what: tuple[int, Workload]) -> None:
        number, workload = what
        workload.run(self._clients(f"workload/{self._workload_streams[number]}"))

    def _heal(self) -> None:
        """All faults end, links heal, machines that are off and should not be come back."""
        self.trace.event("faults end")
        end_faults(self.fault_schedule, self.adversaries, self.power)
        self.handshakes.try_again()
        self.world.after(_LOOK, self._watch_convergence)

    def _watch_convergence(self, _: Any) -> None:
        if self._is_quiet():
            self.observed.converged_at = self.world.now
            self.trace.event("converged")
            self.world.finish()
        elif self.world.now >= self.deadline:
            self.world.finish()
        else:
            self.world.after(_LOOK, self._watch_convergence)

    def _is_quiet(self) -> bool:
        """Whether everybody holds what it should, no write still waits, and every checker says it may be judged."""
        if self.visibility.missing or self.submissions.waiting or not self.handshakes.all_linked():
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
        """Requests over the wire that were sent."""
        return self.network.requests

    @property
    def rejections(self) -> dict[str, int]:
        """Reason -> how often it was audited, over all nodes."""
        return self.relay.rejections

    # --- verbs of its own ---

    def boot(self, name: str) -> None:
        """Switch a machine on, and see to its links; faults do this through `power`."""
        if self._home is not None:
            self.machines[name].boot(self._home)
            self.world.after(_HANDSHAKES_BEGIN, lambda _: self.handshakes.link(name))


def _only(error: BaseException) -> BaseException:
    """The one error in groups of one: nurseries wrap whatever passes them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
