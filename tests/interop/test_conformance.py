"""The published conformance suite, unmodified, against nodes of ours: recall, graph, decay, synthesis, contradictions,
facts, provenance and federation as it sees them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.processes import plain_environment

ROOT = Path(__file__).parents[2]
LEAST = 60
"""Tests of the suite; fewer would mean that it was not found."""


@pytest.fixture(scope="module")
def told(environment_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the suite printed."""
    python = environment_of("a10") / "bin" / "python"
    folder = tmp_path_factory.mktemp("conformance")
    nodes = shlex.join([sys.executable, "-m", "tests.interop.fresh_nodes", str(folder / "nodes")])
    done = subprocess.run(
        [str(python), "-m", "pytest", "--pyargs", "stigmem_conformance", "-k", "sqlite", "-p", "no:cacheprovider",
         "-p", "conformance_plugin", "-q", "-ra", "--tb=short"],
        cwd=folder,
        env=plain_environment(PYTHONPATH=str(Path(__file__).parent), STIGMEM_FRESH_NODES=nodes,
                              STIGMEM_FRESH_NODES_CWD=str(ROOT)),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_published_suite_passes_against_our_node(told: str) -> None:
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None, told
    assert int(passed[1]) >= LEAST, told
    assert not re.search(r"\d+ (failed|error)", told), told


def test_every_part_of_the_suite_took_part(told: str) -> None:
    skipped = re.search(r"(\d+) skipped", told)
    assert skipped is None or int(skipped[1]) <= 2, told
