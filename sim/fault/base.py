"""What every fault is: when it begins, how long it lasts, what it does to the laboratory and how it undoes it.

A fault is a struct of its table in the scenario file with two verbs; what it must remember while it lasts is kept
by the laboratory, so that one scenario can run many times. To add one: a file here with a subclass, and a line in
`sim/fault/__init__.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sim.units import Duration

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab
    from sim.scenario.plan import Plan

__all__ = ["Fault", "Misfit", "NodeFault", "Share"]

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""A part of a whole."""


class Misfit(Exception):
    """A part of a scenario that does not fit the rest: the key that is wrong and a sentence."""

    def __init__(self, key: str, sentence: str, *, given: str | None = None, known: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.key = key
        self.sentence = sentence
        self.given = given
        self.known = known
        """Names that would have been right, for a suggestion."""


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A fault between `at` and `at + for`; without `for` it lasts until the faults end, or is over at once."""

    at: Duration
    lasts: Duration | None = msgspec.field(default=None, name="for")

    momentary = False
    """Whether the fault is an instant (a step, a crash): then `for` makes it undo itself."""

    def label(self) -> str:
        """A few words for reports and figures."""
        return str(self.__struct_config__.tag)

    def nodes(self) -> tuple[str, ...]:
        """The nodes it names; each must exist."""
        return ()

    def boots_later(self) -> tuple[str, ...]:
        """Nodes that are not there from the start."""
        return ()

    def span(self) -> int | None:
        """How long it lasts, in ns; None is until the faults end, or no time at all when it is momentary."""
        return self.lasts

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the fault does not fit the federation."""

    def begin(self, lab: Lab) -> None:
        """Make the trouble."""
        raise NotImplementedError

    def end(self, lab: Lab) -> None:
        """Undo it; called once, at its end or when all faults end."""
        raise NotImplementedError


class NodeFault(Fault):
    """A fault of one node, or of every node when none is named."""

    node: str | None = None

    def nodes(self) -> tuple[str, ...]:
        return () if self.node is None else (self.node,)

    def hit(self, lab: Lab) -> tuple[str, ...]:
        """The nodes it strikes: the one it names, or all that have not left."""
        if self.node is not None:
            return (self.node,)
        return tuple(name for name in lab.plan.nodes if name not in lab.gone)
