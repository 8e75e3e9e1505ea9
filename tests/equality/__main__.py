"""`python -m tests.equality record|check|show`: see the head of the package.

check            everything; the first difference in words, and exit status 1
check --short    the node script and every quick scenario with one seed: about a minute, before landing anything
check --node     the node script alone; `--name NAME` one scenario, or the steps of the script whose name has NAME
record           the same choices; writes what it ran into tests/data/equality.json and leaves the rest of it alone
show STEP        what the step of that number was answered, stored and said on the wire, in clear. Run it here and in a
                 worktree of the commit that recorded, and compare with `diff`
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from tests.equality.node_script import run_script
from tests.equality.scenarios import ROOT, absent, run_one, runs_wanted, summary
from tests.equality.transcript import PARTS, Step

__all__ = ["compare_steps", "first_difference", "recorded"]

FILE = ROOT / "tests" / "data" / "equality.json"


def recorded() -> dict[str, Any]:
    """What was recorded: `node` (step -> digests) and `scenarios` (name -> seed -> summary)."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {"node": {}, "scenarios": {}}
    return found


def first_difference(name: str, seed: int, wanted: dict[str, Any] | None, found: dict[str, Any]) -> str:
    """How a run differs from the recorded one, or nothing."""
    if wanted is None:
        return f"{name} with seed {seed} was never recorded"
    differ = [f"{key} is {found[key]}, recorded was {wanted[key]}" for key in wanted if found[key] != wanted[key]]
    return f"{name} with seed {seed}: {'; '.join(differ)}" if differ else ""


def compare_steps(steps: Sequence[Step], wanted: dict[str, dict[str, str]]) -> str:
    """The first step of the script that differs from the recorded one, in words, or nothing."""
    for step, name in zip(steps, wanted, strict=False):
        if step.name != name:
            return f"the script has step {step.name!r} where {name!r} was recorded: record it again on the old code"
        found = step.digests()
        for part in PARTS:
            if found[part] != wanted[name][part]:
                return (
                    f"step {name!r}: its {part} are not those recorded. Seen now: {found['seen']!r}; "
                    f"then: {wanted[name]['seen']!r}. `python -m tests.equality show {name[:3]}` prints it in clear"
                )
    if len(steps) != len(wanted):
        return f"the script has {len(steps)} steps, recorded were {len(wanted)}"
    return ""


def clear(part: str, line: bytes) -> str:
    """A line of a step as one can read it: rows are MessagePack, the others text."""
    machine, kind, row = line.split(b" ", 2)
    if part == "rows" and kind != b"line":
        return f"{machine.decode()} {kind.decode()} {msgspec.msgpack.decode(bytes.fromhex(row.decode()))[1:]}"
    return line.decode("utf-8", "backslashreplace")


def _show(number: int) -> int:
    step = run_script()[number - 1]
    print(step.name)
    for part in PARTS:
        print(f"\n[{part}]")
        for line in step.lines(part):
            print(clear(part, line))
    return 0


def _runs(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    wanted = []
    for name, seed in runs_wanted(short=arguments.short):
        if arguments.node or (arguments.name and arguments.name != name):
            continue
        missing = absent(name)
        if missing:
            print(f"{name} is left out: {missing[0]} is not there", flush=True)
        else:
            wanted.append((name, seed))
    return wanted


def _node(arguments: argparse.Namespace, known: dict[str, Any]) -> str:
    if arguments.name and not arguments.node:
        return ""
    began = time.perf_counter()
    steps = run_script()
    print(f"node script: {len(steps)} steps in {time.perf_counter() - began:.1f} s", flush=True)
    if arguments.verb == "record":
        known["node"] = {step.name: step.digests() for step in steps}
        return ""
    return compare_steps(steps, known["node"])


def _scenarios(arguments: argparse.Namespace, known: dict[str, Any]) -> str:
    runs = _runs(arguments)
    if arguments.runs:
        found = [_taken(arguments.runs, name, seed) for name, seed in runs]
        results = iter(found)
        return _each(arguments, known, runs, results)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        return _each(arguments, known, runs, pool.map(lambda run: run_one(*run), runs))


def _taken(folder: Path, name: str, seed: int) -> dict[str, Any]:
    return summary(json.loads((folder / f"{name}.{seed}.json").read_text()))


def _each(arguments: argparse.Namespace, known: dict[str, Any], runs: Sequence[tuple[str, int]], results: Any) -> str:
    first = ""
    for (name, seed), found in zip(runs, results, strict=True):
        seeds = known["scenarios"].setdefault(name, {})
        if arguments.verb == "record":
            seeds[str(seed)] = found
            print(f"{name} with seed {seed}: recorded", flush=True)
            continue
        difference = first_difference(name, seed, seeds.get(str(seed)), found)
        print(difference or f"{name} with seed {seed}: the same", flush=True)
        first = first or difference
    return first


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.equality", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=("record", "check", "show"))
    parser.add_argument("step", nargs="?", type=int, help="for show: the number of a step")
    parser.add_argument("--short", action="store_true", help="each quick scenario once")
    parser.add_argument("--node", action="store_true", help="the node script alone")
    parser.add_argument("--name", "--only", default="", help="one scenario")
    parser.add_argument("--jobs", type=int, default=1, help="runs at one time")
    parser.add_argument(
        "--runs", type=Path, help="take run.json files NAME.SEED.json of this folder instead of running"
    )
    arguments = parser.parse_args()
    if arguments.verb == "show":
        return _show(arguments.step or 1)
    known = recorded()
    first = _node(arguments, known)
    if first:
        print(first, flush=True)
    first = _scenarios(arguments, known) or first
    if arguments.verb == "record":
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(known, indent=1) + "\n")
        return 0
    print("DIFFERENT: the sentences above say where" if first else "the same")
    return 1 if first else 0


if __name__ == "__main__":
    sys.exit(main())
