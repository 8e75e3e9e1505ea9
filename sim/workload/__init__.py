"""Kinds of traffic, one file each; the registry below is what a scenario's `kind` is looked up in."""

from __future__ import annotations

from sim.workload.base import Workload
from sim.workload.contradictions import Contradictions

__all__ = ["AnyWorkload", "WORKLOADS", "Workload"]

WORKLOADS = (Contradictions,)
AnyWorkload = Contradictions
