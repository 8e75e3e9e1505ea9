"""What the log looks like: structlog lines on standard error, as JSON or for eyes.

Whatever the process says about itself comes through here, also what libraries say to Python's own `logging`: a line of
theirs can be something that a stranger caused (connections that cannot be accepted, say), so it is limited and has no
traceback. No secret, token or fact value goes into a line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import structlog

from stigmem.host.log_limiter import Level, LogLimiter

__all__ = ["LogStyle", "configure_logs", "dropped_line", "library_logs"]

LogStyle = Literal["console", "json"]
_DROPPED: Final = "log lines were dropped: nobody read them, or they could not be written"


def configure_logs(style: LogStyle, level: str) -> None:
    """Send log lines to standard error, as JSON or for eyes."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer(serializer=_json)
    if style == "console":
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if style == "json" else []),
            _SafeRenderer(renderer),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # a line is one write
        cache_logger_on_first_use=True,
    )


class _SafeRenderer:
    """A renderer that raises nothing, whatever the values are: a line must not cost what it tells of."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        try:
            return _printable(str(self._renderer(logger, method, event)))
        except Exception as error:
            shown = {name: value[:200] if type(value) is str else type(value).__name__ for name, value in event.items()}
            return _json(
                {"event": "a line that could not be rendered", "error": type(error).__name__, "line": repr(shown)}
            )


def _printable(text: str) -> str:
    """The text with lone surrogates spelled out, which file names may have and no encoding takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def dropped_line(style: LogStyle) -> Callable[[int], str]:
    """A function from a number of lines to the line that says that so many are missing."""

    def line(count: int) -> str:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if style == "json":
            return _json({"event": _DROPPED, "count": count, "level": "warning", "timestamp": now}) + "\n"
        return f"{now} [warning  ] {_DROPPED} count={count}\n"

    return line


@contextmanager
def library_logs(limiter: LogLimiter) -> Iterator[None]:
    """What libraries say to `logging` goes to the limiter until the block ends."""
    handler = _LibraryLogs(limiter)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _LibraryLogs(logging.Handler):
    """Hands lines of Python's `logging` to a limiter, and nothing but their text."""

    def __init__(self, limiter: LogLimiter) -> None:
        super().__init__(logging.WARNING)
        self._limiter = limiter

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        # The template is the kind: the text may hold what a stranger sent.
        self._limiter.tell("a library says", key=f"{record.name} {record.msg}"[:200], level=level, said=_said(record))


def _said(record: logging.LogRecord) -> str:
    try:
        return f"{record.name}: {record.getMessage()}"[:500]
    except (TypeError, ValueError):  # a template that does not fit what it was given
        return f"{record.name}: {record.msg}"[:500]
