"""What a script of requests was answered, step by step: three digests a step, and the text they were made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from tests.equality.worlds import Request, Response

__all__ = ["PARTS", "Step", "Transcript"]

PARTS = ("answers", "rows", "wire")
"""What is compared of a step: the answers to the script, the rows that journals took in, what nodes said to each
other."""
_WORDS_MAX = 20


@dataclass
class Step:
    """One step: its name, and the lines of each part."""

    name: str
    answers: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    wire: list[bytes] = field(default_factory=list)

    def lines(self, part: str) -> list[bytes]:
        found: list[bytes] = getattr(self, part)
        return found

    def digests(self) -> dict[str, str]:
        """A digest of each part, and in clear what fits a word: statuses and kinds of rows."""
        made = {part: _digest(self.lines(part)) for part in PARTS}
        words = [line.split(b" ", 2)[1].decode() for line in self.answers + self.rows]
        made["seen"] = " ".join(words[:_WORDS_MAX]) + (f" and {len(words)} in all" if len(words) > _WORDS_MAX else "")
        return made


def _digest(lines: list[bytes]) -> str:
    made = hashlib.blake2b(digest_size=12)
    for line in lines:
        made.update(len(line).to_bytes(8, "big") + line)
    return made.hexdigest()


def answer_line(source: str, answer: Response | str) -> bytes:
    """Status, headers in their order, and body of an answer, or the word for why there is none."""
    if isinstance(answer, str):
        return f"{source} {answer} ".encode()
    headers = "; ".join(f"{name}: {value}" for name, value in answer.headers.items())
    return f"{source} {answer.status} [{headers}] ".encode() + answer.body


class Transcript:
    """Listens to a world; a new step begins with `begin`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self, name: str) -> None:
        self.steps.append(Step(f"{len(self.steps) + 1:03} {name}"))

    def answered(self, machine: str, answers: list[Response]) -> None:
        step = self.steps[-1]
        step.answers += [answer_line(machine, answer) for answer in answers] or [answer_line(machine, "no-answer")]

    def exchanged(self, source: str, url: str, request: Request, answer: Response | str) -> None:
        headers = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        asked = f"{source} {request.method} {url}{request.target} [{headers}] ".encode() + request.body
        self.steps[-1].wire += [asked, answer_line(url, answer)]

    def stored(self, machine: str, kind: str, row: bytes) -> None:
        self.steps[-1].rows.append(f"{machine} {kind} ".encode() + row.hex().encode())
