"""Seeds: which numbers are one, in a file, at the command line and from Python."""

from __future__ import annotations

import re
from typing import Final

from sim.diagnostics.suggestions import shown

__all__ = ["checked_seed", "parse_seed"]

_SEEDS_END: Final = 2**63
"""TOML's whole numbers end there, and the seed is written into the run's scenario."""
_NO_SEED: Final = f"is not a seed, which is a whole number from 0 to {_SEEDS_END - 1}"


def checked_seed(value: object) -> int:
    """The value, if it is a seed; else ValueError with a sentence. Python holds nobody to types."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _SEEDS_END:
        return value
    raise ValueError(f"{shown(value)} {_NO_SEED}")


def parse_seed(text: str) -> int:
    """The seed that a text writes out in digits; else ValueError with a sentence."""
    if re.fullmatch(r"\d{1,30}", text, re.ASCII) is None:
        raise ValueError(f"{shown(text)} {_NO_SEED}")
    return checked_seed(int(text))
