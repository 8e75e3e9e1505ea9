"""Values, names and types in words, for sentences about scenario files.

Text only: how a value is shown, what a type is called, which known name was probably meant. What is wrong and
where is found by `sim.scenario.schema_errors` and `sim.scenario.planning`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from msgspec import inspect

from sim.units import Duration, Rate, Speed

__all__ = [
    "EXAMPLES", "alike", "article", "expected", "listed", "meant", "nearest_first", "quoted", "shown", "suggestion",
]  # fmt: skip

EXAMPLES: Final[dict[type, tuple[str, str]]] = {
    Duration: ("a duration", "'30s', '5m' or '1m30s'"),
    Rate: ("a rate", "'2/s' or '30/m'"),
    Speed: ("a bandwidth", "'10Mbit/s' or '256kbit/s'"),
}
"""Types written as texts with units: what they are called, and how they look."""

_PATTERNS: Final = {
    r"^[a-z0-9][a-z0-9-]{0,62}$": "a name of lower-case letters, digits and hyphens (at most 63)",
}
"""Forms of texts that have words."""
_CHARS_MAX: Final = 60
_LISTED_MAX: Final = 12
_SIMILAR: Final = 0.5
"""Half of the letters in the same order: below it a suggestion puzzles more than it helps."""
_ALIKE: Final = 0.75
"""A slip of the finger rather than another word."""


def shown(value: Any) -> str:
    """A value as it looks in a scenario file, cut when long."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value if len(value) <= _CHARS_MAX else value[: _CHARS_MAX - 1] + "…")
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
    return str(value)[:_CHARS_MAX]


def quoted(text: str) -> str:
    """A text in single quotes, control characters escaped."""
    return "'" + text.encode("unicode_escape").decode() + "'" if not text.isprintable() else f"'{text}'"


def article(noun: str) -> str:
    """`a` or `an` and the noun."""
    return f"an {noun}" if noun.lstrip("'")[:1] in "aeio" else f"a {noun}"


def nearest_first(given: str, known: Iterable[str]) -> list[str]:
    """Known names, the most similar to the given one first; equals keep their order."""
    return sorted(known, key=lambda name: -_likeness(given, name))


def meant(given: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None when none is like it."""
    best = next(iter(nearest_first(given, known)), None)
    return best if best is not None and _likeness(given, best) >= _SIMILAR else None


def alike(first: str, second: str) -> bool:
    """Whether one name is probably the other, misspelt."""
    return _likeness(first, second) >= _ALIKE


def suggestion(given: str, known: Sequence[str], what: str) -> str:
    """The end of a sentence about an unknown name: the nearest one, else all there are (`what`: plural)."""
    best = meant(given, known)
    if best is not None:
        return f"; did you mean {quoted(best)}?"
    return f"; {what}: {listed(known)}" if known else ""


def listed(names: Sequence[str], most: int = _LISTED_MAX) -> str:
    """Names in quotes with commas; of many only the first, and how many more."""
    text = ", ".join(quoted(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _likeness(first: str, second: str) -> float:
    return SequenceMatcher(None, first.casefold(), second.casefold(), autojunk=False).ratio()


def expected(kind: inspect.Type, extra: dict[str, Any] | None = None) -> str:
    """What a value of this type is, with its bounds: `a whole number between 1 and 500`."""
    match kind:
        case inspect.Metadata():
            described = (kind.extra_json_schema or {}).get("description")
            return str(described) if described else expected(kind.type, kind.extra)
        case inspect.UnionType():
            options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
            return _either([expected(option) for option in options])
        case inspect.IntType():
            return "a whole number" + _bounds(kind)
        case inspect.FloatType():
            return "a number" + _bounds(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return "one of " + listed([str(value) for value in kind.values])
        case inspect.StrType():
            if extra is not None and "unit" in extra:
                return f"{EXAMPLES[extra['unit']][0]} such as {EXAMPLES[extra['unit']][1]}"
            return (
                "a text" if kind.pattern is None else _PATTERNS.get(kind.pattern, f"a text of the form {kind.pattern}")
            )
        case inspect.CustomType():
            return f"{EXAMPLES[kind.cls][0]} such as {EXAMPLES[kind.cls][1]}"
        case inspect.ListType() | inspect.VarTupleType():
            return "a list"
        case inspect.StructType() | inspect.DictType():
            return "a table"
        case inspect.AnyType():
            return "any value"
    raise TypeError(f"scenario files have no words for {kind}")


def _either(texts: Sequence[str]) -> str:
    once = list(dict.fromkeys(texts))
    return once[0] if len(once) == 1 else ", ".join(once[:-1]) + " or " + once[-1]


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" between {_plain(kind.ge)} and {_plain(kind.le)}"
    sides = (
        _side("of at least", kind.ge),
        _side("above", kind.gt),
        _side("of at most", kind.le),
        _side("below", kind.lt),
    )
    joined = " and ".join(side for side in sides if side)
    return f" {joined}" if joined else ""


def _side(words: str, bound: float | None) -> str:
    return "" if bound is None else f"{words} {_plain(bound)}"


def _plain(number: float) -> str:
    return f"{number:.12g}"
