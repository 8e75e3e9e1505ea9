"""What may leave this node: local sequence numbers for each scope, in the order in which peers are served.

Decides what is ever served (leaks L1 to L6 of federation 5) and finds where a page begins. Which scopes a peer
may see, and how facts look on the wire, is decided above.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final

from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.scopes import SCOPES

__all__ = ["ExportIndex", "is_exportable", "is_foreign_instruction", "is_instruction"]

_INSTRUCTION_PREFIX: Final = "instruction:"


def is_instruction(fact: Fact) -> bool:
    """Whether receivers take a fact for an instruction, by what it says it is or by its name: a reference subscriber
    stops for good at one (federation 3.6)."""
    named = fact.entity.startswith(_INSTRUCTION_PREFIX) or fact.relation.startswith(_INSTRUCTION_PREFIX)
    return named or fact.interpret_as == "instruction"


def is_foreign_instruction(fact: Fact) -> bool:
    """Whether a fact is an instruction that a peer brought. Somebody here has admitted it, and still nobody here said
    it: it is shown as an instruction or not at all, never among what is known."""
    return fact.received_from is not None and is_instruction(fact)


def is_exportable(fact: Fact, *, relay: bool, bookkeeping: bool) -> bool:
    """Whether a fact may ever leave its node, apart from the scopes of a link.

    `relay`: whether facts of others are served on. `bookkeeping`: whether the fact is reserved or derived from
    others, and no resolution.
    """
    if bookkeeping or fact.scope == "local" or is_instruction(fact) or fact.quarantine is not None:
        return False
    if fact.received_from is None:
        return True
    return relay and fact.scope == "public" and fact.certified and fact.signature is not None


class ExportIndex:
    """Sequence numbers of the facts that may leave, by scope; the ledger adds each once, in ascending order.
    `scopes` below are never `local`, which never leaves."""

    def __init__(self) -> None:
        scopes = [scope for scope in SCOPES if scope != "local"]
        self._numbers = {scope: array("q") for scope in scopes}
        self._highest: dict[str, array[int]] = {scope: array("q") for scope in scopes}
        """Beside each number the greatest stamp so far: these only grow, so that a stamp can be found by bisection.
        Filled when asked for, since only peers of dialect 0.5 come with stamps."""

    def add(self, fact: Fact) -> None:
        """Note the newest fact as one that may leave."""
        self._numbers[fact.scope].append(fact.seq)

    def remove(self, fact: Fact) -> None:
        """A fact may not leave any more. The greatest stamps beside the numbers stay as they are: what is served
        because of one that is gone was served before."""
        numbers, highest = self._numbers.get(fact.scope), self._highest.get(fact.scope)
        if numbers is None or highest is None:
            return
        at = bisect_left(numbers, fact.seq)
        if at < len(numbers) and numbers[at] == fact.seq:
            del numbers[at]
            del highest[at : at + 1]

    def after(self, scopes: tuple[str, ...], seq: int) -> Iterator[int]:
        """Numbers of these scopes greater than `seq`, ascending; tolerates no change meanwhile."""
        rest = [
            map(facts.__getitem__, range(bisect_right(facts, seq), len(facts)))
            for scope in scopes
            if (facts := self._numbers[scope]) and facts[-1] > seq
        ]
        return rest[0] if len(rest) == 1 else merge(*rest)

    def last(self, scopes: tuple[str, ...]) -> int:
        """The greatest number; 0 when there is none."""
        return max((facts[-1] for scope in scopes if (facts := self._numbers[scope])), default=0)

    def before(self, scopes: tuple[str, ...], stamp: Stamp, log: Sequence[Fact]) -> int:
        """The number just before the first fact with a greater stamp than `stamp`; the last number when there is none.
        `log`: the ledger's facts by local sequence number, the first at index 0."""
        found = []
        for scope in scopes:
            numbers, highest = self._numbers[scope], self._highest[scope]
            for at in range(len(highest), len(numbers)):
                here = log[numbers[at] - 1].stamp
                highest.append(max(here, highest[-1]) if highest else here)
            at = bisect_right(highest, stamp)
            if at < len(numbers):
                found.append(numbers[at] - 1)
        return min(found, default=self.last(scopes))
