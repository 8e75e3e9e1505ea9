"""Two scenarios side by side: what one change caused.

    stigmem-sim compare a.toml b.toml --seeds 20             two samples of runs, each with its own chance
    stigmem-sim compare a.toml b.toml --seeds 20 --coupled   pairs of runs with one chance for both

Coupled runs of one seed draw the same for everything that the change does not reach, since random streams are named by
what they are for (spec/simulation.md, 1). What differs between them is then caused by the change, and its interval over
seeds is that of differences within pairs, mostly much narrower than that of two samples. For the first seed it is also
told which copies of facts changed: facts are the same when they were written on the same node, about the same subject,
as the same one in that order.

Two warts. A change that reaches the writers (another rate, other nodes) leaves few facts to compare. And chance that
a change does reach (what a struck link carries) is not the same: coupling makes differences of that part no smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sim.diagnostics.toml_text import toml_value
from sim.runner import run_plan
from sim.scenario.plan import Plan
from sim.scenario.planning import load_plan
from sim.scenario.reading import plain_values
from sim.study.pool import Pool, default_jobs
from sim.study.statistics import Interval, interval_of, interval_of_difference
from sim.study.telling import metric_text
from sim.study.worker import Job

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

__all__ = ["Change", "compare_files", "copies_changed", "differing_keys", "metric_changes"]

_TOLD: Final = (
    "lag.p50", "lag.p99", "lag.max", "catch_up", "convergence", "missing", "requests", "bytes", "bytes_lost", "facts",
    "conflicts.open", "rejections",
)  # fmt: skip


class Change(NamedTuple):
    """What became of a metric: its medians, and the difference (second minus first) with its interval over runs."""

    metric: str
    first: float
    second: float
    difference: Interval


def compare_files(
    first: Path, second: Path, console: Console, *, seeds: int, coupled: bool, jobs: int | None, allow_plugins: bool
) -> int:
    """Run both and tell what differs; 0. Raises BadScenario."""
    plans = [load_plan(path, allow_plugins=allow_plugins) for path in (first, second)]
    begin = plans[0].scenario.scenario.seed
    each = [range(begin, begin + seeds), range(begin, begin + seeds)]
    if not coupled:  # seeds of their own: what both draw alike must not pass for agreement
        each[1] = range(begin + seeds, begin + 2 * seeds)
    for key, one, other in differing_keys(*plans):
        console.print(f"{key}: {one} | {other}", soft_wrap=True, markup=False)
    rows = _rows(plans, each, default_jobs() if jobs is None else jobs, allow_plugins=allow_plugins)
    ended = [", ".join(sorted({row["verdict"] for row in found})) for found in rows]
    console.print(f"{seeds} runs each: {ended[0]} | {ended[1]}", markup=False)
    for change in metric_changes(*rows, coupled=coupled):
        console.print(_line(change), soft_wrap=True, markup=False)
    how = "within pairs of one seed" if coupled else "between two samples of runs"
    console.print(f"medians over runs; difference {how} [95 % interval, by a bootstrap over runs]", style="dim")
    if coupled:
        frames = [run_plan(plan, begin).facts() for plan in plans]
        for line in _copies_told(copies_changed(*frames), begin):
            console.print(line, soft_wrap=True, markup=False)
    return 0


def differing_keys(first: Plan, second: Plan) -> list[tuple[str, str, str]]:
    """Dotted keys that differ between two scenarios, with both values as a file has them; `-` where there is none."""
    one, other = (dict(_flat("", plain_values(plan.scenario))) for plan in (first, second))
    keys = [key for key in dict.fromkeys([*one, *other]) if not key.startswith(("scenario.name", "expect.", "sweep."))]
    found = [(key, one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)]
    return [(key, _told(before), _told(after)) for key, before, after in found]


def _told(value: Any) -> str:
    return "-" if value is None else toml_value(value)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        inner = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        inner = [(str(each.get("name") or number), each) for number, each in enumerate(value)]
    else:
        yield prefix, value
        return
    for key, each in inner:
        yield from _flat(f"{prefix}.{key}" if prefix else key, each)


def _rows(
    plans: Sequence[Plan], seeds: Sequence[range], jobs: int, *, allow_plugins: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    wanted = [
        Job(plain_values(plan.scenario), plan.base.absolute(), seed, allow_plugins)
        for plan, mine in zip(plans, seeds, strict=True)
        for seed in mine
    ]
    found: list[dict[str, Any]] = [{} for _ in wanted]
    with Pool(jobs) as pool:
        for number, row in pool.run(wanted):
            found[number] = row
    return found[: len(seeds[0])], found[len(seeds[0]) :]


def metric_changes(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], *, coupled: bool
) -> list[Change]:
    """The metrics that some runs of both have; coupled ones in pairs, so that a run without a value leaves its pair
    out."""
    found = []
    for metric in _TOLD:
        one, other = ([row.get("metrics", {}).get(metric) for row in rows] for rows in (first, second))
        if coupled:
            pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
            one, other = [a for a, _ in pairs], [b for _, b in pairs]
            difference = interval_of([b - a for a, b in pairs]) if pairs else None
        else:
            one, other = ([value for value in values if value is not None] for values in (one, other))
            difference = interval_of_difference(one, other) if one and other else None
        if difference is not None:
            found.append(Change(metric, float(np.median(one)), float(np.median(other)), difference))
    return found


def _line(change: Change) -> str:
    low, high = change.difference.low, change.difference.high
    told = "" if low > 0 or high < 0 else "  (may be nothing)" if low != high else "  (the same)" * (low == 0)
    first, second, by = (
        metric_text(change.metric, value) for value in (change.first, change.second, change.difference.value)
    )
    return (
        f"  {change.metric:<16}{first:>12} -> {second:<12} {by} "
        f"[{metric_text(change.metric, low)}, {metric_text(change.metric, high)}]{told}"
    )


class Copies(NamedTuple):
    """What became of the copies that both runs have, and how many only one has. `nodes`: node -> (changed, all)."""

    same: int
    changed: int
    only_first: int
    only_second: int
    nodes: dict[str, tuple[int, int]]


def copies_changed(first: pl.DataFrame, second: pl.DataFrame) -> Copies:
    """Compare the frames of facts of two runs, copy by copy, by the lag to the nanosecond."""
    one, other = _by_copy(first), _by_copy(second)
    nodes: dict[str, tuple[int, int]] = {}
    for copy, lag_ns in one.items():
        if copy in other:
            changed, every = nodes.get(copy[-1], (0, 0))
            nodes[copy[-1]] = changed + (lag_ns != other[copy]), every + 1
    both = sum(every for _, every in nodes.values())
    changed = sum(count for count, _ in nodes.values())
    return Copies(both - changed, changed, len(one) - both, len(other) - both, nodes)


def _by_copy(frame: pl.DataFrame) -> dict[tuple[str, ...], int]:
    """(origin, subject, which of it, node) -> lag in ns, or -1 of a copy that never came."""
    found: dict[tuple[str, ...], int] = {}
    number: dict[tuple[str, ...], int] = {}
    order: dict[str, int] = {}
    columns = ("fact", "origin", "entity", "relation", "node", "lag_s")
    for fact, origin, entity, relation, node, lag_s in frame.sort("written_s").select(columns).iter_rows():
        subject = (str(origin), str(entity), str(relation))
        if fact not in order:
            order[fact] = number[subject] = number.get(subject, 0) + 1
        if origin != node:
            found[*subject, str(order[fact]), str(node)] = -1 if lag_s is None else round(lag_s * 1e9)
    return found


def _copies_told(copies: Copies, seed: int) -> Iterator[str]:
    every = copies.same + copies.changed
    yield (
        f"seed {seed}: {copies.same} of {every} copies of facts that both runs have came at the same nanosecond after "
        f"the writing; {copies.only_first} are in the first run only, {copies.only_second} in the second only"
    )
    touched = [f"{node} {changed} of {of}" for node, (changed, of) in copies.nodes.items() if changed]
    if touched:
        yield f"changed copies by node: {', '.join(touched)}"
