"""The text of a story: blocks of commands and of what came of them.

# A comment.
command of one line
another one
----
what came of them, up to an empty line
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Block", "parse_story", "tell_story"]

RULE = "----"
NOTHING = "(nothing)"


@dataclass
class Block:
    """Comments and commands as they stand in the file, and the lines that they brought."""

    head: list[str]
    lines: list[str]

    @property
    def commands(self) -> list[str]:
        """The lines to execute."""
        return [line for line in self.head if line and not line.startswith("#")]


def parse_story(text: str) -> list[Block]:
    """The blocks of a story. A last block without commands holds the comments at the end."""
    blocks: list[Block] = []
    head: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line != RULE:
            head.append(line)
            continue
        found = []
        for each in lines:
            if not each:
                break
            found.append(each)
        blocks.append(Block(head, found))
        head = []
    if any(head):
        blocks.append(Block(head, []))
    return blocks


def tell_story(blocks: list[Block]) -> str:
    """The text of a story."""
    told = []
    for block in blocks:
        told += block.head
        if block.commands:
            told += [RULE, *(block.lines or [NOTHING]), ""]
    return "\n".join(told) + "\n"
