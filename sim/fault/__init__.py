"""Kinds of trouble, one file each; the registry below is what a scenario's `kind` is looked up in."""

from __future__ import annotations

from sim.fault.base import Fault, Misfit
from sim.fault.partition import Partition

__all__ = ["AnyFault", "FAULTS", "Fault", "Misfit"]

FAULTS = (Partition,)
AnyFault = Partition
