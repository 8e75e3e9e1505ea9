"""Disks that are full or slow, of one node or of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta

from sim.fault.base import NodeFault, all_of
from sim.kinds import kind
from sim.ports import FaultEnv

__all__ = ["DiskFull", "DiskSlow"]


@kind("disk-full")
class DiskFull(NodeFault, kw_only=True):
    """Nothing can be stored until the end; what is there can be read."""

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.disk_full() for machine in env.machines(self.node)):
            yield


@kind("disk-slow")
class DiskSlow(NodeFault, kw_only=True):
    """A sync takes `times` as long."""

    times: Annotated[int, Meta(ge=2, le=1_000_000)] = 100
    """How many times as long as usual a sync takes."""

    def label(self) -> str:
        return f"disk {self.times} times slower"

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        with all_of(machine.disk_slow(self.times) for machine in env.machines(self.node)):
            yield
