"""The run folder: run.json, the trace, facts.parquet, figures, and the scenario as it ran with its data.

All that a rerun needs is inside: the seed is written into the scenario and data files are copied. A folder that
holds an earlier run is cleared of it first; files that are not ours are never touched.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from sim.analysis.frames import catch_ups_in, copies_in, recalls_in, samples_in, stops_frame, stops_in
from sim.analysis.outcome import TAIL, Outcome, encode_run
from sim.analysis.verdict import ExpectationResult
from sim.check.base import CheckResult
from sim.diagnostics.toml_text import toml_text
from sim.report.evidence import clear_evidence, read_files, read_unsigned, write_evidence
from sim.scenario.plan import Plan
from sim.scenario.planning import load_plan
from sim.scenario.reading import plain_values
from sim.world.trace import read_trace

__all__ = [
    "DIGESTS", "FACTS", "RUN", "SCENARIO", "TRACE", "TRACEBACK", "BadFolder", "folder_name", "open_folder",
    "opening_comments", "read_outcome", "read_run", "write_folder", "write_traceback",
]  # fmt: skip

RUN: Final = "run.json"
TRACE: Final = "trace.jsonl.gz"
FACTS: Final = "facts.parquet"
SAMPLES: Final = "samples.parquet"
FAULTS: Final = "faults.parquet"
STOPS: Final = "stops.parquet"
RECALLS: Final = "recalls.parquet"
SCENARIO: Final = "scenario.toml"
TRACEBACK: Final = "traceback.txt"
DATA: Final = "data"
DIGESTS: Final = ("trace_digest", "state_digest", "knowledge_digest")
_FIGURES: Final = (
    "lag.png", "lag_distribution.png", "convergence.png", "conflicts.png", "map.png", "beliefs.png", "recall.png",
)  # fmt: skip
_FRAMES: Final = (FACTS, SAMPLES, FAULTS, STOPS)
_MARKS: Final = (RUN, TRACE, TRACEBACK)
"""A folder with one of these holds a run of ours."""
_FILE_KEYS: Final = ("file", "graphml")


class BadFolder(Exception):
    """A folder that cannot be used: one sentence that names it and says what would do."""


def folder_name(name: str, seed: int) -> str:
    """The name of a run's folder where the user gave none."""
    return f"{name}-seed{seed}"


