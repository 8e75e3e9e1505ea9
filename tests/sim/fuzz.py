"""Scenarios drawn at random: any topology, wire, clocks, workloads, faults and hostile peers that fit together.

Only the drawing is here: `draw(number)` is the same scenario for ever. What must hold of it is `test_fuzz`'s to
say; `python -m tests.sim.fuzz 1 200` runs many and prints those that do not pass.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from sim.runner import run_plan
from sim.scenario.planning import make_plan
from sim.scenario.plan import Plan
from sim.scenario.reading import BadScenario, parse_scenario
from tests.sim.small import fault, workload

__all__ = ["draw", "draw_text", "run_many"]

_SHAPES = ("mesh", "ring", "line", "star", "tree", "small-world", "random-regular")
_LATENCIES = (
    '"5ms"', '"300ms"', '{ kind = "uniform", low = "5ms", high = "400ms" }',
    '{ kind = "lognormal", median = "40ms", p99 = "900ms" }', '{ kind = "exponential", floor = "1ms", mean = "80ms" }',
)  # fmt: skip
_ON_MACHINES = (
    "crash", "restart", "pause", "wipe", "random-crashes", "disk-full", "disk-slow", "clock-step", "clock-freeze",
    "clock-strobe", "clock-slew", "clock-drift", "crash-at-commit", "leave", "join",
)  # fmt: skip
_ON_LINKS = ("partition", "loss", "duplicate", "reorder", "corrupt", "clog", "flap", "slow", "bandwidth")
_HOSTILE = (
    "clock-pusher", "extender", "flipper", "flooder", "forger", "hasher", "id-thief", "instruction", "malformed",
    "overreach", "page-liar", "pusher", "relay-forger", "replayer", "staller", "twin", "retractor",
)  # fmt: skip
_DURATION_S = 120
_OFTEN = 0.4


def draw(number: int) -> Plan:
    """The plan with this number; what does not fit together is drawn again."""
    chance = Random(number)
    while True:
        try:
            return make_plan(parse_scenario(draw_text(chance, number)), Path())
        except BadScenario:
            continue


def draw_text(chance: Random, number: int) -> str:
    """A scenario file, which may be refused."""
    nodes = [f"n{n}" for n in range(chance.randint(2, 6))]
    hostile = chance.random() < _OFTEN
    return "\n".join(
        [
            _head(chance, number, nodes),
            _network(chance),
            *(_clock(chance, node) for node in nodes if chance.random() < 0.3),
            *_workloads(chance, nodes),
            *(_fault(chance, nodes) for _ in range(chance.randint(0, 4))),
            *(_adversary(chance, nodes, n) for n in range(chance.randint(1, 3) if hostile else 0)),
        ]
    )


def _head(chance: Random, number: int, nodes: list[str]) -> str:
    named = chance.random() < 0.15
    return f"""
[scenario]
name = "drawn"
seed = {number}
duration = "{_DURATION_S}s"
settle = "25m"
signatures = "{chance.choice(("stand-in", "stand-in", "ed25519"))}"

