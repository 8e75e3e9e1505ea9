"""Every experiment, in the order of the page. Workers of the pool import this module once."""

from __future__ import annotations

from tests.validation import agreement, coupling, faults, lag, wire

__all__ = ["EXPERIMENTS"]

EXPERIMENTS = (
    *lag.EXPERIMENTS,
    *faults.EXPERIMENTS,
    *wire.EXPERIMENTS,
    *coupling.EXPERIMENTS,
    *agreement.EXPERIMENTS,
)
