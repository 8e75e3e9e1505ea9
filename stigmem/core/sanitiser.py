"""The read-time sanitiser: remarks on values that look like instructions to a model (http-api 1.13).

Remarks only. The contract's reference rewrites what matches; here a value is shown as it was written, since its content
id must stay that of what is shown, and an agent that reads `sanitizer_warnings` can leave the value out or put it in
quotes. What is looked at is the value in normalization form KC without characters that do not show, in any case, so
that a full-width or interrupted spelling is found too; and what is written in tag characters, which show nothing and
which models read as the letters that they stand for. Who writes around the list is not found: it is a help, no fence.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from stigmem.core.lookalikes import INVISIBLE

__all__ = ["sanitizer_warnings"]

_PATTERNS: Final = {
    "ignore previous instructions": r"ignore\s+(?:all\s+)?previous\s+instructions?",
    "disregard previous prompts": r"disregard\s+(?:all\s+)?previous\s+(?:prompts?|instructions?)",
    "you are now in another mode": r"you\s+are\s+now\s+(?:in\s+)?(?:a\s+)?(?:different|new)\s+mode",
    "act as somebody evil": r"act\s+as\s+(?:an?\s+)?(?:evil|unfiltered|uncensored|dan)\b",
    "system prompt": r"system\s+prompt\s*:",
    "chat markup: start": r"<\|im_start\|>",
    "chat markup: end": r"<\|im_end\|>",
    "instruction markup: start": r"\[inst\]",
    "instruction markup: end": r"\[/inst\]",
    "a turn of a human": r"\bhuman:",
    "a turn of an assistant": r"\bassistant:",
    "object with __proto__": r"\{\s*\"__proto__\"\s*:",
    "object with constructor": r"\{\s*\"constructor\"\s*:",
}
"""Name of a remark -> what it is made of: the thirteen patterns of the contract."""
_COMPILED: Final = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PATTERNS.items()}
_ANY: Final = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS.values()), re.IGNORECASE)
_HIDDEN: Final = re.compile(f"[{INVISIBLE}\x00-\x08\x0b\x0c\x0e-\x1f]")
_TAGS: Final = re.compile("[\U000e0020-\U000e007e]")
"""A second alphabet of ASCII that shows nothing, 0xE0000 above the first."""
_TEXTUAL: Final = ("string", "text", "json")


def sanitizer_warnings(kind: str, text: str) -> list[str]:
    """Names of the patterns that a value has, in the order of the contract; empty for values that are no text."""
    return list(_remarks(text)) if kind in _TEXTUAL else []


@lru_cache(maxsize=1_024)
def _remarks(text: str) -> tuple[str, ...]:
    plain = _HIDDEN.sub("", text if text.isascii() else unicodedata.normalize("NFKC", text))
    if tags := _TAGS.findall(text):
        plain += "\n" + "".join(chr(ord(each) - 0xE0000) for each in tags)
    if _ANY.search(plain) is None:
        return ()
    return tuple(name for name, pattern in _COMPILED.items() if pattern.search(plain))
