"""`stigmem-sim trace`: making traces from real histories, and comparing the traces of runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cyclopts import App

from sim.report.console import examples, say, tell

__all__ = ["trace"]

trace = App(
    name="trace",
    help="Make traces from real histories, and compare the traces of runs.",
    help_epilogue=examples("trace git . history.jsonl.gz", "trace diff runs/split-brain-seed7 runs/split-brain-seed8"),
    help_format="plaintext",
)


@trace.command(help_epilogue=examples("trace git . scenarios/data/history.jsonl.gz"))
def git(repository: Path, out: Path, /) -> int:
    """Make a workload trace from the history of a git repository, authors hashed.

    Parameters
    ----------
    repository
        Folder of the repository, with or without a working tree.
    out
        File to write; one that ends in .gz is packed.
    """
    from sim.history.gitlog import is_shallow
    from sim.history.gittrace import make_trace

    made = make_trace(repository, out)
    if is_shallow(repository):
        say(f"warning: {repository} is a shallow clone, so the trace begins where its history does")
    tell(f"{out}: {made.rows} rows of {made.commits} commits to {made.files} files by {made.authors} authors")
    return 0


@trace.command(help_epilogue=examples("trace diff runs/split-brain-seed7 /tmp/other-run"))
def diff(first: Path, second: Path, /) -> int:
    """Show the first event in which two runs differ.

    Exit status: 0 when the traces are equal, 1 when they differ.

    Parameters
    ----------
    first
        Folder of a run, or its trace.
    second
        Another one.
    """
    from sim.report.folder import TRACE
    from sim.world.trace import first_difference

    paths = [path / TRACE if path.is_dir() else path for path in (first, second)]
    difference = first_difference(*paths)
    if difference is None:
        tell("the traces are equal")
        return 0
    tell(f"the traces differ from event {difference.number} on")
    _tell_lines(difference.before, "  ")
    tell(f"< {difference.first if difference.first is not None else '(ends here)'}")
    tell(f"> {difference.second if difference.second is not None else '(ends here)'}")
    return 1


def _tell_lines(lines: Iterable[str], prefix: str) -> None:
    for line in lines:
        tell(prefix + line)
