"""The published client has our import name: installed beside this package it overwrites it, and the doctor says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def site_with(folder: Path, *, overwritten: bool) -> Path:
    """A copy of the package with the published one beside it, which has overwritten its first file or not."""
    shutil.copytree(ROOT / "stigmem", folder / "stigmem", ignore=shutil.ignore_patterns("__pycache__"))
    if overwritten:
        (folder / "stigmem" / "__init__.py").write_text('"""Another package."""\n__version__ = "0.9.0a12"\n')
    info = folder / "stigmem_py-0.9.0a12.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stigmem-py\nVersion: 0.9.0a12\n")
    return folder


def examined(site: Path, data: Path) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "stigmem", "doctor", "--json", "--data-dir", str(data)],
        cwd=data, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, [finding for finding in json.loads(done.stdout) if finding["subject"] == "package"]


@pytest.mark.parametrize(("overwritten", "grade"), [(True, "bad"), (False, "note")])
def test_the_doctor_says_that_the_published_package_is_in_the_way(
    tmp_path: Path, overwritten: bool, grade: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (found,) = examined(site_with(site, overwritten=overwritten), tmp_path)[1]
    assert found["grade"] == grade
    assert "stigmem-py 0.9.0a12" in found["sentence"]
    assert "uninstall stigmem-py" in found["sentence"]


def test_the_doctor_says_nothing_of_it_where_it_is_not(tmp_path: Path) -> None:
    assert examined(ROOT, tmp_path)[1] == []


def test_modules_have_the_names_that_the_published_client_gives_them() -> None:
    from stigmem import client, exceptions, models, verification

    for module in (exceptions, models, verification):
        for name in module.__all__ if hasattr(module, "__all__") else ("Fact", "FactPage"):
            assert getattr(module, name) is getattr(client, name)
