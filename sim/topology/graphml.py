"""GraphML files: nodes with their attributes and edges, as texts.

Reading and the file's own consistency only; what its labels, coordinates and components mean for a federation is
`sim.topology.maps`. XML is parsed by the standard library, which fetches nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import meant, quoted

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
    nodes = dict(_nodes(graphs[0], _attributes(root), path))
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


class _Attributes(NamedTuple):
    """Of nodes: key id -> the attribute's name in lower case, and what each is where a node does not say it."""

    names: dict[str, str]
    defaults: dict[str, str]


def _attributes(root: ET.Element) -> _Attributes:
    names: dict[str, str] = {}
    defaults: dict[str, str] = {}
    for key in root.iter():
        if _tag(key) == "key" and key.get("for", "all") in ("node", "all"):
            id_ = key.get("id", "")
            name = names[id_] = key.get("attr.name", id_).lower()
            given = next((child for child in key if _tag(child) == "default"), None)
            if given is not None:
                defaults[name] = (given.text or "").strip()
    return _Attributes(names, defaults)


def _nodes(graph: ET.Element, attributes: _Attributes, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    seen: dict[str, None] = {}
    names = attributes.names
    for number, element in enumerate((e for e in graph.iter() if _tag(e) == "node"), 1):
        id_ = element.get("id")
        if not id_:
            raise Misfit(MAP_KEY, f"{path.name}: node number {number} has no id")
        if id_ in seen:
            raise Misfit(MAP_KEY, f"{path.name}: two nodes have the id {quoted(id_)}")
        seen[id_] = None
        data = (child for child in element if _tag(child) == "data")
        said = {names[key]: (child.text or "").strip() for child in data if (key := child.get("key", "")) in names}
        yield id_, attributes.defaults | said


def _edges(graph: ET.Element, nodes: dict[str, dict[str, str]], path: Path) -> Iterator[tuple[str, str]]:
    for number, element in enumerate((e for e in graph.iter() if _tag(e) == "edge"), 1):
        ends = element.get("source", ""), element.get("target", "")
        if not all(ends):
            lacks = "source" if not ends[0] else "target"
            raise Misfit(MAP_KEY, f"{path.name}: edge number {number} has no {lacks}; an edge names the nodes it links")
        for end in ends:
            if end not in nodes:
                raise Misfit(
                    MAP_KEY, f"{path.name}: edge number {number} leads to {quoted(end)}, which is no node of the map"
                )
        yield ends
