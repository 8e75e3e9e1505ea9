"""Kinds of traffic, one file each.

To add one: a file here with a subclass of Workload under `@kind("name")` (`base.py` says what it is, `probe.py` is the
shortest model). Kinds of your own need not be here: `sim.kinds`.
"""

from __future__ import annotations

from sim.kinds import find_kinds, import_modules
from sim.workload.base import Workload

__all__ = ["WORKLOADS", "Workload"]

import_modules(__name__, __path__)
WORKLOADS: tuple[type[Workload], ...] = tuple(find_kinds("workload").values())
"""Those of this package."""
