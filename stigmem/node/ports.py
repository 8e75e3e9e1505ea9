"""The four ports through which a node touches the world: clock, entropy, transport, journal.

Beside them stand two that touch no other node. Signatures may use more than one processor; whoever fills a Context may
leave them out, and then they are checked one by one. Meaning gives vectors to texts; without it recall goes by words.

Protocols only, but for the default of signatures. `stigmem.host.context` fills them with the machine,
`sim.world.context` with a simulated one, `stigmem.testing` with values that a test moves; all are tested with the same
bodies (`tests/parity`). Whoever fills them keeps these promises, on which the node relies:

* Clock. `monotonic_ns` never runs back. `elapsed_ns` never runs back either, nobody sets it, and it goes on while the
  machine is suspended, where there is such a clock. `wall_ns` may be wrong, jump and stand still. A task that was
  spawned runs until it ends or the node stops; what it raises stops the node.
* Signal. Exactly one task waits on one. Setting it before the wait is not lost; setting it twice is setting it once.
* Entropy. Nobody can predict it: keys' secrets and nonces come from here.
* Transport. An answer is returned whatever its status; only silence raises. The body is never longer than asked for.
* Meaning. The same text has the same vector for as long as the process lives. An error of the port costs the vectors
  that were asked for and nothing else.
* Signatures. Checks say what the suite says, whatever thread they are made in, in the order of the question.
* Journal. One commit at a time, from one task. A commit is all or nothing and durable when it returns, and after
  JournalFull the next commit may succeed. `load` gives what was committed, in an order from which the same state
  follows. `audit` may be called at any time and shows only what is durable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from stigmem.core.audit import AuditRow
from stigmem.core.errors import StigmemError
from stigmem.core.keys import Suite
from stigmem.core.recall.meaning import Passage
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response

__all__ = [
    "Clock", "Context", "Entropy", "Journal", "JournalFull", "Meaning", "MeaningFailed", "OneThread", "Signal",
    "Signatures", "Signed", "Transport", "Unreachable",
]  # fmt: skip


class Signal(Protocol):
    """A wake-up for exactly one waiter; setting it before the wait is not lost."""

    def set(self) -> None: ...

    def wait(self, timeout_ns: int | None = None) -> Awaitable[bool]:
        """Wait until set and clear it; False when `timeout_ns` ran out first. None waits without a limit."""
        ...


class Clock(Protocol):
    """Time and waiting. `wall_ns` may be wrong, jump and stand still; `monotonic_ns`, which timers go by, never runs
    back and may stop while the machine is suspended; `elapsed_ns` does neither, and is only compared with itself."""

    def wall_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...

    def elapsed_ns(self) -> int: ...

    def signal(self) -> Signal: ...

    async def sleep(self, ns: int) -> None: ...

    async def checkpoint(self) -> None:
        """Let other tasks run in the middle of long work."""
        ...

    def spawn(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Run a task of this node until it ends or the node stops."""
        ...


class Entropy(Protocol):
    """Unpredictable bytes."""

    def token(self, size: int) -> bytes: ...

    def stream(self, name: str) -> Entropy:
        """The same for one purpose. A machine gives itself; a simulated one gives a stream of its own for each name, so
        that what is drawn for one purpose does not move what is drawn for another."""
        ...


class Unreachable(StigmemError):
    """A peer could not be reached or did not answer in time; `code` says how."""


class Transport(Protocol):
    """Requests to other nodes."""

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        """The peer's answer, whatever its status; raises Unreachable."""
        ...


Signed = tuple[str, bytes, bytes]
"""What is to be checked: the public key, the message, the signature."""


class Signatures(Protocol):
    """Many signatures checked at once: the dearest part of replication, and the one that other processors can take."""

    @property
    def threads(self) -> int:
        """How many checks are made at the same time; with one there is nothing to gain by asking for many."""
        ...

    async def check(self, suite: Suite, signed: Sequence[Signed]) -> Sequence[bool]:
        """Whether each is valid."""
        ...


class OneThread:
    """Signatures checked where they are asked for, one after the other."""

    threads = 1

    async def check(self, suite: Suite, signed: Sequence[Signed]) -> Sequence[bool]:
        return [suite.verify(*each) for each in signed]


class MeaningFailed(StigmemError):
    """Texts could not be given vectors now; `code` says how. A later question may succeed."""


class Meaning(Protocol):
    """Vectors of what texts mean."""

    @property
    def is_weighted(self) -> bool:
        """Whether a vector depends on what each word of its text counts, or on the text alone."""
        ...

    async def vectors(self, passages: Sequence[Passage]) -> Sequence[bytes]:
        """The vector of each text, a signed byte a dimension and all of one length, at most DIMENSIONS_MAX; only zeros
        for a text that says nothing. Raises MeaningFailed."""
        ...


class JournalFull(StigmemError):
    """The journal could not take the batch; nothing of it was kept, and a later batch may succeed."""


class Journal(Protocol):
    """The durable past of a node."""

    async def commit(self, records: Sequence[Record]) -> None:
        """Make a batch durable as a whole; raises JournalFull."""
        ...

    def load(self) -> AsyncIterator[Sequence[Record]]:
        """What was committed, in batches, in an order from which the same state follows; raises JournalCorrupt."""
        ...

    async def audit(self, after: int, limit: int, *, newest_first: bool = False) -> list[AuditRow]:
        """Audit rows with a sequence number greater than `after` (or less, newest first)."""
        ...

    async def compact(self) -> None:
        """Keep nothing of what was deleted or replaced; raises JournalFull."""
        ...


class Context(NamedTuple):
    """Everything a node has of the outside."""

    clock: Clock
    entropy: Entropy
    transport: Transport
    journal: Journal
    signatures: Signatures = OneThread()
    meaning: Meaning | None = None
