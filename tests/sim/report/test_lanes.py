"""The strip of lanes over the curves, and the scale of a map: what is in them, and in which colours."""

from __future__ import annotations

import sim
from sim.report import style
from sim.report.lanes import _strip_of
from sim.report.map_figure import map_figure
from sim.scenario.reading import parse_scenario
from tests.sim.small_runs import S, fault, scenario_text, workload


def test_hostile_peers_and_bursts_have_lanes_in_colours_that_no_node_has() -> None:
    hostile = '[[adversary]]\nkind = "gapper"\nnode = "mallory"\nat = "10s"\nfor = "20s"\n'
    bursts = workload("burst", count=3, start="5s", every="20s")
    cut = fault("partition", at="30s", for_="10s", shape="halves")
    found = sim.run(parse_scenario(scenario_text(workload("probe", period="3s"), bursts, cut, hostile)))
    lanes = {lane.name: lane for lane in _strip_of(found)}
    assert list(lanes) == ["cut", "gapper: mallory", "burst of writes"]
    assert lanes["gapper: mallory"].spans == [(10 * S, 30 * S)]
    assert [begin // S for begin, _ in lanes["burst of writes"].spans] == [5, 25, 45]
    others = {*style.TROUBLE_COLOURS, style.CUT, style.HOSTILE, style.BURST}
    assert not others & set(style.COLOURS)


def test_a_map_of_two_nodes_has_no_scale_of_colours() -> None:
    for nodes, scales in ((("a", "b"), 1), (("a", "b", "c"), 2)):
        found = sim.run(parse_scenario(scenario_text(workload("probe", period="3s"), nodes=nodes, duration="20s")))
        with style.styled():
            assert len(map_figure(found).axes) == scales
