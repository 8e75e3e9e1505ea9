"""Shapes and maps: what graph comes of them, that it is the same everywhere, and what is refused with which advice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from sim.diagnostics.errors import Misfit
from sim.naming import slug
from sim.scenario.reading import parse_scenario
from sim.topology.maps import Map, clean_name, read_map
from sim.topology.shapes import LINKS_MAX, NODES_MAX, link_up, make_topology
from sim.topology.tables import Topology
from sim.world.random_streams import RandomStreams

ROOT = Path(__file__).parents[3]
OUR_MAP = ROOT / "scenarios" / "data" / "geant.graphml"


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(count)]


def graph(count: int, seed: int = 1, **topology: object) -> nx.Graph:
    return link_up(names(count), Topology(**topology), RandomStreams(seed).stream("topology"))  # type: ignore[arg-type]


def made(federation: str, base: Path = ROOT) -> Map:
    scenario = parse_scenario(f'[scenario]\nname = "x"\n[federation]\n{federation}\n')
    table = scenario.federation
    return make_topology(table.topology, table.nodes, seed=scenario.scenario.seed, folder=base)


# --- shapes ---


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize(
    ("kind", "links"),
    [
        ("mesh", lambda n: n * (n - 1) // 2),
        ("ring", lambda n: n if n > 2 else n - 1),
        ("line", lambda n: n - 1),
        ("star", lambda n: n - 1),
        ("tree", lambda n: n - 1),
    ],
)
def test_a_shape_has_its_nodes_in_order_its_links_and_is_connected(kind: str, links: object, count: int) -> None:
    found = graph(count, kind=kind)
    assert list(found) == names(count)
    assert found.number_of_edges() == links(count)  # type: ignore[operator]
    assert nx.is_connected(found)
    assert nx.number_of_selfloops(found) == 0


def test_a_star_has_its_first_node_in_the_middle_and_a_tree_branches_as_asked() -> None:
    assert graph(6, kind="star").degree["n0"] == 5
    assert [len(list(graph(13, kind="tree", branching=3).neighbors(name))) for name in ("n0", "n1", "n12")] == [3, 4, 1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("count", "degree"), [(3, 2), (10, 3), (100, 4), (40, 2), (5, 4)])
def test_a_random_regular_graph_is_regular_connected_and_the_same_for_the_same_seed(
    count: int, degree: int, seed: int
) -> None:
    found = graph(count, seed, kind="random-regular", degree=degree)
    assert {found.degree[name] for name in found} == {degree}
    assert nx.is_connected(found)
    assert list(found.edges) == list(graph(count, seed, kind="random-regular", degree=degree).edges)


def test_another_seed_gives_another_graph() -> None:
    assert list(graph(20, 1, kind="random-regular").edges) != list(graph(20, 2, kind="random-regular").edges)
    assert list(graph(20, 1, kind="small-world").edges) != list(graph(20, 2, kind="small-world").edges)


@pytest.mark.parametrize("seed", range(8))
def test_a_small_world_has_its_links_and_is_connected(seed: int) -> None:
    found = graph(30, seed, kind="small-world", neighbours=4, rewire=0.3)
    assert found.number_of_edges() == 60
    assert nx.is_connected(found)


def test_without_rewiring_a_small_world_is_a_ring_with_shortcuts_to_the_next_but_one() -> None:
    found = graph(10, kind="small-world", neighbours=4, rewire=0.0)
    assert sorted(found.neighbors("n0")) == ["n1", "n2", "n8", "n9"]


def test_a_topology_is_the_same_in_processes_that_hash_differently() -> None:
    code = (
        "from sim.world.random_streams import RandomStreams; from sim.topology.shapes import link_up\n"
        "from sim.topology.tables import Topology\n"
        "for kind in ('random-regular', 'small-world'):\n"
        "    rng = RandomStreams(7).stream('topology')\n"
        "    print(list(link_up([f'n{i}' for i in range(60)], Topology(kind=kind), rng).edges))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count(b"n59") > 4


@pytest.mark.parametrize(
    ("federation", "key", "sentence"),
    [
        (
            'topology = { kind = "random-regular", degree = 3 }\nnodes = 5',
            "federation.topology.degree",
            "5 nodes cannot have 3 links each, because 5 x 3 is odd; take 6 nodes, or an even degree",
        ),
        (
            'topology = "random-regular"\nnodes = 3',
            "federation.topology.degree",
            '3 nodes cannot have 4 links each; take at least 5 nodes, a lower degree, or topology = "mesh"',
        ),
        ('topology = "random-regular"\nnodes = 1', "federation.topology.degree", "one node cannot have 4 links each"),
        (
            'topology = { kind = "small-world", neighbours = 3 }\nnodes = 9',
            "federation.topology.neighbours",
            "each node is linked to as many on either side, so 3 must be even; take 2 or 4",
        ),
        (
            'topology = "small-world"\nnodes = 4',
            "federation.topology.neighbours",
            '4 nodes cannot have 4 neighbours each; take at least 5 nodes, fewer neighbours, or topology = "mesh"',
        ),
        (
            "nodes = 500",
            "federation.topology",
            (
                f"a mesh of 500 nodes has 124750 links, more than {LINKS_MAX}; take fewer nodes or another "
                f'shape, such as "random-regular"'
            ),
        ),
        (
            f'topology = "ring"\nnodes = {NODES_MAX + 1}',
            "federation.nodes",
            f"5001 nodes are too many; at most {NODES_MAX} can be simulated",
        ),
        (
            'topology = { kind = "random-regular", degree = 100 }\nnodes = 4000',
            "federation.topology.degree",
            f"4000 nodes with 100 links each have 200000 links, more than {LINKS_MAX}",
        ),
        ('topology = "ring"', "federation.nodes", "missing; give a number of nodes, such as 5, or a list of names"),
        ("nodes = []", "federation.nodes", "the list is empty; a federation has at least one node"),
        ('nodes = ["a", "b", "a"]', "federation.nodes[2]", "'a' is in the list twice; names are unique"),
        (
            'nodes = ["New York", "new-york"]',
            "federation.nodes[1]",
            "'new-york' and 'New York' would have the same address",
        ),
        (
            "topology = { degree = 3 }\nnodes = 4",
            "federation.topology",
            'a topology needs a kind, such as "mesh", or a graphml file',
        ),
        (
            'topology = { graphml = "scenarios/data/geant.graphml" }\nnodes = 4',
            "federation.nodes",
            "the map says which nodes there are; leave this key out",
        ),
        (
            'topology = { graphml = "scenarios/data/gaent.graphml" }',
            "federation.topology.graphml",
            "does not exist; did you mean 'geant.graphml'?",
        ),
        ('topology = { graphml = "scenarios/data" }', "federation.topology.graphml", "is a folder, not a map"),
    ],
)
def test_a_topology_that_cannot_be_is_refused_with_advice(federation: str, key: str, sentence: str) -> None:
    with pytest.raises(Misfit) as caught:
        made(federation)
    assert sentence in caught.value.sentence
    assert caught.value.key == key


@pytest.mark.parametrize("kind", ["random-regular", "small-world"])
def test_a_shape_for_which_no_connected_graph_is_found_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.topology.shapes._TRIES", 0)
    with pytest.raises(
        Misfit, match=r"no connected graph was found in 0 tries; (take a degree of at least 3|rewire fewer links)"
    ):
        graph(8, kind=kind)


def test_nodes_that_are_counted_get_names_that_sort_in_their_order() -> None:
    assert list(made("nodes = 3").graph) == ["node-01", "node-02", "node-03"]
    many = list(made('nodes = 120\ntopology = "ring"').graph)
    assert many == sorted(many)


# --- maps that we write here ---

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    '<key id="l" for="node" attr.name="label" attr.type="string"/>'
    '<key id="a" for="node" attr.name="Latitude" attr.type="double"/>'
    '<key id="o" for="node" attr.name="Longitude" attr.type="double"/>'
)


def node(id_: str, label: str | None = None, place: tuple[object, object] | None = None) -> str:
    data = "" if label is None else f'<data key="l">{label}</data>'
    if place is not None:
        data += f'<data key="a">{place[0]}</data><data key="o">{place[1]}</data>'
    return f'<node id="{id_}">{data}</node>'


def edges(*pairs: str) -> str:
    return "".join(f'<edge source="{pair[0]}" target="{pair[1]}"/>' for pair in pairs)


def mapped(folder: Path, body: str, *, directed: bool = False, **topology: object) -> Map:
    path = folder / "m.graphml"
    kind = "directed" if directed else "undirected"
    path.write_text(
        body
        if body.startswith("<?xml") or "<" not in body
        else f'{HEAD}<graph edgedefault="{kind}">{body}</graph></graphml>'
    )
    return read_map(path, Topology(graphml="m.graphml", **topology))  # type: ignore[arg-type]


def test_a_map_gives_names_from_labels_places_and_links(tmp_path: Path) -> None:
    found = mapped(tmp_path, node("a", "Bern", (46.95, 7.45)) + node("b", "Oslo", (59.91, 10.75)) + edges("ab"))
    assert list(found.graph) == ["Bern", "Oslo"]
    assert list(found.graph.edges) == [("Bern", "Oslo")]
    assert found.positions == {"Bern": (46.95, 7.45), "Oslo": (59.91, 10.75)}
    assert found.notes == ()


def test_directed_parallel_and_looping_edges_become_single_links_and_are_told(tmp_path: Path) -> None:
    found = mapped(tmp_path, node("a") + node("b") + node("c") + edges("ab", "ba", "ab", "bc", "cc"), directed=True)
    assert sorted(found.graph.edges) == [("a", "b"), ("b", "c")]
    assert found.notes == (
        (
            "the map m.graphml: its edges have a direction, and each is taken as a link both ways; "
            "1 self loop was left out; 2 parallel edges were left out."
        ),
    )


def test_missing_labels_are_replaced_by_ids_and_equal_ones_are_numbered(tmp_path: Path) -> None:
    body = (
        node("a", "Springfield")
        + node("b", "None")
        + node("c", "")
        + node("d")
        + node("e", "springfield")
        + node("f", "Springfield")
    )
    found = mapped(tmp_path, body + edges("ab", "bc", "cd", "de", "ef"))
    assert list(found.graph) == ["Springfield", "b", "c", "d", "springfield 2", "Springfield 3"]
    assert found.notes == (
        "the map m.graphml: 2 names were given a number, to differ ('springfield 2', 'Springfield 3').",
    )


def test_names_that_are_not_as_they_stand_in_the_file_are_told(tmp_path: Path) -> None:
    found = mapped(tmp_path, node("a", " Los  Angeles ") + node("b", "Zürich") + node("c", "東京") + edges("ab", "bc"))
    assert list(found.graph) == ["Los Angeles", "Zurich", "c"]
    assert found.notes == (
        "the map m.graphml: 2 names were written in plain letters ('Zürich' as 'Zurich', '東京' as 'c').",
    )
    many = mapped(tmp_path, "".join(node(f"n{number}", f"ä{number}") for number in range(9)), component="all")
    assert "9 names were written in plain letters ('ä0' as 'a0', 'ä1' as 'a1', 'ä2' as 'a2' ...)" in many.notes[0]


def test_a_number_given_to_an_equal_name_never_makes_another_clash(tmp_path: Path) -> None:
    found = mapped(
        tmp_path, node("a", "X") + node("b", "X 2") + node("c", "X") + node("d", "x-2") + edges("ab", "bc", "cd")
    )
    assert list(found.graph) == ["X", "X 2", "X 3", "x-2 2"]
    assert len({slug(name) for name in found.graph}) == 4


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Zürich", "Zurich"),
        ("Łódź", "Lodz"),
        ("København Ø", "Kobenhavn O"),
        ("St. John's", "St. John's"),
        ("L\u2019Aquila", "L'Aquila"),
        ("  A\n  B ", "A B"),
        ("#1 (core)", "1 -core"),
        ("Київ", ""),
        ("---", ""),
        ("x" * 100, "x" * 63),
        ("Gießen", "Giessen"),
        ("東京 Tokyo", "Tokyo"),
        ("a/b\\c", "a-b-c"),
    ],
)
def test_labels_are_cleaned_to_plain_names(label: str, name: str) -> None:
    assert clean_name(label) == name


def test_a_label_and_an_id_of_which_nothing_is_left_become_a_number(tmp_path: Path) -> None:
    assert list(mapped(tmp_path, node("Київ", "Київ") + node("b") + edges(("Київ", "b"))).graph) == ["node-1", "b"]  # type: ignore[arg-type]


def test_nodes_without_a_place_are_put_between_their_neighbours_in_rounds(tmp_path: Path) -> None:
    body = (
        node("a", None, (10, 0))
        + node("b")
        + node("c", None, (10, 20))
        + node("d")
        + node("e")
        + edges("ab", "bc", "bd", "de")
    )
    found = mapped(tmp_path, body)
    assert found.positions["b"] == pytest.approx((10.15, 10.0), abs=0.01)
    assert found.positions["d"] == found.positions["b"]
    assert found.positions["e"] == found.positions["b"]
    assert found.notes == (
        "the map m.graphml: 3 nodes without coordinates were placed in the middle of their neighbours.",
    )


def test_the_middle_of_two_places_on_either_side_of_the_date_line_is_there(tmp_path: Path) -> None:
    found = mapped(tmp_path, node("a", None, (0, 170)) + node("b") + node("c", None, (0, -170)) + edges("ab", "bc"))
    assert abs(found.positions["b"][1]) == pytest.approx(180.0)


def test_a_place_of_which_half_is_missing_counts_as_none(tmp_path: Path) -> None:
    half = '<node id="b"><data key="a">50.0</data></node>'
    found = mapped(tmp_path, node("a", None, (1, 2)) + half + edges("ab"), without_coordinates="drop")
    assert list(found.graph) == ["a"]


def test_a_map_without_any_place_is_a_graph_all_the_same(tmp_path: Path) -> None:
    found = mapped(tmp_path, node("a") + node("b") + edges("ab"))
    assert found.positions == {}
    assert found.notes == ()


def test_nodes_without_a_place_can_be_dropped_or_refused(tmp_path: Path) -> None:
    body = node("a", None, (1, 1)) + node("b", "Nowhere") + node("c", None, (2, 2)) + edges("ab", "ac")
    found = mapped(tmp_path, body, without_coordinates="drop")
    assert list(found.graph) == ["a", "c"]
    assert found.notes == ("the map m.graphml: 1 node without coordinates was left out.",)
    with pytest.raises(Misfit, match=r"one node has no coordinates \('Nowhere'\); write \"neighbours\"") as caught:
        mapped(tmp_path, body, without_coordinates="refuse")
    assert caught.value.key == "federation.topology.without_coordinates"
    with pytest.raises(Misfit, match='no node has coordinates, so "drop" leaves none'):
        mapped(tmp_path, node("a") + node("b") + edges("ab"), without_coordinates="drop")


def test_several_components_are_refused_or_the_largest_or_all_are_taken(tmp_path: Path) -> None:
    body = "".join(node(id_) for id_ in "abcde") + edges("ab", "cd", "de")
    with pytest.raises(
        Misfit, match=r"m\.graphml has 2 components without a link between them \(3, 2 nodes\); write \"largest\""
    ) as caught:
        mapped(tmp_path, body)
    assert caught.value.key == "federation.topology.component"
    largest = mapped(tmp_path, body, component="largest")
    assert list(largest.graph) == ["c", "d", "e"]
    assert largest.notes == ("the map m.graphml: 2 nodes outside its largest component were left out.",)
    assert list(mapped(tmp_path, body, component="all").graph) == list("abcde")


def test_of_equal_components_the_one_that_begins_first_is_taken(tmp_path: Path) -> None:
    body = "".join(node(id_) for id_ in "abcd") + edges("cd", "ab")
    assert list(mapped(tmp_path, body, component="largest").graph) == ["a", "b"]


def test_other_spellings_of_coordinates_and_attributes_of_other_things_are_understood(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0"?><graphml><key id="x" for="all" attr.name="lat"/><key id="y" for="node" attr.name="LON"/>'
        '<key id="z" for="edge" attr.name="latitude"/><graph edgedefault="undirected">'
        '<node id="a"><data key="x">1.5</data><data key="y">2.5</data><data key="q">?</data></node><node id="b"/>'
        '<edge source="a" target="b"><data key="z">far</data></edge></graph></graphml>'
    )
    assert mapped(tmp_path, text).positions["a"] == (1.5, 2.5)


def test_what_a_key_says_of_all_nodes_holds_where_a_node_says_nothing(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0"?><graphml><key id="x" for="node" attr.name="lat"><default>10</default></key>'
        '<key id="y" for="node" attr.name="lon"><default>20</default></key><graph edgedefault="undirected">'
        '<node id="a"/><node id="b"><data key="x">11</data></node><edge source="a" target="b"/></graph></graphml>'
    )
    assert mapped(tmp_path, text).positions == {"a": (10.0, 20.0), "b": (11.0, 20.0)}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("graph { a -- b }", "m.graphml is not XML (its line 1); a map is a GraphML file"),
        ('<?xml version="1.0"?>\n<graphml>\n<graph>', "m.graphml is not XML (its line 3); a map is a GraphML file"),
        ('<?xml version="1.0"?><svg/>', "m.graphml is XML but not GraphML: its outermost element is 'svg'"),
        ('<?xml version="1.0"?><graphml/>', "m.graphml holds no graphs; a map holds one"),
        ('<?xml version="1.0"?><graphml><graph/><graph/></graphml>', "m.graphml holds 2 graphs; a map holds one"),
        ('<?xml version="1.0" encoding="klingon"?><graphml/>', "m.graphml is not XML"),
        ("<desc/>", "m.graphml has no nodes"),
        ("<node/>", "m.graphml: node number 1 has no id"),
        (node("a") + node("a"), "m.graphml: two nodes have the id 'a'"),
        (node("a") + edges("az"), "m.graphml: edge number 1 leads to 'z', which is no node of the map"),
        (node("a") + "<edge/>", "m.graphml: edge number 1 has no source; an edge names the nodes it links"),
        (node("a") + "<hyperedge/>", "m.graphml has hyperedges; a link is between two nodes"),
        (node("a", "Oslo", ("north", 10)), "m.graphml: the latitude of 'Oslo' is 'north', not a number of degrees"),
        (node("a", "Oslo", ("59,9", 10)), "m.graphml: the latitude of 'Oslo' is '59,9', not a number of degrees"),
        (node("a", "Oslo", (95.2, 10)), "m.graphml: the latitude of 'Oslo' is 95.2, not between -90 and 90 degrees"),
        (node("a", "Oslo", (59, 181)), "m.graphml: the longitude of 'Oslo' is 181, not between -180 and 180 degrees"),
        (node("a", "Oslo", ("inf", 10)), "m.graphml: the latitude of 'Oslo' is inf, not between -90 and 90 degrees"),
    ],
)
def test_a_file_that_is_no_map_is_refused_with_what_is_wrong(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(Misfit) as caught:
        mapped(tmp_path, body)
    assert sentence in caught.value.sentence
    assert caught.value.key == "federation.topology.graphml"


# --- maps of real networks ---


def test_our_map_of_geant_has_its_forty_cities_and_sixty_one_links() -> None:
    found = read_map(OUR_MAP, Topology(graphml="geant.graphml", without_coordinates="refuse"))
    assert (len(found.graph), found.graph.number_of_edges(), len(found.positions)) == (40, 61, 40)
    assert found.notes == ()
    assert "Internet Topology Zoo, GÉANT 2012" in OUR_MAP.read_text(encoding="utf-8")
    assert set(found.graph.neighbors("Lisbon")) == {"Madrid", "London"}


SHARED = Path(os.environ.get("STIGMEM_SHARED") or ROOT.parent / "shared")
"""Read once: a test sees no variable that a node would take for a setting (`tests/conftest.py`)."""


def shared_map(name: str) -> Path:
    path = SHARED / "data" / "topologies" / f"{name}.graphml"
    if not path.is_file():
        pytest.skip(f"the shared maps are not here: {path} (set STIGMEM_SHARED to their folder)")
    return path


@pytest.mark.parametrize(
    ("name", "nodes", "links", "notes"),
    [
        ("Aarnet", 19, 24, ""),
        ("Abilene", 11, 14, ""),
        ("Cogentco", 197, 243, "2 parallel edges were left out; 11 nodes without coordinates were placed"),
        ("Geant2012", 40, 61, "3 nodes without coordinates were placed"),
    ],
)
def test_published_maps_become_connected_federations_with_every_node_in_its_place(
    name: str, nodes: int, links: int, notes: str
) -> None:
    found = read_map(shared_map(name), Topology(graphml=name))
    assert (len(found.graph), found.graph.number_of_edges(), len(found.positions)) == (nodes, links, nodes)
    assert nx.is_connected(found.graph)
    assert notes in "".join(found.notes)
    assert len({slug(each) for each in found.graph}) == nodes


def test_our_map_has_the_links_of_the_published_one_and_its_cities_near_where_that_puts_them() -> None:
    published = read_map(shared_map("Geant2012"), Topology(graphml="x"))
    ours = read_map(OUR_MAP, Topology(graphml="x"))
    city = dict(zip(published.graph, ours.graph, strict=True))
    assert {frozenset((city[a], city[b])) for a, b in published.graph.edges} == {
        frozenset(edge) for edge in ours.graph.edges
    }
    apart = {
        label: max(abs(a - b) for a, b in zip(at, ours.positions[city[label]], strict=True))
        for label, at in published.positions.items()
    }
    assert {label for label, degrees in apart.items() if degrees > 0.05} == {"BY", "IL", "MD", "MT", "NO", "TR", "UA"}
