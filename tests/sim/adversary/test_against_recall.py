"""Attacks on what agents recall: poison on a card, and a storm of contradictions. What they reach, and what not."""

from __future__ import annotations

from typing import Any

import msgspec

from sim.adversary.poisoner import ORDER
from sim.simulation.simulation import Simulation
from stigmem.core.wire import Request
from tests.sim.hostile import SECOND, adversary, assert_unharmed, make_simulation

HONEST = '[[workload]]\nkind = "agents"\nname = "crew"\nnodes = ["north"]\nrate = "20/m"\nsubjects = 2\n'


class Looker:
    """Asks one node once, at an instant of the run."""

    def __init__(self, simulation: Simulation, at_s: int, *requests: Request) -> None:
        self.answers: list[Any] = []
        self._simulation = simulation
        self._requests = requests
        simulation.world.at(at_s * SECOND, self._look)

    def _look(self, _: object) -> None:
        for request in self._requests:
            self._simulation.machines["north"].local(
                request, lambda answer: self.answers.append(msgspec.json.decode(answer.body))
            )


def recall(query: str, **more: Any) -> Request:
    body = {"query": query, "scope": "public", "limit": 500, "token_budget": 100_000} | more
    return Request("POST", "/v1/recall", {"content-type": "application/json"}, msgspec.json.encode(body))


def test_poison_may_fill_a_card_and_what_others_said_is_recalled_all_the_same() -> None:
    simulation = make_simulation(adversary("poisoner"), HONEST, signatures="stand-in")
    card = Request("GET", "/v1/cards/stigmem://sim.example/topic/machine-0?scope=public")
    looker = Looker(simulation, 85, recall("machine-0 is"), card)
    simulation.run()
    assert_unharmed(simulation)
    recalled, card_found = looker.answers
    honest = [each for each in recalled["facts"] if each["fact"]["source"].startswith("agent:north")]
    poison = [each for each in recalled["facts"] if ORDER in str(each["fact"]["value"]["v"])]
    assert honest
    assert all(each["fact"]["sanitizer_warnings"] for each in poison)
    assert not any(each["fact"]["sanitizer_warnings"] for each in honest)
    # Whoever asks about a machine in words is told what was found out about it before what reads like an order.
    best_poison = max((each["score"] for each in poison), default=0.0)
    assert honest[0]["score"] > best_poison
    assert len(card_found["fact_ids"]) <= 20


def test_a_storm_of_contradictions_marks_what_it_hits_and_makes_nothing_disappear() -> None:
    simulation = make_simulation(adversary("naysayer", **{"for": "60s"}), HONEST, signatures="stand-in")
    looker = Looker(simulation, 85, recall("machine-0 is"))
    simulation.run()
    assert_unharmed(simulation)
    (recalled,) = looker.answers
    contested = [each["fact"]["source"] for each in recalled["facts"] if each["fact"]["contradicted"]]
    assert any(source.startswith("agent:north") for source in contested)
    assert any(not source.startswith("agent:north") for source in contested)
