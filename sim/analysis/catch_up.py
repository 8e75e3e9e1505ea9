"""Catching up: how long it took, after a fault was over, until what was written before its end was everywhere.

The end of a fault is the heal of a cut, the boot after an outage, the joining of a newcomer. A copy *waits* at that
instant when its fact was written before it and the copy came after it; so does a copy that was lost with a disk before
it and came again after it. The fault's catch-up lasts from its end to the last waiting copy:

    written            x    x  x        x
    fault          |===========|end
    visible                       x    x x          x (written after the end: not this fault's)
    catch-up                   |---------|

A copy that never came counts at its age since the end, as in every lag (`sim.analysis.lag`).

Warts. All copies of the federation count and not only those that the fault held up, because a relay that is down holds
up others' copies: a catch-up is therefore at least about as long as the lag of a federation without faults, and where
faults overlap each one's catch-up holds what the other delays.

The copies are sorted once by when they were written, with a running maximum of when they came; each fault is then a
bisection: O((n + faults) log n).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from sim.analysis.lag import Copies
from sim.observation.conditions import FaultInterval
from sim.observation.visibility import NEVER, Return

__all__ = ["CatchUp", "catch_ups", "worst_by_name"]


class CatchUp(NamedTuple):
    """What followed one fault. `waiting` is how many copies waited when it ended, `took_ns` how long the last of them
    did, 0 when none waited; `missing` of them never came, and then `took_ns` is their age."""

    name: str | None
    label: str
    nodes: tuple[str, ...]
    begin_ns: int
    end_ns: int
    waiting: int
    took_ns: int
    missing: int


def catch_ups(copies: Copies, returns: Sequence[Return], intervals: Sequence[FaultInterval]) -> tuple[CatchUp, ...]:
    """The catch-up of every fault, in the order of their ends."""
    if not intervals:
        return ()
    ended_ns = copies.ended_ns
    pairs = [
        (written, visible)
        for written, visible, at_origin in zip(copies.written, copies.visible, copies.at_origin, strict=True)
        if not at_origin
    ]
    pairs += [(each.lost_ns, each.back_ns) for each in returns]
    pairs.sort()
    begins = [begin for begin, _ in pairs]
    came = sorted(end for _, end in pairs if end != NEVER)
    last = list(accumulate((end for _, end in pairs), max))
    never = list(accumulate(end == NEVER for _, end in pairs))

    def of(interval: FaultInterval) -> CatchUp:
        end_ns = interval.end_ns
        before = bisect_left(begins, end_ns)
        waiting = before - bisect_left(came, end_ns)  # what came before had been written before
        missing = never[before - 1] if before else 0
        until_ns = ended_ns if missing else last[before - 1] if before else end_ns
        return CatchUp(
            name=interval.name,
            label=interval.label,
            nodes=interval.nodes,
            begin_ns=interval.begin_ns,
            end_ns=end_ns,
            waiting=waiting,
            took_ns=max(0, until_ns - end_ns),
            missing=missing,
        )

    return tuple(of(interval) for interval in sorted(intervals, key=lambda each: each.end_ns))


def worst_by_name(found: Sequence[CatchUp]) -> dict[str, int]:
    """The longest catch-up of the faults of each name that the scenario gives, in ns."""
    worst: dict[str, int] = {}
    for each in found:
        if each.name is not None:
            worst[each.name] = max(worst.get(each.name, 0), each.took_ns)
    return worst
