"""What faults touch of a run: the implementations of `sim.ports.FaultEnv` and `sim.ports.MachineControl`.

One environment for each fault of a run. It passes on what the ports promise to the parts that do it: `Power`, the
machines' clocks and disks, the network, and chance. Every guard is a hold with an identity of its own, so that several
faults may put one machine into one state.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Literal

from sim.ports import OperatorControl
from sim.simulation.arrivals import Arrivals
from sim.simulation.power import Hold, Power
from sim.topology.federation import Federation
from sim.world.clocks import ClockError
from sim.world.disk import Fate
from sim.world.machine import Machine
from sim.world.network import Network
from sim.world.random_streams import RandomStreams
from sim.world.rules import PairStreams

__all__ = ["ControlledMachine", "FaultEnvironment", "Machines"]


class ControlledMachine:
    """One machine as faults may treat it."""

    __slots__ = ("_machine", "_power", "name")

    def __init__(self, machine: Machine, power: Power) -> None:
        self.name = machine.name
        self._machine = machine
        self._power = power

    @property
    def is_up(self) -> bool:
        return self._machine.up

    def hold_off(self, fate: Fate | None = None) -> Hold:
        return self._power.hold_off(self.name, fate)

    @contextmanager
    def powered_off(self, fate: Fate | None = None) -> Iterator[None]:
        hold = self._power.hold_off(self.name, fate)
        try:
            yield
        finally:
            hold.release()

    @contextmanager
    def paused(self) -> Iterator[None]:
        hold = self._power.hold_paused(self.name)
        try:
            yield
        finally:
            hold.release()

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        key, disk = object(), self._machine.disk
        disk.fill(key)
        try:
            yield
        finally:
            disk.free(key)

    @contextmanager
    def disk_slow(self, times: int) -> Iterator[None]:
        key, disk = object(), self._machine.disk
        disk.slow_down(key, times)
        try:
            yield
        finally:
            disk.speed_up(key)

    @contextmanager
    def clock(self, error: ClockError) -> Iterator[None]:
        key, clock, world = object(), self._machine.clock, self._machine.world
        error.begin(clock, key, world.now)
        try:
            yield
        finally:
            error.end(clock, key, world.now)

    def wipe(self) -> None:
        self._power.wipe(self.name)

    def back_up(self) -> None:
        self._power.back_up(self.name)

    def restore(self) -> None:
        self._power.restore(self.name)

    def leave(self) -> None:
        self._power.leave(self.name)

    def join(self) -> None:
        self._power.join(self.name)

    @contextmanager
    def at_commit(self, count: int, when: Literal["before", "after"], action: Callable[[], None]) -> Iterator[None]:
        machine, key = self._machine, object()
        wanted = machine.commits + count

        def reached(number: int, durable: bool) -> None:  # noqa: FBT001 - the shape of a hook
            if number == wanted and durable == (when == "after"):
                del machine.at_commit[key]
                if durable:
                    action()
                else:  # the writer's own task is running: what may kill it happens as the next event of this instant
                    machine.world.at(machine.world.now, lambda _: action())

        machine.at_commit[key] = reached
        try:
            yield
        finally:
            machine.at_commit.pop(key, None)


class Machines:
    """Every machine of a run, as faults may treat it."""

    def __init__(
        self, machines: Mapping[str, Machine], power: Power, federation: Federation, gone: Container[str]
    ) -> None:
        self.federation = federation
        self.gone = gone
        self._controls = {name: ControlledMachine(machine, power) for name, machine in machines.items()}

    def one(self, name: str) -> ControlledMachine:
        """The machine of a node."""
        return self._controls[name]

    def all(self) -> list[ControlledMachine]:
        """Those that have not left, in the order of the federation."""
        return [self._controls[name] for name in self.federation.nodes if name not in self.gone]


class FaultEnvironment:
    """What one fault of one run may touch."""

    def __init__(
        self,
        stream: str,
        *,
        machines: Machines,
        network: Network,
        operators: OperatorControl | None,
        arrivals: Arrivals,
        streams: RandomStreams,
    ) -> None:
        """`stream` is the name of the fault's own chance. `operators`: None in a federation whose operators cannot be
        told what to do; no scenario with a fault that would may be run there."""
        self.network = network
        self._operators = operators
        self.federation = machines.federation
        self.gone = machines.gone
        self._stream = stream
        self._machines = machines
        self._arrivals = arrivals
        self._streams = streams

    @property
    def now_ns(self) -> int:
        return self._arrivals.now_ns

    @property
    def operators(self) -> OperatorControl:
        if self._operators is None:
            raise LookupError("nobody tells the operators of this federation what to do")
        return self._operators

    def rng(self) -> Random:
        return self._streams.stream(self._stream)

    def pair_streams(self) -> PairStreams:
        return PairStreams(self._streams.stream, self._stream)

    def machine(self, name: str) -> ControlledMachine:
        return self._machines.one(name)

    def machines(self, name: str | None = None) -> list[ControlledMachine]:
        return self._machines.all() if name is None else [self._machines.one(name)]

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self._arrivals.after(delay_ns, action)

    def every_poisson(self, rng: Random, rate: float, action: Callable[[], None]) -> None:
        self._arrivals.poisson(rng, rate, self.now_ns, None, lambda _: action())
