"""Controls: each can still be removed, and a suite without one of them fails."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from sim.cli import main
from sim.report.folder import BadFolder
from sim.suite.ablation import Ablated, Caught
from sim.suite.ablation_session import markdown_of
from sim.suite.contents import CONTROLS, read_suite
from sim.suite.controls import Control, PatchError, copy_without, patched, read_controls

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "scenarios" / "failure-modes"
ALL = read_controls(FOLDER / CONTROLS)
SKEW = next(control for control in ALL if control.name == "future-skew-bound")


def listed(control: Control, row: str) -> str:
    """The text of a list with one control, to be tried by one row."""
    entry = msgspec.to_builtins(control) | {"tried": [row]}
    return "[[control]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())


@pytest.mark.parametrize("control", ALL, ids=lambda control: str(control.name))
def test_every_control_can_still_be_removed(control: Control) -> None:
    """Its anchor stands once in its file, and what stands there without it is Python."""
    assert control.replacement in patched(control)


def test_there_are_many_controls_each_once_and_each_tried_by_rows_that_exist() -> None:
    names = [control.name for control in ALL]
    rows = {case.id for case in read_suite(FOLDER).cases}
    assert len(set(names)) == len(names) >= 40
    assert [(control.name, row) for control in ALL for row in control.tried if row not in rows] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"anchor": "nobody wrote this"}, "its anchor stands 0 times in stigmem/core/hlc.py"),
        ({"anchor": "return"}, "not once"),
        ({"replacement": SKEW.anchor}, "changes nothing"),
        ({"file": "stigmem/core/nothing.py"}, "there is no stigmem/core/nothing.py"),
    ],
)
def test_a_control_that_cannot_be_removed_is_told_in_a_sentence(change: dict[str, str], said: str) -> None:
    with pytest.raises(PatchError, match=said):
        patched(msgspec.structs.replace(SKEW, **change))


def test_a_copy_differs_in_the_control_and_the_source_stays_as_it_was(tmp_path: Path) -> None:
    before = (ROOT / SKEW.file).read_text()
    copy_without(SKEW, tmp_path)
    assert SKEW.replacement in (tmp_path / SKEW.file).read_text()
    assert (tmp_path / "sim" / "cli.py").read_text() == (ROOT / "sim" / "cli.py").read_text()
    assert (ROOT / SKEW.file).read_text() == before


def test_the_table_says_what_nothing_catches() -> None:
    caught = Caught(row="S-26", by="audit", sentence="took | a bad fact", failing=2, runs=3)
    text = markdown_of(
        [Ablated(control=SKEW, tried=["S-26"], caught=[caught]), Ablated(control=SKEW, tried=["S-26"], caught=[])]
    )
    assert "| S-26 | audit | took \\| a bad fact | 2 of 3 |" in text
    assert "**nothing**" in text


def test_the_absence_of_a_control_is_caught_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "future-skew-bound", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["ablate", str(FOLDER), *arguments]) == 0
    assert "S-26, skew-bound: " in capfd.readouterr().err
    assert "future-skew-bound" in (tmp_path / "ablate.json").read_text()


def test_a_control_that_nothing_catches_fails_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "S-48.toml").write_text((FOLDER / "S-48-one-millisecond.toml").read_text())
    (folder / CONTROLS).write_text(listed(SKEW, "S-48"))
    assert main(["ablate", str(folder), "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]) == 1
    assert "NOT CAUGHT future-skew-bound" in capfd.readouterr().out


def test_a_row_that_does_not_exist_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "S-48.toml").write_text((FOLDER / "S-48-one-millisecond.toml").read_text())
    (tmp_path / CONTROLS).write_text(listed(SKEW, "S-99"))
    assert main(["ablate", str(tmp_path)]) == 2


def test_a_list_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    (tmp_path / CONTROLS).write_text("[[control]]\nname = 7\n")
    with pytest.raises(BadFolder, match="control"):
        read_controls(tmp_path / CONTROLS)
