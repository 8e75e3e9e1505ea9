"""`python -m tests.alerts SCENARIO [--interval SECONDS]`: which alerts fire in a scenario, for whom, and when."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim.check import CHECKERS
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from tests.alerts.scrape import watched


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description=__doc__)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--interval", type=float, default=15.0, help="virtual seconds between two scrapes")
    given = parser.parse_args()
    with watched(given.interval) as (watch, simulations):
        plan = make_plan(parse_scenario(given.scenario.read_text("utf-8")), given.scenario.parent)
        simulation = Simulation(plan, checkers=CHECKERS)
        simulations.append(simulation)
        simulation.run()
    for fired in watch.fired:
        print(f"{fired.at_s:10.0f} s  {fired.name}  {', '.join(f'{name}={value}' for name, value in fired.labels)}")
    if not watch.fired:
        print("nothing fires")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
