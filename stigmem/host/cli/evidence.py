"""`stigmem evidence`: whether a file shows that somebody signed two statements that cannot both hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from stigmem.host.cli.speech import Failed, Mistake, examples, show_json, tell

__all__ = ["add_to"]


def add_to(app: App) -> None:
    """Register the commands."""
    evidence = App(name="evidence", help="Two statements under one key that contradict each other.", help_epilogue="")
    evidence.command(verify, help_epilogue=examples("evidence verify evidence/001-entries.json"))
    app.command(evidence)


def verify(
    file: Path,
    /,
    *,
    json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False,
) -> int:
    """Check a file of evidence; nothing else is read, and no node need run.

    Exit status 1 when the file shows nothing: a signature does not hold, or the
    statements do not contradict each other. 2 when it is no such file.

    Parameters
    ----------
    file
        The file.
    """
    from stigmem.core.evidence import EVIDENCE_BYTES_MAX, EvidenceBroken, NoEvidence, read_evidence, verify_evidence
    from stigmem.core.keys import ED25519, fingerprint

    try:
        with file.open("rb") as stream:
            found = read_evidence(stream.read(EVIDENCE_BYTES_MAX + 1))
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {error.strerror}") from error
    except EvidenceBroken as error:
        raise Mistake(f"{file}: {error}") from error
    try:
        sentence = verify_evidence(found, ED25519)
    except NoEvidence as error:
        raise Failed(f"{file} is no evidence: {error}") from error
    if json:
        show_json({"kind": found.kind, "fingerprint": fingerprint(found.public_key), "sentence": sentence})
    else:
        tell(f"{sentence}; both signatures hold")
    return 0
