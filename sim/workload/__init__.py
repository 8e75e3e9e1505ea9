"""Kinds of traffic, one file each; the registry below is what a scenario's `kind` is looked up in."""

from __future__ import annotations

from sim.workload.base import Workload
from sim.workload.burst import Burst
from sim.workload.contradictions import Contradictions
from sim.workload.expiring import Expiring
from sim.workload.probe import Probe
from sim.workload.resolver import Resolver
from sim.workload.retractions import Retractions
from sim.workload.storm import Storm
from sim.workload.trace import Trace
from sim.workload.writers import Writers

__all__ = ["WORKLOADS", "AnyWorkload", "Workload"]

WORKLOADS = (Writers, Contradictions, Probe, Retractions, Expiring, Storm, Trace, Resolver, Burst)
AnyWorkload = Writers | Contradictions | Probe | Retractions | Expiring | Storm | Trace | Resolver | Burst
