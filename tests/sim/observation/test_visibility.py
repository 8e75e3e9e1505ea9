"""Counting who has what: what is missing, what is lost for good, and what nobody can bring any more."""

from __future__ import annotations

import pytest

from sim.observation.visibility import NEVER, TrackedFact, Visibility

NODES = ("a", "b", "c")


def readers(origin: str, scope: str) -> tuple[str, ...]:
    return (origin,) if scope == "local" else NODES


def make_visibility(*, relayed: bool = True) -> Visibility:
    return Visibility(NODES, readers, relayed=relayed)


def write(visibility: Visibility, name: str, origin: str = "a", scope: str = "public", at: int = 1) -> None:
    visibility.written(TrackedFact(name, origin, scope, "e", "r", at))


def counts(visibility: Visibility) -> tuple[int, int]:
    """What the counters say, after checking them against the definition."""
    missing = sum(visibility.held_since[node][number] == NEVER for number, node in visibility.expected())
    assert visibility.missing == missing
    assert len(visibility.lacking(1_000)) == missing
    return visibility.missing, visibility.everywhere


def test_a_fact_is_missing_at_every_reader_until_each_has_seen_it() -> None:
    visibility = make_visibility()
    write(visibility, "f")
    assert counts(visibility) == (2, 0)
    visibility.saw("b", "a", "f", 5)
    visibility.saw("b", "a", "f", 9)
    assert visibility.first_seen["b"][0] == 5
    assert counts(visibility) == (1, 0)
    visibility.saw("c", "a", "f", 7)
    assert counts(visibility) == (0, 1)


def test_a_local_fact_is_everywhere_at_once() -> None:
    visibility = make_visibility()
    write(visibility, "f", scope="local")
    assert counts(visibility) == (0, 1)


def test_what_nobody_of_ours_wrote_is_not_counted() -> None:
    visibility = make_visibility()
    visibility.saw("b", "mallory", "x", 5)
    assert counts(visibility) == (0, 0)


def test_a_wiped_node_must_come_to_hold_public_facts_again_its_own_too() -> None:
    visibility = make_visibility()
    write(visibility, "own")
    visibility.saw("b", "a", "own", 2)
    visibility.saw("c", "a", "own", 2)
    assert visibility.lost_disk("a", 9) == 0
    assert counts(visibility) == (1, 0)
    visibility.saw("a", "a", "own", 9)
    assert counts(visibility) == (0, 1)


def test_facts_on_a_wiped_disk_only_are_destroyed_and_not_missed() -> None:
    visibility = make_visibility()
    write(visibility, "f")
    write(visibility, "g", scope="local")
    assert visibility.lost_disk("a", 9) == 2
    assert counts(visibility) == (0, 2)


def test_a_destroyed_fact_that_was_on_its_way_counts_again() -> None:
    visibility = make_visibility()
    write(visibility, "f")
    visibility.lost_disk("a", 9)
    visibility.saw("b", "a", "f", 4)
    assert visibility.destroyed == set()
    assert counts(visibility) == (2, 0)


@pytest.mark.parametrize(
    ("scope", "relayed", "missing"), [("public", True, 2), ("public", False, 0), ("company", True, 0)]
)
def test_when_the_origin_lost_its_disk_only_relayed_facts_are_still_expected(
    scope: str, relayed: bool, missing: int
) -> None:
    visibility = make_visibility(relayed=relayed)
    write(visibility, "f", scope=scope)
    visibility.saw("b", "a", "f", 2)
    visibility.lost_disk("a", 9)
    assert counts(visibility)[0] == missing


def test_a_copy_that_nobody_expected_any_more_but_that_was_on_its_way_is_a_copy() -> None:
    visibility = make_visibility()
    write(visibility, "f", scope="company")
    visibility.saw("b", "a", "f", 2)
    visibility.lost_disk("a", 9)
    assert visibility.readers(0) == ("b",)
    visibility.saw("c", "a", "f", 3)
    assert visibility.readers(0) == ("b", "c")
    assert counts(visibility) == (0, 1)


def test_a_company_fact_that_only_others_held_comes_back_from_its_origin() -> None:
    visibility = make_visibility()
    write(visibility, "f", scope="company")
    visibility.saw("b", "a", "f", 2)
    visibility.lost_disk("b", 9)
    assert counts(visibility) == (2, 0)


def test_nothing_is_expected_of_a_node_that_left_nor_of_what_only_it_could_serve() -> None:
    visibility = make_visibility()
    write(visibility, "public")
    write(visibility, "company", scope="company")
    write(visibility, "alone")
    for name in ("public", "company"):
        visibility.saw("b", "a", name, 2)
    assert visibility.left("a", 9) == 1
    assert [(fact.id, node) for fact, node in visibility.lacking()] == [("public", "c")]
    visibility.saw("c", "a", "public", 3)
    assert counts(visibility) == (0, 3)


def test_what_is_written_after_somebody_left_is_expected_of_the_others() -> None:
    visibility = make_visibility()
    visibility.left("c", 9)
    write(visibility, "f", origin="b")
    assert [node for _, node in visibility.lacking()] == ["a"]
