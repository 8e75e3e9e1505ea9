"""What a federation recovers from by itself: introductions that were lost, and bytes that were damaged on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.simulation.simulation import Simulation
from sim.world.network import DROP, PASS, Decision, Packet
from tests.sim.small_runs import PROBES, WRITES, S, approve, fault, make_simulation, packets, run


class Damage:
    """A rule that damages, or drops, the packets it is told to."""

    name = "damage"

    def __init__(self, strikes: Callable[[Packet, int], bool], *, drop: bool = False) -> None:
        self._strikes = strikes
        self._drop = drop
        self.struck = 0

    def decide(self, packet: Packet, now: int) -> Decision:
        if not self._strikes(packet, now):
            return PASS
        self.struck += 1
        data = packet.data.replace(b"sim.example/", b"sim.exbmple/").replace(b"issued_at", b"issued_bt")
        return DROP if self._drop else Decision(data=data)


def with_damage(damage: Damage, *tables: str, **changes: Any) -> Simulation:
    simulation = make_simulation(*tables, **changes)
    simulation.network.add_rule(damage)
    simulation.run()
    approve(simulation)
    return simulation


def is_manifest(packet: Packet) -> bool:
    return packet.kind == "response" and b"issued_at" in packet.data


def test_a_manifest_that_was_damaged_is_fetched_again_and_the_facts_it_cost_are_read_again() -> None:
    damage = Damage(lambda packet, now: is_manifest(packet) and now < 20 * S)
    simulation = with_damage(damage, WRITES)
    assert damage.struck >= 6
    assert simulation.rejections["origin_unresolvable"] > 0


def test_a_manifest_that_was_lost_is_fetched_again_so_that_others_can_learn_of_its_origin() -> None:
    damage = Damage(lambda packet, now: is_manifest(packet) and now < 20 * S, drop=True)
    simulation = with_damage(damage, WRITES, topology="line")
    assert damage.struck > 0
    assert simulation.rejections["origin_unresolvable"] > 0


def test_after_a_restart_facts_whose_origin_was_unknown_are_read_again() -> None:
    damage = Damage(lambda packet, now: is_manifest(packet) and now < 50 * S, drop=True)
    simulation = with_damage(damage, WRITES, fault("restart", at="55s", node="a"), topology="line")
    assert simulation.rejections["origin_unresolvable"] > 0


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_line_of_relays_converges_however_many_introductions_were_lost(share: float, seed: int) -> None:
    """Keys of distant origins are asked for again until they are known, and what was rejected is read again."""
    simulation = run(
        WRITES,
        fault("loss", at="0s", share=share),
        nodes=tuple("abcdef"),
        topology="line",
        seed=str(seed),
        settle="5m",
    )
    assert simulation.visibility.missing == 0


def pages_of(number: int) -> Callable[[Packet], bool]:
    """Pages that carry the probe of this number of node a."""
    text = f'probe/0-{number}"'.encode()
    return lambda packet: packet.kind == "response" and text in packet.data


def test_a_fact_that_was_damaged_on_its_way_comes_again_and_is_taken() -> None:
    bad = pages_of(5)
    damage = Damage(lambda packet, _: bad(packet) and damage.struck == 0)
    simulation = with_damage(damage, PROBES, nodes=("a", "b"))
    assert damage.struck == 1
    assert sum(simulation.rejections.values()) == 1
    assert simulation.visibility.missing == 0


def test_a_fact_that_is_always_bad_is_given_up_and_the_next_ones_arrive() -> None:
    bad = pages_of(5)
    damage = Damage(lambda packet, _: bad(packet))
    simulation = make_simulation(PROBES, nodes=("a", "b"), settle="1m")
    simulation.network.add_rule(damage)
    simulation.run()
    assert simulation.violation is None
    assert [fact.entity.rpartition("/")[2] for fact, _ in simulation.visibility.lacking()] == ["0-5"]
    assert damage.struck == 2, "it was asked for once more and then given up"


def test_without_damage_no_page_is_read_twice() -> None:
    simulation = run(PROBES, nodes=("a", "b"))
    pulls = sum(kind == "GET /v1/federation/facts" for *_, kind in packets(simulation))
    assert pulls <= 2 * (60 / 2 + 4)
