"""Hints: what somebody who wrote a wrong key or value in a scenario file probably meant.

Guesses in words, for the ends of sentences; what is wrong is found by `sim.scenario.schema_errors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import inspect

from sim.diagnostics.suggestions import alike, meant, shown

__all__ = ["as_it_should_stand", "key_of_file", "near_key", "stands_for", "toml_value", "wrong_length"]

_SYNONYMS: Final = {
    **dict.fromkeys(("duration", "end", "lasts", "length", "until"), ("for", "stop")),
    **dict.fromkeys(("at", "begin", "time", "when"), ("at", "start")),
    **dict.fromkeys(("every", "interval"), ("period", "every")), "start": ("at",), "ttl": ("life",),
    "max": ("at_most",), "min": ("at_least",), "name": ("node",), "probability": ("share",),
}  # fmt: skip
"""Keys that people write, and what ours of that meaning are called, the likelier first."""


def near_key(key: str, spare: Sequence[str]) -> str | None:
    """The key that was probably meant, by its meaning or by its letters."""
    same = next((name for name in _SYNONYMS.get(key, ()) if name in spare), None)
    return same or meant(key, spare)


def stands_for(name: str, key: str) -> bool:
    """Whether a key is surely that name: misspelt, or another word for it."""
    return alike(key, name) or name in _SYNONYMS.get(key, ())


def wrong_length(count: int, least: int | None, most: int | None) -> str:
    """What is wrong with the length of a list."""
    if count == 0:
        return "the list is empty; " + ("give at least one" if least == 1 else f"{least} belong there")
    wanted = f"exactly {least}" if least == most else f"at least {least}" if most is None else f"at most {most}"
    return f"a list of {count}, where {wanted} belong"


def key_of_file(value: Any, union: inspect.UnionType) -> str | None:
    """For a file's name where a table may stand: the key of the table that takes such files, by their ending."""
    ending = value.rpartition(".")[2].lower() if isinstance(value, str) and "." in value else ""
    tables = [option for option in union.types if isinstance(option, inspect.StructType)]
    return ending if any(field.encode_name == ending for table in tables for field in table.fields) else None


def as_it_should_stand(value: Any, union: inspect.UnionType) -> str:
    """A hint for a value that stands in quotes, or lacks its brackets."""
    if not isinstance(value, str):
        return ""
    if any(isinstance(_bare(option), inspect.IntType) for option in union.types) and value.strip().isdecimal():
        return f"; write {value.strip()} without quotes"
    lists = any(isinstance(_bare(option), inspect.ListType) for option in union.types)
    return f"; write it in brackets: [{toml_value(value)}]" if lists else ""


def toml_value(value: Any) -> str:
    """A value as it stands in a file."""
    return f'"{value}"' if isinstance(value, str) else shown(value)


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind
