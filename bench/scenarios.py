"""How fast the simulation runs two of its scenarios, and what a long one spends its time on.

The scenario files are those of the repository, shortened when there is no time for all of it. Processor time
of this process is counted, since other work on the machine is not the simulation's fault.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import process_time
from typing import Any, Final, NamedTuple

from sim.runner import run_plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import load_scenario, plain_values, typed

__all__ = ["SHARES", "Pace", "hundred_nodes", "shares", "soak"]

_SCENARIOS: Final = Path(__file__).resolve().parent.parent / "scenarios"
_SHORT_FAULTS: Final = [
    {"kind": "partition", "at": "10m", "for": "1m", "shape": "one", "node": "delta"},
    {"kind": "slow", "at": "20m", "for": "1m", "node": "gamma", "by": "500ms"},
    {"kind": "restart", "at": "30m", "node": "beta"},
]


class Pace(NamedTuple):
    """A run: simulated and processor seconds, requests answered, facts written."""

    simulated_s: float
    cpu_s: float
    requests: int
    facts: int
    verdict: str

    @property
    def times_real(self) -> float:
        """Simulated seconds a processor second."""
        return self.simulated_s / self.cpu_s


def _run(file: str, *, profile: cProfile.Profile | None = None, **tables: Any) -> Pace:
    scenario = plain_values(load_scenario(_SCENARIOS / file))
    for name, table in tables.items():
        scenario[name] = {**scenario[name], **table} if isinstance(table, Mapping) else table
    plan = make_plan(typed(scenario), _SCENARIOS, None)
    gc.collect()
    begun = process_time()
    result = run_plan(plan) if profile is None else profile.runcall(run_plan, plan)
    told = result.run_json
    return Pace(told["simulated_s"], process_time() - begun, told["requests"], told["facts"], result.verdict)


def soak(signatures: str, *, hours: int | None) -> Pace:
    """four-node-soak with real or stand-in signatures; `hours` shortens it, its cut, slowness and restart with it."""
    if hours is None:
        return _run("four-node-soak.toml", scenario={"signatures": signatures})
    return _run("four-node-soak.toml", **_shortened(signatures, hours))


def _shortened(signatures: str, hours: int) -> dict[str, Any]:
    head = {"signatures": signatures, "duration": f"{hours}h"}
    return {"scenario": head, "fault": _SHORT_FAULTS, "expect": []}


def hundred_nodes(*, minutes: int | None) -> Pace:
    """hundred-nodes as it stands, or its first minutes."""
    if minutes is None:
        return _run("hundred-nodes.toml")
    return _run("hundred-nodes.toml", scenario={"duration": f"{minutes}m"}, expect=[])


# --- what the time goes on ---

SHARES: Final = {
    "signatures and hashes": ("nacl", "core/keys.py", "core/content_id.py", "hashlib", "blake2", "sha256", "crc32"),
    "JSON and frames": ("msgspec", "json", "core/page.py", "core/envelope.py", "core/wire.py", "base64", "urllib"),
    "scheduling and wire": (
        "trio", "outcome", "heapq", "epoll", "world/world.py", "world/ports.py", "world/network.py",
        "world/rules.py", "world/rpc.py", "world/machine.py", "world/random_streams.py", "world/clocks.py",
        "world/disk.py", "coroutine",
    ),
    "ledger and conflicts": (
        "core/ledger.py", "core/conflict_set.py", "core/sorted_facts.py", "core/fact_index.py", "core/conflicts.py",
        "core/contradiction.py", "core/export_index.py", "core/fact.py",
    ),
    "checkers, trace, measure": ("sim/",),
    "the rest of the node": ("stigmem/",),
}  # fmt: skip
"""Parts of the work and what their functions are found by, the first that fits; what fits nowhere is Python's own."""
_OTHER: Final = "Python itself"


def shares(*, hours: int) -> Iterator[tuple[str, float]]:
    """Shares of a shortened soak with real signatures, from a profile (which makes small functions look dearer)."""
    profile = cProfile.Profile()
    _run("four-node-soak.toml", profile=profile, **_shortened("ed25519", hours))
    spent = dict.fromkeys((*SHARES, _OTHER), 0.0)
    for function, (_, _, own_s, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        part = _part_of(function)
        if part is not None or not callers:
            spent[part or _OTHER] += own_s
            continue
        for caller, (_, _, its_s, _) in callers.items():  # a `len` or `dict.get` is the work of whoever calls it
            spent[_part_of(caller) or _OTHER] += its_s
    whole_s = sum(spent.values())
    for part, own_s in spent.items():
        yield part, own_s / whole_s


def _part_of(function: tuple[str, int, str]) -> str | None:
    file, _, name = function
    text = f"{Path(file).as_posix()} {name}"
    return next((part for part, marks in SHARES.items() if any(mark in text for mark in marks)), None)
