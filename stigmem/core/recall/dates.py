"""Dates that a question names, so that facts of that day or month are preferred.

Read are `7 July 2023`, `July 7, 2023`, `2023-07-07`, `July 2023` and `in July`. Relative dates (`yesterday`) are not:
nobody knows by whose clock they are meant. A fact's date is that of its write, in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

__all__ = ["NamedDate", "day_of", "named_dates"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_NAMES: Final = {name.lower(): number for number, name in enumerate(_MONTHS, 1)} | {
    name[:3].lower(): number for number, name in enumerate(_MONTHS, 1)
}
_MONTH: Final = "(" + "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + r")\b\.?"
_ISO: Final = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")
_DAY_FIRST: Final = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (\d{{4}}))?", re.IGNORECASE)
_MONTH_FIRST: Final = re.compile(rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}})\b)?", re.IGNORECASE)
_MONTH_ONLY: Final = re.compile(rf"\b{_MONTH}(?:,? (\d{{4}})\b)?")  # with its capital: "may" is a verb


class NamedDate(NamedTuple):
    """A month, perhaps of one year, perhaps a day of it."""

    year: int | None
    month: int
    day: int | None


def named_dates(query: str) -> list[NamedDate]:
    """Dates that a text names, in the order of the forms above; impossible ones are left out."""
    found: list[NamedDate] = []
    rest = query
    for pattern, order in ((_ISO, (1, 2, 3)), (_DAY_FIRST, (3, 2, 1)), (_MONTH_FIRST, (3, 1, 2))):
        for match in pattern.finditer(rest):
            year, month, day = (match[group] for group in order)
            number = int(month) if month.isdigit() else _NAMES[month.lower()]
            found.append(NamedDate(int(year) if year else None, number, int(day) if day else None))
        rest = pattern.sub(" ", rest)
    found += (
        NamedDate(int(match[2]) if match[2] else None, _NAMES[match[1].lower()], None)
        for match in _MONTH_ONLY.finditer(rest)
    )
    return [date for date in found if 1 <= date.month <= 12 and (date.day is None or 1 <= date.day <= 31)]


def day_of(timestamp_us: int) -> tuple[int, int, int]:
    """Year, month and day of an instant, in UTC."""
    moment = _EPOCH + timedelta(microseconds=timestamp_us)
    return moment.year, moment.month, moment.day
