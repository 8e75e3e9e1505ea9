"""Instants as integer microseconds since the Unix epoch (1970, UTC), and their ISO-8601 text.

Conversion only: nobody here asks what time it is. Texts are compared as instants, never as strings, because
`Z`, offsets and missing fractions mix on the wire (http-api 1.6).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["format_us", "is_datetime_text", "parse_us"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_US: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
# Python takes any character between date and time, and which hours it takes depends on its version. What one node takes
# all of them must take.
_SHAPE: Final = re.compile(r"[0-9W-]{7,10}(?:[Tt ](?!24)[0-9:.,]{2,18} ?(?:Z|[+-][0-9:.]{2,15})?)?")


@lru_cache(maxsize=4_096)  # whether a fact has expired is asked again and again
def parse_us(text: str) -> int:
    """Microseconds since the epoch of an ISO-8601 instant; a text without a zone counts as UTC.

    Raises ValueError when the text is no instant or lies outside the years 1 to 9999 in UTC.
    """
    if _SHAPE.fullmatch(text) is None:
        raise ValueError(f"not an ISO-8601 instant: {text}")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    found = (moment - _EPOCH) // _MICROSECOND
    if not _FIRST_US <= found <= _LAST_US:  # an offset can lead out of the calendar, where no text leads back in
        raise ValueError(f"instant out of range: {text}")
    return found


@lru_cache(maxsize=1_024)
def format_us(microseconds: int) -> str:
    """The fixed-width text of the contract: six fractional digits and `+00:00`; raises OverflowError outside the
    years 1 to 9999."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second_text(seconds)}.{fraction:06d}+00:00"


@lru_cache(maxsize=1_024)
def _second_text(seconds: int) -> str:
    # Facts come in bursts: most are written or read in a second that was formatted before.
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def is_datetime_text(text: str) -> bool:
    """Whether a `datetime` value is an ISO-8601 date or instant (http-api 1.3)."""
    try:
        parse_us(text)
    except ValueError:
        return False
    return True
