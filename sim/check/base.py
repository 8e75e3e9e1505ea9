"""What every checker is: one property, watched while it can be broken and judged at the end.

A checker is built once for each run, with what may be seen of the run (`sim.ports.Observed`), and overrides the hooks
that it needs. All hooks are called from `sim.simulation.events` and from nowhere else:

  on_commit        a batch became durable on a machine: its facts are stored, nobody has been answered yet
  on_response      a node is about to put an answer on the wire; the asker has not seen it
  on_asked         a node asked a hostile peer for facts, which is about to answer
  on_acknowledged  a client on a machine was told that its write is stored
  on_read          a client has read all pages of what its node shows of an entity
  on_boot          a node has loaded its journal and runs; its first commit comes later
  on_disk_wiped    a machine that is off got an empty disk, on purpose
  is_quiet         asked four times a second after the faults ended: may the federation be called settled?
  result           asked once, after the run; of one that was cut short only if the checker watches (`watches`)

Rules for all of them:

1. Looking only. A checker changes nothing, draws nothing at random and awaits nothing, so that a run with more or
   fewer checkers is the same run, digest for digest.
2. One way to fail: `self.fail(machine, sentence)`, from any hook. It raises `PropertyViolated`, which is the checker's
   last word and ends a run that is under way (with `keep_going` the run goes on without the checker). What else a
   checker raises is a bug of its own.
3. A false alarm is as bad as a miss. Crashes, wiped disks and machines that leave are legal; `on_disk_wiped` tells what
   need not be remembered any more, and `Observed.node` gives None for a machine that is off.
4. Hooks stand on the hot path. `on_commit` runs for each of some hundred thousand commits, most of which hold nothing
   but the nonce of a token: whoever overrides it says in `sees` whether those matter.

To add one: a file here with a subclass, a line in `sim/check/__init__.py`, and in `tests/sim/check/test_checkers.py` a
run in which the property is broken on purpose. `tokens.py` is a short model. A program that uses this package as a
library gives its own to `sim.run(..., checkers=[...])` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, NoReturn

from sim.diagnostics.errors import Violation
from sim.observation.reads import Read
from sim.ports import Observed
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.core.wire import Request, Response

__all__ = [
    "Asked", "Boot", "CheckResult", "Checker", "CheckerFactory", "Commit", "Commits", "PropertyViolated", "Served",
    "build_checkers",
]  # fmt: skip


class PropertyViolated(Exception):
    """A property does not hold. Raised by `Checker.fail`, caught where hooks are called."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.sentence)
        self.violation = violation


class Commits(Enum):
    """Which commits a checker is shown."""

    ALL = "all"
    THAT_TELL = "those with a fact, an audit row or a dead letter in them"


class Commit(NamedTuple):
    """One batch that became durable on a machine: all of its records, and the facts and audit rows among them."""

    machine: str
    records: Sequence[Record]
    at_ns: int
    facts: Sequence[Fact]
    rows: Sequence[AuditRow]

    @property
    def turn_ms(self) -> int | None:
        """The node's own clock in the turn, in milliseconds since the epoch; None when the commit has no audit row.
        Every commit that stores facts has one, which is the audit checker's to see to."""
        return self.rows[0].ts_us // 1000 if self.rows else None


class Served(NamedTuple):
    """A request that came over the wire from another node or a hostile peer, and the answer to it."""

    machine: str
    asker: str
    request: Request
    response: Response


class Asked(NamedTuple):
    """A pull of a node at a hostile peer, and what that is about to answer; None for nothing at all."""

    node: str
    peer: str
    request: Request
    answer: Response | None


class Boot(NamedTuple):
    """A node that has loaded its journal: the `number` of the boot, from 1, and what its disk holds. The disk is read
    when `read_disk` is called, which takes as long as loading did."""

    machine: str
    number: int
    read_disk: Callable[[], Iterable[Sequence[Record]]]


class CheckResult(NamedTuple):
    """A checker's last word; `ok` is None when it could not be judged. What is `vacuous` holds because nothing happened
    that could have broken it, which is no failure and no evidence."""

    name: str
    ok: bool | None
    detail: str
    vacuous: bool = False


