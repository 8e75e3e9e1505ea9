"""Frames of a run for notebooks and parquet: one row per copy, per sample, per fault. All times in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sim.analysis.catch_up import CatchUp
from sim.analysis.lag import Copies
from sim.observation.recollections import Recollection
from sim.observation.sampler import Sample
from sim.observation.visibility import NEVER, TrackedFact
from sim.world.trace import Stop

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "catch_ups_in",
    "copies_in",
    "facts_frame",
    "faults_frame",
    "recalls_frame",
    "recalls_in",
    "samples_frame",
    "samples_in",
    "stops_frame",
    "stops_in",
]

_NS: Final = 1e9


def facts_frame(tracked: Sequence[TrackedFact], nodes: Sequence[str], copies: Copies) -> pl.DataFrame:
    """A row per fact and node that should hold it: fact, origin, scope, entity, relation, node, written_s,
    visible_s, lag_s, held, age_s, lag_from_joining_s, measured.

    `visible_s` is when the fact was first seen, null when it never was, and `lag_s` is then null too, as at the origin
    itself; `age_s` is the lag, or the age at the run's end of what never came. `lag_from_joining_s` is the lag of what
    was written before the node joined, since it did. `held`: whether the node holds it at the end. `measured`: whether
    the copy counts in the percentiles of run.json, which are those of `age_s` over these rows."""
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
            "held": pl.Series([since != NEVER for since in copies.held], dtype=pl.Boolean),
            "at_origin": pl.Series(copies.at_origin, dtype=pl.Int8),
        }
    )
    names = pl.DataFrame(
        {
            "node_number": pl.Series(range(len(nodes)), dtype=pl.Int64),
            "node": pl.Series(nodes, dtype=pl.Categorical),
            "joined": pl.Series(copies.joined_ns, dtype=pl.Int64),
        }
    )
    came, away = pl.col("visible") != NEVER, pl.col("at_origin") == 0
    age = pl.when(came).then(pl.col("visible")).otherwise(copies.ended_ns) - pl.col("written")
    late = pl.col("written") < pl.col("joined")
    since = copies.measured_from_ns
    measured = pl.lit(value=False) if since is None else away & (pl.col("written") >= since)
    joined = rows.join(about, on="number", maintain_order="left").join(names, on="node_number", maintain_order="left")
    return joined.select(
        "fact",
        "origin",
        "scope",
        "entity",
        "relation",
        "node",
        written_s=pl.col("written") / _NS,
        visible_s=pl.when(came).then(pl.col("visible") / _NS),
        lag_s=pl.when(came & away).then(age / _NS),
        held=pl.col("held"),
        age_s=pl.when(away).then(age / _NS),
        lag_from_joining_s=pl.when(came & away & late).then((pl.col("visible") - pl.col("joined")) / _NS),
        measured=measured,
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


def faults_frame(faults: Sequence[CatchUp]) -> pl.DataFrame:
    """A row per fault that happened: label, nodes, begin_s, end_s (equal for what is over at once), name,
    catch_up_s: how long it took afterwards until what had been written before was everywhere, and how many copies were
    waiting and how many never came."""
    import polars as pl

    return pl.DataFrame(
        {
            "label": pl.Series([fault.label for fault in faults], dtype=pl.String),
            "nodes": pl.Series([list(fault.nodes) for fault in faults], dtype=pl.List(pl.String)),
            "begin_s": pl.Series([fault.begin_ns / _NS for fault in faults], dtype=pl.Float64),
            "end_s": pl.Series([fault.end_ns / _NS for fault in faults], dtype=pl.Float64),
            "name": pl.Series([fault.name for fault in faults], dtype=pl.String),
            "catch_up_s": pl.Series([fault.took_ns / _NS for fault in faults], dtype=pl.Float64),
            "waiting": pl.Series([fault.waiting for fault in faults], dtype=pl.Int64),
            "missing": pl.Series([fault.missing for fault in faults], dtype=pl.Int64),
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


def copies_in(
    frame: pl.DataFrame, nodes: Sequence[str], *, ended_ns: int, measured_from_ns: int | None
) -> tuple[list[TrackedFact], Copies]:
    """What `facts_frame` was made of, but for facts that no node was expected to hold in the end. Since when a copy was
    held is not in the frame: of one that came again it is when it came first."""
    rank = {name: number for number, name in enumerate(nodes)}
    numbers: dict[tuple[str, str], int] = {}
    tracked: list[TrackedFact] = []
    joined_ns: list[int | None] = [0] * len(nodes)
    copies = Copies.empty(ended_ns=ended_ns, measured_from_ns=measured_from_ns, joined_ns=joined_ns)
    columns = ("fact", "origin", "scope", "entity", "relation", "node", "written_s", "visible_s")
    more = ("held", "lag_from_joining_s")
    for row in frame.select(*columns, *more).iter_rows():
        fact, origin, scope, entity, relation, node, written_s, visible_s, held, from_joining_s = row
        if from_joining_s is not None:
            joined_ns[rank[node]] = _ns(visible_s - from_joining_s)
        number = numbers.setdefault((origin, fact), len(numbers))
        written_ns = _ns(written_s)
        if number == len(tracked):
            tracked.append(TrackedFact(fact, origin, scope, entity, relation, written_ns))
        copies.fact.append(number)
        copies.node.append(rank[node])
        copies.written.append(written_ns)
        copies.visible.append(NEVER if visible_s is None else _ns(visible_s))
        copies.held.append(copies.visible[-1] if held else NEVER)
        copies.at_origin.append(node == origin)
    return tracked, copies


def recalls_frame(recollections: Sequence[Recollection]) -> pl.DataFrame:
    """A row per recall: at_s, team, node, own_said, own_found, others_said, others_found. Said counts the findings
    about the subject that were acknowledged by then, found those of them in the answer."""
    import polars as pl

    columns = zip(*recollections, strict=True) if recollections else ((),) * len(Recollection._fields)
    named = dict(zip(Recollection._fields, map(list, columns), strict=True))
    at_s = pl.Series([at_ns / _NS for at_ns in named.pop("at_ns")], dtype=pl.Float64)
    kinds = {"team": pl.String, "node": pl.String}
    return pl.DataFrame(
        {"at_s": at_s, **{name: pl.Series(values, dtype=kinds.get(name, pl.Int64)) for name, values in named.items()}}
    )


def recalls_in(frame: pl.DataFrame) -> list[Recollection]:
    """What `recalls_frame` was made of."""
    rows = frame.iter_rows(named=True)
    return [Recollection(at_ns=_ns(row.pop("at_s")), **row) for row in rows]


def samples_in(frame: pl.DataFrame) -> list[Sample]:
    """What `samples_frame` was made of."""
    rows = frame.iter_rows(named=True)
    return [Sample(at_ns=_ns(row.pop("at_s")), **row) for row in rows]


def catch_ups_in(frame: pl.DataFrame) -> list[CatchUp]:
    """What `faults_frame` was made of."""
    return [
        CatchUp(
            name=row["name"],
            label=row["label"],
            nodes=tuple(row["nodes"]),
            begin_ns=_ns(row["begin_s"]),
            end_ns=_ns(row["end_s"]),
            waiting=row["waiting"],
            took_ns=_ns(row["catch_up_s"]),
            missing=row["missing"],
        )
        for row in frame.iter_rows(named=True)
    ]


def stops_in(frame: pl.DataFrame) -> dict[Stop, int]:
    """What `stops_frame` was made of."""
    columns = ("source", "target", "rule", "count")
    return {Stop(source, target, rule): count for source, target, rule, count in frame.select(columns).iter_rows()}


def _ns(seconds: float) -> int:
    return round(seconds * _NS)
