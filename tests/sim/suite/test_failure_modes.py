"""The failure modes that ship: every CORE one of the contract is tried, and a selection of them runs here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.report.folder import opening_comments
from sim.study.worker import Job, run_job
from sim.suite.contents import Case, read_suite

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "scenarios" / "failure-modes"
CORE = [f"S-{number:02}" for number in range(1, 59)]
"""Section 6.1 to 6.4 of the contract on federation; S-59 to S-68 are of its extended part."""
SELECTION = ("A-02", "S-02", "S-05", "S-06", "S-13", "S-19", "S-27", "S-29", "S-35", "S-48", "S-52", "S-54", "S-57")
"""Short ones of every sort. All of them run with `make suite`."""


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.id: case for case in read_suite(FOLDER).cases}


def test_every_core_failure_mode_is_tried_or_told_to_be_missing(cases: dict[str, Case]) -> None:
    suite = read_suite(FOLDER)
    known = {*cases, *(each.id for each in suite.real), *(each.id for each in suite.missing)}
    assert [name for name in CORE if name not in known] == []
    assert all(each.reason for each in suite.missing)


def test_tests_on_real_nodes_that_the_table_names_exist() -> None:
    for real in read_suite(FOLDER).real:
        for name in real.tests:
            file, _, test = name.partition("::")
            assert (ROOT / file).is_file(), f"{real.id} names {file}, which is not there"
            assert f"def {test}" in (ROOT / file).read_text(), f"{real.id}: {file} has no {test}"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("S-*.toml")), ids=lambda file: str(file.stem))
def test_every_file_says_what_it_asks_expects_and_how_failure_looks(file: Path) -> None:
    lines = opening_comments(file).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["# Question", "# Expected", "# Failure looks like"]
    assert re.fullmatch(r"S-\d\d-[a-z0-9-]+", file.stem)


@pytest.mark.parametrize("name", SELECTION)
def test_a_selection_passes(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    row = run_job(Job(case.values, FOLDER, case.seed))
    assert row["verdict"] == "pass", row
    assert all(row["reach"]), f"{name} never met one of {', '.join(case.reach)}"
