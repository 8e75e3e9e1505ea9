"""Sets of questions for the measurement of recall: facts, questions, and which facts answer them.

Conversations come from a file beside this project (`CONVERSATIONS`), which is not part of it; its README says what it
is and under which licence. Each conversation is a scope of its own.

Of this project's documents two sets are made. In `expectations` every scenario's question is asked, and what its file
says to expect, and what a failure looks like, are the answers, among those of all scenarios and all paragraphs: nobody
chose a label. In `documents` the questions of `recall_questions.txt` were written by hand, in other words than those of
the paragraph that answers them, which is found by a phrase of it, so that documents may change.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.uris import normalise

__all__ = ["CONVERSATIONS", "Corpus", "Question", "conversations", "documents", "expectations"]

ROOT: Final = Path(__file__).resolve().parent.parent
CONVERSATIONS: Final = ROOT.parent / "shared" / "data" / "recall" / "locomo-a.jsonl.gz"
_QUESTIONS: Final = ROOT / "bench" / "recall_questions.txt"
_TABLES: Final = ("kinds.md", "validation.md", "settings.md", "deviations.md", "recall.md")
"""Documents that are tables or figures rather than paragraphs, and the one that tells of this measurement."""
_PARAGRAPH_CHARS_MIN: Final = 80
_START_MS: Final = 1_700_000_000_000


class Question(NamedTuple):
    """`fold`: which questions are left out together. `answers`: ids of the facts that answer it."""

    text: str
    fold: str
    answers: frozenset[str]


class Corpus(NamedTuple):
    """Facts of one scope, in the order in which they were said, and questions to them. `texts`: what plain BM25 reads
    of each fact: who speaks, or the document, and the text."""

    facts: list[Fact]
    texts: list[str]
    questions: list[Question]


def conversations(path: Path) -> list[Corpus]:
    """The conversations of a file, each with its questions."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    names = list(dict.fromkeys(row["conversation"] for row in rows))
    return [_conversation(name, [row for row in rows if row["conversation"] == name]) for name in names]


def _conversation(name: str, rows: list[dict[str, object]]) -> Corpus:
    turns = [row for row in rows if "turn" in row]
    facts = [
        _fact(
            str(row["turn"]), _instant_ms(str(row["at"])) + 1_000 * number, f"conversation:{name}",
            f"turn:{row['turn']}", f"person:{str(row['speaker']).lower()}", str(row["text"]),
        )
        for number, row in enumerate(turns)
    ]  # fmt: skip
    questions = [
        Question(str(row["question"]), name, frozenset(row["evidence"]))  # type: ignore[call-overload]
        for row in rows
        if "question" in row
    ]
    return Corpus(facts, [f"{row['speaker']}: {row['text']}" for row in turns], questions)


def documents() -> Corpus:
    """Paragraphs of this project's documents under their headings, and the questions whose paragraph is there."""
    paths = [path for folder in ("docs", "spec") for path in sorted((ROOT / folder).glob("*.md"))]
    wanted = [path for path in (*paths, ROOT / "LIMITATIONS.md") if path.name not in _TABLES]
    found = [(path, *part) for path in wanted for part in _paragraphs(path.read_text(encoding="utf-8"))]
    facts = [
        _fact(
            str(number), _START_MS + 1_000 * number, normalise(f"doc:{path.stem}/{heading}"),
            f"doc:paragraph-{number}", "agent:reader", text,
        )
        for number, (path, heading, text) in enumerate(found)
    ]  # fmt: skip
    texts = [f"{path.stem} {heading}: {text}" for path, heading, text in found]
    return Corpus(facts, texts, list(_questions(facts)))


def expectations() -> Corpus:
    """What each scenario's file says to expect, and the paragraphs of the documents; the questions of the files."""
    facts, texts, questions = list(documents().facts), list(documents().texts), []
    for path in sorted((ROOT / "scenarios").rglob("*.toml")):
        question, told = _head(path.read_text(encoding="utf-8"))
        answers = [
            _fact(f"{path.stem}/{number}", _START_MS + 1_000 * (len(facts) + number), f"scenario:{path.stem.lower()}",
                  f"scenario:expectation-{number}", "agent:reader", text)
            for number, text in enumerate(told)
        ]  # fmt: skip
        facts += answers
        texts += [f"{path.stem}: {text}" for text in told]
        if question and answers:
            questions.append(Question(question, path.stem, frozenset(fact.id for fact in answers)))
    return Corpus(facts, texts, questions)


def _head(text: str) -> tuple[str, list[str]]:
    """The question at the top of a scenario's file, and what is expected."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    parts = re.split(r"(?=\b(?:Question|Expected|Failure looks like): )", " ".join(line[1:].strip() for line in lines))
    question = next((part.removeprefix("Question: ") for part in parts if part.startswith("Question: ")), "")
    return question.strip(), [part.strip() for part in parts if part.startswith(("Expected: ", "Failure looks like: "))]


def _questions(facts: list[Fact]) -> Iterator[Question]:
    for line in _QUESTIONS.read_text(encoding="utf-8").splitlines():
        text, mark, phrase = line.partition(" | ")
        answers = [fact for fact in facts if mark and phrase in fact.text and not line.startswith("#")]
        if answers:
            yield Question(text, answers[0].entity.partition("/")[0], frozenset(fact.id for fact in answers))


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Each paragraph or item of a list with the heading above it."""
    plain, heading = re.sub(r"```.*?```", "", text, flags=re.DOTALL), ""
    for part in re.split(r"\n\s*\n|\n(?=\* |\d+\. |\| )", plain):
        joined = " ".join(part.split())
        if joined.startswith("#"):
            heading = joined.lstrip("# 0123456789.")
        elif len(joined) >= _PARAGRAPH_CHARS_MIN and not joined.startswith("|"):
            yield heading, joined


def _fact(name: str, ms: int, entity: str, relation: str, source: str, text: str) -> Fact:
    return Fact(
        stamp=stamp(ms, 0), origin="stigmem:node:bench", id=name, entity=entity, relation=relation, scope="local",
        source=source, kind="text", text=text, interpret_as="content", confidence=1.0, timestamp_us=ms * 1_000,
        valid_until=None,
    )  # fmt: skip


def _instant_ms(text: str) -> int:
    """An instant as `1:56 pm on 8 May, 2023`, in milliseconds since the epoch."""
    return int(datetime.strptime(text, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC).timestamp() * 1_000)
