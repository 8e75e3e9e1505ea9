"""The laboratory: the nodes of `stigmem.node` in a simulated world, deterministic to the byte.

    from sim import Scenario, run
    result = run("scenarios/split-brain.toml", seed=7)
    result.verdict, result.run_json["lag"], result.facts()

These names are the library. Folders, from the ground up: `world` (time, wire, clocks, disks, machines); `scenario`,
`atlas` and `history` (what a file says, where nodes are, real edits); the kinds of `workload`, `fault` and `adversary`;
`lab` (a run); the properties of `check`; `report`. Here: running, the result and the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.runner import run

if TYPE_CHECKING:
    from sim.analysis.result import Result
    from sim.scenario.reading import BadScenario
    from sim.scenario.tables import Scenario

__all__ = ["BadScenario", "Result", "Scenario", "run"]

_HOMES = {"BadScenario": "sim.scenario.reading", "Result": "sim.analysis.result", "Scenario": "sim.scenario.tables"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a command that only prints help must not wait for the laboratory.
    if name not in _HOMES:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
