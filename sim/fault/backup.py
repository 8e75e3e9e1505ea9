"""Backups: a copy of a node's disk, and the same copy restored later, under the same name and key.

A node that goes back to an old backup has forgotten whatever it stored since. What others said comes again from its
peers, whose place in it the backup knows. What it said itself does not: nobody serves a node its own word, except one
that is empty. Its peers hold all of that still, and they find that the node's log is another one than that in which
they had read up to some place, so that they begin anew and miss nothing that it says from now on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sim.diagnostics.errors import Misfit
from sim.fault.base import DiskReplaced, NodeFault
from sim.kinds import kind
from sim.ports import FaultEnv, MachineControl
from sim.topology.federation import Federation

__all__ = ["Backup", "RestoreBackup"]


@kind("backup")
class Backup(NodeFault, kw_only=True):
    """The disk is copied to elsewhere, as it is at that instant; nothing happens to the node.

    What an earlier backup of the same node held is kept no longer.
    """

    momentary = True

    def check(self, federation: Federation) -> None:
        if self.lasts is not None:
            raise Misfit("for", "a backup is taken in an instant; leave for out")

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        for machine in env.machines(self.node):
            machine.back_up()
        yield


@kind("restore-backup")
class RestoreBackup(DiskReplaced, kw_only=True):
    """Crashes, is given the disk that was backed up last, and boots `down` later with its old name and key. A fault of
    kind 'backup' must have taken it before."""

    def label(self) -> str:
        return "restored backup"

    def replace(self, machine: MachineControl) -> None:
        machine.restore()
