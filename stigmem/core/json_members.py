"""Members that a JSON object names twice.

JSON readers disagree on which of the two counts (RFC 8259, section 4): the last for most, the first for some. A caller
whose body has one means something that we cannot know, so it is told (422). Bodies of peers are not looked at: their
facts are judged by what was read and signed, and nodes must agree on that.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from stigmem.core import limits

__all__ = ["repeated_member", "repeated_outer_member"]

_STRINGS: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?')
"""A string, and the colon that makes a name of it. Strings that are no names match too, so that a search never begins
inside of one: at each escaped quote it would run to the string's end, which is quadratic."""


def repeated_member(data: bytes) -> str | None:
    """The name that some object in a JSON text has twice, at whatever depth; None when there is none. `data` was read
    as JSON before, so that it is well-formed and no deeper than readers go. Texts longer than FACT_BYTES_MAX are not
    looked through: no fact is, and the writer does not wait for a parser."""
    return next(iter(_repeated(data)), None)


def repeated_outer_member(data: bytes) -> str | None:
    """As `repeated_member`, of the outermost object alone."""
    repeated = _repeated(data)
    return repeated[-1] if repeated and repeated[-1] else None


def _repeated(data: bytes) -> list[str]:
    """For each object of the text that has a member twice its name, innermost first; an empty text at the end when the
    outermost has none."""
    if len(data) > limits.FACT_BYTES_MAX:
        return []
    names = [name for name, colon in _STRINGS.findall(data) if colon]
    # Nearly always no name comes twice in the whole text, and then it needs no parsing.
    if len(set(names)) == len(names) and not any(b"\\" in name for name in names):
        return []
    found: list[str] = []
    outermost = [""]

    def pairs(members: list[tuple[str, Any]]) -> None:
        seen: dict[str, None] = {}
        outermost[0] = ""
        for name, _ in members:
            if name in seen and not outermost[0]:
                outermost[0] = name
                found.append(name)
            seen[name] = None

    json.loads(data, object_pairs_hook=pairs)
    return [*found, *([] if outermost[0] or not found else [""])]
