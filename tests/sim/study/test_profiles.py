"""One scenario by our node and by the model of the published reference.

Where the contract says that the reference loses, stalls, leaks or takes too much, the model does and our node does not;
without faults both converge.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.cli import main
from sim.model_reference import NotModelled, ReferenceRun
from sim.scenario.plan import Plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.study.profile_comparison import BadProfile, parse_profiles, profile_lines
from sim.study.profiles import PROFILES, Findings, run_profile
from tests.sim.small import fault, small_text, workload

TEXTS = workload("contradictions", rate="20/m", entities=5, scope="public")
FRESH = workload("writers", rate="20/m", scope="public", fresh=True, kinds=["string", "text", "boolean", "null"])
INTEGERS = workload("probe", period="5s")
LATENCY = '[network]\nlatency = "20ms"'


def plan_of(*parts: str, **changes: object) -> Plan:
    return make_plan(parse_scenario(small_text(LATENCY, *parts, **{"settle": "1m"} | changes)), Path())


def both(plan: Plan) -> tuple[Findings, Findings]:
    """What became of it by our node, which must be nothing bad, and by the model."""
    ours, reference = (run_profile(plan, each, plan.scenario.scenario.seed) for each in PROFILES)
    assert ours.outcome is not None
    assert ours.outcome.verdict == "pass"
    assert ours.findings.defects() == []
    return ours.findings, reference.findings


def adversary(kind: str, **members: str) -> str:
    lines = "\n".join(f"{key} = {value}" for key, value in members.items())
    return f'[[adversary]]\nkind = "{kind}"\npeers = ["a"]\n{lines}'


def test_without_faults_both_converge_and_what_they_measure_agrees() -> None:
    ours, reference = both(plan_of(FRESH))
    assert reference.defects() == []
    assert (ours.facts, ours.expected) == (reference.facts, reference.expected)
    assert ours.facts > 20
    assert ours.missing == reference.missing == 0


def test_a_cut_alone_delays_the_model_and_loses_nothing() -> None:
    cut = fault("partition", name="cut", groups=[["a"], ["b", "c"]], at="15s", for_="20s")
    ours, reference = both(plan_of(FRESH, cut))
    assert reference.missing == 0
    assert ours.catch_up is not None
    assert reference.catch_up is not None
    assert reference.catch_up.name == ours.catch_up.name == "cut"
    assert reference.catch_up.waiting > 0


def by_model(*parts: str) -> Findings:
    return run_profile(plan_of(FRESH, *parts), "reference-0.5", 3).findings


AHEAD = fault("clock-step", node="a", at="5s", for_="20s", by="100s")
RESTART = fault("restart", node="a", at="26s", down="1s")


def test_a_clock_that_was_ahead_loses_facts_of_the_model_only() -> None:
    """Its stamps stay ahead and their counter climbs, and as texts `.10` sorts before `.9`."""
    _, reference = both(plan_of(FRESH, AHEAD))
    assert reference.missing > 0
    assert reference.aborts == {}  # nothing was refused: it was passed over


def test_a_restart_after_that_loses_more_of_the_model_and_a_restart_alone_nothing() -> None:
    """Its clock is not kept, so that what it writes next sorts before what its peers have read."""
    _, reference = both(plan_of(FRESH, AHEAD, RESTART))
    assert reference.missing > by_model(AHEAD).missing
    assert by_model(RESTART).missing == 0


def test_a_clock_set_back_a_minute_stops_pulls_of_the_model_only() -> None:
    """Its tokens begin now, and who is more than 30 s behind takes them for tokens of the future."""
    _, reference = both(plan_of(FRESH, fault("clock-step", node="b", at="20s", by="-1m")))
    assert reference.missing > 0
    assert reference.aborts == {}
    within = by_model(fault("clock-step", node="b", at="20s", by="-20s"))
    assert within.defects() == []


def test_a_number_without_a_point_ends_cycles_of_the_model_only() -> None:
    _, reference = both(plan_of(INTEGERS))
    assert reference.aborts.get("cid_mismatch", 0) > 0
    assert reference.missing > 0


def test_facts_beyond_the_grant_of_a_link_are_taken_by_the_model_only() -> None:
    ours, reference = both(plan_of(FRESH, adversary("overreach")))
    assert ours.beyond_grant == ()
    assert reference.beyond_grant != ()


def test_what_an_answer_holds_beyond_its_limit_is_taken_by_the_model_only() -> None:
    liar = adversary("page-liar", lies='["excess"]')
    ours, reference = both(plan_of(FRESH, liar, duration="20s"))
    assert ours.beyond_page == 0
    assert reference.beyond_page >= 200


def test_a_conflict_that_one_node_settles_stays_open_on_the_others_in_the_model_only() -> None:
    _, reference = both(plan_of(TEXTS, workload("resolver", rate="10/m", nodes=["a"])))
    assert reference.missing == 0
    assert reference.conflicts_differ


def test_the_same_seed_is_the_same_run_of_the_model() -> None:
    plan = plan_of(FRESH, TEXTS, fault("restart", node="b", at="20s"))
    digests = []
    for _ in range(2):
        run = ReferenceRun(plan)
        run.run()
        digests.append(run.trace.close())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("part", [workload("erasures"), adversary("flipper")])
def test_what_the_model_cannot_take_part_in_is_refused_by_name(part: str) -> None:
    with pytest.raises(NotModelled, match=r"'(erasures|flipper)'"):
        ReferenceRun(plan_of(part))


@pytest.mark.parametrize("text", ["", "ours,ours", "theirs", "ours,", "reference"])
def test_a_list_of_profiles_holds_known_names_once(text: str) -> None:
    with pytest.raises(BadProfile, match=r"ours, reference-0\.5"):
        parse_profiles(text)


def test_the_command_prints_both_side_by_side_and_draws_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(small_text(LATENCY, INTEGERS, duration="20s", settle="10s"))
    assert main(["compare", str(file), "--profiles", "ours,reference-0.5", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "a model of the published reference" in said
    assert "not the package itself" in said
    assert "reference-0.5: an error ended" in said
    assert (tmp_path / "out" / "profiles.png").stat().st_size > 10_000
    assert main(["compare", str(file)]) == 2
    assert main(["compare", str(file), "--profiles", "ours", "--coupled"]) == 2


def test_of_several_seeds_the_worst_is_told() -> None:
    plan = plan_of(FRESH, duration="20s", settle="10s")
    runs = {each: [run_profile(plan, each, seed) for seed in (3, 4)] for each in PROFILES}
    lines = profile_lines("small", runs)
    assert lines[0].startswith("small, seeds 3 to 4, the worst of them")
    assert any(line.startswith("judged alike") and "holds in 2 of 2 runs" in line for line in lines)
