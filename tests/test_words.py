"""One meaning a word: seven words that carried several, what each means here, and where it may stand.

What is looked at are the names that we choose: modules, classes, functions, parameters, variables and attributes, cut
at underscores and capitals. A word may stand in a name in the places that its entry lists. Names that others decide
(members on the wire, SQLite's own words), and documents, are listed with their reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLURALS = {"pages": "page", "entries": "entry", "faults": "fault", "verdicts": "verdict"}


class Word(NamedTuple):
    """`places`: beginnings of paths below the root in which names may have the word."""

    meaning: str
    places: tuple[str, ...]
    instead: str


WORDS = {
    "held": Word(
        "a fact or a record that a node has",
        (
            "stigmem/core/", "stigmem/node/", "sim/adversary/", "sim/analysis/", "sim/ports.py",
            "sim/check/", "sim/observation/", "sim/simulation/digest.py", "sim/study/profiles.py",
            "stigmem/host/journal.py",
        ),
        "waiting (a request or a packet), retried (a page), paused (a machine)",
    ),
    "settled": Word(
        "a fact that lost to a resolution, and a conflict that has one",
        ("stigmem/core/", "sim/check/conflicts.py"),
        "quiet (a federation), result (a checker)",
    ),
    "verdict": Word(
        "how a run ended: pass, fail or inconclusive; of many runs, and of a suite's row, that of all of them",
        ("sim/analysis/", "sim/runner.py", "sim/report/", "sim/study/", "sim/suite/", "sim/campaign/"),
        "state (a slot), decision (a packet), outcome (a registration)",
    ),
    "page": Word(
        "a piece of a longer list, with a cursor: of facts between nodes, or of what the API lists",
        (
            "stigmem/client/", "stigmem/core/", "stigmem/node/", "stigmem/host/cli/", "stigmem/host/observe.py",
            "sim/adversary/", "sim/check/", "sim/model_reference/", "sim/observation/", "sim/ports.py",
            "sim/simulation/", "sim/study/page_excess.py", "sim/study/profiles.py", "sim/workload/readers.py",
        ),
        "html (what a browser is shown)",
    ),
    "entry": Word(
        "one fact on a page with its origin and signature",
        (
            "stigmem/core/page.py", "stigmem/core/ingest.py", "stigmem/core/envelope.py", "stigmem/node/replication/",
            "stigmem/node/api/push.py", "stigmem/core/evidence.py", "sim/observation/statements.py",
            "sim/report/evidence.py", "sim/adversary/", "sim/ports.py", "sim/simulation/", "sim/check/",
        ),
        "row (a table), item (a list), fact (a map)",
    ),
    "fault": Word(
        "trouble that a scenario asks for",
        ("sim/",),
        "bug (ours), validation error (a caller's), refusal",
    ),
    "later": Word(
        "nothing: say what is meant",
        (),
        "deferred or retry (not now), background (while others go on), not implemented, after (a time)",
    ),
}  # fmt: skip

EXCEPTIONS = {
    ("entry", "stigmem/client/models.py"): "`checked_entries` is the contract's",
    ("page", "stigmem/host/wal.py"): "pages of SQLite's file format",
    ("page", "stigmem/host/pages.py"): "what a browser is shown at / and /docs; the file's name is older than the word",
    ("page", "stigmem/host/app.py"): "what a browser is shown at /",
    ("page", "sim/scenario/kinds_page.py"): "the reference page of kinds: a document",
    ("entry", "stigmem/node/api/audit_views.py"): "`entries` is the contract's name for rows of the audit log",
    ("entry", "stigmem/node/api/audit.py"): "`entries` is the contract's name for rows of the audit log",
    ("entry", "stigmem/node/api/feedback_guard.py"): "entries of `derived_from`, in the contract's words",
    ("entry", "stigmem/node/api/visibility.py"): "entries of `derived_from`, in the contract's words",
    ("entry", "stigmem/core/fact.py"): "entries of `derived_from`, in the contract's words",
    ("entry", "stigmem/core/resolution.py"): "entries of `derived_from`, in the contract's words",
    ("entry", "stigmem/node/api/facts.py"): "entries of `derived_from`, in the contract's words",
}


def names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def words_of(name: str) -> set[str]:
    parts = (part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))
    return {PLURALS.get(part, part) for part in parts}


def found() -> dict[tuple[str, str], set[str]]:
    """(word, file) -> names with the word in files outside of its places."""
    odd: dict[tuple[str, str], set[str]] = {}
    for package in ("stigmem", "sim"):
        for path in sorted((ROOT / package).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            for name in (path.stem, *names(ast.parse(path.read_text()))):
                for word in words_of(name) & WORDS.keys():
                    if not where.startswith(WORDS[word].places):
                        odd.setdefault((word, where), set()).add(name)
    return odd


OUTSIDE = found()
ODD = {key: names_here for key, names_here in OUTSIDE.items() if key not in EXCEPTIONS}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_has_one_meaning(word: str) -> None:
    meaning, _, instead = WORDS[word]
    new = [
        f"{where}: {name}"
        for (each, where), names_here in sorted(ODD.items())
        for name in sorted(names_here)
        if each == word
    ]
    assert not new, f"'{word}' means here: {meaning}. Otherwise say {instead}. {new}"


def test_every_exception_is_still_needed() -> None:
    assert [key for key in EXCEPTIONS if key not in OUTSIDE] == []
