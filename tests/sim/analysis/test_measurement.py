"""What the times of a run mean: missing copies, losses, late joiners, catching up, facts as wholes, chosen copies."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest

from sim import Result, run
from sim.analysis.catch_up import catch_ups
from sim.analysis.lag import comebacks, copies_of
from sim.analysis.lag_query import lag_of
from sim.observation.conditions import FaultInterval
from sim.observation.visibility import NEVER, Return, TrackedFact, Visibility
from sim.scenario.reading import BadScenario, parse_scenario
from sim.scenario.tables import Expectation
from sim.topology.federation import Federation
from sim.units import parse_duration
from tests.sim.small import fault, small_text, workload

S = 1_000_000_000
NODES = ("a", "b", "c", "d")
LINE = Federation(graph=nx.path_graph(NODES), scopes=("public",))
TALK = workload("contradictions", rate="30/m", entities=5)


def seen(*rows: tuple[float, float | None, float | None, float | None]) -> Visibility:
    """Facts of a with their times of writing in seconds, and how long they took to b, c and d; None is never."""
    visibility = Visibility(NODES, lambda origin, scope: NODES)
    for number, (written, *lags) in enumerate(rows):
        visibility.written(TrackedFact(str(number), "a", "public", "e", "r", round(written * S)))
        for node, lag in zip("bcd", lags, strict=True):
            if lag is not None:
                visibility.saw(node, "a", str(number), round((written + lag) * S))
    return visibility


def small(*parts: str, **changes: object) -> Result:
    return run(parse_scenario(small_text(TALK, *parts, **changes)))


def expect(metric: str, **members: object) -> str:
    return fault("", **members).replace("[[fault]]", "[[expect]]").replace('kind = ""', f'metric = "{metric}"')


# --- what never came ---


def test_an_expectation_of_lag_is_not_kept_by_leaving_out_what_a_cut_keeps_back() -> None:
    cut = fault("partition", at="10s", groups=[["a"], ["b", "c"]])
    found = small(cut, expect("lag.p99", at_most="20s"), settle="0s", converges=False)
    assert found.run_json["missing"] > 0
    assert found.run_json["lag"]["p99_s"] > 40
    assert (found.verdict, found.expectations[0].ok) == ("fail", False)


def test_the_number_of_missing_copies_is_a_metric() -> None:
    cut = fault("partition", at="10s", groups=[["a"], ["b", "c"]])
    found = small(cut, expect("missing", equals=0), settle="0s", converges=False)
    assert found.expectations[0].value == found.run_json["missing"]
    assert found.expectations[0].ok is False


# --- losses ---


def test_a_wiped_node_keeps_the_lag_it_had_and_its_return_is_told_apart() -> None:
    with_wipe = small(fault("wipe", node="c", at="40s", down="5s"))
    without = small()
    assert with_wipe.run_json["lag"]["max_s"] < 15
    assert without.run_json["comeback"]["copies"] == 0
    back = with_wipe.run_json["comeback"]
    assert back["copies"] > 10
    assert back["p50_s"] >= 5


def test_a_copy_that_did_not_come_back_counts_at_its_age_since_the_loss() -> None:
    found = comebacks([Return(0, "b", 10 * S, 15 * S), Return(1, "b", 10 * S, NEVER)], 100 * S)
    assert (found.p50, found.most, found.came, found.missing) == (5 * S, 90 * S, 1, 1)


def test_what_is_lost_twice_before_it_came_again_was_lost_the_first_time() -> None:
    visibility = seen((1, 1, 1, 1))
    for at in (10, 12):
        visibility.lost_disk("b", at * S)
    assert visibility.returns() == [Return(0, "b", 10 * S, NEVER)]
    visibility.saw("b", "a", "0", 20 * S)
    assert visibility.returns() == [Return(0, "b", 10 * S, 20 * S)]
    assert visibility.first_seen["b"][0] == 2 * S
    assert visibility.held_since["b"][0] == 20 * S


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_batch_that_a_power_cut_kept_was_written_when_the_power_went(commit: int) -> None:
    busy = workload("writers", rate="200/s", nodes=["a"], start="19.9s", stop="20.2s")  # nothing else is committed then
    cut = fault("crash-at-commit", node="a", at="20s", commit=commit, when="before", down="20s", fate="kept")
    found = small(busy, cut)
    dated = [fact.written_ns for fact in found.tracked if fact.origin == "a"]
    begun_before = 20 * S + 1_000_000  # a sync was under way
    assert len([at for at in dated if begun_before < at < 40 * S]) == commit


# --- late joiners ---


def test_a_late_joiner_has_a_lag_since_it_joined_and_one_since_the_writing() -> None:
    found = small(fault("join", node="c", at="30s"))
    joining = found.run_json["joining"]
    assert joining["copies"] > 5
    assert joining["max_s"] < 15 < found.run_json["lag"]["max_s"]
    late = found.facts().filter(found.facts()["lag_from_joining_s"].is_not_null())
    assert set(late["node"].to_list()) == {"c"}
    assert ((late["lag_s"] - late["lag_from_joining_s"]) > 0).all()


# --- catching up ---


def interval(begin: float, end: float, name: str | None = None) -> FaultInterval:
    return FaultInterval("cut", (), round(begin * S), round(end * S), name)


def test_catching_up_ends_with_the_last_copy_of_what_was_written_before_the_end() -> None:
    copies = copies_of(seen((1, 1, 1, 1), (4, 1, 8, 2), (9, 4, 2, 1), (11, 30, 1, 1)), 100 * S)
    (found,) = catch_ups(copies, (), [interval(3, 10, "x")])
    assert (found.name, found.waiting, found.took_ns, found.missing) == ("x", 4, 3 * S, 0)


def test_a_copy_that_never_came_makes_a_catch_up_as_long_as_the_run() -> None:
    (found,) = catch_ups(copies_of(seen((1, 1, None, 1)), 60 * S), (), [interval(0, 10)])
    assert (found.waiting, found.missing, found.took_ns) == (1, 1, 50 * S)


def test_copies_that_a_disk_took_along_are_caught_up_with_as_well() -> None:
    copies = copies_of(seen((1, 1, 1, 1)), 60 * S)
    lost = Return(0, "b", 5 * S, 14 * S)
    (found,) = catch_ups(copies, [lost], [interval(5, 10)])
    assert (found.waiting, found.took_ns) == (1, 4 * S)


def test_nothing_waits_for_a_fault_that_kept_nothing_back() -> None:
    (found,) = catch_ups(copies_of(seen((1, 1, 1, 1), (20, 1, 1, 1)), 60 * S), (), [interval(5, 10)])
    assert (found.waiting, found.took_ns) == (0, 0)


def test_catch_ups_are_those_of_the_definition() -> None:
    result = small(*(fault("pause", node=node, at=at, for_="7s") for node, at in (("a", "9s"), ("b", "20s"))))
    for found in result.catch_ups:
        copies = result.copies
        rows = [
            (copies.written[place], copies.visible[place])
            for place, at_origin in enumerate(copies.at_origin)
            if not at_origin
        ]
        waiting = [visible for written, visible in rows if written < found.end_ns <= visible]
        assert found.waiting == len(waiting) > 0
        assert found.took_ns == max(waiting) - found.end_ns


def test_catching_up_may_be_expected_of_a_fault_by_its_name() -> None:
    cut = fault("partition", at="10s", for_="20s", groups=[["a"], ["b", "c"]], name="the-cut")
    found = small(cut, expect("catch_up.the-cut", at_most="10s"), expect("catch_up", at_most="1ms"))
    assert [each.ok for each in found.expectations] == [True, False]
    told = found.run_json["catch_up"]
    assert [(each["name"], each["ended_s"], each["missing"]) for each in told] == [("the-cut", 30.0, 0)]


def test_a_catch_up_that_was_not_over_when_the_run_ended_keeps_no_bound_from_above() -> None:
    """The run ends a second after the heal, so that the age of what never came is less than any bound."""
    cut = fault("partition", at="10s", groups=[["a"], ["b", "c"]], name="cut")
    bounds = [
        expect("catch_up.cut", at_most="1m"), expect("catch_up", equals="1s"), expect("catch_up", at_least="1s"),
        expect("catch_up.cut", at_most="1m", over_seeds="p50"),
    ]  # fmt: skip
    found = small(cut, *bounds, settle="1s", duration="20s", converges=False)
    assert found.run_json["catch_up"][0]["missing"] > 0
    told = [(each.ok, each.value) for each in found.expectations]
    assert told == [(False, None), (False, None), (True, 1.0)]
    assert found.run_json["over_seeds"] == [None]


def test_an_expectation_on_a_fault_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadScenario, match=r"there is no metric 'catch_up.cutt'; did you mean 'catch_up.cut'\?"):
        small(fault("pause", at="1s", for_="2s", name="cut"), expect("catch_up.cutt", at_most="1s"))


# --- warm-up ---


def test_lag_is_measured_from_when_all_links_are_made_unless_a_warm_up_is_given() -> None:
    assert 0.1 < small().run_json["measured_from_s"] < 10
    late = small(warm_up="25s")
    assert late.run_json["measured_from_s"] == 25
    measured = late.facts().filter("measured")
    assert measured["written_s"].min() >= 25  # type: ignore[operator]


def test_where_the_links_are_made_after_everything_was_written_no_lag_is_measured_and_none_can_be_expected() -> None:
    cut = fault("partition", at="0s", groups=[["a"], ["b", "c"]])
    found = small(cut, expect("lag.max", at_most="10h"), settle="0s", converges=False)
    assert found.run_json["measured_from_s"] > 60
    assert (found.expectations[0].value, found.expectations[0].ok) == (None, False)


# --- facts as wholes, and chosen copies ---

FACTS = seen((10, 1, 2, 3), (20, 4, 6, 5), (30, 1, None, 9))


@pytest.mark.parametrize(
    ("keys", "lags"),
    [
        ({}, [1, 1, 2, 3, 4, 5, 6, 9, 70]),
        ({"per": "fact"}, [3, 6, 70]),
        ({"per": "quorum"}, [2, 5, 9]),
        ({"node": "c"}, [2, 6, 70]),
        ({"origin": "b"}, []),
        ({"hops": 3}, [3, 5, 9]),
        ({"hops": 2, "window": [parse_duration("15s"), parse_duration("30s")]}, [6]),
        ({"link": ["b", "a"]}, [1, 1, 4]),
        ({"scope": "company"}, []),
        ({"per": "fact", "window": [parse_duration("0s"), parse_duration("30s")]}, [3, 6]),
    ],
)
def test_an_expectation_may_look_at_facts_as_wholes_and_at_chosen_copies(
    keys: dict[str, object], lags: list[int]
) -> None:
    copies = copies_of(FACTS, 100 * S)
    found = lag_of(Expectation(metric="lag.max", **keys), copies, FACTS, LINE)  # type: ignore[arg-type]
    assert (found.came + found.missing, found.most) == (len(lags), max(lags) * S if lags else None)
    assert found.p50 == (sorted(lags)[(len(lags) - 1) // 2] * S if lags else None)


def test_the_quorum_of_two_is_both() -> None:
    two = Visibility(("a", "b"), lambda origin, scope: ("a", "b"))
    two.written(TrackedFact("0", "a", "public", "e", "r", 0))
    two.saw("b", "a", "0", 7 * S)
    pair = replace(LINE, graph=nx.path_graph(("a", "b")))
    found = lag_of(Expectation(metric="lag.max", per="quorum"), copies_of(two, 9 * S), two, pair)
    assert found.most == 7 * S


def test_what_an_expectation_looks_at_is_told_with_its_name() -> None:
    found = small(expect("lag.p99", at_most="1h", per="fact", node="b", window=["10s", "30s"]))
    assert found.expectations[0].name == "lag.p99[per=fact, node=b, window=10s-30s]"
    assert found.expectations[0].ok is True


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"node": "z"}, r"expect\[0\].node: there is no node 'z'"),
        ({"link": ["a", "z"]}, r"expect\[0\].link\[1\]: there is no node 'z'"),
        ({"window": ["30s", "10s"]}, r"expect\[0\].window: the window ends before anything"),
        ({"hops": 0}, r"expect\[0\].hops"),
    ],
)
def test_choices_that_nothing_meets_are_refused(keys: dict[str, object], words: str) -> None:
    with pytest.raises(BadScenario, match=words):
        small(expect("lag.p99", at_most="1h", **keys))


def test_only_lag_and_missing_are_told_of_chosen_copies() -> None:
    with pytest.raises(BadScenario, match=r"expect\[0\].per: events is not told of a part of the copies"):
        small(expect("events", at_most=5, per="fact"))


# --- the wire ---


def test_bytes_are_told_as_sent_delivered_and_lost_and_requests_as_sent() -> None:
    lossy = small(fault("loss", at="10s", for_="40s", share=0.4)).run_json
    assert lossy["bytes_lost"] > 0
    assert 0 <= lossy["bytes"] - lossy["bytes_delivered"] - lossy["bytes_lost"] < 0.05 * lossy["bytes"]
    assert small().run_json["bytes_lost"] == 0


def test_what_a_rule_held_back_is_sent_once() -> None:
    clogged = small(fault("clog", at="10s", for_="20s", between=["a", "b"])).run_json
    assert clogged["bytes_delivered"] <= clogged["bytes"]