class Checker:
    """One property; override what it needs to see."""

    sort: ClassVar[str] = "checker"
    """What `sim.kinds` registers it as."""
    name: ClassVar[str] = ""
    """As in run.json. No two checkers of a run have the same."""

    sees: ClassVar[Commits]
    """Which commits `on_commit` looks at; said by every class that overrides it."""

    def __init__(self, observed: Observed) -> None:
        """Before the first event of the run, when no machine has booted."""
        self.observed = observed

    def __init_subclass__(cls, **keys: Any) -> None:
        super().__init_subclass__(**keys)
        if "on_commit" in vars(cls) and "sees" not in vars(cls):
            raise TypeError(
                f"{cls.__name__} overrides on_commit and does not say which commits it sees: write sees = Commits.ALL, "
                "or Commits.THAT_TELL if those without a fact, an audit row or a dead letter mean nothing to it"
            )

    @classmethod
    def watches(cls) -> bool:
        """Whether the property is watched while a run goes on; else it is judged at its end only."""
        hooks = ("on_commit", "on_response", "on_asked", "on_acknowledged", "on_read", "on_boot")
        return any(getattr(cls, hook) is not getattr(Checker, hook) for hook in hooks)

    def on_commit(self, commit: Commit) -> None:
        """A batch became durable on a machine."""

    def on_response(self, served: Served) -> None:
        """A node is about to answer over the wire."""

    def on_asked(self, asked: Asked) -> None:
        """A node asked a hostile peer for facts."""

    def on_read(self, read: Read) -> None:
        """A client has read all that its node shows of an entity."""

    def on_acknowledged(self, machine: str, fact_id: str) -> None:
        """A client on a machine got 201 for a write, or 200 for a resolution."""

    def on_boot(self, boot: Boot) -> None:
        """A node has loaded its journal."""

    def on_disk_wiped(self, machine: str) -> None:
        """A machine's disk was wiped on purpose: what this property knew of it no longer counts."""

    def is_quiet(self) -> bool:
        """Whether the federation may be called settled as far as this property goes."""
        return True

    def result(self) -> CheckResult:
        """The judgement at the end of a run without violations."""
        return self.holds("")

    # --- words ---

    def holds(self, detail: str) -> CheckResult:
        """The property holds; `detail` says of what that was seen, in numbers."""
        return CheckResult(self.name, True, detail)

    def vacuous(self, why: str) -> CheckResult:
        """The property holds because nothing happened that could have broken it; `why` says what was missing."""
        return CheckResult(self.name, True, why, vacuous=True)

    def holds_of(self, count: int, detail: str) -> CheckResult:
        """The property holds of so many things, or vacuously when there were none."""
        return self.holds(detail) if count else self.vacuous(detail)

    def unjudged(self, why: str) -> CheckResult:
        """Nothing happened by which the property could have been seen to hold or not: a run is inconclusive then."""
        return CheckResult(self.name, None, why)

    def fail(self, machine: str, sentence: str) -> NoReturn:
        """The property does not hold on a machine ("" when no single one is to blame); one sentence says what is
        wrong. Raises PropertyViolated."""
        raise PropertyViolated(Violation(self.name, machine, self.observed.now_ns, sentence))


def _called(make: Any) -> str:
    name = getattr(make, "__qualname__", None) or repr(make)
    return f"{getattr(make, '__module__', '')}.{name}"


CheckerFactory = Callable[[Observed], Checker]
"""A checker class, or whatever else makes one for a run."""


def build_checkers(factories: Iterable[CheckerFactory], observed: Observed) -> list[Checker]:
    """The checkers of one run, in the order in which they look. Raises ValueError when one has no name, or that of
    another: results are told apart by names; and TypeError for what makes no checker."""
    found: dict[str, Checker] = {}
    for make in factories:
        given: Any = make
        if not callable(given) or (isinstance(given, type) and not issubclass(given, Checker)):
            raise TypeError(f"{given!r:.60} is no subclass of Checker; give the class itself, as checkers=[ShortNames]")
        try:
            checker = make(observed)
        except Exception as error:
            if getattr(make, "__module__", "").partition(".")[0] == "sim":
                raise
            said = f"{type(error).__name__}: {error}"
            raise TypeError(f"the checker {_called(make)} cannot be made for a run: {said}") from error
        if not checker.name or checker.name in found:
            other = f"that of another, {checker.name!r}" if checker.name else "none"
            raise ValueError(f"every checker needs a name of its own; {type(checker).__name__} has {other}")
        found[checker.name] = checker
    return list(found.values())
