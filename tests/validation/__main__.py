"""`python -m tests.validation [--jobs N]`, or `make validate`: run everything, write docs/validation.md, exit 1 when a
row fails or a wrong law is not noticed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.validation.everything import EXPERIMENTS
from tests.validation.figures import draw
from tests.validation.page import page_text
from tests.validation.rows import Row, is_noticed, level_of
from tests.validation.runs import share_out

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="tests.validation", description="Hold the laboratory against theory.")
    parser.add_argument("--jobs", type=int, default=2, help="processes that run simulations (default: 2)")
    processes = parser.parse_args(arguments).jobs
    begun = perf_counter()
    results = _results(processes)
    judged = [(experiment, experiment.judge(results[experiment.name])) for experiment in EXPERIMENTS]
    rows = [row for _, found in judged for row in found]
    level = level_of(rows)
    controls = [each for experiment in EXPERIMENTS for each in experiment.wrong(results[experiment.name]).items()]
    DOCS.mkdir(exist_ok=True)
    text = page_text(judged, controls, draw(results, DOCS / "figures"), level)
    (DOCS / "validation.md").write_text(text, encoding="utf-8")
    print(f"\r{len(rows)} rows, {len(controls)} wrong laws, {perf_counter() - begun:.0f} s; docs/validation.md")
    return _told(rows, controls, level)


def _results(processes: int) -> dict[str, list[Any]]:
    """What the jobs of each experiment returned."""
    planned = [(experiment.name, job) for experiment in EXPERIMENTS for job in experiment.jobs()]

    def told(done: int, of: int) -> None:
        if sys.stdout.isatty():
            print(f"\r{done} of {of} jobs", end="", flush=True)

    found: dict[str, list[Any]] = {experiment.name: [] for experiment in EXPERIMENTS}
    for (name, _), result in zip(planned, share_out([job for _, job in planned], processes, told), strict=True):
        found[name].append(result)
    return found


def _told(rows: list[Row], controls: list[tuple[str, list[Row]]], level: float) -> int:
    for row in rows:
        if not row.passes(level):
            p = "" if row.p is None else f" (p = {row.p:.1e}, level {level:.1e})"
            print(f"DIFFERS  {row.law}: predicted {row.predicted}, measured {row.measured}{p}")
    missed = [told for told, found in controls if not is_noticed(found, level)]
    for told in missed:
        print(f"MISSED   {told}: a wrong law passed, so the row that it belongs to shows nothing")
    bad = bool(missed) or any(not row.passes(level) for row in rows)
    print("validation failed" if bad else "everything agrees")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
