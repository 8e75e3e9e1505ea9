"""The register of threats as a page: `python -m tests.threat_model > docs/security/threat-model.md`.

The table is docs/security/register.toml; here is its reading and how it looks. What holds it true is
tests/test_threat_model.py.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
REGISTER = ROOT / "docs/security/register.toml"
PAGE = ROOT / "docs/security/threat-model.md"
STATUSES = {
    "mitigated": "a control stands against it, and something that can be run shows it",
    "partly": "a control stands against some of it; the text says what is left",
    "open": "nothing stands against it",
    "accepted": "known, and left to the operator",
    "none": "what the finding is about does not exist on this node",
}
_HEAD = (
    "# The threat model\n\n"
    "The findings of the contract's register (R-01 to R-26) and the holes that were found while it was written (F-01 "
    "to F-32), each with its state on a node of this project. This page is made of [register.toml](register.toml), and "
    "a test holds the two equal. What a row says is shown can be run: a test with `pytest FILE::NAME`, a scenario with "
    "`stigmem-sim run FILE`, a command as it stands. That a test is green is evidence and no proof, and nobody outside "
    "of this project has looked.\n\n"
)


class Row(NamedTuple):
    """One finding and its state."""

    name: str
    finding: str
    status: str
    control: str
    shown: tuple[str, ...]


def rows() -> list[Row]:
    """The register, in its order."""
    table = tomllib.loads(REGISTER.read_text("utf-8"))
    return [
        Row(name, each["finding"], each["status"], each["control"], tuple(each["shown"]))
        for name, each in table.items()
    ]


def page(found: list[Row]) -> str:
    """The page of these rows."""
    counts = {status: sum(row.status == status for row in found) for status in STATUSES}
    lines = [_HEAD, "| status | findings | meaning |\n|---|---|---|\n"]
    lines += [f"| {status} | {counts[status]} | {meaning} |\n" for status, meaning in STATUSES.items()]
    for letter, title in (("R", "The register"), ("F", "The holes")):
        lines.append(f"\n## {title}\n\n| id | finding | status | control | shown by |\n|---|---|---|---|---|\n")
        for row in found:
            if row.name.startswith(letter):
                shown = "<br>".join(f"`{each}`" for each in row.shown)
                lines.append(f"| {row.name} | {row.finding} | {row.status} | {row.control} | {shown} |\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page(rows()))
