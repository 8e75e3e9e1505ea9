"""One change changes only what it reaches: the same run with and without a loss on one link, everything else compared.

A line of six nodes whose facts go to neighbours only, on disks that take no time, so that nothing but the ends of a
link is within the reach of what happens on it. Compared are every message (moment, way, size, checksum, delay, or that
it was lost) and every copy (moment of writing and of sight) while the fault may strike.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.validation.lag import writers
from tests.validation.rows import Experiment, Row
from tests.validation.runs import Outcome, scenario, simulate_traced

NODES = [f"node-{number:02d}" for number in range(1, 7)]
FAR = tuple(NODES[2:])
END_S = 60
LOSS = f'[[fault]]\nkind = "loss"\nbetween = ["{NODES[0]}", "{NODES[1]}"]\nshare = 0.4\nat = "10s"\nfor = "40s"'
Seen = tuple[list[Any], list[Any], list[Any]]
"""Messages and copies out of the fault's reach, and copies within it."""


def coupled(seed: int) -> tuple[Seen, Seen]:
    """What was seen without and with the loss."""
    wire = (
        '[network]\nlatency = { kind = "lognormal", median = "40ms", p99 = "180ms" }\nloss = 0.05\n[disk]\nsync = "0s"'
    )
    talk = writers("20/m", "3s", "55s") + '\nscope = "company"'

    def run(*faults: str) -> Seen:
        text = scenario(
            wire, talk, *faults, duration=f"{END_S}s", nodes="6", topology='"line"', pull_interval='"2s"',
            pull_jitter="0.1",
        )  # fmt: skip
        return _seen(simulate_traced(text.replace('scopes = ["public"]', 'scopes = ["company"]'), seed))

    return run(), run(LOSS)


def _seen(outcome: Outcome) -> Seen:
    messages = [
        event
        for event in outcome.events
        if event[1] in ("sent", "dropped") and event[0] < END_S * 1e9 and event[2] in FAR and event[3] in FAR
    ]
    copies = outcome.facts.select(
        "fact", pl.col("origin").cast(pl.String), pl.col("node").cast(pl.String), "written_s", "visible_s"
    )
    far = pl.col("origin").is_in(FAR) & pl.col("node").is_in(FAR)
    seen = far & (pl.col("written_s") < END_S - 5) & ((pl.col("visible_s") < END_S) | pl.col("visible_s").is_null())
    return messages, copies.filter(seen).sort("fact", "node").rows(), copies.filter(~far).sort("fact", "node").rows()


def judge_coupling(pairs: list[tuple[list[Any], list[Any]]], law: str) -> list[Row]:
    """`pairs`: what was seen without and with, for each run."""
    differ = sum(len(without) != len(with_it) for without, with_it in pairs)
    differ += sum(one != other for without, with_it in pairs for one, other in zip(without, with_it, strict=False))
    every = sum(len(without) for without, _ in pairs)
    return [
        Row(
            law=law,
            predicted="none differs",
            measured=f"{differ} of {every} differ, over {len(pairs)} pairs of runs",
            test="exact",
            holds=differ == 0 and every > 0,
        )
    ]


def _coupling() -> Experiment:
    def judge(results: list[Any]) -> list[Row]:
        return [
            *judge_coupling(
                [(without[0], with_it[0]) for without, with_it in results],
                "40 % loss on one link of a line leaves every message between the other nodes as it was",
            ),
            *judge_coupling(
                [(without[1], with_it[1]) for without, with_it in results],
                "the same loss leaves every copy of the other nodes' facts as it was",
            ),
        ]

    def wrong(results: list[Any]) -> dict[str, list[Row]]:
        near = [(without[2], with_it[2]) for without, with_it in results]
        return {"a loss that reaches nothing at all": judge_coupling(near, "copies at the ends of the link")}

    return Experiment(
        name="coupling", title="Coupling", jobs=lambda: [(coupled, (seed,)) for seed in (1, 2)], judge=judge,
        wrong=wrong,
    )  # fmt: skip


EXPERIMENTS = (_coupling(),)
