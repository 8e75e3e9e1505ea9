"""Small federations with hostile peers for tests: how they are run, and what must hold whatever the hostile ones do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sim.check import CHECKERS, CheckerFactory, CheckResult
from sim.observation.visibility import NEVER
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from stigmem.core.wire import Request, Response

SECOND = 1_000_000_000
INTERVAL_S = 5

_TEXT = """
[scenario]
name = "hostile"
seed = {seed}
duration = "{duration}"
settle = "{settle}"
signatures = "{signatures}"

[federation]
nodes = [{nodes}]
topology = "{topology}"
pull_interval = "5s"
scopes = [{scopes}]
{federation}

[network]
latency = "40ms"
{network}

[[workload]]
kind = "contradictions"
rate = "{rate}"
entities = 20

{rest}
"""


def quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def adversary(kind: str, **keys: Any) -> str:
    """The table of an adversary; texts are quoted, lists of texts too."""
    table = [f'[[adversary]]\nkind = "{kind}"']
    for key, value in keys.items():
        table.append(f"{key} = {msgspec.json.encode(value).decode()}")
    return "\n".join(table) + "\n"


def make_simulation(
    *parts: str,
    nodes: tuple[str, ...] = ("north", "south", "west"),
    scopes: tuple[str, ...] = ("company", "public"),
    topology: str = "mesh",
    duration: str = "90s",
    settle: str = "3m",
    seed: int = 5,
    rate: str = "30/m",
    signatures: str = "ed25519",
    federation: str = "",
    network: str = "",
    checkers: Sequence[CheckerFactory] = CHECKERS,
) -> Simulation:
    """A simulation, ready to run, with the given tables of adversaries, faults and workloads."""
    text = _TEXT.format(
        nodes=quoted(nodes), scopes=quoted(scopes), rest="\n".join(parts), topology=topology, duration=duration,
        settle=settle, seed=seed, rate=rate, signatures=signatures, federation=federation, network=network,
    )  # fmt: skip
    return Simulation(make_plan(parse_scenario(text), Path()), checkers=checkers)


def run_simulation(*parts: str, before: Callable[[Simulation], None] | None = None, **keys: Any) -> Simulation:
    """Run such a simulation; `before` may prepare it."""
    simulation = make_simulation(*parts, **keys)
    if before is not None:
        before(simulation)
    simulation.run()
    return simulation


def verdicts(simulation: Simulation) -> dict[str, CheckResult]:
    """Every checker's last word; a property that was violated while the run went on has its violation for a detail."""
    if simulation.violation is not None:
        name = simulation.violation.checker
        return {name: CheckResult(name, False, f"{simulation.violation.node}: {simulation.violation.sentence}")}
    return {result.name: result for result in simulation.relay.results()}


def failures(simulation: Simulation) -> dict[str, str]:
    """Properties that do not hold, with what is wrong."""
    return {name: result.detail for name, result in verdicts(simulation).items() if result.ok is not True}


class Reader:
    """A client on every node that reads all the time; keeps the statuses it got."""

    def __init__(self, simulation: Simulation) -> None:
        self.statuses: dict[int, int] = {}
        self._simulation = simulation
        simulation.world.at(0, self._read)

    def _read(self, _: object) -> None:
        for name in self._simulation.plan.nodes:
            for target in ("/v1/facts?limit=20", "/v1/conflicts?status=unresolved", "/healthz"):
                self._simulation.machines[name].local(Request("GET", target), self._answered)
        self._simulation.world.after(5 * SECOND, self._read)

    def _answered(self, response: Response) -> None:
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1


def assert_unharmed(simulation: Simulation, reader: Reader | None = None, *, receipts: int = 2) -> None:
    """What holds whatever hostile peers do (federation 6.3): every property; nobody's writes or reads are refused,
    honest facts are everywhere within two intervals, and whoever serves readable pages is read on."""
    assert failures(simulation) == {}
    assert simulation.converged_at is not None
    assert simulation.submissions.refused == {}
    assert simulation.submissions.acknowledged == simulation.submissions.writes > 50
    if reader is not None:
        assert list(reader.statuses) == [200]
    assert worst_lag_s(simulation) <= 2 * INTERVAL_S + 1
    for peer in simulation.adversaries.values():
        for victim in peer.victims:
            assert peer.obligations.receipts.get(victim, 0) >= receipts, f"{victim} did not read on at {peer.name}"


def worst_lag_s(simulation: Simulation) -> float:
    """The longest way of an honest fact to a node that should hold it, in seconds."""
    visibility = simulation.visibility
    lags = [
        visibility.first_seen[name][number] - visibility.facts[number].written_ns
        for number, name in visibility.expected()
        if visibility.first_seen[name][number] != NEVER
    ]
    return max(lags) / SECOND


def ask(simulation: Simulation, node: str, target: str) -> list[Any]:
    """Have a client on a node send a GET at the end of the faults; the decoded answers appear in the list."""
    found: list[Any] = []

    def send(_: object) -> None:
        machine = simulation.machines[node]
        machine.console(Request("GET", target), lambda answer: found.append(msgspec.json.decode(answer.body)))

    simulation.world.at(simulation.duration - SECOND, send)
    return found
