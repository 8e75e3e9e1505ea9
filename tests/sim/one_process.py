"""One of the two processes of `test_determinism`: runs scenarios and leaves their digests and traces in a folder.

Long scenarios are cut short after a number of events, which is the same instant in every process; what is
compared are digests, so nothing is judged here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from sim.scenario.planning import load_plan
from sim.scenario.required_data import DataAbsent
from sim.simulation.digest import knowledge_of, state_digest
from sim.simulation.simulation import Simulation

__all__ = ["EVENTS_MAX", "run_cut"]

EVENTS_MAX = 6_000
"""Up to two seconds of work."""


def run_cut(file: Path, trace: Path, events_max: int = EVENTS_MAX) -> dict[str, object]:
    """Run a scenario, or its beginning; its digests."""
    simulation = Simulation(load_plan(file), trace_path=trace, progress=lambda now, deadline: look())

    def stop_when_long() -> None:
        if simulation.world.events >= events_max:
            simulation.world.finish()

    look: Callable[[], None] = stop_when_long
    simulation.run()
    return {
        "trace": simulation.trace.close(),
        "state": state_digest(simulation.machines),
        "knowledge": knowledge_of(simulation.machines, simulation.world.now),
        "events": simulation.world.events,
        "facts": len(simulation.visibility.facts),
        "now": simulation.world.now,
    }


def main(folder: Path, files: list[Path]) -> None:
    """Run every file whose data are there; `NAME.json` and `NAME.gz` in the folder."""
    for file in files:
        try:
            found = run_cut(file, folder / f"{file.stem}.gz")
        except DataAbsent as absent:
            found = {"absent": str(absent)}
        (folder / f"{file.stem}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
