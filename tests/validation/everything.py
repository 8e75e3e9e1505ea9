"""Every experiment, in the order of the page. Workers of the pool import this module once."""

from __future__ import annotations

from tests.validation import agreement, faults, lag, wire

__all__ = ["EXPERIMENTS"]

# Coupling (a run with one fault more against the run without it, everything outside its reach equal) gets a module of
# its own beside these once random streams are named by purpose; until then the page says that it is not measured.
EXPERIMENTS = (*lag.EXPERIMENTS, *faults.EXPERIMENTS, *wire.EXPERIMENTS, *agreement.EXPERIMENTS)
