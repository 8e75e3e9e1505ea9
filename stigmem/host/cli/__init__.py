"""The command line `stigmem`: one file per subject, and here how they are put together and how they fail.

Exit status: 0 done, 1 it did not work, 2 bad input, 3 a cursor checkpoint that is ahead of the data, 70 a bug,
130 stopped by a second Ctrl-C. A mistake of the user is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

import stigmem
from stigmem.core.errors import StigmemError
from stigmem.host.cli import audit, auth, config, conflicts, doctor, fact, federation, serve, tail, transfer
from stigmem.host.cli.speech import Failed, Mistake, examples, say
from stigmem.host.sources import BadSettings

__all__ = ["BAD_INPUT", "FAILED", "app", "main"]

FAILED: Final = 1
BAD_INPUT: Final = 2
_STOPPED: Final = 130
_PIPE_CLOSED: Final = 141

app = App(
    name="stigmem",
    help="Run a node of a federated knowledge store, and work with it.",
    help_epilogue=examples(
        "serve",
        "auth create-key --entity user:ada --permissions read,write",
        "fact put user:ada memory:role analyst --source agent:docs",
        "fact query --entity user:ada",
    )
    + "\n\nExit status: 0 done, 1 it did not work, 2 bad input, 70 a bug.",
    help_format="plaintext",
    version=f"stigmem {stigmem.__version__}",
    backend="trio",
)
for _subject in (serve, config, auth, fact, conflicts, federation, audit, transfer, tail, doctor):
    _subject.add_to(app)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own); the exit status."""
    try:
        status = app(
            sys.argv[1:] if tokens is None else tokens,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except BaseException as error:
        status = _status(_innermost(error))
        if status is None:
            raise
        return status


def _status(cause: BaseException) -> int | None:
    """Say what went wrong, in a sentence, and the exit status for it; None for a bug, whose traceback is wanted."""
    if isinstance(cause, KeyboardInterrupt):
        return _STOPPED
    if isinstance(cause, BrokenPipeError):
        # The reader has gone; what is still buffered must not raise again when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    if isinstance(cause, CycloptsError):
        say(f"{' '.join(str(cause).split()).rstrip('.')}; `stigmem --help` shows what there is")
        return BAD_INPUT
    if isinstance(cause, (Mistake, BadSettings)):
        say(str(cause))
        return BAD_INPUT
    if isinstance(cause, (Failed, StigmemError, OSError)):
        say(str(cause))
        return cause.status if isinstance(cause, Failed) else FAILED
    return None


def _innermost(error: BaseException) -> BaseException:
    """What an exception group is really about when it holds one thing only."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
