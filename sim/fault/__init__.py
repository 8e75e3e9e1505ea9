"""Kinds of trouble, a file per kind or family.

To add one: a file here with a subclass of Fault under `@kind("name")` (`base.py` says what it is, `loss.py` is the
shortest model), and a run of it in `tests/sim/fault/test_faults.py`. Kinds of your own need not be here: `sim.kinds`.
"""

from __future__ import annotations

from sim.fault.base import Fault
from sim.kinds import find_kinds, import_modules

__all__ = ["FAULTS", "Fault"]

import_modules(__name__, __path__)
FAULTS: tuple[type[Fault], ...] = tuple(find_kinds("fault").values())
"""Those of this package."""
