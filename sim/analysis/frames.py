"""Frames of a run for notebooks and parquet: one row per copy, per sample, per fault. All times in seconds."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sim.analysis.lag import Copies
from sim.observation.conditions import FaultInterval
from sim.observation.sampler import Sample
from sim.observation.visibility import NEVER, TrackedFact
from sim.world.trace import Stop

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "copies_in",
    "facts_frame",
    "faults_frame",
    "faults_in",
    "samples_frame",
    "samples_in",
    "stops_frame",
    "stops_in",
]

_NS: Final = 1e9


def facts_frame(tracked: Sequence[TrackedFact], nodes: Sequence[str], copies: Copies) -> pl.DataFrame:
    """A row per fact and node that should hold it: fact, origin, scope, entity, relation, node, written_s,
    visible_s, lag_s, held. `visible_s` is null while a copy is missing, `lag_s` also at the origin itself."""
    import polars as pl

    about = pl.DataFrame(
        {
            "number": pl.Series(range(len(tracked)), dtype=pl.Int64),
            "fact": pl.Series([fact.id for fact in tracked], dtype=pl.String),
            **{
                name: pl.Series([getattr(fact, name) for fact in tracked], dtype=pl.Categorical)
                for name in ("origin", "scope", "entity", "relation")
            },
        }
    )
    rows = pl.DataFrame(
        {
            "number": pl.Series(copies.fact, dtype=pl.Int64),
            "node_number": pl.Series(copies.node, dtype=pl.Int64),
            "written": pl.Series(copies.written, dtype=pl.Int64),
            "visible": pl.Series(copies.visible, dtype=pl.Int64),
            "at_origin": pl.Series(copies.at_origin, dtype=pl.Int8),
        }
    )
    names = pl.DataFrame(
        {
            "node_number": pl.Series(range(len(nodes)), dtype=pl.Int64),
            "node": pl.Series(nodes, dtype=pl.Categorical),
        }
    )
    held = pl.col("visible") != NEVER
    lag = pl.when(held & (pl.col("at_origin") == 0)).then((pl.col("visible") - pl.col("written")) / _NS)
    joined = rows.join(about, on="number", maintain_order="left").join(names, on="node_number", maintain_order="left")
    return joined.select(
        "fact",
        "origin",
        "scope",
        "entity",
        "relation",
        "node",
        written_s=pl.col("written") / _NS,
        visible_s=pl.when(held).then(pl.col("visible") / _NS),
        lag_s=lag,
        held=held,
    )


def samples_frame(samples: Sequence[Sample]) -> pl.DataFrame:
    """A row per sampling instant: at_s, facts, everywhere, missing, open_conflicts, open_conflicts_least, up,
    deferred."""
    import polars as pl

    counts = ("facts", "everywhere", "missing", "open_conflicts", "open_conflicts_least", "up", "deferred")
    return pl.DataFrame(
        {
            "at_s": pl.Series([sample.at_ns / _NS for sample in samples], dtype=pl.Float64),
            **{name: pl.Series([getattr(sample, name) for sample in samples], dtype=pl.Int64) for name in counts},
        }
    )


def faults_frame(fault_intervals: Sequence[FaultInterval]) -> pl.DataFrame:
    """A row per fault that happened: label, nodes, begin_s, end_s (equal for what is over at once)."""
    import polars as pl

    return pl.DataFrame(
        {
            "label": pl.Series([label for label, _, _, _ in fault_intervals], dtype=pl.String),
            "nodes": pl.Series([list(nodes) for _, nodes, _, _ in fault_intervals], dtype=pl.List(pl.String)),
            "begin_s": pl.Series([begin / _NS for _, _, begin, _ in fault_intervals], dtype=pl.Float64),
            "end_s": pl.Series([end / _NS for _, _, _, end in fault_intervals], dtype=pl.Float64),
        }
    )


def stops_frame(stops: Mapping[Stop, int]) -> pl.DataFrame:
    """A row per link and rule that stopped packets there: source, target, rule, count."""
    import polars as pl

    return pl.DataFrame(
        {
            **{name: pl.Series([getattr(stop, name) for stop in stops], dtype=pl.String) for name in Stop._fields},
            "count": pl.Series(list(stops.values()), dtype=pl.Int64),
        }
    )


# --- and back, for runs that are read from their folders ---


def copies_in(frame: pl.DataFrame, nodes: Sequence[str]) -> tuple[list[TrackedFact], Copies]:
    """What `facts_frame` was made of, but for facts that no node was expected to hold in the end."""
    rank = {name: number for number, name in enumerate(nodes)}
    numbers: dict[tuple[str, str], int] = {}
    tracked: list[TrackedFact] = []
    copies = Copies(array("q"), array("q"), array("q"), array("q"), array("b"))
    columns = ("fact", "origin", "scope", "entity", "relation", "node", "written_s", "visible_s")
    for fact, origin, scope, entity, relation, node, written_s, visible_s in frame.select(columns).iter_rows():
        number = numbers.setdefault((origin, fact), len(numbers))
        written_ns = _ns(written_s)
        if number == len(tracked):
            tracked.append(TrackedFact(fact, origin, scope, entity, relation, written_ns))
        copies.fact.append(number)
        copies.node.append(rank[node])
        copies.written.append(written_ns)
        copies.visible.append(NEVER if visible_s is None else _ns(visible_s))
        copies.at_origin.append(node == origin)
    return tracked, copies


def samples_in(frame: pl.DataFrame) -> list[Sample]:
    """What `samples_frame` was made of."""
    rows = frame.iter_rows(named=True)
    return [Sample(at_ns=_ns(row.pop("at_s")), **row) for row in rows]


def faults_in(frame: pl.DataFrame) -> list[FaultInterval]:
    """What `faults_frame` was made of."""
    return [
        FaultInterval(label, tuple(nodes), _ns(begin_s), _ns(end_s))
        for label, nodes, begin_s, end_s in frame.select("label", "nodes", "begin_s", "end_s").iter_rows()
    ]


def stops_in(frame: pl.DataFrame) -> dict[Stop, int]:
    """What `stops_frame` was made of."""
    columns = ("source", "target", "rule", "count")
    return {Stop(source, target, rule): count for source, target, rule, count in frame.select(columns).iter_rows()}


def _ns(seconds: float) -> int:
    return round(seconds * _NS)
