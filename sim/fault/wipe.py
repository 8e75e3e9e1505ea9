"""A wipe: the disk is lost and the machine comes back empty, with its old name and key."""

from __future__ import annotations

from sim.fault.base import DiskReplaced
from sim.kinds import kind
from sim.ports import MachineControl

__all__ = ["Wipe"]


@kind("wipe")
class Wipe(DiskReplaced, kw_only=True):
    """Crashes, loses everything and boots `down` later; the operators introduce it to its peers again."""

    def replace(self, machine: MachineControl) -> None:
        machine.wipe()
