"""Single values of a scenario file against their types: numbers, texts, choices, values with units.

Values that are neither tables nor lists; those are walked by `sim.scenario.schema_errors`. Sentences only, no paths.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import inspect

from sim.diagnostics.suggestions import EXAMPLES, expected, listed, meant, nearest_first, quoted, shown
from sim.units import Duration, Rate, Speed, parse_duration, parse_rate, parse_speed

__all__ = ["PARSERS", "scalar_mistake", "suits"]

PARSERS: Final[Mapping[type, Callable[[str], Any]]] = {
    Duration: parse_duration, Rate: parse_rate, Speed: parse_speed
}  # fmt: skip
"""Types written as texts with units, and what reads them."""
_INT_MAX: Final = 2**63 - 1


def suits(value: Any, kind: inspect.Type) -> bool:
    """Whether a value is of the sort that a type is written as, right or wrong."""
    match kind:
        case inspect.Metadata():
            united = kind.extra is not None and "unit" in kind.extra
            return _may_have_unit(value) if united else suits(value, kind.type)
        case inspect.NoneType():
            return value is None
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.ListType() | inspect.VarTupleType():
            return isinstance(value, (list, tuple))
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, (bool, *PARSERS))
        case inspect.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, (bool, *PARSERS))
        case inspect.CustomType():
            return _may_have_unit(value)
    return isinstance(value, str)


def _may_have_unit(value: Any) -> bool:
    """Numbers too, so that a forgotten unit is named instead of a wrong type."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def scalar_mistake(value: Any, kind: inspect.Type, extra: dict[str, Any]) -> str | None:
    """What is wrong with a value that is neither a table nor a list."""
    match kind:
        case inspect.CustomType():
            return _united(value, kind.cls, extra)
        case inspect.StrType() if "unit" in extra:
            return _united(value, extra["unit"], extra)
        case inspect.LiteralType() if isinstance(value, str) and value not in kind.values:
            names = nearest_first(value, [str(name) for name in kind.values])
            near = meant(value, names)
            return f"{shown(value)} is not one of {listed(names)}" + (f"; did you mean {quoted(near)}?" if near else "")
    if not suits(value, kind):
        return f"{shown(value)} is not {expected(kind)}" + _out_of_quotes(value, kind)
    if isinstance(kind, inspect.StrType) and kind.pattern is not None:
        # `$` of a pattern also lets a last newline pass
        return (
            None if re.search(kind.pattern, value) and value[-1:] != "\n" else f"{shown(value)} is not {expected(kind)}"
        )
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        too_large = isinstance(value, int) and abs(value) > _INT_MAX
        if too_large or not math.isfinite(value) or not _within(value, kind):
            return f"{shown(value)} is not {expected(kind)}" + (" that fits in 64 bits" if too_large else "")
    return None


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _out_of_quotes(value: Any, kind: inspect.Type) -> str:
    """A hint for a number or a truth value that stands in quotes."""
    if not isinstance(value, str):
        return ""
    if isinstance(kind, inspect.BoolType):
        return f"; write {value.lower()} without quotes" if value.lower() in ("true", "false") else ""
    number = re.fullmatch(r"[+-]?\d+" if isinstance(kind, inspect.IntType) else r"[+-]?\d+(\.\d+)?", value)
    return f"; write {value} without quotes" if number else ""


def _united(value: Any, cls: type, extra: dict[str, Any]) -> str | None:
    """What is wrong with a duration, a rate or a bandwidth."""
    noun, examples = EXAMPLES[cls]
    if isinstance(value, (int, float)) and not isinstance(value, (bool, cls)):
        return f"{value} has no unit; write {noun} such as {examples}"
    if not isinstance(value, (str, cls)):
        return f"{shown(value)} is not {noun}; write for example {examples}"
    try:
        size = PARSERS[cls](value) if isinstance(value, str) else value
    except ValueError as error:
        return str(error)
    if size < extra.get("least", size):
        return (
            f"{shown(value)} is too short; it must be longer than 0s" if size == 0 else f"{shown(value)} is below zero"
        )
    return None
