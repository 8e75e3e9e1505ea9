"""Durations, rates and sizes as people write them in scenario files.

Text with a unit in, integers out (nanoseconds, bits per second, bytes); a number without a unit is refused,
because nobody remembers which unit it meant. Arithmetic is exact: no text means one nanosecond more elsewhere.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Final

from msgspec import Meta

__all__ = [
    "Duration", "NonNegative", "Positive", "Rate", "Share", "Speed", "format_duration", "parse_duration", "parse_rate",
    "parse_speed",
]  # fmt: skip


class Duration(int):
    """Nanoseconds, written as `1m30s`, `250ms`, `72h`, `-45s`; at most 100 years either way."""


class Rate(float):
    """Events per second, written as `2/s`, `30/m`, `1/h`; at most a hundred thousand a second."""


class Speed(int):
    """Bits per second, written as `10Mbit/s`; more than none."""


NonNegative = Annotated[Duration, Meta(extra={"least": 0})]
"""A duration that has no meaning below zero; scenario files are held to it."""
Positive = Annotated[Duration, Meta(extra={"least": 1})]
"""A duration that must not be empty."""
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
"""A part of a whole."""

_UNITS_NS: Final = {
    "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "min": 60_000_000_000,
    "h": 3_600_000_000_000, "d": 86_400_000_000_000,
}  # fmt: skip
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|min|s|m|h|d)", re.ASCII)
_DURATION: Final = re.compile(rf"[+-]?\s*(?:{_PART.pattern}\s*)+", re.ASCII)
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|min|h|d)", re.ASCII)
_SPEED: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(bit|kbit|Mbit|Gbit)/s", re.ASCII)
_BITS: Final = {"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}
_TEXT_CHARS_MAX: Final = 64
_LONGEST_NS: Final = 36_500 * _UNITS_NS["d"]
"""Simulated instants fit in 64 bits of nanoseconds, and their dates in four-digit years."""
_PER_SECOND_MAX: Final = 100_000
"""More than a machine does; much more, and the gaps between events would be no time at all."""


def parse_duration(text: str) -> Duration:
    """Nanoseconds of a duration text; raises ValueError with a sentence."""
    trimmed = text.strip()
    if len(trimmed) > _TEXT_CHARS_MAX or _DURATION.fullmatch(trimmed) is None:
        raise ValueError(
            f"{_short(text)} is not a duration; write a number with a unit, such as '30s', '5m' or '1m30s'"
        )
    total = sum(round(Fraction(number) * _UNITS_NS[unit]) for number, unit in _PART.findall(trimmed))
    if total > _LONGEST_NS:
        raise ValueError(f"{_short(text)} is too long; a duration is at most 36500d (a hundred years)")
    return Duration(-total if trimmed.startswith("-") else total)


def parse_rate(text: str) -> Rate:
    """Events per second of a rate text; raises ValueError with a sentence."""
    match = _RATE.fullmatch(text.strip()) if len(text) <= _TEXT_CHARS_MAX else None
    if match is None:
        raise ValueError(f"{_short(text)} is not a rate; write events per time, such as '2/s' or '30/m'")
    rate = Fraction(match[1]) * 1_000_000_000 / _UNITS_NS[match[2]]
    if rate > _PER_SECOND_MAX:
        raise ValueError(f"{_short(text)} is too fast; a rate is at most {_PER_SECOND_MAX}/s")
    return Rate(rate)


def parse_speed(text: str) -> Speed:
    """Bits per second of a bandwidth text; raises ValueError with a sentence."""
    match = _SPEED.fullmatch(text.strip()) if len(text) <= _TEXT_CHARS_MAX else None
    if match is None:
        raise ValueError(f"{_short(text)} is not a bandwidth; write for example '10Mbit/s' or '256kbit/s'")
    speed = round(Fraction(match[1]) * _BITS[match[2]])
    if speed < 1:
        raise ValueError(f"{_short(text)} carries nothing; a bandwidth is at least '1bit/s'")
    return Speed(speed)


def _short(text: str) -> str:
    return repr(text if len(text) <= _TEXT_CHARS_MAX else text[: _TEXT_CHARS_MAX - 1] + "…")


def format_duration(ns: int) -> str:
    """A duration for people: the two largest units that matter."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns == 0:
        return "0s"
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
