"""Counting who has what: what is missing, what is lost for good, and what nobody can bring any more."""

from __future__ import annotations

import pytest

from sim.observation.visibility import NEVER, FactSeen, Measure

NODES = ("a", "b", "c")


def readers(origin: str, scope: str) -> tuple[str, ...]:
    return (origin,) if scope == "local" else NODES


def make_measure(*, relayed: bool = True) -> Measure:
    return Measure(NODES, readers, relayed=relayed)


def write(measure: Measure, name: str, origin: str = "a", scope: str = "public", at: int = 1) -> None:
    measure.written(FactSeen(name, origin, scope, "e", "r", at))


def counts(measure: Measure) -> tuple[int, int]:
    """What the counters say, after checking them against the definition."""
    missing = sum(measure.visible[node][number] == NEVER for number, node in measure.expected())
    assert measure.missing == missing
    assert len(measure.lacking(1_000)) == missing
    return measure.missing, measure.everywhere


def test_a_fact_is_missing_at_every_reader_until_each_has_seen_it() -> None:
    measure = make_measure()
    write(measure, "f")
    assert counts(measure) == (2, 0)
    measure.saw("b", "a", "f", 5)
    measure.saw("b", "a", "f", 9)
    assert measure.visible["b"][0] == 5
    assert counts(measure) == (1, 0)
    measure.saw("c", "a", "f", 7)
    assert counts(measure) == (0, 1)


def test_a_local_fact_is_everywhere_at_once() -> None:
    measure = make_measure()
    write(measure, "f", scope="local")
    assert counts(measure) == (0, 1)


def test_what_nobody_of_ours_wrote_is_not_counted() -> None:
    measure = make_measure()
    measure.saw("b", "mallory", "x", 5)
    assert counts(measure) == (0, 0)


def test_a_wiped_node_must_come_to_hold_public_facts_again_its_own_too() -> None:
    measure = make_measure()
    write(measure, "own")
    measure.saw("b", "a", "own", 2)
    measure.saw("c", "a", "own", 2)
    assert measure.lost_disk("a") == 0
    assert counts(measure) == (1, 0)
    measure.saw("a", "a", "own", 9)
    assert counts(measure) == (0, 1)


def test_facts_on_a_wiped_disk_only_are_destroyed_and_not_missed() -> None:
    measure = make_measure()
    write(measure, "f")
    write(measure, "g", scope="local")
    assert measure.lost_disk("a") == 2
    assert counts(measure) == (0, 2)


def test_a_destroyed_fact_that_was_on_its_way_counts_again() -> None:
    measure = make_measure()
    write(measure, "f")
    measure.lost_disk("a")
    measure.saw("b", "a", "f", 4)
    assert measure.destroyed == set()
    assert counts(measure) == (2, 0)


@pytest.mark.parametrize(
    ("scope", "relayed", "missing"), [("public", True, 2), ("public", False, 0), ("company", True, 0)]
)
def test_when_the_origin_lost_its_disk_only_relayed_facts_are_still_expected(
    scope: str, relayed: bool, missing: int
) -> None:
    measure = make_measure(relayed=relayed)
    write(measure, "f", scope=scope)
    measure.saw("b", "a", "f", 2)
    measure.lost_disk("a")
    assert counts(measure)[0] == missing


def test_a_copy_that_nobody_expected_any_more_but_that_was_on_its_way_is_a_copy() -> None:
    measure = make_measure()
    write(measure, "f", scope="company")
    measure.saw("b", "a", "f", 2)
    measure.lost_disk("a")
    assert measure.readers(0) == ("b",)
    measure.saw("c", "a", "f", 3)
    assert measure.readers(0) == ("b", "c")
    assert counts(measure) == (0, 1)


def test_a_company_fact_that_only_others_held_comes_back_from_its_origin() -> None:
    measure = make_measure()
    write(measure, "f", scope="company")
    measure.saw("b", "a", "f", 2)
    measure.lost_disk("b")
    assert counts(measure) == (2, 0)


def test_nothing_is_expected_of_a_node_that_left_nor_of_what_only_it_could_serve() -> None:
    measure = make_measure()
    write(measure, "public")
    write(measure, "company", scope="company")
    write(measure, "alone")
    for name in ("public", "company"):
        measure.saw("b", "a", name, 2)
    assert measure.left("a") == 1
    assert [(fact.id, node) for fact, node in measure.lacking()] == [("public", "c")]
    measure.saw("c", "a", "public", 3)
    assert counts(measure) == (0, 3)


def test_what_is_written_after_somebody_left_is_expected_of_the_others() -> None:
    measure = make_measure()
    measure.left("c")
    write(measure, "f", origin="b")
    assert [node for _, node in measure.lacking()] == ["a"]
