"""At most one log line a minute for each kind of thing that somebody else can bring about.

Whoever reaches the port can repeat a mistake as often as the network carries it. If each one wrote a line, a stranger
would fill the disk and bury what the operator has to see. So whatever a stranger or a peer can cause is told here and
not to the log itself: the first of a kind at once, those of the next minute as one line with their number.

    00:00.0  refused token  peer=3f1c  reason=expired          the first is told at once
    00:00.1 ... 00:59.9                                         412 more are counted
    01:00.0  refused token  peer=77aa  reason=expired  times=412   the last of them stands for all

The kinds must be named by the program and never by the caller: a name made from a request would be a new kind for
each request. As a last defence all kinds beyond KINDS_MAX share one.

What is not here: how lines are written (`stigmem.host.log_queue`) and what they look like (`stigmem.host.logs`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import trio

__all__ = ["KINDS_MAX", "WINDOW_S", "Level", "LogLimiter"]

Level = Literal["debug", "info", "warning", "error"]

WINDOW_S: Final = 60.0
KINDS_MAX: Final = 500
"""The program has some fifty kinds; ten times that is a bug, which must not cost memory without end."""
_TEXT_CHARS_MAX: Final = 500
"""Of a text that a stranger may have chosen."""
_LOOK_S: Final = 5.0
_EVENT_MEMBERS: Final = ("event", "level", "timestamp", "times", "exc_info")


class Log(Protocol):
    """What of a structlog logger is used here."""

    def debug(self, event: str, /, **details: Any) -> Any: ...
    def info(self, event: str, /, **details: Any) -> Any: ...
    def warning(self, event: str, /, **details: Any) -> Any: ...
    def error(self, event: str, /, **details: Any) -> Any: ...


@dataclass(slots=True)
class _Window:
    """One kind's current minute."""

    begin_s: float
    level: Level
    latest: dict[str, Any]
    counted: int = 0


class LogLimiter:
    """Tells the first of a kind at once, and once a minute how many more there were. May be called from any thread."""

    def __init__(self, log: Log, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now_s = now_s
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}
        self._traced: dict[tuple[str, str], None] = {}

    def tell(
        self, event: str, *, key: str = "", level: Level = "info", bug: BaseException | None = None, **details: Any
    ) -> None:
        """Something happened. `event` and `key` together are the kind; both come from the program's own words.

        `bug` is an exception of ours: its traceback is shown once in the life of the process and kind. What a stranger
        sent is never a bug and brings none.
        """
        told = {(f"what_{name}" if name in _EVENT_MEMBERS else name): _short(value) for name, value in details.items()}
        kind, now_s = (event, key), self._now_s()
        with self._lock:
            if kind not in self._windows and len(self._windows) >= KINDS_MAX:
                kind = ("other events", "")
            window = self._windows.get(kind)
            if window is not None and now_s - window.begin_s < WINDOW_S:
                window.counted += 1
                window.latest = told
                return
            times = 1 if window is None else window.counted + 1
            self._windows[kind] = _Window(now_s, level, told)
            trace = bug is not None and kind not in self._traced and len(self._traced) < KINDS_MAX
            if trace:
                self._traced[kind] = None
        if trace:
            told = told | {"exc_info": bug}
        self._emit(level, kind[0], told, times)

    def flush(self, *, all_of_them: bool = False) -> None:
        """Tell what was counted in minutes that are over, or in every one that has begun."""
        over = []
        now_s = self._now_s()
        with self._lock:
            for kind, window in list(self._windows.items()):
                if not all_of_them and now_s - window.begin_s < WINDOW_S:
                    continue
                if window.counted:
                    over.append((window.level, kind[0], window.latest, window.counted))
                    self._windows[kind] = _Window(now_s, window.level, window.latest)
                else:
                    del self._windows[kind]
        for level, event, details, times in over:
            self._emit(level, event, details, times)

    async def run(self) -> None:
        """Flush from time to time, until cancelled; then tell what is left."""
        try:
            while True:
                await trio.sleep(_LOOK_S)
                self.flush()
        finally:
            self.flush(all_of_them=True)

    def _emit(self, level: Level, event: str, details: dict[str, Any], times: int) -> None:
        if times > 1:
            details = details | {"times": times}
        getattr(self._log, level)(event, **details)


def _short(value: object) -> object:
    return value[:_TEXT_CHARS_MAX] + "..." if isinstance(value, str) and len(value) > _TEXT_CHARS_MAX else value
