"""The command line `stigmem`: one file per subject, and here how they are put together and how they fail.

Exit status: 0 done, 1 it did not work, 2 bad input, 3 a cursor checkpoint that is ahead of the data, 70 a bug,
130 stopped by a second Ctrl-C. A mistake of the user is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

from cyclopts import App, CycloptsError, UnknownCommandError

import stigmem
from stigmem.host.cli import (
    agent_key,
    audit,
    auth,
    clock,
    config,
    conflicts,
    doctor,
    erase,
    evidence,
    fact,
    federation,
    intent,
    mcp,
    quarantine,
    schema,
    serve,
    tail,
    transfer,
)
from stigmem.host.cli.exits import BAD_INPUT, BUG, FAILED, explained, innermost, let_go_of_closed_streams
from stigmem.host.cli.speech import examples, say

__all__ = ["BAD_INPUT", "FAILED", "app", "main"]

app = App(
    name="stigmem",
    help="Run a node of a federated knowledge store, and work with it.",
    help_epilogue=examples(
        "serve",
        "auth create-key --entity user:ada --permissions read,write",
        "fact put user:ada memory:role analyst --source agent:docs",
        "fact query --entity user:ada",
    )
    + "\n\nExit status: 0 done, 1 it did not work, 2 bad input, 70 a bug of this program.",
    help_format="plaintext",
    version=f"stigmem {stigmem.__version__}",
    backend="trio",
)
_SUBJECTS = (
    serve, config, auth, agent_key, fact, schema, intent, conflicts, quarantine, erase, federation, audit, evidence,
    clock, transfer, tail, mcp, doctor,
)  # fmt: skip
for _subject in _SUBJECTS:
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
        return _status(innermost(error))
    finally:
        let_go_of_closed_streams()


def _status(cause: BaseException) -> int:
    """Say what went wrong, in a sentence or, of a bug, as a traceback; the exit status."""
    if isinstance(cause, CycloptsError):
        say(f"{_misread(cause)}; `stigmem --help` shows what there is")
        return BAD_INPUT
    status, sentence = explained(cause)
    if status == BUG:
        say("".join(traceback.format_exception(cause)).rstrip())
    elif sentence:
        say(sentence)
    return status


def _misread(error: CycloptsError) -> str:
    """What is wrong with a command line."""
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        word, chain = error.unused_tokens[0], tuple(error.command_chain or ())
        at = app
        for name in chain:
            at = at[name]
        names = [name for name in at if not name.startswith("-")]
        close = get_close_matches(word, names, 1)
        instead = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        return f"`{' '.join(('stigmem', *chain))}` has no command {word!r}: {instead}"
    return " ".join(str(error).split()).rstrip(".")
