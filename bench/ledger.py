"""What the ledger costs: writes and point queries from a thousand to a million facts, and bytes per fact.

One ledger grows through all sizes, so that each row sees the caches and the memory of a ledger that lived.
Only the pure path is measured: stamp, id and indexes, without signatures, journal and actors. Ratios compare
with the smallest size of the same run; they, not the times, are what a change must not spoil.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter_ns
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from stigmem.core.fact import Fact
from stigmem.core.hlc import ZERO, stamp, stamp_wall_ms, tick
from stigmem.core.ledger import Ledger
from stigmem.core.query import FactQuery, run_query
from stigmem.core.timestamps import format_us

__all__ = ["Row", "main", "measure"]

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES: Final = SIZES[:3]
PROBES: Final = 2_000
_START_MS: Final = 1_795_161_344_436
_NODE: Final = "stigmem:node:bench"
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1_024


@dataclass(frozen=True, slots=True)
class Row:
    """The costs at one size; times are medians in nanoseconds, `assert_ns` a mean over the way to this size."""

    facts: int
    assert_ns: float
    add_ns: float
    late_add_ns: float
    get_ns: float
    triple_ns: float
    page_ns: float
    deep_page_ns: float
    bytes_per_fact: float
    rss_bytes: int


class Writer:
    """Writes facts as a node does: tick, draft, certified id, add."""

    def __init__(self, random: Random) -> None:
        self.ledger = Ledger()
        self.ledger.advance(_START_MS * 1_000)
        self._random = random
        self._clock = ZERO
        self._relations = [sys.intern(f"maint:relation-{n}") for n in range(40)]
        self._sources = [sys.intern(f"agent:source-{n}") for n in range(64)]

    def draft(self) -> Fact:
        """A new fact without id: five an entity, a tenth of them on a hundred contested slots, some retractions
        and some that expire."""
        random, number = self._random, len(self.ledger)
        wall = _START_MS + number // 4
        self._clock = tick(self._clock, wall)
        hot = random.random() < 0.1
        entity = random.randrange(100) if hot else 100 + random.randrange(number // 5 + 1)
        relation = self._relations[0] if hot else self._relations[random.randrange(len(self._relations))]
        fate = random.random()
        source = self._sources[random.randrange(len(self._sources))]
        until = format_us((wall + random.randrange(10**9)) * 1_000) if fate > 0.95 else None
        return Fact(
            self._clock, _NODE, "", sys.intern(f"stigmem://lab.example/device/d{entity}"), relation, "public", source,
            "string", f"value {random.randrange(1_000)}", "content", 0.0 if fate < 0.02 else 1.0, wall * 1_000, until,
        )  # fmt: skip

    def write(self, draft: Fact) -> None:
        """Give a draft its id and number, and add it."""
        fact = msgspec.structs.replace(draft, id=draft.certified_id(), seq=len(self.ledger) + 1)
        self.ledger.add(fact)

    def late(self, draft: Fact) -> Fact:
        """The draft as another node wrote it, somewhere in the past of this ledger."""
        wall = self._random.randrange(_START_MS, stamp_wall_ms(self._clock) + 1)
        return msgspec.structs.replace(draft, stamp=stamp(wall, 500), origin="stigmem:node:late")


def measure(sizes: Sequence[int] = SIZES) -> Iterator[Row]:
    """Grow one ledger through the sizes and measure at each."""
    gc.collect()
    empty_bytes = _rss_bytes()
    writer = Writer(Random(1))
    for size in sizes:
        assert_ns = _grow(writer, size - 2 * PROBES if size > 2 * PROBES else size // 2)
        rss_bytes = _rss_bytes()
        per_fact = (rss_bytes - empty_bytes) / len(writer.ledger)
        add_ns = _median(_adds(writer, PROBES, late=False))
        late_ns = _median(_adds(writer, PROBES, late=True))
        yield Row(size, assert_ns, add_ns, late_ns, *_queries(writer.ledger), per_fact, rss_bytes)


def _grow(writer: Writer, size: int) -> float:
    spent_ns = 0
    count = size - len(writer.ledger)
    for _ in range(count):
        draft = writer.draft()  # made outside the measured time: chance is not the ledger's cost
        begun_ns = perf_counter_ns()
        writer.write(draft)
        spent_ns += perf_counter_ns() - begun_ns
    return spent_ns / count


def _adds(writer: Writer, count: int, *, late: bool) -> Iterator[Callable[[], None]]:
    for _ in range(count):
        draft = writer.draft()
        if late:
            draft = writer.late(draft)
        fact = msgspec.structs.replace(draft, id=draft.certified_id(), seq=len(writer.ledger) + 1)
        yield lambda fact=fact: writer.ledger.add(fact)  # type: ignore[misc]


def _queries(ledger: Ledger) -> tuple[float, float, float, float]:
    random = Random(2)
    picked = [ledger.log[random.randrange(len(ledger))] for _ in range(PROBES)]
    middle = FactQuery(limit=50, include_contradicted=True, include_expired=True)
    deep = msgspec.structs.replace(middle, cursor=_half_way(ledger))
    return (
        _median(lambda f=f: ledger.get(f.id) for f in picked),  # type: ignore[misc]
        _median(lambda q=q: run_query(ledger, q) for q in map(_triple_query, picked)),  # type: ignore[misc]
        _median(lambda: run_query(ledger, middle) for _ in range(PROBES // 10)),
        _median(lambda: run_query(ledger, deep) for _ in range(PROBES // 10)),
    )


def _half_way(ledger: Ledger) -> str | None:
    """The cursor after half of the facts."""
    query = FactQuery(limit=10_000, include_contradicted=True, include_expired=True)
    seen = 0
    while True:
        page = run_query(ledger, msgspec.structs.replace(query, limit=min(query.limit, len(ledger) // 2 - seen)))
        seen += len(page.facts)
        if seen >= len(ledger) // 2 or page.cursor is None:
            return page.cursor
        query.cursor = page.cursor


def _triple_query(fact: Fact) -> FactQuery:
    return FactQuery(entity=fact.entity, relation=fact.relation, scope=fact.scope, limit=1)


def _median(acts: Iterator[Callable[[], object]]) -> float:
    times = []
    for act in acts:
        begun_ns = perf_counter_ns()
        act()
        times.append(perf_counter_ns() - begun_ns)
    return statistics.median(times)


def _rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


_MEDIANS: Final = (
    ("add in order", "add_ns"), ("add late", "late_add_ns"), ("get by id", "get_ns"),
    ("newest of a triple", "triple_ns"), ("newest 50", "page_ns"), ("50 from the middle", "deep_page_ns"),
)  # fmt: skip


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Ledger: medians in µs, in brackets times the smallest size")
    table.add_column("facts")
    for row in rows:
        table.add_column(f"{row.facts:,}", justify="right", no_wrap=True)
    table.add_row("asserts/s, mean", *(f"{1e9 / row.assert_ns:,.0f}" for row in rows))
    for title, name in _MEDIANS:
        costs = [getattr(row, name) for row in rows]
        table.add_row(title, *(f"{cost / 1_000:.1f} ({cost / costs[0]:.1f})" for cost in costs))
    table.add_row("bytes per fact", *(f"{row.bytes_per_fact:,.0f}" for row in rows))
    table.add_row("RSS in MiB", *(f"{row.rss_bytes / 2**20:,.0f}" for row in rows))
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="stop at a hundred thousand facts")
    given = parser.parse_args(argv)
    console = Console()
    console.print(_table(list(measure(QUICK_SIZES if given.quick else SIZES))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
