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
from sim.scenario.plan import Plan
from sim.scenario.planning import make_plan
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
    rng = Random(number)
    while True:
        try:
            return make_plan(parse_scenario(draw_text(rng, number)), Path())
        except BadScenario:
            continue


def draw_text(rng: Random, number: int) -> str:
    """A scenario file, which may be refused."""
    nodes = [f"n{n}" for n in range(rng.randint(2, 6))]
    hostile = rng.random() < _OFTEN
    return "\n".join(
        [
            _head(rng, number, nodes),
            _network(rng),
            *(_clock(rng, node) for node in nodes if rng.random() < 0.3),
            *_workloads(rng, nodes),
            *(_fault(rng, nodes) for _ in range(rng.randint(0, 4))),
            *(_adversary(rng, nodes, n) for n in range(rng.randint(1, 3) if hostile else 0)),
        ]
    )


def _head(rng: Random, number: int, nodes: list[str]) -> str:
    named = rng.random() < 0.15
    return f"""
[scenario]
name = "drawn"
seed = {number}
duration = "{_DURATION_S}s"
settle = "25m"
signatures = "{rng.choice(("stand-in", "stand-in", "ed25519"))}"

[federation]
nodes = {nodes!r}
topology = "{rng.choice(_SHAPES)}"
pull_interval = "{rng.choice((1, 2, 5, 11))}s"
pull_limit = {rng.choice((3, 20, 100, 500))}
pull_wait = "{rng.choice((0, 0, 0, 3))}s"
scopes = {rng.choice((["public"], ["company", "public"]))!r}
relay = {str(rng.random() < 0.85).lower()}
push = {str(rng.random() < 0.3).lower()}
node_ids = "{"named" if named else "certified"}"
origin_keys = "{"vouched" if named or rng.random() < 0.2 else "pinned"}"
"""


def _network(rng: Random) -> str:
    lines = ["[network]", f"latency = {rng.choice(_LATENCIES)}"]
    for key, most in (("loss", 0.1), ("duplicate", 0.2), ("reorder", 0.3), ("corrupt", 0.02)):
        if rng.random() < 0.3:
            lines.append(f"{key} = {rng.uniform(0.0, most):.3f}")
    return "\n".join([*lines, "[disk]", f'sync = "{rng.choice(("0.5ms", "4ms", "80ms"))}"'])


def _clock(rng: Random, node: str) -> str:
    offset, drift = rng.randint(-280, 280), rng.randint(-400, 400)
    return f'[[clock]]\nnode = "{node}"\noffset = "{offset}s"\ndrift_ppm = {drift}'


def _workloads(rng: Random, nodes: list[str]) -> list[str]:
    tables = {
        "contradictions": {"rate": f"{rng.randint(6, 60)}/m", "entities": rng.randint(1, 30)},
        "writers": {"rate": f"{rng.randint(3, 40)}/m", "scopes": {"public": 0.6, "company": 0.2, "local": 0.2}},
        "retractions": {"rate": f"{rng.randint(3, 20)}/m", "after": "10s", "again": "15s", "entities": 6},
        "resolver": {"rate": f"{rng.randint(3, 20)}/m"},
        "expiring": {"rate": f"{rng.randint(3, 20)}/m", "life": f"{rng.randint(5, 90)}s"},
        "burst": {"nodes": [rng.choice(nodes)], "count": rng.randint(1, 300), "start": "20s"},
        "probe": {"period": "7s"},
        "storm": {"pairs": rng.randint(1, 40), "every": "40s"},
    }  # fmt: skip
    kinds = ["contradictions", *(kind for kind in tables if kind != "contradictions" and rng.random() < _OFTEN)]
    return [workload(kind, **tables[kind]) for kind in kinds]


def _fault(rng: Random, nodes: list[str]) -> str:
    kind = rng.choice(_ON_MACHINES + _ON_LINKS)
    at = rng.randint(1, _DURATION_S - 30)
    lasts = rng.randint(1, _DURATION_S - at - 1)
    return _on_links(rng, kind, at, lasts) if kind in _ON_LINKS else _on_a_machine(rng, kind, nodes, at, lasts)


def _on_links(rng: Random, kind: str, at: int, lasts: int) -> str:
    keys: dict[str, Any] = {"at": f"{at}s", "for_": f"{lasts}s"}
    if kind == "partition":
        keys |= {"shape": "halves", "one_way": rng.random() < 0.3, "hold": rng.random() < 0.3}
    own = {"loss": {"share": 0.4}, "slow": {"by": "2s"}, "bandwidth": {"to": "32kbit/s"}, "corrupt": {"share": 0.1}}
    return fault(kind, **keys, **own.get(kind, {}))


def _on_a_machine(rng: Random, kind: str, nodes: list[str], at: int, lasts: int) -> str:
    keys: dict[str, Any] = {"at": f"{at}s"} | ({} if kind == "random-crashes" else {"node": rng.choice(nodes)})
    if kind in ("crash", "pause", "disk-full", "disk-slow", "random-crashes", "clock-freeze", "clock-strobe"):
        keys["for_"] = f"{lasts}s"
    own: dict[str, dict[str, Any]] = {
        "clock-step": {"by": f"{rng.choice((-600, -20, 3, 200, 500))}s"},
        "clock-strobe": {"by": "3s", "period": "4s"},
        "clock-slew": {"ppm": rng.randint(1, 5_000), "for_": f"{lasts}s"},
        "clock-drift": {"ppm": rng.randint(-900, 900)},
        "crash-at-commit": {"commit": rng.randint(1, 40), "when": rng.choice(("before", "after"))},
        "wipe": {"down": "4s"},
        "random-crashes": {"rate": "4/m", "down": "3s"},
    }
    return fault(kind, **keys, **own.get(kind, {}))


def _adversary(rng: Random, nodes: list[str], number: int) -> str:
    kind = rng.choice(_HOSTILE)
    peers = rng.sample(nodes, rng.randint(1, min(3, len(nodes))))
    own: dict[str, Any] = {
        "flooder": {"facts": 200}, "malformed": {"fuzzed": 10, "large": False},
    }.get(kind, {})  # fmt: skip
    table = workload(kind, node=f"m{number}", peers=peers, dialect=rng.choice(("2.1+", "2.1+", "2.1", "0.5")), **own)
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
