"""Scenarios drawn far from the usual: every key of every table, extreme wires, clocks, scopes and instants.

`tests.sim.fuzz` draws federations that somebody might run; here are those that nobody would. `python -m
tests.sim.wild 1 200` runs many and prints those that do not pass.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

from sim.scenario.plan import Plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, parse_scenario
from tests.sim.fuzz import run_many
from tests.sim.small_runs import fault, table, workload

__all__ = ["draw_wild"]

_SHAPES = (
    '"mesh"', '"ring"', '"line"', '"star"', '"tree"', '{ kind = "tree", branching = 1 }',
    '{ kind = "random-regular", degree = 2 }', '{ kind = "random-regular", degree = 3 }',
    '{ kind = "small-world", neighbours = 2, rewire = 0.9 }',
)  # fmt: skip
_LATENCIES = (
    '"0ms"', '"5ms"', '"1500ms"', '{ kind = "uniform", low = "0ms", high = "2s" }',
    '{ kind = "lognormal", median = "40ms", p99 = "3s" }', '{ kind = "exponential", floor = "0ms", mean = "300ms" }',
)  # fmt: skip
_SCOPES = (["public"], ["company", "public"], ["team", "company", "public"], ["company"], ["team", "public"])
_HOSTILE = (
    "clock-pusher", "extender", "flipper", "flooder", "forger", "hasher", "holder", "id-thief", "instruction",
    "malformed", "overreach", "page-liar", "pusher", "relay-forger", "replayer", "staller", "twin", "retractor",
    "false-voucher",
)  # fmt: skip
_ALONE = ("leave", "join", "wipe", "crash-at-commit")
"""Faults that name their node; the others may strike everybody."""


def draw_wild(number: int) -> Plan:
    """The plan with this number; what does not fit together is drawn again."""
    rng = Random(f"wild {number}")
    while True:
        try:
            return make_plan(parse_scenario(_text(rng, number)), Path())
        except BadScenario:
            continue


def _text(rng: Random, number: int) -> str:
    nodes = [f"n{n}" for n in range(rng.choice((1, 2, 2, 3, 4, 5, 7)))]
    lasts = rng.choice((3, 20, 60, 150))
    hostile = rng.randint(1, 3) if rng.random() < 0.4 else 0
    return "\n".join(
        [
            _head(rng, number, nodes, lasts),
            _network(rng),
            *(_clock(rng, node) for node in nodes if rng.random() < 0.3),
            *_links(rng, nodes),
            *_workloads(rng, nodes, lasts),
            *(_fault(rng, nodes, lasts) for _ in range(rng.choice((0, 1, 2, 3, 6)))),
            *(_adversary(rng, nodes, n, lasts) for n in range(hostile)),
        ]
    )


def _yes(rng: Random, share: float) -> str:
    return str(rng.random() < share).lower()


def _head(rng: Random, number: int, nodes: list[str], lasts: int) -> str:
    return f"""
[scenario]
name = "wild"
seed = {number}
duration = "{lasts}s"
settle = "2h"
signatures = "{rng.choice(("stand-in", "stand-in", "stand-in", "ed25519"))}"

