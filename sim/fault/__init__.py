"""Kinds of trouble, a file per kind or family; the registry below is what a scenario's `kind` is looked up in.

To add one: a file here with a subclass of Fault (its fields are the keys of the table, `begin` and `end` do it and
undo it; `loss.py` is the shortest model), its name in FAULTS and AnyFault below, a run of it in
`tests/sim/fault/test_faults.py`, and `stigmem-sim schema > spec/scenario.schema.json`.
"""

from __future__ import annotations

from sim.fault.bandwidth import Bandwidth
from sim.fault.base import Fault
from sim.fault.clocks import ClockDrift, ClockFreeze, ClockSlew, ClockStep, ClockStrobe
from sim.fault.clog import Clog
from sim.fault.corrupt import Corrupt
from sim.fault.crash import Crash
from sim.fault.crash_at_commit import CrashAtCommit
from sim.fault.disks import DiskFull, DiskSlow
from sim.fault.duplicate import Duplicate
from sim.fault.flap import Flap
from sim.fault.join import Join
from sim.fault.leave import Leave
from sim.fault.loss import Loss
from sim.fault.partition import Partition
from sim.fault.pause import Pause
from sim.fault.random_crashes import RandomCrashes
from sim.fault.reorder import Reorder
from sim.fault.restart import Restart
from sim.fault.slow import Slow
from sim.fault.wipe import Wipe

__all__ = ["FAULTS", "AnyFault", "Fault"]

FAULTS = (
    Partition, Clog, Flap, Slow, Loss, Duplicate, Reorder, Corrupt, Bandwidth, ClockStep, ClockFreeze, ClockStrobe,
    ClockSlew, ClockDrift, Crash, Restart, Pause, Wipe, Join, Leave, DiskFull, DiskSlow, RandomCrashes, CrashAtCommit,
)  # fmt: skip
AnyFault = (
    Partition | Clog | Flap | Slow | Loss | Duplicate | Reorder | Corrupt | Bandwidth | ClockStep | ClockFreeze
    | ClockStrobe | ClockSlew | ClockDrift | Crash | Restart | Pause | Wipe | Join | Leave | DiskFull | DiskSlow
    | RandomCrashes | CrashAtCommit
)  # fmt: skip
