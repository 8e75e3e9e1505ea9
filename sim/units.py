"""Durations, rates and sizes as people write them in scenario files.

Text with a unit in, integers out (nanoseconds, bits per second, bytes); a number without a unit is refused,
because nobody remembers which unit it meant.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Duration", "Rate", "Speed", "format_duration", "parse_duration", "parse_rate", "parse_speed"]


class Duration(int):
    """Nanoseconds, written as `1m30s`, `250ms`, `72h`, `-45s`."""


class Rate(float):
    """Events per second, written as `2/s`, `30/m`, `1/h`."""


class Speed(int):
    """Bits per second, written as `10Mbit/s`."""


_UNITS_NS: Final = {
    "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "min": 60_000_000_000,
    "h": 3_600_000_000_000, "d": 86_400_000_000_000,
}  # fmt: skip
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|min|s|m|h|d)")
_DURATION: Final = re.compile(rf"[+-]?(?:{_PART.pattern}\s*)+")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|min|h|d)")
_SPEED: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(bit|kbit|Mbit|Gbit)/s")
_BITS: Final = {"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}


def parse_duration(text: str) -> Duration:
    """Nanoseconds of a duration text; raises ValueError with a sentence."""
    trimmed = text.strip()
    if _DURATION.fullmatch(trimmed) is None:
        raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as '30s', '5m' or '1m30s'")
    total = sum(round(float(number) * _UNITS_NS[unit]) for number, unit in _PART.findall(trimmed))
    return Duration(-total if trimmed.startswith("-") else total)


def parse_rate(text: str) -> Rate:
    """Events per second of a rate text; raises ValueError with a sentence."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write events per time, such as '2/s' or '30/m'")
    return Rate(float(match[1]) * 1e9 / _UNITS_NS[match[2]])


def parse_speed(text: str) -> Speed:
    """Bits per second of a bandwidth text; raises ValueError with a sentence."""
    match = _SPEED.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a bandwidth; write for example '10Mbit/s' or '256kbit/s'")
    return Speed(round(float(match[1]) * _BITS[match[2]]))


def format_duration(ns: int) -> str:
    """A duration for people: the two largest units that matter."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns < 1_000_000_000:
        return f"{ns / 1_000_000:g}ms" if ns >= 1_000_000 else f"{ns / 1_000:g}us"
    seconds = ns / 1e9
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
