"""Standard output and standard error that never make a node wait and never fail it.

A write to a pipe that nobody reads blocks for ever; to a pipe whose reader has gone, or to a full disk, it raises. Both
are right for a command and wrong for a node: nothing takes a node down but its journal. So while a node runs, what it
says goes into a bounded queue, and a thread of its own writes the queue out.

    the loop, worker threads --put--> LineQueue (bounded, never waits) --thread--> write(2) --> pipe, file, terminal

Invariants:

1. `put` takes a lock that nobody holds while writing, appends or drops, and returns. It raises nothing.
2. A line is written whole and in order, or dropped and counted; a queue that is full drops the newest.
3. Dropped lines are told in the log itself, at most once a minute, as soon as a write succeeds again.
4. At the end what is queued gets a moment; then the process ends, whether anybody has read it or not.

While it lasts `sys.stdout` and `sys.stderr` are replaced, so that warnings, tracebacks of other threads and libraries
that print go the same way. When both are the same file they share one queue, and their order is kept.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

__all__ = ["LineQueue", "QueuedStream", "unblocked_streams"]

_LINES_MAX: Final = 10_000
_CHARS_MAX: Final = 4_000_000
"""Some minutes of a busy node's lines, while a log collector is restarted."""
_CHUNK_CHARS: Final = 65_536
_TOLD_EVERY_S: Final = 60.0
_LAST_WORDS_S: Final = 1.0


class LineQueue:
    """Lines on their way to one stream."""

    def __init__(
        self,
        write: Callable[[str], None],
        dropped_line: Callable[[int], str],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` may block and may raise OSError or ValueError; `dropped_line` says how many lines are missing."""
        self._write = write
        self._dropped_line = dropped_line
        self._now_s = now_s
        self._lines: deque[str] = deque()
        self._chars = 0
        self._changed = threading.Condition()
        self._closing = False
        self._untold = 0
        self._told_s: float | None = None
        self.dropped = 0
        """Lines that nobody will see, since the start."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Have it written, now or a little later."""
        with self._changed:
            if self._closing or len(self._lines) >= _LINES_MAX or self._chars + len(line) > _CHARS_MAX:
                self._count_dropped(1)
                return
            self._lines.append(line)
            self._chars += len(line)
            self._changed.notify()

    def close(self, wait_s: float = _LAST_WORDS_S) -> None:
        """Take nothing more; wait a moment for what is queued."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(wait_s)

    def _count_dropped(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._lines or self._closing or self._may_tell()):
                    self._changed.wait(_TOLD_EVERY_S if self._untold else None)
                chunk, lines = self._take()
                tell = self._may_tell() or (self._closing and self._untold > 0)
                untold = self._untold if tell else 0
                ends = self._closing and not self._lines
            if chunk and not self._written(chunk):
                with self._changed:
                    self._count_dropped(lines)
                untold = 0
            if untold and self._written(self._dropped_line(untold)):
                with self._changed:
                    self._untold -= untold
            if tell:
                self._told_s = self._now_s()
            if ends:
                return

    def _may_tell(self) -> bool:
        return self._untold > 0 and (self._told_s is None or self._now_s() - self._told_s >= _TOLD_EVERY_S)

    def _take(self) -> tuple[str, int]:
        taken: list[str] = []
        size = 0
        while self._lines and size < _CHUNK_CHARS:
            line = self._lines.popleft()
            self._chars -= len(line)
            size += len(line)
            taken.append(line)
        return "".join(taken), len(taken)

    def _written(self, text: str) -> bool:
        try:
            self._write(text)
        except (OSError, ValueError):
            return False
        return True


class QueuedStream(io.TextIOBase):
    """A text stream whose lines go into a queue; the file number and the terminal are those of the stream it stands
    for."""

    def __init__(self, stands_for: TextIO, queue: LineQueue) -> None:
        super().__init__()
        self._stands_for = stands_for
        self._queue = queue
        self._lock = threading.Lock()
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        return self._stands_for.encoding

    def fileno(self) -> int:
        return self._stands_for.fileno()

    def isatty(self) -> bool:
        return self._stands_for.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Queue every line that is whole; keep what comes after the last one."""
        with self._lock:
            lines = (self._begun + text).splitlines(keepends=True)
            self._begun = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        for line in lines:
            self._queue.put(line)
        return len(text)

    def flush(self) -> None:
        """Queue what is begun, for prompts and bars that end in no newline."""
        with self._lock:
            begun, self._begun = self._begun, ""
        if begun:
            self._queue.put(begun)


@contextmanager
def unblocked_streams(dropped_line: Callable[[int], str]) -> Iterator[list[LineQueue]]:
    """Standard output and error as queued streams until the block ends; the queues in use."""
    out, err = sys.stdout, sys.stderr
    for stream in (out, err):
        with suppress(OSError, ValueError):
            stream.flush()  # what was said before goes first
    queues = [LineQueue(_writer(err), dropped_line)]
    if not _same_file(out, err):
        queues.append(LineQueue(_writer(out), dropped_line))
    sys.stdout, sys.stderr = QueuedStream(out, queues[-1]), QueuedStream(err, queues[0])
    try:
        yield queues
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = out, err
        for queue in queues:
            queue.close()


def _same_file(one: TextIO, other: TextIO) -> bool:
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (OSError, ValueError):
        return one is other


def _writer(stream: TextIO) -> Callable[[str], None]:
    """How text gets out: straight to the descriptor, so that nothing that failed stays in a buffer of Python's and
    fails again at exit. A stream without a descriptor is written as a stream."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return lambda text: _print(stream, text)
    encoding = stream.encoding or "utf-8"
    return lambda text: _write_all(descriptor, text.encode(encoding, "backslashreplace"))


def _print(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody who shares the terminal or pipe has made it non-blocking
            select.select([], [descriptor], [])
