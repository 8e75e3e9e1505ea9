"""Examples of docs/library.md run as they stand there, and a strict type checker has nothing to say about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def examples_of_the_library_page(folder: Path) -> list[Path]:
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    files = []
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        files.append(folder / f"example_{number}.py")
        files[-1].write_text(block.replace("scenarios/", f"{ROOT.as_posix()}/scenarios/"), encoding="utf-8")
    return files


def test_examples_of_the_library_page_run_and_are_typed(tmp_path: Path) -> None:
    files = examples_of_the_library_page(tmp_path)
    assert len(files) == 4
    for file in files:
        done = subprocess.run(
            [sys.executable, str(file)], cwd=ROOT, capture_output=True, text=True, check=False, env=ENV
        )
        assert done.returncode == 0, done.stderr
        assert file is files[-1] or "pass" in done.stdout
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, *map(str, files)], cwd=tmp_path, capture_output=True, text=True, check=False, env=ENV
    )
    assert done.returncode == 0, done.stdout
