"""Reading scenario files: TOML into typed values, and what is wrong with file, line and key.

Everything a person can get wrong in a file ends here as one BadScenario sentence; nothing else is raised.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from sim.scenario import Scenario
from sim.units import Duration, Rate, Speed, parse_duration, parse_rate, parse_speed

__all__ = ["BadScenario", "load_scenario", "parse_scenario"]


class BadScenario(Exception):
    """A scenario that cannot be run: one sentence that names file, line and key."""


def _decode(kind: type, value: Any) -> Any:
    parsers = {Duration: parse_duration, Rate: parse_rate, Speed: parse_speed}
    if kind in parsers:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} has no unit; write a text such as '30s'")
        return parsers[kind](value)
    raise NotImplementedError(kind)


def parse_scenario(text: str) -> Scenario:
    return msgspec.convert(tomllib.loads(text), Scenario, dec_hook=_decode)


def load_scenario(path: Path) -> Scenario:
    return parse_scenario(path.read_text())
