"""`python -m bench` (or `make bench`): every measurement of speed, as one table with ratios.

Progress goes to standard error, the table to standard output. Nothing is asserted: a slow machine is no failure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console

from bench import delivery, ledger, scenarios
from bench.table import Line, table_of

__all__ = ["PARTS", "main"]

_FILE_WIDTH: Final = 140
_WEIGHED_MIN: Final = 100_000
_EXAMPLES: Final = """\
examples:
  python -m bench                       everything: ten minutes or so
  python -m bench --quick               everything on a small scale: about a minute
  python -m bench --only delivery       one part
  python -m bench --only soak shares    two parts
"""


def _delivery(*, quick: bool) -> Iterator[Line]:
    part = "Delivery to trio actors, times a bare heapq loop"
    for row in delivery.measure(messages=20_000 if quick else 100_000, rounds=3 if quick else 7):
        beside = "SimPy is not installed" if row.simpy is None else f"SimPy {row.simpy:.1f}x"
        measured, ratio = f"{row.per_s:,.0f} messages/s", f"{row.trio:.1f}x ({beside})"
        yield Line(part, f"{row.actors:,} actors", measured, ratio, "5x, and SimPy's")


def _soak(*, quick: bool) -> Iterator[Line]:
    for signatures, aim in (("ed25519", "2,160x (120 s)"), ("stand-in", "5,760x (45 s)")):
        pace = scenarios.soak(signatures, hours=2 if quick else None)
        yield _pace("four-node-soak", f"{signatures} signatures", pace, aim)


def _hundred(*, quick: bool) -> Iterator[Line]:
    yield _pace("hundred-nodes", "ed25519 signatures", scenarios.hundred_nodes(minutes=3 if quick else None), "50x")


def _pace(part: str, what: str, pace: scenarios.Pace, aim: str) -> Line:
    scale = f"{pace.requests:,} requests, {pace.facts:,} facts"
    measured = f"{pace.simulated_s / 3600:,.2f} h in {pace.cpu_s:,.1f} s; {scale}"
    return Line(part, f"{what} ({pace.verdict})", measured, f"{pace.times_real:,.0f}x real time", aim)


def _shares(*, quick: bool) -> Iterator[Line]:
    for part, share in scenarios.shares(hours=1 if quick else 4):
        yield Line("What the soak spends its time on (from a profile)", part, "", f"{share:.0%}", "")


def _ledger(*, quick: bool) -> Iterator[Line]:
    part = "Ledger without signatures, journal and actors, times the first size"
    rows = list(ledger.measure(ledger.SIZES[:2] if quick else ledger.SIZES))
    for row in rows:
        # Below a hundred thousand facts the process still fills memory that it had, so the quotient says nothing.
        shown = row.bytes_per_fact and row.facts >= _WEIGHED_MIN
        memory = f", {row.bytes_per_fact:,.0f} bytes a fact" if shown else ""
        measured = f"{1e9 / row.assert_ns:,.0f} asserts/s{memory}"
        ratio = f"add {row.add_ns / rows[0].add_ns:.1f}x, query {row.triple_ns / rows[0].triple_ns:.1f}x"
        yield Line(part, f"{row.facts:,} facts", measured, ratio, "100,000/s" if row is rows[0] else "1x")


PARTS: Final[dict[str, Callable[..., Iterator[Line]]]] = {
    "ledger": _ledger,  # first: its memory is read from the most that this process ever held
    "delivery": _delivery,
    "soak": _soak,
    "hundred": _hundred,
    "shares": _shares,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print the table; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the speed of the laboratory and the ledger.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and shortened scenarios")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args(argv)
    progress = Console(stderr=True)
    lines: list[Line] = []
    for name in [name for name in PARTS if not given.only or name in given.only]:
        with progress.status(f"measuring: {name}"):
            for line in PARTS[name](quick=given.quick):
                lines.append(line)
                progress.print(f"{line.part}: {line.what}: {line.ratio}", highlight=False, markup=False)
    output = Console()
    if not output.is_terminal:
        output = Console(width=_FILE_WIDTH)
    output.print(table_of(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
