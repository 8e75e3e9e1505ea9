"""GraphML files: nodes with their attributes and edges, as texts.

Reading and the file's own consistency only; what its labels, coordinates and components mean for a federation is
`sim.atlas.maps`. XML is parsed by the standard library, which fetches nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from sim.fault.base import Misfit
from sim.scenario.wording import meant, quoted

__all__ = ["MAP_KEY", "RawGraph", "read_graphml"]

MAP_KEY: Final = "federation.topology.graphml"
_BYTES_MAX: Final = 64 * 1_048_576
"""Far above any map of nodes that a run could have."""


class RawGraph(NamedTuple):
    """What a GraphML file says: attributes per node id, in order, and edges by ids."""

    nodes: dict[str, dict[str, str]]
    edges: list[tuple[str, str]]
    directed: bool


def read_graphml(path: Path) -> RawGraph:
    """The nodes and edges of a GraphML file. Raises Misfit with the key of the scenario that names the file."""
    root = _root(path)
    graphs = [child for child in root if _tag(child) == "graph"]
    if len(graphs) != 1:
        raise Misfit(MAP_KEY, f"{path.name} holds {len(graphs) or 'no'} graphs; a map holds one")
    if any(_tag(element) == "hyperedge" for element in graphs[0].iter()):
        raise Misfit(MAP_KEY, f"{path.name} has hyperedges; a link is between two nodes")
    nodes = dict(_nodes(graphs[0], _attribute_names(root), path))
    if not nodes:
        raise Misfit(MAP_KEY, f"{path.name} has no nodes; a map needs at least one <node>")
    return RawGraph(nodes, list(_edges(graphs[0], nodes, path)), graphs[0].get("edgedefault") == "directed")


def _root(path: Path) -> ET.Element:
    if not path.is_file():
        siblings = sorted(other.name for other in path.parent.glob("*.graphml")) if path.parent.is_dir() else []
        near = meant(path.name, siblings)
        what = "is a folder, not a map" if path.is_dir() else "does not exist"
        raise Misfit(MAP_KEY, f"the file {path} {what}" + (f"; did you mean {quoted(near)}?" if near else ""))
    if path.stat().st_size > _BYTES_MAX:
        raise Misfit(MAP_KEY, f"{path.name} is larger than {_BYTES_MAX >> 20} MiB, too large for a map")
    try:
        root = ET.parse(path).getroot()  # noqa: S314  # the user's own file; expat bounds what entities expand to
    except (ET.ParseError, ValueError, LookupError) as error:
        line = getattr(error, "position", (0, 0))[0]
        where = f" (its line {line})" if line else ""
        raise Misfit(MAP_KEY, f"{path.name} is not XML{where}; a map is a GraphML file") from None
    except OSError as error:
        raise Misfit(MAP_KEY, f"{path.name} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if _tag(root) != "graphml":
        raise Misfit(MAP_KEY, f"{path.name} is XML but not GraphML: its outermost element is {quoted(_tag(root))}")
    return root


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _attribute_names(root: ET.Element) -> dict[str, str]:
    """Key id -> the attribute's name in lower case, for attributes of nodes."""
    keys = (
        element for element in root.iter() if _tag(element) == "key" and element.get("for", "all") in ("node", "all")
    )
    return {key.get("id", ""): key.get("attr.name", key.get("id", "")).lower() for key in keys}


def _nodes(graph: ET.Element, names: dict[str, str], path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    seen: dict[str, None] = {}
    for number, element in enumerate((e for e in graph.iter() if _tag(e) == "node"), 1):
        id_ = element.get("id")
        if not id_:
            raise Misfit(MAP_KEY, f"{path.name}: node number {number} has no id")
        if id_ in seen:
            raise Misfit(MAP_KEY, f"{path.name}: two nodes have the id {quoted(id_)}")
        seen[id_] = None
        data = (child for child in element if _tag(child) == "data")
        yield id_, {names[key]: (child.text or "").strip() for child in data if (key := child.get("key", "")) in names}


def _edges(graph: ET.Element, nodes: dict[str, dict[str, str]], path: Path) -> Iterator[tuple[str, str]]:
    for number, element in enumerate((e for e in graph.iter() if _tag(e) == "edge"), 1):
        ends = element.get("source", ""), element.get("target", "")
        for end in ends:
            if end not in nodes:
                raise Misfit(
                    MAP_KEY, f"{path.name}: edge number {number} leads to {quoted(end)}, which is no node of the map"
                )
        yield ends
