"""Errors of kinds that others wrote: which fault, workload, adversary or checker it was, and what is wrong.

A kind of somebody else's that raises is no bug of this package, and a traceback through a world of events tells its
author little. So its error is told in one sentence: the sort and the name of the kind, its class, the error, and the
place in its module. Two ways lead here: whoever calls a kind and knows which (`failure`), and whoever meets an error at
the end of a run and looks through the traceback for a frame of one of the run's kinds (`whose`), innermost first.

Kinds of this package are never blamed here: their errors are bugs, and are told as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from traceback import walk_tb
from typing import Any, Final, NoReturn

from sim.kinds import name_of

__all__ = ["KindFailed", "blame", "failure", "is_ours", "whose"]

_OURS: Final = "sim"


class KindFailed(Exception):
    """A kind that somebody else wrote raised, or gave what it may not give; the original error is its cause."""

    def __init__(self, part: object, sentence: str) -> None:
        super().__init__(f"{_described(part)} {sentence}")
        self.part = part
        """The fault, workload, adversary or checker."""


def is_ours(part: object) -> bool:
    """Whether a part of a run is of a kind of this package."""
    return type(part).__module__.partition(".")[0] == _OURS


def failure(part: object, error: Exception, hook: str = "") -> Exception:
    """What to raise from an error of a part, in one of its methods: the error itself when the part is ours."""
    if is_ours(part) or isinstance(error, KindFailed):
        return error
    lines = [line for frame, line in walk_tb(error.__traceback__) if _module(frame) == type(part).__module__]
    return _told(part, error, lines[-1] if lines else None, hook)


def blame(part: object, error: Exception, hook: str) -> NoReturn:
    """Raise what is to be raised from an error of a part, in one of its methods."""
    known = failure(part, error, hook)
    if known is error:
        raise error
    raise known from error


def whose(error: Exception, parts: Iterable[object]) -> KindFailed | None:
    """The kind, of those of some parts, whose code an error came from; None when it was nobody's but ours."""
    if isinstance(error, KindFailed):
        return error
    foreign = [part for part in parts if not is_ours(part)]
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        mine = [part for part in foreign if type(part).__module__ == _module(frame)]
        found = [part for part in mine if _is_written_in(part, frame)] or mine
        if len({type(part) for part in found}) == 1:
            return _told(found[0], error, line, "")
        for part in foreign:  # our code that a kind inherits, at work on what the kind gave it
            if frame.f_locals.get("self") is part:
                return _told(part, error, None, frame.f_code.co_name)
    return None


def _is_written_in(part: object, frame: Any) -> bool:
    """Whether a frame is of a method of a part's class, or of a function inside of one."""
    inside = str(frame.f_code.co_qualname).startswith(f"{type(part).__qualname__}.")
    return inside or frame.f_locals.get("self") is part


def _told(part: object, error: Exception, line: int | None, hook: str) -> KindFailed:
    place = "" if line is None else f" ({type(part).__module__}, line {line})"
    words = str(error) or "without a word"
    return KindFailed(part, f"raised {type(error).__name__}{f' in {hook}' if hook else ''}: {words}{place}")


def _described(part: object) -> str:
    cls = type(part)
    return f"the {getattr(cls, 'sort', 'part')} {name_of(cls)!r} ({cls.__module__}.{cls.__qualname__})"


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__"))
