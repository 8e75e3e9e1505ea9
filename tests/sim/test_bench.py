"""The benchmark's three engines do the same work, and its command says what it can do."""

from __future__ import annotations

import pytest

from bench.__main__ import PARTS, main
from bench.delivery import ENGINES, measure
from bench.table import Line, table_of


@pytest.mark.parametrize("actors", [1, 7])
def test_every_engine_delivers_the_same_messages_in_the_same_order(actors: int) -> None:
    told = [engine(actors, 300) for engine in ENGINES.values()]
    assert {each.count for each in told} == {300}
    assert len(set(told)) == 1


def test_another_number_of_actors_is_another_order() -> None:
    assert ENGINES["heapq"](3, 200).order != ENGINES["heapq"](4, 200).order


def test_delivery_is_measured_as_multiples_of_the_bare_loop() -> None:
    (row,) = measure(messages=200, rounds=1, sizes=(5,))
    assert row.actors == 5
    assert row.trio > 0.0
    assert row.simpy is not None


def test_help_names_every_part_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PARTS)


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "everything"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_lines_stand_under_their_heading_once() -> None:
    lines = [Line("delivery", f"{size} actors", "1/s", "2x", "5x") for size in (10, 100)]
    table = table_of([*lines, Line("ledger", "10 facts", "1/s", "1x", "")])
    assert table.row_count == 5  # two headings and three lines
