"""What a terminal shows of a run: the bar while it goes, the table when it is over, the reasons when it failed.

Words for people on a rich console; the same numbers for machines are in run.json. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.lag import slowest
from sim.analysis.verdict import BOUNDS
from sim.diagnostics.suggestions import listed
from sim.observation.visibility import NEVER
from sim.report.event_words import concerning, event_line, names_in
from sim.scenario.metrics import is_timed
from sim.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from sim.analysis.outcome import Outcome
    from sim.analysis.verdict import ExpectationResult

__all__ = ["progress_bar", "show_failure", "show_result", "speed"]

_STYLES: Final = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_REFRESH_S: Final = 0.1
_EVENTS_SHOWN: Final = 12
_SHORT: Final = ("time", "lag", "convergence", "conflicts")
"""The numbers that are shown of every run; the others are shown on request."""
_UNITS: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


# --- while it goes ---


@contextmanager
def progress_bar(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar in simulated time with how many times faster than real time it goes; nothing but on a terminal."""
    if not console.is_terminal:
        yield _no_progress
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(40), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task(name, total=1.0, told="")
        begun = shown = perf_counter()

        def progress(now: int, deadline: int) -> None:
            nonlocal shown
            wall = perf_counter()
            if wall - shown >= _REFRESH_S:
                shown = wall
                told = f"{format_duration(now)} of at most {format_duration(deadline)}"
                bar.update(task, completed=now / deadline, told=f"{told}, {speed(now / 1e9, wall - begun)}")
                bar.refresh()

        yield progress


def _no_progress(now: int, deadline: int) -> None:
    return


def speed(simulated_s: float, wall_s: float) -> str:
    """How many times faster than real time."""
    return f"{simulated_s / max(wall_s, 1e-3):,.0f} times real time"


# --- when it is over ---


def show_result(
    console: Console, result: Outcome, folder: str | None, *, question: str = "", verbose: bool = False
) -> None:
    """What a run came to: the verdict, what was asked, eight lines in all of a pass; `verbose` shows every number and
    every checker. Whatever is no plain *ok* is always shown."""
    from rich.table import Table
    from rich.text import Text

    heading = Text.assemble(
        (result.verdict.upper(), _STYLES[result.verdict]), f"  {result.scenario.name}, seed {result.seed}"
    )
    console.print(heading)
    if question:
        console.print(question, style="italic", soft_wrap=True)
    numbers = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    numbers.add_column(style="dim", no_wrap=True)
    numbers.add_column(overflow="fold")
    for label, value in _numbers(result):
        if verbose or label in _SHORT:
            numbers.add_row(label, value)
    if not verbose:
        numbers.add_row("checks", _tally(result))
    if folder is not None:
        numbers.add_row("folder", folder)
    words = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
    for _ in range(3):
        words.add_column(overflow="fold")
    for expectation in result.expectations:
        if verbose or expectation.ok is not True:
            words.add_row(_mark(ok=expectation.ok), expectation.name, _expectation(expectation))
    for check in result.checks:
        if verbose or check.ok is not True:
            words.add_row(_mark(ok=check.ok, vacuous=check.vacuous), check.name, check.detail)
    console.print(numbers)
    if words.row_count:
        console.print(words)


def _tally(result: Outcome) -> str:
    """How many properties and expectations hold, and which hold only because nothing could have broken them."""
    vacuous = sum(check.ok is True and check.vacuous for check in result.checks)
    sound = sum(check.ok is True for check in result.checks) - vacuous
    met = sum(each.ok is True for each in result.expectations)
    told = f"{sound} of {len(result.checks)} ok" + (f", {vacuous} vacuous (see -v)" if vacuous else "")
    return told + (f"; {met} of {len(result.expectations)} expectations met" if result.expectations else "")


def _mark(*, ok: bool | None, vacuous: bool = False) -> Text:
    from rich.text import Text

    if ok is None:
        return Text("unjudged", "yellow")
    if ok and vacuous:
        return Text("vacuous", "dim")
    return Text("ok", "green") if ok else Text("FAILED", "bold red")


def _numbers(result: Outcome) -> Iterator[tuple[str, str]]:
    run: dict[str, Any] = result.run_json
    fast = speed(run["simulated_s"], run["wall_s"])
    yield "time", f"{format_duration(result.ended_ns)} simulated in {run['wall_s']:.3g} s: {fast}"
    counts = (("nodes", run["nodes"]), ("links", len(result.links)), ("facts", run["facts"]), ("events", run["events"]))
    yield "size", ", ".join(f"{name} {count:,}" for name, count in counts)
    names = (("p50", "p50_s"), ("p90", "p90_s"), ("p99", "p99_s"), ("max", "max_s"))
    lag = "   ".join(f"{name} {_seconds(run['lag'][key])}" for name, key in names)
    yield "lag", lag + (f"   ({run['missing']:,} copies missing, counted at their age)" if run["missing"] else "")
    if run["measured_from_s"] is None:
        yield "warm-up", "not every link was made, so no lag is measured"
    if result.catch_ups:
        yield "catch-up", _catch_up(result)
    for kind, what in (("comeback", "held before a disk was lost"), ("joining", "written before a node joined")):
        told = run[kind]
        if told["copies"] or told["missing"]:
            yield kind, f"p50 {_seconds(told['p50_s'])}   max {_seconds(told['max_s'])}, of copies {what}"
    converged = run["convergence_s"]
    yield "convergence", "not reached" if converged is None else f"{_seconds(converged)} after the writes stopped"
    conflicts = run["conflicts"]
    yield "conflicts", f"{conflicts['open']} open, {conflicts['resolved']} resolved, {conflicts['divergent']} divergent"
    yield "wire", f"{run['requests']:,} requests, {_bytes(run['bytes'])} sent, {_bytes(run['bytes_lost'])} lost"
    yield "rejections", _counts(run["rejections"])
    if run.get("over_seeds"):
        yield "over seeds", f"{len(run['over_seeds'])} expected, which one run cannot show: see `--seeds`"
    if run["refused_writes"]:
        yield "refused writes", _counts(run["refused_writes"])
    if run["destroyed"]:
        yield "destroyed", f"{run['destroyed']:,} facts went with the only disk they were on"
    for name in ("trace", "state", "knowledge"):
        yield f"{name} digest", run[f"{name}_digest"]


