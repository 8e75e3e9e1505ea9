"""The folder `evidence/` of a run: files that show by themselves that a peer contradicted itself, and `unsigned.txt`, a
sentence for each contradiction that nobody signed, which is told and is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stigmem.core.evidence import EvidenceBroken, NoEvidence, read_evidence, verify_evidence
from stigmem.core.keys import ED25519, STAND_IN

__all__ = ["check_evidence", "clear_evidence", "read_files", "read_unsigned", "write_evidence"]

EVIDENCE: Final = "evidence"
UNSIGNED: Final = "unsigned.txt"
_GLOB: Final = "[0-9]*-entries.json"


def clear_evidence(folder: Path) -> None:
    """Remove what an earlier run left; files of others stay."""
    for path in (*_files(folder), folder / EVIDENCE / UNSIGNED):
        path.unlink(missing_ok=True)


def write_evidence(folder: Path, files: Sequence[bytes], unsigned: Sequence[str]) -> None:
    """Write what there is; no folder when there is nothing."""
    if not files and not unsigned:
        return
    (folder / EVIDENCE).mkdir(exist_ok=True)
    for number, content in enumerate(files, 1):
        (folder / EVIDENCE / f"{number:03}-entries.json").write_bytes(content)
    if unsigned:
        (folder / EVIDENCE / UNSIGNED).write_text("".join(f"{sentence}\n" for sentence in unsigned), encoding="utf-8")


def read_files(folder: Path) -> tuple[bytes, ...]:
    """The contents of the files of evidence, in their order."""
    return tuple(path.read_bytes() for path in _files(folder))


def read_unsigned(folder: Path) -> tuple[str, ...]:
    """The sentences about what nobody signed."""
    path = folder / EVIDENCE / UNSIGNED
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


def check_evidence(folder: Path) -> Iterator[tuple[str, bool]]:
    """A sentence for each file of JSON in a run's folder of evidence, and whether it shows something. Raises
    EvidenceBroken for a file that is none."""
    for path in sorted((folder / EVIDENCE).glob("*.json")):
        name = f"{EVIDENCE}/{path.name}"
        try:
            found = read_evidence(path.read_bytes())
        except (OSError, EvidenceBroken) as error:
            raise EvidenceBroken(f"{path}: {error}") from error
        suite = STAND_IN if found.suite == STAND_IN.name else ED25519
        try:
            sentence = verify_evidence(found, suite)
        except NoEvidence as error:
            yield f"{name} is no evidence: {error}", False
            continue
        stand_in = " (stand-in signatures: of use in the laboratory only)" if suite is STAND_IN else ""
        yield f"{name}: {sentence}; both signatures hold{stand_in}", True


def _files(folder: Path) -> list[Path]:
    return sorted((folder / EVIDENCE).glob(_GLOB))
