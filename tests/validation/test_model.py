"""The independent model: what the protocol promises holds in it; in two small cases the laboratory agrees with it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.validation import agreement, laws, significance
from tests.validation.model import Model, Rules

MESH = [(a, b) for a in range(4) for b in range(4) if a != b]


def constant(way_s: float) -> Rules:
    return Rules(interval_s=2.0, delay=lambda random: way_s)


def run(rules: Rules, links: list[tuple[int, int]], writes: list[tuple[float, int]], seed: int = 1) -> Model:
    model = Model(1 + max(map(max, links)), links, rules, Random(seed))
    model.run(writes, 200.0, {})
    return model


def test_every_node_comes_to_hold_every_fact_once() -> None:
    model = run(constant(0.01), MESH, [(5.0 + number / 7, number % 4) for number in range(60)])
    for node in model.nodes:
        assert sorted(fact for fact, _ in node.log) == list(range(60))


def test_nothing_is_lost_where_half_of_the_messages_are() -> None:
    rules = replace(constant(0.01), timeout_s=1.0, lost=lambda source, target, now, random: random.random() < 0.5)
    model = run(rules, MESH, [(5.0, 0), (6.0, 3)])
    assert all(len(node.log) == 2 for node in model.nodes)


def test_a_fact_waits_at_most_one_period_for_the_next_hop() -> None:
    model = run(constant(0.001), [(1, 0), (2, 1)], [(5.0, 0)])
    pull = laws.Pull(interval_s=2.0, way_s=0.001)
    first, second = model.nodes[1].seen[0] - 5.0005, model.nodes[2].seen[0] - model.nodes[1].seen[0]
    assert pull.hop_s <= first <= pull.period_s + pull.hop_s
    assert pull.hop_s + pull.stranger_s <= second <= pull.period_s + pull.hop_s + pull.stranger_s


def test_a_backlog_comes_by_the_pages_of_the_law() -> None:
    rules = replace(constant(0.03), page=50)
    model = run(rules, [(1, 0)], [(5.0, 0)] * 1_650)
    times = np.array(sorted(model.nodes[1].seen.values()))
    moments, sizes = np.unique(times, return_counts=True)
    assert sizes.tolist() == laws.page_sizes(1_650, 50)
    assert np.diff(moments) == pytest.approx(2 * 0.03 + rules.sync_s)


def test_a_waiting_pull_is_answered_when_there_is_news() -> None:
    model = run(replace(constant(0.01), interval_s=20.0, wait_s=15.0), [(1, 0)], [(30.0 + 8 * n, 0) for n in range(5)])
    lags = [model.nodes[1].seen[fact] - model.nodes[0].seen[fact] for fact in range(5)]
    assert max(lags[1:]) < 0.04


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        (replace(agreement.LOSS, stop_s=60.0), {"loss": 0.0}),
        (replace(agreement.WAITING_TWO, stop_s=40.0), {"wait_s": 0.0}),
    ],
    ids=["loss", "waiting"],
)
def test_the_laboratory_agrees_with_the_model_and_not_with_a_wrong_one(
    case: agreement.Case, wrong: dict[str, Any]
) -> None:
    measured = agreement.simulated(tuple(range(1, 15)), case)
    law, other = agreement.modelled(150, case), agreement.modelled(60, replace(case, **wrong))
    assert all(significance.ks_two(measured[:, place], law[:, place]) > 0.001 for place in range(4))
    assert min(significance.ks_two(measured[:, place], other[:, place]) for place in range(4)) < 1e-4
