"""Maps: GraphML files as the graph of a federation, with names and coordinates made fit for it.

Only the file and what becomes of it; what else a topology can be is `sim.topology.shapes`. Real files have parallel
edges, self loops, missing labels and coordinates, several components: each is resolved here and noted in a
sentence, or refused with one that says what to do.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import networkx as nx

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import listed, quoted, shown
from sim.naming import NODE_NAME, slug
from sim.topology.graphml import MAP_KEY, read_graphml
from sim.topology.tables import Topology

__all__ = ["Map", "clean_name", "read_map"]

_COORDINATES: Final = (
    ("latitude", ("latitude", "lat"), 90.0),
    ("longitude", ("longitude", "long", "lon", "lng"), 180.0),
)
_LABELS: Final = ("label", "name")
_NO_LABEL: Final = ("", "none", "null", "nan")
"""What tools write where there is no label."""
_UNDECOMPOSED: Final = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe",
     "ı": "i", "þ": "th", "Þ": "Th", "ð": "d", "\u2019": "'"}
)  # fmt: skip
"""Letters that Unicode does not take apart into a plain letter and a mark."""
_NAME_CHARS_MAX: Final = 63
_EXAMPLES: Final = 3
_DIGITS: Final = 6
"""Decimal places of coordinates that are computed: a tenth of a metre, coarser than math libraries differ."""


class Map(NamedTuple):
    """A map as a federation can use it; `notes` say what was made of its oddities."""

    graph: nx.Graph
    positions: dict[str, tuple[float, float]]
    notes: tuple[str, ...]


def read_map(path: Path, topology: Topology) -> Map:
    """The map in a file. Raises Misfit with the key of the scenario that is to change."""
    raw = read_graphml(path)
    notes = ["its edges have a direction, and each is taken as a link both ways"] if raw.directed else []
    names, told = _names(raw.nodes)
    notes += told
    graph = nx.Graph()
    graph.add_nodes_from(names.values())
    pairs = [(names[a], names[b]) for a, b in raw.edges if a != b]
    graph.add_edges_from(pairs)
    notes += _counted(len(raw.edges) - len(pairs), "self loop was", "self loops were", "left out")
    repeated = len(pairs) - graph.number_of_edges()
    notes += _counted(repeated, "parallel edge was", "parallel edges were", "left out")
    known = {
        names[id_]: at for id_, data in raw.nodes.items() if (at := _coordinates(names[id_], data, path)) is not None
    }
    positions, told = _placed(graph, known, topology, path)
    notes += told
    graph, told = _component(graph, topology, path)
    notes += told
    positions = {name: positions[name] for name in graph.nodes if name in positions}
    return Map(graph, positions, (f"the map {path.name}: " + "; ".join(notes) + ".",) if notes else ())


def _counted(count: int, one: str, several: str, what: str) -> list[str]:
    return [] if count == 0 else [f"{count} {one if count == 1 else several} {what}"]


# --- names ---


def _names(nodes: dict[str, dict[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Node id -> name: the label, else the id, cleaned; equal ones get a number from the second on. What is not as
    it stands in the file is told, because faults, clocks and links call nodes by these names."""
    taken: dict[str, None] = {}
    found: dict[str, str] = {}
    respelt: list[str] = []
    numbered: list[str] = []
    for number, (id_, data) in enumerate(nodes.items(), 1):
        label = next((data[key] for key in _LABELS if data.get(key, "").lower() not in _NO_LABEL), "")
        plain = clean_name(label) or clean_name(id_) or f"node-{number}"
        name, again = plain, 2
        while slug(name) in taken:
            name = f"{plain[: _NAME_CHARS_MAX - 6]} {again}"
            again += 1
        taken[slug(name)] = None
        found[id_] = name
        if name != plain:
            numbered.append(shown(name))
        elif name != " ".join((label or id_).split()):
            respelt.append(f"{shown(label or id_)} as {shown(name)}")
    return found, [*_examples(respelt, "written in plain letters"), *_examples(numbered, "given a number, to differ")]


def _examples(renamed: list[str], how: str) -> list[str]:
    first = ", ".join(renamed[:_EXAMPLES]) + (" ..." if len(renamed) > _EXAMPLES else "")
    return _counted(len(renamed), "name was", "names were", f"{how} ({first})")


