"""sim: the nodes of `stigmem.node` in a simulated world, deterministic to the byte.

    from sim import run
    result = run("scenarios/split-brain.toml", seed=7)
    result.verdict, result.run_json["lag"], result.facts(), result.figure("lag")

The names below are the library; whatever else is in this package may change without notice, but for `sim.ports` and the
bases of kinds, which are written for whoever extends it:

* to run and look: `run`, `sweep` (many seeds, many values), `band_figure` (what came of them), `load_scenario`,
  `Scenario`, `Result`; `BadScenario` says what is wrong with a scenario, by file, line and key; `Simulation` is one run
  with all its parts, for whoever wants to step into it;
* to extend: `Fault`, `Workload` and `Adversary` under `@kind("name")`, and `Checker`, which raises `PropertyViolated`
  and ends with a `CheckResult`. `sim.kinds` says how scenarios find them.

From the ground up: `units`, `naming` and `diagnostics` (words); `world` (time, wire, clocks, disks, machines),
`history` (real edits); `observation` (what is seen); `topology` (who is linked to whom); `ports` (what kinds may
touch); the kinds of `fault`, `workload` and `adversary` and the properties of `check`; `scenario` (what a file says);
`simulation` (a run); `analysis`, `report` and `result`; `runner`; `study` (many runs) and the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sim.adversary.base import Adversary
    from sim.check.base import Checker, CheckResult, PropertyViolated
    from sim.fault.base import Fault
    from sim.kinds import kind
    from sim.result import Result
    from sim.runner import run
    from sim.scenario.reading import BadScenario, load_scenario
    from sim.scenario.tables import Scenario
    from sim.simulation.simulation import Simulation
    from sim.study.study import sweep
    from sim.study.telling import band_figure
    from sim.workload.base import Workload

__all__ = [
    "Adversary",
    "BadScenario",
    "CheckResult",
    "Checker",
    "Fault",
    "PropertyViolated",
    "Result",
    "Scenario",
    "Simulation",
    "Workload",
    "band_figure",
    "kind",
    "load_scenario",
    "run",
    "sweep",
]

_HOMES: Final = {
    "Adversary": "sim.adversary.base",
    "BadScenario": "sim.scenario.reading",
    "CheckResult": "sim.check.base",
    "Checker": "sim.check.base",
    "Fault": "sim.fault.base",
    "PropertyViolated": "sim.check.base",
    "Result": "sim.result",
    "Scenario": "sim.scenario.tables",
    "Simulation": "sim.simulation.simulation",
    "Workload": "sim.workload.base",
    "band_figure": "sim.study.telling",
    "kind": "sim.kinds",
    "load_scenario": "sim.scenario.reading",
    "run": "sim.runner",
    "sweep": "sim.study.study",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: a command that only prints help must not wait for the simulator.
    if name not in _HOMES:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
