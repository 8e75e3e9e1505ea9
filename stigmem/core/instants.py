"""Instants as integer microseconds since the Unix epoch, and their ISO-8601 text.

Conversion only: nobody here asks what time it is. Texts are compared as instants, never as strings, because
`Z`, offsets and missing fractions mix on the wire (http-api 1.6).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["format_us", "is_datetime_text", "parse_us"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_us(text: str) -> int:
    """Microseconds since the epoch of an ISO-8601 instant; a text without a zone counts as UTC.

    Raises ValueError when the text is no instant or lies outside the years 1 to 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return (moment - _EPOCH) // _MICROSECOND
    except OverflowError as error:  # year 1 or 9999 with an offset that leaves the calendar
        raise ValueError(f"instant out of range: {text}") from error


def format_us(microseconds: int) -> str:
    """The fixed-width text of the contract: six fractional digits and `+00:00`."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")


def is_datetime_text(text: str) -> bool:
    """Whether a `datetime` value is an ISO-8601 date or instant (http-api 1.3)."""
    try:
        parse_us(text)
    except ValueError:
        return False
    return True
