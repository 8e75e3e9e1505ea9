"""Chance of a run: tails that go as far as they should, and streams that belong to one purpose each."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import pytest

from sim.world.network import Packet
from sim.world.random_streams import RandomStreams, Table, distinct, exponential_table, lognormal_table
from sim.world.rules import Delay, PairStreams

MS = 1_000_000
PROBABILITIES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


class Drawn(Random):
    """A generator whose next 32 bits are those that stand for a probability."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self._bits = int(p * 2**32)

    def getrandbits(self, k: int) -> int:
        assert k == 32
        return self._bits


def quantile(table: Table, p: float) -> float:
    return table.draw(Drawn(p))


@pytest.mark.parametrize("p", PROBABILITIES)
def test_a_lognormal_delay_has_the_quantiles_of_its_law_from_one_in_100_000_to_all_but_one_in_100_000(p: float) -> None:
    sigma = math.log(180 / 40) / NormalDist().inv_cdf(0.99)
    exact = 40 * MS * math.exp(sigma * NormalDist().inv_cdf(p))
    assert quantile(lognormal_table(40 * MS, 180 * MS), p) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("p", PROBABILITIES)
def test_an_exponential_delay_has_the_quantiles_of_its_law_to_all_but_one_in_100_000(p: float) -> None:
    exact = 5 * MS - 20 * MS * math.log1p(-p)
    assert quantile(exponential_table(5 * MS, 20 * MS), p) == pytest.approx(exact, rel=0.01)


def test_no_draw_of_32_bits_falls_outside_a_table_and_longer_ones_are_less_likely() -> None:
    table = exponential_table(0, 20 * MS)
    found = [quantile(table, p) for p in (0.0, *PROBABILITIES, 1 - 2**-32)]
    assert found == sorted(found)
    assert 0 <= found[0] < 1_000
    assert 14 * 20 * MS < found[-1] < 15 * 20 * MS


def test_drawn_delays_go_beyond_the_ninety_nine_point_nine_eighth_percentile_as_often_as_they_should() -> None:
    table, random = exponential_table(0, 20 * MS), Random("tail")
    bound = -20 * MS * math.log(1e-4)
    beyond = sum(table.draw(random) > bound for _ in range(400_000))
    assert 40 - 4 * math.sqrt(40) < beyond < 40 + 4 * math.sqrt(40)


def packet(source: str, target: str) -> Packet:
    return Packet(source, target, "GET /", b"", lambda _: None)


def test_what_one_link_carries_moves_no_draw_of_another() -> None:
    def delays(*, busy: int) -> list[int]:
        rule = Delay(PairStreams(RandomStreams(7).stream, "latency"), lognormal_table(40 * MS, 180 * MS))
        found = []
        for _ in range(20):
            for _ in range(busy):
                rule.decide(packet("a", "b"), 0)
            found.append(rule.decide(packet("a", "c"), 0).after)
        return found

    assert delays(busy=0) == delays(busy=3)
    assert len(set(delays(busy=0))) == 20


def test_the_two_directions_of_a_link_have_streams_of_their_own() -> None:
    streams = PairStreams(RandomStreams(7).stream, "latency")
    there, back = streams.of(packet("a", "b")), streams.of(packet("b", "a"))
    assert there is not back
    assert [there.random() for _ in range(5)] != [back.random() for _ in range(5)]


def test_names_that_came_before_have_a_number_behind_them() -> None:
    assert distinct(["loss", "slow", "loss", "loss"]) == ["loss", "slow", "loss 2", "loss 3"]


def test_no_two_purposes_have_one_stream_whatever_nodes_are_called() -> None:
    """A crash of a node that is called 2, and two of all nodes."""
    found = distinct(["crash 2", "crash", "crash", "crash 2"])
    assert found == ["crash 2", "crash", "crash 3", "crash 2 2"]
