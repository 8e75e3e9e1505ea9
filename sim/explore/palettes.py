"""Values for keys that their types say too little about, and the kinds that are not drawn.

A key that is not named here gets a value by its type (`sim.explore.fields`), which is usually enough. What stands here
keeps a run affordable (a flood of 100 000 facts is no better than one of 900), keeps a scenario within what must
converge before its end, or puts weight on the edges where faults were found before: bounds, nothing at all, too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LATENCIES", "NOT_DRAWN", "PALETTES", "PREPARED_BY", "SCOPES", "SHAPES"]

NOT_DRAWN: Final[Mapping[tuple[str, str], str]] = {
    ("workload", "trace"): "it replays a file of somebody's, so that the scenario would not be whole by itself",
}
"""(sort, kind) of what is not drawn, and why."""

PREPARED_BY: Final[Mapping[str, str]] = {"restore-backup": "backup"}
"""Faults of a node that need another one of the same node before them, which is drawn with them."""

SHAPES: Final[tuple[Any, ...]] = (
    "mesh", "mesh", "ring", "line", "star", "tree", "small-world", "random-regular",
    {"kind": "tree", "branching": 1}, {"kind": "random-regular", "degree": 3},
    {"kind": "small-world", "neighbours": 2, "rewire": 0.9},
)  # fmt: skip
LATENCIES: Final[tuple[Any, ...]] = (
    "0ms", "5ms", "300ms", "1500ms", {"kind": "uniform", "low": "0ms", "high": "2s"},
    {"kind": "uniform", "low": "5ms", "high": "400ms"}, {"kind": "lognormal", "median": "40ms", "p99": "900ms"},
    {"kind": "lognormal", "median": "40ms", "p99": "3s"}, {"kind": "exponential", "floor": "0ms", "mean": "300ms"},
)  # fmt: skip
SCOPES: Final = (
    ["public"], ["company", "public"], ["company", "public"], ["team", "company", "public"], ["company"],
    ["team", "public"],
)  # fmt: skip

_SPREAD: Final = {"public": 0.5, "company": 0.2, "team": 0.1, "local": 0.2}
_RATES: Final = ("3/m", "10/m", "30/m", "60/m")
PALETTES: Final[Mapping[tuple[str, str, str], tuple[Any, ...]]] = {
    ("fault", "bandwidth", "to"): ("1kbit/s", "8kbit/s", "32kbit/s", "64kbit/s"),
    ("fault", "clock-step", "by"): ("-7200s", "-600s", "-20s", "-1s", "3s", "200s", "290s", "500s", "900s"),
    ("fault", "clock-strobe", "by"): ("-30s", "3s", "200s"),
    ("fault", "clock-strobe", "period"): ("100ms", "4s"),
    ("fault", "clock-slew", "ppm"): (-90_000, -900, 5_000, 90_000),
    ("fault", "clock-drift", "ppm"): (-90_000, -900, 900, 90_000),
    ("fault", "crash-at-commit", "commit"): (1, 2, 3, 5, 8, 13, 21, 34, 60),
    ("fault", "disk-slow", "times"): (2, 1_000, 20_000),
    ("fault", "random-crashes", "rate"): ("4/m", "6/m", "60/m"),
    ("fault", "random-crashes", "down"): ("0s", "500ms", "3s"),
    ("fault", "slow", "by"): ("500ms", "2s"),
    ("workload", "agents", "members"): (1, 2, 3),
    ("workload", "agents", "name"): ("surveyors", "drivers"),
    ("workload", "agents", "rate"): ("3/m", "12/m"),
    ("workload", "burst", "count"): (1, 12, 100, 300, 900),
    ("workload", "burst", "every"): ("20s", "60s"),
    ("workload", "erasures", "after"): ("1ms", "5s", "20s"),
    ("workload", "erasures", "again"): ("0s", "0s", "10s"),
    ("workload", "erasures", "persons"): (3, 20, 1_000),
    ("workload", "erasures", "rate"): ("3/m", "10/m", "20/m"),
    ("workload", "expiring", "life"): ("1ms", "3s", "20s", "90s"),
    ("workload", "probe", "period"): ("300ms", "7s", "20s"),
    ("workload", "retractions", "after"): ("1ms", "10s"),
    ("workload", "retractions", "again"): ("3s", "15s"),
    ("workload", "retractions", "by"): ({}, {"own": 1.0, "same_node": 1.0, "other_node": 1.0}),
    ("workload", "storm", "pairs"): (1, 10, 40, 120),
    ("workload", "storm", "every"): ("20s", "40s"),
    ("workload", "writers", "scopes"): (_SPREAD, {"public": 1.0}),
    ("workload", "writers", "entities"): (1, 50),
    ("workload", "writers", "exponent"): (0.0, 1.0, 5.0),
    **{
        ("workload", kind, "rate"): _RATES
        for kind in ("contradictions", "expiring", "notes", "resolver", "retractions", "updaters", "writers", "intents")
    },
    ("adversary", "clock-pusher", "lead"): ("1s", "60s", "250s", "299s"),
    ("adversary", "flooder", "facts"): (1, 200, 900),
    ("adversary", "malformed", "fuzzed"): (0, 10, 30),
    ("adversary", "stranger", "requests"): (1, 20, 60),
}
"""(sort, kind, key) -> values, of which one is drawn."""
