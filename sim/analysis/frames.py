"""Frames of a run for notebooks and parquet: one row per copy, per sample, per fault. All times in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sim.observation.conditions import FaultInterval
from sim.observation.visibility import NEVER

if TYPE_CHECKING:
    import polars as pl

    from sim.analysis.lag import Copies
    from sim.observation.sampler import Sample
    from sim.observation.visibility import Visibility

__all__ = ["facts_frame", "faults_frame", "samples_frame"]

_NS: Final = 1e9


def facts_frame(visibility: Visibility, copies: Copies) -> pl.DataFrame:
    """A row per fact and node that should hold it: fact, origin, scope, entity, relation, node, written_s,
    visible_s, lag_s, held. `visible_s` is null while a copy is missing, `lag_s` also at the origin itself."""
    import polars as pl

    about = pl.DataFrame(
        {
            "number": pl.Series(range(len(visibility.facts)), dtype=pl.Int64),
            "fact": pl.Series([fact.id for fact in visibility.facts], dtype=pl.String),
            **{
                name: pl.Series([getattr(fact, name) for fact in visibility.facts], dtype=pl.Categorical)
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
            "node_number": pl.Series(range(len(visibility.nodes)), dtype=pl.Int64),
            "node": pl.Series(visibility.nodes, dtype=pl.Categorical),
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
