"""The page on run folders says what is there: the events of a trace, the columns of tables, the members of run.json."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest

import sim
from sim.analysis.provenance import revision_of
from sim.scenario.reading import parse_scenario
from sim.world.trace_lines import MEMBERS
from tests.sim.small_runs import fault, scenario_text, workload

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/run-folder.md").read_text()
TALK = workload("contradictions", rate="1/s", entities=5)


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_event_of_a_trace_is_on_the_page_with_its_members() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.count("|") == 4]
    told = {event: words(members) for events, members in rows for event in words(events)}
    for event, members in MEMBERS.items():
        assert told[event][: len(members)] == list(members)


def test_every_column_of_a_table_is_on_the_page(tmp_path: Path) -> None:
    result = sim.run(parse_scenario(scenario_text(TALK, duration="20s")))
    result.save(tmp_path, figures=False)
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.count("|") == 3]
    told = {name: words(columns) for names, columns in rows for name in words(names)}
    for name in ("facts", "samples", "faults", "stops"):
        assert told[name] == pl.read_parquet(tmp_path / f"{name}.parquet").columns


@pytest.mark.parametrize("trouble", ["", fault("partition", at="5s", for_="5s", shape="halves")])
def test_run_json_keeps_its_schema(trouble: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the tools of the dev group")
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "spec/run.schema.json").read_text()))
    result = sim.run(parse_scenario(scenario_text(TALK, trouble, duration="20s")))
    assert [error.message for error in validator.iter_errors(result.run_json)] == []


def test_the_revision_is_the_commit_that_is_checked_out(tmp_path: Path) -> None:
    assert revision_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert revision_of(tmp_path) == head
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    assert revision_of(tmp_path) == head
