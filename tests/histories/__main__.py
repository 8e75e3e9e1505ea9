"""The command: many histories, in several processes, and the smallest history of each that fails."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.histories.draw import drawn, told
from tests.histories.trial import failure, shrunk

_CHUNK = 500
_FAILURES_SHOWN = 5


def _chunk(seed: int, begin: int, end: int) -> list[str]:
    """The seeds that fail among those with these numbers."""
    return [name for number in range(begin, end) if failure(drawn(name := f"{seed}/{number}")) is not None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many histories are drawn (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other histories (default: 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a processor)")
    parser.add_argument("--only", metavar="SEED/NUMBER", help="the one history of that name, told and judged")
    given = parser.parse_args()
    if given.only is not None:
        history = drawn(given.only)
        wrong = failure(history)
        print(told(history) if wrong is None else told(shrunk(history)))
        print("the ledger and the page agree" if wrong is None else failure(shrunk(history)))
        return int(wrong is not None)
    if given.count < 1 or given.jobs < 1:
        parser.error("--count and --jobs are at least 1")
    begun, failed, done = time.monotonic(), [], 0
    with ProcessPoolExecutor(given.jobs) as pool:
        begins = range(0, given.count, _CHUNK)
        ends = [min(begin + _CHUNK, given.count) for begin in begins]
        for end, found in zip(ends, pool.map(_chunk, [given.seed] * len(ends), begins, ends), strict=True):
            failed += found
            done = end
            print(f"\r{done} of {given.count} histories, {len(failed)} failed", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name in failed[:_FAILURES_SHOWN]:
        small = shrunk(drawn(name))
        print(f"{told(small)}\n{failure(small)}\nagain: python -m tests.histories --only {name}\n")
    took_s = time.monotonic() - begun
    differ = f"{len(failed)} on which the ledger and the page differ"
    print(f"{done} histories of seed {given.seed}, {differ} ({took_s:.0f} s)")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