def open_folder(folder: Path, plan: Plan, source: Path | None = None) -> Path:
    """Make the folder of a new run, with the scenario in it, and remove what an earlier run left there.

    Raises BadFolder when it cannot be made or holds a scenario that is not an earlier run's.
    """
    ours = any((folder / name).exists() for name in _MARKS)
    if (folder / SCENARIO).exists() and not ours:
        raise BadFolder(f"{folder} holds a {SCENARIO} that is not a run's and would be lost; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFolder(f"{folder} cannot be made into a run folder: {error.strerror}") from error
    for name in (*_MARKS, *_FRAMES, RECALLS, *_FIGURES):
        (folder / name).unlink(missing_ok=True)
    clear_evidence(folder)
    return folder


def opening_comments(source: Path) -> str:
    """The comment lines at the head of a scenario file, which say what it asks; empty when there are none."""
    lines = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def write_folder(result: Outcome, folder: Path, *, figures: bool, heading: str = "") -> Path:
    """Write everything of a run but its trace, which is copied when it was written elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN).write_bytes(encode_run(result, indent=2) + b"\n")
    _write_scenario(result.plan, folder, heading)
    frames = (result.facts(), result.samples(), result.faults(), stops_frame(result.stops))
    for frame, name in zip(frames, _FRAMES, strict=True):
        frame.write_parquet(folder / name)
    if result.recollections:
        result.recalls().write_parquet(folder / RECALLS)
    write_evidence(folder, result.evidence, result.unsigned)
    trace = result.trace_path
    if trace is not None and trace.exists() and trace.resolve() != (folder / TRACE).resolve():
        shutil.copyfile(trace, folder / TRACE)
    if figures:
        from sim.report.figures import draw_figures

        draw_figures(result, folder)
    return folder


def write_traceback(folder: Path, plan: Plan, text: str) -> Path:
    """Leave what is needed to look into a bug: the traceback, and the scenario to meet it again."""
    _write_scenario(plan, folder, "")
    path = folder / TRACEBACK
    path.write_text(text, encoding="utf-8")
    return path


def read_run(folder: Path) -> dict[str, Any]:
    """The content of a folder's run.json. Raises BadFolder."""
    path = folder / RUN
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError as error:
        raise BadFolder(f"{folder} is not a run folder: it has no {RUN}") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise BadFolder(f"{path} cannot be read: {error}") from error
    lacking = [name for name in DIGESTS if name not in found]
    if lacking:
        raise BadFolder(f"{path} is not that of a run: it has no {lacking[0]}")
    return found


def was_interrupted(run: dict[str, Any]) -> bool:
    """Whether a run.json is that of a run that was cut short by whoever ran it, and not by a violation."""
    words = [check["ok"] for check in run.get("checks", ())]
    return all(word is None for word in words) or (bool(run.get("ended_early")) and False not in words)


def read_outcome(folder: Path, *, allow_plugins: bool = False) -> Outcome:
    """The outcome of the run that a folder holds, as far as it is there: see `sim.result.Result.load`."""
    import polars as pl

    run = read_run(folder)
    lacking = next((name for name in (SCENARIO, *_FRAMES) if not (folder / name).is_file()), None)
    if lacking is not None:
        raise BadFolder(f"{folder} is not the whole folder of a run: it has no {lacking}")
    plan = load_plan(folder / SCENARIO, allow_plugins=allow_plugins)
    facts, samples, faults, stops = (pl.read_parquet(folder / name) for name in _FRAMES)
    ended_ns, from_s = round(run["simulated_s"] * 1e9), run["measured_from_s"]
    measured_from_ns = None if from_s is None else round(from_s * 1e9)
    tracked, copies = copies_in(facts, plan.nodes, ended_ns=ended_ns, measured_from_ns=measured_from_ns)
    trace = folder / TRACE if (folder / TRACE).is_file() else None
    checks = tuple(CheckResult(**check) for check in run["checks"])
    took_s = run["convergence_s"]
    recalls = folder / RECALLS
    return Outcome(
        plan=plan,
        seed=run["seed"],
        run_json=run,
        checks=checks,
        expectations=tuple(ExpectationResult(**each) for each in run["expectations"]),
        violation=None,
        interrupted=was_interrupted(run),
        tracked=tracked,
        copies=copies,
        sampled=tuple(samples_in(samples)),
        recollections=tuple(recalls_in(pl.read_parquet(recalls))) if recalls.is_file() else (),
        catch_ups=tuple(catch_ups_in(faults)),
        stops=stops_in(stops),
        tail=() if trace is None else tuple(read_trace(trace)[-TAIL:]),
        converged_ns=None if took_s is None else plan.federation.duration_ns + round(took_s * 1e9),
        ended_ns=ended_ns,
        trace_path=trace,
        evidence=read_files(folder),
        unsigned=read_unsigned(folder),
    )


def _write_scenario(plan: Plan, folder: Path, heading: str) -> None:
    tables = plain_values(plan.scenario)
    tables["scenario"] = {**tables["scenario"], "seed": plan.scenario.scenario.seed}
    tables["scenario"].pop("needs", None)  # the data come along
    names: dict[Path, str] = {}
    tables = _with_data(tables, plan.base, folder, names)
    (folder / SCENARIO).write_text(heading + toml_text(tables), encoding="utf-8")
    for name in plan.scenario.scenario.plugins:
        module = plan.base / f"{name}.py"
        if module.is_file() and module.resolve().parent != folder.resolve():
            shutil.copyfile(module, folder / module.name)  # it was found beside the scenario, and is found here again


def _with_data(value: Any, base: Path, folder: Path, names: dict[Path, str]) -> Any:
    """The same tables with every data file copied into the folder and named as it is there."""
    if isinstance(value, list):
        return [_with_data(each, base, folder, names) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for key, each in value.items():
        if key in _FILE_KEYS and isinstance(each, str) and (base / each).is_file():
            changed[key] = _copied(base / each, folder, names)
        else:
            changed[key] = _with_data(each, base, folder, names)
    return changed


def _copied(path: Path, folder: Path, names: dict[Path, str]) -> str:
    source = path.resolve()
    if source not in names:
        name = path.name
        if name in names.values():
            name = f"{len(names) + 1}-{name}"
        names[source] = name
        target = folder / DATA / name
        target.parent.mkdir(exist_ok=True)
        if source != target.resolve():
            shutil.copyfile(source, target)
    return f"{DATA}/{names[source]}"
