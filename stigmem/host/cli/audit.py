"""`stigmem audit`: whether the audit log, and the facts it speaks of, are what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from stigmem.host.cli.speech import Mistake, examples, say, show_json, tell
from stigmem.host.cli.where import Where

__all__ = ["add_to"]


def add_to(app: App) -> None:
    """Register the commands."""
    audit = App(name="audit", help="The audit log: one chain over everything that happened.", help_epilogue="")
    audit.command(
        verify, help_epilogue=examples("audit verify", "audit verify --head 4213:sha256:9b2e...   # kept elsewhere")
    )
    app.command(audit)


def verify(
    *,
    head: Annotated[
        str | None, Parameter(help="A head noted earlier, SEQ:HASH: shows that nothing before it was cut off.")
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False,
    data_dir: Annotated[Path | None, Parameter(help="Data directory of the node.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
) -> int:
    """Walk the audit log from its first row and compare it with the facts.

    Works while the node runs. Exit status 1 when something was changed. Rows cut
    off the end show only against a head that was kept elsewhere.
    """
    from stigmem.host.inspection import parse_head, verify_audit

    expected = None
    if head is not None:
        expected = parse_head(head)
        if expected is None:
            raise Mistake("--head is a number and a hash, such as 4213:sha256:9b2e..., as this command prints it")
    found = verify_audit(Where(data_dir=data_dir, config=config).directory, expected)
    if json:
        show_json(found)
        return 1 if found.broken else 0
    for sentence in found.broken:
        say(sentence)
    tell(f"{found.rows} rows; head {found.head or 'none'}")
    tell(f"{found.writes} writes of facts in the log, {found.matching} of them with the fact they speak of")
    if found.rechained:
        tell(f"{found.rechained} rows were chained anew when the format changed, under a signed row")
    if found.erased:
        tell(f"{found.erased} rows were erased; their place in the chain is whole")
    tell("broken" if found.broken else "intact")
    return 1 if found.broken else 0
