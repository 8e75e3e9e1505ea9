"""The conditions of a run: how wrong clocks are, how slow disks, how noisy the wire, and which faults there were.

A checker that judges how long something took has to know what may have delayed it besides malice or a bug: that is
here, in numbers, without the tables of the scenario that they come from. Who makes it is `sim.simulation.conditions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["Conditions", "FaultInterval", "FaultTimes", "NetworkConditions"]


class FaultInterval(NamedTuple):
    """A fault that happened: what it was in words, the machines it concerned, from when to when, and the name that the
    scenario gives it."""

    label: str
    nodes: tuple[str, ...]
    begin_ns: int
    end_ns: int
    name: str | None = None


class FaultTimes(Protocol):
    """The faults of a run so far."""

    @property
    def fault_intervals(self) -> Sequence[FaultInterval]:
        """Those that are over, in the order in which they ended."""

    @property
    def active(self) -> int:
        """How many have begun and not ended."""

    def may_delay(self, first: str, second: str) -> bool:
        """Whether one that has begun and not ended may delay what two nodes say to each other: it strikes a machine of
        the two, their link, or the whole federation."""

    def ended_ns(self, first: str, second: str) -> int | None:
        """When the last of those that did so ended; None when none has."""


@dataclass(frozen=True, kw_only=True)
class NetworkConditions:
    """What the wire does by itself, faults apart. `corrupt`, `duplicate` and `reorder` are shares of packets, from 0 to
    1."""

    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    loses: bool = False
    """Whether single packets are lost on some link."""
    is_narrow: bool = False
    """Whether a packet may have to wait for others on some link: for how long, no table says."""
    longest_way_ns: int = 0
    """How long a packet may take from one honest node to another, on the slowest link."""
    way_ns: Callable[[str, str], int] = lambda _first, _second: 0
    """How long it may take from one node to another."""

    @property
    def is_disturbed(self) -> bool:
        """Whether packets may be delayed by more than the length of their way."""
        return bool(self.corrupt or self.duplicate or self.reorder or self.is_narrow)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All of it. What does not change is here as numbers; what does is asked for when it is read."""

    drift_ppm: Mapping[str, float]
    """Node -> by how many millionths its clock runs fast (or slow, below 0); nodes with a good clock are left out."""
    disk_sync_ns: int
    network: NetworkConditions
    faults: FaultTimes
    count_dropped: Callable[[str, str], int]

    def dropped_between(self, first: str, second: str) -> int:
        """Packets that were lost so far between two nodes, both ways together."""
        return self.count_dropped(first, second) + self.count_dropped(second, first)
