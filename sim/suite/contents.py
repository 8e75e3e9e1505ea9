"""What a suite consists of: a folder of scenarios with their variants, and what its `suite.toml` adds to the table.

    S-01-split-brain.toml      a row `S-01`; each `[[variant]]` of it one more, `S-01/three-writers`
    suite.toml                 rows of failure modes that are no scenarios: `[[real]]` names tests on real nodes,
                               `[[missing]]` says why nothing tries them yet, and `[[known_red]]` which rows are
                               known to fail, why, and until when that is no news
    controls.toml              what holds the failure modes off, for `stigmem-sim ablate` (`sim.suite.controls`)

A file without an id before its name is a row by its whole name, so that any folder of scenarios is a suite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from sim.report.folder import BadFolder
from sim.report.listing import question
from sim.scenario.planning import load_plan
from sim.scenario.reading import plain_values
from sim.scenario.required_data import DataAbsent
from sim.scenario.tables import Reach

__all__ = ["CONTROLS", "LIST", "Case", "KnownRed", "Missing", "Real", "Suite", "read_suite"]

LIST: Final = "suite.toml"
CONTROLS: Final = "controls.toml"
_ID: Final = re.compile(r"[A-Z]+-\d+")
_IdText = Annotated[str, Meta(pattern=r"^[A-Z]+-\d+$")]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One scenario, or one variant of one: a row of the table."""

    id: str
    question: str
    file: Path
    variant: str | None
    values: dict[str, Any]
    """The plain values of the scenario."""
    seed: int
    """The first of its seeds."""
    reach: tuple[str, ...]
    """What one of its runs must meet, in words."""


class Real(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A failure mode that named tests try on real nodes, since the simulated world has no words for it."""

    id: _IdText
    question: str
    tests: Annotated[list[str], Meta(min_length=1)]
    """As pytest names them, from the root of the checkout."""


class Missing(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A failure mode that nothing tries."""

    id: _IdText
    question: str
    reason: str


class KnownRed(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A row that is known to be no pass. After the day `until` it counts as every other."""

    id: str
    """The row, with its variant."""
    until: date
    reason: str


class _List(msgspec.Struct, forbid_unknown_fields=True):
    known_red: list[KnownRed] = []
    real: list[Real] = []
    missing: list[Missing] = []


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Everything that becomes a row. `absent`: (row, sentence) of scenarios whose data files are not there."""

    folder: Path
    cases: Sequence[Case]
    real: Sequence[Real] = ()
    missing: Sequence[Missing] = ()
    absent: Sequence[tuple[str, str]] = ()
    known_red: Sequence[KnownRed] = ()


def read_suite(folder: Path, only: Sequence[str] = (), *, allow_plugins: bool = False) -> Suite:
    """The suite of a folder, or of the rows whose ids match one of some patterns. Raises BadFolder when there is
    nothing to run, and BadScenario for a file that cannot be."""
    files = (
        sorted(file for file in folder.glob("*.toml") if file.name not in (LIST, CONTROLS)) if folder.is_dir() else []
    )
    if not files:
        raise BadFolder(f"there are no scenarios in {folder}; give a folder that holds .toml files")
    cases: list[Case] = []
    absent: list[tuple[str, str]] = []
    for file in files:
        if not _any_may_match(file, only):
            continue
        try:
            cases += _cases_of(file, allow_plugins=allow_plugins)
        except DataAbsent as error:
            absent.append((_id_of(file), str(error)))
    others = _listed(folder / LIST)
    suite = Suite(
        folder=folder,
        cases=[case for case in cases if _matches(case.id, only)],
        real=[each for each in others.real if _matches(each.id, only)],
        missing=[each for each in others.missing if _matches(each.id, only)],
        absent=absent,
        known_red=others.known_red,
    )
    if not (suite.cases or suite.real or suite.missing or suite.absent):
        raise BadFolder(f"nothing in {folder} has an id like {', '.join(only)}")
    return suite


def _matches(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, each) or fnmatchcase(name.partition("/")[0], each) for each in only)


def _any_may_match(file: Path, only: Sequence[str]) -> bool:
    """Whether a row of a file can match; a pattern may name a variant."""
    return _matches(_id_of(file), [each.partition("/")[0] for each in only])


def _id_of(file: Path) -> str:
    found = _ID.match(file.stem)
    return file.stem if found is None else found[0]


def _cases_of(file: Path, *, allow_plugins: bool) -> list[Case]:
    """The rows of a file: the scenario itself and its variants, each known to fit together."""
    whole = load_plan(file, allow_plugins=allow_plugins).scenario
    found = []
    for variant in (None, *(each.name for each in whole.variant)):
        scenario = whole if variant is None else load_plan(file, allow_plugins=allow_plugins, variant=variant).scenario
        values = plain_values(scenario)
        for several in ("variant", "sweep"):
            values.pop(several, None)
        found.append(
            Case(
                id=_id_of(file) if variant is None else f"{_id_of(file)}/{variant}",
                question=question(file),
                file=file,
                variant=variant,
                values=values,
                seed=scenario.scenario.seed,
                reach=tuple(_words(each) for each in scenario.reach),
            )
        )
    return found


def _words(reach: Reach) -> str:
    if reach.event is not None:
        return f"the audit event {reach.event}"
    return f"the code {reach.code}" if reach.code is not None else f"{reach.metric} above 0"


def _listed(path: Path) -> _List:
    if not path.exists():
        return _List()
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_List)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFolder(f"{path}: {error}") from error
