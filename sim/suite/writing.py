"""The files of a suite for programs: suite.json with every run, and junit.xml as build servers read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from sim.report.folder import BadFolder
from sim.suite.results import SuiteResult
from sim.suite.table import html_of, markdown_of, rows_of

__all__ = ["json_of", "junit_of", "write_suite"]

_FAILURES: Final = ("fail", "unreached", "inconclusive")


def write_suite(result: SuiteResult, out: Path) -> list[Path]:
    """Write all files of a suite into a folder; their paths. Raises BadFolder."""
    texts = {
        "suite.json": json.dumps(json_of(result), indent=1) + "\n",
        "junit.xml": junit_of(result),
        "suite.md": markdown_of(result),
        "suite.html": html_of(result),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadFolder(f"{out} cannot be written: {error.strerror}") from error
    return [out / name for name in texts]


def json_of(result: SuiteResult) -> dict[str, Any]:
    """Every row, and every run of it."""
    return {
        "suite": result.suite.folder.name,
        "counts": result.counts,
        "wall_s": round(result.wall_s, 1),
        "rows": [row._asdict() for row in rows_of(result)],
        "runs": [
            {"id": case.case.id, "file": case.case.file.name, "variant": case.case.variant, "seed": seed, **row}
            for case in result.cases
            for seed, row in case.runs
        ],
    }


def junit_of(result: SuiteResult) -> str:
    """A test case a row: what is missing or was not run is skipped, what is no pass has failed."""
    rows = rows_of(result)
    times = {case.case.id: case.cpu_s for case in result.cases}
    failures = sum(row.verdict in _FAILURES for row in rows)
    errors = sum(row.verdict == "error" for row in rows)
    skipped = sum(row.verdict in ("missing", "not run", "absent") for row in rows)
    name = quoteattr(result.suite.folder.name)
    head = f"tests={quoteattr(str(len(rows)))} failures={quoteattr(str(failures))} errors={quoteattr(str(errors))}"
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name={name} {head} skipped="{skipped}" time="{result.wall_s:.1f}">',
    ]
    for row in rows:
        case = f'  <testcase classname={name} name={quoteattr(row.id)} time="{times.get(row.id, 0.0):.3f}"'
        if row.verdict == "pass":
            lines.append(case + "/>")
            continue
        kind = "error" if row.verdict == "error" else "failure" if row.verdict in _FAILURES else "skipped"
        lines.append(f"{case}><{kind} message={quoteattr(row.reason)}>{escape(row.replay)}</{kind}></testcase>")
    return "\n".join([*lines, "</testsuite>"]) + "\n"
