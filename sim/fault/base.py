"""What every fault is: when it begins, how long it lasts, whom it concerns, and a context manager that is the fault.

A fault is a struct: its fields are the keys of its table in the scenario file, and one value is used by any number of
runs, so that it remembers nothing. What it does is `inject`: the code before the `yield` makes the trouble, the code
after it undoes the trouble, and between them it lasts. `sim.ports.FaultEnv` says what the code may touch. Most faults
hold a guard for as long as they last and need nothing else:

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with env.network.rule(self.only_here(Loss(env.pair_streams(), self.share))):
            yield

Who runs it is `sim.simulation.fault_schedule`. What it promises, and what it asks:

1. `inject` is entered once, as an event of its own at `at`. It is left once: after `span()`, or when all faults end,
   whichever comes first. Faults that end together are left in the order in which they began.
2. A momentary fault without a span is over the moment it has begun: it is never left, and what it did stays done.
3. Guards that several machines share are left in the order of the federation's nodes (`all_of`), not backwards as an
   `ExitStack` would: machines that come back at one instant boot in the same order whatever switched them off.
4. Something may happen between the beginning and the end, at an instant that nobody knows before (random crashes, a
   crash at a commit). Such strikes take a `Hold` and let go of it themselves: a `with` cannot span two events.
5. Faults overlap. Nothing may assume that a machine is up, or that it is this fault that keeps it down.

To add a kind: a file in this package (or a module of your own, see `sim.kinds`) with a subclass under `@kind("name")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random

import msgspec

from sim.diagnostics.errors import Misfit
from sim.naming import PartName
from sim.ports import FaultEnv, Hold, MachineControl
from sim.topology.federation import Federation
from sim.units import Duration, NonNegative, parse_duration

__all__ = ["DiskReplaced", "Fault", "NodeFault", "all_of", "strikes_at_random"]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A fault between `at` and `at + for`; without `for` it lasts until the faults end, or is over at once."""

    sort = "fault"

    at: Duration
    """When it begins, counted from the start of the run."""
    name: PartName | None = None
    """What expectations (`catch_up.<name>`) and sweeps call it."""
    lasts: Duration | None = msgspec.field(default=None, name="for")
    """How long it lasts; left out, until all faults end, or for good if the fault is an instant."""

    momentary = False
    """Whether the fault is an instant (a step, a crash): then `for` makes it undo itself."""

    def purpose(self) -> str:
        """What its chance is named by: its `name`, or its kind and the nodes that it names. Not when or how hard it
        strikes, so that a change of those leaves its draws alone."""
        return self.name or " ".join([str(self.__struct_config__.tag), *self.nodes()])

    def label(self) -> str:
        """A few words for reports and figures."""
        return str(self.__struct_config__.tag)

    def nodes(self) -> tuple[str, ...]:
        """The nodes it names; each must exist."""
        return ()

    def strikes(self, first: str, second: str) -> bool:
        """Whether it may delay what two nodes say to each other: it strikes one of their machines, or their link."""
        names = self.nodes()
        return not names or first in names or second in names

    def absent_at_start(self) -> tuple[str, ...]:
        """Nodes that are held off from the start of the run until the fault lets them `join`."""
        return ()

    def leaves(self) -> tuple[str, ...]:
        """Nodes that are gone for good afterwards."""
        return ()

    def span(self) -> int | None:
        """How long it lasts, in ns; None is until the faults end, or no time at all when it is momentary."""
        return self.lasts

    def check(self, federation: Federation) -> None:
        """Raises Misfit when the fault does not fit the federation. The nodes it names exist when this is asked."""

    def inject(self, env: FaultEnv) -> AbstractContextManager[None]:
        """The fault itself, as a context manager: see the head of this file."""
        raise NotImplementedError


class NodeFault(Fault):
    """A fault of one node, or of every node when none is named."""

    node: str | None = None
    """The node that is struck; left out, every node."""

    def nodes(self) -> tuple[str, ...]:
        return () if self.node is None else (self.node,)


class DiskReplaced(Fault):
    """One machine crashes, has another disk when it boots `down` later, and keeps its name and key."""

    node: str
    """The node whose disk it is."""
    down: NonNegative = parse_duration("0s")
    """How long the machine stays off."""

    def nodes(self) -> tuple[str, ...]:
        return (self.node,)

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "the machine is back after its time down; write down instead of for")

    def span(self) -> int | None:
        return self.down

    def replace(self, machine: MachineControl) -> None:
        """Give a machine that is off its other disk."""
        raise NotImplementedError

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        machine = env.machine(self.node)
        with machine.powered_off():
            self.replace(machine)
            yield


@contextmanager
def strikes_at_random(
    env: FaultEnv,
    rng: Random,
    rate: float,
    among: Sequence[str] | None,
    strike: Callable[[MachineControl], Hold | None],
) -> Iterator[None]:
    """A guard during which nodes drawn from `among` (None: from all) are struck at `rate`, as a Poisson process.
    `strike` gets the machine, and returns a hold on it if it took one; what is still held at the end is let go of."""
    names = among or env.federation.nodes
    holds: dict[str, Hold] = {}
    is_over = False

    def act() -> None:
        machine = env.machine(names[rng.randrange(len(names))])
        hold = None if is_over else strike(machine)
        if hold is not None:
            holds[machine.name] = hold

    env.every_poisson(rng, rate, act)
    yield
    is_over = True
    for name in env.federation.nodes:
        if name in holds:
            holds[name].release()


@contextmanager
def all_of(guards: Iterable[AbstractContextManager[None]]) -> Iterator[None]:
    """Several guards as one, entered and left in the same order."""
    entered = []
    for guard in guards:
        guard.__enter__()
        entered.append(guard)
    try:
        yield
    finally:
        for guard in entered:
            guard.__exit__(None, None, None)
