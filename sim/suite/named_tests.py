"""Tests on real nodes that stand for a failure mode in the table: what has sockets, names, certificates or a database
under it is not simulated, and is tried where it is real.

They are run by pytest in a process of its own, in the checkout that holds them; where they were not asked for, or there
is no checkout, the row says so and is no pass.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sim.suite.contents import Real

__all__ = ["RealResult", "run_named_tests"]


@dataclass(frozen=True, kw_only=True)
class RealResult:
    """A row of named tests."""

    real: Real
    verdict: Literal["pass", "fail", "not run"]
    detail: str
    """What pytest said in its last line, or why nothing was run."""


def run_named_tests(real: Sequence[Real], checkout: Path, *, wanted: bool) -> list[RealResult]:
    """Run the tests of each row, if they are wanted and there."""
    if not wanted:
        return [RealResult(real=each, verdict="not run", detail="run it with --real") for each in real]
    return [_run(each, checkout) for each in real]


def _run(real: Real, checkout: Path) -> RealResult:
    absent = [test for test in real.tests if not (checkout / test.partition("::")[0]).is_file()]
    if absent:
        return RealResult(real=real, verdict="not run", detail=f"there is no {absent[0].partition('::')[0]} here")
    done = subprocess.run(  # noqa: S603  # a list of arguments, no shell
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", *real.tests],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    last = (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]
    passed = done.returncode == 0 and re.search(r"\d+ passed", last) is not None
    return RealResult(real=real, verdict="pass" if passed else "fail", detail=last.strip("= "))