[federation]
nodes = {nodes!r}
topology = "{chance.choice(_SHAPES)}"
pull_interval = "{chance.choice((1, 2, 5, 11))}s"
pull_limit = {chance.choice((3, 20, 100, 500))}
pull_wait = "{chance.choice((0, 0, 0, 3))}s"
scopes = {chance.choice((["public"], ["company", "public"]))!r}
relay = {str(chance.random() < 0.85).lower()}
push = {str(chance.random() < 0.3).lower()}
node_ids = "{"named" if named else "certified"}"
origin_keys = "{"vouched" if named or chance.random() < 0.2 else "pinned"}"
"""


def _network(chance: Random) -> str:
    lines = ["[network]", f"latency = {chance.choice(_LATENCIES)}"]
    for key, most in (("loss", 0.1), ("duplicate", 0.2), ("reorder", 0.3), ("corrupt", 0.02)):
        if chance.random() < 0.3:
            lines.append(f"{key} = {chance.uniform(0.0, most):.3f}")
    return "\n".join([*lines, "[disk]", f'sync = "{chance.choice(("0.5ms", "4ms", "80ms"))}"'])


def _clock(chance: Random, node: str) -> str:
    offset, drift = chance.randint(-280, 280), chance.randint(-400, 400)
    return f'[[clock]]\nnode = "{node}"\noffset = "{offset}s"\ndrift_ppm = {drift}'


def _workloads(chance: Random, nodes: list[str]) -> list[str]:
    tables = {
        "contradictions": {"rate": f"{chance.randint(6, 60)}/m", "entities": chance.randint(1, 30)},
        "writers": {"rate": f"{chance.randint(3, 40)}/m", "scopes": {"public": 0.6, "company": 0.2, "local": 0.2}},
        "retractions": {"rate": f"{chance.randint(3, 20)}/m", "after": "10s", "again": "15s", "entities": 6},
        "resolver": {"rate": f"{chance.randint(3, 20)}/m"},
        "expiring": {"rate": f"{chance.randint(3, 20)}/m", "life": f"{chance.randint(5, 90)}s"},
        "burst": {"nodes": [chance.choice(nodes)], "count": chance.randint(1, 300), "start": "20s"},
        "probe": {"period": "7s"},
        "storm": {"pairs": chance.randint(1, 40), "every": "40s"},
    }  # fmt: skip
    kinds = ["contradictions", *(kind for kind in tables if kind != "contradictions" and chance.random() < _OFTEN)]
    return [workload(kind, **tables[kind]) for kind in kinds]


def _fault(chance: Random, nodes: list[str]) -> str:
    kind = chance.choice(_ON_MACHINES + _ON_LINKS)
    at = chance.randint(1, _DURATION_S - 30)
    lasts = chance.randint(1, _DURATION_S - at - 1)
    return _on_links(chance, kind, at, lasts) if kind in _ON_LINKS else _on_a_machine(chance, kind, nodes, at, lasts)


def _on_links(chance: Random, kind: str, at: int, lasts: int) -> str:
    keys: dict[str, Any] = {"at": f"{at}s", "for_": f"{lasts}s"}
    if kind == "partition":
        keys |= {"shape": "halves", "one_way": chance.random() < 0.3, "hold": chance.random() < 0.3}
    own = {"loss": {"share": 0.4}, "slow": {"by": "2s"}, "bandwidth": {"to": "32kbit/s"}, "corrupt": {"share": 0.1}}
    return fault(kind, **keys, **own.get(kind, {}))


def _on_a_machine(chance: Random, kind: str, nodes: list[str], at: int, lasts: int) -> str:
    keys: dict[str, Any] = {"at": f"{at}s"} | ({} if kind == "random-crashes" else {"node": chance.choice(nodes)})
    if kind in ("crash", "pause", "disk-full", "disk-slow", "random-crashes", "clock-freeze", "clock-strobe"):
        keys["for_"] = f"{lasts}s"
    own: dict[str, dict[str, Any]] = {
        "clock-step": {"by": f"{chance.choice((-600, -20, 3, 200, 500))}s"},
        "clock-strobe": {"by": "3s", "period": "4s"},
        "clock-slew": {"ppm": chance.randint(1, 5_000), "for_": f"{lasts}s"},
        "clock-drift": {"ppm": chance.randint(-900, 900)},
        "crash-at-commit": {"commit": chance.randint(1, 40), "when": chance.choice(("before", "after"))},
        "wipe": {"down": "4s"},
        "random-crashes": {"rate": "4/m", "down": "3s"},
    }
    return fault(kind, **keys, **own.get(kind, {}))


def _adversary(chance: Random, nodes: list[str], number: int) -> str:
    kind = chance.choice(_HOSTILE)
    peers = chance.sample(nodes, chance.randint(1, min(3, len(nodes))))
    own: dict[str, Any] = {
        "flooder": {"facts": 200}, "malformed": {"fuzzed": 10, "large": False},
    }.get(kind, {})  # fmt: skip
    table = workload(kind, node=f"m{number}", peers=peers, dialect=chance.choice(("2.1+", "2.1+", "2.1", "0.5")), **own)
    return table.replace("[[workload]]", "[[adversary]]")


def run_many(drawing: Callable[[int], Plan], first: int, last: int) -> None:
    """Run the scenarios of a range and print those that do not pass, and how long the range took."""
    begun = time.process_time()
    for number in range(first, last + 1):
        try:
            result = run_plan(drawing(number))
        except Exception as error:  # a bug of ours: told like a failed run, so that the others still run
            print(number, "bug", repr(error), flush=True)
            continue
        if result.verdict != "pass" and result.run_json["facts"]:
            wrong = [f"{check.name}: {check.detail}" for check in result.checks if check.ok is False]
            print(number, result.verdict, wrong, flush=True)
    print(f"{last - first + 1} scenarios, {time.process_time() - begun:.1f} s of CPU")


if __name__ == "__main__":
    run_many(draw, int(sys.argv[1]), int(sys.argv[2]))
