"""A worker: a process that has loaded the simulator once and then runs one job after the other.

What loading costs is half a second, fifty times a short run: a process for every seed does 1.6 of them in a second, a
worker that stays tens. Jobs come as pickles on stdin, each after its length in 8 bytes, from the process that started
this one and from nobody else; rows go back as lines of JSON. What anything else prints goes to stderr. At the end of
its input the worker ends, so that it never outlives who started it.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any, BinaryIO, Final, NamedTuple

from sim.analysis.outcome import Outcome
from sim.analysis.verdict import BOUNDS
from sim.runner import run_plan
from sim.scenario.planning import make_plan
from sim.scenario.reading import BadScenario, typed

__all__ = ["LENGTH_BYTES", "Job", "Measure", "metrics_of", "run_job"]

LENGTH_BYTES: Final = 8


Measure = Callable[[Outcome], dict[str, Any]]
"""What else is to be told of a run: a function of a module, which every worker can import, to what JSON can hold."""


class Job(NamedTuple):
    """One run: the plain values of a scenario whose data files are looked for in `folder`, with a seed."""

    values: dict[str, Any]
    folder: Path
    seed: int
    allow_plugins: bool = False
    measure: Measure | None = None


def run_job(job: Job) -> dict[str, Any]:
    """The row of a run: its verdict, its metrics, what was turned away by code, and the values of what is expected over
    seeds and to be met. A scenario that cannot be run with this seed, and a bug of ours, are rows with an `error`."""
    begun = process_time()
    try:
        scenario = typed(job.values, folder=job.folder, allow_plugins=job.allow_plugins)
        outcome = run_plan(make_plan(scenario, job.folder, job.seed))
    except BadScenario as error:
        return {"verdict": "error", "error": str(error)}
    except Exception:
        return {"verdict": "error", "error": traceback.format_exc()}
    checks = [check for check in outcome.checks if check.ok is False]
    missed = [each for each in outcome.expectations if each.ok is False]
    names = [check.name for check in checks] + [each.name for each in missed]
    return {
        "verdict": outcome.verdict,
        "failed": names,
        "sentences": [
            *(f"{check.name}: {check.detail}" for check in checks),
            *(f"{each.name} is {each.value}, expected {BOUNDS[each.bound]} {each.limit:g}" for each in missed),
            *(f"{check.name}: {check.detail}" for check in outcome.checks if check.ok is None and not names),
        ],
        "metrics": metrics_of(outcome),
        **({} if job.measure is None else {"measured": job.measure(outcome)}),
        "rejections": outcome.run_json["rejections"],
        "over_seeds": outcome.run_json.get("over_seeds", []),
        "reach": outcome.run_json.get("reach", []),
        "digest": outcome.run_json["trace_digest"],
        "cpu_s": round(process_time() - begun, 3),
    }


def metrics_of(outcome: Outcome) -> dict[str, float | None]:
    """The metrics of `sim.scenario.metrics` by name, as run.json tells them; those of codes where there were any."""
    run = outcome.run_json
    found: dict[str, float | None] = {}
    for kind in ("lag", "comeback", "joining"):
        found |= {f"{kind}.{name[:-2]}": value for name, value in run[kind].items() if name.endswith("_s")}
    for kind, table in run["lag_per_fact"].items():
        found |= {f"lag_{kind}.{name[:-2]}": value for name, value in table.items()}
    found["catch_up"] = max((each["took_s"] for each in run["catch_up"]), default=None)
    for each in run["catch_up"]:
        if each["name"] is not None:
            name = f"catch_up.{each['name']}"
            found[name] = max(each["took_s"], found.get(name) or 0.0)
    found["convergence"] = run["convergence_s"]
    found |= {f"conflicts.{name}": count for name, count in run["conflicts"].items()}
    for name in ("missing", "facts", "nodes", "requests", "bytes", "bytes_delivered", "bytes_lost", "events",
                 "destroyed"):  # fmt: skip
        found[name] = run[name]
    found["rejections"] = sum(run["rejections"].values())
    found["refused_writes"] = sum(run["refused_writes"].values())
    return found


def _serve(jobs: BinaryIO, rows: BinaryIO) -> None:
    while len(head := jobs.read(LENGTH_BYTES)) == LENGTH_BYTES:
        job: Job = pickle.loads(jobs.read(int.from_bytes(head)))  # noqa: S301 - from the process that started this one
        rows.write(json.dumps(run_job(job)).encode() + b"\n")
        rows.flush()


def main() -> None:
    """Serve jobs until stdin ends."""
    rows = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    rows.write(b"ready\n")
    rows.flush()
    try:
        _serve(sys.stdin.buffer, rows)
    except BrokenPipeError:  # who started this one was killed, and reads no more rows
        os.dup2(os.open(os.devnull, os.O_WRONLY), rows.fileno())  # so that what is still buffered goes somewhere


if __name__ == "__main__":
    main()
