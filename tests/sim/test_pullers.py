"""Nodes that fell far behind catch up, and every peer is read by one puller only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from stigmem.core.wire import Request
from tests.sim.small_runs import S, approve, make_simulation, result_of, scenario_text, workload


def pulls(simulation: Simulation, source: str, target: str, since_s: int) -> int:
    """How often `source` asked `target` for facts after an instant, by what the wire carried."""
    asked: list[int] = []
    told = simulation.trace.packet

    def note(sender: str, receiver: str, kind: str, *rest: Any) -> None:
        if (sender, receiver, kind) == (source, target, "GET /v1/federation/facts"):
            asked.append(simulation.world.now)
        told(sender, receiver, kind, *rest)

    simulation.trace.packet = note  # type: ignore[method-assign]
    simulation.run()
    return sum(now > since_s * S for now in asked)


def test_nodes_that_are_all_far_behind_do_not_turn_each_other_away_for_ever() -> None:
    bursts = [workload("burst", nodes=[name], count=1_500, start="5s") for name in "abc"]
    narrow = '[network]\nbandwidth = "64kbit/s"\n'
    simulation = make_simulation(narrow, *bursts, duration="11m", settle="90m")
    simulation.run()
    approve(simulation)
    assert simulation.converged_at is not None
    assert "x 503" in result_of(simulation, "no-server-errors").detail, (
        "the limit was never reached, so nothing was shown"
    )


def test_a_peer_revoked_and_approved_again_during_a_waiting_pull_is_read_once() -> None:
    def asked(*, away: bool) -> int:
        text = scenario_text(nodes=("a", "b"), duration="2m")  # nobody writes: pulls wait to their end
        text = text.replace("[federation]", '[federation]\npull_wait = "9s"')
        simulation = Simulation(make_plan(parse_scenario(text), Path()))
        if away:
            simulation.world.at(60 * S, lambda _: revoke(simulation))
            simulation.world.at(61 * S, lambda _: simulation.handshakes.link("a"))
        return pulls(simulation, "a", "b", 90)

    def revoke(simulation: Simulation) -> None:
        node, other = simulation.machines["a"].node, simulation.machines["b"].node
        assert node is not None
        assert other is not None
        row = node.state.peer_of(other.node_id)
        assert row is not None
        revoke = Request("POST", f"/v1/federation/peers/{row.peer_id}/revoke")
        simulation.machines["a"].console(revoke, lambda _: None)

    assert asked(away=True) <= asked(away=False) * 1.1
