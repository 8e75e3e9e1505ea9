"""Kinds of hostile peers, one file each.

To add one: a file here with a subclass of Adversary under `@kind("name")` (`base.py` says what it is), and a run of it
in `tests/sim/adversary/test_adversaries.py`. Kinds of your own need not be here: `sim.kinds`.
"""

from __future__ import annotations

from sim.adversary.base import Adversary
from sim.kinds import find_kinds, import_modules

__all__ = ["ADVERSARIES", "Adversary"]

import_modules(__name__, __path__)
ADVERSARIES: tuple[type[Adversary], ...] = tuple(find_kinds("adversary").values())
"""Those of this package."""
