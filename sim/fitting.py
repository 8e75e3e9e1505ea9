"""Fitting a scenario together: names, times, files and graphs against each other, before anything runs."""

from __future__ import annotations

from pathlib import Path

import networkx as nx

from sim.plan import Plan
from sim.scenario import Scenario

__all__ = ["make_plan"]


def make_plan(scenario: Scenario, base: Path) -> Plan:
    nodes = scenario.federation.nodes or []
    names = [f"node-{n:02d}" for n in range(1, nodes + 1)] if isinstance(nodes, int) else nodes
    graph = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from(nx.complete_graph(names).edges)
    plan = Plan(scenario, base, graph)
    for part in (*scenario.fault, *scenario.workload, *scenario.adversary):
        part.check(plan)
    return plan
