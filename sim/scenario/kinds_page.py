"""The reference page of kinds, made from the registry: `python -m sim.scenario.kinds_page > docs/kinds.md`.

What a kind does is its docstring, what its keys mean are the docstrings under its fields, and what may be their values
comes from their types; a test holds the page equal to what is written here.
"""

from __future__ import annotations

import inspect as python
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import inspect

from sim.adversary import Adversary
from sim.fault import Fault
from sim.kinds import find_kinds
from sim.scenario.schema import key_meanings, sentence_of
from sim.workload import Workload

__all__ = ["kinds_page"]

_HEAD: Final = """\
# Kinds of faults, workloads and adversaries

<!-- Made by `python -m sim.scenario.kinds_page`; edit the docstrings instead. -->

Each is a table of a scenario file: `[[fault]]`, `[[workload]]` or `[[adversary]]` with a `kind` and these keys.
Durations are counted in true time. To add a kind of your own, read `sim/kinds.py`.
"""
_SORTS: Final[tuple[tuple[str, type, str, str], ...]] = (
    ("fault", Fault, "Faults", "What goes wrong, and when."),
    ("workload", Workload, "Workloads", "What is written, by whom and how often."),
    ("adversary", Adversary, "Adversaries", "Hostile peers: approved by their victims, with genuine keys."),
)


def kinds_page(modules: Sequence[str] = ()) -> str:
    """The page, in Markdown: the kinds of this package, and of some other modules."""
    sections = (_section(sort, base, title, says, modules) for sort, base, title, says in _SORTS)
    return "\n".join([_HEAD, *(line for section in sections for line in section)])


def _section(sort: str, base: type, title: str, sentence: str, modules: Sequence[str]) -> Iterator[str]:
    common = [field.name for field in _fields(base)]
    yield f"## {title}\n\n{sentence} Keys of all of them:\n"
    yield from _table(base, _fields(base))
    for name, cls in sorted(find_kinds(sort, modules).items()):
        yield f"### `{name}`\n\n{_paragraph(cls)}\n"
        # A key of all of them that a kind has with another default stands with it again.
        mine = [field for field in _fields(cls) if field.name not in common or _differs(base, field)]
        if mine:
            yield from _table(cls, mine)


def _fields(cls: type) -> list[inspect.Field]:
    found = inspect.type_info(cls)
    return list(found.fields) if isinstance(found, inspect.StructType) else []


def _differs(base: type, field: inspect.Field) -> bool:
    return sentence_of(field) != next(sentence_of(each) for each in _fields(base) if each.name == field.name)


def _paragraph(cls: type) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (python.getdoc(cls) or "").split("\n\n"))


def _table(cls: type, fields: Iterable[inspect.Field]) -> Iterator[str]:
    meanings = key_meanings(cls)
    yield "| key | value | meaning |\n|---|---|---|"
    for field in fields:
        meaning = meanings.get(field.name, "")
        yield f"| `{field.encode_name}` | {_cell(sentence_of(field))} | {_cell(meaning)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(kinds_page())
