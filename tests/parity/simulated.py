"""The simulated arm of a parity test, and the timetable that the real arm repeats.

A scenario file with some tables changed, run in a real simulation; what happened in it, in order: writes, cuts, heals,
crashes and boots. Nothing here knows real nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from sim.scenario.planning import make_plan
from sim.scenario.reading import load_scenario, plain_values, typed
from sim.simulation.digest import knowledge_of
from sim.simulation.simulation import Simulation
from stigmem.core.fact import Fact, record_of

__all__ = ["Step", "Told", "simulate"]

_SCENARIOS = Path(__file__).parents[2] / "scenarios"


class Step(NamedTuple):
    """Something that happened: on one node, or to every link when `node` is empty."""

    what: Literal["write", "cut", "heal", "crash", "boot"]
    node: str = ""
    body: Mapping[str, Any] | None = None


class Told(NamedTuple):
    """What became of a simulated run."""

    nodes: tuple[str, ...]
    steps: list[Step]
    digest: str
    facts: int
    rejections: dict[str, int]


def simulate(name: str, **tables: Any) -> Told:
    """Run a scenario of the repository; tables replace or update those of the file."""
    values = plain_values(load_scenario(_SCENARIOS / f"{name}.toml"))
    for key, table in tables.items():
        values[key] = {**values[key], **table} if isinstance(table, Mapping) else table
    values["expect"] = []  # they are about the timetable of the file, and some name its faults
    simulation = Simulation(make_plan(typed(values), _SCENARIOS))
    happened: list[tuple[int, Step]] = []
    told = simulation.trace.event

    def event(kind: str, *details: Any) -> None:
        step = _step(kind, details)
        if step is not None:
            happened.append((simulation.world.now, step))
        told(kind, *details)

    simulation.trace.event = event  # type: ignore[method-assign]
    simulation.run()
    simulation.trace.close()
    assert simulation.violation is None, simulation.violation
    assert simulation.converged_at is not None, "the simulated arm did not converge"
    # At one instant faults come first: what is written in it is written under them.
    happened += _writes(simulation)
    happened.sort(key=lambda entry: (entry[0], entry[1].what == "write"))
    steps = [step for _, step in happened]
    return Told(
        simulation.plan.nodes,
        steps,
        knowledge_of(simulation.machines, simulation.world.now),
        len(simulation.visibility.facts),
        dict(simulation.rejections),
    )


def _step(kind: str, details: tuple[Any, ...]) -> Step | None:
    if kind == "crash" or (kind == "booted" and details[1] > 1):
        return Step("crash" if kind == "crash" else "boot", details[0])
    if kind in ("fault begins", "fault ends") and details[0] == "cut":
        return Step("cut" if kind == "fault begins" else "heal")
    return None


def _writes(simulation: Simulation) -> list[tuple[int, Step]]:
    """Every fact that was committed by its origin, when it was."""
    nodes = {name: machine.node for name, machine in simulation.machines.items()}
    found = []
    for seen in simulation.visibility.facts:
        node = nodes[seen.origin]
        assert node is not None
        fact = node.state.ledger.held(node.node_id, seen.id)
        assert fact is not None
        found.append((seen.written_ns, Step("write", seen.origin, _body(fact))))
    return found


def _body(fact: Fact) -> dict[str, Any]:
    record = msgspec.json.decode(msgspec.json.encode(record_of(fact, fact.cid)))
    return {key: record[key] for key in ("entity", "relation", "value", "source", "scope", "confidence", "valid_until")}
