"""Short simulated runs through the public door, and a pool that shares them out.

A run is a scenario as text and a seed. `simulate` reads the Result of `sim.run`; `simulate_traced` is the command line,
which also writes the trace into a run folder. Both raise RunFailed unless the verdict is pass: a law that is held
against a broken run says nothing.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import polars as pl

import sim
from sim.__main__ import main as command_line

Job = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function at the top of a module and its arguments, so that another process can call it."""

PULL = "GET /v1/federation/facts"
"""What a pull is called in a trace."""


class RunFailed(Exception):
    """A run of the validation did not pass: one sentence."""


@dataclass(frozen=True)
class Outcome:
    """What came out of a run: run.json, a row per copy, and the events of the trace where it was written."""

    numbers: dict[str, Any]
    facts: pl.DataFrame
    events: tuple[list[Any], ...] = ()

    def copies(self) -> pl.DataFrame:
        """The rows of copies outside their origins."""
        return self.facts.filter(pl.col("node") != pl.col("origin"))

    def sent(self, kind: str) -> list[list[Any]]:
        """Messages of a kind that went through: [t_ns, "sent", source, target, kind, bytes, checksum, delay_ns]."""
        return [event for event in self.events if event[1] == "sent" and event[4] == kind]

    def tried(self, kind: str) -> list[list[Any]]:
        """Messages of a kind, those that were lost included: [t_ns, "sent" or "dropped", source, target, kind, ...]."""
        return [event for event in self.events if event[1] in ("sent", "dropped") and event[4] == kind]


def scenario(*tables: str, duration: str, settle: str = "2m", **federation: str) -> str:
    """A scenario with the cheap stand-in signatures, and rests without jitter unless `pull_jitter` is given: `tables`
    as TOML, keys of `[federation]` as TOML values."""
    keys = "\n".join(f"{key} = {value}" for key, value in ({"pull_jitter": "0"} | federation).items())
    head = f'name = "validation"\nduration = "{duration}"\nsettle = "{settle}"\nsignatures = "stand-in"'
    return "\n".join([f"[scenario]\n{head}", f'[federation]\nscopes = ["public"]\n{keys}', *tables])


def simulate(text: str, seed: int) -> Outcome:
    """Run a scenario text with a seed."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "scenario.toml")
        path.write_text(text, encoding="utf-8")
        result = sim.run(path, seed=seed)
    return Outcome(_passed(result.run_json), result.facts())


def simulate_traced(text: str, seed: int) -> Outcome:
    """The same by the command line, with the trace; facts come from the parquet file."""
    with TemporaryDirectory() as folder:
        path, out = Path(folder, "scenario.toml"), Path(folder, "run")
        path.write_text(text, encoding="utf-8")
        said = io.StringIO()
        words = ["stigmem-sim", "run", str(path), "--seed", str(seed), "--out", str(out), "--no-figures"]
        with patch.object(sys, "argv", words), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = command_line()
        if status not in (0, 1, 3):
            raise RunFailed(f"the command line ended with {status}: {said.getvalue().strip()}")
        with gzip.open(out / "trace.jsonl.gz") as file:
            events = tuple(list(json.loads(line).values()) for line in file)  # members stand in the order told
        return Outcome(_passed(json.loads((out / "run.json").read_bytes())), _copied(out / "facts.parquet"), events)


def _copied(path: Path) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(path.read_bytes()))  # the file is gone before a lazy reader would look at it


def _passed(numbers: dict[str, Any]) -> dict[str, Any]:
    if numbers["verdict"] != "pass":
        bad = [check["detail"] for check in numbers["checks"] if not check["ok"]]
        raise RunFailed(f"seed {numbers['seed']}: verdict {numbers['verdict']}: {'; '.join(bad)}")
    return numbers


def in_chunks(function: Callable[..., Any], seeds: Iterable[int], size: int, *arguments: Any) -> list[Job]:
    """Jobs that call `function(seeds, *arguments)` for so many seeds at a time."""
    each = list(seeds)
    return [(function, (tuple(each[at : at + size]), *arguments)) for at in range(0, len(each), size)]


def share_out(jobs: Sequence[Job], processes: int, told: Callable[[int, int], None]) -> list[Any]:
    """The results of all jobs in their order; `told` hears how many are done, of how many."""
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        results: Iterable[Any] = map(_call, jobs)
        if processes > 1:
            context = get_context("forkserver")
            context.set_forkserver_preload(["tests.validation.everything"])
            pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_calm)
            results = stack.enter_context(pool).map(_call, jobs)
        for result in results:
            found.append(result)
            told(len(found), len(jobs))
    return found


def _call(job: Job) -> Any:
    function, arguments = job
    return function(*arguments)


def _calm() -> None:
    """Workers leave the machine to whoever else needs it."""
    os.nice(5)
