"""`stigmem-sim compare SCENARIO --profiles ours,reference-0.5`: the same scenario under both, side by side.

A table of the worst of all seeds, a sentence for each thing that is wrong, and a figure of the first seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.scenario.planning import load_plan
from sim.study.profiles import PROFILES, Findings, Profile, ProfileRun, run_profile
from sim.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BadProfile", "compare_profiles", "parse_profiles", "profile_lines"]

_WIDTH: Final = 26
_NOTE: Final = "reference-0.5 is a model of the published reference's documented behaviour, not the package itself."


class BadProfile(Exception):
    """A list of profiles that cannot be run; the text is one sentence."""


def parse_profiles(text: str) -> tuple[Profile, ...]:
    """The profiles of a list with commas. Raises BadProfile."""
    given = [part.strip() for part in text.split(",")]
    known = tuple(each for name in given for each in PROFILES if each == name)
    if len(known) < len(given) or len(dict.fromkeys(known)) < len(known):
        raise BadProfile(f"--profiles takes names from {', '.join(PROFILES)}, each once; it was given {text!r}")
    return known


def compare_profiles(
    path: Path,
    console: Console,
    profiles: Sequence[Profile],
    *,
    seeds: int,
    out: Path | None = None,
    allow_plugins: bool = False,
) -> int:
    """Run a scenario under each profile, tell, and draw; 0. Raises BadScenario and NotModelled."""
    plan = load_plan(path, allow_plugins=allow_plugins)
    begin = plan.scenario.scenario.seed
    runs = {each: [run_profile(plan, each, seed) for seed in range(begin, begin + seeds)] for each in profiles}
    for line in profile_lines(plan.scenario.name, runs):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    folder = Path("runs") / f"{plan.scenario.name}-profiles" if out is None else out
    drawn = _draw(runs, folder)
    if drawn is not None:
        console.print(f"figure: {drawn}", soft_wrap=True, markup=False)
    return 0


def profile_lines(name: str, runs: dict[Profile, list[ProfileRun]]) -> list[str]:
    """What is printed."""
    seeds = [run.seed for run in next(iter(runs.values()))]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}, the worst of them"
    lines = [f"{name}, {which}: one network, the same faults and workloads for each profile", ""]
    lines.append(" " * _WIDTH + "".join(f"{each:<{_WIDTH}}" for each in runs).rstrip())
    for title, cell in _ROWS:
        cells = [cell(found) for found in runs.values()]
        lines.append((f"{title:<{_WIDTH}}" + "".join(f"{each:<{_WIDTH}}" for each in cells)).rstrip())
    lines.append("")
    for profile, found in runs.items():
        lines += [f"{profile}: {sentence}." for sentence in _sentences(found)]
    return [*lines, *([_NOTE] if "reference-0.5" in runs else [])]


def _sentences(runs: Sequence[ProfileRun]) -> list[str]:
    found = _worst(runs).defects()
    return found or ["every copy came, and every node says the same of every conflict"]


def _worst(runs: Sequence[ProfileRun]) -> Findings:
    """Of the run with most that is wrong, and of those with the most copies missing."""
    return max((run.findings for run in runs), key=lambda each: (len(each.defects()), each.missing))


def _verdict(runs: Sequence[ProfileRun]) -> str:
    good = sum(not run.findings.defects() for run in runs)
    if len(runs) == 1:
        return "holds" if good else "does not hold"
    return f"holds in {good} of {len(runs)} runs"


def _checkers(runs: Sequence[ProfileRun]) -> str:
    verdicts = dict.fromkeys(run.outcome.verdict for run in runs if run.outcome is not None)
    return ", ".join(verdicts) or "-"


def _missing(runs: Sequence[ProfileRun]) -> str:
    most = max((run.findings for run in runs), key=lambda each: each.missing)
    return f"{most.missing} of {most.expected}"


def _lag(runs: Sequence[ProfileRun]) -> str:
    lags = [run.findings.lag_ns for run in runs if run.findings.lag_ns is not None]
    beyond = "at least " if any(run.findings.missing for run in runs) else ""
    return f"{beyond}{format_duration(max(lags))}" if lags else "-"


def _catch_up(runs: Sequence[ProfileRun]) -> str:
    found = [run.findings.catch_up for run in runs if run.findings.catch_up is not None]
    if not found:
        return "-"
    worst = max(found, key=lambda each: (each.missing > 0, each.took_ns))
    took = "never" if worst.missing else format_duration(worst.took_ns)
    return f"{took} ({worst.name or worst.label})"


def _conflicts(runs: Sequence[ProfileRun]) -> str:
    counts = [count for run in runs for count in run.findings.open_conflicts.values()]
    if not counts:
        return "-"
    same = min(counts) == max(counts)
    return str(counts[0]) if same else f"{min(counts)} to {max(counts)}"


def _most(choose: Callable[[Findings], int]) -> Callable[[Sequence[ProfileRun]], str]:
    return lambda runs: str(max(choose(run.findings) for run in runs))


_ROWS: Final[tuple[tuple[str, Callable[[Sequence[ProfileRun]], str]], ...]] = (
    ("judged alike", _verdict),
    ("checkers", _checkers),
    ("copies missing", _missing),
    ("worst lag", _lag),
    ("longest catch-up", _catch_up),
    ("facts that diverge", _most(lambda each: len(each.diverging))),
    ("facts beyond a grant", _most(lambda each: len(each.beyond_grant))),
    ("facts beyond a page", _most(lambda each: each.beyond_page)),
    ("open conflicts by node", _conflicts),
    ("cycles ended by errors", _most(lambda each: sum(each.aborts.values()))),
)


def _draw(runs: dict[Profile, list[ProfileRun]], folder: Path) -> Path | None:
    """The figure of the first seed; none without a run of ours, whose faults it shades."""
    frame = next((run.outcome for found in runs.values() for run in found[:1] if run.outcome is not None), None)
    if frame is None:
        return None
    from sim.report.profiles_figure import profiles_figure
    from sim.report.style import save, styled

    labels = {"ours": "our node", "reference-0.5": "model of the reference, dialect 0.5"}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "profiles.png"
    with styled():
        figure = profiles_figure([(labels[each], found[0].findings.copies) for each, found in runs.items()], frame)
        save(figure, path)
    return path
