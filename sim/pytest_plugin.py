"""A folder of scenarios as tests: `pytest -p sim.pytest_plugin --scenarios my-scenarios --scenario-seeds 3`.

Each scenario and each of its variants is one test, named by its id. It fails with what the checkers said and the
command that meets the run again, also when none of its runs met what its file says must be met; an inconclusive run
fails as well, since it has shown nothing. Runs are made in this process, one after the other; `stigmem-sim suite` uses
a pool.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sim.report.folder import BadFolder
from sim.scenario.reading import BadScenario
from sim.study.worker import Job, run_job
from sim.suite.contents import Case, read_suite
from sim.suite.results import CaseResult

__all__ = ["ScenarioFailed", "ScenarioItem"]


class ScenarioFailed(Exception):
    """A row that is no pass; its text is what a person reads."""


class ScenarioItem(pytest.Item):
    """One scenario, or one variant of one."""

    def __init__(self, *, case: Case, seeds: int, **keys: Any) -> None:
        super().__init__(**keys)
        self._case = case
        self._seeds = seeds

    def runtest(self) -> None:
        case = self._case
        folder = case.file.parent.absolute()
        seeds = range(case.seed, case.seed + self._seeds)
        result = CaseResult(case=case, runs=[(seed, run_job(Job(case.values, folder, seed))) for seed in seeds])
        if result.verdict != "pass":
            raise ScenarioFailed(f"{result.verdict}: {result.reason}\nto meet it again: {result.replay}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self._case.file, 0, f"{self._case.id}: {self._case.question}"


class _Folder(pytest.Collector):
    """The rows of a folder."""

    def __init__(self, *, folder: Path, seeds: int, **keys: Any) -> None:
        super().__init__(**keys)
        self._folder = folder
        self._seeds = seeds

    def collect(self) -> Iterable[ScenarioItem]:
        try:
            cases = read_suite(self._folder).cases
        except (BadFolder, BadScenario) as error:
            raise pytest.UsageError(str(error)) from error
        for case in cases:
            yield ScenarioItem.from_parent(self, name=case.id, case=case, seeds=self._seeds)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options."""
    group = parser.getgroup("stigmem-sim")
    group.addoption("--scenarios", type=Path, help="folder of scenarios, each of which becomes a test")
    group.addoption("--scenario-seeds", type=int, default=1, help="how many seeds each is run with, from its own")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the scenarios to whatever else was collected."""
    folder: Path | None = config.getoption("--scenarios")
    if folder is None:
        return
    parent = _Folder.from_parent(session, name=str(folder), folder=folder, seeds=config.getoption("--scenario-seeds"))
    items.extend(parent.collect())
