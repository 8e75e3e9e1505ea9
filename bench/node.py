"""What a deployed node does, beside the published reference in its own environment: `python -m bench.node`.

Pairs of runs, one after the other on the same machine, each against a fresh node in a process of its own; the ratio
of a pair is what counts. Loads come from yet another process (`bench.node_load`), replication is
`bench.node_replication`, the nodes are made by `bench.node_sides`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.node_load import Load, Measured, run
from bench.node_replication import catch_up_ours, catch_up_reference, lag
from bench.node_sides import behind_hypercorn, cpu_s, memory_mib, ours, reference, reference_environment
from tests.interop.ours import OurNode

__all__ = ["Bench", "Row", "main"]

_LIMITED: Final = "*"
"""Marks a number for which the load generator was the limit."""
_ROUNDS: Final = 3
_SERVER_AIMS: Final = {"query": ">= 2.6x", "write": ">= 2.1x", "health": ">= 4.8x"}
"""Four fifths of what a throw-away server without TLS and limits had."""
_LOADED: Final = re.compile(r"(\d+) facts? loaded in ([0-9.]+) s")


class Row(NamedTuple):
    """One line of the table; texts, with `target` as the issue words it."""

    what: str
    ours: str
    reference: str = "-"
    ratio: str = "-"
    target: str = ""


class Sizes(NamedTuple):
    """How much of everything."""

    seconds: float
    facts: tuple[int, int, int]
    catch_up: tuple[int, int]
    reference_facts: int
    lag_s: float


FULL: Final = Sizes(4.0, (10_000, 100_000, 1_000_000), (5_000, 100_000), 5_000, 20.0)
QUICK: Final = Sizes(1.5, (1_000, 10_000, 100_000), (1_000, 10_000), 300, 5.0)


PARTS: Final = ("writes", "servers", "batches", "sizes", "catch_up", "lags")
"""The measurements, by the names of the methods below."""


class Bench:
    """One run of all measurements; `reference` is the folder of its environment, or None."""

    def __init__(self, directory: Path, sizes: Sizes, folder: Path | None) -> None:
        self._directory = directory
        self._sizes = sizes
        self._folder = folder
        self._runs = 0

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        self._runs += 1
        with tempfile.TemporaryDirectory(dir=self._directory, prefix=f"{self._runs}-") as made:
            yield Path(made)

    def _beside(self, load: Load, *, auth: bool, facts: int = 0) -> Measured | None:
        """What the reference does under the same load."""
        if self._folder is None:
            return None
        with self._fresh() as directory, reference(self._folder, directory / "reference", auth=auth) as node:
            for n in range(1, facts + 1):
                node.put(f"user:person-{n}", "string", f"role {n}", relation="memory:role")
            return run(_aimed(load, node.port, node.key if auth else "", facts or load.facts))

    # --- the measurements, each a few rows ---

    def writes(self) -> Iterator[Row]:
        """Single durable writes."""
        for auth, target in ((False, ">= 10x"), (True, ">= 20x")):
            for connections in (1, 16, 64):
                load = Load(port=0, what="write", connections=connections, seconds=self._sizes.seconds)
                with self._fresh() as directory, ours(directory / "ours", auth=auth) as node:
                    mine = run(_aimed(load, node.port, node.key if auth else "", 0))
                theirs = self._beside(load, auth=auth)
                what = f"writes/s, {connections} connection{'s' * (connections > 1)}, auth {'on' if auth else 'off'}"
                yield _pair(what, mine, theirs, target)

    def servers(self) -> Iterator[Row]:
        """The same application behind our server and behind hypercorn, in turn; CPU is what one request costs."""
        facts = self._sizes.facts[1]
        with (
            self._fresh() as directory,
            ours(directory / "ours", facts=facts) as mine,
            behind_hypercorn(directory / "hypercorn", facts=facts) as theirs,
        ):
            for load in (
                Load(port=0, what="query", connections=16, seconds=self._sizes.seconds, facts=facts),
                Load(port=0, what="write", connections=16, seconds=self._sizes.seconds),
                Load(port=0, what="health", connections=16, seconds=self._sizes.seconds),
            ):
                pairs = [(_cost(load, mine), _cost(load, theirs)) for _ in range(_ROUNDS)]
                rates = [(one.per_s, two.per_s) for (one, _), (two, _) in pairs]
                costs = [(one, two) for (_, one), (_, two) in pairs]
                yield Row(
                    f"{load.what}/s, 16 connections (hypercorn)",
                    *(f"{median(side):,.0f}" for side in zip(*rates, strict=True)),
                    f"{median(a / b for a, b in rates):.1f}x",
                )
                yield Row(
                    "  CPU of one, us",
                    *(f"{median(side):,.0f}" for side in zip(*costs, strict=True)),
                    f"{median(b / a for a, b in costs):.1f}x",
                    _SERVER_AIMS[load.what],
                )

    def batches(self) -> Iterator[Row]:
        """Facts in batches of 500."""
        with self._fresh() as directory, ours(directory / "ours") as node:
            found = run(Load(port=node.port, what="batch", connections=4, seconds=self._sizes.seconds))
        yield Row("batch asserts, facts/s, 4 connections", f"{500 * found.per_s:,.0f}", "no route", "-", ">= 20,000")

    def sizes(self) -> Iterator[Row]:
        """Point queries, memory and start-up as the node grows."""
        base = 0.0
        load = Load(port=0, what="query", connections=1, seconds=self._sizes.seconds)
        for facts in self._sizes.facts:
            with self._fresh() as directory, ours(directory / "ours", facts=facts) as node:
                alone = run(_aimed(load, node.port, "", facts))
                mib, start_s = memory_mib(node.pid), _start_s(node.directory / "log.txt")
                base = base or alone.p50_ms
                yield Row(
                    f"point query, {facts:,} facts, median ms", f"{alone.p50_ms:.2f}", "-",
                    f"{alone.p50_ms / base:.2f}x the smallest", "<= 1.5x",
                )  # fmt: skip
                if facts == self._sizes.facts[1]:
                    many = Load(port=0, what="query", connections=16, seconds=self._sizes.seconds)
                    mine = run(_aimed(many, node.port, "", facts))
                    held = min(self._sizes.reference_facts, 1_000)
                    theirs = self._beside(many, auth=False, facts=held)
                    yield _pair(f"point queries/s, {facts:,} facts (reference: {held:,})", mine, theirs, ">= 25x")
                limit = {100_000: "<= 2 s", 1_000_000: "<= 20 s"}.get(facts, "")
                yield Row(f"start-up, {facts:,} facts, s", f"{start_s:.2f}", target=limit)
                cap = "<= 1,024" if facts == 1_000_000 else ""
                yield Row(f"memory, {facts:,} facts, MiB", f"{mib:,.0f}", target=cap)

    def catch_up(self) -> Iterator[Row]:
        """A new node reads a history."""
        theirs = None
        if self._folder is not None:
            with self._fresh() as directory:
                theirs = catch_up_reference(self._folder, directory, self._sizes.reference_facts)
        for facts in self._sizes.catch_up:
            with self._fresh() as directory:
                mine = catch_up_ours(directory, facts)
            beside = f"{theirs.per_s:,.0f}" if theirs else "-"
            ratio = f"{mine.per_s / theirs.per_s:,.0f}x" if theirs else "-"
            yield Row(f"catch-up, {facts:,} facts, facts/s", f"{mine.per_s:,.0f}", beside, ratio, ">= 50x")
            yield Row("  /healthz of the reader meanwhile, p99 ms", f"{mine.healthz_p99_ms:.1f}", target="< 50")

    def lags(self) -> Iterator[Row]:
        """How late news is at 100 writes a second."""
        with self._fresh() as directory:
            found = lag(directory, rate=100, seconds=self._sizes.lag_s)
        named = f"lag with wait, {found.per_s:.0f} writes/s"
        yield Row(f"{named}, median ms", f"{found.median_ms:.1f}", target="< 50")
        yield Row(f"{named}, p99 ms", f"{found.p99_ms:.1f}", target="< 250")


def _cost(load: Load, node: OurNode) -> tuple[Measured, float]:
    """What a load measured, and the processor time of one request in microseconds."""
    before = cpu_s(node.pid)
    found = run(_aimed(load, node.port, "", load.facts))
    return found, 1e6 * (cpu_s(node.pid) - before) / found.requests


def _aimed(load: Load, port: int, key: str, facts: int) -> Load:
    return Load(
        port=port, key=key, facts=facts, what=load.what, connections=load.connections, seconds=load.seconds,
        rate=load.rate, label=load.label,
    )  # fmt: skip


def _pair(what: str, mine: Measured, theirs: Measured | None, target: str) -> Row:
    for side, found in (("ours", mine), ("the reference", theirs)):
        if found is not None and found.errors:
            raise SystemExit(f"{what}: {side} answered {found.errors} of {found.requests} requests with an error")
    shown = f"{mine.per_s:,.0f}{_LIMITED if mine.is_limit else ''}"
    if theirs is None:
        return Row(what, shown, target=target)
    return Row(what, shown, f"{theirs.per_s:,.0f}", f"{mine.per_s / theirs.per_s:,.1f}x", target)


def _start_s(log: Path) -> float:
    """How long loading took, as the node said when it started."""
    found = _LOADED.search(log.read_text())
    if found is None:
        raise SystemExit("the node did not say how long it took to load")
    return float(found[2])


def _table(rows: Sequence[Row], console: Console) -> None:
    table = Table("what", "ours", "reference", "ratio", "target", title="A deployed node beside the reference")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if any(_LIMITED in row.ours for row in rows):
        console.print(f"{_LIMITED} the load generator was busy all the time: the node can do more")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print one table; the exit status is 0 whatever the numbers are."""
    parser = argparse.ArgumentParser(prog="python -m bench.node", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and shorter runs: about two minutes")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    given = parser.parse_args(arguments)
    folder = reference_environment()
    console = Console()
    if isinstance(folder, str):
        console.print(f"No numbers of the reference: {folder}.")
    with tempfile.TemporaryDirectory(prefix="stigmem-bench-") as directory:
        bench = Bench(Path(directory), QUICK if given.quick else FULL, None if isinstance(folder, str) else folder)
        rows = []
        for name in given.only or PARTS:
            for row in getattr(bench, name)():
                console.print(" | ".join(part for part in row if part), highlight=False)
                rows.append(row)
    _table(rows, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
