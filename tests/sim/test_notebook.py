"""The notebooks run from the first cell to the last, without a display, and their claims hold."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sim.report.notebooks import main

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
needs_extra = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("jupytext", "nbclient", "ipykernel")), reason="needs the notebooks extra"
)


@needs_extra
@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_headless_and_shows_its_figures(notebook: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim.report.notebooks", "--out", str(tmp_path), str(notebook)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    cells = json.loads((tmp_path / f"{notebook.stem}.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result"}
    assert sum("image/png" in output["data"] for output in outputs) == 6
    assert [cell for cell in cells if cell["cell_type"] == "code"][-1]["execution_count"] is not None


@needs_extra
def test_a_notebook_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.py"]) == 2
    assert capsys.readouterr().err == "no such notebook: nowhere.py\n"


def test_a_missing_extra_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.report.notebooks.find_spec", lambda name: None)
    assert main(["nowhere.py"]) == 2
    assert capsys.readouterr().err == "install the notebooks extra: jupytext, nbclient, ipykernel missing\n"
