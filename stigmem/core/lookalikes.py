"""Texts that look alike and are not the same, and numbers that a double cannot hold: how claims are compared, and what
a caller is warned of.

Two rules. **What is stored is what was said**: texts, content ids and signatures never change, and a fact of a peer is
never refused for its spelling, since nodes that refused differently would hold different facts. And **what a reader
cannot tell apart is no contradiction**: `0` and `-0.0`, or `é` as one character and as two, are one claim.

The comparison uses normalization form C of Unicode 3.2, which Python carries beside the newest version. Newer versions
compose characters that did not exist then, so that nodes with different Pythons would see different conflicts; with a
fixed version all see the same. A text with a character that 3.2 does not know is compared as it stands. RFC 3454
(stringprep) fixed the same version for the same reason. Case, width and confusable letters (Unicode TR 39) are not
folded: `pump` and `Pump` may be two values, and folding them would hide a contradiction that somebody meant.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["INVISIBLE", "comparable_text", "number_warnings", "text_warnings"]

_COMPARED: Final = unicodedata.ucd_3_2_0
_TEXTUAL: Final = ("string", "text", "ref")
_EXACT_INTEGER_MAX: Final = 2**53
"""Above it a double skips integers (IEEE 754, 53 bits of significand)."""
_NAMES: Final = {
    "\u00ad": "soft hyphen", "\u200b": "zero-width space", "\u200c": "zero-width non-joiner",
    "\u200d": "zero-width joiner", "\u2060": "word joiner", "\ufeff": "byte order mark",
    "\u061c": "arabic letter mark", "\u200e": "left-to-right mark", "\u200f": "right-to-left mark",
    "\u202a": "left-to-right embedding", "\u202b": "right-to-left embedding", "\u202c": "pop directional formatting",
    "\u202d": "left-to-right override", "\u202e": "right-to-left override", "\u2066": "left-to-right isolate",
    "\u2067": "right-to-left isolate", "\u2068": "first strong isolate", "\u2069": "pop directional isolate",
}  # fmt: skip
"""The better known of INVISIBLE; others are called by their number."""
_NAMED_MAX: Final = 5
"""So many invisible characters are named in one remark."""
INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that show nothing, or that turn the order of what is shown (Trojan Source, CVE-2021-42574), as the inside
of a class of a regular expression: what Unicode calls Default_Ignorable_Code_Point. Python has no table of it."""
_HIDDEN: Final = re.compile(f"(?![\ufe0e\ufe0f])[{INVISIBLE}]")
"""Of which a caller is warned: but for the two selectors that stand after every other emoji."""


def comparable_text(kind: str, text: str) -> str:
    """What the canonical text of a value is compared by: two claims differ when their types or these texts differ."""
    if kind == "number":
        return "0.0" if text == "-0.0" else text
    if kind not in _TEXTUAL or text.isascii():
        return text
    return text if _COMPARED.is_normalized("NFC", text) else _composed(text)


@lru_cache(maxsize=64)  # at most 4 MiB; whoever sends long texts that are not composed shall not make us compose often
def _composed(text: str) -> str:
    # What 3.2 does not know is composed by the tables of the newest version that this Python has: then nothing is.
    return text if any(_COMPARED.category(each) == "Cn" for each in text) else _COMPARED.normalize("NFC", text)


def text_warnings(member: str, text: str) -> list[str]:
    """Remarks on a text that a caller sends, one sentence each: it is stored as it is. `member`: its name in the
    body."""
    if text.isascii():
        return []
    found = []
    if not _COMPARED.is_normalized("NFC", text):
        found.append(f"{member} is not in Unicode normalization form C: as an entity or source it is another name")
    hidden = sorted({_NAMES.get(each, f"U+{ord(each):04X}") for each in _HIDDEN.findall(text)})
    if hidden:
        more = f" and {len(hidden) - _NAMED_MAX} more" if len(hidden) > _NAMED_MAX else ""
        found.append(f"{member} holds characters that do not show: {', '.join(hidden[:_NAMED_MAX])}{more}")
    return found


def number_warnings(sent: object) -> list[str]:
    """Remarks on a number that a caller sends, one sentence each. `sent`: as the JSON reader gave it."""
    if isinstance(sent, int) and abs(sent) > _EXACT_INTEGER_MAX and int(float(sent)) != sent:
        return [f"the number is stored as {float(sent)!r}: numbers are doubles, exact for integers up to 2**53"]
    if isinstance(sent, float) and sent == 0.0 and math.copysign(1.0, sent) < 0:
        return ["-0.0 contradicts no 0: the two are compared as one number"]
    return []
