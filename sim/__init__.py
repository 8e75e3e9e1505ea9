"""The simulator: the nodes of `stigmem.node` in a simulated world, deterministic to the byte.

    from sim import Scenario, run
    result = run("scenarios/split-brain.toml", seed=7)
    result.verdict, result.run_json["lag"], result.facts()

These names are the library. From the ground up: `units`, `naming` and `diagnostics` (words); `world` (time, wire,
clocks, disks, machines), `history` (real edits) and `observation` (what is seen); `topology` (who is linked to whom);
the kinds of `fault`, `workload` and `adversary` and the properties of `check`; `scenario` (what a file says);
`simulation` (a run); `analysis` and `report`; `runner` and the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.runner import run

if TYPE_CHECKING:
    from sim.result import Result
    from sim.scenario.reading import BadScenario
    from sim.scenario.tables import Scenario

__all__ = ["BadScenario", "Result", "Scenario", "run"]

_HOMES = {"BadScenario": "sim.scenario.reading", "Result": "sim.result", "Scenario": "sim.scenario.tables"}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a command that only prints help must not wait for the simulation.
    if name not in _HOMES:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
