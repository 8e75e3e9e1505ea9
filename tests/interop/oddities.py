"""Facts at the edges of what may be said: what a careless publisher would stall its subscribers with.

Tables only. `ELIGIBLE` must arrive on the other side, `HOME` must stay at home, and nothing may stop what comes later.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ELIGIBLE", "HOME", "UNVERIFIABLE", "Odd"]

Odd = tuple[str, Any, dict[str, Any]]
"""Kind, value and other members of a fact."""

ELIGIBLE: Final[tuple[Odd, ...]] = (
    *(("number", number, {}) for number in (0, -7, 42, 10**15, 0.1 + 0.2, 1e308, 5e-324, -0.0, 1e-7, 1e16, 2**63)),
    *(("string", text, {}) for text in ("", "é\u2028\U0001f600", '"\\\n\t', "\x00x")),
    ("text", "x" * 60_000, {}),
    ("text", "ü" * 30_000, {}),
    ("boolean", True, {}),
    ("boolean", False, {}),
    ("null", None, {}),
    ("datetime", "2026-01-02T03:04:05Z", {}),
    ("datetime", "2026-01-02T03:04:05.123456+02:00", {}),
    ("ref", "stigmem://lab.example/device/pump-7", {}),
    *(("string", "sure", {"confidence": confidence}) for confidence in (0.0, 1, 1e-5, 0.95)),
    *(("string", "ends", {"valid_until": end}) for end in ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00.5+02:00")),
    ("string", "formal", {"entity": "stigmem://lab.example/device/pump-é"}),
    ("string", "long", {"relation": "x" * 200}),
    ("string", "company", {"scope": "company"}),
)
UNVERIFIABLE: Final[tuple[Odd, ...]] = (
    ("number", 2**53 + 1, {}),
    ("number", 10**30, {}),
    ("string", "sure", {"confidence": -0.0}),
)
"""What the reference hashes as one thing and serves as another: ours to accept from a caller, not from its pages."""
HOME: Final[tuple[Odd, ...]] = (
    ("string", "do", {"value": {"type": "string", "v": "do", "interpret_as": "instruction"}}),
    ("string", "named", {"entity": "instruction:do"}),
    ("string", "named", {"relation": "instruction:step"}),
    ("string", "local", {"scope": "local"}),
    ("string", "team", {"scope": "team"}),
)
