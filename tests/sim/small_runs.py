"""Small runs for tests: a scenario in a few lines, run in a real Simulation, and what happened in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sim.check import CHECKERS, CheckerFactory, CheckResult
from sim.check.peer_isolation import PeerIsolation
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from sim.world.clocks import EPOCH_NS

S = 1_000_000_000
MS = 1_000_000
SMALL = """
[scenario]
name = "small"
seed = 3
duration = "60s"
settle = "3m"
signatures = "stand-in"
converges = true

[federation]
nodes = ["a", "b", "c"]
topology = "mesh"
pull_interval = "2s"
pull_limit = 100
"""


@dataclass
class Record:
    """What a Simulation has put into its trace."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    """(time, kind, details...)"""
    packets: list[tuple[int, str, str, str]] = field(default_factory=list)
    """(time, source, target, kind) of every packet that was not stopped"""
    commits: list[tuple[int, str]] = field(default_factory=list)
    """(time, node)"""


_records: WeakKeyDictionary[Simulation, Record] = WeakKeyDictionary()


def scenario_text(*parts: str, nodes: Sequence[str] = ("a", "b", "c"), **changes: str) -> str:
    """The small scenario with other nodes, other values for keys it has, and more tables."""
    lines = []
    for line in SMALL.splitlines():
        key = line.partition(" = ")[0]
        if key == "nodes":
            lines.append(f"nodes = {_toml(nodes)}")
        elif key in changes:
            quoted = line.endswith('"')
            lines.append(f'{key} = "{changes[key]}"' if quoted else f"{key} = {changes[key]}")
        else:
            lines.append(line)
    return "\n".join([*lines, *parts])


def make_simulation(
    *parts: str, base: Path = Path(), checkers: Sequence[CheckerFactory] = CHECKERS, **changes: Any
) -> Simulation:
    """A Simulation that has not run yet, and whose trace is remembered."""
    simulation = Simulation(make_plan(parse_scenario(scenario_text(*parts, **changes)), base), checkers=checkers)
    record = _records[simulation] = Record()
    trace, told_event, told_packet, told_commit = (
        simulation.trace,
        simulation.trace.event,
        simulation.trace.packet,
        simulation.trace.commit,
    )

    def event(kind: str, *details: Any) -> None:
        record.events.append((simulation.world.now, kind, *details))
        told_event(kind, *details)

    def packet(source: str, target: str, kind: str, data: bytes, delay_ns: int) -> None:
        record.packets.append((simulation.world.now, source, target, kind))
        told_packet(source, target, kind, data, delay_ns)

    def commit(node: str, records: int, payload: bytes, more: dict[str, Any]) -> None:
        record.commits.append((simulation.world.now, node))
        told_commit(node, records, payload, more)

    vars(trace).update(event=event, packet=packet, commit=commit)
    return simulation


def bare(*parts: str, **changes: Any) -> Simulation:
    """As `make_simulation`, for tests that switch machines off and on by hand. Nothing in the plan excuses who reads
    late then, so that nobody is judged for it."""
    return make_simulation(*parts, checkers=[each for each in CHECKERS if each is not PeerIsolation], **changes)


def run(*parts: str, **changes: Any) -> Simulation:
    """A Simulation that has run and of which every checker approves."""
    simulation = make_simulation(*parts, **changes)
    simulation.run()
    approve(simulation)
    return simulation


def approve(simulation: Simulation) -> list[CheckResult]:
    """Assert that a run was sound and converged; what the checkers said."""
    assert simulation.violation is None, simulation.violation
    results = simulation.relay.results()
    assert [result for result in results if result.ok is not True] == []
    assert simulation.converged_at is not None
    assert simulation.submissions.acknowledged > 0
    return results


def result_of(simulation: Simulation, name: str) -> CheckResult:
    """The last word of the checker of that name."""
    return next(result for result in simulation.relay.results() if result.name == name)


# --- looking ---


def events(simulation: Simulation, kind: str) -> list[tuple[Any, ...]]:
    """The events of one kind, each with its time, its kind and its details."""
    return [event for event in _records[simulation].events if event[1] == kind]


def packets(simulation: Simulation) -> list[tuple[int, str, str, str]]:
    """(time, source, target, kind) of every packet that was not stopped."""
    return _records[simulation].packets


def commits(simulation: Simulation, node: str) -> list[int]:
    """When each batch of a node became durable."""
    return [at for at, name in _records[simulation].commits if name == node]


def lags_s(simulation: Simulation, node: str) -> list[float]:
    """Replication lags at a node, in seconds, of facts that others wrote."""
    pairs = zip(simulation.visibility.facts, simulation.visibility.first_seen[node], strict=True)
    return [(seen - fact.written_ns) / S for fact, seen in pairs if seen >= 0 and fact.origin != node]


def at(simulation: Simulation, second: float, action: Callable[[], object]) -> list[Any]:
    """Do something at an instant of the run; what it returned, once it has happened."""
    seen: list[Any] = []
    simulation.world.at(round(second * S), lambda _: seen.append(action()))
    return seen


def is_up(simulation: Simulation, name: str) -> Callable[[], bool]:
    """A question for `at`: whether a machine is on."""
    return lambda: simulation.machines[name].up


def offset_s(simulation: Simulation, name: str) -> float:
    """How wrong a wall clock is now, in seconds."""
    return (simulation.machines[name].clock.wall(simulation.world.now) - EPOCH_NS - simulation.world.now) / S


# --- writing scenarios ---


def fault(kind: str, **members: object) -> str:
    """A fault table; `for_` is its key `for`."""
    return table("fault", kind, **members)


def workload(kind: str, /, **members: object) -> str:
    """A workload table."""
    return table("workload", kind, **members)


def table(name: str, kind: str, /, **members: object) -> str:
    """A table of a scenario."""
    lines = [f"[[{name}]]", f'kind = "{kind}"']
    lines += [f"{key.rstrip('_')} = {_toml(value)}" for key, value in members.items()]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(inner)}' for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, (bool, int, float)) else f'"{value}"'


PROBES = workload("probe", period="3s")
WRITES = workload("writers", rate="1/s", entities=20, scopes={"public": 0.6, "local": 0.2, "company": 0.2})
