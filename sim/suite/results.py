"""What the runs of one row come to: a verdict, the worst numbers, and the run to look at first.

Numbers are the worst of all runs and not medians: a suite asks whether something holds, and one seed is enough to show
that it does not. A row passes when all of its runs pass and at least one of them met each thing that its file says must
be met; one that never met it is *unreached*, which is no pass, since what the scenario is about was not tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from sim.analysis.outcome import EXIT_STATUS
from sim.scenario.changes import run_command
from sim.suite.contents import Case, KnownRed, Suite
from sim.suite.named_tests import RealResult

__all__ = ["CaseResult", "SuiteResult", "Word"]

Word = Literal["pass", "fail", "inconclusive", "unreached", "error", "known red"]
_WORST_FIRST: Final[tuple[Word, ...]] = ("error", "fail", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A row that was run: (seed, row of `sim.study.worker.run_job`) of every run, in the order of seeds."""

    case: Case
    runs: Sequence[tuple[int, Mapping[str, Any]]]

    @property
    def unreached(self) -> list[str]:
        """What no run met, in words."""
        counts = [row["reach"] for _, row in self.runs if "reach" in row]
        return [words for number, words in enumerate(self.case.reach) if not any(each[number] for each in counts)]

    @property
    def verdict(self) -> Word:
        """The worst of the runs, and *unreached* where they all pass and none met what must be met."""
        words = [row["verdict"] for _, row in self.runs]
        for word in _WORST_FIRST:
            if word in words:
                return word
        return "unreached" if self.unreached else "pass"

    def worst(self, metric: str) -> float | None:
        """The highest value of a metric over the runs."""
        values: list[float] = [
            row["metrics"][metric] for _, row in self.runs if row.get("metrics", {}).get(metric) is not None
        ]
        return max(values, default=None)

    @property
    def rejections(self) -> dict[str, int]:
        """What was turned away by code, over all runs, the most frequent first."""
        found: dict[str, int] = {}
        for _, row in self.runs:
            for code, count in row.get("rejections", {}).items():
                found[code] = found.get(code, 0) + count
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    @property
    def cpu_s(self) -> float:
        """Processor time of all runs."""
        return sum(float(row.get("cpu_s", 0.0)) for _, row in self.runs)

    @property
    def failing(self) -> tuple[int, Mapping[str, Any]] | None:
        """The first of the worst runs, if they did not all pass: its seed and row."""
        word = self.verdict
        return next(((seed, row) for seed, row in self.runs if row["verdict"] == word != "pass"), None)

    @property
    def failed_seeds(self) -> list[int]:
        """The seeds of all runs that did not pass."""
        return [seed for seed, row in self.runs if row["verdict"] != "pass"]

    @property
    def reason(self) -> str:
        """Why it is no pass, in a sentence; empty when it is one."""
        if self.failing is None:
            return f"in {len(self.runs)} runs nothing met {', '.join(self.unreached)}" if self.unreached else ""
        _, row = self.failing
        if "error" in row:
            return str(row["error"]).strip().splitlines()[-1]
        return "; ".join(row.get("sentences", ())) or "it could not be judged"

    @property
    def replay(self) -> str:
        """The command that meets the first of the worst runs again, or the first run."""
        seed = self.case.seed if self.failing is None else self.failing[0]
        plugins = bool(self.case.values.get("scenario", {}).get("plugins"))
        return f"{run_command(self.case.file, self.case.variant, {}, allow_plugins=plugins)} --seed {seed}"


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """All rows of a suite. `real` has the results of tests on real nodes, where those were run; `today` is the day by
    which what is known to be red is no news, or is."""

    suite: Suite
    cases: Sequence[CaseResult]
    real: Sequence[RealResult]
    wall_s: float
    today: date = date.min

    def word_of(self, case: CaseResult) -> Word:
        """The verdict of a row, `known red` where it is no pass and that is listed until today at least."""
        known = self._known_red(case)
        is_red = case.verdict != "pass" and known is not None and self.today <= known.until
        return "known red" if is_red else case.verdict

    def reason_of(self, case: CaseResult) -> str:
        """Why a row is no pass, and what the list of known red rows has to do with it."""
        known = self._known_red(case)
        if known is None:
            return case.reason
        if case.verdict == "pass":
            return f"it passes, and is listed as known to be red ({known.reason}): take it off the list"
        told = "known to be red until" if self.today <= known.until else "was known to be red until"
        return f"{case.reason} ({told} {known.until}: {known.reason})"

    def _known_red(self, case: CaseResult) -> KnownRed | None:
        return next((each for each in self.suite.known_red if each.id == case.case.id), None)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have which verdict; only those that occur."""
        found: dict[str, int] = {}
        words = [self.word_of(case) for case in self.cases] + [real.verdict for real in self.real]
        for word in (*words, *("missing" for _ in self.suite.missing), *("absent" for _ in self.suite.absent)):
            found[word] = found.get(word, 0) + 1
        return found

    @property
    def exit_status(self) -> int:
        """1 when a row failed, 3 when one is no pass otherwise, else 0. What is missing is told and does not count."""
        if any(word in self.counts for word in ("fail", "error")):
            return EXIT_STATUS["fail"]
        if any(word in self.counts for word in ("inconclusive", "unreached")):
            return EXIT_STATUS["inconclusive"]
        return EXIT_STATUS["pass"]
