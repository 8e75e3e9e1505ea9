"""Replication lag: how long each fact took to become visible on each node that should hold it.

In true time, over every (fact, reader other than its origin). A copy that never came is missing, not late: it
is counted and takes no part in the percentiles. Facts that were destroyed with the only disk they were on are
left out altogether.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from sim.observation.visibility import NEVER, Visibility

__all__ = ["Copies", "LagSummary", "copies_of", "nearest_rank", "slowest", "summarise"]


@dataclass(frozen=True)
class Copies:
    """One entry per (fact, node) that should be, the origin included, in parallel arrays: the fact's number,
    the node's number, when it was written and when it became visible there (nanoseconds, or NEVER)."""

    fact: array[int]
    node: array[int]
    written: array[int]
    visible: array[int]
    at_origin: array[int]
    """1 where the node is the fact's origin, else 0."""


class LagSummary(NamedTuple):
    """Percentiles in nanoseconds (None when no copy arrived anywhere), copies that came and that are missing."""

    p50: int | None
    p90: int | None
    p99: int | None
    most: int | None
    came: int
    missing: int


def copies_of(visibility: Visibility) -> Copies:
    """Every copy that should be, fact by fact in the order of writing."""
    rank = {name: number for number, name in enumerate(visibility.nodes)}
    found = Copies(array("q"), array("q"), array("q"), array("q"), array("b"))
    for number, name in visibility.expected():
        fact = visibility.facts[number]
        found.fact.append(number)
        found.node.append(rank[name])
        found.written.append(fact.written_ns)
        found.visible.append(visibility.visible[name][number])
        found.at_origin.append(fact.origin == name)
    return found


def summarise(copies: Copies) -> LagSummary:
    """The percentiles over all copies outside their origins."""
    lags: list[int] = []
    missing = 0
    for written, visible, at_origin in zip(copies.written, copies.visible, copies.at_origin, strict=True):
        if visible == NEVER:
            missing += 1
        elif not at_origin:
            lags.append(visible - written)
    lags.sort()
    if not lags:
        return LagSummary(None, None, None, None, 0, missing)
    p50, p90, p99 = (nearest_rank(lags, share) for share in (50, 90, 99))
    return LagSummary(p50, p90, p99, lags[-1], len(lags), missing)


def slowest(copies: Copies) -> int | None:
    """The place of the copy that took longest to come; None when none came."""
    came = (place for place, visible in enumerate(copies.visible) if visible != NEVER and not copies.at_origin[place])
    return max(came, key=lambda place: copies.visible[place] - copies.written[place], default=None)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The percentile of a sorted sequence by nearest rank: always a value that occurred, and exact."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