[federation]
nodes = {nodes!r}
topology = {rng.choice(_SHAPES)}
pull_interval = "{rng.choice(("200ms", "1s", "2s", "7s", "40s"))}"
pull_timeout = "{rng.choice(("8s", "10s", "25s"))}"
pull_limit = {rng.choice((1, 3, 20, 100, 500))}
pull_wait = "{rng.choice(("0s", "0s", "500ms", "4s", "25s"))}"
scopes = {rng.choice(_SCOPES)!r}
allow_team = {_yes(rng, 0.5)}
relay = {_yes(rng, 0.75)}
push = {_yes(rng, 0.3)}
node_ids = "{rng.choice(("named", "certified", "certified"))}"
origin_keys = "{rng.choice(("vouched", "pinned"))}"
owned_sources_only = {_yes(rng, 0.03)}
drag = "{rng.choice(("0s", "5s", "5s", "5s", "60s"))}"
mailbox = {rng.choice((1, 8, 4096, 4096, 4096))}
"""


def _network(rng: Random) -> str:
    lines = ["[network]", f"latency = {rng.choice(_LATENCIES)}"]
    for key, most in (("loss", 0.3), ("duplicate", 1.0), ("reorder", 1.0), ("corrupt", 0.1)):
        if rng.random() < 0.25:
            lines.append(f"{key} = {rng.uniform(0.0, most):.3f}")
    if rng.random() < 0.2:
        lines.append(f'reorder_by = "{rng.choice(("0s", "4s"))}"')
    if rng.random() < 0.1:
        lines.append(f'bandwidth = "{rng.choice(("64kbit/s", "1Mbit/s"))}"')
    return "\n".join([*lines, "[disk]", f'sync = "{rng.choice(("0s", "0.5ms", "4ms", "300ms"))}"'])


def _clock(rng: Random, node: str) -> str:
    offset, drift = rng.choice((-145, -100, 0, 100, 145)), rng.choice((-900, -300, 0, 300, 900))
    return f'[[clock]]\nnode = "{node}"\noffset = "{offset}s"\ndrift_ppm = {drift}'


def _links(rng: Random, nodes: list[str]) -> list[str]:
    found = []
    for _ in range(rng.choice((0, 0, 1, 2)) if len(nodes) > 1 else 0):
        lines = ["[[link]]", f"between = {rng.sample(nodes, 2)!r}"]
        if rng.random() < 0.5:
            lines.append(f"scopes = {rng.choice(_SCOPES)!r}")
        else:
            lines.append(f"one_way = {_yes(rng, 0.5)}")
            lines.append(rng.choice(('latency = "2s"', "loss = 0.3", 'bandwidth = "64kbit/s"')))
        found.append("\n".join(lines))
    return found


def _workloads(rng: Random, nodes: list[str], lasts: int) -> list[str]:
    scopes = {"public": 0.5, "company": 0.2, "team": 0.1, "local": 0.2}
    tables: dict[str, dict[str, Any]] = {
        "contradictions": {
            "rate": f"{rng.randint(6, 60)}/m", "entities": rng.randint(1, 30),
            "spread": rng.choice(("0s", "9s")), "scope": rng.choice(("public", "public", "company", "team")),
        },
        "writers": {
            "rate": f"{rng.randint(3, 60)}/m", "scopes": scopes, "entities": rng.choice((1, 50)),
            "fresh": rng.random() < 0.3, "exponent": rng.choice((0.0, 1.0, 5.0)),
        },
        "retractions": {
            "rate": f"{rng.randint(3, 60)}/m", "after": rng.choice(("1ms", "10s")), "again": "3s", "entities": 3,
            "by": {"own": 1.0, "same_node": 1.0, "other_node": 1.0},
        },
        "resolver": {"rate": f"{rng.randint(3, 40)}/m", "new_values": rng.choice((0.0, 0.5))},
        "expiring": {"rate": f"{rng.randint(3, 40)}/m", "life": rng.choice(("1ms", "3s", "90s"))},
        "burst": {
            "nodes": [rng.choice(nodes)], "count": rng.randint(1, 900),
            "start": f"{rng.randint(0, lasts - 1)}s",
        },
        "probe": {"period": rng.choice(("300ms", "7s"))},
        "storm": {"pairs": rng.randint(1, 120), "every": f"{max(1, lasts // 3)}s"},
    }  # fmt: skip
    kinds = [kind for kind in tables if rng.random() < 0.4] or ["contradictions"]
    chosen = [tables[kind] for kind in kinds]
    for keys in chosen:
        if "start" not in keys and rng.random() < 0.2:
            keys |= {"start": f"{lasts / 4:g}s", "stop": f"{lasts / 2:g}s"}
    return [workload(kind, **keys) for kind, keys in zip(kinds, chosen, strict=True)]


def _fault(rng: Random, nodes: list[str], lasts: int) -> str:
    at = rng.choice((0.0, 1.0, lasts / 2, lasts - 1.0, round(rng.uniform(0, lasts - 1), 3)))
    span = {"for_": f"{max(0.001, round(rng.uniform(0, lasts - at), 3)):g}s"} if rng.random() < 0.7 else {}
    keys: dict[str, Any] = {"at": f"{at:g}s"}
    on_links = rng.random() < 0.45
    kind, own = _on_links(rng, nodes) if on_links else _on_a_machine(rng, nodes, lasts)
    lasting = kind not in ("restart", "wipe", "join", "leave", "crash-at-commit")
    return fault(kind, **keys, **(span if lasting else {}), **own)


def _on_links(rng: Random, nodes: list[str]) -> tuple[str, dict[str, Any]]:
    if rng.random() < 0.3:
        return "partition", _cut(rng, nodes)
    kinds: dict[str, dict[str, Any]] = {
        "loss": {"share": rng.choice((0.5, 1.0))},
        "duplicate": {"share": 1.0, "within": rng.choice(("0s", "20s"))},
        "reorder": {"share": 1.0, "by": "9s"},
        "corrupt": {"share": rng.choice((0.1, 1.0))},
        "clog": {},
        "flap": {"down": rng.choice(("300ms", "8s")), "up": rng.choice(("300ms", "8s"))},
        "slow": {"by": "2s"} | ({"p99": "20s"} if rng.random() < 0.5 else {}),
        "bandwidth": {"to": rng.choice(("1kbit/s", "8kbit/s", "64kbit/s"))},
    }
    kind = rng.choice(list(kinds))
    where: list[dict[str, Any]] = [{}, {"node": rng.choice(nodes)}]
    if len(nodes) > 1:
        where += [{"between": rng.sample(nodes, 2)}, {"links": [rng.sample(nodes, 2)]}]
    place = rng.choice(where)
    return kind, kinds[kind] | place | ({"one_way": rng.random() < 0.5} if place else {})


def _cut(rng: Random, nodes: list[str]) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = [
        {"shape": "halves"}, {"shape": "one", "node": rng.choice(nodes)}, {"shape": "majority-ring"},
        {"shape": "bridge", "node": rng.choice(nodes)}, {"groups": [rng.sample(nodes, len(nodes) // 2)]},
    ]  # fmt: skip
    return rng.choice(shapes) | {"one_way": rng.random() < 0.4, "hold": rng.random() < 0.3}


def _on_a_machine(rng: Random, nodes: list[str], lasts: int) -> tuple[str, dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {
        "crash": {"fate": rng.choice(("lost", "torn", "kept"))},
        "restart": {"down": rng.choice(("0s", "1s"))},
        "pause": {}, "disk-full": {}, "clock-freeze": {}, "leave": {}, "join": {},
        "wipe": {"down": rng.choice(("0s", "1s"))},
        "random-crashes": {"rate": f"{rng.choice((6, 60))}/m", "down": rng.choice(("0s", "500ms", "5s"))},
        "disk-slow": {"times": rng.choice((2, 1_000, 20_000))},
        "clock-step": {"by": f"{rng.choice((-7_200, -600, -1, 4, 290, 900))}s"},
        "clock-strobe": {"by": f"{rng.choice((-30, 3, 200))}s", "period": rng.choice(("100ms", "4s"))},
        "clock-slew": {"ppm": rng.choice((-90_000, 5_000, 90_000))},
        "clock-drift": {"ppm": rng.choice((-90_000, 900, 90_000))},
        "crash-at-commit": {
            "commit": rng.randint(1, 60), "when": rng.choice(("before", "after")),
            "fate": rng.choice(("lost", "torn", "kept")), "down": rng.choice(("0s", "1s")),
        },
    }  # fmt: skip
    kind = rng.choice(list(kinds))
    everyone = kind == "random-crashes" or (kind not in _ALONE and rng.random() < 0.15)
    return kind, kinds[kind] | ({} if everyone else {"node": rng.choice(nodes)})


def _adversary(rng: Random, nodes: list[str], number: int, lasts: int) -> str:
    kind = rng.choice(_HOSTILE)
    own: dict[str, dict[str, Any]] = {
        "flooder": {"facts": 900}, "malformed": {"fuzzed": 30, "large": rng.random() < 0.3},
        "false-voucher": {"origin": rng.choice(nodes)},
    }  # fmt: skip
    keys = {
        "node": f"m{number}", "peers": rng.sample(nodes, rng.randint(1, len(nodes))),
        "dialect": rng.choice(("2.1+", "2.1", "0.5")), "at": f"{rng.choice((0, 1, lasts // 2))}s",
        "good": rng.choice((0, 1, 30)),
    }  # fmt: skip
    return table("adversary", kind, **keys, **own.get(kind, {}))


if __name__ == "__main__":
    run_many(draw_wild, int(sys.argv[1]), int(sys.argv[2]))
