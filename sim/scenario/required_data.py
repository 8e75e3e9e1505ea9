"""Data that not everybody has: a scenario that names such files is skipped where they are absent, not refused.

Only the question whether the files are there, and the error that says which is not. What a skipped scenario
means for a command's exit status is `sim.cli_session`'s to decide.
"""

from __future__ import annotations

from pathlib import Path

from sim.diagnostics.suggestions import quoted
from sim.diagnostics.toml_lines import Lines
from sim.scenario.reading import BadScenario
from sim.scenario.schema_errors import Mistake
from sim.scenario.tables import Scenario

__all__ = ["DataAbsent", "check_needs"]


class DataAbsent(BadScenario):
    """A scenario that is right but cannot be run here: one of the files that `needs` names is not there."""

    def located(self, path: Path, lines: Lines) -> DataAbsent:
        """The same with file and line."""
        return DataAbsent(self.mistakes, path, lines)


def check_needs(scenario: Scenario, base: Path) -> None:
    """Raises DataAbsent when a file that the scenario needs is not there."""
    absent = [
        Mistake(("scenario", "needs", number), f"skipped, because there is no file {quoted(name)} on this machine")
        for number, name in enumerate(scenario.scenario.needs)
        if not (base / name).is_file()
    ]
    if absent:
        raise DataAbsent(absent)
