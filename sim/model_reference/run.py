"""One run of a plan whose nodes are all of the model: the network, clocks, disks, faults, workloads and hostile peers
are those that our nodes get, drawn from the same streams, and only the program on the machines is another.

What is told of it is what a `Visibility` holds (who wrote what when, who saw it when), and what the nodes hold at the
end. The checkers of our own nodes judge their insides and do not come into it.

Not modelled, and refused by name: workloads that use what dialect 0.5 has not or this model leaves out (agents,
intents, notes, erasures, a voided clock), and hostile peers that must look into their victim first. Hostile peers speak
dialect 0.5 to it, whatever their table says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import trio

from sim.check import Asked
from sim.diagnostics.errors import Violation
from sim.model_reference.facts import StoredFact
from sim.model_reference.machine import ReferenceMachine
from sim.model_reference.operators import ReferenceOperators
from sim.model_reference.victim_view import VictimView
from sim.observation.conditions import FaultInterval
from sim.observation.recollections import Recollections
from sim.observation.visibility import TrackedFact, Visibility
from sim.scenario.plan import Plan
from sim.scenario.tables import Scenario
from sim.simulation.arrivals import Arrivals
from sim.simulation.build import make_hardware
from sim.simulation.clients import Submissions, WorkloadClients
from sim.simulation.conditions import conditions_of
from sim.simulation.course import boot_all, end_faults, run_world, schedule_peers
from sim.simulation.fault_env import FaultEnvironment, Machines
from sim.simulation.fault_schedule import FaultSchedule
from sim.simulation.interruption import Interruption
from sim.simulation.observed import RunView
from sim.simulation.peer_script import PeerScript, make_peers
from sim.simulation.power import Power
from sim.topology.latency import standing_rules
from sim.world.machine import Machine
from sim.world.network import Network
from sim.world.random_streams import RandomStreams, distinct
from sim.world.rpc import Endpoint, Wire
from sim.world.trace import Trace
from sim.world.world import World, simulate
from stigmem.core.uris import is_system, reserved_source
from stigmem.core.wire import Request, Response

__all__ = ["NotModelled", "ReferenceRun"]

_SECOND: Final = 1_000_000_000
_HANDSHAKES_BEGIN: Final = _SECOND // 10
_LOOK: Final = _SECOND // 4
_WORKLOADS: Final = (
    "burst", "contradictions", "expiring", "probe", "resolver", "retractions", "storm", "trace", "updaters", "writers",
)  # fmt: skip
_ADVERSARIES: Final = ("clock-pusher", "hasher", "instruction", "malformed", "overreach", "page-liar", "staller")
_NO_FAULTS: Final = ("revoke", "wrong-fingerprint")
"""The operators of the model approve of everybody."""


class NotModelled(Exception):
    """A scenario that asks for what the model has not; the text is one sentence."""


class ReferenceRun:
    """One run of one plan by nodes of the model."""

    def __init__(
        self, plan: Plan, *, seed: int | None = None, asked: Callable[[Asked], None] = lambda _asked: None
    ) -> None:
        """`asked` is told of every pull at a hostile peer. Raises NotModelled."""
        self._asked = asked
        self.plan = plan
        self.scenario = _spoken_to_in_its_dialect(plan.scenario)
        table = plan.scenario.scenario
        self.duration: int = table.duration
        self.deadline: int = table.duration + table.settle
        self.streams = RandomStreams(table.seed if seed is None else seed)
        self.world = World()
        self.trace = Trace(self.world, None)
        self.network = Network(self.world, self.trace)
        self.machines: dict[str, ReferenceMachine] = {}
        self.adversaries: dict[str, PeerScript] = {}
        self.gone: dict[str, None] = {}
        self.converged_at: int | None = None
        self.aborts: dict[str, int] = {}
        """Reason -> how many cycles of pulls it ended, over all nodes and lives."""
        self._names: dict[str, str] = {}
        self._home: trio.Nursery | None = None
        self._fault_streams = distinct(fault.purpose() for fault in self.scenario.fault)
        self._workload_streams = distinct(workload.purpose() for workload in self.scenario.workload)
        self._make_parts()
        self._populate()

    # --- making the parts ---

    def _make_parts(self) -> None:
        plan = self.plan
        self.visibility = Visibility(plan.nodes, plan.readers, relayed=self.scenario.federation.relay)
        self.fault_schedule = FaultSchedule(self.scenario.fault, self._fault_env, world=self.world, trace=self.trace)
        self.arrivals = Arrivals(self.world, self.duration)
        self.interruption = Interruption(self.world)
        machines: dict[str, Machine] = self.machines  # type: ignore[assignment]  # read only by who gets it
        self._observed = RunView(
            world=self.world,
            federation=plan.federation,
            visibility=self.visibility,
            conditions=conditions_of(self.scenario, self.fault_schedule, lambda _first, _second: 0),
            faults_end_ns=self.duration,
            must_converge=self.scenario.scenario.converges,
            machines=machines,
            hostile=self.adversaries,
            unlinked=list,
            tried=lambda _first, _second: {},
            gone=self.gone,
            names=self._names,
        )
        self.submissions = Submissions(
            machines, lambda _machine, _fact: None, self.interruption.is_asked, Recollections(lambda: self.world.now)
        )
        self.power = Power(
            machines, self.boot, self._wiped, visibility=self.visibility, trace=self.trace, gone=self.gone
        )

    def _populate(self) -> None:
        network, links, federation = self.scenario.network, self.scenario.link, self.plan.federation
        for rule in standing_rules(federation, network, links, self.streams.stream):
            self.network.add_rule(rule)
        directory: dict[str, Endpoint] = {}
        wire = Wire(self.network, directory)
        for name, (settings, hardware) in make_hardware(self.scenario, self.plan.nodes, self.streams).items():
            machine = self.machines[name] = ReferenceMachine(name, settings, hardware, wire, self)
            directory[machine.url] = machine
            self._names[machine.node_id] = name
        self.operators = ReferenceOperators(federation, self.machines, self.gone, wire)
        self.adversaries.update(
            make_peers(
                self.scenario,
                self.streams,
                wire,
                self._observed,
                self._observed.machines,
                violated=self.violated,
                asked=self._asked,
            )
        )
        self._controls = Machines(self._observed.machines, self.power, federation, self.gone)

    def _fault_env(self, number: int) -> FaultEnvironment:
        stream = f"fault/{self._fault_streams[number]}"
        return FaultEnvironment(
            stream, machines=self._controls, network=self.network, operators=None, arrivals=self.arrivals,
            streams=self.streams,
        )  # fmt: skip

    def _clients(self, number: int) -> WorkloadClients:
        return WorkloadClients(
            f"workload/{self._workload_streams[number]}",
            self.submissions,
            self._observed.machines,
            federation=self.plan.federation,
            arrivals=self.arrivals,
            streams=self.streams,
        )

    # --- running ---

    def run(self) -> None:
        """From the first boot until everybody holds everything, or the time is over."""
        simulate(self.world, self._main)

    async def _main(self) -> None:
        await run_world(self.world, self.interruption, self._begin, self._end)

    def _begin(self, home: trio.Nursery) -> None:
        self._home = home
        boot_all(self.scenario.fault, self.power, self.machines, home)
        self._schedule()

    def _end(self) -> None:
        self._home = None
        for machine in self.machines.values():
            self._count(machine)

    def _schedule(self) -> None:
        world = self.world
        world.at(_HANDSHAKES_BEGIN, lambda _: self.operators.link_everyone())
        for number, workload in enumerate(self.scenario.workload):
            world.at(0, workload.run, self._clients(number))
        self.fault_schedule.schedule()
        schedule_peers(world, self.adversaries, _HANDSHAKES_BEGIN)
        world.at(self.duration, lambda _: self._heal())

    def _heal(self) -> None:
        end_faults(self.fault_schedule, self.adversaries, self.power)
        self.world.after(_LOOK, self._watch_convergence)

    def _watch_convergence(self, _: Any) -> None:
        up = all(machine.model is not None for name, machine in self.machines.items() if name not in self.gone)
        if up and not self.visibility.missing and not self.submissions.waiting:
            self.converged_at = self.world.now
            self.world.finish()
        elif self.world.now >= self.deadline:
            self.world.finish()
        else:
            self.world.after(_LOOK, self._watch_convergence)

    def boot(self, name: str) -> None:
        """Switch a machine on, and see to its links."""
        if self._home is not None:
            self.machines[name].boot(self._home)
            self.world.after(_HANDSHAKES_BEGIN, lambda _: self.operators.link(name))

    @property
    def fault_intervals(self) -> list[FaultInterval]:
        """Every fault that happened."""
        return [*self.fault_schedule.fault_intervals, *self.fault_schedule.unfinished()]

    # --- what machines tell ---

    def started(self, machine: ReferenceMachine) -> None:
        """A node is running; a batch may have survived a power cut that nobody was told of."""
        model = machine.model
        self._observed.views[machine.name] = VictimView(machine)
        self.visibility.joined(machine.name, self.world.now)
        for fact in model.store.facts.values() if model is not None else ():
            known = self.visibility.number(machine.name, fact.id) is not None
            if not known or fact.received_from is not None:
                self.stored(machine, fact)

    def stored(self, machine: ReferenceMachine, fact: StoredFact) -> None:
        """A fact is on the disk of a machine."""
        if fact.received_from is not None:
            self.visibility.saw(machine.name, self._names.get(fact.received_from, ""), fact.id, self.world.now)
            return
        self.visibility.written(
            TrackedFact(
                id=fact.id,
                origin=machine.name,
                scope=fact.scope,
                entity=fact.entity,
                relation=fact.relation,
                written_ns=self.world.now,
                stays_local=_stays_local(fact),
            )
        )

    def stopped(self, machine: Machine, how: str, fate: str) -> None:
        """A machine lost power."""
        self._observed.views.pop(machine.name, None)
        self.submissions.cut_off(machine.name)

    def violated(self, violation: Violation) -> None:
        """What a hostile peer says that no node of ours may do: the model may."""

    def committed(self, machine: Machine, records: object, payload: bytes) -> None:
        """Nothing: only machines of our own node have such records."""

    def booted(self, machine: Machine) -> None:
        """Nothing: see `started`."""

    def answered(self, machine: Machine, asker: str, request: Request, response: Response) -> None:
        """Nothing: answers are not judged."""

    def bug(self, error: Exception) -> None:
        """A bug of the model ends the run with it."""
        self.world.finish(error)

    def _wiped(self, name: str) -> None:
        self.trace.event("wiped", name)

    def _count(self, machine: ReferenceMachine) -> None:
        puller = machine.puller
        if puller is not None:
            for reason, count in puller.aborts.items():
                self.aborts[reason] = self.aborts.get(reason, 0) + count


def _stays_local(fact: StoredFact) -> bool:
    """The same facts that our nodes keep at home, so that both are expected to carry the same."""
    if fact.interpret_as == "instruction" or fact.derived or reserved_source(fact.source):
        return not fact.entity.startswith("stigmem:resolution:")
    names = (fact.entity, fact.relation)
    reserved = any(is_system(name) or name.startswith("instruction:") for name in names)
    return reserved and not fact.entity.startswith("stigmem:resolution:")


def _spoken_to_in_its_dialect(scenario: Scenario) -> Scenario:
    """The scenario with hostile peers of dialect 0.5. Raises NotModelled."""
    for sort, tables, known in (
        ("workload", scenario.workload, _WORKLOADS), ("adversary", scenario.adversary, _ADVERSARIES),
    ):  # fmt: skip
        for table in tables:
            tag = str(table.__struct_config__.tag)
            if tag not in known:
                raise NotModelled(
                    f"the model of the reference cannot take part with the {sort} {tag!r}; it can with "
                    f"{', '.join(known)}"
                )
    for fault in scenario.fault:
        if str(fault.__struct_config__.tag) in _NO_FAULTS:
            raise NotModelled(f"the model of the reference has no fault of kind {str(fault.__struct_config__.tag)!r}")
    spoken = [msgspec.structs.replace(each, dialect="0.5") for each in scenario.adversary]
    return msgspec.structs.replace(scenario, adversary=spoken)
