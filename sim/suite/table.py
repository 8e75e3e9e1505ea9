"""The table of a suite: on a terminal, as Markdown, and as one page of HTML that needs nothing else.

All three show the same rows in the order of their ids, and below them each row that is no pass with its sentence and
the command that meets it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.suite.results import CaseResult, SuiteResult
from sim.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Row", "html_of", "markdown_of", "rows_of", "show_suite", "summary_of"]

_HEADERS: Final = ("id", "verdict", "seeds", "worst lag", "catch-up", "turned away", "question")
_WIDTHS: Final = {"turned away": 32, "question": 50}
"""Columns whose texts are cut on a terminal; the files have them whole."""
_LEAST_WIDTHS: Final = {"turned away": 100, "question": 150}
"""Terminals that are narrower have no room for the column."""
_STYLES: Final = {"pass": "green", "fail": "bold red", "error": "bold red", "missing": "dim", "not run": "yellow"}


class Row(NamedTuple):
    """One line of the table, as texts. `reason` and `replay` are empty for a pass."""

    id: str
    verdict: str
    seeds: str
    lag: str
    catch_up: str
    rejections: str
    question: str
    reason: str
    replay: str


def rows_of(result: SuiteResult) -> list[Row]:
    """All rows in the order of their ids."""
    rows = [
        _of_case(case)._replace(verdict=result.word_of(case), reason=result.reason_of(case)) for case in result.cases
    ]
    rows += [
        Row(f"{each.real.id}/real", each.verdict, "", "", "", "", each.real.question, each.detail,
            "pytest " + " ".join(each.real.tests))
        for each in result.real
    ]  # fmt: skip
    rows += [Row(each.id, "missing", "", "", "", "", each.question, each.reason, "") for each in result.suite.missing]
    rows += [Row(name, "absent", "", "", "", "", "", sentence, "") for name, sentence in result.suite.absent]
    return sorted(rows, key=lambda row: row.id.replace("/", "\0"))


def _of_case(result: CaseResult) -> Row:
    told = ", ".join(f"{code} {count}" for code, count in result.rejections.items())
    passed = result.verdict == "pass"
    return Row(
        id=result.case.id,
        question=result.case.question if result.case.variant is None else f"the same, {result.case.variant}",
        verdict=result.verdict,
        seeds=str(len(result.runs)),
        lag=_time(result.worst("lag.max")),
        catch_up=_time(result.worst("catch_up")),
        rejections=told,
        reason=result.reason,
        replay="" if passed else result.replay,
    )


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else format_duration(round(seconds * 10) * 100_000_000)


def summary_of(result: SuiteResult) -> str:
    """One line: how many rows have which verdict, and how long it took."""
    counts = ", ".join(f"{count} {word}" for word, count in result.counts.items())
    runs = sum(len(case.runs) for case in result.cases)
    return f"{counts}; {runs} runs in {format_duration(round(result.wall_s) * 1_000_000_000)}"


def _told(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows that have more to tell than their line."""
    yield from (row for row in rows if row.reason)


def show_suite(console: Console, result: SuiteResult) -> None:
    """Print the table and what is no pass."""
    from rich.table import Table
    from rich.text import Text

    rows = rows_of(result)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown = [name for name in _HEADERS if console.width >= _LEAST_WIDTHS.get(name, 0)]
    for name in shown:
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=_WIDTHS.get(name))
    for row in rows:
        verdict = Text(row.verdict, _STYLES.get(row.verdict, "yellow"))
        cells = (row.id, verdict, row.seeds, row.lag, row.catch_up, row.rejections, row.question)
        table.add_row(*cells[: len(shown)])
    console.print(table)
    for row in _told(rows):
        console.print(Text.assemble((f"{row.id} {row.verdict}", "bold"), f": {row.reason}"), soft_wrap=True)
        if row.replay:
            console.print(f"    {row.replay}", soft_wrap=True)
    console.print(summary_of(result), soft_wrap=True)


def markdown_of(result: SuiteResult) -> str:
    """The table as a page of Markdown."""
    rows = rows_of(result)
    lines = [f"# {result.suite.folder.name}", "", summary_of(result), ""]
    lines += ["| " + " | ".join(_HEADERS) + " |", "|" + "---|" * len(_HEADERS)]
    lines += ["| " + " | ".join(each.replace("|", "\\|") for each in row[: len(_HEADERS)]) + " |" for row in rows]
    for row in _told(rows):
        lines += ["", f"**{row.id}** {row.verdict}: {row.reason}"]
        lines += ["", f"    {row.replay}"] if row.replay else []
    return "\n".join(lines) + "\n"


_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3em .7em; }
th { color: #666; font-weight: normal; border-bottom: 1px solid #999; } tr + tr td { border-top: 1px solid #ddd; }
td:first-child { white-space: nowrap; }
.pass { color: #00703c; } .fail, .error { color: #b00020; font-weight: bold; } .missing { color: #666; }
.unreached, .inconclusive, .not-run, .absent { color: #8a5a00; } code { background: #f2f2f2; padding: .1em .3em; }
"""


def html_of(result: SuiteResult) -> str:
    """The table as one page of HTML."""
    rows = rows_of(result)
    title = escape(result.suite.folder.name)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{escape(row.verdict.replace(" ", "-"))}">{escape(text)}</td>'
            if number == _HEADERS.index("verdict")
            else f"<td>{escape(text)}</td>"
            for number, text in enumerate(row[: len(_HEADERS)])
        )
        + "</tr>\n"
        for row in rows
    )
    told = "".join(
        f"<p><b>{escape(row.id)}</b> {escape(row.verdict)}: {escape(row.reason)}"
        + (f"<br><code>{escape(row.replay)}</code>" if row.replay else "")
        + "</p>\n"
        for row in _told(rows)
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEADERS)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>{escape(summary_of(result))}</p>\n<table><tr>{head}</tr>\n{body}</table>\n"
        f"{told}</body></html>\n"
    )
