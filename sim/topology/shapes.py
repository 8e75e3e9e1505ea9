"""Topologies: which nodes a federation has and who is linked to whom.

From a shape and a number or list of names, by networkx and the scenario's seed, so that a topology is the same
everywhere; or from a map, which `sim.topology.maps` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import networkx as nx

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import quoted
from sim.naming import slug
from sim.topology.maps import Map, read_map
from sim.topology.tables import Shape, Topology
from sim.world.random_streams import RandomStreams

__all__ = ["LINKS_MAX", "NODES_MAX", "link_up", "make_topology"]

NODES_MAX: Final = 5_000
"""Nodes that fit in the memory of an ordinary computer with their ledgers."""
LINKS_MAX: Final = 100_000
"""Every link is two handshakes and two pullers."""
_TRIES: Final = 200
"""Random graphs drawn before the request is called hopeless; even 2-regular ones are connected sooner."""


def make_topology(chosen: Shape | Topology, nodes: Sequence[str] | int | None, *, seed: int, folder: Path) -> Map:
    """Nodes and links, with positions when a map gives them; `nodes` are names or a number of them, and None when the
    map says which there are. Maps are relative to `folder`. Raises Misfit (keys from the root)."""
    topology = Topology(kind=chosen) if isinstance(chosen, str) else chosen
    if topology.graphml is not None:
        if topology.kind is not None:
            raise Misfit("federation.topology", "a topology has either a kind or a graphml file, not both")
        if nodes is not None:
            raise Misfit("federation.nodes", "the map says which nodes there are; leave this key out")
        found = read_map(folder / topology.graphml, topology)
    elif topology.kind is None:
        raise Misfit("federation.topology", 'a topology needs a kind, such as "mesh", or a graphml file')
    else:
        found = Map(link_up(_names(nodes), topology, RandomStreams(seed).stream("topology")), {}, ())
    if len(found.graph) > NODES_MAX:
        raise Misfit(
            "federation.topology", f"{len(found.graph)} nodes are too many; at most {NODES_MAX} can be simulated"
        )
    return found


def _names(nodes: Sequence[str] | int | None) -> list[str]:
    if nodes is None:
        raise Misfit(
            "federation.nodes",
            'missing; give a number of nodes, such as 5, or a list of names, such as ["north", "south"]',
        )
    if isinstance(nodes, int):
        if nodes > NODES_MAX:
            raise Misfit("federation.nodes", f"{nodes} nodes are too many; at most {NODES_MAX} can be simulated")
        width = max(2, len(str(nodes)))
        return [f"node-{number:0{width}d}" for number in range(1, nodes + 1)]
    if not nodes:
        raise Misfit("federation.nodes", "the list is empty; a federation has at least one node")
    taken: dict[str, str] = {}
    for number, name in enumerate(nodes):
        other = taken.get(slug(name))
        if other == name:
            raise Misfit(f"federation.nodes[{number}]", f"{quoted(name)} is in the list twice; names are unique")
        if other is not None:
            alike = f"{quoted(name)} and {quoted(other)} would have the same address"
            raise Misfit(
                f"federation.nodes[{number}]", f"{alike}; names must differ in more than capitals and punctuation"
            )
        taken[slug(name)] = name
    return list(nodes)


def link_up(names: Sequence[str], topology: Topology, rng: Random) -> nx.Graph:
    """The graph of a shape over these names, in their order. Raises Misfit (keys from the root)."""
    count = len(names)
    match topology.kind:
        case "mesh":
            links = count * (count - 1) // 2
            if links > LINKS_MAX:
                many = f"a mesh of {count} nodes has {links} links, more than {LINKS_MAX}"
                raise Misfit(
                    "federation.topology", f'{many}; take fewer nodes or another shape, such as "random-regular"'
                )
            drawn = nx.complete_graph(count)
        case "ring":
            drawn = nx.cycle_graph(count) if count > 2 else nx.path_graph(count)
        case "star":
            drawn = nx.star_graph(count - 1)
        case "tree":
            drawn = nx.full_rary_tree(topology.branching, count)
        case "random-regular":
            drawn = _random_regular(count, topology.degree, rng)
        case "small-world":
            drawn = _small_world(count, topology, rng)
        case _:
            drawn = nx.path_graph(count)
    return _named(names, drawn.edges)


def _named(names: Sequence[str], edges: Iterable[tuple[int, int]]) -> nx.Graph:
    """Nodes and links in a fixed order, whatever order the generator came to them in."""
    graph = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from((names[a], names[b]) for a, b in sorted((min(edge), max(edge)) for edge in edges))
    return graph


def _nodes(count: int) -> str:
    return "one node" if count == 1 else f"{count} nodes"


def _random_regular(count: int, degree: int, rng: Random) -> nx.Graph:
    key = "federation.topology.degree"
    if degree >= count:
        raise Misfit(key, f"{_nodes(count)} cannot have {degree} links each; take at least {degree + 1} nodes, "
                     'a lower degree, or topology = "mesh"')  # fmt: skip
    if count * degree % 2:
        raise Misfit(key, f"{count} nodes cannot have {degree} links each, because {count} x {degree} is odd; "
                     f"take {count + 1} nodes, or an even degree")  # fmt: skip
    if count * degree // 2 > LINKS_MAX:
        raise Misfit(
            key, f"{count} nodes with {degree} links each have {count * degree // 2} links, more than {LINKS_MAX}"
        )
    for _ in range(_TRIES):
        drawn = nx.random_regular_graph(degree, count, seed=rng)
        if nx.is_connected(drawn):
            return drawn
    raise Misfit(key, f"no connected graph was found in {_TRIES} tries; take a degree of at least 3")


def _small_world(count: int, topology: Topology, rng: Random) -> nx.Graph:
    key, near = "federation.topology.neighbours", topology.neighbours
    if near % 2:
        raise Misfit(
            key, f"each node is linked to as many on either side, so {near} must be even; take {near - 1} or {near + 1}"
        )
    if near >= count:
        raise Misfit(key, f"{_nodes(count)} cannot have {near} neighbours each; take at least {near + 1} nodes, "
                     'fewer neighbours, or topology = "mesh"')  # fmt: skip
    if count * near // 2 > LINKS_MAX:
        raise Misfit(
            key, f"{count} nodes with {near} neighbours each have {count * near // 2} links, more than {LINKS_MAX}"
        )
    for _ in range(_TRIES):
        drawn = nx.watts_strogatz_graph(count, near, topology.rewire, seed=rng)
        if nx.is_connected(drawn):
            return drawn
    raise Misfit("federation.topology.rewire", f"no connected graph was found in {_TRIES} tries; rewire fewer links "
                 "or take more neighbours")  # fmt: skip
