"""The hybrid logical clock: stamps, their order, and how a clock moves.

Pure arithmetic on integers; the physical time is always an argument. A stamp is one integer, the wall
milliseconds above 20 counter bits, so that integer order is causal order and a stamp fits a database column.
After Kulkarni, Demirbas et al., "Logical Physical Clocks" (OPODIS 2014); rules and bounds are spec/hlc.md.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NewType

from stigmem.core import limits
from stigmem.core.errors import Rejection

__all__ = [
    "COUNTER_MAX",
    "WALL_MS_MAX",
    "ZERO",
    "Stamp",
    "check_skew",
    "format_stamp",
    "parse_stamp",
    "receive",
    "stamp",
    "stamp_counter",
    "stamp_wall_ms",
    "tick",
]

Stamp = NewType("Stamp", int)

_COUNTER_BITS: Final = 20
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1
WALL_MS_MAX: Final = (1 << 43) - 1
"""The last wall time a stored stamp can have (year 2248): 63 bits in all."""
COUNTER_MAX: Final = 999
"""The largest counter we issue; the next stamp opens the next millisecond, so the text keeps its width."""
ZERO: Final = Stamp(0)

# ASCII digits only: int() would also take signs, underscores and other scripts' digits (federation 4).
_TEXT: Final = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,9}))?")


def stamp(wall_ms: int, counter: int) -> Stamp:
    """The stamp of a wall clock, in milliseconds since the epoch, and a counter; a foreign counter of 2**20 or more
    counts as the last one below, which only levels stamps that no clock of ours issues."""
    return Stamp((wall_ms << _COUNTER_BITS) | min(counter, _COUNTER_MASK))


def stamp_wall_ms(value: Stamp) -> int:
    """The wall part, in milliseconds since the epoch."""
    return value >> _COUNTER_BITS


def stamp_counter(value: Stamp) -> int:
    """The counter part."""
    return value & _COUNTER_MASK


def format_stamp(value: Stamp) -> str:
    """`<13 digits of wall ms>.<3 digits of counter>`: text whose order is the order of the stamps we issue."""
    return f"{value >> _COUNTER_BITS:013d}.{value & _COUNTER_MASK:03d}"


def parse_stamp(text: str) -> Stamp:
    """A stamp from its text, padded or not, with or without counter; raises Rejection `hlc_malformed`."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise Rejection("hlc_malformed", "a stamp is <wall ms>.<counter> in decimal digits", field="hlc")
    wall, counter = match.groups()
    return stamp(int(wall), int(counter or 0))


def _next(value: Stamp) -> Stamp:
    if value & _COUNTER_MASK < COUNTER_MAX:
        return Stamp(value + 1)
    return stamp((value >> _COUNTER_BITS) + 1, 0)


def tick(last: Stamp, now_ms: int) -> Stamp:
    """The stamp of a local event: greater than `last`, the last one of this node, and not behind the physical clock
    `now_ms`."""
    return max(_next(last), stamp(now_ms, 0))


def receive(last: Stamp, remote: Stamp, now_ms: int, drag_ms: int = limits.DRAG_MS) -> Stamp:
    """The clock after a remote stamp was seen: greater than `last` and, within the drag bound, than `remote`.

    A remote stamp that would move our clock more than `drag_ms` ahead of the physical one does not move it: it
    is stored with its fact, but one boasting peer must not push our own stamps over an honest neighbour's skew
    bound.
    """
    after = _next(remote)
    if (after >> _COUNTER_BITS) - now_ms > drag_ms:
        return tick(last, now_ms)
    return max(tick(last, now_ms), after)


def check_skew(
    remote: Stamp,
    now_ms: int,
    *,
    future_ms: int = limits.SKEW_FUTURE_MS,
    past_ms: int = limits.SKEW_PAST_MS,
) -> tuple[Literal["future", "past"], int] | None:
    """The direction of a remote stamp that lies beyond its bound, with the signed distance in ms from our clock
    `now_ms` (positive: the stamp is ahead); None when it lies within. A bound of 0 is switched off."""
    skew = (remote >> _COUNTER_BITS) - now_ms
    if future_ms and skew > future_ms:
        return "future", skew
    if past_ms and -skew > past_ms:
        return "past", skew
    return None
