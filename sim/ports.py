"""What the kinds may touch of a run: one Protocol for each sort of kind, and nothing wider than it.

Whoever writes a kind of fault, workload, adversary or checker reads this file, the base class of its sort and one
example: what stands here is all that a kind can do to a run, and all that it can know of it.

* `FaultEnv` is for faults (`sim.fault`): machines, the wire, chance of the fault's own, and times.
* `Clients` is for workloads (`sim.workload`): requests that people and programs make of the nodes on their machines.
* `PeerEnv` is for adversaries (`sim.adversary`): what a hostile peer with a genuine key can say, ask and look up.
* `Observed` is for checkers (`sim.check`): everything that is known of a run, to be read and never changed.

Times are integer nanoseconds of true time since the run began, unless a name ends in another unit. Everything happens
in the events of one simulated world, one after the other: an action that is given to one of these objects is called in
an event of its own, may call every method here, and must not wait. A kind draws chance only from the generators that it
is given; it may not ask the operating system for time or chance, and may not iterate a set, or two runs of one seed
would differ.

A guard is a context manager that holds something in a state: entering makes the trouble, leaving undoes it. Every guard
is a hold of its own. Several may hold one machine in the same state at once; it leaves the state when the last of them
lets go, and none lets go of what another holds. `sim.fault.base.all_of` enters several guards and leaves them in the
order in which it entered them, which is the order of the federation's nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Literal, Protocol, TypeVar

from sim.observation.conditions import Conditions
from sim.observation.node_view import NodeView
from sim.observation.obligations import Obligation
from sim.observation.pages import PageLog
from sim.observation.reads import Question
from sim.observation.request_debts import RequestDebts
from sim.observation.visibility import Visibility
from sim.topology.federation import Federation
from sim.world.clocks import ClockError
from sim.world.disk import Fate
from sim.world.network import Rule
from sim.world.rules import PairStreams
from stigmem.core.fact import Fact
from stigmem.core.scopes import Scope
from stigmem.core.wire import Request, Response
from stigmem.node.settings import NodeSettings

__all__ = [
    "Clients", "FaultEnv", "Hold", "HostilePeer", "MachineControl", "NetworkControl", "Observed", "OperatorControl",
    "PageEntry", "PeerEnv",
]  # fmt: skip


# --- for faults ---


class Hold(Protocol):
    """Something that is held in a state until it is let go of, for faults that cannot be written as one block."""

    def release(self) -> None:
        """Let go. A second time, or after the run has let go of everything, nothing happens."""


class MachineControl(Protocol):
    """One machine and the node on it, as a fault may treat them. Verbs in the past participle are guards."""

    @property
    def name(self) -> str: ...

    @property
    def is_up(self) -> bool:
        """Whether the machine has power. Between its power and its node's first answer lies the loading of its disk."""

    def powered_off(self, fate: Fate | None = None) -> AbstractContextManager[None]:
        """Without power: nothing that was on its way arrives, and what was not yet synced has this fate, or one that is
        drawn. It boots when nobody holds it off any more."""

    def hold_off(self, fate: Fate | None = None) -> Hold:
        """The same from now on, until the hold is released."""

    def paused(self) -> AbstractContextManager[None]:
        """Not scheduled: the kernel takes connections and the disk works on, and everything that came happens, in its
        order, when nobody holds it any more. A power cut ends the pause; a machine without power cannot be paused."""

    def disk_full(self) -> AbstractContextManager[None]:
        """No room on the disk: nothing is stored, what is there can be read."""

    def disk_slow(self, times: int) -> AbstractContextManager[None]:
        """A sync takes so many times as long; several guards multiply."""

    def clock(self, error: ClockError) -> AbstractContextManager[None]:
        """A wrong clock (`sim.world.clocks`). Afterwards it shows what it would have shown without this error."""

    def wipe(self) -> None:
        """Lose everything on the disk. The machine must be off; what was only there is expected of nobody any more."""

    def back_up(self) -> None:
        """Take a backup of the disk as it is now; one that was taken before is kept no longer."""

    def restore(self) -> None:
        """Put the last backup in the place of what is on the disk. The machine must be off. Without a backup nothing
        happens. What the backup does not hold comes again from others, but for what the node said itself: that is
        expected of it no more."""

    def leave(self) -> None:
        """Go off for good: nothing more is expected of it, and what only it knew goes with it."""

    def join(self) -> None:
        """Boot for the first time; for the machines that `Fault.absent_at_start` names."""

    def at_commit(
        self, count: int, when: Literal["before", "after"], action: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """A guard during which the `count`-th commit (from 1) that begins from now on calls the action once: `before`
        its batch is durable, or `after`, when it is durable and nobody was told yet. Before means as the next event of
        that instant: the node's own task is running when the batch is handed to the disk, and must not be killed
        under itself."""


class NetworkControl(Protocol):
    """The wire between machines."""

    def rule(self, rule: Rule) -> AbstractContextManager[None]:
        """A rule (`sim.world.rules`) is in force, after those there are; what it held back goes on its way when the
        guard is left."""


class OperatorControl(Protocol):
    """The people who decide whom a node takes for a peer. Each guard is for one direction of a link."""

    def revoked(self, peer: str, at: str) -> AbstractContextManager[None]:
        """The operator of `at` has revoked `peer`. Afterwards the peer is introduced anew, and approved."""

    def mistaken(self, peer: str, at: str) -> AbstractContextManager[None]:
        """The same, and the peer is introduced anew at once, while the operator compares a wrong fingerprint; the right
        one afterwards."""


class FaultEnv(Protocol):
    """What a fault can do. Made anew for every fault of every run: a fault is a value and remembers nothing itself."""

    @property
    def now_ns(self) -> int: ...

    @property
    def federation(self) -> Federation: ...

    @property
    def gone(self) -> Container[str]:
        """Nodes that left for good."""

    @property
    def network(self) -> NetworkControl: ...

    @property
    def operators(self) -> OperatorControl: ...

    def rng(self) -> Random:
        """A generator of the fault's own; each call begins its stream (`fault/<name, or kind and nodes>`) anew, so ask
        once."""

    def pair_streams(self) -> PairStreams:
        """Streams of the fault's own for a rule of the wire, one for each sender and receiver: then no link's traffic
        moves the draws for another's."""

    def machine(self, name: str) -> MachineControl:
        """The machine of a node of the federation."""

    def machines(self, name: str | None = None) -> Sequence[MachineControl]:
        """The machine of this name, or all that have not left, in the order of the federation."""

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do something later; also when the fault has ended by then."""

    def every_poisson(self, rng: Random, rate: float, action: Callable[[], None]) -> None:
        """Do something again and again from now on, as a Poisson process of `rate` per second, until all faults end;
        also when this fault has ended before that."""


# --- for workloads ---


class Clients(Protocol):
    """People and programs on the machines of the federation: each talks to the node on its own machine.

    A client does not try again: who meets a machine that is off, or is cut off with it, has not written.
    """

    @property
    def now_ns(self) -> int: ...

    @property
    def federation(self) -> Federation: ...

    @property
    def nodes(self) -> Sequence[str]:
        """The nodes of the federation, in its order."""

    def rng(self, name: str = "") -> Random:
        """A generator of the workload's own stream, or of the one of this name below it (`workload/<name, or kind,
        scope and nodes>/<name>`);
        each call begins the stream anew, so ask once."""

    def wall_ns(self, node: str) -> int:
        """What the wall clock of a node's machine shows, in nanoseconds since the epoch: right or wrong."""

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
        """Assert a fact. `source` is the node's own agent unless given; `kind` the type of the value; `confidence` 0 is
        a retraction; `derived_from` the ids of the facts that it stands on. `then` gets the answer, if there is one."""

    def resolve(self, node: str, conflict: str, body: dict[str, Any]) -> None:
        """Settle a conflict by its id; `body` is that of `POST /v1/conflicts/{id}/resolve`. One that was settled
        meanwhile is left as it is."""

    def request(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """Ask a node anything; False when its machine is off, and `then` is not called."""

    def console(self, node: str, request: Request, then: Callable[[Response], None]) -> bool:
        """The same by the person at the machine's own console, who may do everything."""

    def look(self, node: str, question: Question) -> None:
        """Read what a node shows of an entity, page by page to the end, and have it judged (`sim.check.reads`). A read
        that is cut off, refused or too long is no answer."""

    def said(self, subject: str, fact_id: str) -> None:
        """Note that this workload's agents have said something about a subject, once that was acknowledged: it counts
        as what can be recalled of it."""

    def recalled(self, node: str, subject: str, fact_ids: Sequence[str]) -> None:
        """Note what an agent on a node was answered with when it asked what is known of a subject. Noting changes
        nothing in a run; it is what the figure `recall` shows."""

    def end_of(self, stop: int | None) -> int:
        """When a workload with this `stop` ends: when the faults end at the latest."""

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Do something at an instant, or now if it has passed."""

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do something later."""

    def poisson(
        self, rng: Random, rate: float, start_ns: int, stop_ns: int | None, action: Callable[[int], None]
    ) -> None:
        """Call `action(0)`, `action(1)`... as a Poisson process of `rate` per second between the two instants; without
        a stop until the faults end."""

    def every(self, period_ns: int, start_ns: int, stop_ns: int | None, action: Callable[[int], None]) -> None:
        """Call `action(0)`, `action(1)`... once a period, the first time a period after the start."""


# --- for adversaries ---


PageEntry = dict[str, Any] | bytes
"""An entry of a page as plain data, or already as bytes when it is not even JSON."""

Memory = TypeVar("Memory")


class PeerEnv(Protocol):
    """A hostile peer: an address, a genuine key, a right clock, and a place among its victims' approved peers.

    What it signs, hashes and says of itself is genuine unless a script changes it, so that a page fails only for the
    reason that it is meant to fail for. A script is a table of the scenario and remembers nothing itself; `memory` is
    where it keeps what it must know again.
    """

    # who it is

    @property
    def name(self) -> str: ...

    @property
    def node_id(self) -> str: ...

    @property
    def public_key(self) -> str:
        """Its key in base64url, as it declared it."""

    @property
    def url(self) -> str: ...

    @property
    def dialect(self) -> str:
        """`2.1+` like our own nodes, `2.1` or `0.5`."""

    @property
    def scopes(self) -> Sequence[Scope]:
        """The scopes that it declared to its victims."""

    @property
    def victims(self) -> Sequence[str]:
        """The nodes whose peer it is, which read it and which it may ask; in the order of the scenario."""

    def memory(self, kind: type[Memory], victim: str = "") -> Memory:
        """The script's own object of this class, for one victim or, with "", for all of them: `kind()` when it is
        asked for the first time, and the same object from then on."""

    # time, chance, and who else is there

    @property
    def now_ms(self) -> int:
        """True time in milliseconds since the epoch: a hostile peer's own clock is right."""

    @property
    def rng(self) -> Random:
        """Its one generator, which its ids, nonces and stamps are drawn from as well."""

    @property
    def federation(self) -> Federation: ...

    @property
    def names(self) -> Mapping[str, str]:
        """Node id -> name, of every honest node that has booted so far."""

    @property
    def served(self) -> int:
        """Answers to pulls so far, over all victims; does not count the one that is being made."""

    def every(self, period_ns: int, action: Callable[[int], None]) -> None:
        """Call `action(0)`, `action(1)`... once a period for as long as the peer is hostile, the first time after
        one."""

    # looking: lies that need to know the truth

    def truth(self, name: str) -> NodeView | None:
        """A look into a node of the federation; None while its machine is off."""

    def settings(self, name: str) -> NodeSettings:
        """The settings of a node of the federation, whether it runs or not."""

    def clock_lead_ms(self, name: str) -> int:
        """By how much the wall clock of a node's machine is ahead of true time."""

    def has_steady_clock(self, name: str) -> bool:
        """Whether no fault of the run moves that clock: else it may show another time when a page has come."""

    @property
    def has_true_wire(self) -> bool:
        """Whether nothing in the run flips bits on the wire: else an answer may be to something that was not sent."""

    # saying

    def uuid(self) -> str:
        """A random id in the layout of version 4."""

    def fact(self, entity: str, relation: str, text: str, *, ahead_ms: int = 0, **changes: Any) -> Fact:
        """A complete fact of this peer, in a scope that its victims take. `changes` are fields of Fact that are set
        before its id is made, so that the lie is consistently hashed; an `id` among them is kept as it is. `ahead_ms`
        is how far ahead of true time it is stamped."""

    def entry(
        self, fact: Fact, *, cid: str | None = None, grant: list[str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """The signed entry of a fact, bare in dialect 0.5. `cid` and `grant` (the allowed scopes) are signed as they
        are given; `changes` are members of the record that are changed after signing."""

    def page(self, victim: str, entries: Sequence[PageEntry], *, has_more: Any = False) -> Response:
        """A page in the peer's dialect. It ends at a new cursor, by which its receipt is known; an empty one at
        none."""

    def page_ending_at(
        self, victim: str, entries: Sequence[PageEntry], cursor: Any, *, has_more: Any = False
    ) -> Response:
        """The same at a cursor of the script's own making. When it is a text, the page's receipt is known by it."""

    def manifest(self, *entities: str) -> Any:
        """A genuine manifest of its key for itself, or for these entities instead."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message under its key."""

    def token(
        self, victim: str, *, nonce: str | None = None, scopes: tuple[str, ...] | None = None, at_ms: int | None = None
    ) -> str:
        """A genuine peer token for a victim, with another nonce, scopes or time of issue if they are given."""

    def authorised(self, method: str, target: str, token: str, body: bytes = b"") -> Request:
        """A request with a peer token."""

    # asking

    def send(self, victim: str, request: Request, then: Callable[[Response | str], None]) -> None:
        """Send a request over the wire; `then` gets a Response, or `refused` or `broken_answer`, or is never called
        when packets are lost."""

    def console(self, victim: str, request: Request, then: Callable[[Response], None]) -> bool:
        """Have the victim's operator do something at its console, as people can be talked into; False when it is
        off."""

    # what must come of it

    def expect(self, victim: str, fact_id: str, *codes: str) -> None:
        """Announce a fact that the victim must refuse with one of these codes and audit once, or must keep when there
        is none. It counts when the fact is served after this and the victim is known to have stored its page: the
        victim then asks for what comes after that page's cursor. The last word on a fact counts."""

    def owe(self, victim: str, request: Request, what: str, *codes: str, within_ns: int = 1 << 62) -> None:
        """Announce a request, before it is sent, that the victim must refuse with 401 and one of these codes as its
        detail, and must have on record once (`sim.check.refusals`). `what` says in words what is wrong with it. The
        credential must be this request's alone. Nothing is owed for an answer that is made later than `within_ns`."""

    def report(self, victim: str, sentence: str) -> None:
        """A victim did what no node may do to a hostile peer's request: the run has failed."""


# --- for checkers ---


class HostilePeer(Protocol):
    """What is known of a hostile peer from outside."""

    @property
    def node_id(self) -> str: ...

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that it declared to its victims."""

    @property
    def dialect(self) -> str:
        """`2.1+` like our own nodes, `2.1` or `0.5`: then it takes every fact served for one of the server's own."""

    @property
    def request_debts(self) -> RequestDebts:
        """What its victims owe to its requests."""


class Observed(Protocol):
    """A run as it stands when it is looked at. True time throughout: clocks of nodes do not come into it.

    Mappings and lists are live: they show the run as it goes on, and whoever wants to compare two moments keeps a copy.
    """

    @property
    def now_ns(self) -> int:
        """Simulated nanoseconds since the run began."""

    @property
    def now_us(self) -> int:
        """The true wall time, in microseconds since the epoch."""

    @property
    def faults_end_ns(self) -> int:
        """When faults end, hostile peers fall silent and the federation begins to settle."""

    @property
    def must_converge(self) -> bool:
        """Whether the scenario expects the federation to converge at all."""

    @property
    def converged_at(self) -> int | None:
        """When it was found to have converged, or None while it was not."""

    @property
    def federation(self) -> Federation:
        """The honest nodes, their links and what crosses them, as planned."""

    @property
    def visibility(self) -> Visibility:
        """Every fact that honest nodes wrote, and who came to hold it when."""

    @property
    def conditions(self) -> Conditions:
        """What may have delayed something besides malice or a bug."""

    @property
    def names(self) -> Mapping[str, str]:
        """Node id -> name, of every honest node that has booted so far."""

    @property
    def gone(self) -> Container[str]:
        """Nodes that left for good."""

    @property
    def nodes(self) -> Mapping[str, NodeView]:
        """The nodes that run at the moment, by name, in the order of the federation."""

    @property
    def hostile(self) -> Mapping[str, HostilePeer]:
        """Hostile peers by name; none of them is in the federation."""

    def node(self, name: str) -> NodeView | None:
        """A node of the federation; None while its machine is off, and for any other name."""

    def settings(self, name: str) -> NodeSettings:
        """The settings of a node of the federation, whether it runs or not."""

    def wall_us(self, name: str) -> int:
        """What the wall clock of a node's machine shows, in microseconds since the epoch: right or wrong."""

    def unlinked(self) -> Sequence[tuple[str, str]]:
        """(newcomer, host) of every link between nodes that have not left where the one is no active peer at the
        other; none when all handshakes have come to their end."""

    def tried(self, newcomer: str, host: str) -> Mapping[str, int]:
        """How the registrations of one node at another ended -> how often: a status, or why no answer came
        (`timeout`, `refused`, `broken`)."""

    @property
    def pages(self) -> PageLog:
        """The last pages of facts that passed on every link."""

    def obligations(self) -> Sequence[Obligation]:
        """What victims must have done with the facts of hostile peers that they are known to have stored."""
