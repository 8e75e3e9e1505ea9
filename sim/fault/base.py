"""What every fault is: when it begins, how long it lasts, what it does to the laboratory and how it undoes it.

A fault is a struct of its table in the scenario file with two verbs. To add one: a file here with a subclass,
and a line in `sim/fault/__init__.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sim.units import Duration

if TYPE_CHECKING:
    from sim.lab import Lab
    from sim.plan import Plan

__all__ = ["Fault", "Misfit"]


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

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the fault does not fit the federation."""

    def begin(self, lab: Lab) -> None:
        """Make the trouble."""
        raise NotImplementedError

    def end(self, lab: Lab) -> None:
        """Undo it; called once, at its end or when all faults end."""
        raise NotImplementedError
