"""docs/validation.md: the table, the controls and the figures in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from tests.validation.rows import FALSE_ALARMS, Experiment, Row, is_noticed

_HEAD = """# Is the laboratory right?

This page is written by `make validate`, which takes less than two minutes on two cores and exits with 1 when a row
fails. Short scenarios run through the public door (`sim.run`, the command line, the run folder); what comes out is held
against closed forms, small Monte Carlo recursions, and a second model of the pull protocol that was written from
[spec/replication.md](../spec/replication.md) alone, on a plain heap, with nothing of the node or the simulator in it
(`tests/validation/model.py`). Numbers of a run are one sample, however many facts the run has: phases of pullers are
drawn once a run, so most of the variance lies between seeds.

**How a row is judged.** Each row with a p-value says how likely a difference of at least this size is if the law
holds. There are {tests} such rows, and the chance of *any* false alarm among them is held at {alarms:.0%}: a row fails
below p = {level:.1e} (Bonferroni, so whatever depends on whatever). The other {exact} rows are exact. Seeds are fixed,
so the command gives the same page until something changes that a run depends on.

**What the table would notice.** A check that cannot fail shows nothing. Each experiment is also judged by laws that are
wrong on purpose, on the same measurements; the command fails unless every one of them is noticed. They stand below.

KS is the test of Kolmogorov and Smirnov, of a sample against a law or of two samples; P is the period of a puller, L
the way of a message, S the sync of a disk (`tests/validation/laws.py` has the theory).
"""

_TAIL = """## What is not here

- Tails of the distributions beyond p99.9 are a test of quantiles to p99.999 (`tests/sim/world/test_random_streams.py`)
  and no row here; the bounds of pages and of repetitions that one drain may take are not measured.
- The model knows nothing of refusals, charges, bad facts, wiped disks or clocks; the checkers of a run watch those.
- The page compares the laboratory with the protocol, not with deployed nodes on real machines.
"""


def page_text(
    judged: Sequence[tuple[Experiment, list[Row]]],
    controls: Sequence[tuple[str, list[Row]]],
    figures: Sequence[tuple[str, str]],
    level: float,
) -> str:
    """The whole page."""
    rows = [row for _, found in judged for row in found]
    tests = sum(row.p is not None for row in rows)
    head = _HEAD.format(tests=tests, alarms=FALSE_ALARMS, level=level, exact=len(rows) - tests)
    parts = [head, _verdict(rows, controls, level)]
    for title, group in groupby(judged, key=lambda each: each[0].title):
        parts.append(f"## {title}\n\n{_table([row for _, found in group for row in found], level)}")
    parts.append(f"## Laws that are wrong on purpose\n\n{_controls(controls, level)}")
    parts.append("## Figures\n\n" + "\n".join(f"![{words}](figures/{name})\n\n{words}\n" for name, words in figures))
    return "\n".join([*parts, _TAIL])


def _verdict(rows: Sequence[Row], controls: Sequence[tuple[str, list[Row]]], level: float) -> str:
    bad = sum(not row.passes(level) for row in rows)
    missed = sum(not is_noticed(found, level) for _, found in controls)
    agree = f"{len(rows) - bad} of {len(rows)} rows agree"
    return f"**Verdict**: {agree}; {len(controls) - missed} of {len(controls)} wrong laws are noticed.\n"


def _table(rows: Iterable[Row], level: float) -> str:
    lines = ["| law | predicted | measured | test | p | |", "|---|---|---|---|---|---|"]
    for row in rows:
        p = "" if row.p is None else _p(row.p)
        verdict = "agrees" if row.passes(level) else "**differs**"
        lines.append(f"| {row.law} | {row.predicted} | {row.measured} | {row.test} | {p} | {verdict} |")
    return "\n".join(lines) + "\n"


def _controls(controls: Iterable[tuple[str, list[Row]]], level: float) -> str:
    lines = ["| wrong law | smallest p | |", "|---|---|---|"]
    for told, rows in controls:
        exact = any(row.p is None and not row.holds for row in rows)
        least = "exact" if exact else _p(min((row.p for row in rows if row.p is not None), default=1.0))
        lines.append(f"| {told} | {least} | {'noticed' if is_noticed(rows, level) else '**missed**'} |")
    return "\n".join(lines) + "\n"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "below 1e-12" if p < 1e-12 else f"{p:.1e}"