def _catch_up(result: Outcome) -> str:
    """The fault that it took longest to recover from."""
    worst = max(result.catch_ups, key=lambda each: (each.missing > 0, each.took_ns))
    after = (
        f"{_seconds(worst.took_ns / 1e9)} after {worst.name or worst.label} ended at {format_duration(worst.end_ns)}"
    )
    if worst.missing:
        return f"not within {after}: {worst.missing:,} of {worst.waiting:,} waiting copies never came"
    return f"at most {after}" if worst.waiting else "no copy waited when a fault ended"


def _expectation(expectation: ExpectationResult) -> str:
    told = _seconds if is_timed(expectation.name) else _number
    found = _nothing(expectation.name) if expectation.value is None else f"it is {told(expectation.value)}"
    return f"{BOUNDS[expectation.bound]} {told(expectation.limit)}: {found}"


def _nothing(name: str) -> str:
    """Why a metric has no value."""
    if name.startswith("catch_up"):
        return "copies that waited never came, or no fault ended"
    return "it was not reached" if name == "convergence" else "there was nothing to measure"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else format_duration(round(seconds * 1e9))


def _number(number: float | None) -> str:
    return "–" if number is None else f"{number:,.12g}"


def _bytes(count: int) -> str:
    for unit, size in _UNITS:
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


# --- when it failed ---


def show_failure(console: Console, result: Outcome, replay: str) -> None:
    """The first property that does not hold, the events before that was found, and the command that meets it again."""
    violation = result.violation
    if violation is not None:
        where = f"on {violation.node} at {format_duration(violation.at_ns)}"
        console.print(f"{violation.checker} was violated {where}: {violation.sentence}", style="red", soft_wrap=True)
        for check in result.checks:
            if check.ok is False and check.name != violation.checker:
                console.print(f"{check.name} failed too: {check.detail}", style="red", soft_wrap=True)
    else:
        for sentence in _reasons(result):
            console.print(sentence, style="red" if result.verdict == "fail" else "yellow", soft_wrap=True)
    if any(check.ok is False for check in result.checks):
        _show_events(console, result)
    console.print(f"to replay it: {replay}", soft_wrap=True)


def _show_events(console: Console, result: Outcome) -> None:
    """The last events that concern whom the failures name; all of them when they name nobody."""
    told = [check.detail for check in result.checks if check.ok is False]
    hostile = [table.node for table in result.scenario.adversary]
    names = names_in(" ".join(told), [*result.nodes, *hostile])
    events = concerning(result.tail, names) if names else result.tail
    console.print(f"the last events that concern {listed(names)}:" if names else "the last events:")
    for event in events[-_EVENTS_SHOWN:]:
        console.print(f"  {event_line(event)}", style="dim", soft_wrap=True)


def _reasons(result: Outcome) -> list[str]:
    failed = [f"{check.name} failed: {check.detail}" for check in result.checks if check.ok is False]
    unmet = [each for each in result.expectations if each.ok is False]
    missed = [f"{each.name} was expected {_expectation(each)}" for each in unmet]
    if any(each.name.startswith("lag.") and each.bound == "at_most" for each in unmet):
        missed += _slowest(result)
    if failed or missed:
        return [*failed, *missed]
    if result.interrupted:
        return [f"interrupted at {format_duration(result.ended_ns)}: what is judged at the end was not"]
    if not result.run_json["facts"]:
        return ["no fact was written, so nothing was shown"]
    return [f"{check.name} could not be judged: {check.detail}" for check in result.checks if check.ok is None]


def _slowest(result: Outcome) -> Iterator[str]:
    """The copy that took longest, which is where to look first."""
    place = slowest(result.copies)
    if place is not None:
        copies = result.copies
        fact, reader = result.tracked[copies.fact[place]], result.nodes[copies.node[place]]
        written, visible = copies.written[place], copies.visible[place]
        became = (
            f"never came to {reader} in the {format_duration(copies.age_ns(place))} that were left of the run"
            if visible == NEVER
            else f"was visible on {reader} at {format_duration(visible)}, {format_duration(visible - written)} later"
        )
        yield f"the slowest copy: fact {fact.id}, written by {fact.origin} at {format_duration(written)}, {became}"
