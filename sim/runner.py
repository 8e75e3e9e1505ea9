"""Running a plan to its result, and the door of the library: `run`.

Here are the file of the trace, the wall time and Ctrl-C; what happens in a run is `sim.simulation.simulation`'s and
what is told of it `sim.report`'s.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from sim.check import CheckerFactory
    from sim.result import Result
    from sim.scenario.plan import Plan
    from sim.scenario.tables import Scenario

__all__ = ["Interrupted", "Progress", "run", "run_plan"]

Progress = Callable[[int, int], None]
"""Called now and then with the simulated nanoseconds that have passed and the most that there can be."""
_SIGINT: Final = signal.SIGINT


class Interrupted(BaseException):
    """The user asked a run to stop."""


class _Stopping:
    """While this is entered, a first Ctrl-C only asks the run to stop, so that no event is cut in two; a second one
    raises KeyboardInterrupt there and then.

    Only the main thread may handle signals; elsewhere nothing is changed.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._asked = self._forced = False
        self._before: Any = None
        self.stop: Callable[[BaseException], None] | None = None
        """What a first Ctrl-C calls, besides being seen at the next tick: a tick may be minutes away."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(_SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(_SIGINT, self._before)
        if self._forced:
            raise KeyboardInterrupt from error  # whatever it broke on its way out, the user knows why

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self._forced = True
            raise KeyboardInterrupt
        self._asked = True
        if self.stop is not None:
            self.stop(Interrupted())

    def look(self, now: int, deadline: int) -> None:
        """The simulation's tick: tell the progress, or raise Interrupted where the run may stop."""
        if self._progress is not None:
            self._progress(now, deadline)
        if self._asked:
            raise Interrupted


def run(
    what: str | Path | Scenario,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    *,
    checkers: Sequence[CheckerFactory] = (),
    allow_plugins: bool = False,
    keep_going: bool = False,
    **tables: Mapping[str, Any] | list[Any],
) -> Result:
    """Run a scenario: a file, or a Scenario (its data files are then looked for in the current directory).

    `tables` change tables of the scenario by the names they have in a file: `network={"latency": "80ms"}`
    updates one, a list such as `fault=[]` replaces all of a kind. With `out` the run folder is written too.
    `checkers` are classes of properties (`sim.check.base.Checker`) that judge the run besides the standard ones.
    `allow_plugins`: whether Python modules that a scenario file names may be imported (`sim.kinds`). `keep_going`:
    whether the run goes on when a property is violated, to see what else is.
    Raises `sim.scenario.reading.BadScenario` for a scenario that cannot be run, and KeyboardInterrupt on Ctrl-C.
    """
    from sim.scenario.planning import load_plan, make_plan
    from sim.scenario.reading import load_scenario, plain_values, typed
    from sim.scenario.tables import Scenario

    if not isinstance(what, (str, Path, Scenario)):
        raise TypeError(f"run takes the path of a scenario file or a Scenario, and was given {_kind(what)}")
    if isinstance(checkers, type):
        raise TypeError(f"checkers is a list of classes: write checkers=[{checkers.__name__}]")
    source = Path(what) if isinstance(what, (str, Path)) else None
    if source is not None and not tables:
        plan = load_plan(source, seed, allow_plugins=allow_plugins)
        return run_plan(plan, None, out, progress, source=source, checkers=checkers, keep_going=keep_going)
    folder = source.parent if source is not None else Path.cwd()
    scenario = what if not isinstance(what, (str, Path)) else load_scenario(Path(what), allow_plugins=allow_plugins)
    if tables:
        scenario = typed(_changed(plain_values(scenario), tables), folder=folder, allow_plugins=True)
    plan = make_plan(scenario, folder, seed)
    return run_plan(plan, None, out, progress, source=source, checkers=checkers, keep_going=keep_going)


def _kind(what: object) -> str:
    return "a Plan, which is for run_plan" if type(what).__name__ == "Plan" else f"{what!r:.60}"


def _changed(scenario: dict[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(scenario)
    for name, table in tables.items():
        known = changed.get(name, {})
        changed[name] = {**known, **table} if isinstance(table, Mapping) and isinstance(known, Mapping) else table
    return changed


def run_plan(
    plan: Plan,
    seed: int | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    *,
    source: Path | None = None,
    trace: bool = True,
    figures: bool = True,
    checkers: Sequence[CheckerFactory] = (),
    judge_interrupted: bool = False,
    keep_going: bool = False,
) -> Result:
    """Run a plan, or the plan of the same scenario with another seed.

    With `out` the run folder is written there, with the trace and the figures unless they are switched off;
    `source` is the file the plan came from, whose opening comments are kept. Ctrl-C ends the run
    early with KeyboardInterrupt; with `judge_interrupted` its result is what there is until then, and inconclusive, and
    a second Ctrl-C raises. Raises BadFolder when `out` cannot be written, and whatever a bug in the run
    raises, after putting its traceback into the folder.
    """
    from sim.report.folder import TRACE, open_folder, opening_comments, write_traceback
    from sim.scenario.planning import make_plan

    if seed is not None and seed != plan.scenario.scenario.seed:
        again = make_plan(plan.scenario, plan.base, seed)  # the topology may be drawn from the seed
        plan = replace(again, set_values=plan.set_values)
    folder = open_folder(Path(out), plan, source) if out is not None else None
    try:
        trace_path = folder / TRACE if folder is not None and trace else None
        result = _simulated(
            plan, progress, trace_path, checkers, judge_interrupted=judge_interrupted, keep_going=keep_going
        )
        if folder is not None:
            result.save(folder, figures=figures, heading=opening_comments(source) if source is not None else "")
    except Exception:
        if folder is not None:
            write_traceback(folder, plan, traceback.format_exc())
        raise
    return result


def _checkers_of(plan: Plan) -> list[CheckerFactory]:
    """The checkers of the plugins that a scenario sees, and the one that judges readers where there are some."""
    from sim.check import FOR_READERS
    from sim.kinds import find_kinds
    from sim.scenario.plugins import named_modules

    found: dict[str, Any] = find_kinds("checker", named_modules(plan.scenario.scenario.plugins))
    has_readers = any(each.__struct_config__.tag == "readers" for each in plan.scenario.workload)
    return [*(FOR_READERS if has_readers else ()), *found.values()]


def _simulated(
    plan: Plan,
    progress: Progress | None,
    trace_path: Path | None,
    checkers: Sequence[CheckerFactory],
    *,
    judge_interrupted: bool,
    keep_going: bool,
) -> Result:
    import sim.check
    from sim.analysis.outcome import conclude
    from sim.result import Result
    from sim.simulation.simulation import Simulation
    from sim.world.world import rare_collections

    interrupted = False
    begun = perf_counter()
    with _Stopping(progress) as stopping:
        simulation = Simulation(
            plan,
            trace_path=trace_path,
            progress=stopping.look,
            checkers=[*sim.check.CHECKERS, *_checkers_of(plan), *checkers],
            keep_going=keep_going,
        )
        stopping.stop = simulation.interruption.ask
        try:
            simulation.run()
        except* Interrupted:
            interrupted = True
        finally:
            simulation.trace.close()
    if interrupted and not judge_interrupted:
        raise KeyboardInterrupt
    with rare_collections():
        outcome = conclude(simulation, wall_s=perf_counter() - begun, interrupted=interrupted, trace_path=trace_path)
    return Result.of(outcome)
