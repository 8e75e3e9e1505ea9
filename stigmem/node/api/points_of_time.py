"""Points of time that readers name, `as_of` and `known_at`, and the answers made for them (spec/queries.md).

What belongs to a point of time is `stigmem.core.past`; here texts become points, and points become part of cursors, so
that every page of an answer is about the same one. An answer about the past is made by a task, in slices, at most
PAST_ANSWERS_MAX at one time.

Local sequence numbers count what a caller may not read. So `known_at=s:<n>` is for callers from whom nothing is hidden.
The others name a moment while it lasts: `known_at=now` is answered with a name for it, which only this node can read
and which says neither how many facts there were nor when.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator
from typing import Annotated, Final, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.gardens import Garden
from stigmem.core.hlc import WALL_MS_MAX, Stamp, format_stamp, parse_stamp, stamp, stamp_wall_ms
from stigmem.core.ledger import Ledger
from stigmem.core.past import PointOfTime
from stigmem.core.timestamps import format_us, parse_us
from stigmem.core.wire import Response
from stigmem.node.api.background import Background, ConcurrencyLimit, in_slices
from stigmem.node.api.routing import Outcome
from stigmem.node.api.visibility import Sight
from stigmem.node.cursors import CursorCodec
from stigmem.node.ports import Clock
from stigmem.node.responses import busy

__all__ = ["AsOf", "AskedPoint", "KnownAt", "PointRecord", "PointsOfTime", "instant_us"]

T = TypeVar("T")

AsOf = Annotated[
    str | None,
    msgspec.Meta(
        description="Facts that were stamped up to this ISO-8601 instant, or up to this stamp, and expiry as of then. "
        "Nodes that hold the same facts answer alike."
    ),
]
KnownAt = Annotated[
    str | None,
    msgspec.Meta(
        description="What this node answered when it had stored so many facts (`s:<number>`), or at a moment that it "
        "named; `now` names this one."
    ),
]

_STAMP: Final = re.compile(r"[0-9]{13,16}(?:\.[0-9]{1,9})?")
_NUMBER: Final = re.compile(r"s:([0-9]{1,18})")
_COUNTERS: Final = 1 << 20
_AHEAD_US: Final = 5_000_000
"""By how much an instant may be ahead of this node's clock: the contract's five seconds (http-api 3.4)."""
_NAMES: Final = "known_at is s:<number of a fact>, now, or a name that was answered to now"


class NamedPoint(Protocol):
    """What a request says about its point of time."""

    @property
    def as_of(self) -> str | None: ...

    @property
    def known_at(self) -> str | None: ...


class PointParameters(NamedPoint, Protocol):
    """The same, of an answer that has pages."""

    @property
    def cursor(self) -> str | None: ...


class PointRecord(msgspec.Struct, kw_only=True):
    """The point of time that an answer is about, by the name under which it can be asked for again. `expiry_at`: the
    instant by which was judged what had expired."""

    as_of: str | UnsetType = UNSET
    known_at: str | UnsetType = UNSET
    expiry_at: str


class AskedPoint(msgspec.Struct, frozen=True):
    """A point of time that somebody asked about. `cursor`: where its answer goes on, None for the beginning."""

    point: PointOfTime
    record: PointRecord
    sight: Sight
    cursor: str | None

    def cursor_to(self, place: str) -> str:
        """What a cursor for a place in this answer says."""
        return f"{_text(self.point)}\n{place}"


class PointsOfTime:
    """Reads the names of points of time, and has answers about them made."""

    def __init__(self, *, cursors: CursorCodec, background: Background, clock: Clock) -> None:
        self._cursors = cursors
        self._background = background
        self._clock = clock

    def asked(
        self, given: PointParameters, ledger: Ledger, sight: Sight, *, garden: Garden | None = None
    ) -> AskedPoint | None:
        """The point of time that a request names, None for now. Raises Refusal 400, 403 and 422."""
        found = self.named(given, ledger, sight, garden=garden)
        if found is None or given.cursor is None:
            return found
        return self._further(given, found.point, found.record, sight)

    def named(
        self, given: NamedPoint, ledger: Ledger, sight: Sight, *, garden: Garden | None = None
    ) -> AskedPoint | None:
        """As `asked`, for an answer that has no pages."""
        if given.as_of is None and given.known_at is None:
            return None
        if given.as_of is not None and given.known_at is not None:
            raise invalid("known_at", "as_of and known_at are two points of time; name one", where="query")
        if given.as_of is not None:
            point, record = self.as_of(given.as_of, ledger)
        elif garden is not None:
            raise invalid("known_at", "known_at counts what is in no garden; ask as_of in a garden", where="query")
        else:
            point, record = self._known_at(given.known_at or "", ledger, sight)
        return AskedPoint(point, record, sight, None)

    def answer(self, make: Callable[[], Awaitable[Response]]) -> Outcome:
        """Have a task make an answer about a point of time."""
        full = busy("too many answers about other points of time are in the making")
        return self._background.answer(make, ConcurrencyLimit("past", "", limits.PAST_ANSWERS_MAX, full))

    async def made(self, work: Generator[None, None, T]) -> T:
        """The result of work that yields where something else may go on."""
        return await in_slices(self._clock, work)

    def as_of(self, text: str, ledger: Ledger) -> tuple[PointOfTime, PointRecord]:
        """The point of time that an instant or a stamp names in a ledger. Raises Refusal 400."""
        try:
            if _STAMP.fullmatch(text):
                newest = parse_stamp(text)
                if stamp_wall_ms(newest) > WALL_MS_MAX:
                    raise ValueError("no stamp is as late as that")
                at_us, name = 1000 * stamp_wall_ms(newest), format_stamp(newest)
            else:
                at_us = parse_us(text.replace(" ", "+"))  # an unescaped + in a query string reads as a space
                newest, name = stamp(at_us // 1000, _COUNTERS), format_us(at_us)
                if at_us > self._clock.wall_ns() // 1000 + _AHEAD_US:
                    raise Refusal(400, "as_of_future", "as_of is later than this node's clock", field="as_of")
        except ValueError as error:
            message = "as_of is an ISO-8601 instant, or a stamp such as 1795161344436.000"
            raise Refusal(400, "as_of_invalid_timestamp", message, field="as_of") from error
        return PointOfTime(ledger.last_seq, at_us, newest), PointRecord(as_of=name, expiry_at=format_us(at_us))

    def _known_at(self, text: str, ledger: Ledger, sight: Sight) -> tuple[PointOfTime, PointRecord]:
        number = _NUMBER.fullmatch(text)
        if text == "now":
            point = PointOfTime(ledger.last_seq, ledger.horizon_us, sweeps=ledger.sweeps)
            # A number says when it was only if nothing fell due or was swept since; this name says it always.
            text = self._cursors.close(f"known at {_text(point)}")
        elif number is not None:
            point = _stored(int(number[1]), ledger, sight)
        else:
            head, _, rest = self._opened(text).partition(" at ")
            found = _point(rest) if head == "known" else None
            if found is None:
                raise invalid("known_at", _NAMES, where="query", given=text)
            point = found
        return point, PointRecord(known_at=text, expiry_at=format_us(point.at_us))

    def _opened(self, text: str) -> str:
        try:
            return self._cursors.open(text)
        except Refusal as error:
            raise invalid("known_at", _NAMES, where="query", given=text) from error

    def _further(self, given: PointParameters, point: PointOfTime, record: PointRecord, sight: Sight) -> AskedPoint:
        """Go on where a cursor stands, over the point that it was made for: facts may have come in since."""
        head, _, place = self._cursors.open(given.cursor or "").partition("\n")
        found = _point(head)
        same = found is not None and (
            found == point
            or (found.stamp is None and given.known_at == "now")
            or (found.stamp is not None and (found.stamp, found.at_us) == (point.stamp, point.at_us))
        )
        if found is None or not same:
            raise Refusal(
                400, "invalid_cursor", "the cursor is of an answer about another point of time", field="cursor"
            )
        if given.known_at == "now":
            name = self._cursors.close(f"known at {_text(found)}")
            record = PointRecord(known_at=name, expiry_at=format_us(found.at_us))
        return AskedPoint(found, record, sight, place)


def _stored(number: int, ledger: Ledger, sight: Sight) -> PointOfTime:
    if not sight.is_whole:
        message = "sequence numbers count what you may not read; ask for known_at=now, and keep the name it answers"
        raise Refusal(403, "scope_not_allowed", message, field="known_at")
    mark = sight.state.horizons.at(number)
    if mark is None:
        what = (
            f"this node has stored {ledger.last_seq} facts"
            if number > ledger.last_seq or not number
            else "how this node judged when it stored that fact was not recorded: it was imported, or is older"
        )
        raise invalid("known_at", what, where="query", given=f"s:{number}")
    return PointOfTime(number, mark.horizon_us, sweeps=mark.sweeps)


def _text(point: PointOfTime) -> str:
    return f"{point.seq} {point.at_us} {'-' if point.stamp is None else point.stamp} {point.sweeps}"


def _point(text: str) -> PointOfTime | None:
    """A point from its text; None for a text that was sealed for something else."""
    parts = text.split(" ")
    if len(parts) != 4:
        return None
    seq, at_us, newest, sweeps = parts
    return PointOfTime(int(seq), int(at_us), None if newest == "-" else Stamp(int(newest)), int(sweeps))


def instant_us(name: str, text: str) -> int:
    """The instant that a query parameter names, in microseconds since the epoch. Raises Refusal 422."""
    try:
        return parse_us(text.replace(" ", "+"))  # an unescaped + in a query string reads as a space
    except ValueError as error:
        raise invalid(name, f"{name} must be an ISO-8601 instant", where="query", given=text) from error
