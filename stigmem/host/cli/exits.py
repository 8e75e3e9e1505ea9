"""How a command ends: the exit status of a failure, and the sentence that goes with it.

0 done, 1 it did not work, 2 bad input, 70 a bug of this program, 130 stopped by Ctrl-C, 141 the reader of the output
went away. What is said where is the business of `stigmem.host.cli` and, while a node runs, of `serve`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from stigmem.core.errors import StigmemError
from stigmem.host.cli.speech import Failed, Mistake
from stigmem.host.sources import BadSettings

__all__ = ["BAD_INPUT", "BUG", "FAILED", "PIPE_CLOSED", "STOPPED", "explained", "innermost", "let_go_of_closed_streams"]

FAILED: Final = 1
BAD_INPUT: Final = 2
BUG: Final = 70
STOPPED: Final = 130
PIPE_CLOSED: Final = 141


def explained(cause: BaseException) -> tuple[int, str]:
    """The exit status of a failure and its sentence; the sentence is empty where there is nothing to say, and status
    BUG means that a traceback belongs to it."""
    if isinstance(cause, KeyboardInterrupt):
        return STOPPED, ""
    if isinstance(cause, BrokenPipeError) or (
        # What rich makes of a reader that has gone, while it prints a help text or a table.
        isinstance(cause, SystemExit) and isinstance(cause.__context__, BrokenPipeError)
    ):
        return PIPE_CLOSED, ""
    if isinstance(cause, SystemExit):
        return cause.code if isinstance(cause.code, int) else FAILED, ""
    if isinstance(cause, (Mistake, BadSettings)):
        return BAD_INPUT, str(cause)
    if isinstance(cause, OSError):
        return FAILED, f"{cause.filename}: {cause.strerror}" if cause.filename and cause.strerror else str(cause)
    if isinstance(cause, (Failed, StigmemError)):
        return cause.status if isinstance(cause, Failed) else FAILED, str(cause)
    return BUG, f"a bug of this program: {type(cause).__name__}: {cause}"


def innermost(error: BaseException) -> BaseException:
    """What an exception group is really about when it holds one thing only."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def let_go_of_closed_streams() -> None:
    """What is still buffered for a reader that has gone, or a disk that is full, must not fail again when Python closes
    the stream: that would be a second message and another exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _divert(stream)


def _divert(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
