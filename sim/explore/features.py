"""Which kinds and settings one scenario may have at all: swarm testing.

A scenario that may hold a little of everything holds seldom much of one thing, and some things hide others: where
machines crash all the time no mailbox ever fills. So each number first switches features off, and draws only from what
is left. How many stay is drawn too, so that some scenarios see nearly everything and some a single kind of fault many
times. The idea is that of A. Groce, C. Zhang, E. Eide, Y. Chen and J. Regehr, Swarm Testing, ISSTA 2012, who found that
tests which leave features out at random meet more distinct faults than tests which include all of them.

A feature is a kind, as in `fault crash`, or one of `SETTINGS`.
"""

from __future__ import annotations

from random import Random
from typing import Final

from sim.explore.palettes import NOT_DRAWN
from sim.kinds import find_kinds

__all__ = ["SETTINGS", "SORTS", "all_features", "draw_features", "kinds_among"]

SORTS: Final = ("workload", "fault", "adversary")
SETTINGS: Final = (
    "lossy wire", "duplicating wire", "reordering wire", "corrupting wire", "narrow wire", "slow disks", "wrong clocks",
    "special links", "named ids", "vouched keys", "no relay", "push", "holding pulls", "owned sources", "small mailbox",
    "fresh declarations", "tombstones", "no convergence",
)  # fmt: skip
"""What a federation, its wire, its disks and its clocks may be like besides the usual."""
_SHARES: Final = (0.1, 0.3, 0.5, 0.5, 0.9)
"""Which part of the features stays, one of these a scenario."""
_KINDS_MIN: Final = 1
"""Of workloads, without which nothing happens."""


def all_features() -> tuple[str, ...]:
    """Every feature, in a fixed order."""
    kinds = [f"{sort} {kind}" for sort in SORTS for kind in _drawable(sort)]
    return (*kinds, *SETTINGS)


def draw_features(rng: Random) -> frozenset[str]:
    """The features that one scenario may have; at least one kind of workload is among them."""
    share = rng.choice(_SHARES)
    kept = [feature for feature in all_features() if rng.random() < share]
    workloads = [f"workload {kind}" for kind in _drawable("workload")]
    if sum(feature in workloads for feature in kept) < _KINDS_MIN:
        kept += rng.sample(workloads, _KINDS_MIN)
    return frozenset(kept)


def kinds_among(features: frozenset[str], sort: str) -> list[str]:
    """The kinds of one sort that these features leave, in a fixed order."""
    return [kind for kind in _drawable(sort) if f"{sort} {kind}" in features]


def _drawable(sort: str) -> list[str]:
    return [kind for kind in sorted(find_kinds(sort)) if (sort, kind) not in NOT_DRAWN]
