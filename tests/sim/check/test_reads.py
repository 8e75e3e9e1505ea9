"""The checker of readers: quiet where nodes show what stands, and loud, with the fact's name, where they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.check import CHECKERS, PropertyViolated
from sim.check.reads import Reads
from sim.observation.reads import Moment, Question, Read, ShownFact
from sim.runner import run_plan
from sim.scenario.planning import load_plan, make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from stigmem.core import query
from stigmem.core.fact import Fact
from stigmem.core.hlc import format_stamp
from stigmem.core.uris import VOID_PREFIX
from stigmem.core.voiding import read_voiding
from tests.sim.small_runs import at, fault, make_simulation, scenario_text, workload

R_01 = Path(__file__).parents[3] / "scenarios/failure-modes/R-01-what-readers-see.toml"
PARTS = (
    workload("readers", rate="60/m", page=2),
    workload("updaters", rate="40/m", subjects=4),
    workload("expiring", rate="20/m", life="6s"),
)


def sentence(change: Callable[[], None] = lambda: None) -> str | None:
    """What the checker said of a small run."""
    text = scenario_text(*PARTS, duration="30s")
    simulation = Simulation(make_plan(parse_scenario(text), Path()), checkers=[*CHECKERS, Reads])
    change()
    simulation.run()
    return None if simulation.violation is None else simulation.violation.sentence


def test_a_run_of_readers_is_judged_and_one_without_them_has_no_such_check() -> None:
    checks = {check.name: check for check in run_plan(load_plan(R_01)).checks}
    assert checks["reads"].ok is True
    assert int(checks["reads"].detail.split()[0]) > 100
    plain = run_plan(make_plan(parse_scenario(scenario_text(PARTS[1], duration="10s")), Path()))
    assert "reads" not in [check.name for check in plain.checks]


def test_nothing_is_said_of_nodes_that_show_what_stands() -> None:
    assert sentence() is None


def test_a_fact_that_a_node_keeps_back_is_missed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Any = query._matches

    def forgetful(known: Any, asked: Any, fact: Fact) -> bool:
        return honest(known, asked, fact) and not (asked.entity and fact.text.endswith("1"))

    said = sentence(lambda: monkeypatch.setattr(query, "_matches", forgetful))
    assert said is not None
    assert "was not shown" in said
    assert "which stands and which" in said


def test_an_answer_in_another_order_and_a_row_that_comes_twice_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = query._page

    def repeating(*given: Any) -> Any:
        page = honest(*given)
        page.facts[1:1] = page.facts[:1]
        return page

    said = sentence(lambda: monkeypatch.setattr(query, "_page", repeating))
    assert said is not None
    assert said.endswith(" twice")


def test_a_reader_who_asks_draws_nothing_from_anybody_elses_chance() -> None:
    def digest(*parts: str) -> list[Any]:
        text = scenario_text(*parts, duration="20s")
        result = run_plan(make_plan(parse_scenario(text), Path()))
        return sorted(result.facts()["fact"].to_list())

    assert digest(PARTS[1]) == digest(PARTS[1], PARTS[0])


def test_what_is_voided_while_somebody_reads_may_be_shown_and_what_was_voided_before_may_not() -> None:
    parts = (
        workload("writers", rate="2/s", nodes=["a"], stop="8s", fresh=True),
        fault("restart", node="a", at="2s", down="2s"),
        fault("clock-step", node="a", by="10m", at="3s", for_="6s"),
        workload("clock-void", nodes=["a"], start="12s", reissue=False),
    )
    simulation = make_simulation(*parts, duration="20s")

    def judge() -> list[str]:
        node = simulation.observed.nodes["a"]
        record = next(fact for fact in node.ledger.log if fact.entity.startswith(VOID_PREFIX))
        voiding = read_voiding(record)
        assert voiding is not None
        fact = next(fact for fact in node.ledger.log if fact.id == voiding.names[-1])
        wall_us = simulation.observed.wall_us("a")
        before, after = (Moment(seq, node.ledger.horizon_us, wall_us) for seq in (record.seq - 1, record.seq))
        row = ShownFact(
            id=fact.id, entity=fact.entity, relation=fact.relation, scope=fact.scope, source=fact.source,
            confidence=fact.confidence, hlc=format_stamp(fact.stamp),
        )  # fmt: skip
        said = []
        for begun, shown in ((before, [row]), (before, []), (after, [row]), (after, [])):
            try:
                Reads(simulation.observed).on_read(Read("a", Question(fact.entity, None, 3), begun, after, shown))
                said.append("nothing")
            except PropertyViolated as broken:
                said.append(str(broken).rpartition(", ")[2])
        return said

    told = at(simulation, 18, judge)
    simulation.run()
    assert told == [["nothing", "nothing", "which its own node has voided", "nothing"]]
