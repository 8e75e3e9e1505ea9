"""A small scenario as text, for tests that write scenario files: change a key, add tables."""

from __future__ import annotations

import json
from pathlib import Path

from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation

__all__ = ["fault", "make_simulation", "small_text", "workload"]

_KEYS: dict[str, dict[str, object]] = {
    "scenario": {
        "name": "small",
        "seed": 3,
        "duration": "60s",
        "settle": "3m",
        "signatures": "stand-in",
        "converges": True,
        "warm_up": None,
    },
    "federation": {"nodes": ["a", "b", "c"], "topology": "mesh", "pull_interval": "2s", "pull_wait": None},
}


def small_text(*parts: str, **changes: object) -> str:
    """The scenario with other values for some of its keys (None leaves one out) and more tables."""
    unknown = [key for key in changes if all(key not in table for table in _KEYS.values())]
    if unknown:
        raise ValueError(f"the small scenario has no {unknown}")
    tables = []
    for name, keys in _KEYS.items():
        mine = {key: changes.get(key, value) for key, value in keys.items()}
        lines = [f"{key} = {_toml(value)}" for key, value in mine.items() if value is not None]
        tables.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join([*tables, *parts]) + "\n"


def make_simulation(*parts: str, **changes: object) -> Simulation:
    """A simulation of the small scenario that has not run yet."""
    return Simulation(make_plan(parse_scenario(small_text(*parts, **changes)), Path()))


def fault(kind: str, **members: object) -> str:
    """A fault table; `for_` is its `for`."""
    return _table("fault", kind, members)


def workload(kind: str, **members: object) -> str:
    """A workload table."""
    return _table("workload", kind, members)


def _table(name: str, kind: str, members: dict[str, object]) -> str:
    lines = [f"{key.rstrip('_')} = {_toml(value)}" for key, value in members.items()]
    return "\n".join([f"[[{name}]]", f'kind = "{kind}"', *lines])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
