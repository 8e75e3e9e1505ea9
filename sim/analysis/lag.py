"""Replication lag: how long each fact took to become visible on each node that should hold it.

In true time, over every (fact, reader other than its origin). What a number here means:

1. A copy that never came counts at its age when the run ended. Leaving it out would make the worst federation look
   best: of a cut that never heals only the copies that were there before it would count. So a percentile is a lower
   bound as soon as copies are missing, and how many are is told beside it.
2. A copy came when its node saw the fact first. That the node lost its disk afterwards, and had to fetch it again, is
   another question: `comebacks`.
3. Facts that were written before the warm-up ended are not measured: nobody can send what it has no peers for.
4. A node that joins late lacks whatever was written before it came. Its lag since the writing measures its absence; its
   lag since it joined is told apart: `joinings`.
5. Facts that were destroyed with the only disk they were on are left out altogether.

Percentiles are by nearest rank, so each is a lag that occurred. Lag may also be told for a fact as a whole, when it was
everywhere and when a majority had it: `sim.analysis.lag_query`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple, Self

from sim.observation.visibility import NEVER, Return, Visibility

__all__ = [
    "Copies",
    "LagSummary",
    "comebacks",
    "copies_of",
    "joinings",
    "nearest_rank",
    "slowest",
    "spread",
    "summarise",
]


@dataclass(frozen=True, kw_only=True)
class Copies:
    """One entry per (fact, node) that should be, the origin included, fact by fact in parallel arrays."""

    fact: array[int]
    """Number of the fact."""
    node: array[int]
    """Number of the node."""
    written: array[int]
    """When the fact was written, in ns like all times here."""
    visible: array[int]
    """When it was first visible on the node, or NEVER."""
    held: array[int]
    """Since when the node has held it without a break, or NEVER."""
    at_origin: array[int]
    """1 where the node is the fact's origin, else 0."""
    ended_ns: int
    """When the run ended: the age of what is missing is counted until then."""
    measured_from_ns: int | None
    """When the warm-up was over; None when it never was, and then nothing is measured."""
    joined_ns: Sequence[int | None]
    """When each node was up for the first time, by its number; None where it never was."""

    @classmethod
    def empty(cls, *, ended_ns: int, measured_from_ns: int | None, joined_ns: Sequence[int | None]) -> Self:
        """No copies yet."""
        return cls(
            fact=array("q"),
            node=array("q"),
            written=array("q"),
            visible=array("q"),
            held=array("q"),
            at_origin=array("b"),
            ended_ns=ended_ns,
            measured_from_ns=measured_from_ns,
            joined_ns=joined_ns,
        )

    @cached_property
    def away(self) -> list[int]:
        """The places of the copies that are measured: outside their origins, and written after the warm-up."""
        since = self.measured_from_ns
        if since is None:
            return []
        copies = enumerate(zip(self.written, self.at_origin, strict=True))
        return [place for place, (written, at_origin) in copies if not at_origin and written >= since]

    def age_ns(self, place: int) -> int:
        """The lag of a copy, or its age when it never came."""
        visible = self.visible[place]
        return (self.ended_ns if visible == NEVER else visible) - self.written[place]


class LagSummary(NamedTuple):
    """Percentiles in nanoseconds, None when nothing was measured; how many copies came, and how many were never
    seen."""

    p50: int | None
    p90: int | None
    p99: int | None
    most: int | None
    came: int
    missing: int


def copies_of(visibility: Visibility, ended_ns: int, measured_from_ns: int | None = 0) -> Copies:
    """Every copy that should be, fact by fact."""
    rank = {name: number for number, name in enumerate(visibility.nodes)}
    joined_ns = [visibility.joined_ns.get(name) for name in visibility.nodes]
    found = Copies.empty(ended_ns=ended_ns, measured_from_ns=measured_from_ns, joined_ns=joined_ns)
    for number, name in visibility.expected():
        fact = visibility.facts[number]
        found.fact.append(number)
        found.node.append(rank[name])
        found.written.append(fact.written_ns)
        found.visible.append(visibility.first_seen[name][number])
        found.held.append(visibility.held_since[name][number])
        found.at_origin.append(fact.origin == name)
    return found


def summarise(copies: Copies) -> LagSummary:
    """The percentiles over all copies that are measured."""
    missing = sum(copies.visible[place] == NEVER for place in copies.away)
    return spread(list(map(copies.age_ns, copies.away)), missing)


def spread(lags: list[int], missing: int) -> LagSummary:
    """The percentiles of some lags, `missing` of which are the ages of copies that never came."""
    if not lags:
        return LagSummary(None, None, None, None, 0, 0)
    ordered = sorted(lags)
    p50, p90, p99 = (nearest_rank(ordered, percent) for percent in (50, 90, 99))
    return LagSummary(p50, p90, p99, ordered[-1], len(ordered) - missing, missing)


def comebacks(returns: Sequence[Return], ended_ns: int) -> LagSummary:
    """For how long nodes were without what they had held: from the loss of the disk to the copy's return."""
    missing = sum(each.back_ns == NEVER for each in returns)
    return spread([(ended_ns if each.back_ns == NEVER else each.back_ns) - each.lost_ns for each in returns], missing)


def joinings(copies: Copies) -> LagSummary:
    """The lag since they joined of nodes that joined late, over what had been written before."""
    lags: list[int] = []
    missing = 0
    if not any(copies.joined_ns):
        return spread(lags, missing)  # every node was there when the run began, or never
    for place in copies.away:
        since = copies.joined_ns[copies.node[place]]
        if since is not None and copies.written[place] < since:
            lags.append(copies.age_ns(place) + copies.written[place] - since)
            missing += copies.visible[place] == NEVER
    return spread(lags, missing)


def slowest(copies: Copies) -> int | None:
    """The place of the copy that took longest, or has been missing for longest; None when none is measured."""
    return max(copies.away, key=copies.age_ns, default=None)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The percentile of a sorted sequence by nearest rank: always a value that occurred, and exact."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
