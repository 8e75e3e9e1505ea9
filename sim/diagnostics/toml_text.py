"""Writing TOML: plain values, and values with units in the largest unit that is exact.

Reading what is written here gives equal values. What is in a scenario and what is at its default is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from sim.units import Duration, Rate, Speed, parse_rate

__all__ = ["toml_text", "toml_value"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TIMES: Final = (
    ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
)  # fmt: skip
_SPEEDS: Final = (("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1))
_PER: Final = (("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400))


# --- values with units ---


def _united(value: Duration | Rate | Speed) -> str:
    if isinstance(value, Duration):
        return _largest(int(value), _TIMES) if value else "0s"
    if isinstance(value, Speed):
        return f"{_largest(int(value), _SPEEDS)}/s"
    return _rate(value)


def _largest(count: int, units: tuple[tuple[str, int], ...]) -> str:
    name, size = next((name, size) for name, size in units if count % size == 0)
    return f"{count // size}{name}"


def _rate(rate: Rate) -> str:
    for unit, length in _PER:
        whole = round(Fraction(float(rate)) * length)
        if whole and parse_rate(f"{whole}/{unit}") == rate:
            return f"{whole}/{unit}"
    return f"{Decimal(repr(float(rate))):f}/s"  # the shortest text of a float reads back as the same float


# --- tables ---


def toml_text(tables: Mapping[str, Any]) -> str:
    """Tables and lists of tables (`sim.scenario.reading.plain_values`) as TOML; what is nested deeper is inline."""
    blocks = []
    for name, value in tables.items():
        if isinstance(value, Mapping):
            blocks.append(_block(f"[{_key(name)}]", value))
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            blocks.extend(_block(f"[[{_key(name)}]]", each) for each in value)
        elif value != []:
            blocks.insert(0, f"{_key(name)} = {toml_value(value)}\n")
    return "\n".join(blocks)


def _block(header: str, table: Mapping[str, Any]) -> str:
    return "".join([header + "\n", *(f"{_key(key)} = {toml_value(value)}\n" for key, value in table.items())])


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    # JSON's escapes are all escapes of TOML, which wants one more: the delete character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """One value, tables in braces."""
    if isinstance(value, (Duration, Rate, Speed)):
        return _quoted(_united(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)
