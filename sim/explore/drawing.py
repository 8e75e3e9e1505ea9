"""`draw(number)`: a whole scenario, the same one for ever as long as the kinds and their keys stay as they are.

First the federation, its wire and its disks; then clocks, links, workloads, faults and adversaries one after the other,
each held against what is there already: a part that does not fit (a fault of a machine that is off then), or that would
keep the federation from converging by construction (a clock set further ahead than there is time for), is drawn again
some times and else left out. A scenario with the feature *no convergence* may hold such parts and says so.

1. What is drawn depends on the number and on what kinds there are, on nothing else: not on the order of runs.
2. The scenario's seed is the number.
3. A scenario that is drawn can be run: planning has taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from sim.diagnostics.toml_text import toml_text
from sim.explore.features import draw_features, kinds_among
from sim.explore.fields import draw_part
from sim.explore.palettes import LATENCIES, PREPARED_BY, SCOPES, SHAPES
from sim.kinds import find_kinds
from sim.scenario.plan import Plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, plain_values, typed
from sim.scenario.warnings import warnings
from sim.topology.federation import Federation
from sim.units import parse_duration

__all__ = ["Drawn", "draw", "scenario_text"]

_TRIES: Final = 6
"""How often a part is drawn before it is left out."""
_DURATIONS_S: Final = (3, 20, 60, 60, 120)
_WORKLOADS: Final = (0, 1, 2, 3)
_FAULTS: Final = (0, 1, 2, 3, 6)
_ADVERSARIES: Final = (0, 0, 0, 1, 2, 3)
_FOR_OTHERS: Final = 0.8
"""How often a workload that would write for nobody else gets a scope that links grant instead."""
_BUSY: Final = 0.9
"""How many scenarios have a workload of which something goes over the links, beside what chance makes of the others."""
_RATES: Final = ("20/m", "60/m", "2/s")
_NODES: Final = (1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6)


class Drawn(NamedTuple):
    """A drawn scenario: what it may have had, and what it came to."""

    number: int
    features: frozenset[str]
    plan: Plan

    @property
    def values(self) -> dict[str, Any]:
        """Its plain values, as a job of the pool wants them."""
        found: dict[str, Any] = plain_values(self.plan.scenario)
        return found


def draw(number: int, among: frozenset[str] | None = None) -> Drawn:
    """The scenario of this number; `among`: with these features at most, instead of those that it draws."""
    rng = Random(f"explore {number}")
    while True:
        features = draw_features(rng) if among is None else among
        try:
            drawing = _Drawing(rng, number, features)
        except BadScenario:  # such as a shape that so few nodes cannot have
            continue
        drawing.add_parts()
        return Drawn(number, features, drawing.plan)


def scenario_text(values: dict[str, Any], heading: str) -> str:
    """A scenario as a file, below some lines of comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines()) + "\n" + toml_text(values)