def clean_name(label: str) -> str:
    """The nearest text that may name a node: plain letters, digits, spaces and . _ ' -; empty if none is left."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", label.translate(_UNDECOMPOSED))
        if not unicodedata.combining(letter)
    )
    spaced = re.sub(r"\s+", " ", re.sub(r"[^A-Za-z0-9 ._'\s-]+", "-", plain))
    name = spaced.lstrip(" ._'-")[:_NAME_CHARS_MAX].rstrip(" -")
    return name if re.search(NODE_NAME, name) else ""


# --- places ---


def _coordinates(name: str, data: dict[str, str], path: Path) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, or None when one of them is missing."""
    found: list[float] = []
    for what, keys, most in _COORDINATES:
        text = next((data[key] for key in keys if data.get(key, "").lower() not in _NO_LABEL), None)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            raise Misfit(
                MAP_KEY, f"{path.name}: the {what} of {quoted(name)} is {quoted(text)}, not a number of degrees"
            ) from None
        if not math.isfinite(value) or abs(value) > most:
            raise Misfit(
                MAP_KEY,
                f"{path.name}: the {what} of {quoted(name)} is {text}, not between -{most:g} and {most:g} degrees",
            )
        found.append(value)
    return found[0], found[1]


def _placed(
    graph: nx.Graph, known: dict[str, tuple[float, float]], topology: Topology, path: Path
) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Positions of nodes by the scenario's choice for those without; nodes that are dropped leave the graph."""
    lost = [name for name in graph.nodes if name not in known]
    key = "federation.topology.without_coordinates"
    if not lost or (topology.without_coordinates == "neighbours" and not known):
        return known, []
    if topology.without_coordinates == "refuse":
        many = f"{len(lost)} nodes have" if len(lost) > 1 else "one node has"
        advice = 'write "neighbours" to put them between their neighbours or "drop" to leave them out'
        raise Misfit(key, f"{path.name}: {many} no coordinates ({listed(lost)}); {advice}")
    if topology.without_coordinates == "drop":
        if not known:
            raise Misfit(key, f'{path.name}: no node has coordinates, so "drop" leaves none; write "neighbours"')
        graph.remove_nodes_from(lost)
        return known, _counted(len(lost), "node without coordinates was", "nodes without coordinates were", "left out")
    positions = dict(known)
    while True:
        found = {
            name: middle for name in lost if name not in positions
            and (middle := _middle([positions[other] for other in graph.neighbors(name) if other in positions]))
        }  # fmt: skip
        if not found:
            break
        positions.update(found)
    placed = len(positions) - len(known)
    how = "placed in the middle of their neighbours" if placed != 1 else "placed in the middle of its neighbours"
    return positions, _counted(placed, "node without coordinates was", "nodes without coordinates were", how)


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """The middle of places on the globe, also across the date line; the first where they have none."""
    if not places:
        return None
    x = y = z = 0.0
    for latitude, longitude in places:
        up, round_ = math.radians(latitude), math.radians(longitude)
        x, y, z = x + math.cos(up) * math.cos(round_), y + math.cos(up) * math.sin(round_), z + math.sin(up)
    if math.sqrt(x * x + y * y + z * z) < 1e-9:
        return places[0]
    return round(math.degrees(math.atan2(z, math.hypot(x, y))), _DIGITS), round(math.degrees(math.atan2(y, x)), _DIGITS)


def _component(graph: nx.Graph, topology: Topology, path: Path) -> tuple[nx.Graph, list[str]]:
    parts = sorted(nx.connected_components(graph), key=len, reverse=True)
    if len(parts) == 1 or topology.component == "all":
        return graph, []
    if topology.component == "refuse":
        sizes = ", ".join(str(len(part)) for part in parts[:5]) + (" ..." if len(parts) > 5 else "")
        advice = 'write "largest" to take the largest or "all" to run them side by side'
        parted = f"{len(parts)} components without a link between them ({sizes} nodes)"
        raise Misfit("federation.topology.component", f"{path.name} has {parted}; {advice}")
    left = len(graph) - len(parts[0])
    kept = nx.Graph()
    kept.add_nodes_from(name for name in graph.nodes if name in parts[0])
    kept.add_edges_from((a, b) for a, b in graph.edges if a in parts[0])
    where = "outside its largest component"
    return kept, _counted(left, f"node {where} was", f"nodes {where} were", "left out")