class _Drawing:
    """One scenario while it is drawn."""

    def __init__(self, rng: Random, number: int, features: frozenset[str]) -> None:
        """Draws all but the parts. Raises BadScenario."""
        self._rng = rng
        self._features = features
        self._duration_s = rng.choice(_DURATIONS_S)
        self._values = self._tables(number)
        self.plan = make_plan(typed(self._values), Path())
        """What there is so far."""

    def add_parts(self) -> None:
        """Draw clocks, links, workloads, faults and adversaries."""
        rng = self._rng
        for node in self.plan.nodes if self._may("wrong clocks") else ():
            if rng.random() < 0.4:
                self._add("clock", partial(self._clock, node))
        for _ in range(rng.choice((1, 1, 2)) if self._may("special links") else 0):
            self._add("link", self._link)
        if rng.random() < _BUSY:
            self._add("workload", self._base_load)
        for sort, counts in (("workload", _WORKLOADS), ("fault", _FAULTS), ("adversary", _ADVERSARIES)):
            kinds = kinds_among(self._features, sort)
            for place in range(rng.choice(counts) if kinds else 0):
                self._add(sort, partial(self._part, sort, kinds, place))

    def _may(self, feature: str) -> bool:
        return feature in self._features

    def _add(self, table: str, drawing: Callable[[Federation], dict[str, Any]]) -> None:
        """Draw one of several tables until one fits."""
        known = _doubts(self.plan)
        for _ in range(_TRIES):
            part = drawing(self.plan.federation)
            changed = {**self._values, table: [*self._values.get(table, []), *self._preparing(part), part]}
            try:
                plan = make_plan(typed(changed), Path())
            except BadScenario:
                continue
            if _doubts(plan) <= known:
                self._values, self.plan = changed, plan
                return

    def _base_load(self, federation: Federation) -> dict[str, Any]:
        """A workload of which something goes over the links, whatever else there is."""
        rng, scopes = self._rng, [scope for scope in federation.scopes if scope != "team" or federation.allow_team]
        entities, scope = rng.choice((1, 6, 30)), rng.choice(scopes)
        return {"kind": "contradictions", "rate": rng.choice(_RATES), "entities": entities, "scope": scope}

    def _preparing(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        """What has to happen before a fault, at some time before it."""
        kind = PREPARED_BY.get(part.get("kind", ""))
        if kind is None:
            return []
        at_ms = parse_duration(part["at"]) // 1_000_000
        return [{"kind": kind, "node": part["node"], "at": f"{self._rng.randint(0, max(0, at_ms - 1))}ms"}]

    def _part(self, sort: str, kinds: list[str], place: int, federation: Federation) -> dict[str, Any]:
        part = draw_part(self._rng, sort, find_kinds(sort)[self._rng.choice(kinds)], federation)
        if sort == "adversary":
            part["node"] = f"m{place}"
        if (
            sort == "workload"
            and part.get("scope", "public") not in federation.scopes
            and self._rng.random() < _FOR_OTHERS
        ):
            part["scope"] = self._rng.choice(federation.scopes)
        return part

    # --- tables ---

    def _tables(self, number: int) -> dict[str, Any]:
        rng = self._rng
        return {
            "scenario": {
                "name": f"drawn-{number}", "seed": number, "duration": f"{self._duration_s}s", "settle": "2h",
                "signatures": rng.choice(("stand-in", "stand-in", "stand-in", "ed25519")),
                "converges": not self._may("no convergence") or rng.random() < 0.7,
            },
            "federation": self._federation(),
            "network": self._network(),
            "disk": {"sync": rng.choice(("300ms", "80ms") if self._may("slow disks") else ("0s", "0.5ms", "4ms"))},
        }  # fmt: skip

    def _federation(self) -> dict[str, Any]:
        rng, may = self._rng, self._may
        nodes = [f"n{number}" for number in range(rng.choice(_NODES))]
        found = {
            "nodes": nodes,
            "topology": rng.choice(SHAPES),
            "pull_interval": rng.choice(("200ms", "1s", "2s", "7s", "11s", "40s")),
            "pull_timeout": rng.choice(("8s", "10s", "25s")),
            "discovery_timeout": "30s",
            "pull_limit": rng.choice((1, 3, 20, 100, 500)),
            "pull_wait": rng.choice(("500ms", "4s", "25s")) if may("holding pulls") else "0s",
            "scopes": rng.choice(SCOPES),
            "allow_team": rng.random() < 0.5,
            "relay": not may("no relay"),
            "push": may("push"),
            "node_ids": "named" if may("named ids") else "certified",
            "origin_keys": "vouched" if may("vouched keys") else "pinned",
            "owned_sources_only": may("owned sources") and rng.random() < 0.1,
            "fresh_declarations": may("fresh declarations"),
            "drag": rng.choice(("0s", "5s", "5s", "60s")),
            "mailbox": rng.choice((1, 8)) if may("small mailbox") else 4096,
        }
        if may("tombstones"):
            found["tombstone_signers"] = rng.choice((["*"], nodes, [rng.choice(nodes)]))
        return found

    def _network(self) -> dict[str, Any]:
        rng = self._rng
        found: dict[str, Any] = {"latency": rng.choice(LATENCIES)}
        for feature, key, most in (
            ("lossy wire", "loss", 0.3), ("duplicating wire", "duplicate", 1.0), ("reordering wire", "reorder", 1.0),
            ("corrupting wire", "corrupt", 0.1),
        ):  # fmt: skip
            if self._may(feature):
                found[key] = round(rng.uniform(0.0, most), 3)
        if self._may("reordering wire"):
            found["reorder_by"] = rng.choice(("0s", "500ms", "4s"))
        if self._may("narrow wire"):
            found["bandwidth"] = rng.choice(("64kbit/s", "1Mbit/s"))
        return found

    def _clock(self, node: str, _: Federation) -> dict[str, Any]:
        rng = self._rng
        offset = f"{rng.choice((-145, -100, 0, 100, 145))}s"
        return {"node": node, "offset": offset, "drift_ppm": rng.choice((-900, -300, 0, 300, 900))}

    def _link(self, federation: Federation) -> dict[str, Any]:
        rng = self._rng
        links = federation.links or ((federation.nodes[0], federation.nodes[0]),)
        found: dict[str, Any] = {"between": rng.sample(rng.choice(links), 2)}
        if rng.random() < 0.5:
            return found | {"scopes": rng.choice(SCOPES)}
        one = rng.choice(({"latency": "2s"}, {"loss": 0.3}, {"bandwidth": "64kbit/s"}))
        return found | {"one_way": rng.random() < 0.5} | one


def _doubts(plan: Plan) -> frozenset[str]:
    """Why the federation may not converge, as far as it can be foreseen."""
    table = plan.scenario.scenario
    anyway = msgspec.structs.replace(plan.scenario, scenario=msgspec.structs.replace(table, converges=False))
    return frozenset(warnings(plan)) - frozenset(warnings(replace(plan, scenario=anyway)))
